//! The property `engine-cache`.

mod common;

use gst::prelude::*;

#[test]
fn it_is_a_folder_that_may_change_up_to_ready() {
    common::init();
    let element = gst::ElementFactory::make("depthanything")
        .build()
        .expect("the element");
    assert_eq!(element.property::<Option<String>>("engine-cache"), None);
    element.set_property("engine-cache", "/tmp/engines");
    let folder = element.property::<Option<String>>("engine-cache");
    assert_eq!(folder.as_deref(), Some("/tmp/engines"));
    // nothing is the user's cache folder
    element.set_property("engine-cache", "");
    assert_eq!(element.property::<Option<String>>("engine-cache"), None);
    let spec = element.find_property("engine-cache").expect("a property");
    assert!(spec.flags().contains(gst::PARAM_FLAG_MUTABLE_READY));
}

#[test]
fn one_that_can_not_be_written_stops_no_stream() {
    let frames = common::samples(
        "videotestsrc num-buffers=1 ! video/x-raw,width=56,height=56 \
         ! depthanything resolution=56 engine-cache=/dev/null/engines ! appsink name=out",
    );
    assert_eq!(frames.len(), 1);
}
