//! Integer divisions by zero inside ONNX Runtime.
//!
//! The runtime divides by what a model's file and its values say: in `Div` and `Mod`, by the sides of empty tensors, by
//! numbers of groups, blocks and steps. Not every version looks at each of them first. On x86 such a division traps, and
//! the signal (SIGFPE) ends the process. On ARM its result is zero, and the program goes on. Here it is so on x86 too: a
//! handler gives a trapped division of the libraries that are watched the result zero. A trap in any other code is not
//! touched: it goes to the handler that was there before, or ends the process as it would have.

use std::ffi::{c_int, c_void};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use super::image::{Image, loaded};
use crate::sync::lock;

/// Libraries that are watched at most. A runtime with its providers is some ten; beyond that, a trap is not answered.
const MOST: usize = 256;
/// `si_code` of a division that trapped.
const FPE_INTDIV: c_int = 1;

/// Address ranges of the libraries: first byte, and the one after the last. Those that begin at zero are free.
static WATCHED: [(AtomicUsize, AtomicUsize); MOST] =
    [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; MOST];

/// What SIGFPE did before; none where no handler could be set.
static BEFORE: OnceLock<Option<libc::sigaction>> = OnceLock::new();

/// Gives divisions by zero in `image` the result zero from now on.
pub(super) fn watch(image: &Image) {
    let (start, end) = image.range();
    watch_range(start, end);
}

/// As [`watch`], for all libraries that were loaded from `folder`.
pub(super) fn watch_beside(folder: &Path) {
    let images = loaded();
    images
        .iter()
        .filter(|image| image.path.parent() == Some(folder))
        .for_each(watch);
}

fn watch_range(start: usize, end: usize) {
    static ADDING: Mutex<()> = Mutex::new(());
    let _adding = lock(&ADDING);
    BEFORE.get_or_init(set_handler);
    // a range that begins where another one did is of a library that was loaded in that one's place
    let place = WATCHED
        .iter()
        .find(|(known, _)| [0, start].contains(&known.load(Ordering::Relaxed)));
    if let Some((known_start, known_end)) = place {
        known_end.store(end, Ordering::Relaxed);
        known_start.store(start, Ordering::Release);
    }
}

fn is_watched(address: usize) -> bool {
    WATCHED
        .iter()
        .map(|(start, end)| (start.load(Ordering::Acquire), end.load(Ordering::Relaxed)))
        .take_while(|&(start, _)| start != 0)
        .any(|(start, end)| (start..end).contains(&address))
}

/// Sets [`handle`] for SIGFPE, and returns what was set.
fn set_handler() -> Option<libc::sigaction> {
    // SAFETY: of numbers, pointers and sets of bits, for which zero is a value
    let (mut new, mut before) = unsafe { std::mem::zeroed::<(libc::sigaction, libc::sigaction)>() };
    new.sa_sigaction = handle as *const () as usize;
    new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: `handle` has the type that SA_SIGINFO asks for, and does nothing that a signal handler may not: it reads
    // and writes atomics and what the kernel hands it
    let done = unsafe { libc::sigaction(libc::SIGFPE, &raw const new, &raw mut before) };
    (done == 0).then_some(before)
}

unsafe extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel gives a handler with SA_SIGINFO both, for as long as it runs
    let (code, registers) = unsafe {
        let context = context.cast::<libc::ucontext_t>();
        ((*info).si_code, &mut (*context).uc_mcontext.gregs)
    };
    let address = registers[libc::REG_RIP as usize] as usize;
    if code == FPE_INTDIV && is_watched(address) {
        // SAFETY: bytes of the instruction that the processor has just read
        let byte = |index| unsafe { *(address as *const u8).add(index) };
        if let Some(division) = Division::decode(byte) {
            division.give_zero(registers);
            return;
        }
    }
    // SAFETY: as this function's
    unsafe { pass_on(signal, info, context) };
}

/// Does what would have been done without [`handle`].
///
/// # Safety
/// As the handler's.
unsafe fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let before = BEFORE.get().copied().flatten();
    match before {
        Some(before) if ![libc::SIG_DFL, libc::SIG_IGN].contains(&before.sa_sigaction) => {
            let function = before.sa_sigaction as *const ();
            if before.sa_flags & libc::SA_SIGINFO != 0 {
                type WithInfo = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
                // SAFETY: it was set as a handler of this type
                unsafe {
                    std::mem::transmute::<*const (), WithInfo>(function)(signal, info, context)
                }
            } else {
                // SAFETY: it was set as a handler of this type
                unsafe {
                    std::mem::transmute::<*const (), unsafe extern "C" fn(c_int)>(function)(signal);
                }
            }
        }
        // the instruction is run again, and ends the process: the kernel lets nobody ignore a trap
        _ => {
            // SAFETY: of numbers, pointers and sets of bits; zero stands for the default
            unsafe {
                let default = std::mem::zeroed::<libc::sigaction>();
                libc::sigaction(signal, &raw const default, std::ptr::null_mut());
            }
        }
    }
}

/// A `div` or `idiv` instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Division {
    width: Width,
    /// In bytes.
    length: usize,
}

/// Of the divisor and the quotient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    /// 8 bits: quotient in AL, remainder in AH.
    Byte,
    /// 16 bits: AX and DX, what stands above them stays.
    Word,
    /// 32 or 64 bits: RAX and RDX, whole.
    Wide,
}

