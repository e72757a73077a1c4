//! Where execution providers that are libraries of their own are looked for: the places of ONNX Runtime itself, and beside
//! the one that was found.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Places, Version, pythons};

/// What is wanted.
#[derive(Debug)]
pub(in crate::inference::onnx::runtime) struct Wanted<'a> {
    /// The folder of its package in `site-packages`.
    pub(in crate::inference::onnx::runtime) folder: &'a str,
    /// Names that its library has had, without `lib` and `.so`.
    pub(in crate::inference::onnx::runtime) libraries: &'a [&'a str],
    /// The ONNX Runtime, by the ways that lead to it.
    pub(in crate::inference::onnx::runtime) beside: [&'a Path; 2],
}

/// What was found.
#[derive(Debug, Default)]
pub(in crate::inference::onnx::runtime) struct Searched {
    /// Libraries, in the order in which they are to be tried; each once.
    pub(in crate::inference::onnx::runtime) files: Vec<PluginFile>,
    /// All places that were looked in, until one was named that has it.
    pub(in crate::inference::onnx::runtime) places: Vec<PathBuf>,
}

/// A library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::inference::onnx::runtime) struct PluginFile {
    /// Where it lies.
    pub(in crate::inference::onnx::runtime) file: PathBuf,
    /// The way by which it was found: links lead on from there.
    pub(in crate::inference::onnx::runtime) given: PathBuf,
}

impl Places {
    /// The libraries of `wanted`. If `ORT_EP_DYLIB_PATH` names one, it is the only one.
    pub(in crate::inference::onnx::runtime) fn plugin(&self, wanted: &Wanted<'_>) -> Searched {
        let mut searched = Searched::default();
        for entry in &self.plugins {
            searched.look(entry, wanted);
        }
        if !searched.files.is_empty() {
            return searched;
        }
        let runtimes = wanted.beside.into_iter().filter_map(Path::parent);
        let beside = runtimes.chain(self.plugin.as_deref());
        let around = self.plugin.as_deref().and_then(pythons::around);
        let imported = self.imported.iter().map(PathBuf::as_path);
        let pythons = self.python.iter().flatten();
        beside
            .chain(around.as_deref())
            .chain(imported)
            .chain(pythons.flat_map(|python| python.folders.iter().map(PathBuf::as_path)))
            .for_each(|folder| searched.look(folder, wanted));
        searched
    }
}

impl Searched {
    /// Looks at `place`: a library, its folder, that of packages, or that of ONNX Runtime's library in one.
    fn look(&mut self, place: &Path, wanted: &Wanted<'_>) {
        let place = std::path::absolute(place).unwrap_or_else(|_| place.to_owned());
        let is_wanted = |name: &OsStr| {
            let mut names = wanted.libraries.iter();
            names.any(|stem| name == OsStr::new(&format!("{DLL_PREFIX}{stem}{DLL_SUFFIX}")))
        };
        if place.file_name().is_some_and(is_wanted) {
            self.add(&place);
            return;
        }
        let packages = match place.ends_with("onnxruntime/capi") {
            true => place.ancestors().nth(2),
            false => Some(&*place),
        };
        let folders = [Some(&*place), packages];
        let mut folders: Vec<PathBuf> = folders.into_iter().flatten().map(Path::to_owned).collect();
        folders.dedup();
        if let Some(packages) = packages {
            folders.push(packages.join(wanted.folder));
        }
        for folder in folders {
            for stem in wanted.libraries {
                let file = folder.join(format!("{DLL_PREFIX}{stem}{DLL_SUFFIX}"));
                if file.is_file() {
                    self.add(&file);
                }
            }
        }
        if let Some(packages) = packages
            && !self.places.iter().any(|known| known == packages)
        {
            self.places.push(packages.to_owned());
        }
    }

    fn add(&mut self, given: &Path) {
        let file = given.canonicalize().unwrap_or_else(|_| given.to_owned());
        if !self.files.iter().any(|known| known.file == file) {
            self.files.push(PluginFile {
                file,
                given: given.to_owned(),
            });
        }
    }
}

/// What a Python package says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::inference::onnx::runtime) struct About {
    pub(in crate::inference::onnx::runtime) version: Option<String>,
    /// The oldest ONNX Runtime that it wants.
    pub(in crate::inference::onnx::runtime) needs: Option<Version>,
}

/// What the package `wheel` that `library` lies in says of itself, if it does.
pub(in crate::inference::onnx::runtime) fn about(library: &Path, wheel: &str) -> About {
    /// More than any package has to say before its description.
    const MOST: u64 = 1 << 16;
    let packages = library.parent().and_then(Path::parent);
    let entries = packages.and_then(|packages| std::fs::read_dir(packages).ok());
    let prefix = format!("{}-", wheel.replace('-', "_"));
    let metadata = entries.into_iter().flatten().flatten().find_map(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_its = name.starts_with(&prefix) && name.ends_with(".dist-info");
        let file = is_its.then(|| std::fs::File::open(entry.path().join("METADATA")).ok())??;
        let mut text = Vec::new();
        file.take(MOST).read_to_end(&mut text).ok()?;
        Some(String::from_utf8_lossy(&text).into_owned())
    });
    metadata.map_or_else(About::default, |text| About::read(&text))
}

