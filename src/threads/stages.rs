//! Two steps on threads of their own: while one thing is in the second, another is in the first. What comes out is in the
//! order of what went in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

/// The threads, and how many things are with them.
pub(crate) struct Stages<T> {
    /// Dropped first, which ends the threads.
    start: Option<Sender<T>>,
    finished: Receiver<T>,
    threads: Vec<JoinHandle<()>>,
    count: usize,
    /// Of these, those that the first thread has not taken yet.
    waiting: Arc<AtomicUsize>,
}

/// A thread has panicked, and what was under way is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crashed;

impl<T: Send + 'static> Stages<T> {
    /// `first` and `second` are the steps; `hears` is called each time that a thing is done, or that the first step begins.
    ///
    /// # Errors
    /// When the system has no threads left.
    pub(crate) fn new(
        names: [&str; 2],
        mut first: impl FnMut(&mut T) + Send + 'static,
        mut second: impl FnMut(&mut T) + Send + 'static,
        hears: impl Fn() + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let (start, sent) = channel::<T>();
        let (to_second, received) = channel::<T>();
        let (done, finished) = channel::<T>();
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let waiting = Arc::new(AtomicUsize::new(0));
        let (taken, begins) = (Arc::clone(&waiting), hears.clone());
        let first = thread(names[0]).spawn(move || {
            for mut thing in sent {
                taken.fetch_sub(1, Ordering::AcqRel);
                begins();
                first(&mut thing);
                if to_second.send(thing).is_err() {
                    return;
                }
            }
        })?;
        let second = thread(names[1]).spawn(move || {
            for mut thing in received {
                second(&mut thing);
                if done.send(thing).is_err() {
                    return;
                }
                hears();
            }
        })?;
        Ok(Self {
            start: Some(start),
            finished,
            threads: vec![first, second],
            count: 0,
            waiting,
        })
    }

    /// Things under way.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Things that wait for the first step.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Sends a thing off.
    ///
    /// # Errors
    /// When a thread has panicked.
    pub(crate) fn send(&mut self, thing: T) -> Result<(), Crashed> {
        let start = self.start.as_ref().ok_or(Crashed)?;
        self.waiting.fetch_add(1, Ordering::AcqRel);
        start.send(thing).map_err(|_| Crashed)?;
        self.count += 1;
        Ok(())
    }

    /// The one that is next in order; `None` where there is none, or none yet and not worth waiting for.
    ///
    /// # Errors
    /// When a thread has panicked.
    pub(crate) fn next(&mut self, wait: bool) -> Result<Option<T>, Crashed> {
        if self.count == 0 {
            return Ok(None);
        }
        let next = if wait {
            self.finished.recv().map_err(|_| Crashed)
        } else {
            match self.finished.try_recv() {
                Ok(thing) => Ok(thing),
                Err(TryRecvError::Empty) => return Ok(None),
                Err(TryRecvError::Disconnected) => Err(Crashed),
            }
        };
        match next {
            Ok(thing) => {
                self.count -= 1;
                Ok(Some(thing))
            }
            Err(crashed) => {
                self.count = 0;
                Err(crashed)
            }
        }
    }

    /// All that are under way, in order.
    ///
    /// # Errors
    /// When a thread has panicked.
    pub(crate) fn all(&mut self) -> Result<VecDeque<T>, Crashed> {
        let mut all = VecDeque::with_capacity(self.count);
        while let Some(thing) = self.next(true)? {
            all.push_back(thing);
        }
        Ok(all)
    }
}

impl<T> Drop for Stages<T> {
    fn drop(&mut self) {
        self.start = None;
        for thread in self.threads.drain(..) {
            // a panic has been told already, and is no reason for another
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages(first: impl FnMut(&mut u32) + Send + 'static) -> Stages<u32> {
        Stages::new(["first", "second"], first, |thing| *thing *= 10, || {}).unwrap()
    }

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let mut stages = stages(|thing| *thing += 1);
        for thing in 0..100 {
            stages.send(thing).unwrap();
        }
        assert_eq!(stages.next(true), Ok(Some(10)));
        assert_eq!(stages.count(), 99);
        let all: Vec<_> = stages.all().unwrap().into();
        assert_eq!(all, (2..=100).map(|thing| thing * 10).collect::<Vec<_>>());
        assert_eq!(stages.waiting(), 0);
        assert_eq!(stages.next(true), Ok(None));
    }

    #[test]
    fn a_panic_is_an_error_and_loses_what_is_under_way() {
        let mut stages = stages(|thing| assert_ne!(*thing, 1, "it panics"));
        for thing in 0..3 {
            stages.send(thing).unwrap();
        }
        assert_eq!(stages.next(true), Ok(Some(0)));
        assert_eq!(stages.all(), Err(Crashed));
        assert_eq!(stages.count(), 0);
    }
}