impl Division {
    /// The instruction of these bytes, if it is one; no byte behind it is asked for.
    fn decode(byte: impl Fn(usize) -> u8) -> Option<Self> {
        /// No instruction is longer.
        const LONGEST: usize = 15;
        let mut at = 0;
        let mut is_word = false;
        // prefixes: operand size; address size, segments, repetition, which change nothing here
        loop {
            match byte(at) {
                0x66 => is_word = true,
                0x67 | 0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0xf2 | 0xf3 => {}
                _ => break,
            }
            at += 1;
            if at == LONGEST {
                return None;
            }
        }
        let rex = byte(at);
        let has_rex = rex & 0xf0 == 0x40;
        if has_rex {
            at += 1;
        }
        let is_64_bits = has_rex && rex & 8 != 0;
        let width = match byte(at) {
            0xf6 => Width::Byte,
            0xf7 if is_word && !is_64_bits => Width::Word,
            0xf7 => Width::Wide,
            _ => return None,
        };
        at += 1;
        let operand = byte(at);
        at += 1;
        let (mode, operation, register) = (operand >> 6, (operand >> 3) & 7, operand & 7);
        // 6: div, 7: idiv
        if operation < 6 {
            return None;
        }
        let base = if mode != 3 && register == 4 {
            at += 1;
            byte(at - 1) & 7
        } else {
            register
        };
        at += match mode {
            0 if base == 5 => 4,
            1 => 1,
            2 => 4,
            _ => 0,
        };
        Some(Self { width, length: at })
    }

    /// Sets quotient and remainder to zero, and goes on behind the instruction.
    fn give_zero(self, registers: &mut [libc::greg_t; 23]) {
        let kept = match self.width {
            Width::Byte | Width::Word => !0xffff,
            Width::Wide => 0,
        };
        registers[libc::REG_RAX as usize] &= kept;
        if self.width != Width::Byte {
            registers[libc::REG_RDX as usize] &= kept;
        }
        registers[libc::REG_RIP as usize] += self.length as libc::greg_t;
    }
}

#[cfg(test)]
mod tests {
    use std::arch::asm;

    use super::*;

    #[test]
    fn instructions_are_known_with_their_lengths() {
        let is = |bytes: &[u8], width| {
            let division = Division::decode(|index| bytes[index]);
            let length = bytes.len();
            assert_eq!(division, Some(Division { width, length }), "{bytes:02x?}");
        };
        // idiv ecx; div ecx; idiv rcx; div r8; idiv cx; idiv cl; div sil
        is(&[0xf7, 0xf9], Width::Wide);
        is(&[0xf7, 0xf1], Width::Wide);
        is(&[0x48, 0xf7, 0xf9], Width::Wide);
        is(&[0x49, 0xf7, 0xf0], Width::Wide);
        is(&[0x66, 0xf7, 0xf9], Width::Word);
        is(&[0x66, 0x48, 0xf7, 0xf9], Width::Wide);
        is(&[0xf6, 0xf9], Width::Byte);
        is(&[0x40, 0xf6, 0xf6], Width::Byte);
        // from memory: [rdi], [rdi+8], [rdi+0x100], [rip+…], [rsp], [rsp+8], [rsp+0x100], [4·rax+…], [fs:rdi]
        is(&[0x48, 0xf7, 0x3f], Width::Wide);
        is(&[0x48, 0xf7, 0x7f, 8], Width::Wide);
        is(&[0x48, 0xf7, 0xbf, 0, 1, 0, 0], Width::Wide);
        is(&[0xf7, 0x3d, 0, 1, 0, 0], Width::Wide);
        is(&[0xf7, 0x3c, 0x24], Width::Wide);
        is(&[0xf7, 0x7c, 0x24, 8], Width::Wide);
        is(&[0xf7, 0xbc, 0x24, 0, 1, 0, 0], Width::Wide);
        is(&[0xf7, 0x3c, 0x85, 0, 1, 0, 0], Width::Wide);
        is(&[0x64, 0x48, 0xf7, 0x3f], Width::Wide);
        // not; mul; add; a row of prefixes
        for other in [
            &[0xf7_u8, 0xd1][..],
            &[0xf7, 0xe1],
            &[0x01, 0xc8],
            &[0x66; 16],
        ] {
            let division = Division::decode(|index| other[index]);
            assert_eq!(division, None, "{other:02x?}");
        }
    }

    #[inline(never)]
    fn divide(divisor: i64) -> (i64, i64) {
        let (quotient, remainder);
        // SAFETY: traps for a zero, which is answered
        unsafe {
            asm!("cqo", "idiv {}", in(reg) divisor, inlateout("rax") 17_i64 => quotient, lateout("rdx") remainder);
        }
        (quotient, remainder)
    }

    #[inline(never)]
    fn divide_words(divisor: u16) -> (u64, u64) {
        let (quotient, remainder);
        // SAFETY: as above
        unsafe {
            asm!("div {:x}", in(reg) divisor, inlateout("rax") 0x7_0011_u64 => quotient,
                 inlateout("rdx") 0x9_0000_u64 => remainder);
        }
        (quotient, remainder)
    }

    #[test]
    fn a_division_by_zero_gives_zero_and_goes_on() {
        for function in [divide as *const (), divide_words as *const ()] {
            let start = function as usize;
            watch_range(start, start + 64);
        }
        assert_eq!(divide(5), (3, 2));
        assert_eq!(divide(0), (0, 0));
        assert_eq!(divide_words(5), (0x7_0003, 0x9_0002));
        assert_eq!(divide_words(0), (0x7_0000, 0x9_0000));
        // many threads at once
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| assert_eq!(divide(0), (0, 0))));
            }
        });
    }

    #[test]
    fn code_that_is_not_watched_is_not_touched() {
        let start = divide as *const () as usize;
        watch_range(start, start + 64);
        assert!(is_watched(start) && is_watched(start + 63));
        assert!(!is_watched(is_watched as *const () as usize));
    }
}
