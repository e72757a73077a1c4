//! Where ONNX Runtime is looked for, and in which order.

mod plugins;
mod process;
mod pythons;
mod trust;

use std::collections::HashSet;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::library::NOT_FOUND;
use super::probe::{Probed, file_of_symbol, probe_file, probe_name};
use super::version::{MINIMUM, Version};
use crate::error::{Error, RuntimeCandidate};
use pythons::{Homes, Place, Python, pythons};

pub(super) use plugins::{PluginFile, Searched, Wanted, about};
pub(super) use process::{is_loaded, other_providers};
pub(super) use trust::check as trusted;

/// A library that serves.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// The way by which it was found: links lead on from there.
    pub(super) given: PathBuf,
    /// Where the path came from.
    pub(super) origin: String,
    pub(super) library: Probed,
}

/// The places to look in, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    /// `ORT_DYLIB_PATH`: a library, or a folder with one. Nothing else is looked at when it is set.
    explicit: Option<PathBuf>,
    /// `ORT_EP_DYLIB_PATH`: libraries of execution providers, or folders with them.
    plugins: Vec<PathBuf>,
    /// The folder that this plugin was loaded from.
    plugin: Option<PathBuf>,
    /// Names for the dynamic loader's own search.
    names: Vec<String>,
    /// More of them, of which the error tells only if they are there and don't serve.
    numbered: Vec<String>,
    /// The folders of Python packages that are imported in this process.
    imported: Vec<PathBuf>,
    /// Python installations, and places that are not looked in and why.
    python: Vec<Place>,
    /// Environment variables that are set and not followed.
    ignored: Vec<&'static str>,
}

/// The variables that say where to look.
const VARIABLES: [&str; 6] = [
    "ORT_DYLIB_PATH",
    "ORT_EP_DYLIB_PATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PYTHONUSERBASE",
    "PYENV_ROOT",
];

/// Versions of a loader's name: what a system package installs.
const NAMES: [&str; 2] = [".1", ""];

/// Debian's packages have the minor version in the library's name, `libonnxruntime.so.1.21`; this many are asked for.
const MINOR_VERSIONS: u32 = 40;

