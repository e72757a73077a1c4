//! Streams at a network that runs out of memory, on machines that do, and at sizes that there are none of.

use super::*;
use crate::depthanything::settings::Settings;
use crate::inference::backend::{DepthMaps, Description, Images, Network};
use crate::inference::planner::MemoryModel;
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
    stream_of(pixels, MemoryModel::new(0, true, None))
}

/// On a machine that has so many bytes left, with Depth Anything V2 Small as far as memory goes.
fn stream_with_left(available: fn() -> Option<u64>) -> Stream {
    let mut stream = stream_of(usize::MAX, MemoryModel::new(99_000_000, false, Some(0)));
    stream.sizes = Sizes::new(stream.network().another(), None, available);
    stream
}

fn stream_of(pixels: usize, memory: MemoryModel) -> Stream {
    gst::init().unwrap();
    let description = Description {
        provider: "CPUExecutionProvider".into(),
        ..Description::of_any_size("small")
    };
    let network = Small {
        description,
        pixels,
    };
    let network = Shared::alone_with(Box::new(network), memory);
    Stream::new(network, &Settings::default().load).unwrap()
}

fn infos() -> (VideoInfo, VideoInfo) {
    gst::init().unwrap();
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
    let negotiated = stream
        .set_format(&frame, &depth, &live, None, true)
        .unwrap();
    assert_eq!(negotiated.reason, Some(Reason::Memory));
    assert!(matches!(
        negotiated.warning,
        Some(Warning::Size(Notice::Memory(_)))
    ));
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
    let negotiated = stream.set_format(&frame_info, &depth_info, &live, None, true);
    assert_eq!(negotiated.unwrap().reason, Some(Reason::Start));
    live.resolution = 700;
    let (frame, mut depth) = (buffer(&frame_info), buffer(&depth_info));
    let depth = depth.get_mut().unwrap();
    let report = stream.process(&frame, depth, &live, Moment::default());
    let report = report.unwrap().expect("a depth frame");
    assert!(matches!(
        report.warning,
        Some(Warning::Size(Notice::Memory(_)))
    ));
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
    let error = stream
        .set_format(&frame, &depth, &live, None, true)
        .unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
}

#[test]
fn a_hurried_frame_repeats_the_depth_before() {
    let mut stream = stream(usize::MAX);
    let (frame_info, depth_info) = infos();
    let live = Settings::default().live;
    stream
        .set_format(&frame_info, &depth_info, &live, None, true)
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

#[test]
fn a_size_that_would_take_the_machine_down_is_not_begun_with() {
    let (frame, depth) = infos();
    let mut live = Settings::default().live;
    live.resolution = 4200;
    let mut stream = stream_with_left(|| Some(300_000_000));
    let negotiated = stream
        .set_format(&frame, &depth, &live, None, true)
        .unwrap();
    assert_eq!(negotiated.reason, Some(Reason::Memory));
    let Some(Warning::Size(Notice::Memory(error))) = negotiated.warning else {
        panic!("{:?}", negotiated.warning)
    };
    let said = error.to_string();
    assert!(
        said.contains("5600×4200") && said.contains("this machine has 3"),
        "{said}"
    );
    let little = stream.network_size().unwrap();
    assert!((200..2000).contains(&little.height), "{little}");

    // the next size up is not begun with either, and nobody is told twice
    let live_before = live;
    live.resolution = 4186;
    let (frame, mut depth) = (buffer(&frame), buffer(&depth));
    let depth = depth.get_mut().unwrap();
    let mut process = |live| {
        let report = stream.process(&frame, depth, live, Moment::default());
        report.unwrap().expect("a depth frame")
    };
    assert!(process(&live_before).warning.is_none());
    let report = process(&live);
    assert!(matches!(
        report.warning,
        Some(Warning::Size(Notice::Memory(_)))
    ));
    assert!(report.meta.network.height < 2000);
    assert!(process(&live).warning.is_none());
}

#[test]
fn without_a_doubt_that_there_is_enough_memory_nothing_is_tried() {
    let (frame, depth) = infos();
    let live = Settings::default().live;
    for available in [
        (|| Some(100_000_000_000)) as fn() -> Option<u64>,
        // a system that does not tell
        || None,
    ] {
        let mut stream = stream_with_left(available);
        let negotiated = stream
            .set_format(&frame, &depth, &live, None, true)
            .unwrap();
        assert_eq!(negotiated.reason, Some(Reason::Start));
        assert!(negotiated.warning.is_none());
        assert_eq!(stream.network_size(), Some(Size::new(686, 518)));
        assert!(!stream.network().is_warm(Size::new(98, 70)));
    }
}

#[test]
fn a_machine_without_memory_for_the_least_says_how_much_it_takes() {
    let (frame, depth) = infos();
    let mut live = Settings::default().live;
    (live.resolution, live.min_resolution) = (4200, 4000);
    let mut stream = stream_with_left(|| Some(1_000_000_000));
    let error = stream
        .set_format(&frame, &depth, &live, None, true)
        .unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("min-resolution")
            && said.contains("this machine has 9")
            && said.contains("×4004"),
        "{said}"
    );
    // it has not been tried
    assert!(!stream.network().is_warm(Size::new(5334, 4004)));
}

