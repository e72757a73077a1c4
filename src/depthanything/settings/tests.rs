//! The table of properties, and the range that takes two of them.

use gst::prelude::*;

use super::*;

/// What users rely on.
const DEFAULTS: &[(&str, &str)] = &[
    ("model-file", "NULL"),
    ("model-depth", "auto"),
    ("input-normalization", "auto"),
    ("resolution", "518"),
    ("min-resolution", "0"),
    ("detail-resolution", "0"),
    ("execution-provider", "auto"),
    ("device", ""),
    ("precision", "auto"),
    ("engine-cache", "NULL"),
    ("num-threads", "0"),
    ("inference-interval", "1"),
    ("memory-limit", "0"),
    ("in-flight", "1"),
    ("max-batch", "1"),
    ("batch-timeout", "0"),
    ("output", "auto"),
    ("invert", "false"),
    ("range", "smooth"),
    ("smoothing", "0.9"),
    ("temporal-filter", "0"),
    ("range-min", "0"),
    ("range-max", "0"),
    ("upsampling", "bilinear"),
    ("depth-unit", "0.001"),
    ("server", "NULL"),
    ("server-model", "NULL"),
    ("server-model-version", "NULL"),
    ("server-timeout", "2000000000"),
    ("server-patience", "30000000000"),
    ("server-tls-ca", "NULL"),
    ("server-token-file", "NULL"),
    ("server-token-header", "authorization"),
    ("server-shared-memory", "auto"),
];

/// As `gst-launch-1.0` spells it.
fn spelt(value: &glib::Value) -> String {
    match value.serialize() {
        Ok(text) => match value.get::<f64>() {
            Ok(number) => number.to_string(),
            Err(_) => text.trim_matches('"').to_owned(),
        },
        Err(_) => "NULL".to_owned(),
    }
}

#[test]
fn defaults_are_what_users_rely_on() {
    gst::init().unwrap();
    let settings = Settings::default();
    let specs = specs();
    let names: Vec<_> = rows().map(|property| property.name).collect();
    let known: Vec<_> = DEFAULTS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, known);
    for (property, (name, default)) in rows().zip(DEFAULTS) {
        let spec = specs.iter().find(|spec| spec.name() == *name);
        let spec = spec.expect("a spec for each row");
        assert_eq!(spelt(spec.default_value()), *default, "{name}");
        let held = settings.get(name).expect("a value for each row");
        assert_eq!(spelt(&held), *default, "{name}");
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