impl Places {
    /// Those of this process and user.
    pub(super) fn of_this_process() -> Self {
        let plugin = file_of_symbol(Self::of_this_process as fn() -> Self as *const ())
            .and_then(|file| file.parent().map(Path::to_owned));
        let names = NAMES
            .iter()
            .map(|version| format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}{version}"))
            .collect();
        let numbered = (MINIMUM.minor..MINIMUM.minor + MINOR_VERSIONS)
            .rev()
            .map(|minor| {
                let major = MINIMUM.major;
                format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}.{major}.{minor}")
            })
            .collect();
        let root = PathBuf::from("/");
        let variable =
            |name: &str| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
        if trust::has_raised_rights() {
            return Self {
                plugin,
                names,
                numbered,
                python: pythons(&Homes {
                    root,
                    ..Homes::default()
                }),
                ignored: VARIABLES
                    .into_iter()
                    .filter(|name| variable(name).is_some())
                    .collect(),
                ..Self::default()
            };
        }
        let folder = |name: &str| variable(name).map(PathBuf::from);
        let [
            explicit,
            plugins,
            virtual_env,
            conda_prefix,
            user_base,
            pyenv,
        ] = VARIABLES.map(folder);
        let plugins = plugins.iter().flat_map(std::env::split_paths);
        Self {
            explicit,
            // a bare name, or none, is not the current folder
            plugins: plugins
                .filter(|path| path.components().count() > 1)
                .collect(),
            plugin,
            names,
            numbered,
            imported: process::imported_runtimes(),
            python: pythons(&Homes {
                running: process::running_python(),
                virtual_env,
                conda_prefix,
                user_base,
                pyenv,
                home: std::env::home_dir(),
                root,
            }),
            ignored: Vec::new(),
        }
    }

    /// One library, or the folder that holds it.
    pub(super) fn explicit(path: &Path) -> Self {
        Self {
            explicit: Some(path.to_owned()),
            ..Self::default()
        }
    }

    /// These libraries of execution providers before others.
    pub(super) fn with_plugins(self, plugins: Vec<PathBuf>) -> Self {
        Self { plugins, ..self }
    }

    /// The first library that serves.
    ///
    /// # Errors
    /// [`Error::Runtime`] with every place looked in and why it did not serve.
    pub(super) fn find(&self) -> Result<Found, Error> {
        let mut rejected = Rejected::default();
        if let Some(path) = &self.explicit {
            // who names a library wants that one: another would be a silent surprise
            return self
                .find_explicit(path, &mut rejected)
                .ok_or(Error::Runtime(rejected.candidates));
        }
        self.find_in_places(&mut rejected)
            .ok_or(Error::Runtime(rejected.candidates))
    }

    fn find_explicit(&self, path: &Path, rejected: &mut Rejected) -> Option<Found> {
        const ORIGIN: &str = "ORT_DYLIB_PATH";
        // as for the dynamic loader, a name without a / is never a file in the folder that happens to be the current one
        if !path
            .as_os_str()
            .to_string_lossy()
            .contains(['/', std::path::MAIN_SEPARATOR])
        {
            return rejected.try_bare_name(path, ORIGIN);
        }
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if !path.is_dir() {
            return rejected.try_file(&path, ORIGIN);
        }
        // a folder of libraries, an unpacked release, a package, a `site-packages`
        let files: Vec<PathBuf> = ["", "lib", "capi", "onnxruntime/capi"]
            .into_iter()
            .flat_map(|below| libraries_in(&path.join(below)))
            .collect();
        if files.is_empty() {
            return rejected.note(&path, ORIGIN, NOTHING_IN_FOLDER);
        }
        files
            .iter()
            .find_map(|file| rejected.try_file(file, ORIGIN))
    }

    fn find_in_places(&self, rejected: &mut Rejected) -> Option<Found> {
        if let Some(folder) = &self.plugin {
            const ORIGIN: &str = "beside the plugin";
            let files = libraries_in(folder);
            if files.is_empty() {
                rejected.add(folder, ORIGIN, NOTHING_IN_FOLDER);
            }
            if let Some(library) = files
                .iter()
                .find_map(|file| rejected.try_file(file, ORIGIN))
            {
                return Some(library);
            }
        }
        const LOADER: &str = "the dynamic loader's path";
        let by_name = |rejected: &mut Rejected| {
            let named = self.names.iter();
            named
                .map(|name| (name, true))
                .chain(self.numbered.iter().map(|name| (name, false)))
                .find_map(|(name, tell_absent)| rejected.try_name(name, LOADER, tell_absent))
        };
        if let Some(library) = by_name(rejected) {
            return Some(library);
        }
        let around = self.plugin.as_deref().and_then(pythons::around);
        if let Some(packages) = around {
            let origin = "the Python packages around the plugin";
            let python = Python {
                origin,
                pattern: packages.clone(),
                folders: vec![packages],
            };
            if let Some(library) = python.find(rejected) {
                return Some(library);
            }
        }
        for folder in &self.imported {
            let origin = "imported by this process's Python";
            let files = libraries_in(folder);
            if files.is_empty() {
                rejected.add(folder, origin, NOTHING_IN_FOLDER);
            }
            if let Some(library) = files
                .iter()
                .find_map(|file| rejected.try_file(file, origin))
            {
                return Some(library);
            }
        }
        for name in &self.ignored {
            let reason = "not followed: this program runs with more rights than who started it, and the environment is theirs";
            rejected.add(Path::new(name), "environment", reason);
        }
        self.python.iter().find_map(|place| match place {
            Ok(python) => python.find(rejected),
            Err((origin, path, reason)) => rejected.note(path, origin, reason),
        })
    }
}

const NOTHING_IN_FOLDER: &str = "no ONNX Runtime in this folder";

