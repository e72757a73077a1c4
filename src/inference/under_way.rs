//! What is under way in other people's libraries when the process ends.
//!
//! `exit` (the end of `main`, of a Python program) runs the destructors of ONNX Runtime and of what it has loaded, while
//! other threads still compute in them and then read what has been freed. So before these destructors, the end of the
//! process waits for what is under way, and nothing begins any more: it is refused, and what would be closed is kept.
//! Refused and not held up: somebody else's destructor may stop the pipeline, and waits for the thread that is in it.

use std::cell::Cell;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::backend::Cancellation;
use crate::panics::caught;
use crate::sync::lock;

/// The end of the process waits no longer than this. What is under way was told to end by then, so that only one node of a
/// graph is waited for.
const LONGEST: Duration = Duration::from_secs(2);

/// What is told to end when the process does.
static ENDABLE: Mutex<Vec<Weak<dyn Cancellation>>> = Mutex::new(Vec::new());

/// Has `run` told to end when the process ends.
pub(super) fn end_with_process(run: &Arc<dyn Cancellation>) {
    let mut known = lock(&ENDABLE);
    known.retain(|run| run.strong_count() > 0);
    known.push(Arc::downgrade(run));
}

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
        // SAFETY: neither unwinds, nor uses anything that other such functions destroy
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        unsafe {
            on_exit(wait_with_status, std::ptr::null_mut());
        }
        #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
        // SAFETY: as above
        unsafe {
            libc::atexit(wait_at_exit);
        }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
unsafe extern "C" {
    /// As `atexit`, of glibc: the function is told how the process ends.
    fn on_exit(function: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
}

/// What is still under way after all that would read what the destructors of its library free, or these would wait for
/// it for ever: the process ends without them. So does one that was forked off: those destructors would wait for threads
/// that it does not have.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
extern "C" fn wait_with_status(status: c_int, _: *mut c_void) {
    if is_another_process() || !wait() {
        // SAFETY: writes what was written to C's streams, and ends the process
        unsafe {
            libc::fflush(std::ptr::null_mut());
            libc::_exit(status);
        }
    }
}

/// The process that the threads are of: one that is forked off has none of them.
static PROCESS: AtomicU32 = AtomicU32::new(0);

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
extern "C" fn wait_at_exit() {
    wait();
}

fn is_another_process() -> bool {
    PROCESS.load(Ordering::Relaxed) != std::process::id()
}

/// Tells what is under way to end and waits for it. `false`: it has not.
fn wait() -> bool {
    if is_another_process() {
        return true;
    }
    let own = OWN.try_with(Cell::get).unwrap_or(0);
    let (is_first, end) = {
        let mut state = lock(&DOOR.state);
        let is_first = !std::mem::replace(&mut state.is_ending, true);
        let end = state.until.get_or_insert_with(|| Instant::now() + LONGEST);
        (is_first, *end)
    };
    if is_first {
        let endable = std::mem::take(&mut *lock(&ENDABLE));
        for run in endable.iter().filter_map(Weak::upgrade) {
            let _ = caught(|| run.cancel());
            // what it belongs to may be the last to go here
            std::mem::forget(run);
        }
    }
    let mut state = lock(&DOOR.state);
    while state.count > own {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        let waited = DOOR.left.wait_timeout(state, left);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
    true
}
