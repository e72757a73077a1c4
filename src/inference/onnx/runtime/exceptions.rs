//! Opens libraries so that C++ exceptions work in them, whatever the host has loaded before.
//!
//! An exception is thrown by libstdc++, and each library that it passes through hands it on with `_Unwind_Resume`. Two
//! libraries have such functions: GCC's libgcc_s, and libunwind, which libgstreamer brings along. Either serves, but an
//! exception can't travel by both: the process is aborted, or reads a wild address. Which one a library uses is settled
//! when it is loaded, by what is visible then. In a Python that imports numpy (OpenCV, …) before GStreamer, libstdc++ is
//! bound to libgcc_s, and what is loaded later, ONNX Runtime for instance, to libunwind.
//!
//! So once a library is opened this looks at what it and libstdc++ are bound to, and where they differ binds the library
//! to what libstdc++ uses. The same is done to the libraries that it opens itself later (execution providers and their
//! plugins), for which its calls of `dlopen` go through [`open_and_settle`]. Where they agree, nothing is touched.
//!
//! `RTLD_DEEPBIND` would bind the library to libgcc_s too, but also its `malloc` and `free` to glibc's: with an allocator
//! that was preloaded (jemalloc, tcmalloc) it would free what that one allocated. Sanitizers refuse it for that reason.
//! What this does not cover is an exception that a library throws while it is being loaded.

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::allowance;
#[cfg(target_arch = "x86_64")]
use super::division;
use super::image::{Image, loaded};
use crate::panics::caught;
use crate::sync::lock;

/// What hands an exception on, in all code that a C++ compiler makes.
const RESUME: &CStr = c"_Unwind_Resume";

/// Opens `name` and settles what it and the libraries that come with it use for exceptions. Null where that fails;
/// `dlerror` tells why, as after `dlopen`.
///
/// # Safety
/// As `dlopen`: the library's initialisers are run.
pub(super) unsafe fn open(name: &CStr) -> *mut c_void {
    let before = loaded();
    // SAFETY: as this function's. All its functions are bound now: those that are left for later are not seen here
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if !handle.is_null() {
        settle(handle, &before);
    }
    handle
}

/// Binds what was loaded since `before`, and the library of `handle`, to what libstdc++ is bound to, and has their
/// divisions by zero answered.
fn settle(handle: *mut c_void, before: &[Image]) {
    let images = loaded();
    // the host may have loaded it, and bound otherwise
    let opened = base_of(handle);
    if let Some(image) = images.iter().find(|image| Some(image.base()) == opened) {
        allowance::bind(image);
    }
    let concerned = images.iter().filter(|image| {
        let is_new = !before.iter().any(|known| known.is(image));
        (is_new || Some(image.base()) == opened) && image.is_library()
    });
    let resume = resume_of_libstdcxx(&images);
    for image in concerned {
        #[cfg(target_arch = "x86_64")]
        division::watch(image);
        if let Some(resume) = resume {
            settle_image(image, resume);
        }
    }
}

/// Where the library of `handle` is loaded.
fn base_of(handle: *mut c_void) -> Option<usize> {
    /// The public part of glibc's `struct link_map` that matters here; `dlopen` gives a pointer to one.
    #[repr(C)]
    struct LinkMap {
        base: usize,
    }
    // SAFETY: a handle of `dlopen`'s, not closed yet
    unsafe { handle.cast::<LinkMap>().as_ref() }.map(|map| map.base)
}

/// The function that libstdc++ hands exceptions on with, if that is another than what a library finds by itself.
fn resume_of_libstdcxx(images: &[Image]) -> Option<usize> {
    let libstdcxx = images.iter().find(|image| {
        let name = image.path.file_name().unwrap_or_default();
        name.as_bytes().starts_with(b"libstdc++.so")
    })?;
    let (_, slot) = libstdcxx.imports(|name| name == RESUME).pop()?;
    let resume = slot.bound_to();
    // not bound yet: it will be to what comes first in the process, as everything else
    (!libstdcxx.holds(resume) && Some(resume) != first_in_process(RESUME)).then_some(resume)
}

/// The function of this name that a library finds before it looks at what it depends on.
fn first_in_process(name: &CStr) -> Option<usize> {
    // SAFETY: null stands for the program itself, whose symbols are those that all libraries see; nothing is loaded
    let program = unsafe { libc::dlopen(std::ptr::null(), libc::RTLD_LAZY) };
    if program.is_null() {
        return None;
    }
    // SAFETY: a handle of the loader's and a NUL-terminated name
    let address = unsafe { libc::dlsym(program, name.as_ptr()) };
    // SAFETY: the handle from above, once
    unsafe { libc::dlclose(program) };
    (!address.is_null()).then_some(address as usize)
}

fn settle_image(image: &Image, resume: usize) {
    // one that throws by itself has its own C++ runtime inside, which agrees with itself
    let throws = |name: &CStr| name == c"_Unwind_RaiseException";
    if image.imports(throws).is_empty() {
        for (_, slot) in image.imports(|name| name == RESUME) {
            if slot.bound_to() != resume {
                // SAFETY: another function of the same C++ ABI and type. Should an exception be under way in that
                // library just now, it was lost before.
                let _ = unsafe { slot.bind(resume) };
            }
        }
    }
    let calls = image.imports(|name| name == c"dlopen");
    if calls.is_empty() {
        return;
    }
    if let Some(folder) = image.path.parent() {
        let mut folders = lock(&FOLDERS);
        if !folders.iter().any(|known| known == folder) {
            folders.push(folder.to_owned());
        }
    }
    for (_, slot) in calls {
        // SAFETY: a function of the type of `dlopen`, in a library that is never unloaded (`Library::keep`)
        let _ = unsafe { slot.bind(open_and_settle as *const () as usize) };
    }
}

/// Folders of the libraries whose calls of `dlopen` go through [`open_and_settle`].
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// `dlopen` for libraries that were opened by [`open`] or by this.
///
/// # Safety
/// As `dlopen`.
unsafe extern "C" fn open_and_settle(name: *const c_char, flags: c_int) -> *mut c_void {
    // the caller is C++: a panic must not cross into it
    // SAFETY: as this function's
    caught(|| unsafe { open_for_others(name, flags) }).unwrap_or(std::ptr::null_mut())
}

unsafe fn open_for_others(name: *const c_char, flags: c_int) -> *mut c_void {
    let before = loaded();
    // SAFETY: what `dlopen` takes is null or a NUL-terminated name
    let bare = (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) });
    // the loader looks for a bare name in the caller's folder too (RPATH), and takes this function for the caller
    let beside = bare.and_then(|name| beside(name, &lock(&FOLDERS)));
    let name = beside.as_deref().map_or(name, CStr::as_ptr);
    // SAFETY: as this function's
    let handle = unsafe { libc::dlopen(name, flags) };
    if !handle.is_null() && !name.is_null() {
        settle(handle, &before);
    }
    handle
}

fn beside(name: &CStr, folders: &[PathBuf]) -> Option<CString> {
    let name = Path::new(OsStr::from_bytes(name.to_bytes()));
    if name.components().count() != 1 || name.is_absolute() {
        return None;
    }
    let path = folders
        .iter()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())?;
    CString::new(path.into_os_string().into_encoded_bytes()).ok()
}
