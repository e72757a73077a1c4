//! How much memory ONNX Runtime may ask for.
//!
//! An operator asks for what its inputs say, which a model file can make any number. The system often promises more than
//! it has, and ends the process when it is used. So the functions by which the runtime's library asks for memory are bound
//! to those of this module, which look at large requests only: one that is beyond what its thread is allowed, or beyond
//! what the machine has left, is refused as if the system had refused it, and the run fails with an error.

use std::cell::Cell;

/// Smaller requests are not looked at: of what is given back and asked for again all day …
const SMALL: usize = 1 << 20;
/// … and of what values of a graph are kept in, which an arena asks for in large pieces as long as it gets them.
const SMALL_VALUE: usize = 1 << 12;
/// From here on it is asked what the machine has left.
const LARGE: usize = 256 << 20;

thread_local! {
    /// Bytes that this thread may still ask for; `None`: as many as there are.
    static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
    /// Whether that was lowered since it was set or added to.
    static LOWERED: Cell<bool> = const { Cell::new(false) };
    /// A request of this thread was refused since bytes were last set.
    static REFUSED: Cell<Option<Refusal>> = const { Cell::new(None) };
}

/// What a request was beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::inference::onnx) enum Refusal {
    /// What loading and trying a model may take, or what the machine has.
    Loading,
    /// What [`lower`] has left.
    Lowered,
}

/// Sets how many bytes this thread may ask for, in large pieces, what it gives back not counted off.
pub(in crate::inference::onnx) fn set(bytes: Option<u64>) {
    LEFT.set(bytes);
    LOWERED.set(false);
    REFUSED.set(None);
}

/// Lets this thread ask for so many bytes more, if there is a bound.
pub(in crate::inference::onnx) fn add(bytes: u64) {
    LEFT.set(LEFT.get().map(|left| left.saturating_add(bytes)));
    LOWERED.set(false);
}

/// Lets this thread ask for no more than so many bytes, if there is a bound.
pub(in crate::inference::onnx) fn lower(bytes: u64) {
    if LEFT.get().is_some_and(|left| left > bytes) {
        LEFT.set(Some(bytes));
        LOWERED.set(true);
    }
}

/// Whether a request of this thread was refused since the last [`set`], and why.
pub(in crate::inference::onnx) fn refused() -> Option<Refusal> {
    REFUSED.get()
}

/// Whether so many bytes may not be had; fewer than `least` always may.
#[cfg_attr(not(any(test, target_os = "linux")), expect(dead_code))]
fn refuses(bytes: usize, least: usize) -> bool {
    if bytes < least {
        return false;
    }
    let left = LEFT.try_with(Cell::get).ok().flatten();
    let remaining = left.map(|left| left.checked_sub(bytes as u64));
    let too_much = remaining == Some(None) || (bytes >= LARGE && !machine_has(bytes as u64));
    if too_much {
        let lowered = LOWERED.try_with(Cell::get).unwrap_or(false);
        let why = match remaining {
            Some(None) if lowered => Refusal::Lowered,
            _ => Refusal::Loading,
        };
        let _ = REFUSED.try_with(|refused| refused.set(Some(why)));
    } else if let Some(remaining) = remaining {
        let _ = LEFT.try_with(|left| left.set(remaining));
    }
    too_much
}

fn machine_has(bytes: u64) -> bool {
    // asked for by C++: a panic must not cross into it
    let available = crate::panics::caught(crate::inference::planner::available_with_swap);
    available.ok().flatten().is_none_or(|left| bytes <= left)
}

#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub(super) use bound::{bind, bind_beside};

