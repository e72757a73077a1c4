//! The entry of this plugin's file as a program, which the dynamic loader runs: `ld-linux-x86-64.so.2 FILE --try-model`.
//! `build.rs` tells the linker of it.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::child;
use crate::inference::onnx::runtime::{file_of_symbol, image};
use crate::panics::caught;

/// The file's name, where a program holds what the plugin does.
const PLUGIN: &str = "libgstdepthanything.so";

// As the entry of any C program: the number of arguments is on top of the stack, and above it they are.
std::arch::global_asm!(
    ".pushsection .text.depthanything_start, \"ax\", @progbits",
    ".globl depthanything_start",
    ".hidden depthanything_start",
    ".type depthanything_start, @function",
    "depthanything_start:",
    "xor ebp, ebp",
    "mov rsi, [rsp]",
    "lea rdx, [rsp + 8]",
    "lea rdi, [rip + {main}]",
    "xor ecx, ecx",
    "xor r8d, r8d",
    "xor r9d, r9d",
    "mov rax, rsp",
    "and rsp, -16",
    // the last of seven arguments, twice to keep the stack aligned
    "push rax",
    "push rax",
    "call {run}@PLT",
    "hlt",
    ".popsection",
    main = sym main,
    run = sym __libc_start_main,
);

unsafe extern "C" {
    /// Prepares the C library, calls `main` and exits with what it gives.
    fn __libc_start_main(
        main: extern "C" fn(c_int, *const *const c_char) -> c_int,
        count: c_int,
        arguments: *const *const c_char,
        begin: *const c_void,
        end: *const c_void,
        end_of_loader: *const c_void,
        stack: *const c_void,
    ) -> c_int;
}

extern "C" fn main(count: c_int, arguments: *const *const c_char) -> c_int {
    let count = usize::try_from(count).unwrap_or(0);
    let text = |index| {
        // SAFETY: the C library hands over so many texts that end in zero
        let text = unsafe { CStr::from_ptr(*arguments.add(index)) };
        OsStr::from_bytes(text.to_bytes()).to_owned()
    };
    let arguments: Vec<_> = (0..count).map(text).collect();
    caught(|| child::run(&arguments)).unwrap_or(1)
}

/// The dynamic loader of this process, and the plugin's file.
pub(super) fn files() -> Option<(PathBuf, PathBuf)> {
    let named = |path: &PathBuf, start: &str| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(start)
    };
    let loader = image::loaded()
        .into_iter()
        .map(|image| image.path)
        .find(|path| named(path, "ld-linux"));
    let own = file_of_symbol(files as *const ())?;
    let program = std::env::current_exe().and_then(|path| path.canonicalize());
    let plugin = match program.is_ok_and(|program| program == own) {
        false => own,
        // it was linked into a program, whose build has left the plugin beside it
        true => own
            .ancestors()
            .skip(1)
            .take(2)
            .flat_map(|folder| [folder.join(PLUGIN), folder.join("deps").join(PLUGIN)])
            .find(|file| file.is_file())?,
    };
    Some((loader?, plugin))
}
