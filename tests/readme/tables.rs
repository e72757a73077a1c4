//! The tables of `docs/properties.md` against what the elements register.

use gst::prelude::*;

use crate::{common, page};

const PROPERTIES: &str = "docs/properties.md";

/// The cells of the table that follows the heading, without its head.
pub(crate) fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let mut lines = page.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "no heading {heading}");
    lines
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| {
            let line = line.trim().trim_start_matches('|').trim_end_matches('|');
            // a bar inside a cell would be written \|, and there is none
            line.split('|').map(|cell| cell.trim().to_owned()).collect()
        })
        .collect()
}

/// A number as a reader writes it: 0.9, 518, 1e-06 as 0.000001.
fn number(value: f64) -> String {
    format!("{value}")
}

/// Type, default and range of a property, as the table writes them.
fn described(spec: &glib::ParamSpec) -> [String; 3] {
    let default = spec.default_value();
    let row = |kind: &str, default: String, range: String| [kind.to_owned(), default, range];
    let bounds = |low: String, high: String| format!("{low} to {high}");
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt>() {
        let (low, high) = (spec.minimum(), spec.maximum());
        let range = if high == u32::MAX {
            format!("from {low}")
        } else {
            bounds(low.to_string(), high.to_string())
        };
        return row("uint", spec.default_value().to_string(), range);
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt64>() {
        let (low, high) = (spec.minimum(), spec.maximum());
        let range = if high == u64::MAX {
            format!("from {low}")
        } else {
            bounds(low.to_string(), high.to_string())
        };
        return row("uint64", spec.default_value().to_string(), range);
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecDouble>() {
        let (low, high) = (spec.minimum(), spec.maximum());
        let range = if high == f64::MAX {
            "any".to_owned()
        } else {
            bounds(number(low), number(high))
        };
        return row("double", number(spec.default_value()), range);
    }
    if spec.is::<glib::ParamSpecBoolean>() {
        return row(
            "boolean",
            default.get::<bool>().expect("a boolean").to_string(),
            String::new(),
        );
    }
    if let Some(class) = glib::EnumClass::with_type(spec.value_type()) {
        let (_, default) = glib::EnumValue::from_value(default).expect("a value of the enum");
        let nicks: Vec<_> = class
            .values()
            .iter()
            .map(|value| format!("`{}`", value.nick()))
            .collect();
        return row("enum", format!("`{}`", default.nick()), nicks.join(" "));
    }
    if spec.is::<glib::ParamSpecString>() {
        let default = match default.get::<Option<String>>().expect("a string") {
            Some(default) => format!("\"{default}\""),
            None => "none".to_owned(),
        };
        return row("string", default, String::new());
    }
    row("structure", String::new(), String::new())
}

fn changes(spec: &glib::ParamSpec) -> &'static str {
    let flags = spec.flags();
    if !flags.contains(glib::ParamFlags::WRITABLE) {
        "read only"
    } else if flags.contains(gst::PARAM_FLAG_MUTABLE_PLAYING) {
        "PLAYING"
    } else if flags.contains(gst::PARAM_FLAG_MUTABLE_READY) {
        "READY"
    } else {
        "undeclared"
    }
}

fn own_properties(element: &str) -> Vec<glib::ParamSpec> {
    common::init();
    let element = gst::ElementFactory::make(element)
        .build()
        .expect("the element");
    let own = |spec: &glib::ParamSpec| spec.owner_type() == element.type_();
    element
        .list_properties()
        .iter()
        .filter(|spec| own(spec))
        .cloned()
        .collect()
}

fn check_properties(element: &str, heading: &str) {
    let table = table(&page(PROPERTIES), heading);
    let mut expected: Vec<Vec<String>> = own_properties(element)
        .iter()
        .map(|spec| {
            let [kind, default, range] = described(spec);
            vec![
                format!("`{}`", spec.name()),
                kind,
                default,
                range,
                changes(spec).to_owned(),
            ]
        })
        .collect();
    let mut rows: Vec<Vec<String>> = table.iter().map(|row| row[..5].to_vec()).collect();
    rows.sort();
    expected.sort();
    assert_eq!(
        rows, expected,
        "the table of {element} is not what it registers"
    );
    for row in &table {
        assert!(row[5].len() > 10, "{} is not explained", row[0]);
    }
}

#[test]
fn properties_of_depthanything() {
    check_properties("depthanything", "## Properties of `depthanything`");
}

#[test]
fn properties_of_depthcolorize() {
    check_properties("depthcolorize", "## Properties of `depthcolorize`");
}

#[test]
fn fields_of_stats() {
    common::init();
    let element = gst::ElementFactory::make("depthanything")
        .build()
        .expect("the element");
    let stats = element.property::<gst::Structure>("stats");
    let mut fields: Vec<_> = stats.fields().map(|field| format!("`{field}`")).collect();
    let mut rows: Vec<String> = table(&page(PROPERTIES), "## Statistics")
        .iter()
        .flat_map(|row| row[0].split(", ").map(str::to_owned).collect::<Vec<_>>())
        .collect();
    fields.sort();
    rows.sort();
    assert_eq!(rows, fields);
}

/// Each property has a nick, a blurb that teaches, and a test.
#[test]
fn every_property_is_explained_and_tested() {
    let mut tests = String::new();
    let mut folders = vec![common::root().join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("readme") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                tests += &std::fs::read_to_string(path).expect("a test");
            }
        }
    }
    for element in ["depthanything", "depthcolorize"] {
        for spec in own_properties(element) {
            let name = spec.name();
            assert!(
                !spec.nick().is_empty() && spec.nick() != name,
                "{name} has no nick"
            );
            assert!(
                spec.blurb().is_some_and(|blurb| blurb.len() > 20),
                "{name} has no blurb"
            );
            let used = tests.match_indices(name).any(|(at, _)| {
                let before = tests[..at].chars().next_back();
                let after = tests[at + name.len()..].chars().next();
                matches!(
                    (before, after),
                    (Some('"'), Some('"')) | (Some(' ' | '"'), Some('='))
                )
            });
            assert!(used, "no test uses {name}");
        }
    }
}
