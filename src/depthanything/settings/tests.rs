//! The table of properties, and the range that takes two of them.

use super::*;

#[test]
fn defaults_of_table_and_specs_agree() {
    gst::init().unwrap();
    let settings = Settings::default();
    let specs = specs();
    for property in TABLE {
        let spec = specs.iter().find(|spec| spec.name() == property.name);
        let spec = spec.expect("a spec for each row");
        let default = spec.default_value();
        let held = settings.get(property.name).expect("a value for each row");
        assert_eq!(
            format!("{:?}", default),
            format!("{:?}", held),
            "{}",
            property.name
        );
        let mutable_playing = spec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING);
        assert_eq!(mutable_playing, property.changes == Changes::Playing);
    }
}

#[test]
fn a_fixed_range_without_ends_is_refused_while_frames_come() {
    let mut settings = Settings::default();
    let fixed = DepthRange::Fixed.to_value();
    let refused = settings.set_playing("range", &fixed).unwrap_err();
    assert!(refused.contains("range-min"), "{refused}");
    assert_eq!(settings.live.range, DepthRange::Smooth);
    settings.set_playing("range-min", &1.0.to_value()).unwrap();
    settings.set_playing("range-max", &2.0.to_value()).unwrap();
    settings.set_playing("range", &fixed).unwrap();
    assert_eq!(settings.live.range, DepthRange::Fixed);
    // the ends change one after the other, and those before hold until both are there
    settings.set_playing("range-min", &5.0.to_value()).unwrap();
    let (live, warning) = settings.for_frame();
    assert_eq!((live.range_min, live.range_max), (1.0, 2.0));
    assert!(warning.is_some());
    assert!(settings.for_frame().1.is_none(), "once");
    settings.set_playing("range-max", &9.0.to_value()).unwrap();
    let (live, warning) = settings.for_frame();
    assert_eq!((live.range_min, live.range_max), (5.0, 9.0));
    assert!(warning.is_none());
}

#[test]
fn nan_is_not_taken() {
    let mut settings = Settings::default();
    settings.set("smoothing", &f64::NAN.to_value());
    assert_eq!(settings.live.smoothing, 0.9);
}
