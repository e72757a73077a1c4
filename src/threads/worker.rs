//! Two threads that work on a live stream: its source is never held up by the network, and the network never by a sink
//! that waits until it is time to show a frame.
//!
//! ```text
//! source's thread ──▶ frames that wait ──▶ network's thread ──▶ depth that waits ──▶ output thread
//!     submit                                    work                                     push
//! ```
//!
//! What the source gives while the network is busy waits in a short queue, from which late frames are dropped.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::panics::caught;
use crate::sync::lock;
use crate::timing::{Judgement, Moment, Room, Span};

/// Depth frames that are being shown or wait for it, unless they wait for their time: one may be ready behind another.
const DEPTHS: usize = 2;
/// Of those that wait for their time.
const EARLY_DEPTHS: usize = 16;
/// Bytes that those may have.
const EARLY_BYTES: usize = 64 << 20;

/// A frame that has come and waits to be worked on.
#[derive(Debug)]
pub(crate) struct Arrival<B> {
    pub(crate) frame: B,
    /// Where in the video it is.
    pub(crate) span: Span,
    /// Its running time, and that at which it came, in nanoseconds.
    pub(crate) time: Option<i64>,
    pub(crate) came: Option<i64>,
}

/// A depth frame that is done.
#[derive(Debug)]
pub(crate) struct Depth<B> {
    pub(crate) buffer: B,
    pub(crate) bytes: usize,
    /// Its running time in nanoseconds.
    pub(crate) time: Option<i64>,
}

/// Does the work on frames in buffers `B`, with errors `E`. Nothing in it may wait for the thread that calls
/// [`Worker::drain`], or take the lock that this one holds.
pub(crate) trait Handler<B, E>: Send + Sync {
    /// Judges the frame that has waited longest; `newer`: others wait behind it. Called with a lock held, and so quick.
    fn judge(&self, arrival: &Arrival<B>, newer: bool) -> Judgement;
    /// Whether a frame will be late, and so dropped, as newer ones wait behind it. As quick.
    fn is_late(&self, arrival: &Arrival<B>) -> bool;
    /// Whether the sink waits until it is time for a frame of this running time. As quick.
    fn is_early(&self, time: Option<i64>) -> bool;
    /// A frame has been dropped that was late by so much.
    fn dropped(&self, arrival: Arrival<B>, by: Duration);
    /// Works on a frame. Gives the depth frames that are done, in order.
    fn work(&self, arrival: Arrival<B>, moment: Moment) -> Result<Vec<Depth<B>>, E>;
    /// Depth frames that have become done since; `all`: waits for those under way.
    fn collect(&self, all: bool) -> Result<Vec<Depth<B>>, E>;
    /// Frames are under way that [`Self::collect`] will give.
    fn is_under_way(&self) -> bool;
    /// One of them has not reached the network yet, so that another would only grow old behind it. Quick, too.
    fn network_is_awaited(&self) -> bool;
    /// Pushes a depth frame downstream.
    fn push(&self, depth: Depth<B>) -> Result<(), E>;
    /// A thread has panicked with these words.
    fn panicked(&self, words: &str) -> E;
}