#[test]
fn memory_limit_overrules_what_the_machine_has_left() {
    let (frame, depth) = infos();
    let live = Settings::default().live;
    let mut stream = stream_with_left(|| Some(1));
    stream.sizes = Sizes::new(stream.network().another(), Some(100_000_000_000), || {
        Some(1)
    });
    let negotiated = stream
        .set_format(&frame, &depth, &live, None, true)
        .unwrap();
    assert_eq!(negotiated.reason, Some(Reason::Start));
}

#[test]
fn a_resolution_that_the_frames_are_too_long_for_is_refused_and_the_stream_goes_on() {
    let mut stream = stream(usize::MAX);
    let info = |format| VideoInfo::builder(format, 2000, 3).build().unwrap();
    let (frame_info, depth_info) = (info(VideoFormat::Rgb), info(VideoFormat::Gray16Le));
    let mut live = Settings::default().live;
    live.resolution = 14;
    stream
        .set_format(&frame_info, &depth_info, &live, None, true)
        .unwrap();
    let (frame, mut depth) = (buffer(&frame_info), buffer(&depth_info));
    let depth = depth.get_mut().unwrap();
    let mut process = |resolution, min_resolution| {
        (live.resolution, live.min_resolution) = (resolution, min_resolution);
        let report = stream.process(&frame, depth, &live, Moment::default());
        report.unwrap().expect("a depth frame")
    };
    let report = process(518, 0);
    let Some(Warning::Size(Notice::Refused { asked, kept, error })) = report.warning else {
        panic!("{:?}", report.warning)
    };
    assert_eq!((asked.resolution, kept.resolution), (518, 14));
    assert!(error.to_string().contains("to 14 or less"), "{error}");
    assert_eq!(report.meta.network, Size::new(9338, 14));
    assert!(report.steps.is_empty());
    // once, and again when it is asked for again
    assert!(process(518, 0).warning.is_none());
    assert!(process(14, 0).warning.is_none());
    assert!(process(518, 0).warning.is_some());
}

#[test]
fn the_first_frame_is_the_first_run_where_nobody_waits_by_the_clock() {
    let (frame_info, depth_info) = infos();
    let live = Settings::default().live;
    let size = Size::new(686, 518);
    for timed in [false, true] {
        let mut stream = stream(usize::MAX);
        let negotiated = stream.set_format(&frame_info, &depth_info, &live, None, timed);
        assert_eq!(negotiated.unwrap().reason, Some(Reason::Start));
        assert_eq!(stream.network().is_warm(size), timed);
        let (frame, mut depth) = (buffer(&frame_info), buffer(&depth_info));
        let report = stream.process(&frame, depth.get_mut().unwrap(), &live, Moment::default());
        assert_eq!(report.unwrap().expect("a depth frame").meta.network, size);
        assert!(stream.network().is_warm(size));
    }
}

#[test]
fn a_first_frame_that_does_not_fit_is_run_smaller() {
    let mut stream = stream(200 * 200);
    let (frame_info, depth_info) = infos();
    let live = Settings::default().live;
    let negotiated = stream.set_format(&frame_info, &depth_info, &live, None, false);
    assert_eq!(negotiated.unwrap().reason, Some(Reason::Start));
    let (frame, mut depth) = (buffer(&frame_info), buffer(&depth_info));
    let report = stream.process(&frame, depth.get_mut().unwrap(), &live, Moment::default());
    let report = report.unwrap().expect("a depth frame");
    assert!(matches!(
        report.warning,
        Some(Warning::Size(Notice::Memory(_)))
    ));
    assert!(report.meta.network.area() <= 200 * 200);
}

#[test]
fn what_a_size_takes_is_not_measured_again() {
    let (frame, depth) = infos();
    let live = Settings::default().live;
    let size = Size::new(686, 518);
    let tokens = crate::geometry::tokens(size, 14);
    let new = || MemoryModel::new(99_000_000, false, Some(0));
    let limited = |memory| {
        let mut stream = stream_of(usize::MAX, memory);
        let most = Some(1_500_000_000);
        stream.sizes = Sizes::new(stream.network().another(), most, || None);
        let negotiated = stream.set_format(&frame, &depth, &live, None, false);
        assert_eq!(negotiated.unwrap().reason, Some(Reason::Start));
        stream
    };
    let small = Size::new(98, 70);
    assert!(
        limited(new()).network().is_warm(small),
        "it is tried from below"
    );
    let known = [(100, 20_000_000), (tokens, 500_000_000)];
    let stream = limited(new().with_measured(&known));
    assert_eq!(stream.network_size(), Some(size));
    assert!(!stream.network().is_warm(small) && !stream.network().is_warm(size));
}
