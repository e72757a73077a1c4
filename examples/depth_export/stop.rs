//! Ctrl-C and SIGTERM: what is under way is finished, and no more is begun.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

use crate::failure::{Failure, Result};

/// The signal that came, or 0.
static CAME: AtomicI32 = AtomicI32::new(0);

/// A signal that asks for an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signal(i32);

impl Signal {
    /// What a shell says of a process that the signal has ended.
    pub(crate) fn exit_code(self) -> u8 {
        128 + u8::try_from(self.0).unwrap_or(0)
    }
}

/// From now on SIGINT and SIGTERM are only noted; the second one ends the process at once.
pub(crate) fn listen() -> Result<()> {
    static LISTENING: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    LISTENING
        .get_or_init(|| {
            for signal in [libc::SIGINT, libc::SIGTERM] {
                // SAFETY: a zeroed sigaction is valid; the handler does nothing but what may be done in one: it writes
                // an atomic and calls `_exit`.
                let set = unsafe {
                    let mut action: libc::sigaction = std::mem::zeroed();
                    action.sa_sigaction = note as extern "C" fn(i32) as libc::sighandler_t;
                    action.sa_flags = libc::SA_RESTART;
                    libc::sigaction(signal, &raw const action, std::ptr::null_mut())
                };
                if set != 0 {
                    return Err(std::io::Error::last_os_error().to_string());
                }
            }
            Ok(())
        })
        .clone()
        .map_err(|error| Failure::again(format!("can't listen to signals: {error}")))
}

extern "C" fn note(signal: i32) {
    if CAME.swap(signal, Relaxed) != 0 {
        // SAFETY: `_exit` may be called in a signal handler.
        unsafe { libc::_exit(128 + signal) }
    }
}

/// The signal that has asked for an end.
pub(crate) fn asked() -> Option<Signal> {
    match CAME.load(Relaxed) {
        0 => None,
        signal => Some(Signal(signal)),
    }
}
