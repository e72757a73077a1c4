//! Opens a network on a thread of its own, and watches it: a model file can make a runtime compute without end, or ask
//! for memory without end, while it is loaded and tried.
//!
//! What is under way is told to end when its time is over, or when nobody wants it any more; a runtime looks for that
//! between two nodes. If it does not end by that, its thread is left behind, and whoever has asked gets an error.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::ep::ExecutionProvider;
use super::runtime::allowance::{self, Refusal};
use crate::error::{Error, Setting};
use crate::geometry::Size;
use crate::inference::backend::Cancellation;
use crate::inference::backend::MemoryDomain;
use crate::inference::planner;
use crate::inference::under_way::{self, UnderWay};
use crate::inference::{Limits, Progress};
use crate::model::Cancel;
use crate::panics::caught;
use crate::sync::lock;

/// Time that loading and trying any model may take, computing. An ordinary one takes a second.
const TIME: Duration = Duration::from_secs(4);
/// Each further attempt may take so much more.
const TIME_OF_NEXT: Duration = Duration::from_secs(1);
/// Compilers for GPUs and the like take minutes.
const TIME_TO_COMPILE: Duration = Duration::from_secs(1200);
/// What loading so many bytes of weights may take a second for: a slow disk, a slow core, several times.
const BYTES_A_SECOND: u64 = 10 << 20;
/// Multiplications that a core does a second, at the very least.
const PRODUCTS_A_SECOND: f64 = 5e9;
/// Time in which a thread waits for others counts as this part of time in which it computes.
const OF_WAITING: f64 = 0.7;
/// What does not count may take so long, however busy the machine is.
const LONGEST_UNCOUNTED: Duration = Duration::from_secs(300);
/// How often it is looked after.
const LOOK: Duration = Duration::from_millis(20);
/// What was told to end may take so long for it: then its thread is left behind.
const GRACE: Duration = Duration::from_secs(1);

/// Why opening was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Cancelled,
    Time,
}

#[derive(Default)]
struct State {
    stopped: Option<Stop>,
    allowed: Duration,
    attempts: u32,
    /// The thread, for the system's figures.
    task: Option<PathBuf>,
    /// Time that does not count.
    uncounted: Duration,
    /// Since when time does not count.
    uncounted_since: Option<Instant>,
    /// Ends what is under way.
    ender: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// The opening of a network, as the one who watches sees it and the one who opens.
struct Watch {
    /// The model, in words.
    label: String,
    /// Bytes of the model.
    length: u64,
    /// Bytes that a run may take at a size that the model leaves no choice of.
    memory_limit: Option<u64>,
    state: Mutex<State>,
}

thread_local! {
    /// Of the network that this thread opens.
    static CURRENT: RefCell<Option<Arc<Watch>>> = const { RefCell::new(None) };
}

enum News<T> {
    Progress(Progress),
    Done(Result<T, Error>),
}

/// Does `work`, which opens the model called `label` that has `length` bytes, on another thread. `progress` is told on
/// this one.
///
/// # Errors
/// Those of `work`, [`Error::Cancelled`], [`Error::Setting`] when it takes more memory than `limits` allow, and [`Error::ModelUnsupported`] when it takes too long.
pub(super) fn watched<T: Send + 'static>(
    (label, length): (String, u64),
    limits: &Limits,
    progress: &mut dyn FnMut(Progress),
    work: impl FnOnce(&mut dyn FnMut(Progress)) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let watch = Arc::new(Watch {
        label,
        length,
        memory_limit: limits.memory,
        state: Mutex::new(State {
            allowed: TIME,
            ..State::default()
        }),
    });
    // the end of the process ends it
    let ends: Arc<dyn Cancellation> = Arc::clone(&watch) as _;
    under_way::end_with_process(&ends);
    let work = Arc::new(Mutex::new(Some(work)));
    let (tells, told) = channel();
    let (of_thread, watch_of_thread) = (Arc::clone(&work), Arc::clone(&watch));
    let thread = std::thread::Builder::new()
        .name("depth-opening".to_owned())
        .spawn(move || {
            if let Some(work) = lock(&of_thread).take() {
                open(&watch_of_thread, work, &tells);
            }
        });
    if let Err(error) = thread {
        // no thread is to be had: here, then, and nobody watches
        let work = lock(&work).take();
        return match work {
            Some(work) => work(progress),
            None => Err(watch.failed(&error.to_string())),
        };
    }
    watch.look_after(&limits.cancel, progress, &told)
}

