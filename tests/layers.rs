//! Which module may know of which: GStreamer only above, no import that runs up, no circles.
//!
//! Read from the sources: `use` declarations and paths that begin with `crate`, `super` or a sibling's name. Tests inside
//! the modules are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Files that may know of GStreamer and GLib: the elements, and what they share.
const ABOVE: [&str; 6] = [
    "depth_meta.rs",
    "depthanything/",
    "depthcolorize/imp.rs",
    "depthcolorize/mod.rs",
    "lib.rs",
    "mapping.rs",
];

/// Small helpers that everybody may use.
const HELPERS: [&str; 4] = ["error", "panics", "sync", "text"];

/// What each module may import beside the helpers; a module that is not here may import all others.
const MAY_IMPORT: [(&str, &[&str]); 14] = [
    ("depth_meta", &["geometry"]),
    ("depthcolorize", &["depth_meta", "mapping"]),
    ("detail", &["geometry"]),
    ("error", &["text"]),
    ("frame", &["geometry"]),
    ("geometry", &[]),
    ("inference", &["detail", "geometry", "model"]),
    ("mapping", &["frame", "geometry"]),
    ("model", &["geometry"]),
    ("panics", &[]),
    ("range", &["frame", "geometry"]),
    ("text", &[]),
    ("threads", &["timing"]),
    ("timing", &[]),
];

/// Imports that run up all the same, to be mended: file, module.
const UPWARD: &[(&str, &str)] = &[];

/// Circles among modules of one folder, to be mended: folder, modules.
const CIRCLES: &[(&str, &[&str])] = &[];

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The sources by their path below `src`, without comments, texts and tests.
fn sources() -> BTreeMap<String, String> {
    let mut folders = vec![src()];
    let mut sources = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(src()).expect("below src");
            let name = name.display().to_string();
            if name.ends_with(".rs") && !name.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).expect("a source");
                sources.insert(name, code(&text));
            }
        }
    }
    sources
}

/// `text` without comments, texts, and the tests at its end.
fn code(text: &str) -> String {
    let text = text
        .split("#[cfg(test)]\nmod ")
        .enumerate()
        .filter(|(number, part)| *number == 0 || !part.contains("{\n    use super"))
        .map(|(_, part)| part)
        .collect::<String>();
    let mut code = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(next) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("r#\"") {
            rest.find("\"#").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("'\"'") {
            3
        } else if next == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |end| end + 2)
        } else {
            code.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        };
        rest = &rest[skipped..];
    }
    code
}

/// A module by its path: `["inference", "onnx", "session"]`.
type Module = Vec<String>;

fn module(file: &str) -> Module {
    let path = file.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    match path {
        "lib" => Module::new(),
        path => path.split('/').map(str::to_owned).collect(),
    }
}

/// All paths of `code` that begin with `crate`, `super` or `self`, or in a `use`, whole: `crate::a::{b, c::d}` is two.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for start in ["crate", "super", "self"] {
        for (at, _) in code.match_indices(&format!("{start}::")) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ':')) {
                continue;
            }
            expand(&code[at..], &mut Vec::new(), &mut found);
        }
    }
    found
}

/// Reads one path, or tree of paths, at the beginning of `text`; gives what is left.
fn expand<'a>(text: &'a str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let depth = prefix.len();
    let mut rest = text.trim_start();
    loop {
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside.trim_start();
            while !rest.is_empty() && !rest.starts_with('}') {
                let left = expand(rest, prefix, found).trim_start();
                let left = left.strip_prefix(',').unwrap_or(left).trim_start();
                if left.len() == rest.len() {
                    break; // not a tree of names
                }
                rest = left;
            }
            rest = rest.strip_prefix('}').unwrap_or(rest);
            break;
        }
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '#'))
            .unwrap_or(rest.len());
        prefix.push(rest[..end].to_owned());
        rest = &rest[end..];
        match rest.strip_prefix("::") {
            Some(next) if !next.starts_with('<') => rest = next,
            _ => {
                found.push(prefix.clone());
                break;
            }
        }
    }
    if let Some(renamed) = rest.trim_start().strip_prefix("as ") {
        rest = renamed.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
    }
    prefix.truncate(depth);
    rest
}

/// What `file` uses of this crate: the longest module that each path names. A name that a folder's `mod.rs` passes on
/// from one of its modules counts as that module's.
fn imports(file: &str, sources: &BTreeMap<String, String>) -> BTreeSet<Module> {
    let here = module(file);
    let modules: BTreeSet<Module> = sources.keys().map(|file| module(file)).collect();
    let mut used = BTreeSet::new();
    for path in paths(&sources[file]) {
        if let Some(module) = resolve(&here, &path, sources, &modules) {
            used.insert(module);
        }
    }
    used.remove(&here);
    used
}

