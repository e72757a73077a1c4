//! Whose turn it is at a network: earliest deadline first, over as many slots as the network has.
//!
//! A client gives a [`Request`] and gets a [`Ticket`], which can be waited for and given up. A slot is one run of the network
//! at a time, on a thread of its own; when it is free it takes the request that is due first, alone or together with others
//! of the same size as a batch. As every request's deadline is a bounded time after its arrival, each becomes the earliest in
//! the end: nobody starves. A request at a size that is still compiled takes no slot until that is done.
//!
//! Who gives up a request leaves at once, in mid-run too. A run that nobody waits for any more is cancelled, where its network
//! can be; else it comes to its end by itself.

mod slot;
mod state;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::geometry::Size;
use crate::inference::backend::{DepthMaps, Network, Preparation, Readiness};
use crate::inference::planner::resident;
use crate::inference::under_way::end_with_process;
use crate::panics::caught;
use crate::sync::lock;
use slot::Slot;
use state::{Entry, Phase, Run, State};

/// How often one looks whether a size has been compiled that a request waits for.
const LOOK: Duration = Duration::from_millis(20);

/// How long who lets a network go waits until it is gone.
const FAREWELL: Duration = Duration::from_millis(200);

/// One image for the network, and the depth map that comes back, with buffers that are used again.
#[derive(Debug, Default)]
pub struct Request {
    /// In: `[3, height, width]`, RGB, normalised.
    pub tensor: Vec<f32>,
    /// In: its size.
    pub size: Size,
    /// Out: its depth map.
    pub depth: DepthMaps,
}

/// How a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Until a slot was free for it.
    pub waited: Duration,
    /// In the network.
    pub inference: Duration,
    /// Images that ran together.
    pub batch: usize,
}

/// How requests may run together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Images in one run at most.
    pub most: usize,
    /// How long a request may wait for others to join it.
    pub wait: Duration,
}

impl Default for Batching {
    fn default() -> Self {
        Self {
            most: 1,
            wait: Duration::ZERO,
        }
    }
}

/// A stream, as the scheduler knows it.
#[derive(Debug, Default)]
pub(super) struct Client {
    interrupted: AtomicBool,
    /// Bytes that a run of it may take; 0: no limit.
    memory_limit: AtomicU64,
    /// One of its requests is done, or it is interrupted.
    changed: Condvar,
}

impl Client {
    pub(super) fn limit_memory(&self, bytes: Option<u64>) {
        let bytes = bytes.map_or(0, |bytes| bytes.max(1));
        self.memory_limit.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn memory_limit(&self) -> Option<u64> {
        Some(self.memory_limit.load(Ordering::Relaxed)).filter(|&bytes| bytes > 0)
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }
}

/// Hears how many bytes each image of the first run at a size has added to this process.
pub(super) type Measured = dyn Fn(Size, u64) + Send + Sync;

/// The slots of a network and the requests that wait for them.
pub(super) struct Scheduler(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// A request has come or gone, a slot has become free.
    changed: Condvar,
    preparation: Option<Arc<dyn Preparation>>,
    /// Clients of the network.
    clients: Arc<AtomicUsize>,
    /// `None`: what it takes is not in the memory of this process.
    measured: Option<Box<Measured>>,
}

/// What a slot may do next.
enum Next {
    Run(u64),
    /// Requests wait for their size.
    Look,
    Nothing,
}

/// A request that has been given to the scheduler. Dropped, it is given up.
pub struct Ticket {
    inner: Arc<Inner>,
    client: Arc<Client>,
    id: u64,
    taken: bool,
}

/// What has become of a request.
#[derive(Debug)]
pub struct Completed {
    /// With its depth map, if it ran. One that was given up in mid-run has left its buffers behind.
    pub request: Request,
    /// How it ran; `None`: its client was interrupted.
    pub result: Result<Option<Timing>, Error>,
}

impl Scheduler {
    /// `networks`: one for each slot.
    pub(super) fn new(
        networks: Vec<Box<dyn Network>>,
        clients: Arc<AtomicUsize>,
        measured: Option<Box<Measured>>,
    ) -> Self {
        let preparation = networks.first().and_then(|network| network.preparation());
        let slots = networks.into_iter().map(Slot::new);
        let state = State {
            slots: slots.collect(),
            threads: Vec::new(),
            idle: 0,
            ended: 0,
            entries: Vec::new(),
            runs: Vec::new(),
            next_ticket: 0,
            warm: Vec::new(),
            closed: false,
        };
        Self(Arc::new(Inner {
            state: Mutex::new(state),
            changed: Condvar::new(),
            preparation,
            clients,
            measured,
        }))
    }

    /// Whether the network has run at this size.
    pub(super) fn is_warm(&self, size: Size) -> bool {
        lock(&self.0.state).warm.contains(&size)
    }

