//! Ends a decoder that has stopped and says nothing.

use std::thread;
use std::time::Duration;

use gst::prelude::*;

/// How often is looked, and how often in a row it must have stopped.
const EVERY: Duration = Duration::from_millis(200);
const LOOKS: u32 = 5;

/// Posts an error when `decodebin` reads no more and has given nothing.
///
/// In GStreamer 1.22 it loses an error that a demultiplexer posts while it is being linked (about one in a hundred
/// of files without a head), and the pipeline would wait for ever.
pub(crate) fn watch(decoder: &gst::Element) {
    let decoder = decoder.downgrade();
    let look = move || {
        let mut stopped = 0;
        while let Some(decoder) = decoder.upgrade().filter(|it| it.num_src_pads() == 0) {
            stopped = match decoder.downcast_ref().is_some_and(reads_no_more) {
                true => stopped + 1,
                false => 0,
            };
            if stopped == LOOKS {
                gst::element_error!(
                    decoder,
                    gst::StreamError::Demux,
                    ("no stream is found in it")
                );
                return;
            }
            drop(decoder);
            thread::sleep(EVERY);
        }
    };
    // without it the program works, too
    let _ = thread::Builder::new().name("stalled".into()).spawn(look);
}

/// Whether whatever pulled data has paused itself.
fn reads_no_more(decoder: &gst::Bin) -> bool {
    let mut states = Vec::new();
    for element in decoder.iterate_recurse().into_iter().flatten() {
        states.extend(element.sink_pads().iter().map(|pad| pad.task_state()));
    }
    states.contains(&gst::TaskState::Paused) && !states.contains(&gst::TaskState::Started)
}
