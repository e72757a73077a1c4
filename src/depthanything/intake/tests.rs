//! Threads of the conversion.

use super::*;

#[test]
fn conversion_takes_no_more_threads_than_it_may() {
    gst::init().unwrap();
    let info = |format| VideoInfo::builder(format, 64, 48).build().unwrap();
    for threads in [0, 1, 3] {
        let reader = Reader::new(&info(VideoFormat::Y41b), threads).unwrap();
        let converter = reader.conversion.expect("a conversion").converter;
        let wanted = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        assert_eq!(converter.config().threads() as usize, wanted);
    }
    let reader = Reader::new(&info(VideoFormat::Nv12), 1).unwrap();
    assert!(reader.conversion.is_none());
}