/// The threads and what waits for them. They start with the first frame.
pub(crate) struct Worker<B, E> {
    queue: Arc<Queue<B, E>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl<B, E> Default for Worker<B, E> {
    fn default() -> Self {
        let queue = Queue {
            state: Mutex::default(),
            changed: Condvar::new(),
        };
        Self {
            queue: Arc::new(queue),
            threads: Mutex::default(),
        }
    }
}

struct Queue<B, E> {
    state: Mutex<State<B, E>>,
    changed: Condvar,
}

struct State<B, E> {
    frames: VecDeque<Arrival<B>>,
    /// The network's thread is at work.
    working: bool,
    /// Frames are under way in other threads.
    under_way: bool,
    /// One of them is done.
    finished: bool,
    depths: VecDeque<Depth<B>>,
    /// A depth frame of this running time is being pushed.
    pushing: Option<Option<i64>>,
    /// Somebody waits until nothing is left.
    draining: bool,
    /// What the source is to be told with its next frame.
    flow: Option<E>,
    stopped: bool,
}

impl<B, E> Default for State<B, E> {
    fn default() -> Self {
        Self {
            frames: VecDeque::new(),
            working: false,
            under_way: false,
            finished: false,
            depths: VecDeque::new(),
            pushing: None,
            draining: false,
            flow: None,
            stopped: false,
        }
    }
}

/// Tells the worker that a frame under way is done, or has reached the network.
pub(crate) type Finished = Arc<dyn Fn() + Send + Sync>;

impl<B: Send + 'static, E: Copy + Send + 'static> Worker<B, E> {
    /// Starts the threads, if they don't run yet. False: they can't be started.
    pub(crate) fn start(&self, handler: impl FnOnce() -> Arc<dyn Handler<B, E>>) -> bool {
        let mut threads = lock(&self.threads);
        if !threads.is_empty() {
            return true;
        }
        let handler = handler();
        lock(&self.queue.state).stopped = false;
        type Task<B, E> = fn(&Queue<B, E>, &dyn Handler<B, E>);
        let tasks: [(&str, Task<B, E>); 2] = [
            ("depth-frames", |queue, handler| queue.work(handler)),
            ("depth-output", |queue, handler| queue.push(handler)),
        ];
        for (name, task) in tasks {
            let (queue, handler) = (Arc::clone(&self.queue), Arc::clone(&handler));
            let thread = std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || task(&queue, handler.as_ref()));
            match thread {
                Ok(thread) => threads.push(thread),
                Err(_) => {
                    self.queue.stop(&mut threads);
                    return false;
                }
            }
        }
        true
    }

    /// What tells that a frame under way is done.
    pub(crate) fn finished(&self) -> Finished {
        let queue = Arc::clone(&self.queue);
        Arc::new(move || {
            lock(&queue.state).finished = true;
            queue.changed.notify_all();
        })
    }

    /// Gives a frame to the threads.
    ///
    /// # Errors
    /// What has become of frames before it; the next one is taken again.
    pub(crate) fn submit(
        &self,
        arrival: Arrival<B>,
        room: Room,
        handler: &dyn Handler<B, E>,
    ) -> Result<(), E> {
        let mut dropped = Vec::new();
        {
            let mut state = lock(&self.queue.state);
            while room.holds_up
                && state.frames.len() >= room.frames
                && state.flow.is_none()
                && !state.stopped
            {
                state = self.queue.wait(state);
            }
            if let Some(flow) = state.flow.take() {
                return Err(flow);
            }
            state.frames.push_back(arrival);
            while state.frames.len() > 1
                && (state.frames.len() > room.frames
                    || state
                        .frames
                        .front()
                        .is_some_and(|front| handler.is_late(front)))
            {
                dropped.extend(state.frames.pop_front());
            }
        }
        self.queue.changed.notify_all();
        for arrival in dropped {
            handler.dropped(arrival, Duration::ZERO);
        }
        Ok(())
    }

    /// Waits until all frames have been worked on and pushed.
    ///
    /// # Errors
    /// What has become of them, which the source is told with its next frame too.
    pub(crate) fn drain(&self) -> Result<(), E> {
        let mut state = lock(&self.queue.state);
        state.draining = true;
        self.queue.changed.notify_all();
        while !state.is_idle() && !state.stopped {
            state = self.queue.wait(state);
        }
        state.draining = false;
        state.flow.map_or(Ok(()), Err)
    }

    /// Throws away what waits, and waits for what is being worked on: after a flush, which has interrupted that. Frames
    /// under way in other threads are left to the caller.
    pub(crate) fn discard(&self) {
        let mut state = lock(&self.queue.state);
        loop {
            state.frames.clear();
            state.depths.clear();
            if !state.working && state.pushing.is_none() || state.stopped {
                break;
            }
            state = self.queue.wait(state);
        }
        state.under_way = false;
        state.finished = false;
        state.flow = None;
    }

    /// Ends the threads. What they wait for has been interrupted.
    pub(crate) fn stop(&self) {
        self.queue.stop(&mut lock(&self.threads));
    }
}