#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod bound {
    use std::ffi::{CStr, c_int, c_void};
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::image::{Image, loaded};
    use super::{SMALL, SMALL_VALUE, refuses};

    /// A function that asks for memory: its name in libraries, the one of this module that stands before it, and the one
    /// that it is without this.
    struct Function {
        name: &'static CStr,
        own: fn() -> usize,
        original: AtomicUsize,
    }

    const fn function(name: &'static CStr, own: fn() -> usize) -> Function {
        Function {
            name,
            own,
            original: AtomicUsize::new(0),
        }
    }

    /// Those of C, and C++'s `operator new` and `new[]`: plain, for an alignment, and that return null.
    static FUNCTIONS: [Function; 8] = [
        function(c"posix_memalign", || aligned as *const () as usize),
        function(c"malloc", || plain as *const () as usize),
        function(c"calloc", || zeroed as *const () as usize),
        function(c"_Znwm", || new as *const () as usize),
        function(c"_Znam", || new_array as *const () as usize),
        function(c"_ZnwmSt11align_val_t", || {
            new_aligned as *const () as usize
        }),
        function(c"_ZnwmRKSt9nothrow_t", || new_or_null as *const () as usize),
        function(c"_ZnamRKSt9nothrow_t", || {
            new_array_or_null as *const () as usize
        }),
    ];

    /// Binds what `image` asks for memory by to the functions of this module.
    pub(in crate::inference::onnx::runtime) fn bind(image: &Image) {
        for function in &FUNCTIONS {
            let own = (function.own)();
            for (_, slot) in image.imports(|name| name == function.name) {
                let bound = slot.bound_to();
                // not bound yet, so that it is not known what to
                if image.holds(bound) || bound == own {
                    continue;
                }
                let known = function.original.compare_exchange(
                    0,
                    bound,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                );
                if known.is_ok() || known == Err(bound) {
                    // SAFETY: a function of the same type, which gets memory by the one that was there: whoever runs in
                    // the library meanwhile may call either
                    let _ = unsafe { slot.bind(own) };
                }
            }
        }
    }

    /// As [`bind`], for all libraries that were loaded from `folder`.
    pub(in crate::inference::onnx::runtime) fn bind_beside(folder: &Path) {
        let images = loaded();
        images
            .iter()
            .filter(|image| image.path.parent() == Some(folder))
            .for_each(bind);
    }

    /// The function that was bound under the name of that number in [`FUNCTIONS`].
    ///
    /// # Safety
    /// `F` is its type, and the call comes from a function of this module that was bound.
    unsafe fn original<F: Copy>(number: usize) -> F {
        let address = FUNCTIONS[number].original.load(Ordering::Acquire);
        const { assert!(size_of::<F>() == size_of::<usize>()) };
        // SAFETY: the address of such a function, set before anything was bound to its stand-in
        unsafe { std::mem::transmute_copy(&address) }
    }

    unsafe extern "C" fn aligned(
        memory: *mut *mut c_void,
        alignment: usize,
        bytes: usize,
    ) -> c_int {
        if refuses(bytes, SMALL_VALUE) {
            return libc::ENOMEM;
        }
        type Aligned = unsafe extern "C" fn(*mut *mut c_void, usize, usize) -> c_int;
        // SAFETY: as the caller's
        unsafe { original::<Aligned>(0)(memory, alignment, bytes) }
    }

    unsafe extern "C" fn plain(bytes: usize) -> *mut c_void {
        if refuses(bytes, SMALL) {
            return std::ptr::null_mut();
        }
        // SAFETY: as the caller's
        unsafe { original::<unsafe extern "C" fn(usize) -> *mut c_void>(1)(bytes) }
    }

    unsafe extern "C" fn zeroed(count: usize, bytes: usize) -> *mut c_void {
        if refuses(count.saturating_mul(bytes), SMALL) {
            return std::ptr::null_mut();
        }
        // SAFETY: as the caller's
        unsafe { original::<unsafe extern "C" fn(usize, usize) -> *mut c_void>(2)(count, bytes) }
    }

    type New = unsafe extern "C-unwind" fn(usize) -> *mut c_void;
    type NewWith = unsafe extern "C-unwind" fn(usize, usize) -> *mut c_void;

    /// What is refused is asked for in a size that nobody has: then it is C++ that throws, through frames that have
    /// nothing to clean up.
    fn possible(bytes: usize, least: usize) -> usize {
        if refuses(bytes, least) {
            isize::MAX as usize / 2
        } else {
            bytes
        }
    }

    unsafe extern "C-unwind" fn new(bytes: usize) -> *mut c_void {
        let bytes = possible(bytes, SMALL);
        // SAFETY: as the caller's
        unsafe { original::<New>(3)(bytes) }
    }

    unsafe extern "C-unwind" fn new_array(bytes: usize) -> *mut c_void {
        let bytes = possible(bytes, SMALL);
        // SAFETY: as the caller's
        unsafe { original::<New>(4)(bytes) }
    }

    unsafe extern "C-unwind" fn new_aligned(bytes: usize, alignment: usize) -> *mut c_void {
        let bytes = possible(bytes, SMALL_VALUE);
        // SAFETY: as the caller's
        unsafe { original::<NewWith>(5)(bytes, alignment) }
    }

    unsafe extern "C-unwind" fn new_or_null(bytes: usize, tag: usize) -> *mut c_void {
        let bytes = possible(bytes, SMALL);
        // SAFETY: as the caller's
        unsafe { original::<NewWith>(6)(bytes, tag) }
    }

    unsafe extern "C-unwind" fn new_array_or_null(bytes: usize, tag: usize) -> *mut c_void {
        let bytes = possible(bytes, SMALL);
        // SAFETY: as the caller's
        unsafe { original::<NewWith>(7)(bytes, tag) }
    }

    #[cfg(test)]
    mod tests {
        use super::super::{Refusal, refused, set};
        use super::*;

        #[test]
        fn each_function_stands_before_its_own() {
            // as they are bound in a library
            let known = |name: &CStr| {
                // SAFETY: looks a name up in what is loaded
                let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
                address as usize
            };
            for function in FUNCTIONS.iter().take(3) {
                let address = known(function.name);
                assert_ne!(address, 0, "{:?}", function.name);
                function.original.store(address, Ordering::Release);
            }
            set(Some(64 << 20));
            // SAFETY: sound requests; what is had is freed
            unsafe {
                let mut memory = std::ptr::null_mut();
                assert_eq!(aligned(&raw mut memory, 64, 2 << 20), 0);
                libc::free(memory);
                assert_eq!(aligned(&raw mut memory, 64, 2 << 30), libc::ENOMEM);
                let memory = plain(2 << 20);
                assert!(!memory.is_null());
                libc::free(memory);
                assert!(plain(2 << 30).is_null());
                let memory = zeroed(2, 1 << 20);
                assert!(!memory.is_null());
                libc::free(memory);
                assert!(zeroed(1 << 40, 1 << 40).is_null());
            }
            assert_eq!(refused(), Some(Refusal::Loading));
            set(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gets_what_it_is_allowed() {
        set(Some(10 << 20));
        assert!(!refuses(100, SMALL), "small");
        assert!(!refuses(6 << 20, SMALL));
        assert_eq!(refused(), None);
        assert!(refuses(6 << 20, SMALL));
        assert_eq!(refused(), Some(Refusal::Loading));
        // a smaller one is still there
        assert!(!refuses(4 << 20, SMALL));
        assert!(refuses(1 << 20, SMALL));
        add(1 << 20);
        assert!(!refuses(1 << 20, SMALL));
        std::thread::spawn(|| assert!(!refuses(8 << 20, SMALL), "another thread"))
            .join()
            .unwrap();
        add(90 << 20);
        lower(5 << 20);
        assert!(!refuses(4 << 20, SMALL));
        assert!(refuses(4 << 20, SMALL));
        assert_eq!(refused(), Some(Refusal::Lowered));
        lower(50 << 20);
        assert!(refuses(4 << 20, SMALL), "no higher");
        add(10 << 20);
        assert!(refuses(20 << 20, SMALL));
        assert_eq!(refused(), Some(Refusal::Loading));
        set(None);
        lower(1);
        assert!(!refuses(8 << 20, SMALL));
        assert_eq!(refused(), None);
    }

    #[test]
    fn nobody_gets_more_than_the_machine_has() {
        if crate::inference::planner::available_with_swap().is_none() {
            return;
        }
        set(None);
        assert!(refuses(1 << 60, SMALL));
        assert_eq!(refused(), Some(Refusal::Loading));
        set(Some(u64::MAX));
        assert!(refuses(1 << 60, SMALL));
        set(None);
    }
}