fn resolve(
    here: &[String],
    path: &[String],
    sources: &BTreeMap<String, String>,
    modules: &BTreeSet<Module>,
) -> Option<Module> {
    let mut at = match path.first()?.as_str() {
        "crate" => Module::new(),
        _ => here.to_vec(),
    };
    let mut names = path.iter().peekable();
    while let Some(step) = names.peek() {
        match step.as_str() {
            "crate" | "self" => {}
            "super" => {
                at.pop();
            }
            _ => break,
        }
        names.next();
    }
    for name in names {
        let mut inner = at.clone();
        inner.push(name.clone());
        if modules.contains(&inner) {
            at = inner;
        } else {
            return Some(passed_on(&at, name, sources, modules).unwrap_or(at));
        }
    }
    Some(at)
}

/// The module of `at`'s children that `name` comes from, where `at` passes it on.
fn passed_on(
    at: &[String],
    name: &str,
    sources: &BTreeMap<String, String>,
    modules: &BTreeSet<Module>,
) -> Option<Module> {
    let joined = at.join("/");
    let file = [
        format!("{joined}/mod.rs"),
        format!("{joined}.rs"),
        "lib.rs".to_owned(),
    ];
    let text = file.iter().find_map(|file| sources.get(file))?;
    text.split("use ").skip(1).find_map(|declaration| {
        let mut found = Vec::new();
        expand(declaration, &mut Vec::new(), &mut found);
        found.iter().find_map(|path| {
            let (last, way) = path.split_last()?;
            let mut child = at.to_vec();
            child.extend(way.iter().filter(|step| *step != "self").cloned());
            (last == name && child.len() > at.len() && modules.contains(&child)).then_some(child)
        })
    })
}

#[test]
fn gstreamer_is_only_above() {
    let mut faults = Vec::new();
    let mut below = 0;
    for (file, code) in sources() {
        if ABOVE.iter().any(|above| file.starts_with(above)) {
            continue;
        }
        below += 1;
        for word in code.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
            let is_gstreamer = matches!(word, "gst" | "glib" | "gio" | "gobject")
                || word.starts_with("gst_")
                || word.starts_with("gstreamer");
            if is_gstreamer {
                faults.push(format!("{file}: {word}"));
            }
        }
    }
    assert!(below > 50, "only {below} files below the elements");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The seam hides what runs a network: ONNX Runtime is one way.
#[test]
fn only_one_module_knows_onnx_runtime() {
    let names = |code: &str| {
        code.split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .any(|word| matches!(word, "ort" | "ort_sys"))
    };
    let knowing: Vec<String> = sources()
        .into_iter()
        .filter(|(_, code)| names(code))
        .map(|(file, _)| file)
        .collect();
    assert!(!knowing.is_empty());
    let outside = |file: &&String| !file.starts_with("inference/onnx/");
    let outside: Vec<_> = knowing.iter().filter(outside).collect();
    assert!(outside.is_empty(), "{outside:?}");
}

/// gRPC is one way to servers, too, and what it is made of is known where it is used.
#[test]
fn only_one_module_knows_grpc() {
    for (crates, allowed) in [
        (
            &["tonic", "h2", "hyper_util", "rustls"][..],
            "inference/remote/grpc",
        ),
        (&["tokio"][..], "inference/remote/"),
    ] {
        let names = |code: &str| {
            code.split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .any(|word| crates.contains(&word))
        };
        let sources = sources();
        let knowing: Vec<_> = sources.iter().filter(|(_, code)| names(code)).collect();
        assert!(!knowing.is_empty(), "{crates:?}");
        for (file, _) in knowing {
            assert!(file.starts_with(allowed), "{file} knows of {crates:?}");
        }
    }
}

/// Each way to run a network stands alone: what they share is above the seam.
#[test]
fn backends_do_not_know_each_other() {
    let sources = sources();
    for (one, other) in [("onnx", "remote"), ("remote", "onnx")] {
        for file in sources
            .keys()
            .filter(|file| file.starts_with(&format!("inference/{one}")))
        {
            let used = imports(file, &sources);
            let knows = |module: &Module| module.get(1).is_some_and(|name| name == other);
            assert!(!used.iter().any(knows), "{file} uses inference/{other}");
        }
    }
}