impl<B, E: Copy> Queue<B, E> {
    fn wait<'a>(&self, state: MutexGuard<'a, State<B, E>>) -> MutexGuard<'a, State<B, E>> {
        let waited = self.changed.wait(state);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self, threads: &mut Vec<JoinHandle<()>>) {
        lock(&self.state).stopped = true;
        self.changed.notify_all();
        for thread in threads.drain(..) {
            // a panic has been told already, and is no reason for another
            let _ = thread.join();
        }
        *lock(&self.state) = State::default();
    }

    /// The network's thread.
    fn work(&self, handler: &dyn Handler<B, E>) {
        let mut state = lock(&self.state);
        while !state.stopped {
            if !state.frames.is_empty() && state.has_room(handler) && !handler.network_is_awaited()
            {
                let (dropped, chosen) = state.choose(handler);
                state.working = true;
                drop(state);
                for (arrival, by) in dropped {
                    handler.dropped(arrival, by);
                }
                let done = match chosen {
                    Some((arrival, moment)) => {
                        told_of_panics(handler, || handler.work(arrival, moment))
                    }
                    None => Ok(Vec::new()),
                };
                state = self.worked(handler, done);
            } else if state.under_way && (state.finished || state.draining) {
                let all = state.draining;
                state.finished = false;
                state.working = true;
                drop(state);
                let done = told_of_panics(handler, || handler.collect(all));
                state = self.worked(handler, done);
            } else {
                state = self.wait(state);
            }
        }
    }

    fn worked(
        &self,
        handler: &dyn Handler<B, E>,
        done: Result<Vec<Depth<B>>, E>,
    ) -> MutexGuard<'_, State<B, E>> {
        let under_way = handler.is_under_way();
        let mut state = lock(&self.state);
        state.working = false;
        state.under_way = under_way;
        match done {
            Ok(depths) if state.flow.is_none() => state.depths.extend(depths),
            Ok(_) => {}
            Err(error) => state.fail(error),
        }
        self.changed.notify_all();
        state
    }

    /// The output thread.
    fn push(&self, handler: &dyn Handler<B, E>) {
        let mut state = lock(&self.state);
        while !state.stopped {
            let Some(depth) = state.depths.pop_front() else {
                state = self.wait(state);
                continue;
            };
            state.pushing = Some(depth.time);
            drop(state);
            // the network's thread may wait for room
            self.changed.notify_all();
            let pushed = told_of_panics(handler, || handler.push(depth));
            state = lock(&self.state);
            state.pushing = None;
            if let Err(error) = pushed {
                state.fail(error);
            }
            self.changed.notify_all();
        }
    }
}

impl<B, E: Copy> State<B, E> {
    fn is_idle(&self) -> bool {
        self.frames.is_empty()
            && !self.working
            && !self.under_way
            && self.depths.is_empty()
            && self.pushing.is_none()
    }

    /// Whether another depth frame may be made: what waits because downstream is slow would only grow old.
    fn has_room(&self, handler: &dyn Handler<B, E>) -> bool {
        let count = self.depths.len() + usize::from(self.pushing.is_some());
        if count < DEPTHS {
            return true;
        }
        let bytes: usize = self.depths.iter().map(|depth| depth.bytes).sum();
        let oldest = self
            .pushing
            .or_else(|| self.depths.front().map(|depth| depth.time));
        count < EARLY_DEPTHS
            && bytes < EARLY_BYTES
            && oldest.is_some_and(|time| handler.is_early(time))
    }

    /// Takes the frame to work on out of those that wait, and the late ones before it.
    #[allow(
        clippy::type_complexity,
        reason = "what was dropped, and what was chosen"
    )]
    fn choose(
        &mut self,
        handler: &dyn Handler<B, E>,
    ) -> (Vec<(Arrival<B>, Duration)>, Option<(Arrival<B>, Moment)>) {
        let mut dropped = Vec::new();
        while let Some(arrival) = self.frames.pop_front() {
            match handler.judge(&arrival, !self.frames.is_empty()) {
                Judgement::Work(moment) => return (dropped, Some((arrival, moment))),
                Judgement::Drop(by) => dropped.push((arrival, by)),
            }
        }
        (dropped, None)
    }

    /// Nothing goes on until the source has been told.
    fn fail(&mut self, error: E) {
        self.flow.get_or_insert(error);
        self.frames.clear();
        self.depths.clear();
    }
}

fn told_of_panics<B, E, T>(
    handler: &dyn Handler<B, E>,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    caught(work).unwrap_or_else(|words| Err(handler.panicked(&words)))
}

#[cfg(test)]
mod tests;
