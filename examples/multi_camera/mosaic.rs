//! One picture of all cameras. It goes on whatever they do: each has a place of its own, which it fills when it can.

use std::error::Error;

use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};

use crate::camera::Tile;

/// The elements that it takes, with the Debian packages that hold them.
pub(crate) const NEEDS: [(&str, &str); 3] = [
    ("compositor", "gstreamer1.0-plugins-base"),
    ("videoconvert", "gstreamer1.0-plugins-base"),
    ("autovideosink", "gstreamer1.0-plugins-good"),
];

/// The element that writes figures on the picture, and the package that holds it.
pub(crate) const TEXT: (&str, &str) = ("textoverlay", "gstreamer1.0-x");

/// Frames a second of the picture.
const RATE: u32 = 10;

pub(crate) struct Mosaic {
    pipeline: gst::Pipeline,
    places: Vec<Place>,
    size: (u32, u32),
}

struct Place {
    source: gst_app::AppSrc,
    text: Option<gst::Element>,
}

impl Mosaic {
    /// Places for `count` cameras of `size` pixels each, to be shown by `sink`, a piece of pipeline. With `texts`, figures
    /// can be written on them.
    ///
    /// # Errors
    /// When `sink` is none.
    pub(crate) fn new(
        count: usize,
        size: (u32, u32),
        sink: &str,
        texts: bool,
    ) -> Result<Self, Box<dyn Error>> {
        let (width, height) = size;
        let columns = (1..=count).find(|columns| columns * columns >= count);
        let columns = u32::try_from(columns.unwrap_or(1))?;
        let mut compositor =
            String::from("compositor name=mosaic background=black latency=100000000");
        let mut branches = String::new();
        for index in 0..u32::try_from(count)? {
            let (x, y) = (index % columns * width, index / columns * height);
            compositor += &format!(
                " sink_{index}::xpos={x} sink_{index}::ypos={y} sink_{index}::width={width} \
                 sink_{index}::height={height} sink_{index}::sizing-policy=keep-aspect-ratio"
            );
            let text = match texts {
                true => format!(
                    "! textoverlay name=text{index} valignment=top halignment=left font-desc=\"Sans 10\""
                ),
                false => String::new(),
            };
            branches += &format!(
                " appsrc name=place{index} is-live=true do-timestamp=true format=time leaky-type=downstream \
                 max-buffers=2 max-bytes=0 max-time=0 {text} ! mosaic.sink_{index}"
            );
        }
        let pipeline = gst::parse::launch(&format!(
            "{compositor} ! video/x-raw,framerate={RATE}/1 ! videoconvert ! {sink} {branches}"
        ))
        .map_err(|error| format!("--sink {sink}: {error}"))?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "not a pipeline")?;
        let places = (0..count)
            .map(|index| {
                let source = pipeline
                    .by_name(&format!("place{index}"))
                    .and_downcast::<gst_app::AppSrc>()
                    .ok_or("no appsrc")?;
                let text = pipeline.by_name(&format!("text{index}"));
                Ok(Place { source, text })
            })
            .collect::<Result<_, &str>>()?;
        let mosaic = Self {
            pipeline,
            places,
            size,
        };
        for index in 0..count {
            mosaic.clear(index);
        }
        Ok(mosaic)
    }

    /// What shows a camera's depth at its place.
    pub(crate) fn tile(&self, index: usize) -> Tile {
        let source = self.places[index].source.clone();
        Box::new(move |sample| {
            let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps()) else {
                return;
            };
            let mut buffer = buffer.copy();
            if let Some(buffer) = buffer.get_mut() {
                // the camera's clock ends with its pipeline: it is shown when it comes
                buffer.set_pts(gst::ClockTime::NONE);
                buffer.set_dts(gst::ClockTime::NONE);
                buffer.set_duration(gst::ClockTime::NONE);
            }
            let sample = gst::Sample::builder()
                .buffer(&buffer)
                .caps(&caps.to_owned())
                .build();
            // fails only once the mosaic is at its end
            let _ = source.push_sample(&sample);
        })
    }

    pub(crate) fn play(&self) {
        // a failure to start comes as a message too, and that says why
        let _ = self.pipeline.set_state(gst::State::Playing);
    }

    /// Empties a place.
    pub(crate) fn clear(&self, index: usize) {
        let (width, height) = self.size;
        let Ok(info) = VideoInfo::builder(VideoFormat::Rgbx, width, height)
            .fps((0, 1))
            .build()
        else {
            return;
        };
        let (Ok(caps), Ok(mut buffer)) = (info.to_caps(), gst::Buffer::with_size(info.size()))
        else {
            return;
        };
        if let Some(buffer) = buffer.get_mut() {
            let _ = buffer.memset(.., 0x20);
        }
        let sample = gst::Sample::builder().buffer(&buffer).caps(&caps).build();
        let _ = self.places[index].source.push_sample(&sample);
    }

    /// Writes on a place.
    pub(crate) fn write(&self, index: usize, text: &str) {
        if let Some(overlay) = &self.places[index].text {
            overlay.set_property("text", text);
        }
    }

    /// Why it is at its end, if it is.
    pub(crate) fn trouble(&self) -> Option<String> {
        let bus = self.pipeline.bus()?;
        loop {
            let message = bus.pop()?;
            match message.view() {
                gst::MessageView::Error(error) => {
                    return Some(error.error().message().to_owned());
                }
                gst::MessageView::Eos(_) => return Some("its sink is at its end".into()),
                gst::MessageView::Latency(_) => {
                    let _ = self.pipeline.recalculate_latency();
                }
                _ => {}
            }
        }
    }
}

impl Drop for Mosaic {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
