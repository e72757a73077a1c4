//! The element as a citizen of a pipeline: caps, states, events, queries, flags.

mod common;

use common::{Pipeline, depth, difference, frame, harness, meta, samples};
use gst::prelude::*;
use gst_check::Harness;
use gstdepthanything::depth_meta::DepthMeta;

/// The element itself; the harness has it in a bin.
fn element(harness: &Harness) -> gst::Element {
    let bin = harness.element().and_downcast::<gst::Bin>().expect("a bin");
    bin.children().first().expect("an element").clone()
}

#[test]
fn timestamps_offsets_and_flags_are_kept() {
    let mut harness = harness("");
    let mut buffer = frame(0, 7);
    {
        let buffer = buffer.get_mut().unwrap();
        buffer.set_dts(gst::ClockTime::from_mseconds(650));
        buffer.set_offset(7);
        buffer.set_offset_end(8);
        buffer.set_flags(gst::BufferFlags::MARKER | gst::BufferFlags::CORRUPTED);
    }
    let depth = harness.push_and_pull(buffer.clone()).unwrap();
    assert_eq!(depth.pts(), buffer.pts());
    assert_eq!(depth.dts(), buffer.dts());
    assert_eq!(depth.duration(), buffer.duration());
    assert_eq!(depth.offset(), 7);
    assert_eq!(depth.offset_end(), 8);
    let kept = gst::BufferFlags::MARKER | gst::BufferFlags::CORRUPTED;
    assert!(depth.flags().contains(kept), "{:?}", depth.flags());
}

#[test]
fn frames_without_timestamps_pass() {
    let mut harness = harness("");
    let mut buffer = frame(0, 0);
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::NONE);
    let depth = harness.push_and_pull(buffer).unwrap();
    assert_eq!(depth.pts(), None);
}

#[test]
fn stats_count() {
    let mut harness = harness("inference-interval=3");
    for index in 0..7 {
        harness.push_and_pull(frame(0, index)).unwrap();
    }
    let stats = element(&harness).property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("frames"), Ok(7));
    assert_eq!(stats.get::<u64>("inferences"), Ok(3));
    assert_eq!(stats.get::<u64>("repeated"), Ok(4));
    assert_eq!(stats.get::<u64>("dropped"), Ok(0));
    assert_eq!(stats.get::<u32>("network-width"), Ok(168));
    assert_eq!(stats.get::<u32>("network-height"), Ok(126));
    assert!(stats.get::<&str>("provider").unwrap().starts_with("CPU"));
    let p50 = stats.get::<u64>("inference-time-p50").unwrap();
    let p99 = stats.get::<u64>("inference-time-p99").unwrap();
    assert!(p50 > 0 && p50 <= p99, "{p50} {p99}");
}

#[test]
fn every_nth_frame_is_inferred_and_the_others_repeat_it() {
    let mut harness = harness("inference-interval=2 range=frame");
    let depths: Vec<_> = (0..4)
        .map(|index| {
            harness
                .push_and_pull(frame(40 * index as u8, index))
                .unwrap()
        })
        .collect();
    let repeated: Vec<_> = depths
        .iter()
        .map(|depth| DepthMeta::read(depth).unwrap().repeated)
        .collect();
    assert_eq!(repeated, [false, true, false, true]);
    let bytes = |index: usize| depths[index].map_readable().unwrap().to_vec();
    assert_eq!(bytes(0), bytes(1));
    assert_eq!(bytes(2), bytes(3));
    assert_ne!(bytes(0), bytes(2));
}

