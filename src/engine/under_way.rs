//! What is under way in other people's libraries when the process ends.
//!
//! `exit` (the end of `main`, of a Python program) runs the destructors of ONNX Runtime and of what it has loaded, while
//! other threads still compute in them and then read what has been freed. So before these destructors, the end of the
//! process waits for what is under way, and nothing begins any more: it is refused, and what would be closed is kept.
//! Refused and not held up: somebody else's destructor may stop the pipeline, and waits for the thread that is in it.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::sync::lock;

/// The end of the process waits no longer than this: then ending badly is better than not ending.
const LONGEST: Duration = Duration::from_secs(20);

struct State {
    /// Threads in such a library, each as often as it is.
    count: usize,
    is_ending: bool,
    /// The end of the process goes on then, whatever is under way.
    until: Option<Instant>,
}

struct Door {
    state: Mutex<State>,
    left: Condvar,
}

static DOOR: Door = Door {
    state: Mutex::new(State {
        count: 0,
        is_ending: false,
        until: None,
    }),
    left: Condvar::new(),
};

thread_local! {
    /// How often this thread is in such a library.
    static OWN: Cell<usize> = const { Cell::new(0) };
}

/// Waits when the thread that has it calls `exit`. The C library lets thread locals go before anything else, so this is
/// in time for libraries that are being loaded, too: their own destructors are registered later than [`wait`], which
/// makes them run before it.
struct OfThread;

impl Drop for OfThread {
    fn drop(&mut self) {
        wait();
    }
}

thread_local! {
    static MAIN: OfThread = const { OfThread };
}

/// To be called where the main thread comes by: if it ends the process, nothing is destroyed before what is under way has
/// ended, not even what is being loaded. Elsewhere it does nothing: other threads end for other reasons.
pub(crate) fn watch_main_thread() {
    // SAFETY: it has no conditions
    #[cfg(target_os = "linux")]
    let is_main = u32::try_from(unsafe { libc::gettid() }) == Ok(std::process::id());
    #[cfg(not(target_os = "linux"))]
    let is_main = false;
    if is_main {
        let id = std::process::id();
        let _ = PROCESS.compare_exchange(0, id, Ordering::Relaxed, Ordering::Relaxed);
        let _ = MAIN.try_with(|_| ());
    }
}

/// The process is ending, and nothing begins any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ending;

/// As long as it lives, this thread is in such a library.
#[derive(Debug)]
pub(super) struct UnderWay(());

impl UnderWay {
    /// # Errors
    /// When the process ends.
    pub(super) fn enter() -> Result<Self, Ending> {
        let mut state = lock(&DOOR.state);
        if state.is_ending {
            return Err(Ending);
        }
        state.count += 1;
        drop(state);
        OWN.set(OWN.get() + 1);
        Ok(Self(()))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&DOOR.state).count -= 1;
        // a thread that ends has no such number any more
        let _ = OWN.try_with(|own| own.set(own.get().saturating_sub(1)));
        DOOR.left.notify_all();
    }
}

/// `library` is loaded and has run: from here on the end of the process waits before that library's own end. Functions
/// of this kind are called from the last to the first, and a library tells its own while it is loaded and runs first.
pub(super) fn register(library: &'static str) {
    static KNOWN: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    let mut known = lock(&KNOWN);
    if !known.contains(&library) {
        known.push(library);
        let process = std::process::id();
        PROCESS.store(process, Ordering::Relaxed);
        // SAFETY: `wait` does not unwind, and uses nothing that other such functions destroy
        unsafe { libc::atexit(wait) };
    }
}

/// The process that the threads are of: one that is forked off has none of them.
static PROCESS: AtomicU32 = AtomicU32::new(0);

extern "C" fn wait() {
    if PROCESS.load(Ordering::Relaxed) != std::process::id() {
        return;
    }
    let own = OWN.try_with(Cell::get).unwrap_or(0);
    let mut state = lock(&DOOR.state);
    state.is_ending = true;
    let end = *state.until.get_or_insert_with(|| Instant::now() + LONGEST);
    while state.count > own {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let waited = DOOR.left.wait_timeout(state, left);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}
