//! A shared library that was opened.

use std::ffi::OsStr;

use libloading::{Library as Handle, Symbol};

/// A library that was opened. It is closed again when this goes, unless it is kept.
#[derive(Debug)]
pub(super) struct Library(Handle);

impl Library {
    /// Opens a file, or what the dynamic loader finds by a bare name. C++ exceptions work in it (`exceptions.rs`).
    ///
    /// # Errors
    /// The loader's words, without the name.
    pub(super) fn open(name: &OsStr) -> Result<Self, String> {
        // SAFETY: loading runs the library's initialisers. It is a file that calls itself ONNX Runtime, from a place
        // that the user or the system set up for it, and a whole ELF image of this machine (`probe.rs`).
        unsafe { open(name) }
            .map(Self)
            .map_err(|text| short(&text, name))
    }

    /// The function or data of that name, NUL-terminated.
    ///
    /// # Safety
    /// `T` is its type.
    pub(super) unsafe fn get<T>(&self, name: &[u8]) -> Option<Symbol<'_, T>> {
        // SAFETY: as this function's
        unsafe { self.0.get(name) }.ok()
    }

    /// Never closes it: its functions are called until the process ends.
    pub(super) fn keep(self) {
        std::mem::forget(self);
    }
}

#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
unsafe fn open(name: &OsStr) -> Result<Handle, String> {
    use std::ffi::{CStr, CString};
    use std::os::unix::ffi::OsStrExt;

    let name = CString::new(name.as_bytes()).map_err(|_| "no name of a file".to_owned())?;
    // SAFETY: as this function's
    let handle = unsafe { super::exceptions::open(&name) };
    if !handle.is_null() {
        // SAFETY: a handle of `dlopen`'s that nobody else closes
        return Ok(unsafe { libloading::os::unix::Library::from_raw(handle) }.into());
    }
    // SAFETY: what failed just now, on this thread; the text stays until this thread's next call of the loader
    let words = unsafe { libc::dlerror() };
    if words.is_null() {
        return Err("the dynamic loader does not say why".to_owned());
    }
    // SAFETY: NUL-terminated, see above
    Err(unsafe { CStr::from_ptr(words) }
        .to_string_lossy()
        .into_owned())
}

#[cfg(not(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
unsafe fn open(name: &OsStr) -> Result<Handle, String> {
    // SAFETY: as this function's
    unsafe { Handle::new(name) }.map_err(|error| match std::error::Error::source(&error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    })
}

/// What an error is when there is no such library.
pub(super) const NOT_FOUND: &str = "not found";

/// The loader's words without the path, which the caller names anyway.
fn short(text: &str, name: &OsStr) -> String {
    let name = name.to_string_lossy();
    let text = text.strip_prefix(&format!("{name}: ")).unwrap_or(text);
    // only the loader's search fails like this; a file that is missing does not get here
    if text.starts_with("cannot open shared object file: No such file") {
        NOT_FOUND.to_owned()
    } else {
        text.to_owned()
    }
}