#[test]
fn no_import_runs_up() {
    let sources = sources();
    let mut found = BTreeSet::new();
    for file in sources.keys() {
        let here = module(file);
        let Some(top) = here.first() else { continue };
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(module, _)| module == top) else {
            continue;
        };
        for used in imports(file, &sources) {
            let Some(of) = used.first() else { continue };
            if of != top && !HELPERS.contains(&of.as_str()) && !allowed.contains(&of.as_str()) {
                found.insert((file.clone(), of.clone()));
            }
        }
    }
    let known: BTreeSet<_> = UPWARD
        .iter()
        .map(|(file, module)| ((*file).to_owned(), (*module).to_owned()))
        .collect();
    assert_eq!(
        found, known,
        "imports that run up, and those that are known"
    );
}

/// The element, without its tests, is no more than so many files.
const ELEMENT_FILES: usize = 12;

#[test]
fn the_element_reads_in_one_sitting() {
    let sources = sources();
    let of_element = |file: &&String| file.starts_with("depthanything/");
    let files: Vec<_> = sources.keys().filter(of_element).collect();
    assert!(files.iter().any(|file| file.ends_with("/imp.rs")));
    assert!(files.len() <= ELEMENT_FILES, "{files:#?}");
}

#[test]
fn modules_have_no_circles() {
    let sources = sources();
    let mut found = BTreeSet::new();
    let files: BTreeMap<Module, BTreeSet<Module>> = sources
        .keys()
        .map(|file| (module(file), imports(file, &sources)))
        .collect();
    let folders: BTreeSet<Module> = files
        .keys()
        .filter(|module| !module.is_empty())
        .map(|module| module[..module.len() - 1].to_vec())
        .collect();
    for folder in folders {
        // an arrow for each child that uses another one, in any of its own modules
        let child = |module: &Module| {
            (module.len() > folder.len() && module.starts_with(&folder))
                .then(|| module[folder.len()].clone())
        };
        let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, used) in &files {
            let Some(from) = child(from) else { continue };
            let to = used.iter().filter_map(&child).filter(|to| *to != from);
            arrows.entry(from.clone()).or_default().extend(to);
        }
        for circle in circles(&arrows) {
            found.insert((folder.join("/"), circle));
        }
    }
    let known: BTreeSet<_> = CIRCLES
        .iter()
        .map(|(folder, modules)| {
            let modules: Vec<_> = modules.iter().map(|name| (*name).to_owned()).collect();
            ((*folder).to_owned(), modules)
        })
        .collect();
    assert_eq!(found, known, "circles, and those that are known");
}

/// Sets of names that all reach each other.
fn circles(arrows: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reached = |from: &String| {
        let mut seen = BTreeSet::new();
        let mut next = vec![from];
        while let Some(name) = next.pop() {
            for to in arrows.get(name).into_iter().flatten() {
                if seen.insert(to) {
                    next.push(to);
                }
            }
        }
        seen
    };
    let reach: BTreeMap<_, _> = arrows.keys().map(|name| (name, reached(name))).collect();
    let mut circles: Vec<Vec<String>> = arrows
        .keys()
        .map(|name| {
            arrows
                .keys()
                .filter(|other| reach[name].contains(other) && reach[other].contains(&name))
                .cloned()
                .collect()
        })
        .filter(|circle: &Vec<String>| circle.len() > 1)
        .collect();
    circles.dedup();
    circles.sort();
    circles.dedup();
    circles
}

#[test]
fn sources_are_read() {
    assert_eq!(
        code("a // gst\nb /* gst */ c \"gst \\\" gst\" d '\"' e").replace("  ", " "),
        "a \nb c d e"
    );
    let mut found = Vec::new();
    expand(
        "crate::a::{self, b::{C, d}, e as f};",
        &mut Vec::new(),
        &mut found,
    );
    let found: Vec<_> = found.iter().map(|path| path.join("::")).collect();
    assert_eq!(
        found,
        [
            "crate::a::self",
            "crate::a::b::C",
            "crate::a::b::d",
            "crate::a::e"
        ]
    );
    let arrow = |from: &str, to: &[&str]| {
        let to = to.iter().map(|name| (*name).to_owned()).collect();
        (from.to_owned(), to)
    };
    let arrows = BTreeMap::from([
        arrow("a", &["b"]),
        arrow("b", &["c"]),
        arrow("c", &["b"]),
        arrow("d", &["a"]),
    ]);
    assert_eq!(circles(&arrows), [["b", "c"]]);
}
