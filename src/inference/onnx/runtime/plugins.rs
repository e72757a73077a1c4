//! Execution providers that are libraries of their own, beside a stock ONNX Runtime: `onnxruntime-ep-openvino` and its
//! like. Found in the places of `search/plugins.rs`, opened as the runtime itself is, and registered once per process.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

use once_cell::sync::OnceCell;
use ort::AsPointer;
use ort::environment::Environment;
use ort::session::builder::SessionBuilder;
use ort::sys::{OrtEpDevice, OrtHardwareDeviceType, OrtKeyValuePairs};

use super::Runtime;
use super::library::Library;
use super::log::capture;
use super::probe::check_image;
use super::search::{self, PluginFile, Searched};
use super::version::Version;
use crate::sync::lock;

/// The oldest ONNX Runtime that registers plugins, whatever they are.
const SINCE: Version = Version {
    major: 1,
    minor: 22,
    patch: 0,
};

/// A Python package that holds a provider.
#[derive(Debug)]
pub(in crate::inference::onnx) struct Package {
    /// What pip calls it.
    pub(in crate::inference::onnx) wheel: &'static str,
    /// Whether pip finds it.
    pub(in crate::inference::onnx) is_on_pypi: bool,
    /// What it is registered as.
    pub(in crate::inference::onnx) name: &'static str,
    /// Its folder in `site-packages`.
    pub(in crate::inference::onnx) folder: &'static str,
    /// Names that its library has had, without `lib` and `.so`.
    pub(in crate::inference::onnx) libraries: &'static [&'static str],
    /// The oldest ONNX Runtime that is known to run it; the package itself may want a newer one.
    pub(in crate::inference::onnx) oldest: Version,
}

/// A provider that is registered.
#[derive(Debug)]
pub(in crate::inference::onnx) struct Plugin {
    /// See [`Package::wheel`].
    wheel: &'static str,
    file: PathBuf,
    version: Option<String>,
    /// What it can run on here, in its own order.
    devices: Vec<Device>,
}

/// What a plugin can run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::inference::onnx) struct Device {
    pointer: Pointer,
    /// The provider's name in ONNX Runtime.
    pub(in crate::inference::onnx) provider: String,
    /// `CPU`, `GPU` or `NPU`.
    pub(in crate::inference::onnx) kind: &'static str,
    /// What the provider tells of it.
    pub(in crate::inference::onnx) metadata: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pointer(NonNull<OrtEpDevice>);

// SAFETY: a description that nobody changes, of an environment that lives as long as the process (`load_with`)
unsafe impl Send for Pointer {}
// SAFETY: as above
unsafe impl Sync for Pointer {}

/// Why there is no plugin.
#[derive(Debug)]
pub(in crate::inference::onnx) enum Missing {
    /// There is none in these places.
    Absent(Vec<PathBuf>),
    /// Those that are there don't work.
    Broken(Vec<Broken>),
}

/// A library that does not work as a plugin.
#[derive(Debug)]
pub(in crate::inference::onnx) struct Broken {
    pub(in crate::inference::onnx) file: PathBuf,
    /// Why, as the dynamic loader or ONNX Runtime puts it, or as the end of a sentence.
    pub(in crate::inference::onnx) words: String,
    /// Errors that ONNX Runtime logged meanwhile.
    pub(in crate::inference::onnx) logged: Vec<String>,
}

/// Those of a runtime.
#[derive(Debug, Default)]
pub(super) struct Plugins(Mutex<BTreeMap<&'static str, Arc<OnceCell<&'static Plugin>>>>);

/// Libraries that were opened here: what else is loaded was loaded by somebody else.
static OPENED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

