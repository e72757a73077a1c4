//! `memory-limit`. A process of its own, so that the memory that is measured is that of the network.

mod common;

use common::Pipeline;
use gst::prelude::*;

/// The height of what the network sees, or the error.
fn height_within(megabytes: u64, more: &str) -> Result<u32, String> {
    let limit = megabytes * 1_000_000;
    let pipeline = Pipeline::new(&format!(
        "videotestsrc num-buffers=2 ! video/x-raw,width=320,height=180 \
         ! depthanything name=depth resolution=1400 num-threads=2 memory-limit={limit} {more} ! fakesink"
    ));
    pipeline.run()?;
    let stats = pipeline
        .element("depth")
        .property::<gst::Structure>("stats");
    Ok(stats.get("network-height").unwrap())
}

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
    what_a_size_takes_is_known_at_the_next_start();
    let error = height_within(40, "min-resolution=650").unwrap_err();
    assert!(error.contains("min-resolution"), "{error}");
}

/// It is kept beside compiled engines, and the next start comes to the same.
fn what_a_size_takes_is_known_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let cache = format!("engine-cache={}", folder.path().display());
    let kept = || {
        let own = std::fs::read_dir(folder.path()).unwrap().next().unwrap();
        let files = std::fs::read_dir(own.unwrap().path()).unwrap();
        let mut files = files.map(|file| file.unwrap().path());
        let file = files.find(|file| file.to_string_lossy().contains("memory-"));
        std::fs::read_to_string(file.expect("what runs take")).unwrap()
    };
    let first = height_within(320, &cache).unwrap();
    let sizes = |text: &str| text.matches("],[").count() + 1;
    assert!(sizes(&kept()) > 1, "{}", kept());
    let again = height_within(320, &cache).unwrap();
    // a process that has run it before holds less afterwards, so that a size more may fit
    assert!(again >= first && again < 1400, "{first} {again}");
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
