//! What a frame allocates while it is converted: nothing on one core, and little that wakes the others.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use gstdepthanything::frame::{
    ByteOrder, ChromaSite, Colorimetry, Frame, FrameFormat, Gray16Writer, Mapping, Normalization,
    PixelFormat, Plane, TensorWriter,
};
use gstdepthanything::geometry::{Size, network_size};

/// Counts what is asked for, by any thread.
struct Counter;

static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything to the system's allocator
unsafe impl GlobalAlloc for Counter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        BYTES.fetch_add(size, Ordering::Relaxed);
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
    let mut tensor_writer = TensorWriter::new(&format, network, Normalization::IMAGENET)
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