#[test]
fn a_flush_and_a_discontinuity_with_another_picture_end_a_repetition() {
    let mut harness = harness("inference-interval=100");
    let repeated = |harness: &mut Harness, buffer| {
        DepthMeta::read(&harness.push_and_pull(buffer).unwrap())
            .unwrap()
            .repeated
    };
    assert!(!repeated(&mut harness, frame(0, 0)));
    assert!(repeated(&mut harness, frame(0, 1)));
    let discont = |mut frame: gst::Buffer| {
        let fresh = frame.get_mut().unwrap();
        fresh.set_flags(gst::BufferFlags::DISCONT);
        frame
    };
    assert!(repeated(&mut harness, discont(frame(0, 2))));
    // half black, half white
    let mut other = frame(0, 3);
    {
        let mut pixels = other.get_mut().unwrap().map_writable().unwrap();
        let middle = pixels.len() / 2;
        pixels[..middle].fill(0);
        pixels[middle..].fill(255);
    }
    assert!(!repeated(&mut harness, discont(other)));
    assert!(!repeated(&mut harness, discont(frame(0, 3))));
    assert!(repeated(&mut harness, frame(0, 3)));
    harness.push_event(gst::event::FlushStart::new());
    harness.push_event(gst::event::FlushStop::new(true));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    harness.push_event(gst::event::Segment::new(&segment));
    assert!(!repeated(&mut harness, frame(0, 4)));
}

#[test]
fn a_repeated_depth_is_of_the_network_size_it_tells() {
    let mut harness = harness("inference-interval=100");
    let height = |harness: &mut Harness, index| {
        let depth = harness.push_and_pull(frame(0, index)).unwrap();
        let meta = DepthMeta::read(&depth).unwrap();
        (meta.repeated, meta.network.height)
    };
    assert_eq!(height(&mut harness, 0), (false, 126));
    assert_eq!(height(&mut harness, 1), (true, 126));
    // the resolution changes and, before the next frame, so do the depth's caps
    element(&harness).set_property("resolution", 140u32);
    harness.set_sink_caps_str("video/x-raw,format=GRAY16_BE,width=64,height=48,framerate=10/1");
    harness.push_upstream_event(gst::event::Reconfigure::new());
    assert_eq!(height(&mut harness, 2), (false, 140));
    assert_eq!(height(&mut harness, 3), (true, 140));
    // depth of another size can be that of the frame before
    harness.set_sink_caps_str("video/x-raw,format=GRAY16_LE,width=32,height=24,framerate=10/1");
    harness.push_upstream_event(gst::event::Reconfigure::new());
    assert_eq!(height(&mut harness, 4), (true, 140));
}

#[test]
fn gap_and_eos_events_go_through() {
    let mut harness = harness("");
    harness.push_and_pull(frame(0, 0)).unwrap();
    let gap = gst::event::Gap::builder(gst::ClockTime::from_mseconds(100))
        .duration(gst::ClockTime::from_mseconds(100))
        .build();
    assert!(harness.push_event(gap));
    assert!(harness.push_event(gst::event::Eos::new()));
    let mut types = Vec::new();
    while let Some(event) = harness.try_pull_event() {
        types.push(event.type_());
    }
    assert!(types.contains(&gst::EventType::Gap), "{types:?}");
    assert_eq!(types.last(), Some(&gst::EventType::Eos));
}

#[test]
fn late_frames_are_dropped_before_inference_and_counted() {
    let mut harness = harness("");
    harness.push_and_pull(frame(0, 0)).unwrap();
    // frames up to 450 ms are too late
    harness.push_upstream_event(gst::event::Qos::new(
        gst::QOSType::Underflow,
        2.0,
        gst::ClockTimeDiff::from(200_000_000i64),
        gst::ClockTime::from_mseconds(250),
    ));
    for index in 1..8 {
        harness.push(frame(0, index)).unwrap();
    }
    assert!(harness.push_event(gst::event::Eos::new()));
    let mut arrived = Vec::new();
    while let Some(depth) = harness.try_pull() {
        arrived.push(depth.pts().unwrap().mseconds());
    }
    let stats = element(&harness).property::<gst::Structure>("stats");
    let dropped = stats.get::<u64>("dropped").unwrap();
    assert!(dropped >= 2, "{arrived:?}");
    assert_eq!(arrived.len() as u64 + dropped, 7);
    assert_eq!(
        stats.get::<u64>("inferences").unwrap(),
        1 + arrived.len() as u64
    );
    assert_eq!(
        *arrived.last().unwrap(),
        700,
        "the stream goes on once it has caught up"
    );
}

