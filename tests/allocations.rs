//! What a frame allocates: nothing while it is converted on one core, little to wake others, and nothing large on its
//! way through the element.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use gstdepthanything::frame::{
    ByteOrder, ChromaSite, Colorimetry, Frame, FrameFormat, Gray16Writer, Mapping, PixelFormat,
    Plane, TensorWriter,
};
use gstdepthanything::geometry::{Size, network_size};
use gstdepthanything::model::InputNormalization;

/// Counts what is asked for, by any thread.
struct Counter;

static BYTES: AtomicUsize = AtomicUsize::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);

fn count(bytes: usize) {
    BYTES.fetch_add(bytes, Ordering::Relaxed);
    LARGEST.fetch_max(bytes, Ordering::Relaxed);
}

// SAFETY: hands everything to the system's allocator
unsafe impl GlobalAlloc for Counter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller promises
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as the caller promises
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTER: Counter = Counter;

/// The tests of this file, one at a time.
static TURN: Mutex<()> = Mutex::new(());

/// Bytes that a frame there and back allocates, once a few have gone before.
fn bytes_of_a_frame(size: Size, pixels: PixelFormat, threads: usize) -> usize {
    let network = network_size(size, (1, 1), 252, 14).expect("an ordinary size");
    let format = FrameFormat {
        size,
        pixels,
        colorimetry: Colorimetry::bt709(false),
        chroma_site: ChromaSite::LEFT,
    };
    let planes: Vec<(Vec<u8>, usize)> = (0..pixels.planes())
        .filter_map(|plane| pixels.plane_layout(plane, size))
        .map(|(bytes, rows)| (vec![100; bytes * rows], bytes))
        .collect();
    let mut frame = Frame::default();
    for (plane, (data, stride)) in frame.planes.iter_mut().zip(&planes) {
        *plane = Plane::new(data, *stride);
    }
    let mut tensor_writer = TensorWriter::new(
        &format,
        network,
        InputNormalization::Imagenet.mean_and_deviation().into(),
    )
    .expect("a size")
    .with_threads(threads);
    let mut depth_writer = Gray16Writer::new(network, size).with_threads(threads);
    let mut tensor = vec![0.0; tensor_writer.tensor_len()];
    let depth = vec![0.5; network.area()];
    let stride = 2 * size.width as usize;
    let mut samples = vec![0; stride * size.height as usize];
    let mut convert = || {
        tensor_writer.write(&frame, &mut tensor).expect("a frame");
        let mapping = Mapping::inverse(0.0, 1.0, false);
        depth_writer
            .write(&depth, mapping, ByteOrder::NATIVE, &mut samples, stride)
            .expect("a depth map");
    };
    for _ in 0..3 {
        convert();
    }
    let before = BYTES.load(Ordering::Relaxed);
    for _ in 0..4 {
        convert();
    }
    (BYTES.load(Ordering::Relaxed) - before) / 4
}

/// What GStreamer, in C, and ONNX Runtime, in C++, allocate is not counted: they have pools and arenas.
#[test]
fn a_frame_through_the_element_allocates_nothing_large() {
    let _turn = TURN.lock().expect("the other test passed");
    let model = common::model("image-depth.onnx");
    let pipeline = common::Pipeline::new(&format!(
        "videotestsrc num-buffers=9 ! video/x-raw,format=NV12,width=1920,height=1080 \
         ! depthanything model-file={model} resolution=518 ! appsink name=sink sync=false max-buffers=1"
    ));
    let sink = pipeline.appsink("sink");
    pipeline.play();
    let mut frames = 0;
    while let Ok(sample) = sink.pull_sample() {
        drop(sample);
        frames += 1;
        if frames == 4 {
            // what came before is used again
            LARGEST.store(0, Ordering::Relaxed);
        }
    }
    assert_eq!(frames, 9);
    let largest = LARGEST.load(Ordering::Relaxed);
    // far below the depth map of 1.9 MB and the tensor of 5.7 MB
    assert!(largest < 100_000, "{largest} bytes at once");
}

#[test]
fn a_frame_on_one_core_allocates_nothing() {
    let _turn = TURN.lock().expect("the other test passed");
    for pixels in PixelFormat::ALL {
        let bytes = bytes_of_a_frame(Size::new(1920, 1080), pixels, 0);
        assert_eq!(bytes, 0, "{pixels:?}");
    }
}

#[test]
fn a_frame_on_many_cores_allocates_little() {
    let _turn = TURN.lock().expect("the other test passed");
    let bytes = bytes_of_a_frame(Size::new(3840, 2160), PixelFormat::Nv12, 0);
    assert!(bytes < 8192, "{bytes} bytes");
    let one = bytes_of_a_frame(Size::new(3840, 2160), PixelFormat::Nv12, 1);
    assert_eq!(one, 0);
}
