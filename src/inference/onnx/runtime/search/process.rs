//! What this process has loaded already, and which Python it is, if it is one.

use std::path::{Path, PathBuf};

/// The folders of `onnxruntime` packages that Python code of this process has imported, wherever they lie.
pub(super) fn imported_runtimes() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = loaded_files()
        .into_iter()
        .filter(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("onnxruntime_pybind11_state.")
        })
        .filter_map(|file| file.parent().map(ToOwned::to_owned))
        .collect();
    folders.dedup();
    folders
}

/// What ONNX Runtime and its providers meet in, if an ONNX Runtime of another folder than `own` has loaded one in this
/// process: a provider then talks to that runtime, whichever has opened it.
pub(in crate::inference::onnx::runtime) fn other_providers(own: &Path) -> Option<PathBuf> {
    loaded_files().into_iter().find(|file| {
        let name = file.file_name().unwrap_or_default();
        name == "libonnxruntime_providers_shared.so"
            && file
                .canonicalize()
                .is_ok_and(|file| file.parent() != Some(own))
    })
}

/// Whether `file` is a library of this process.
pub(in crate::inference::onnx::runtime) fn is_loaded(file: &Path) -> bool {
    let is_it = |loaded: &PathBuf| {
        loaded.file_name() == file.file_name()
            && loaded.canonicalize().is_ok_and(|loaded| loaded == file)
    };
    loaded_files().iter().any(is_it)
}

#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
fn loaded_files() -> Vec<PathBuf> {
    let images = crate::inference::onnx::runtime::image::loaded();
    images.into_iter().map(|image| image.path).collect()
}

#[cfg(not(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
fn loaded_files() -> Vec<PathBuf> {
    Vec::new()
}

/// The `bin/python` of the Python that runs in this process, links not followed: in a virtual environment that nobody
/// has activated it is all that tells which one it is.
#[cfg(unix)]
pub(super) fn running_python() -> Option<PathBuf> {
    use std::ffi::c_int;

    use libloading::os::unix::Library;

    // the program itself, which Python often is; else the library that a program embeds
    let mut places = vec![Library::this()];
    for file in loaded_files() {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("libpython3") {
            // SAFETY: it is loaded already, so that nothing is run
            places
                .extend(unsafe { Library::open(Some(file), libc::RTLD_LAZY | libc::RTLD_NOLOAD) });
        }
    }
    let python = places.iter().find_map(|place| {
        // SAFETY: Python's stable interface: `int Py_IsInitialized(void)`
        let is_initialized =
            unsafe { place.get::<unsafe extern "C" fn() -> c_int>(b"Py_IsInitialized\0") }.ok()?;
        // SAFETY: reads a number; may be called at any time from any thread
        (unsafe { is_initialized() } != 0).then_some(place)
    })?;
    // SAFETY: `wchar_t *Py_GetProgramFullPath(void)`, in all Pythons up to 3.14
    let path = unsafe {
        python.get::<unsafe extern "C" fn() -> *const libc::wchar_t>(b"Py_GetProgramFullPath\0")
    };
    let path = match path {
        // SAFETY: of a Python that is initialised: null or a NUL-terminated text that stays as long as that is so
        Ok(path) => unsafe { text_of(path()) },
        Err(_) => None,
    };
    path.map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(started_as)
}

/// # Safety
/// `text` is null or NUL-terminated.
#[cfg(unix)]
unsafe fn text_of(text: *const libc::wchar_t) -> Option<String> {
    const LONGEST: usize = 1 << 16;
    if text.is_null() {
        return None;
    }
    let mut path = String::new();
    for index in 0..LONGEST {
        // SAFETY: not beyond the NUL, where this ends
        let unit = unsafe { *text.add(index) };
        if unit == 0 {
            return Some(path);
        }
        // what is no character stands for a byte that is not UTF-8; such a path is left out
        path.push(u32::try_from(unit).ok().and_then(char::from_u32)?);
    }
    None
}

/// The path that this program was started by, links not followed.
#[cfg(unix)]
fn started_as() -> Option<PathBuf> {
    let name = PathBuf::from(std::env::args_os().next()?);
    let named = if name.components().count() > 1 {
        vec![std::path::absolute(&name).ok()?]
    } else {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path)
            .map(|folder| folder.join(&name))
            .collect()
    };
    let this = std::env::current_exe().ok()?.canonicalize().ok()?;
    // who starts a program may call it anything
    named
        .into_iter()
        .find(|path| path.is_absolute() && path.canonicalize().is_ok_and(|path| path == this))
}

#[cfg(not(unix))]
pub(super) fn running_python() -> Option<PathBuf> {
    None
}
