//! A picture of frames beside their coloured depth.

use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex};

use gst::prelude::*;
use gst_video::VideoFrameExt;
use image::RgbImage;
use image::imageops::{self, FilterType};

/// Frames are fitted into a square of this side.
const SIDE: u32 = 480;
/// Space between pictures.
const GAP: u32 = 6;
/// Pairs in a row where there are more than [`SINGLE`].
const COLUMNS: u32 = 2;
const SINGLE: usize = 2;

/// Frames and their depth, in the order of the video.
#[derive(Default)]
pub(crate) struct ContactSheet {
    frames: Vec<RgbImage>,
    depths: Vec<RgbImage>,
}

/// [`ContactSheet::add_frame`] or [`ContactSheet::add_depth`].
pub(crate) type Add = fn(&mut ContactSheet, RgbImage);

/// Adds every sample that reaches `sink` to the sheet.
pub(crate) fn collect(
    sink: &gst::Element,
    sheet: Arc<Mutex<ContactSheet>>,
    add: Add,
) -> Result<(), Box<dyn Error>> {
    let sink = sink
        .downcast_ref::<gst_app::AppSink>()
        .ok_or("not an appsink")?;
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                let picture = picture(&sample).ok_or(gst::FlowError::Error)?;
                let mut sheet = sheet.lock().map_err(|_| gst::FlowError::Error)?;
                add(&mut sheet, picture);
                Ok(gst::FlowSuccess::Ok)
            })
            .build(),
    );
    Ok(())
}

impl ContactSheet {
    pub(crate) fn add_frame(&mut self, picture: RgbImage) {
        self.frames.push(picture);
    }

    pub(crate) fn add_depth(&mut self, picture: RgbImage) {
        self.depths.push(picture);
    }

    /// Draws what there is: each frame at the left of its depth.
    pub(crate) fn save(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let pairs: Vec<_> = self.frames.iter().zip(&self.depths).collect();
        let width = pairs.iter().map(|(frame, _)| frame.width()).max();
        let height = pairs.iter().map(|(frame, _)| frame.height()).max();
        let (Some(width), Some(height)) = (width, height) else {
            return Err("not a single frame came through".into());
        };
        let columns = if pairs.len() > SINGLE { COLUMNS } else { 1 };
        let rows = (pairs.len() as u32).div_ceil(columns);
        let mut sheet = RgbImage::from_pixel(
            columns * 2 * (width + GAP) + GAP,
            rows * (height + GAP) + GAP,
            image::Rgb([24; 3]),
        );
        for (number, (frame, depth)) in (0..).zip(&pairs) {
            let left = GAP + number % columns * 2 * (width + GAP);
            let top = GAP + number / columns * (height + GAP);
            imageops::replace(&mut sheet, *frame, left.into(), top.into());
            imageops::replace(&mut sheet, *depth, (left + width + GAP).into(), top.into());
        }
        sheet
            .save(path)
            .map_err(|error| format!("can't write {}: {error}", path.display()).into())
    }
}

/// The RGB frame of a sample, square pixels, fitted into [`SIDE`].
fn picture(sample: &gst::Sample) -> Option<RgbImage> {
    let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer()?, &info).ok()?;
    let (width, height) = (info.width(), info.height());
    let row = width as usize * 3;
    let stride = usize::try_from(frame.plane_stride()[0]).ok()?;
    let pixels: Vec<u8> = frame
        .plane_data(0)
        .ok()?
        .chunks(stride)
        .take(height as usize)
        .filter_map(|padded| padded.get(..row))
        .flatten()
        .copied()
        .collect();
    let image = RgbImage::from_raw(width, height, pixels)?;

    let par = info.par();
    let shown = f64::from(width) * f64::from(par.numer()) / f64::from(par.denom().max(1));
    let scale = f64::from(SIDE) / shown.max(f64::from(height));
    let side = |length: f64| ((length * scale).round() as u32).clamp(1, SIDE);
    Some(imageops::resize(
        &image,
        side(shown),
        side(height.into()),
        FilterType::Triangle,
    ))
}
