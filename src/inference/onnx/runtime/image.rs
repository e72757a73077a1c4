//! Shared libraries that this process has loaded, and what their imported functions are bound to.
//!
//! glibc keeps no such list for programs, but its own tables are there to be read: `dl_iterate_phdr` names each
//! library, whose dynamic section names the functions that it imports and the slots that their addresses are in.

use std::ffi::{CStr, OsStr, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// `R_…_GLOB_DAT` and `R_…_JUMP_SLOT`: a slot for the address of what another library defines.
#[cfg(target_arch = "aarch64")]
const ADDRESS_SLOTS: [u32; 2] = [1025, 1026];
#[cfg(target_arch = "x86_64")]
const ADDRESS_SLOTS: [u32; 2] = [6, 7];

/// Tags of a dynamic section: where tables are, and their sizes.
const DT_NULL: i64 = 0;
const DT_PLTRELSZ: i64 = 2;
const DT_STRTAB: i64 = 5;
const DT_SYMTAB: i64 = 6;
const DT_RELA: i64 = 7;
const DT_RELASZ: i64 = 8;
const DT_JMPREL: i64 = 23;

/// `Elf64_Dyn`.
#[repr(C)]
struct Dynamic {
    tag: i64,
    value: usize,
}

/// `Elf64_Sym`.
#[repr(C)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: u64,
    size: u64,
}

/// `Elf64_Rela`.
#[repr(C)]
struct Relocation {
    offset: u64,
    symbol: u64,
    addend: i64,
}

/// Where a table is and how many bytes it takes.
#[derive(Debug, Clone, Copy, Default)]
struct Table {
    address: usize,
    bytes: usize,
}

/// A library that is loaded, for as long as nobody unloads it.
#[derive(Debug, Clone)]
pub(in crate::inference::onnx) struct Image {
    /// Its file; empty for the program itself.
    pub(in crate::inference::onnx) path: PathBuf,
    base: usize,
    /// What it takes of the address space.
    start: usize,
    end: usize,
    dynamic: usize,
    /// Is made read-only once its functions are bound.
    read_only: Table,
}

/// All libraries of this process, in the order in which they were loaded.
pub(in crate::inference::onnx) fn loaded() -> Vec<Image> {
    let mut images = Vec::<Image>::new();
    let data: *mut Vec<Image> = &raw mut images;
    // SAFETY: `collect` has the type that is wanted, is called before this returns, and gets what `data` points at,
    // which nothing else uses meanwhile
    unsafe { libc::dl_iterate_phdr(Some(collect), data.cast()) };
    images
}

unsafe extern "C" fn collect(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    data: *mut c_void,
) -> c_int {
    // SAFETY: the loader gives a valid description, and `loaded` its own list
    let (info, images) = unsafe { (&*info, &mut *data.cast::<Vec<Image>>()) };
    let name = if info.dlpi_name.is_null() {
        c""
    } else {
        // SAFETY: a NUL-terminated name that lives as long as the library is loaded; copied below
        unsafe { CStr::from_ptr(info.dlpi_name) }
    };
    let headers = if info.dlpi_phdr.is_null() {
        &[]
    } else {
        // SAFETY: so many program headers of a loaded library
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) }
    };
    let base = info.dlpi_addr as usize;
    let mut image = Image {
        path: PathBuf::from(OsStr::from_bytes(name.to_bytes())),
        base,
        start: usize::MAX,
        end: 0,
        dynamic: 0,
        read_only: Table::default(),
    };
    for header in headers {
        let start = base.wrapping_add(header.p_vaddr as usize);
        let bytes = header.p_memsz as usize;
        match header.p_type {
            libc::PT_LOAD => {
                image.start = image.start.min(start);
                image.end = image.end.max(start.saturating_add(bytes));
            }
            libc::PT_DYNAMIC => image.dynamic = start,
            libc::PT_GNU_RELRO => {
                image.read_only = Table {
                    address: start,
                    bytes,
                };
            }
            _ => {}
        }
    }
    images.push(image);
    0
}

impl Image {
    /// Whether `address` is in it.
    pub(super) fn holds(&self, address: usize) -> bool {
        (self.start..self.end).contains(&address)
    }

