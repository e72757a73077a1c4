//! ONNX Runtime, found and loaded at run time, once per process.
//!
//! [`load`] goes through the places of `runtime/search.rs` in order, opens each library found there, asks it whether it
//! serves (`runtime/probe.rs`), and hands the functions of the first that does to `ort` (`runtime/api.rs`).

pub(in crate::inference::onnx) mod allowance;
mod api;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod division;
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod exceptions;
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub(in crate::inference::onnx) mod image;
mod library;
mod log;
mod plugins;
mod probe;
mod search;
mod version;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use once_cell::sync::OnceCell;

use crate::error::{Error, RuntimeCandidate};

pub(super) use log::capture;
pub use log::{LogHook, LogLevel, set_log_hook};
pub(super) use plugins::{Broken, Device, Missing, Package, Plugin, Texts};
pub(super) use probe::file_of_symbol;
pub use version::{MINIMUM, Version};

/// The loaded ONNX Runtime.
#[derive(Debug)]
pub struct Runtime {
    environment: ort::environment::Environment,
    library: Library,
    /// Where execution providers that come as plugins are looked for.
    places: search::Places,
    plugins: plugins::Plugins,
}

/// A library that serves.
#[derive(Debug, Clone)]
struct Library {
    path: PathBuf,
    /// The way by which it was found: links lead on from there.
    given: PathBuf,
    version: Version,
    origin: String,
}

impl Runtime {
    /// The environment that sessions are made in.
    pub fn environment(&self) -> &ort::environment::Environment {
        &self.environment
    }

    /// The library's file.
    pub fn path(&self) -> &Path {
        &self.library.path
    }

    /// Why no provider but the CPU's can be loaded into it now, if that is so: providers of one ONNX Runtime at a time
    /// have a place in a process, and another one was first.
    pub(super) fn providers_taken(&self) -> Option<String> {
        let own = self.library.path.parent()?;
        search::other_providers(own).map(|other| {
            format!(
                "another ONNX Runtime of this process has loaded its providers ({}), and those of two don't go together; \
                 set ORT_DYLIB_PATH to the folder of that one, or don't use its providers in this program",
                other.display()
            )
        })
    }

    /// Bounds the memory that the libraries beside this one ask for, those of its providers, as far as they are loaded.
    pub(super) fn bound_memory_of_providers(&self) {
        #[cfg(all(
            target_os = "linux",
            target_env = "gnu",
            any(target_arch = "x86_64", target_arch = "aarch64")
        ))]
        for folder in self.folders() {
            allowance::bind_beside(&folder);
        }
    }

    /// Has divisions by zero answered in the libraries beside this one, those of its providers, as far as they are loaded.
    pub(super) fn watch_divisions_of_providers(&self) {
        #[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
        for folder in self.folders() {
            division::watch_beside(&folder);
        }
    }

    /// Where the library and its plugins really lie.
    #[cfg(all(
        target_os = "linux",
        target_env = "gnu",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    fn folders(&self) -> Vec<PathBuf> {
        let plugins = self.plugins();
        let plugins = plugins.iter().map(|plugin| plugin.file());
        let files = plugins.chain([self.path()]);
        files
            .filter_map(|file| Some(file.canonicalize().ok()?.parent()?.to_owned()))
            .collect()
    }

    /// Its version.
    pub fn version(&self) -> Version {
        self.library.version
    }

    /// Where it was found: `ORT_DYLIB_PATH`, `beside the plugin`, …
    pub fn origin(&self) -> &str {
        &self.library.origin
    }
}

/// The ONNX Runtime of this process, loaded by the first call. A failure is not remembered: the next call looks
/// again.
///
/// # Errors
/// [`Error::Runtime`] with every place looked in and why it did not serve.
pub fn load() -> Result<&'static Runtime, Error> {
    load_with(search::Places::of_this_process)
}

/// As [`load`], but from this library or the folder that holds it, wherever else there may be one. A runtime that was
/// loaded before stays.
///
/// # Errors
/// [`Error::Runtime`] with the reason why it does not serve.
#[cfg(any(test, feature = "testing"))]
pub fn load_from(path: &Path) -> Result<&'static Runtime, Error> {
    load_with(|| search::Places::explicit(path))
}

/// For tests inside this crate: the plain one that `./check` installs, with the OpenVINO plugin beside it where that runs.
#[cfg(test)]
pub(super) fn for_tests() -> &'static Runtime {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join(".runtime");
    let with_plugin = all.join("openvino");
    let has_plugin = with_plugin.join("onnxruntime_ep_openvino").exists();
    let path = if has_plugin {
        with_plugin
    } else {
        all.join("onnxruntime")
    };
    load_from(&path).expect("an ONNX Runtime: ./check installs it")
}

/// As [`load`], but from this library or the folder that holds it, with these libraries of execution providers.
///
/// # Errors
/// [`Error::Runtime`] with the reason why it does not serve.
#[cfg_attr(
    not(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64")),
    allow(dead_code, reason = "there is no other process there")
)]
pub(super) fn load_from_with(
    path: &Path,
    plugins: Vec<PathBuf>,
) -> Result<&'static Runtime, Error> {
    load_with(|| search::Places::explicit(path).with_plugins(plugins))
}

fn load_with(places: impl FnOnce() -> search::Places) -> Result<&'static Runtime, Error> {
    // `ort` keeps the first library it was given, whatever becomes of the rest: so does this
    static LIBRARY: OnceCell<(Library, search::Places)> = OnceCell::new();
    static RUNTIME: OnceCell<Runtime> = OnceCell::new();

    RUNTIME.get_or_try_init(|| {
        let (library, places) = LIBRARY.get_or_try_init(|| {
            let places = places();
            let found = places.find()?;
            let library = Library {
                path: found.path,
                given: found.given,
                version: found.library.version,
                origin: found.origin,
            };
            let api = found.library.into_api().ok_or("its API is gone");
            let api = api.map_err(|reason| library.rejected(&reason))?;
            // false where there is one already, which this being in a `OnceCell` rules out
            ort::set_api(api);
            Ok::<_, Error>((library, places))
        })?;
        let environment = ort::init()
            .with_name("depthanything")
            .with_telemetry(false)
            .with_logger(Arc::new(|level, category, _id, _location, message| {
                log::forward(level.into(), category, message);
            }))
            .build()
            .map_err(|error| library.rejected(&error))?;
        log::attach(&environment);
        Ok(Runtime {
            environment,
            library: library.clone(),
            places: places.clone(),
            plugins: plugins::Plugins::default(),
        })
    })
}

impl Library {
    fn rejected(&self, reason: &dyn std::fmt::Display) -> Error {
        Error::Runtime(vec![RuntimeCandidate {
            path: self.path.clone(),
            origin: self.origin.clone(),
            reason: reason.to_string(),
        }])
    }
}
