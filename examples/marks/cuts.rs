//! Whether cuts are found: films joined in every order, at several frame rates, with flashes and without. Where one was
//! joined to another there is a cut, and there is no other.

use std::error::Error;
use std::path::{Path, PathBuf};

use gst::prelude::*;
use gstdepthanything::frame::{Frame, FrameFormat, SmallPicture, TensorWriter};
use gstdepthanything::geometry::Size;
use gstdepthanything::model::InputNormalization;
use gstdepthanything::range::{CutDetector, Joint, Tracker};

/// Frame rates that films are brought to.
const RATES: [i32; 6] = [10, 15, 24, 30, 50, 60];
/// Seconds of each film that are joined.
const SECONDS: usize = 2;
/// Places in each film that joined parts are taken from.
const PLACES: usize = 3;
/// What the network would see of a film of 16:9.
const SIZE: Size = Size::new(252, 140);

/// Pictures `[3, height, width]`, normalised.
type Part = Vec<Vec<f32>>;

/// What was found of what there is.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    joins: usize,
    missed: usize,
    /// Frames that were taken for a new scene and are none.
    false_cuts: usize,
    frames: usize,
}

pub(crate) fn run(films: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    if films.len() < 2 {
        return Err("give two films or more, which have no cuts of their own".into());
    }
    println!(
        "| frames a second | flashes | joins | missed | false cuts | of frames |\n|---|---|---|---|---|---|"
    );
    for rate in RATES {
        let parts = films
            .iter()
            .map(|film| parts(film, rate))
            .collect::<Result<Vec<_>, _>>()?;
        for flashes in [false, true] {
            let mut count = Count::default();
            for (a, first) in parts.iter().enumerate() {
                for (b, second) in parts.iter().enumerate().filter(|(b, _)| *b != a) {
                    for (place, (one, other)) in first.iter().zip(second).enumerate() {
                        let missed = count.missed;
                        join([one, other], flashes, &mut count);
                        if count.missed > missed {
                            eprintln!(
                                "missed at {rate}: {} to {}, {place}",
                                films[a].display(),
                                films[b].display()
                            );
                        }
                    }
                }
            }
            println!(
                "| {rate} | {} | {} | {} | {} | {} |",
                if flashes { "yes" } else { "no" },
                count.joins,
                count.missed,
                count.false_cuts,
                count.frames
            );
        }
    }
    Ok(())
}

/// Compares what is found with where the two were joined.
fn join(parts: [&Part; 2], flashes: bool, count: &mut Count) {
    let mut detector = CutDetector::default();
    let mut tracker = Tracker::default();
    let mut scene = None;
    for (part, pictures) in parts.into_iter().enumerate() {
        for (place, picture) in pictures.iter().enumerate() {
            let lit = |gain: f32, light: f32| {
                picture.iter().map(|v| v * gain + light).collect::<Vec<_>>()
            };
            // a photographer's flash, and one that leaves nothing to be seen
            let white = flashes && place == pictures.len() * 2 / 3;
            let flash = match place {
                _ if white => Some(lit(0.0, 2.4)),
                _ if flashes && place == pictures.len() / 3 => Some(lit(0.4, 1.5)),
                _ => None,
            };
            let picture = flash.as_ref().unwrap_or(picture);
            tracker.see(detector.look(&SmallPicture::of(picture, SIZE), Joint::Next));
            // a frame of white may count as a scene, if behind it what was before goes on
            let now = tracker.scene();
            let begins = scene.is_some_and(|before| before != now);
            if !white {
                scene = Some(now);
            }
            count.frames += 1;
            if part == 1 && place == 0 {
                count.joins += 1;
                count.missed += usize::from(!begins);
            } else if begins && !white {
                count.false_cuts += 1;
            }
        }
    }
}

/// Parts of a film.
fn parts(film: &Path, rate: i32) -> Result<Vec<Part>, Box<dyn Error>> {
    let pipeline = gst::parse::launch(&format!(
        "filesrc name=film ! decodebin ! videorate ! video/x-raw,framerate={rate}/1 ! videoconvert ! videoscale \
         ! video/x-raw,format=RGB,width={},height={},pixel-aspect-ratio=1/1 ! appsink name=frames sync=false",
        SIZE.width, SIZE.height
    ))?
    .downcast::<gst::Pipeline>()
    .map_err(|_| "not a pipeline")?;
    let source = pipeline.by_name("film").ok_or("no film")?;
    source.set_property("location", film);
    let sink = pipeline
        .by_name("frames")
        .and_downcast::<gst_app::AppSink>()
        .ok_or("no appsink")?;
    pipeline.set_state(gst::State::Playing)?;
    let mut pictures = Vec::new();
    let mut writer = TensorWriter::new(
        &FrameFormat::rgb(SIZE),
        SIZE,
        InputNormalization::Imagenet.mean_and_deviation().into(),
    )?;
    let wanted = SECONDS * PLACES * rate as usize;
    while pictures.len() < wanted {
        let Ok(sample) = sink.pull_sample() else {
            break;
        };
        let buffer = sample.buffer().ok_or("no buffer")?.map_readable()?;
        let mut tensor = vec![0.0; 3 * SIZE.area()];
        writer.write(
            &Frame::packed(&buffer, 3 * SIZE.width as usize),
            &mut tensor,
        )?;
        pictures.push(tensor);
    }
    pipeline.set_state(gst::State::Null)?;
    let length = pictures.len() / PLACES;
    if length < 8 {
        return Err(format!("{} is too short", film.display()).into());
    }
    Ok(pictures
        .chunks_exact(length)
        .take(PLACES)
        .map(<[_]>::to_vec)
        .collect())
}
