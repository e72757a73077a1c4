//! The element's properties, from the command line's words.

use gst::glib;
use gst::prelude::*;

use crate::Arguments;
use crate::failure::{Failure, Result};

/// How the model's values are laid on the samples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Range {
    /// `frame` or `smooth`, by the element.
    Element(&'static str),
    /// One for each shot, found by a first pass.
    Locked,
    /// Given by hand.
    Given([f64; 2]),
}

impl Range {
    /// `text`, or the default of the format.
    pub(crate) fn parse(text: Option<&str>, default: Self) -> Result<Self> {
        let Some(text) = text else { return Ok(default) };
        match text {
            "frame" => return Ok(Self::Element("frame")),
            "smooth" => return Ok(Self::Element("smooth")),
            "locked" => return Ok(Self::Locked),
            _ => {}
        }
        let wrong = || format!("--range {text}: it is smooth, frame, locked or LOW:HIGH");
        let (low, high) = text.split_once(':').ok_or_else(wrong)?;
        let end = |text: &str| text.parse().ok().filter(|end: &f64| end.is_finite());
        let (Some(low), Some(high)) = (end(low), end(high)) else {
            return Err(wrong().into());
        };
        if low >= high {
            return Err(format!("--range {text}: the lower end comes first").into());
        }
        Ok(Self::Given([low, high]))
    }
}

/// The properties that are set, in an order that does not depend on the command line's.
pub(crate) fn properties(arguments: &Arguments, range: &Range) -> Result<Vec<(String, String)>> {
    let mut settings = vec![
        ("resolution".to_owned(), arguments.resolution.to_string()),
        ("invert".to_owned(), arguments.invert.to_string()),
        // bf16, which `auto` takes where the CPU has it, gives some 200 steps of depth
        ("precision".to_owned(), "fp32".to_owned()),
    ];
    let mut set = |name: &str, value: String| settings.push((name.to_owned(), value));
    if arguments.detail_resolution > 0 {
        set("detail-resolution", arguments.detail_resolution.to_string());
    }
    match range {
        Range::Element(name) => set("range", (*name).to_owned()),
        // what the first shot makes of it comes with its first frame
        Range::Locked => {
            set("range-min", "0".into());
            set("range-max", "1".into());
            set("range", "fixed".into());
        }
        Range::Given([low, high]) => {
            set("range-min", low.to_string());
            set("range-max", high.to_string());
            set("range", "fixed".into());
        }
    }
    if let Some(model) = &arguments.model {
        let model = model
            .to_str()
            .ok_or("the model's path is not UTF-8: rename it")?;
        set("model-file", model.to_owned());
    }
    for property in &arguments.properties {
        let (name, value) = property
            .split_once('=')
            .ok_or_else(|| format!("--set {property} is not NAME=VALUE"))?;
        set(name, value.to_owned());
    }
    Ok(settings)
}

/// Sets a property from text. What the element would not take is an error that says what it takes.
pub(crate) fn apply(element: &gst::Element, name: &str, text: &str) -> Result<()> {
    let property = element
        .find_property(name)
        .ok_or_else(|| format!("depthanything has no property {name}"))?;
    if !property.flags().contains(glib::ParamFlags::WRITABLE) {
        return Err(format!("depthanything's property {name} can only be read").into());
    }
    let wrong = || {
        let wanted =
            values(&property).map_or(String::new(), |values| format!(": it takes {values}"));
        Failure::never(format!("{text} is no value for {name}{wanted}"))
    };
    let value = glib::Value::deserialize_with_pspec(text, &property).map_err(|_| wrong())?;
    if !in_range(&property, &value) {
        return Err(wrong());
    }
    element.set_property_from_value(name, &value);
    Ok(())
}

/// Calls `$act` with a property's description in its own type, where it is a number's.
macro_rules! with_number {
    ($property:expr, $act:expr, $($kind:ident),*) => {
        $(if let Some(kind) = $property.downcast_ref::<glib::$kind>() {
            return $act(kind.minimum(), kind.maximum());
        })*
    };
    ($property:expr, $act:expr) => {
        with_number!(
            $property,
            $act,
            ParamSpecUInt,
            ParamSpecInt,
            ParamSpecUInt64,
            ParamSpecInt64,
            ParamSpecDouble
        )
    };
}

/// Whether a number lies where the property wants it; true of all else.
fn in_range(property: &glib::ParamSpec, value: &glib::Value) -> bool {
    fn within<'v, T>(value: &'v glib::Value) -> impl FnOnce(T, T) -> bool + use<'v, T>
    where
        T: PartialOrd + glib::value::FromValue<'v> + 'v,
    {
        |low, high| {
            value
                .get::<T>()
                .is_ok_and(|value| value >= low && value <= high)
        }
    }
    with_number!(property, within(value));
    true
}

/// What a property takes, in words.
fn values(property: &glib::ParamSpec) -> Option<String> {
    fn words<T: std::fmt::Display>(low: T, high: T) -> Option<String> {
        Some(format!("{low} to {high}"))
    }
    with_number!(property, words);
    if property.is::<glib::ParamSpecBoolean>() {
        return Some("true or false".to_owned());
    }
    let kind = glib::EnumClass::with_type(property.value_type())?;
    let names: Vec<_> = kind
        .values()
        .iter()
        .map(|value| value.nick().to_owned())
        .collect();
    Some(names.join(", "))
}
