//! `NAME=VALUE` from a command line to a property, with errors that say what would have been right.

use gst::prelude::*;

/// Sets what `assignment`, as `resolution=252`, says.
///
/// # Errors
/// A sentence with the names, or the values, that there are.
pub(crate) fn set(element: &gst::Element, assignment: &str) -> Result<(), String> {
    let kind = element
        .factory()
        .map_or_else(|| element.name(), |factory| factory.name());
    let Some((name, text)) = assignment.split_once('=') else {
        return Err(format!(
            "{assignment} is not NAME=VALUE; as in resolution=252"
        ));
    };
    let Some(spec) = element.find_property(name) else {
        return Err(format!(
            "{kind} has no property {name}; it has {}",
            settable(element).join(", ")
        ));
    };
    if !spec.flags().contains(glib::ParamFlags::WRITABLE) {
        return Err(format!("property {name} of {kind} can only be read"));
    }
    let wrong = || format!("{text} is no value for {name}: it takes {}", values(&spec));
    let value = glib::Value::deserialize_with_pspec(text, &spec).map_err(|_| wrong())?;
    if !in_range(&spec, &value) {
        return Err(wrong());
    }
    element.set_property_from_value(name, &value);
    Ok(())
}

/// The element's own properties, without those of its base classes.
fn settable(element: &gst::Element) -> Vec<String> {
    let specs = element.list_properties();
    let own = specs.iter().filter(|spec| {
        spec.owner_type() == element.type_() && spec.flags().contains(glib::ParamFlags::WRITABLE)
    });
    own.map(|spec| spec.name().to_owned()).collect()
}

/// What a property takes, in words.
fn values(spec: &glib::ParamSpec) -> String {
    if let Some(class) = glib::EnumClass::with_type(spec.value_type()) {
        let nicks: Vec<_> = class.values().iter().map(|value| value.nick()).collect();
        return format!("one of {}", nicks.join(", "));
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt>() {
        return format!(
            "a whole number from {} to {}",
            spec.minimum(),
            spec.maximum()
        );
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt64>() {
        return format!(
            "a whole number from {} to {}",
            spec.minimum(),
            spec.maximum()
        );
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecDouble>() {
        return match spec.maximum() {
            f64::MAX => "a number".to_owned(),
            maximum => format!("a number from {} to {maximum}", spec.minimum()),
        };
    }
    if spec.is::<glib::ParamSpecBoolean>() {
        return "true or false".to_owned();
    }
    format!("a {}", spec.value_type().name())
}

fn in_range(spec: &glib::ParamSpec, value: &glib::Value) -> bool {
    if spec.is::<glib::ParamSpecEnum>() {
        // any number is read as an enum
        return glib::EnumValue::from_value(value).is_some();
    }
    if let (Some(spec), Ok(value)) = (
        spec.downcast_ref::<glib::ParamSpecUInt>(),
        value.get::<u32>(),
    ) {
        return (spec.minimum()..=spec.maximum()).contains(&value);
    }
    if let (Some(spec), Ok(value)) = (
        spec.downcast_ref::<glib::ParamSpecUInt64>(),
        value.get::<u64>(),
    ) {
        return (spec.minimum()..=spec.maximum()).contains(&value);
    }
    if let (Some(spec), Ok(value)) = (
        spec.downcast_ref::<glib::ParamSpecDouble>(),
        value.get::<f64>(),
    ) {
        return (spec.minimum()..=spec.maximum()).contains(&value);
    }
    true
}