impl Runtime {
    /// The plugin of `package`, registered by the first call. A failure is not remembered.
    ///
    /// # Errors
    /// Where it was looked for, or what is wrong with it.
    pub(in crate::inference::onnx) fn plugin(
        &self,
        package: &'static Package,
    ) -> Result<&'static Plugin, Missing> {
        let plugin = Arc::clone(lock(&self.plugins.0).entry(package.wheel).or_default());
        let plugin = plugin.get_or_try_init(|| {
            let Searched { files, places } = self.places.plugin(&search::Wanted {
                folder: package.folder,
                libraries: package.libraries,
                beside: [&self.library.given, &self.library.path],
            });
            if files.is_empty() {
                return Err(Missing::Absent(places));
            }
            let mut broken = Vec::new();
            for file in files {
                match self.register(package, &file) {
                    Ok(plugin) => return Ok(&*Box::leak(Box::new(plugin))),
                    Err(why) => broken.push(why),
                }
            }
            Err(Missing::Broken(broken))
        });
        plugin.copied()
    }

    /// Those that are registered, in an order that stays.
    pub(in crate::inference::onnx) fn plugins(&self) -> Vec<&'static Plugin> {
        let plugins = lock(&self.plugins.0);
        plugins
            .values()
            .filter_map(|it| it.get().copied())
            .collect()
    }

    fn register(&self, package: &Package, found: &PluginFile) -> Result<Plugin, Broken> {
        let broken = |words: String, logged| Broken {
            file: found.file.clone(),
            words,
            logged,
        };
        let about = search::about(&found.given, package.wheel);
        let needed = about.needs.unwrap_or(SINCE).max(package.oldest).max(SINCE);
        if self.version() < needed {
            let version = about.version.as_deref().unwrap_or("of unknown version");
            let words = format!(
                "{} {version} needs ONNX Runtime {needed} or newer, and this is {} ({}); `pip install --upgrade \
                 onnxruntime` installs a newer one",
                package.wheel,
                self.version(),
                self.path().display()
            );
            return Err(broken(words, Vec::new()));
        }
        self.open(found)
            .map_err(|words| broken(words, Vec::new()))?;
        let before = devices(&self.environment);
        let (result, logged) = capture(|| {
            self.environment
                .register_ep_library(package.name, &found.file)
        });
        result.map_err(|error| broken(error.message().to_owned(), logged))?;
        let devices = devices(&self.environment)
            .into_iter()
            .filter(|device| !before.contains(device));
        let devices: Vec<_> = devices.collect();
        // a library without its package tells by its devices
        let told = devices.first().and_then(|device| device.tells("version"));
        Ok(Plugin {
            wheel: package.wheel,
            file: found.file.clone(),
            version: about.version.or(told.map(str::to_owned)),
            devices,
        })
    }

    /// Opens the library before ONNX Runtime does: so that what is wrong with it is told in the loader's words, and that C++
    /// exceptions work in it and in what it brings along.
    fn open(&self, found: &PluginFile) -> Result<(), String> {
        let file = &found.file;
        search::trusted(&found.given)?;
        check_image(file)?;
        let own = lock(&OPENED).contains(file);
        if !own && search::is_loaded(file) {
            return Err(
                "another ONNX Runtime of this process has loaded it, and it serves one at a time; don't register it in this \
                 program, or set ORT_EP_DYLIB_PATH to a copy of its folder"
                    .to_owned(),
            );
        }
        let library = Library::open(file.as_os_str())?;
        // SAFETY: only its presence matters
        let entry = unsafe { library.get::<*const ()>(b"CreateEpFactories\0") };
        if entry.is_none() {
            return Err(
                "it is no execution provider that ONNX Runtime can register (no CreateEpFactories in it)".to_owned(),
            );
        }
        if !own {
            lock(&OPENED).push(file.clone());
        }
        library.keep();
        Ok(())
    }
}

impl Plugin {
    /// Its library.
    pub(in crate::inference::onnx) fn file(&self) -> &Path {
        &self.file
    }

    /// What it can run on here.
    pub(in crate::inference::onnx) fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// `onnxruntime-ep-openvino 1.8.1`.
    pub(in crate::inference::onnx) fn name(&self) -> String {
        match &self.version {
            Some(version) => format!("{} {version}", self.wheel),
            None => self.wheel.to_owned(),
        }
    }