impl Python {
    fn find(&self, rejected: &mut Rejected) -> Option<Found> {
        if self.folders.is_empty() {
            return rejected.note(&self.pattern, self.origin, "no such folder");
        }
        let mut files = Vec::new();
        for folder in &self.folders {
            let found = libraries_in(&folder.join("onnxruntime/capi"));
            if found.is_empty() {
                rejected.add(folder, self.origin, "no onnxruntime package");
            }
            files.extend(found);
        }
        // stable: among equals the newest Python stays first
        files.sort_by_key(|file| std::cmp::Reverse(version_in_name(file)));
        files
            .iter()
            .find_map(|file| rejected.try_file(file, self.origin))
    }
}

/// Candidates that did not serve.
#[derive(Debug, Default)]
struct Rejected {
    candidates: Vec<RuntimeCandidate>,
    seen: HashSet<PathBuf>,
}

impl Rejected {
    fn add(&mut self, path: &Path, origin: &str, reason: impl Into<String>) {
        self.candidates.push(RuntimeCandidate {
            path: path.to_owned(),
            origin: origin.to_owned(),
            reason: reason.into(),
        });
    }

    fn note(&mut self, path: &Path, origin: &str, reason: &str) -> Option<Found> {
        self.add(path, origin, reason);
        None
    }

    fn try_file(&mut self, file: &Path, origin: &str) -> Option<Found> {
        // links to one file, a folder reached in two ways
        let path = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        if !self.seen.insert(path.clone()) {
            return None;
        }
        // the way that was given, too: a link on it may lie where everybody can replace it
        match trust::check(file).and_then(|()| probe_file(&path)) {
            Ok(library) => Some(Found {
                path,
                given: file.to_owned(),
                origin: origin.to_owned(),
                library,
            }),
            Err(reason) => self.note(file, origin, &reason),
        }
    }

    /// A name that `ORT_DYLIB_PATH` gives.
    fn try_bare_name(&mut self, name: &Path, origin: &str) -> Option<Found> {
        let found = self.try_name(&name.to_string_lossy(), origin, true);
        if found.is_none()
            && name.exists()
            && let Some(candidate) = self.candidates.last_mut()
        {
            candidate.reason = format!(
                "{} on the dynamic loader's path; for the one in the current folder give ./{}",
                candidate.reason,
                name.display()
            );
        }
        found
    }

    /// `tell_absent`: one that is not there is a candidate, too.
    fn try_name(&mut self, name: &str, origin: &str, tell_absent: bool) -> Option<Found> {
        match probe_name(name) {
            Ok((path, library)) => Some(Found {
                given: path.clone(),
                path,
                origin: origin.to_owned(),
                library,
            }),
            Err(reason) if !tell_absent && reason == NOT_FOUND => None,
            Err(reason) => self.note(Path::new(name), origin, &reason),
        }
    }
}

/// ONNX Runtime libraries in `folder`, newest first by name.
fn libraries_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| is_library(path))
        .collect();
    files.sort();
    files.sort_by_key(|file| std::cmp::Reverse(version_in_name(file)));
    files
}

/// `libonnxruntime.so`, `libonnxruntime.so.1.32.0`, `libonnxruntime.1.32.0.dylib`, `onnxruntime.dll`; not the
/// libraries of its providers.
fn is_library(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some(rest) = name.strip_prefix(&format!("{DLL_PREFIX}onnxruntime")) else {
        return false;
    };
    let Some((before, after)) = rest.split_once(DLL_SUFFIX) else {
        return false;
    };
    let is_version = |text: &str| {
        text.is_empty()
            || text.strip_prefix('.').is_some_and(|version| {
                version
                    .split('.')
                    .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
            })
    };
    is_version(before) && is_version(after)
}

/// The version that a library's name ends in, if any.
fn version_in_name(path: &Path) -> Option<Version> {
    let name = path.file_name()?.to_string_lossy();
    let digits = name.find(|c: char| c.is_ascii_digit())?;
    Version::parse(&name[digits..])
}

#[cfg(test)]
mod tests;