    /// See [`super::shared::Interrupt::set`].
    pub(super) fn interrupt(&self, client: &Client, interrupted: bool) {
        let state = lock(&self.0.state);
        client.interrupted.store(interrupted, Ordering::Release);
        client.changed.notify_all();
        drop(state);
    }

    /// See [`super::shared::Shared::submit`].
    pub(super) fn submit(
        &self,
        client: &Arc<Client>,
        request: Request,
        due: Instant,
        batching: Batching,
    ) -> Ticket {
        let mut state = lock(&self.0.state);
        let id = state.next_ticket;
        state.next_ticket += 1;
        state.entries.push(Entry {
            ticket: id,
            client: Arc::clone(client),
            due,
            arrived: Instant::now(),
            batching,
            size: request.size,
            phase: Phase::Waiting(request),
        });
        if state.idle == 0 && !state.slots.is_empty() {
            Inner::start_thread(&self.0, &mut state);
        }
        drop(state);
        self.0.changed.notify_all();
        Ticket {
            inner: Arc::clone(&self.0),
            client: Arc::clone(client),
            id,
            taken: false,
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.closed = true;
        for run in &state.runs {
            run.cancel();
        }
        self.0.changed.notify_all();
        if state.threads.is_empty() {
            let slots = std::mem::take(&mut state.slots);
            drop(state);
            drop(slots);
            return;
        }
        // the threads take the networks along. To let one go may take a second, and a run that nobody waits for any time
        let end = Instant::now() + FAREWELL;
        while state.ended < state.threads.len() && state.runs.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = wait_for(&self.0.changed, state, left);
        }
        if state.ended == state.threads.len() {
            let threads = std::mem::take(&mut state.threads);
            drop(state);
            for thread in threads {
                let _ = thread.join();
            }
        }
    }
}

impl Ticket {
    /// Waits for what becomes of the request.
    pub fn wait(mut self) -> Completed {
        // the end of this is the end of the ticket
        self.taken = true;
        let inner = Arc::clone(&self.inner);
        let mut state = lock(&inner.state);
        loop {
            let interrupted = self.client.is_interrupted() || state.closed;
            match state.entry(self.id).map(|entry| &entry.phase) {
                Some(Phase::Done(..)) => break,
                Some(_) if !interrupted => state = self.await_change(state, None),
                _ => {
                    let request = state.give_up(self.id);
                    // a slot may gather a batch for it
                    inner.changed.notify_all();
                    let result = Ok(None);
                    return Completed { request, result };
                }
            }
        }
        match state.remove(self.id).map(|entry| entry.phase) {
            Some(Phase::Done(request, result)) => Completed {
                request,
                result: result.map(Some),
            },
            _ => Completed {
                request: Request::default(),
                result: Ok(None),
            },
        }
    }

    /// Waits until the request is done, but no longer than to `end`; whether it is.
    pub fn wait_until(&self, end: Instant) -> bool {
        let mut state = lock(&self.inner.state);
        loop {
            let interrupted = self.client.is_interrupted() || state.closed;
            let done = match state.entry(self.id).map(|entry| &entry.phase) {
                Some(Phase::Done(..)) | None => true,
                Some(_) => interrupted,
            };
            if done || Instant::now() >= end {
                return done;
            }
            state = self.await_change(state, Some(end));
        }
    }

    fn await_change<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        end: Option<Instant>,
    ) -> MutexGuard<'a, State> {
        if state.threads.is_empty() && !state.closed {
            // no thread is to be had: here, then
            match self.inner.next(&mut state) {
                Next::Run(leader) => return self.inner.serve(state, leader),
                Next::Look => return wait_for(&self.client.changed, state, LOOK),
                Next::Nothing => {}
            }
        }
        match end {
            Some(end) => {
                let left = end.saturating_duration_since(Instant::now());
                wait_for(&self.client.changed, state, left)
            }
            None => wait(&self.client.changed, state),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.taken {
            lock(&self.inner.state).give_up(self.id);
            self.inner.changed.notify_all();
        }
    }
}

fn wait<'a>(condvar: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    condvar.wait(state).unwrap_or_else(PoisonError::into_inner)
}

fn wait_for<'a>(
    condvar: &Condvar,
    state: MutexGuard<'a, State>,
    time: Duration,
) -> MutexGuard<'a, State> {
    let waited = condvar.wait_timeout(state, time);
    waited.unwrap_or_else(PoisonError::into_inner).0
}

impl Inner {
    /// One more thread for the slots, if one is to be had.
    fn start_thread(inner: &Arc<Self>, state: &mut State) {
        let serves = Arc::clone(inner);
        let thread = std::thread::Builder::new()
            .name("depth-inference".to_owned())
            .spawn(move || serves.serve_all());
        state.threads.extend(thread);
    }

