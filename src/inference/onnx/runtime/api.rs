//! The functions of an ONNX Runtime, as the table that `ort` calls them by.

use std::mem::{offset_of, size_of};

use ort::sys::{OrtApi, OrtApiBase, stub};

use super::version::{MINIMUM, Version};

/// The API that `ort` is built for, and the oldest that serves. Each begins with all of the one before.
const NEWEST: u32 = ort::sys::ORT_API_VERSION;
const OLDEST: u32 = MINIMUM.minor;

const _: () = assert!(NEWEST == 22 && OLDEST == 21);

/// The first function that API 22 adds.
const END_OF_OLDEST: usize = offset_of!(OrtApi, ReleaseValueInfo);

/// Which API to ask an ONNX Runtime of this version for. One that it does not have would be complained of on stderr.
const fn level(version: Version) -> u32 {
    if version.major > 1 || version.minor >= NEWEST {
        NEWEST
    } else {
        OLDEST
    }
}

/// Whether the library has the API that `version` stands for.
pub(super) fn is_offered(base: &OrtApiBase, version: Version) -> Result<(), u32> {
    let level = level(version);
    // SAFETY: takes a number and returns null or a pointer to a static table
    let api = unsafe { (base.GetApi)(level) };
    if api.is_null() { Err(level) } else { Ok(()) }
}

/// The table of functions. Those that the library is too old for fail or do nothing, and must not be called where their
/// error is read: it would be one of `ort`'s, which the library can't read. They are those of plugin providers and of
/// graphs made in code.
pub(super) fn table(base: &OrtApiBase, version: Version) -> Option<OrtApi> {
    let level = level(version);
    // SAFETY: takes a number and returns null or a pointer to a static table
    let api = unsafe { (base.GetApi)(level) };
    if api.is_null() {
        return None;
    }
    let none = stub::api();
    let mut table = stub::api();
    let bytes = if level >= NEWEST {
        size_of::<OrtApi>()
    } else {
        END_OF_OLDEST
    };
    // SAFETY: a library that offers an API has all functions of that API in the table, and those of `level` take so many
    // bytes of `OrtApi`; both are plain C structures of function pointers, and don't overlap
    unsafe {
        std::ptr::copy_nonoverlapping(api.cast::<u8>(), (&raw mut table).cast::<u8>(), bytes);
    }
    // `ort` asks each session for a provider of the runtime's own choice: providers are named here
    table.SessionOptionsSetEpSelectionPolicy = none.SessionOptionsSetEpSelectionPolicy;
    // and has it make descriptions of inputs that only graphs made in code need
    table.GetModelEditorApi = none.GetModelEditorApi;
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_library_is_asked_for_an_api_that_it_lacks() {
        let level = |text| level(Version::parse(text).expect("a version"));
        assert_eq!(level("1.21.1"), 21);
        assert_eq!(level("1.22.0"), 22);
        assert_eq!(level("1.32.0"), 22);
        assert_eq!(level("2.0.0"), 22);
    }
}
