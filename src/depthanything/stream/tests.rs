//! Streams at a network that runs out of memory.

use super::*;
use crate::depthanything::settings::Settings;
use crate::engine::network::{DepthKind, DepthMaps, Description, Images, InputSize, Network};
use gst_video::VideoFormat;

/// Has memory for so many pixels.
struct Small {
    description: Description,
    pixels: usize,
}

impl Network for Small {
    fn description(&self) -> &Description {
        &self.description
    }

    fn run(&mut self, images: Images<'_>, depth: &mut DepthMaps) -> Result<(), Error> {
        if images.size.area() > self.pixels {
            return Err(Error::OutOfMemory {
                size: images.size.to_string(),
                reason: "too large".into(),
            });
        }
        depth.size = images.size;
        depth.batch = 1;
        depth.values = images.values[..images.size.area()].to_vec();
        Ok(())
    }
}

fn stream(pixels: usize) -> Stream {
    gst::init().unwrap();
    let description = Description {
        model: "small".into(),
        kind: DepthKind::Relative,
        patch: 14,
        input_size: InputSize::Any,
        batch: None,
        provider: "CPUExecutionProvider".into(),
        precision: "fp32".into(),
        runtime: String::new(),
        placement: None,
        fused_attentions: 0,
        notes: Vec::new(),
        fallbacks: Vec::new(),
    };
    let network = Shared::alone(Box::new(Small {
        description,
        pixels,
    }));
    Stream::new(network, &Settings::default().load).unwrap()
}

fn infos() -> (VideoInfo, VideoInfo) {
    let info = |format| VideoInfo::builder(format, 64, 48).build().unwrap();
    (info(VideoFormat::Rgb), info(VideoFormat::Gray16Le))
}

fn buffer(info: &VideoInfo) -> gst::Buffer {
    gst::Buffer::from_slice(vec![7u8; info.size()])
}

#[test]
fn a_size_that_does_not_fit_is_not_begun_with() {
    let mut stream = stream(200 * 200);
    let (frame, depth) = infos();
    let live = Settings::default().live;
    let reason = stream.set_format(&frame, &depth, &live, None).unwrap();
    assert_eq!(reason, Some(Reason::Memory));
    let size = stream.network_size().unwrap();
    assert!(
        size.area() <= 200 * 200 && size.area() > 120 * 120,
        "{size}"
    );
}

#[test]
fn a_size_that_stops_fitting_is_left_and_no_frame_is_lost() {
    let mut stream = stream(200 * 200);
    let (frame_info, depth_info) = infos();
    let mut live = Settings::default().live;
    live.resolution = 126;
    let reason = stream.set_format(&frame_info, &depth_info, &live, None);
    assert_eq!(reason.unwrap(), Some(Reason::Start));
    live.resolution = 700;
    let (frame, mut depth) = (buffer(&frame_info), buffer(&depth_info));
    let depth = depth.get_mut().unwrap();
    let report = stream.process(&frame, depth, &live, Moment::default());
    let report = report.unwrap().expect("a depth frame");
    assert!(matches!(report.warning, Some(Error::OutOfMemory { .. })));
    assert_eq!(report.steps[0].1, Reason::Property);
    let (size, reason) = *report.steps.last().unwrap();
    assert_eq!(reason, Reason::Memory);
    assert!(size.area() <= 200 * 200, "{size}");
    assert_eq!(report.meta.network, size);
    // and it stays there, without another word
    let report = stream.process(&frame, depth, &live, Moment::default());
    let report = report.unwrap().expect("a depth frame");
    assert!(report.steps.is_empty() && report.warning.is_none());
    assert_eq!(report.meta.network, size);
}

#[test]
fn where_nothing_fits_the_error_says_so() {
    let mut stream = stream(100);
    let (frame, depth) = infos();
    let live = Settings::default().live;
    let error = stream.set_format(&frame, &depth, &live, None).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
}

#[test]
fn a_hurried_frame_repeats_the_depth_before() {
    let mut stream = stream(usize::MAX);
    let (frame_info, depth_info) = infos();
    let live = Settings::default().live;
    stream
        .set_format(&frame_info, &depth_info, &live, None)
        .unwrap();
    let (frame, mut depth) = (buffer(&frame_info), buffer(&depth_info));
    let depth = depth.get_mut().unwrap();
    let mut repeated = |hurried| {
        let moment = Moment {
            hurried,
            ..Moment::default()
        };
        let report = stream.process(&frame, depth, &live, moment).unwrap();
        report.expect("a depth frame").meta.repeated
    };
    assert!(!repeated(true), "there is none before");
    assert!(repeated(true));
    assert!(!repeated(false));
}
