//! Does a library serve as ONNX Runtime? Asked before `ort` sees it.

use std::ffi::{CStr, OsStr};
use std::path::{Path, PathBuf};

use super::api;
use super::library::Library;
use super::version::{MINIMUM, Version};

/// A library that serves.
#[derive(Debug)]
pub(super) struct Probed {
    pub(super) version: Version,
    library: Library,
    base: &'static ort::sys::OrtApiBase,
}

impl Probed {
    /// The table of its functions, for as long as the process lives; none if it has lost the API that it had.
    pub(super) fn into_api(self) -> Option<ort::sys::OrtApi> {
        let api = api::table(self.base, self.version)?;
        self.library.keep();
        Some(api)
    }
}

/// Opens `file` and asks it for the API this plugin needs.
///
/// # Errors
/// Why it does not serve, as the end of a sentence.
pub(super) fn probe_file(file: &Path) -> Result<Probed, String> {
    check_image(file)?;
    ask(Library::open(file.as_os_str())?)
}

/// As [`probe_file`] for a bare name that the dynamic loader finds by itself; also says where it did.
pub(super) fn probe_name(name: &str) -> Result<(PathBuf, Probed), String> {
    let probed = ask(Library::open(OsStr::new(name))?)?;
    let address = std::ptr::from_ref(probed.base).cast();
    let path = file_of_symbol(address)
        .ok_or("it was loaded, but its path can't be found; set ORT_DYLIB_PATH to it")?;
    Ok((path, probed))
}

/// The file that holds the code or data at `address`.
#[cfg(unix)]
pub(in crate::inference::onnx) fn file_of_symbol(address: *const ()) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;

    // SAFETY: an all-zero Dl_info is a valid value of that plain C struct
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: dladdr looks the address up without reading it, and fills `info` when it returns non-zero
    let found = unsafe { libc::dladdr(address.cast(), &raw mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: dladdr gave a NUL-terminated string that lives as long as the library is loaded, copied below
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    std::fs::canonicalize(OsStr::from_bytes(name.to_bytes())).ok()
}

/// The file that holds the code or data at `address`.
#[cfg(not(unix))]
pub(in crate::inference::onnx) fn file_of_symbol(_address: *const ()) -> Option<PathBuf> {
    None
}

type GetApiBase = unsafe extern "C" fn() -> *const ort::sys::OrtApiBase;

fn ask(library: Library) -> Result<Probed, String> {
    // SAFETY: the type is that of ONNX Runtime's only entry point, unchanged since its first release
    let get_api_base = unsafe { library.get::<GetApiBase>(b"OrtGetApiBase\0") }
        .ok_or("it is not ONNX Runtime (no OrtGetApiBase in it)")?;
    // SAFETY: takes nothing and returns a pointer to a static
    let base = unsafe { get_api_base() };
    // SAFETY: null or a pointer to a static of the library, which is used only while `library` is open
    let base: &'static ort::sys::OrtApiBase =
        unsafe { base.as_ref() }.ok_or("OrtGetApiBase gave nothing")?;

    // SAFETY: takes nothing and returns a pointer to a static string
    let text = unsafe { (base.GetVersionString)() };
    if text.is_null() {
        return Err("it does not tell its version".to_owned());
    }
    // SAFETY: a NUL-terminated static string of the library
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let version = Version::parse(&text).ok_or_else(|| format!("version {text:?} is no version"))?;
    if version < MINIMUM {
        return Err(format!(
            "version {version} is older than {}.{}",
            MINIMUM.major, MINIMUM.minor
        ));
    }
    api::is_offered(base, version)
        .map_err(|level| format!("version {version} does not offer API {level}"))?;
    Ok(Probed {
        version,
        library,
        base,
    })
}

/// Refuses what must not reach the dynamic loader: it maps a file by its headers, and touching a page that a
/// half-downloaded file does not have kills the process (SIGBUS).
pub(super) fn check_image(file: &Path) -> Result<(), String> {
    let metadata = std::fs::metadata(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "not found".to_owned(),
        _ => error.to_string(),
    })?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if metadata.len() == 0 {
        return Err("the file is empty".to_owned());
    }
    #[cfg(target_os = "linux")]
    elf::check(file, metadata.len())?;
    Ok(())
}

#[cfg(target_os = "linux")]
mod elf {
    use std::fs::File;
    use std::path::Path;

    #[cfg(target_pointer_width = "32")]
    use object::elf::FileHeader32;
    #[cfg(target_pointer_width = "64")]
    use object::elf::FileHeader64;
    use object::elf::{EM_386, EM_AARCH64, EM_ARM, EM_RISCV, EM_X86_64, Machine, PT_LOAD};
    use object::read::ReadCache;
    use object::read::elf::{FileHeader, ProgramHeader};
    use object::{Endianness, FileKind};

    #[cfg(target_pointer_width = "64")]
    type Header = FileHeader64<Endianness>;
    #[cfg(target_pointer_width = "32")]
    type Header = FileHeader32<Endianness>;

    #[cfg(target_pointer_width = "64")]
    const KIND: FileKind = FileKind::Elf64;
    #[cfg(target_pointer_width = "32")]
    const KIND: FileKind = FileKind::Elf32;

    const MACHINE: Option<Machine> = if cfg!(target_arch = "x86_64") {
        Some(EM_X86_64)
    } else if cfg!(target_arch = "aarch64") {
        Some(EM_AARCH64)
    } else if cfg!(target_arch = "x86") {
        Some(EM_386)
    } else if cfg!(target_arch = "arm") {
        Some(EM_ARM)
    } else if cfg!(any(target_arch = "riscv64", target_arch = "riscv32")) {
        Some(EM_RISCV)
    } else {
        None
    };

    /// A whole shared library of this kind of machine?
    pub(super) fn check(file: &Path, length: u64) -> Result<(), String> {
        let data = ReadCache::new(File::open(file).map_err(|error| error.to_string())?);
        let damaged = |_| "it is a damaged shared library; install it again".to_owned();
        match FileKind::parse(&data) {
            Ok(kind) if kind == KIND => {}
            Ok(FileKind::Elf32) => return Err("it is a 32-bit library".to_owned()),
            Ok(FileKind::Elf64) => return Err("it is a 64-bit library".to_owned()),
            _ => return Err("it is not a shared library".to_owned()),
        }
        let header = Header::parse(&data).map_err(damaged)?;
        let endian = header.endian().map_err(damaged)?;
        let machine = header.e_machine(endian);
        if MACHINE.is_some_and(|wanted| wanted != machine) {
            return Err(format!(
                "it is a library for another kind of processor (ELF machine {}, this is {})",
                machine.0,
                std::env::consts::ARCH
            ));
        }
        for segment in header.program_headers(endian, &data).map_err(damaged)? {
            if segment.p_type(endian) != PT_LOAD {
                continue;
            }
            // u32 on 32-bit machines
            #[allow(clippy::useless_conversion)]
            let offset: u64 = segment.p_offset(endian).into();
            #[allow(clippy::useless_conversion)]
            let size: u64 = segment.p_filesz(endian).into();
            if offset.checked_add(size).is_none_or(|end| end > length) {
                return Err(format!(
                    "the file is cut short ({length} bytes); install it again"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_knows_where_it_is() {
        let here = file_of_symbol(a_file_knows_where_it_is as *const ()).expect("dladdr");
        assert_eq!(
            here,
            std::env::current_exe()
                .expect("exe")
                .canonicalize()
                .expect("path")
        );
    }
}