    /// Its first address, and the one behind its last.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn range(&self) -> (usize, usize) {
        (self.start, self.end)
    }

    /// Where its addresses begin.
    pub(super) fn base(&self) -> usize {
        self.base
    }

    /// Whether it was loaded from a file, as neither the program itself nor what the kernel brings.
    pub(super) fn is_library(&self) -> bool {
        self.path.is_absolute()
    }

    /// Whether both are the same library of this process.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.base == other.base && self.dynamic == other.dynamic
    }

    /// The imported functions whose name `wanted` is true for, each with the slot that its address is in.
    pub(super) fn imports(&self, wanted: impl Fn(&CStr) -> bool) -> Vec<(&CStr, Slot)> {
        let Some(tables) = self.tables() else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for table in [tables.bound_later, tables.bound_at_load] {
            let count = table.bytes / size_of::<Relocation>();
            for index in 0..count {
                // SAFETY: the table lies in the loaded library and has `count` entries
                let relocation =
                    unsafe { &*(table.address as *const Relocation).wrapping_add(index) };
                let (symbol, kind) = (relocation.symbol >> 32, relocation.symbol as u32);
                if !ADDRESS_SLOTS.contains(&kind) {
                    continue;
                }
                // SAFETY: the loader has followed this very number to bind the slot, so the symbol is there
                let symbol =
                    unsafe { &*(tables.symbols as *const Symbol).wrapping_add(symbol as usize) };
                // imported: defined in no section of its own
                if symbol.section != 0 {
                    continue;
                }
                let name = tables.strings.wrapping_add(symbol.name as usize);
                // SAFETY: the loader has looked this very name up; names end in NUL
                let name = unsafe { CStr::from_ptr(name as *const _) };
                if wanted(name) {
                    let address = self.base.wrapping_add(relocation.offset as usize);
                    found.push((name, self.slot(address)));
                }
            }
        }
        found
    }

    fn slot(&self, address: usize) -> Slot {
        let Table {
            address: start,
            bytes,
        } = self.read_only;
        Slot {
            address,
            read_only: (start..start.saturating_add(bytes)).contains(&address),
        }
    }

    fn tables(&self) -> Option<Tables> {
        if self.dynamic == 0 || !self.holds(self.dynamic) {
            return None;
        }
        let mut tables = Tables::default();
        let mut entry = self.dynamic as *const Dynamic;
        loop {
            // SAFETY: the dynamic section of a loaded library ends in DT_NULL
            let &Dynamic { tag, value } = unsafe { &*entry };
            // glibc has made addresses of what were offsets, except where the section is read-only
            let address = if value < self.base {
                self.base.wrapping_add(value)
            } else {
                value
            };
            match tag {
                DT_NULL => break,
                DT_STRTAB => tables.strings = address,
                DT_SYMTAB => tables.symbols = address,
                DT_JMPREL => tables.bound_later.address = address,
                DT_PLTRELSZ => tables.bound_later.bytes = value,
                DT_RELA => tables.bound_at_load.address = address,
                DT_RELASZ => tables.bound_at_load.bytes = value,
                _ => {}
            }
            entry = entry.wrapping_add(1);
        }
        for table in [&mut tables.bound_later, &mut tables.bound_at_load] {
            if table.address == 0 {
                table.bytes = 0;
            }
        }
        (tables.strings != 0 && tables.symbols != 0).then_some(tables)
    }
}

#[derive(Default)]
struct Tables {
    strings: usize,
    symbols: usize,
    bound_later: Table,
    bound_at_load: Table,
}

/// Where a library keeps the address of a function that it imports.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    address: usize,
    read_only: bool,
}

impl Slot {
    /// The function that it is bound to by now. One that is bound when it is first called is still bound to the
    /// library itself.
    pub(super) fn bound_to(&self) -> usize {
        // SAFETY: the loader keeps an address there, for as long as the library is loaded
        unsafe { std::ptr::read_volatile(self.address as *const usize) }
    }

    /// Binds it to `function`.
    ///
    /// # Errors
    /// When the page that it is on can't be written.
    ///
    /// # Safety
    /// `function` has the type of the function that the library imports, and no other thread runs in the library.
    pub(super) unsafe fn bind(&self, function: usize) -> std::io::Result<()> {
        if self.read_only {
            self.protect(libc::PROT_READ | libc::PROT_WRITE)?;
        }
        // SAFETY: as in `bound_to`; the page can be written, from the start or by now
        unsafe { std::ptr::write_volatile(self.address as *mut usize, function) };
        if self.read_only {
            self.protect(libc::PROT_READ)?;
        }
        Ok(())
    }

    fn protect(&self, protection: c_int) -> std::io::Result<()> {
        // SAFETY: asks for a number
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page = usize::try_from(page).unwrap_or(4096);
        let start = self.address & !(page - 1);
        // SAFETY: a page of a library's data, which no code is on and which stays readable
        let result = unsafe { libc::mprotect(start as *mut c_void, page, protection) };
        if result == 0 {
            Ok(())
        } else {
            Err(std::io::Error::last_os_error())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_and_its_functions_are_found() {
        let here = this_program_and_its_functions_are_found as *const () as usize;
        let images = loaded();
        let image = images
            .iter()
            .find(|image| image.holds(here))
            .expect("the program");
        let imports = image.imports(|name| name == c"dl_iterate_phdr");
        let (_, slot) = imports.first().expect("what this module calls");
        let libc = images
            .iter()
            .find(|image| image.path.to_string_lossy().contains("libc.so"))
            .expect("libc");
        assert!(libc.holds(slot.bound_to()) || image.holds(slot.bound_to()));
        assert!(!libc.is(image));
    }
}