fn open<T>(
    watch: &Arc<Watch>,
    work: impl FnOnce(&mut dyn FnMut(Progress)) -> Result<T, Error>,
    tells: &Sender<News<T>>,
) {
    let Ok(_under_way) = UnderWay::enter() else {
        let _ = tells.send(News::Done(Err(Error::Cancelled)));
        return;
    };
    lock(&watch.state).task = std::fs::read_link("/proc/thread-self")
        .ok()
        .map(|task| PathBuf::from("/proc").join(task).join("schedstat"));
    CURRENT.set(Some(Arc::clone(watch)));
    allowance::set(Some(planner::loading_may_take(watch.length)));
    let mut progress = |event| drop(tells.send(News::Progress(event)));
    let result = caught(|| work(&mut progress)).unwrap_or_else(|words| Err(watch.failed(&words)));
    allowance::set(None);
    CURRENT.set(None);
    // nobody waits for it any more: it goes here, while the end of the process waits
    drop(tells.send(News::Done(result)));
}

impl Watch {
    fn look_after<T>(
        &self,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
        told: &Receiver<News<T>>,
    ) -> Result<T, Error> {
        let began = Instant::now();
        let mut stopped_at = None;
        loop {
            match told.recv_timeout(LOOK) {
                Ok(News::Progress(event)) => {
                    progress(event);
                    continue;
                }
                Ok(News::Done(result)) => {
                    // what it was told to end by is the reason, whatever words the runtime has for it
                    return result.map_err(|error| self.reason().unwrap_or(error));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.failed("its thread has ended"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(since) = stopped_at {
                if Instant::now().saturating_duration_since(since) > GRACE {
                    return Err(self.reason().unwrap_or(Error::Cancelled));
                }
                // one that begins after the other was ended
                self.end();
            } else if let Some(stop) = self.is_over(cancel, began) {
                self.stop(stop);
                stopped_at = Some(Instant::now());
            }
        }
    }

    fn is_over(&self, cancel: &Cancel, began: Instant) -> Option<Stop> {
        let state = lock(&self.state);
        if cancel.is_cancelled() || state.stopped.is_some() {
            return state.stopped.or(Some(Stop::Cancelled));
        }
        if let Some(since) = state.uncounted_since {
            return (since.elapsed() > LONGEST_UNCOUNTED).then_some(Stop::Time);
        }
        let figures = state.task.as_ref().map(std::fs::read_to_string);
        let figures = figures.and_then(Result::ok).unwrap_or_default();
        let passed = began.elapsed().saturating_sub(state.uncounted);
        (worked(&figures, passed) > state.allowed).then_some(Stop::Time)
    }

    fn stop(&self, stop: Stop) {
        lock(&self.state).stopped.get_or_insert(stop);
        self.end();
    }

    fn end(&self) {
        let ender = lock(&self.state).ender.clone();
        if let Some(ender) = ender {
            ender();
        }
    }

    /// The error of one that was ended.
    fn reason(&self) -> Option<Error> {
        let state = lock(&self.state);
        Some(match state.stopped? {
            Stop::Cancelled => Error::Cancelled,
            Stop::Time => Error::ModelUnsupported {
                model: self.label.clone(),
                found: format!(
                    "work without an end in sight: {:.0} s of computing were not enough to load it and to try it on a \
                     picture",
                    state.allowed.as_secs_f64()
                ),
                wanted: "a depth network, which takes a second or two; if this is one, run it at a smaller fixed size"
                    .to_owned(),
            },
        })
    }

    fn failed(&self, words: &str) -> Error {
        Error::ModelInvalid {
            model: self.label.clone(),
            reason: format!("this plugin has failed on it ({words}); please report that"),
        }
    }
}

impl Cancellation for Watch {
    fn cancel(&self) {
        self.stop(Stop::Cancelled);
    }

    fn reset(&self) {}
}

/// How long a thread has worked, of the `passed` time. `figures` are the system's of it: nanoseconds that it has computed,
/// and waited for a core. That last is not its own fault.
fn worked(figures: &str, passed: Duration) -> Duration {
    let mut numbers = figures.split_whitespace().map_while(|it| it.parse().ok());
    let [computed, starved] = [(); 2].map(|()| Duration::from_nanos(numbers.next().unwrap_or(0)));
    let waited = passed.saturating_sub(computed).saturating_sub(starved);
    computed + waited.mul_f64(OF_WAITING)
}

/// Does `work`, which the one who watches this thread's opening ends by `ender`.
///
/// # Errors
/// When it was ended before it began.
pub(super) fn endable<T>(
    ender: impl Fn() + Send + Sync + 'static,
    work: impl FnOnce() -> T,
) -> Result<T, Error> {
    let Some(watch) = CURRENT.with_borrow(Clone::clone) else {
        return Ok(work());
    };
    if let Some(error) = watch.reason() {
        return Err(error);
    }
    lock(&watch.state).ender = Some(Arc::new(ender));
    let result = work();
    lock(&watch.state).ender = None;
    Ok(result)
}

/// As [`endable`], of work whose time is not the model's: another process does it, within limits of its own, or a library
/// comes from a slow disk.
///
/// # Errors
/// As those of [`endable`], and when it was ended.
pub(super) fn uncounted<T>(
    ender: impl Fn() + Send + Sync + 'static,
    work: impl FnOnce() -> T,
) -> Result<T, Error> {
    let watch = CURRENT.with_borrow(Clone::clone);
    let since = Instant::now();
    if let Some(watch) = &watch {
        lock(&watch.state).uncounted_since = Some(since);
    }
    let result = endable(ender, work);
    let Some(watch) = watch else { return result };
    let mut state = lock(&watch.state);
    state.uncounted_since = None;
    state.uncounted += since.elapsed();
    drop(state);
    match watch.reason() {
        Some(error) => Err(error),
        None => result,
    }
}

/// The error that this thread's opening of a network ends with, if it does not go on after `error`: its time is over, it
/// was cancelled, or it asked for more memory than it may.
pub(super) fn or_ended(error: Error) -> Error {
    let Some(watch) = CURRENT.with_borrow(Clone::clone) else {
        return error;
    };
    if let Some(reason) = watch.reason() {
        return reason;
    }
    let Error::OutOfMemory { reason, .. } = &error else {
        return error;
    };
    match allowance::refused() {
        None => return error,
        Some(Refusal::Lowered) => {
            return Error::Setting {
                setting: Setting::MemoryLimit,
                reason: format!(
                    "{} MB are too few for a run of {}, which takes one size only ({reason}). Raise the limit, or use a \
                     model that takes any size",
                    watch.memory_limit.unwrap_or_default() / 1_000_000,
                    watch.label
                ),
            };
        }
        Some(Refusal::Loading) => {}
    }
    Error::ModelUnsupported {
        model: watch.label.clone(),
        found: format!(
            "a need of more memory than {} MB, or than the machine has, to load it and to try it on a picture ({reason})",
            planner::loading_may_take(watch.length) >> 20
        ),
        wanted: "a depth network, which takes a few times its own size".to_owned(),
    }
}

/// Another attempt of this thread's opening begins, with this provider.
pub(super) fn attempt(provider: ExecutionProvider, device: &str) {
    CURRENT.with_borrow(|watch| {
        let Some(watch) = watch else { return };
        let mut state = lock(&watch.state);
        state.attempts += 1;
        let mut more = Duration::from_secs(watch.length / BYTES_A_SECOND);
        if state.attempts > 1 {
            more += TIME_OF_NEXT;
        }
        // a device's library makes kernels or engines for what it is given
        let compiles = provider.capabilities(device).memory == MemoryDomain::Device;
        if compiles {
            more += TIME_TO_COMPILE;
        }
        state.allowed += more;
        if compiles {
            // what such a library takes of the host is not known
            allowance::set(None);
        }
    });
}

/// A trial run begins: what it may take in time and memory is added, by its size and that of the model. `only`: the model
/// leaves no choice of another size, and so what the user allows inference bounds it.
pub(super) fn trial(size: Size, batch: usize, patch: u32, only: bool) {
    CURRENT.with_borrow(|watch| {
        let Some(watch) = watch else { return };
        lock(&watch.state).allowed += longest_run(watch.length, size, batch, patch);
        allowance::add(planner::run_may_take(size, batch, patch));
        if let Some(limit) = watch.memory_limit.filter(|_| only) {
            allowance::lower(limit);
        }
    });
}

/// Whether the user allows inference so much memory and no more.
pub(super) fn has_memory_limit() -> bool {
    CURRENT.with_borrow(|watch| {
        let limit = watch.as_ref().and_then(|watch| watch.memory_limit);
        limit.is_some()
    })
}

/// Time that a run of a network of so many bytes of weights takes at most.
fn longest_run(length: u64, size: Size, batch: usize, patch: u32) -> Duration {
    let pixels = size.area() as f64 * batch as f64;
    let patch = f64::from(patch.max(1));
    let tokens = pixels / (patch * patch);
    let tokens_squared = tokens * tokens / batch.max(1) as f64;
    // each weight once a token; scores of some heads in some layers; features of full size
    let products = length as f64 * tokens + 2e4 * tokens_squared + 5e4 * pixels;
    Duration::try_from_secs_f64(products / PRODUCTS_A_SECOND).unwrap_or(Duration::MAX / 4)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn until(cancel: &Cancel) -> Limits {
        Limits {
            cancel: cancel.clone(),
            memory: None,
        }
    }

    fn label() -> (String, u64) {
        ("m.onnx".to_owned(), 1000)
    }

    /// Work that ends only when it is told to.
    fn endless() -> Result<(), Error> {
        let ended = Arc::<AtomicBool>::default();
        let tells = Arc::clone(&ended);
        endable(
            move || tells.store(true, Ordering::SeqCst),
            || {
                while !ended.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            },
        )?;
        Err(Error::Inference {
            size: "7".to_owned(),
            reason: "terminated".to_owned(),
        })
    }

    #[test]
    fn progress_and_result_come_here() {
        let mut told = Vec::new();
        let result = watched(
            label(),
            &Limits::default(),
            &mut |event| told.push(event),
            |progress| {
                progress(Progress::Loading { provider: "cpu" });
                Ok(7)
            },
        );
        assert_eq!(result.unwrap(), 7);
        assert_eq!(told, [Progress::Loading { provider: "cpu" }]);
        let panics = watched(
            label(),
            &Limits::default(),
            &mut drop,
            |_| -> Result<(), _> { panic!("oh") },
        );
        let error = panics.unwrap_err().to_string();
        assert!(error.contains("m.onnx") && error.contains("oh"), "{error}");
    }

    #[test]
    fn endless_work_is_ended_when_nobody_wants_it() {
        let cancel = Cancel::default();
        let began = Instant::now();
        std::thread::scope(|scope| {
            let of_thread = cancel.clone();
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                of_thread.cancel();
            });
            let result = watched(label(), &until(&cancel), &mut drop, |_| endless());
            assert!(matches!(result, Err(Error::Cancelled)));
        });
        assert!(began.elapsed() < TIME);
    }

    #[test]
    fn endless_work_is_ended_when_its_time_is_over() {
        let began = Instant::now();
        let error = watched(label(), &Limits::default(), &mut drop, |_| endless());
        let error = error.unwrap_err();
        assert!(matches!(error, Error::ModelUnsupported { .. }), "{error}");
        assert!(error.to_string().contains("m.onnx"), "{error}");
        assert!(began.elapsed() >= TIME);
    }

    #[test]
    fn what_does_not_listen_is_left_behind() {
        let cancel = Cancel::default();
        cancel.cancel();
        let gone = Arc::<AtomicBool>::default();
        let goes = Arc::clone(&gone);
        let result = watched(label(), &until(&cancel), &mut drop, move |_| {
            while !goes.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        });
        assert!(matches!(result, Err(Error::Cancelled)));
        gone.store(true, Ordering::SeqCst);
    }

    #[test]
    fn a_busy_machine_is_not_the_models_fault() {
        let second = Duration::from_secs(1);
        assert_eq!(worked("1000000000 0 7", second), second);
        assert_eq!(worked("500000000 500000000 7", second), second / 2);
        assert_eq!(worked("0 0 7", second), second.mul_f64(OF_WAITING));
        // where the system does not tell
        assert_eq!(worked("", second), second.mul_f64(OF_WAITING));
        assert_eq!(worked("9000000000 0 7", second), second * 9);
    }

    #[test]
    fn large_networks_may_take_longer() {
        let small = longest_run(1 << 20, Size::new(182, 126), 2, 14);
        assert!(small < Duration::from_secs(1), "{small:?}");
        // ViT-L at a fixed 1036: some seconds, on a fast machine
        let large = longest_run(1300 << 20, Size::new(1036, 1036), 1, 14);
        assert!(large > Duration::from_secs(600), "{large:?}");
        // whatever a file says
        longest_run(u64::MAX, Size::new(u32::MAX, u32::MAX), usize::MAX, 0);
    }
}