    /// Has it run a session that is being built, on these devices of its own.
    ///
    /// # Errors
    /// ONNX Runtime's own.
    pub(in crate::inference::onnx) fn append(
        runtime: &Runtime,
        devices: &[&Device],
        options: &[(&'static str, String)],
        builder: &mut SessionBuilder,
    ) -> ort::Result<()> {
        let texts = Texts::of(options)?;
        let devices: Vec<_> = devices
            .iter()
            .map(|device| device.pointer.0.as_ptr().cast_const())
            .collect();
        // SAFETY: the options of a session that is being built, its environment, devices of that environment, and as many
        // names as values, each NUL-terminated and alive during the call, which copies them. Only a runtime that has this
        // function has devices.
        unsafe {
            ort::Error::result_from_status((ort::api().SessionOptionsAppendExecutionProvider_V2)(
                builder.ptr_mut(),
                runtime.environment.ptr().cast_mut(),
                devices.as_ptr(),
                devices.len(),
                texts.names.as_ptr(),
                texts.values.as_ptr(),
                texts.names.len(),
            ))
        }
    }
}

impl Device {
    /// What the provider tells of it under `key`.
    pub(in crate::inference::onnx) fn tells(&self, key: &str) -> Option<&str> {
        let mut metadata = self.metadata.iter();
        metadata
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    #[cfg(test)]
    pub(in crate::inference::onnx) fn of_test(
        kind: &'static str,
        metadata: &[(&str, &str)],
    ) -> Self {
        Self {
            pointer: Pointer(NonNull::dangling()),
            provider: String::new(),
            kind,
            metadata: metadata
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }
}

/// Options as C wants them.
pub(in crate::inference::onnx) struct Texts {
    _kept: Vec<CString>,
    /// Pointers to the names.
    pub(in crate::inference::onnx) names: Vec<*const c_char>,
    /// Pointers to as many values.
    pub(in crate::inference::onnx) values: Vec<*const c_char>,
}

impl Texts {
    /// # Errors
    /// When there is a NUL in one.
    pub(in crate::inference::onnx) fn of(options: &[(&'static str, String)]) -> ort::Result<Self> {
        let text = |text: &str| {
            CString::new(text).map_err(|_| ort::Error::new(format!("{text:?} has a NUL in it")))
        };
        let mut kept = Vec::new();
        let mut pointers = [Vec::new(), Vec::new()];
        for (name, value) in options {
            for (pointers, part) in pointers.iter_mut().zip([name, value.as_str()]) {
                let part = text(part)?;
                pointers.push(part.as_ptr());
                kept.push(part);
            }
        }
        let [names, values] = pointers;
        Ok(Self {
            _kept: kept,
            names,
            values,
        })
    }
}

/// All that the providers of this environment can run on. Only for a runtime of [`SINCE`] and newer.
fn devices(environment: &Environment) -> Vec<Device> {
    let api = ort::api();
    let mut list = std::ptr::null();
    let mut count = 0;
    // SAFETY: an environment, and places for the list and its length
    let result = unsafe {
        ort::Error::result_from_status((api.GetEpDevices)(
            environment.ptr(),
            &raw mut list,
            &raw mut count,
        ))
    };
    if result.is_err() || list.is_null() {
        return Vec::new();
    }
    // SAFETY: so many pointers, valid until the next plugin is registered; copied here
    let list = unsafe { std::slice::from_raw_parts(list, count) };
    let described = list.iter().filter_map(|&pointer| {
        let pointer = NonNull::new(pointer.cast_mut())?;
        // SAFETY: a device of this environment; what these give lives as long as it does
        let (provider, kind, metadata) = unsafe {
            let device = pointer.as_ptr().cast_const();
            let provider = (api.EpDevice_EpName)(device);
            let kind = (api.HardwareDevice_Type)((api.EpDevice_Device)(device));
            (provider, kind, (api.EpDevice_EpMetadata)(device))
        };
        Some(Device {
            pointer: Pointer(pointer),
            // SAFETY: see above
            provider: unsafe { text(provider) },
            kind: match kind {
                OrtHardwareDeviceType::OrtHardwareDeviceType_CPU => "CPU",
                OrtHardwareDeviceType::OrtHardwareDeviceType_GPU => "GPU",
                OrtHardwareDeviceType::OrtHardwareDeviceType_NPU => "NPU",
            },
            // SAFETY: see above
            metadata: unsafe { pairs(metadata) },
        })
    });
    described.collect()
}

/// # Safety
/// Null or NUL-terminated.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: as this function's
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// # Safety
/// Null or pairs of ONNX Runtime's.
unsafe fn pairs(pairs: *const OrtKeyValuePairs) -> Vec<(String, String)> {
    if pairs.is_null() {
        return Vec::new();
    }
    let (mut names, mut values, mut count) = (std::ptr::null(), std::ptr::null(), 0);
    // SAFETY: as this function's, and places for two lists and their length
    unsafe {
        (ort::api().GetKeyValuePairs)(pairs, &raw mut names, &raw mut values, &raw mut count);
    }
    if names.is_null() || values.is_null() {
        return Vec::new();
    }
    (0..count)
        // SAFETY: so many texts in each, which live as long as the pairs
        .map(|index| unsafe { (text(*names.add(index)), text(*values.add(index))) })
        .collect()
}