#[test]
fn latency_is_that_of_upstream_and_our_own() {
    let mut harness = harness("");
    harness.set_live(true);
    harness.set_upstream_latency(gst::ClockTime::from_mseconds(40));
    harness.push_and_pull(frame(0, 0)).unwrap();
    let latency = harness.query_latency().unwrap();
    assert!(latency > gst::ClockTime::from_mseconds(40), "{latency}");
    assert!(latency < gst::ClockTime::from_seconds(30), "{latency}");
}

#[test]
fn a_seek_goes_where_it_should() {
    let pipeline = Pipeline::new(
        "videotestsrc num-buffers=200 ! video/x-raw,width=64,height=48,framerate=10/1 \
         ! depthanything resolution=126 ! appsink name=out sync=false max-buffers=1",
    );
    let sink = pipeline.appsink("out");
    pipeline.play();
    let pull = || {
        let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(60));
        sample.expect("a frame")
    };
    pull();
    pull();
    let target = gst::ClockTime::from_seconds(7);
    pipeline
        .0
        .seek_simple(gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE, target)
        .unwrap();
    let sample = pull();
    assert_eq!(sample.buffer().unwrap().pts(), Some(target));
    assert_eq!(meta(&sample).scene, 1, "the range starts afresh");
}

#[test]
fn a_pool_and_video_meta_are_proposed() {
    let harness = harness("");
    let caps = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, 64, 48)
        .fps(gst::Fraction::new(10, 1))
        .build()
        .unwrap()
        .to_caps()
        .unwrap();
    let mut query = gst::query::Allocation::new(Some(&caps), true);
    let pad = element(&harness).static_pad("sink").unwrap();
    assert!(pad.query(&mut query));
    assert!(
        query
            .find_allocation_meta::<gst_video::VideoMeta>()
            .is_some()
    );
    assert!(
        query
            .allocation_pools()
            .any(|(pool, size, ..)| pool.is_some() && size > 0)
    );
}

#[test]
fn padded_strides_make_no_difference() {
    let (width, height, stride, offset) = (64usize, 48usize, 256usize, 128usize);
    let tight = frame(3, 0);
    let pixels = tight.map_readable().unwrap().to_vec();
    let mut padded = vec![0xEEu8; offset + stride * height];
    for row in 0..height {
        padded[offset + row * stride..][..3 * width]
            .copy_from_slice(&pixels[row * 3 * width..][..3 * width]);
    }
    let mut padded = gst::Buffer::from_slice(padded);
    {
        let buffer = padded.get_mut().unwrap();
        buffer.set_pts(gst::ClockTime::ZERO);
        gst_video::VideoMeta::add_full(
            buffer,
            gst_video::VideoFrameFlags::empty(),
            gst_video::VideoFormat::Rgb,
            width as u32,
            height as u32,
            &[offset],
            &[stride as i32],
        )
        .unwrap();
    }
    let depth = |buffer| {
        let buffer = harness("").push_and_pull(buffer).unwrap();
        buffer.map_readable().unwrap().to_vec()
    };
    assert_eq!(depth(tight), depth(padded));
}

#[test]
fn caps_change_in_mid_stream() {
    let mut harness = harness("");
    let depth = harness.push_and_pull(frame(0, 0)).unwrap();
    assert_eq!(depth.size(), 64 * 48 * 2);
    harness.set_src_caps_str("video/x-raw,format=GRAY8,width=30,height=50,framerate=10/1");
    let mut buffer = gst::Buffer::from_slice(vec![100u8; 32 * 50]);
    buffer
        .get_mut()
        .unwrap()
        .set_pts(gst::ClockTime::from_mseconds(100));
    let depth = harness.push_and_pull(buffer).unwrap();
    let info = gst_video::VideoInfo::from_caps(&harness.sinkpad().unwrap().current_caps().unwrap())
        .unwrap();
    assert_eq!((info.width(), info.height()), (30, 50));
    let meta = DepthMeta::read(&depth).unwrap();
    assert_eq!((meta.network.width, meta.network.height), (126, 210));
    assert_eq!(meta.scene, 1, "another picture is another scene");
}