impl About {
    /// Reads the head of a `METADATA`.
    fn read(text: &str) -> Self {
        let mut about = Self::default();
        // an empty line ends the head
        for line in text.lines().take_while(|line| !line.is_empty()) {
            let Some((field, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            match field {
                "Version" => about.version = Some(value.chars().take(40).collect()),
                "Requires-Dist" => about.needs = about.needs.max(least_runtime(value)),
                _ => {}
            }
        }
        about
    }
}

/// The version of `onnxruntime>=1.24.4,<2`, `onnxruntime (>=1.23)`; none of other packages.
fn least_runtime(requirement: &str) -> Option<Version> {
    let end = requirement.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
    let (name, rest) = requirement.split_at(end?);
    if name != "onnxruntime" {
        return None;
    }
    // behind a semicolon: on which machines
    let bounds = rest.split(';').next().unwrap_or_default();
    let bounds = bounds.split([',', '(', ')']).map(str::trim);
    bounds
        .filter_map(|bound| Version::parse(bound.strip_prefix(">=").or(bound.strip_prefix("=="))?))
        .max()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is wanted beside these runtimes.
    fn wanted(beside: [&Path; 2]) -> Wanted<'_> {
        Wanted {
            folder: "onnxruntime_ep_test",
            libraries: &["onnxruntime_providers_test"],
            beside,
        }
    }

    fn nowhere() -> [&'static Path; 2] {
        [Path::new("/nowhere/a"); 2]
    }

    fn library(folder: &Path) -> PathBuf {
        fs::create_dir_all(folder).expect("folder");
        let name = format!("{DLL_PREFIX}onnxruntime_providers_test{DLL_SUFFIX}");
        let file = folder.join(name);
        fs::write(&file, "").expect("file");
        file.canonicalize().expect("path")
    }

    #[track_caller]
    fn finds(places: &Places, wanted: &Wanted<'_>, expected: &[&Path]) {
        let found = places.plugin(wanted).files;
        let found: Vec<_> = found.iter().map(|found| found.file.as_path()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn it_is_found_where_the_runtime_may_lie() {
        let folder = tempfile::tempdir().expect("folder");
        let at = |below: &str| folder.path().join(below);
        let none = Places::default();
        let alone = wanted(nowhere());
        finds(&none, &alone, &[]);
        // beside ONNX Runtime: in its packages, or in its folder
        let packages = library(&at("packages/onnxruntime_ep_test"));
        let runtime = at("packages/onnxruntime/capi/libonnxruntime.so.1.32.0");
        let plain = at("plain/libonnxruntime.so");
        let beside = library(&at("plain"));
        finds(&none, &wanted([&runtime, &plain]), &[&packages, &beside]);
        // beside this plugin, and in the packages around it
        let own = library(&at("a/site-packages/gst"));
        let around = library(&at("a/site-packages/onnxruntime_ep_test"));
        let places = Places {
            plugin: Some(at("a/site-packages/gst")),
            ..Places::default()
        };
        finds(&places, &alone, &[&own, &around]);
        // in a Python
        let user = library(&at("lib/python3.12/site-packages/onnxruntime_ep_test"));
        let homes = pythons::Homes {
            user_base: Some(folder.path().to_owned()),
            root: at("root"),
            ..pythons::Homes::default()
        };
        let places = Places {
            python: pythons::pythons(&homes),
            ..Places::default()
        };
        finds(&places, &alone, &[&user]);
        // what the environment names goes first, and alone, if it has it
        let named = library(&at("named"));
        for (entry, expected) in [
            (named.clone(), &named),
            (at("named"), &named),
            (at("packages"), &packages),
            (at("elsewhere"), &user),
        ] {
            let places = Places {
                plugins: vec![entry],
                ..places.clone()
            };
            finds(&places, &alone, &[expected]);
        }
    }

    #[test]
    fn places_are_told() {
        let folder = tempfile::tempdir().expect("folder");
        let runtime = folder.path().join("onnxruntime/capi/libonnxruntime.so");
        let searched = Places::default().plugin(&wanted([&runtime, &runtime]));
        assert_eq!(searched.places, [folder.path()]);
    }

    #[test]
    fn packages_tell_what_they_need() {
        for (requirement, needs) in [
            ("onnxruntime>=1.24.4", Some("1.24.4")),
            ("onnxruntime (>=1.23,<2)", Some("1.23")),
            (
                "onnxruntime ==1.25.1 ; python_version > \"3\"",
                Some("1.25.1"),
            ),
            ("onnxruntime", None),
            ("onnxruntime<2", None),
            ("onnxruntime-gpu>=1.24", None),
            ("numpy>=2", None),
        ] {
            let needs = needs.map(|text| Version::parse(text).expect("a version"));
            assert_eq!(least_runtime(requirement), needs, "{requirement}");
        }
        let folder = tempfile::tempdir().expect("folder");
        let file = library(&folder.path().join("onnxruntime_ep_test"));
        assert_eq!(about(&file, "onnxruntime-ep-test"), About::default());
        let info = folder.path().join("onnxruntime_ep_test-1.8.1.dist-info");
        fs::create_dir(&info).expect("folder");
        let text = "Metadata-Version: 2.4\nName: x\nVersion: 1.8.1\nRequires-Dist: onnxruntime>=1.23\n\nVersion: 7\n";
        fs::write(info.join("METADATA"), text).expect("file");
        let about = about(&file, "onnxruntime-ep-test");
        assert_eq!(about.version.as_deref(), Some("1.8.1"));
        assert_eq!(about.needs, Version::parse("1.23"));
    }
}
