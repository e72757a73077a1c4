//! `memory-limit`. A process of its own, so that the memory that is measured is that of the network.

mod common;

use common::{Pipeline, height_within};
use gst::prelude::*;

#[test]
fn memory_has_a_limit() {
    let error = height_within(1, "").unwrap_err();
    assert!(
        error.contains("memory-limit") && error.contains("too few"),
        "{error}"
    );
    assert!(
        error.contains("MB at 126×70"),
        "the least that is possible: {error}"
    );
    let little = height_within(160, "").unwrap();
    let more = height_within(320, "").unwrap();
    println!("{little} {more}");
    assert!(little < more && more < 1400, "{little} {more}");
    assert_eq!(height_within(100_000, ""), Ok(1400));
    detail_is_given_up_first();
    let error = height_within(40, "min-resolution=650").unwrap_err();
    assert!(error.contains("min-resolution"), "{error}");
}

/// A limit that lowers the resolution leaves no runs for detail; one that does not has them.
fn detail_is_given_up_first() {
    let heights = |resolution: u32, detail: u32, megabytes: u64| {
        let limit = megabytes * 1_000_000;
        let pipeline = Pipeline::new(&format!(
            "videotestsrc num-buffers=2 ! video/x-raw,width=320,height=180 \
             ! depthanything name=depth resolution={resolution} detail-resolution={detail} num-threads=2 \
             memory-limit={limit} ! fakesink"
        ));
        pipeline.run().expect("some size fits");
        let stats = pipeline
            .element("depth")
            .property::<gst::Structure>("stats");
        ["network-height", "detail-height"].map(|field| stats.get::<u32>(field).unwrap())
    };
    let [lowered, none] = heights(1400, 1800, 320);
    assert!(lowered < 1400 && none == 0, "{lowered} {none}");
    assert_eq!(heights(252, 504, 100_000), [252, 504]);
}