#[test]
fn caps_that_change_with_every_frame() {
    let mut harness = harness("");
    for index in 0..24u64 {
        let (width, height) = (16 + 4 * (index as usize % 6), 16 + index as usize % 5);
        harness.set_src_caps_str(&format!(
            "video/x-raw,format=RGB,width={width},height={height},framerate=10/1"
        ));
        let stride = (3 * width).next_multiple_of(4);
        let mut buffer = gst::Buffer::from_slice(vec![index as u8; stride * height]);
        buffer
            .get_mut()
            .unwrap()
            .set_pts(gst::ClockTime::from_mseconds(100) * index);
        let depth = harness.push_and_pull(buffer).unwrap();
        assert!(depth.size() >= width * height * 2);
    }
}

#[test]
fn resolution_changes_while_playing_without_losing_a_frame() {
    let pipeline = Pipeline::new(
        "videotestsrc is-live=true num-buffers=40 pattern=ball \
         ! video/x-raw,width=160,height=90,framerate=10/1 \
         ! depthanything name=depth resolution=126 qos=false ! appsink name=out sync=true qos=false",
    );
    let sink = pipeline.appsink("out");
    let element = pipeline.element("depth");
    pipeline.play();
    let mut frames = Vec::new();
    while frames.len() < 40 {
        let sample = sink
            .try_pull_sample(gst::ClockTime::from_seconds(60))
            .expect("no frame is lost");
        let pts = sample.buffer().unwrap().pts().unwrap();
        frames.push((pts, meta(&sample).network.height));
        match frames.len() {
            10 => element.set_property("resolution", 182u32),
            25 => element.set_property("resolution", 140u32),
            _ => {}
        }
    }
    let heights: Vec<u32> = frames.iter().map(|frame| frame.1).collect();
    assert_eq!(heights[..9], [126; 9]);
    assert!(
        heights[14..24].iter().all(|height| *height == 182),
        "{heights:?}"
    );
    assert!(
        heights[29..].iter().all(|height| *height == 140),
        "{heights:?}"
    );
    let step = gst::ClockTime::from_mseconds(100);
    assert!(
        frames.windows(2).all(|pair| pair[1].0 - pair[0].0 == step),
        "{frames:?}"
    );

    let bus = pipeline.0.bus().unwrap();
    let mut told = Vec::new();
    while let Some(message) = bus.pop_filtered(&[gst::MessageType::Element]) {
        let structure = message.structure().unwrap();
        if structure.name() == "depthanything-resolution" {
            told.push((
                structure.get::<u32>("height").unwrap(),
                structure.get::<String>("reason").unwrap(),
            ));
        }
    }
    let expected = [(126, "start"), (182, "property"), (140, "property")];
    assert_eq!(
        told,
        expected.map(|(height, reason)| (height, reason.to_string()))
    );
}

#[test]
fn what_is_fixed_at_start_warns_and_stays() {
    let pipeline = Pipeline::new(
        "videotestsrc num-buffers=100000 ! video/x-raw,width=32,height=32 \
         ! depthanything name=depth resolution=126 num-threads=1 ! fakesink",
    );
    pipeline.play();
    pipeline.messages_until(|message| matches!(message.view(), gst::MessageView::AsyncDone(_)));
    let element = pipeline.element("depth");
    element.set_property("num-threads", 2u32);
    element.set_property("model-file", "/nowhere.onnx");
    assert_eq!(element.property::<u32>("num-threads"), 1);
    assert_eq!(element.property::<Option<String>>("model-file"), None);
    let messages =
        pipeline.messages_until(|message| matches!(message.view(), gst::MessageView::Warning(_)));
    let gst::MessageView::Warning(warning) = messages.last().unwrap().view() else {
        unreachable!()
    };
    assert!(
        warning.error().to_string().contains("num-threads"),
        "{warning:?}"
    );
    pipeline.0.set_state(gst::State::Ready).unwrap();
    element.set_property("num-threads", 2u32);
    assert_eq!(element.property::<u32>("num-threads"), 2);
}

