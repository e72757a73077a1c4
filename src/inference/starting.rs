//! A network that is loaded on a thread of its own, so that who starts the element, and who stops it, need not wait.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::model::Cancel;
use crate::panics::caught;
use crate::sync::lock;

/// How far it is.
#[derive(Default)]
pub(crate) struct Starting {
    state: Mutex<State>,
    /// Told of each change.
    changed: Condvar,
    /// Ends the reading of the model.
    cancel: Cancel,
}

#[derive(Default)]
struct State {
    result: Option<Result<(), Error>>,
    /// Nobody wants it any more.
    abandoned: bool,
    /// Nobody waits at present: the element flushes or stops.
    interrupted: bool,
    /// The start of the element has not waited for it, so that an error has to be told otherwise.
    is_late: bool,
}

impl Starting {
    /// Has `load` done on another thread, and what it gives handed to `install`, or its error to `fail` if it comes too
    /// late for [`Self::wait_a_moment`]. Once it is abandoned, neither is called.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn begin<T: 'static>(
        load: impl FnOnce(Cancel) -> Result<T, Error> + Send + 'static,
        install: impl FnOnce(T) + Send + 'static,
        fail: impl FnOnce(&Error) + Send + 'static,
    ) -> std::io::Result<Arc<Self>> {
        let starting = Arc::<Self>::default();
        let this = Arc::clone(&starting);
        let cancel = starting.cancel.clone();
        std::thread::Builder::new()
            .name("depth-loading".to_owned())
            .spawn(move || {
                let loaded = caught(|| load(cancel)).unwrap_or_else(|words| {
                    Err(Error::ModelInvalid {
                        model: "the model".to_owned(),
                        reason: format!("loading it has failed ({words}); please report that"),
                    })
                });
                this.finish(loaded, install, fail);
            })?;
        Ok(starting)
    }

    fn finish<T>(
        &self,
        loaded: Result<T, Error>,
        install: impl FnOnce(T),
        fail: impl FnOnce(&Error),
    ) {
        let mut state = lock(&self.state);
        if state.abandoned {
            drop(state);
            // to let a network go takes time
            drop(loaded);
            return;
        }
        match loaded {
            Ok(loaded) => {
                install(loaded);
                state.result = Some(Ok(()));
            }
            Err(error) => {
                state.result = Some(Err(error.clone()));
                if state.is_late {
                    drop(state);
                    fail(&error);
                }
            }
        }
        self.changed.notify_all();
    }

    /// How it ended, if it does within `longest`. `None`: it goes on without the one who starts it.
    pub(crate) fn wait_a_moment(&self, longest: Duration) -> Option<Result<(), Error>> {
        let end = Instant::now() + longest;
        let mut state = lock(&self.state);
        while state.result.is_none() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.is_late = true;
                return None;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.result.clone()
    }

    /// Whether it has ended.
    pub(crate) fn is_done(&self) -> bool {
        lock(&self.state).result.is_some()
    }

    /// How it ended, however long that takes. `None`: somebody flushes or stops.
    pub(crate) fn wait(&self) -> Option<Result<(), Error>> {
        let mut state = lock(&self.state);
        loop {
            if state.interrupted || state.abandoned {
                return None;
            }
            if state.result.is_some() {
                return state.result.clone();
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// True: nobody waits for it from here on. False: one may wait again.
    pub(crate) fn interrupt(&self, interrupted: bool) {
        lock(&self.state).interrupted = interrupted;
        self.changed.notify_all();
    }

    /// What comes of it is thrown away.
    pub(crate) fn abandon(&self) {
        lock(&self.state).abandoned = true;
        self.cancel.cancel();
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    const MOMENT: Duration = Duration::from_millis(20);

    fn error() -> Error {
        Error::Frame {
            reason: "no".to_owned(),
        }
    }

    /// Loading that waits until it is let go, and how often it was installed and failed.
    struct Slow {
        starting: Arc<Starting>,
        go: Arc<AtomicBool>,
        installed: Arc<AtomicUsize>,
        failed: Arc<AtomicUsize>,
        done: Arc<AtomicBool>,
    }

    struct Done(Arc<AtomicBool>);

    impl Drop for Done {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    fn slow(result: Result<(), Error>) -> Slow {
        let go = Arc::<AtomicBool>::default();
        let (installed, failed) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let done = Arc::<AtomicBool>::default();
        let (wait, installs, fails) =
            (Arc::clone(&go), Arc::clone(&installed), Arc::clone(&failed));
        let is_done = Done(Arc::clone(&done));
        let starting = Starting::begin(
            move |_| {
                let _is_done = is_done;
                while !wait.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                result
            },
            move |()| {
                installs.fetch_add(1, Ordering::SeqCst);
            },
            move |_| {
                fails.fetch_add(1, Ordering::SeqCst);
            },
        );
        Slow {
            starting: starting.unwrap(),
            go,
            installed,
            failed,
            done,
        }
    }

    #[test]
    fn who_starts_does_not_wait_and_who_needs_it_does() {
        let slow = slow(Ok(()));
        assert!(slow.starting.wait_a_moment(MOMENT).is_none());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| slow.starting.wait());
            slow.go.store(true, Ordering::SeqCst);
            assert!(matches!(waits.join().unwrap(), Some(Ok(()))));
        });
        assert_eq!(slow.installed.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn an_error_is_told_once() {
        // to who starts it
        let quick = Starting::begin(|_| Err::<(), _>(error()), drop, |_| unreachable!()).unwrap();
        assert!(matches!(
            quick.wait_a_moment(Duration::from_secs(60)),
            Some(Err(_))
        ));
        // or by a message
        let slow = slow(Err(error()));
        assert!(slow.starting.wait_a_moment(MOMENT).is_none());
        slow.go.store(true, Ordering::SeqCst);
        assert!(matches!(slow.starting.wait(), Some(Err(_))));
        let end = Instant::now() + Duration::from_secs(60);
        while slow.failed.load(Ordering::SeqCst) == 0 {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(1));
        }
        let panics = Starting::begin(|_| -> Result<(), Error> { panic!() }, drop, |_| {}).unwrap();
        assert!(matches!(panics.wait(), Some(Err(_))));
    }

    #[test]
    fn what_is_abandoned_is_neither_installed_nor_told_and_nobody_waits() {
        for result in [Ok(()), Err(error())] {
            let slow = slow(result);
            assert!(slow.starting.wait_a_moment(MOMENT).is_none());
            std::thread::scope(|scope| {
                let waits = scope.spawn(|| slow.starting.wait());
                std::thread::sleep(MOMENT);
                slow.starting.interrupt(true);
                assert!(waits.join().unwrap().is_none());
            });
            slow.starting.interrupt(false);
            slow.starting.abandon();
            assert!(slow.starting.cancel.is_cancelled());
            assert!(slow.starting.wait().is_none());
            slow.go.store(true, Ordering::SeqCst);
            let end = Instant::now() + Duration::from_secs(60);
            while !slow.done.load(Ordering::SeqCst) {
                assert!(Instant::now() < end);
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(MOMENT);
            assert_eq!(slow.installed.load(Ordering::SeqCst), 0);
            assert_eq!(slow.failed.load(Ordering::SeqCst), 0);
        }
    }
}