    fn serve_all(&self) {
        let mut state = lock(&self.state);
        while !state.closed {
            state = match self.next(&mut state) {
                Next::Run(leader) => self.serve(state, leader),
                Next::Look => self.be_idle(state, Some(LOOK)),
                Next::Nothing => self.be_idle(state, None),
            };
        }
        let slots = std::mem::take(&mut state.slots);
        drop(state);
        drop(slots);
        lock(&self.state).ended += 1;
        self.changed.notify_all();
    }

    fn be_idle<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        time: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        state.idle += 1;
        state = match time {
            Some(time) => wait_for(&self.changed, state, time),
            None => wait(&self.changed, state),
        };
        state.idle -= 1;
        state
    }

    /// What the first free slot may do: of the requests that wait, and whose size is ready, the one that is due first.
    fn next(&self, state: &mut State) -> Next {
        if state.slots.is_empty() {
            return Next::Nothing;
        }
        let mut looks = false;
        loop {
            let waiting = state.entries.iter().filter(|entry| entry.waits());
            let mut waiting: Vec<_> = waiting
                .map(|entry| (entry.due, entry.ticket, entry.size))
                .collect();
            waiting.sort_unstable_by_key(|&(due, ticket, _)| (due, ticket));
            let mut failed = None;
            for (_, ticket, size) in waiting {
                match self.readiness(size) {
                    Readiness::Ready => return Next::Run(ticket),
                    Readiness::Preparing(_) => looks = true,
                    Readiness::Failed(error) => {
                        failed = Some((ticket, error));
                        break;
                    }
                }
            }
            match failed {
                Some((ticket, error)) => state.fail(ticket, error),
                None if looks => return Next::Look,
                None => return Next::Nothing,
            }
        }
    }

    fn readiness(&self, size: Size) -> Readiness {
        match &self.preparation {
            Some(preparation) => Arc::clone(preparation).prepare(size),
            None => Readiness::Ready,
        }
    }

    /// Gathers a batch around `leader` and runs it in a free slot.
    fn serve<'a>(&'a self, mut state: MutexGuard<'a, State>, leader: u64) -> MutexGuard<'a, State> {
        let Some(mut slot) = state.slots.pop() else {
            return state;
        };
        let Some(batching) = state.lead(leader) else {
            state.slots.push(slot);
            return state;
        };
        let end = Instant::now() + batching.wait;
        let tickets = loop {
            let (tickets, most) = state.batch(leader);
            let left = end.saturating_duration_since(Instant::now());
            let all_are_here = || state.present() >= self.clients.load(Ordering::Relaxed);
            if tickets.is_empty() || tickets.len() >= most || left.is_zero() || all_are_here() {
                break tickets;
            }
            state = wait_for(&self.changed, state, left);
        };
        if tickets.is_empty() || state.closed {
            // the leader has left
            return self.free(state, slot);
        }
        let mut requests = state.start(&tickets);
        let cancelled = Arc::new(AtomicBool::new(false));
        let cancellation = slot.network.cancellation();
        if let Some(cancellation) = &cancellation {
            end_with_process(cancellation);
        }
        state.runs.push(Run {
            tickets: tickets.clone(),
            cancellation: cancellation.clone(),
            cancelled: Arc::clone(&cancelled),
        });
        let size = requests.first().map(|request| request.size);
        let size = size.unwrap_or_default();
        let is_first = !state.warm.contains(&size);
        drop(state);

        let before = self
            .measured
            .as_ref()
            .filter(|_| is_first)
            .and_then(|_| resident());
        let started = Instant::now();
        let results = caught(|| slot.run_all(&mut requests, &cancelled)).unwrap_or_default();
        let inference = started.elapsed();
        if let (Some(measured), Some(before), Some(after)) = (&self.measured, before, resident())
            && results.iter().any(Result::is_ok)
        {
            measured(size, after.saturating_sub(before) / tickets.len() as u64);
        }

        let mut state = lock(&self.state);
        state.runs.retain(|run| run.tickets != tickets);
        // what ended this run must not end the next
        let cancelled = cancelled.load(Ordering::Acquire);
        if let (Some(cancellation), true) = (cancellation, cancelled) {
            cancellation.reset();
        }
        state.finish(&tickets, requests, results, started, inference, cancelled);
        self.free(state, slot)
    }

    fn free<'a>(&'a self, mut state: MutexGuard<'a, State>, slot: Slot) -> MutexGuard<'a, State> {
        if state.closed {
            drop(state);
            drop(slot);
            state = lock(&self.state);
        } else {
            state.slots.push(slot);
            self.changed.notify_all();
        }
        state
    }
}

#[cfg(test)]
mod tests;