#[test]
fn depth_beside_the_colour_picture_has_the_same_frames() {
    let pipeline = Pipeline::new(
        "videotestsrc num-buffers=30 ! video/x-raw,width=96,height=64 ! tee name=t \
         t. ! queue ! appsink name=colour sync=false \
         t. ! queue ! depthanything resolution=126 ! appsink name=out sync=false",
    );
    pipeline.play();
    let collect = |name: &str| {
        let sink = pipeline.appsink(name);
        let mut stamps = Vec::new();
        while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(60)) {
            let buffer = sample.buffer().unwrap();
            stamps.push((buffer.pts(), buffer.duration()));
        }
        stamps
    };
    let depth = collect("out");
    assert_eq!(depth.len(), 30);
    assert_eq!(depth, collect("colour"));
}

#[test]
fn every_raw_format_gives_the_depth_of_the_same_picture() {
    common::init();
    let depth_of = |conversion: &str| {
        let frames = samples(&format!(
            "videotestsrc num-buffers=1 pattern=smpte75 \
             ! video/x-raw,format=RGB,width=96,height=64 {conversion} \
             ! depthanything resolution=56 range=fixed range-max=8 model-file={} ! appsink name=out",
            common::model("image-depth.onnx")
        ));
        depth(&frames[0])
    };
    let reference = depth_of("");
    let template = gst::ElementFactory::find("depthanything")
        .unwrap()
        .static_pad_templates()
        .iter()
        .find(|template| template.direction() == gst::PadDirection::Sink)
        .unwrap()
        .caps();
    let formats = template
        .structure(0)
        .unwrap()
        .get::<gst::List>("format")
        .unwrap();
    assert!(formats.len() > 90);
    for format in formats.iter().map(|format| format.get::<String>().unwrap()) {
        let depth = depth_of(&format!(
            "! videoconvert dither=none ! video/x-raw,format={format}"
        ));
        // grey has lost its colours, a palette most of them, and some have one chroma sample in 8 or 16
        let bound = match &*format {
            grey if grey.starts_with("GRAY") => 0.06,
            "RGB8P" => 0.06,
            "Y41B" | "IYU1" | "YUV9" | "YVU9" => 0.02,
            _ => 0.01,
        };
        let difference = difference(&depth, &reference);
        assert!(difference < bound, "{format}: {difference}");
    }
}

#[test]
fn interlaced_frames_are_taken_and_single_fields_refused() {
    let frames = samples(
        "videotestsrc num-buffers=1 ! video/x-raw,format=I420,width=64,height=48 \
         ! capssetter caps=video/x-raw,interlace-mode=interleaved,field-order=top-field-first \
         ! depthanything resolution=126 ! appsink name=out",
    );
    let caps = frames[0].caps().unwrap().structure(0).unwrap();
    assert_eq!(caps.get::<&str>("interlace-mode"), Ok("progressive"));

    let pipeline = Pipeline::new(
        "videotestsrc num-buffers=1 ! video/x-raw,format=I420,width=64,height=48 \
         ! capssetter caps=video/x-raw,interlace-mode=fields \
         ! depthanything resolution=126 ! fakesink",
    );
    let error = pipeline.run().unwrap_err();
    assert!(error.contains("deinterlace"), "{error}");
}

#[test]
fn the_smallest_and_the_flattest_frames() {
    for (width, height) in [(1, 1), (2000, 3), (3, 700), (2, 1)] {
        let frames = samples(&format!(
            "videotestsrc num-buffers=2 ! video/x-raw,format=I420,width={width},height={height} \
             ! depthanything resolution=14 ! appsink name=out"
        ));
        assert_eq!(frames.len(), 2, "{width}×{height}");
        assert_eq!(depth(&frames[1]).len(), width * height);
    }
}

#[test]
fn depth_of_any_size_comes_straight_from_the_map() {
    let frames = samples(
        "videotestsrc num-buffers=1 ! video/x-raw,width=160,height=90 ! depthanything resolution=126 \
         ! video/x-raw,format=GRAY16_BE,width=333,height=77 ! appsink name=out",
    );
    assert_eq!(depth(&frames[0]).len(), 333 * 77);
    assert_eq!(meta(&frames[0]).network.width, 224);
}
