//! What settings are called in errors.

use gst::prelude::*;

use super::*;

#[test]
fn settings_are_properties() {
    gst::init().expect("GStreamer");
    let element = glib::Object::new::<crate::depthanything::DepthAnything>();
    for setting in [
        Setting::Device,
        Setting::Precision,
        Setting::InputNormalization,
        Setting::Output,
        Setting::Range,
        Setting::InFlight,
        Setting::MemoryLimit,
        Setting::MinResolution,
    ] {
        let name = property(setting);
        assert!(element.find_property(name).is_some(), "{name}");
    }
}
