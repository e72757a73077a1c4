//! Where ONNX Runtime is looked for, and in which order.

use std::collections::HashSet;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Library;
use super::probe::{Version, file_of_symbol, probe_file, probe_name};
use crate::error::{Error, RuntimeCandidate};

/// The places to look in, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    /// `ORT_DYLIB_PATH`: a library, or a folder with one. Nothing else is looked at when it is set.
    explicit: Option<PathBuf>,
    /// The folder that this plugin was loaded from.
    plugin: Option<PathBuf>,
    /// Names for the dynamic loader's own search.
    names: Vec<String>,
    /// `site-packages` folders of one Python installation or group of them each.
    python: Vec<Python>,
}

#[derive(Debug, Clone)]
struct Python {
    origin: &'static str,
    /// What was looked through, for the error: `~/.local/lib/python3.*/site-packages`.
    pattern: PathBuf,
    /// The folders that exist, newest Python first.
    folders: Vec<PathBuf>,
}

/// Versions of a loader's name: what a system package installs.
const NAMES: [&str; 2] = [".1", ""];

impl Places {
    /// Those of this process and user.
    pub(super) fn of_this_process() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
        let folder = |name| variable(name).map(PathBuf::from);
        let plugin = file_of_symbol(Self::of_this_process as fn() -> Self as *const ())
            .and_then(|file| file.parent().map(Path::to_owned));
        Self {
            explicit: folder("ORT_DYLIB_PATH"),
            plugin,
            names: NAMES
                .iter()
                .map(|version| format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}{version}"))
                .collect(),
            python: pythons(&Homes {
                virtual_env: folder("VIRTUAL_ENV"),
                conda_prefix: folder("CONDA_PREFIX"),
                user_base: folder("PYTHONUSERBASE"),
                pyenv: folder("PYENV_ROOT"),
                home: std::env::home_dir(),
                root: PathBuf::from("/"),
            }),
        }
    }

    /// One library, or the folder that holds it.
    pub(super) fn explicit(path: &Path) -> Self {
        Self {
            explicit: Some(path.to_owned()),
            ..Self::default()
        }
    }

    /// The first library that serves.
    ///
    /// # Errors
    /// [`Error::Runtime`] with every place looked in and why it did not serve.
    pub(super) fn find(&self) -> Result<Library, Error> {
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

    fn find_explicit(&self, path: &Path, rejected: &mut Rejected) -> Option<Library> {
        const ORIGIN: &str = "ORT_DYLIB_PATH";
        let is_bare_name = path.components().count() == 1 && !path.exists();
        if is_bare_name {
            return rejected.try_name(&path.to_string_lossy(), ORIGIN);
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

    fn find_in_places(&self, rejected: &mut Rejected) -> Option<Library> {
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
        let by_name = |rejected: &mut Rejected| {
            self.names
                .iter()
                .find_map(|name| rejected.try_name(name, "the dynamic loader's path"))
        };
        if let Some(library) = by_name(rejected) {
            return Some(library);
        }
        self.python.iter().find_map(|python| python.find(rejected))
    }
}

const NOTHING_IN_FOLDER: &str = "no ONNX Runtime in this folder";

impl Python {
    fn find(&self, rejected: &mut Rejected) -> Option<Library> {
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

    fn note(&mut self, path: &Path, origin: &str, reason: &str) -> Option<Library> {
        self.add(path, origin, reason);
        None
    }

    fn try_file(&mut self, file: &Path, origin: &str) -> Option<Library> {
        // links to one file, a folder reached in two ways
        let path = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        if !self.seen.insert(path.clone()) {
            return None;
        }
        match probe_file(&path) {
            Ok(version) => Some(Library {
                path,
                version,
                origin: origin.to_owned(),
            }),
            Err(reason) => self.note(file, origin, &reason),
        }
    }

    fn try_name(&mut self, name: &str, origin: &str) -> Option<Library> {
        match probe_name(name) {
            Ok((path, version)) => Some(Library {
                path,
                version,
                origin: origin.to_owned(),
            }),
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

/// Where Python installations are, apart from fixed places.
#[derive(Debug, Clone, Default)]
struct Homes {
    virtual_env: Option<PathBuf>,
    conda_prefix: Option<PathBuf>,
    user_base: Option<PathBuf>,
    pyenv: Option<PathBuf>,
    home: Option<PathBuf>,
    /// `/`, except in tests.
    root: PathBuf,
}

fn pythons(homes: &Homes) -> Vec<Python> {
    let home = |below: &str| homes.home.as_ref().map(|home| home.join(below));
    let root = |below: &str| Some(homes.root.join(below));
    let user = homes.user_base.clone().or_else(|| home(".local"));
    let pyenv = homes.pyenv.clone().or_else(|| home(".pyenv"));

    let mut pythons = Vec::new();
    for (origin, prefix) in [
        ("Python of VIRTUAL_ENV", homes.virtual_env.clone()),
        ("Python of CONDA_PREFIX", homes.conda_prefix.clone()),
        ("the user's Python packages", user),
        ("pyenv", pyenv.map(|pyenv| pyenv.join("versions/*"))),
        ("Miniconda", home("miniconda3")),
        ("Miniforge", home("miniforge3")),
        ("Anaconda", home("anaconda3")),
        ("the system's Python", root("usr/local")),
        ("the system's Python", root("usr")),
        ("Conda", root("opt/conda")),
    ] {
        let Some(prefix) = prefix else { continue };
        let folders = site_packages(&prefix);
        // the places that are named or that every system has are worth a line in the error even when empty
        let expected = ["VIRTUAL_ENV", "CONDA_PREFIX", "user", "system"]
            .iter()
            .any(|word| origin.contains(word));
        if expected || !folders.is_empty() {
            pythons.push(Python {
                origin,
                pattern: prefix.join("lib/python3*/site-packages"),
                folders,
            });
        }
    }
    pythons
}

/// `site-packages` and `dist-packages` below `prefix`, newest Python first. A last component `*` stands for every
/// folder there.
fn site_packages(prefix: &Path) -> Vec<PathBuf> {
    if prefix.ends_with("*") {
        let parent = prefix.parent().unwrap_or(prefix);
        return subfolders(parent)
            .iter()
            .flat_map(|prefix| site_packages(prefix))
            .collect();
    }
    let mut found = Vec::new();
    for library in ["lib", "lib64"] {
        let mut pythons: Vec<_> = subfolders(&prefix.join(library))
            .into_iter()
            .filter_map(|folder| {
                let name = folder.file_name()?.to_string_lossy().into_owned();
                let version = name.strip_prefix("python3")?.to_owned();
                let minor = version
                    .strip_prefix('.')
                    .map_or(0, |v| v.parse().unwrap_or(0));
                Some((minor, folder))
            })
            .collect();
        pythons.sort_by_key(|(minor, _): &(u32, PathBuf)| std::cmp::Reverse(*minor));
        for (_, folder) in pythons {
            for packages in ["site-packages", "dist-packages"] {
                let folder = folder.join(packages);
                if folder.is_dir() {
                    found.push(folder);
                }
            }
        }
    }
    found
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

#[cfg(test)]
mod tests;
