//! Whose turn it is at a network: earliest deadline first.
//!
//! A stream that comes while the network is free takes it; one that comes while it runs waits, and whoever is done hands
//! the network on to the work that is due first. The one whose turn it is may take works of the same size along as a
//! batch. As every work's deadline is a bounded time after its arrival, each becomes the earliest in the end: nobody
//! starves.
//!
//! The network runs on a thread of its own, so that a stream that is interrupted leaves at once, in mid-run too. A run
//! that nobody waits for any more is cancelled, where its network can be; else it comes to its end by itself.

use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{DepthMaps, GivenBack, Images, Network, Ran, Work, lock};
use crate::engine::network::Cancellation;
use crate::engine::under_way::UnderWay;
use crate::error::Error;
use crate::geometry::Size;
use crate::panics::caught;

/// How works of several streams may run together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Images in one run at most.
    pub most: usize,
    /// How long a work may wait for others to join it.
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

/// A stream, as the queue knows it.
#[derive(Debug, Default)]
pub(super) struct Member {
    interrupted: AtomicBool,
    /// Bytes that a run of it may take; 0: no limit.
    memory_limit: AtomicU64,
}

impl Member {
    pub(super) fn limit_memory(&self, bytes: Option<u64>) {
        let bytes = bytes.map_or(0, |bytes| bytes.max(1));
        self.memory_limit.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn memory_limit(&self) -> Option<u64> {
        Some(self.memory_limit.load(Ordering::Relaxed)).filter(|&bytes| bytes > 0)
    }
}

/// A network and the works that wait for it.
pub(super) struct Queue(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// `None`: a run of this network can't be ended.
    cancellation: Option<Arc<dyn Cancellation>>,
    /// Nobody waits for the present run.
    cancelled: AtomicBool,
}

struct State {
    /// `None` while it runs.
    desk: Option<Desk>,
    worker: Option<Worker>,
    /// The work whose turn it is, from when it is chosen until it is done.
    turn: Option<u64>,
    entries: Vec<Entry>,
    next_ticket: u64,
    warm: Vec<Size>,
}

/// The network with the buffers of its batches.
struct Desk {
    network: ManuallyDrop<Box<dyn Network>>,
    tensor: Vec<f32>,
    depth: DepthMaps,
    /// Dropped last.
    _memory: GivenBack,
}

/// The thread that the network runs on.
struct Worker {
    runs: Sender<Run>,
    thread: JoinHandle<()>,
}

/// A work and where it stands.
struct Entry {
    ticket: u64,
    member: Arc<Member>,
    due: Instant,
    arrived: Instant,
    batching: Batching,
    size: Size,
    phase: Phase,
    bell: Arc<Condvar>,
}

enum Phase {
    Waiting(Work),
    Running,
    Done(Work, Result<Ran, Error>),
}

impl Queue {
    pub(super) fn new(network: Box<dyn Network>) -> Self {
        let cancellation = network.cancellation();
        let state = State {
            desk: Some(Desk {
                network: ManuallyDrop::new(network),
                tensor: Vec::new(),
                depth: DepthMaps::default(),
                _memory: GivenBack,
            }),
            worker: None,
            turn: None,
            entries: Vec::new(),
            next_ticket: 0,
            warm: Vec::new(),
        };
        Self(Arc::new(Inner {
            state: Mutex::new(state),
            cancellation,
            cancelled: AtomicBool::new(false),
        }))
    }

    pub(super) fn is_warm(&self, size: Size) -> bool {
        lock(&self.0.state).warm.contains(&size)
    }

    /// See [`super::Interrupt::set`].
    pub(super) fn interrupt(&self, member: &Member, interrupted: bool) {
        let state = lock(&self.0.state);
        member.interrupted.store(interrupted, Ordering::Release);
        for entry in &state.entries {
            entry.bell.notify_one();
        }
    }

    /// See [`super::Shared::run`].
    pub(super) fn run(
        &self,
        member: &Arc<Member>,
        work: &mut Work,
        due: Instant,
        batching: Batching,
    ) -> Result<Option<Ran>, Error> {
        let bell = Arc::new(Condvar::new());
        let mut state = lock(&self.0.state);
        let ticket = state.enqueue(member, work, due, batching, &bell);
        state.choose();
        loop {
            let turn = state.turn == Some(ticket);
            let entry = state.entry(ticket);
            match &entry.phase {
                Phase::Done(..) => break,
                Phase::Waiting(_) if entry.is_interrupted() => {
                    *work = state.withdraw(ticket);
                    return Ok(None);
                }
                Phase::Running if entry.is_interrupted() => {
                    // its buffers stay behind
                    state.remove(ticket);
                    self.cancel_if_alone(&state);
                    return Ok(None);
                }
                Phase::Waiting(_) if turn => state = self.lead(state, ticket, &bell),
                Phase::Waiting(_) | Phase::Running => state = wait(&bell, state),
            }
        }
        let entry = state.remove(ticket);
        let Phase::Done(done, result) = entry.phase else {
            unreachable!("the loop ends with the work done")
        };
        *work = done;
        result.map(Some)
    }

    /// Gathers a batch and runs it. Comes back without having run when the one who leads was interrupted meanwhile.
    fn lead<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        ticket: u64,
        bell: &Condvar,
    ) -> MutexGuard<'a, State> {
        let patience = Instant::now() + state.entry(ticket).batching.wait;
        let tickets = loop {
            let (tickets, most) = state.batch(ticket);
            let left = patience.saturating_duration_since(Instant::now());
            if tickets.len() >= most || left.is_zero() {
                break tickets;
            }
            state = bell
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            if state.entry(ticket).is_interrupted() {
                return state;
            }
        };
        let Some(desk) = state.desk.take() else {
            // only who has the turn takes the network
            return wait(bell, state);
        };
        self.0.cancelled.store(false, Ordering::Release);
        let run = Run {
            queue: Arc::clone(&self.0),
            desk: Some(desk),
            works: state.start(&tickets),
            tickets,
            started: Instant::now(),
            results: Vec::new(),
        };
        if let Some(run) = state.hand_over(run) {
            // no thread is to be had: here, then
            drop(state);
            run.go();
            return lock(&self.0.state);
        }
        state
    }

    /// Ends the present run if nobody waits for it.
    fn cancel_if_alone(&self, state: &State) {
        let awaited = |entry: &Entry| matches!(entry.phase, Phase::Running);
        if state.desk.is_some() || state.entries.iter().any(awaited) {
            return;
        }
        self.0.cancelled.store(true, Ordering::Release);
        if let Some(cancellation) = &self.0.cancellation {
            cancellation.cancel();
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        let (worker, idle) = (state.worker.take(), state.desk.is_some());
        drop(state);
        if let Some(Worker { runs, thread }) = worker {
            drop(runs);
            // a run that nobody waits for takes the network along when it is done
            if idle {
                let _ = thread.join();
            }
        }
    }
}

fn wait<'a>(bell: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    bell.wait(state).unwrap_or_else(PoisonError::into_inner)
}

impl Entry {
    fn is_interrupted(&self) -> bool {
        self.member.interrupted.load(Ordering::Acquire)
    }
}

impl State {
    /// Gives `run` to the thread that runs the network. `Some`: it is given back, as there is none.
    fn hand_over(&mut self, mut run: Run) -> Option<Run> {
        for _ in 0..2 {
            let worker = match self.worker.take() {
                Some(worker) => worker,
                None => match Worker::start() {
                    Ok(worker) => worker,
                    Err(_) => return Some(run),
                },
            };
            match worker.runs.send(run) {
                Ok(()) => {
                    self.worker = Some(worker);
                    return None;
                }
                // it has died; another may live
                Err(refused) => run = refused.0,
            }
        }
        Some(run)
    }

    fn enqueue(
        &mut self,
        member: &Arc<Member>,
        work: &mut Work,
        due: Instant,
        batching: Batching,
        bell: &Arc<Condvar>,
    ) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.entries.push(Entry {
            ticket,
            member: Arc::clone(member),
            due,
            arrived: Instant::now(),
            batching,
            size: work.size,
            phase: Phase::Waiting(std::mem::take(work)),
            bell: Arc::clone(bell),
        });
        // one who gathers a batch may have waited for this
        if let (Some(turn), true) = (self.turn, self.desk.is_some()) {
            self.entry(turn).bell.notify_one();
        }
        ticket
    }

    /// The network is free: whose turn is it?
    fn choose(&mut self) {
        if self.turn.is_some() {
            return;
        }
        let waiting = |entry: &&Entry| matches!(entry.phase, Phase::Waiting(_));
        let first = self.entries.iter().filter(waiting);
        if let Some(first) = first.min_by_key(|entry| (entry.due, entry.ticket)) {
            self.turn = Some(first.ticket);
            first.bell.notify_one();
        }
    }

    /// The tickets that can run with `leader`, by their deadlines, and how many there may be.
    fn batch(&self, leader: u64) -> (Vec<u64>, usize) {
        let Some(lead) = self.entries.iter().find(|entry| entry.ticket == leader) else {
            return (Vec::new(), 0);
        };
        let mut most = lead.batching.most.max(1);
        let mut tickets = vec![leader];
        let mut others: Vec<&Entry> = self
            .entries
            .iter()
            .filter(|entry| {
                entry.ticket != leader
                    && entry.size == lead.size
                    && matches!(entry.phase, Phase::Waiting(_))
                    && !entry.is_interrupted()
            })
            .collect();
        others.sort_by_key(|entry| (entry.due, entry.ticket));
        for other in others {
            let together = most.min(other.batching.most);
            if tickets.len() < together {
                tickets.push(other.ticket);
                most = together;
            }
        }
        (tickets, most)
    }

    fn start(&mut self, tickets: &[u64]) -> VecDeque<Work> {
        let mut works = VecDeque::with_capacity(tickets.len());
        for &ticket in tickets {
            let entry = self.entry(ticket);
            match std::mem::replace(&mut entry.phase, Phase::Running) {
                Phase::Waiting(work) => works.push_back(work),
                other => entry.phase = other,
            }
        }
        works
    }

    fn withdraw(&mut self, ticket: u64) -> Work {
        let entry = self.remove(ticket);
        if self.turn == Some(ticket) {
            self.turn = None;
        }
        self.choose();
        match entry.phase {
            Phase::Waiting(work) | Phase::Done(work, _) => work,
            Phase::Running => Work::default(),
        }
    }

    fn entry(&mut self, ticket: u64) -> &mut Entry {
        let found = self.entries.iter_mut().find(|entry| entry.ticket == ticket);
        found.expect("an entry stays until its own thread removes it")
    }

    fn remove(&mut self, ticket: u64) -> Entry {
        let index = self.entries.iter().position(|entry| entry.ticket == ticket);
        self.entries
            .swap_remove(index.expect("an entry stays until its own thread removes it"))
    }
}

impl Worker {
    fn start() -> std::io::Result<Self> {
        let (runs, received) = channel();
        let thread = std::thread::Builder::new()
            .name("depth-inference".to_owned())
            .spawn(move || Self::work(&received))?;
        Ok(Self { runs, thread })
    }

    fn work(runs: &Receiver<Run>) {
        while let Ok(run) = runs.recv() {
            // who waits for it is told
            let _ = caught(|| run.go());
        }
    }
}

/// A batch in the network. Whatever becomes of it, the network is handed on and everyone is told.
struct Run {
    queue: Arc<Inner>,
    desk: Option<Desk>,
    tickets: Vec<u64>,
    works: VecDeque<Work>,
    started: Instant,
    results: Vec<Result<(), Error>>,
}

impl Run {
    fn go(mut self) {
        let Some(desk) = &mut self.desk else { return };
        // what has not run is told so
        let Ok(_under_way) = UnderWay::enter() else {
            return;
        };
        let cancelled = || self.queue.cancelled.load(Ordering::Acquire);
        if self.works.len() > 1 {
            match desk.run_together(&mut self.works) {
                Ok(()) => {
                    self.results.resize(self.works.len(), Ok(()));
                    return;
                }
                // whose fault it is shows when they run alone
                Err(_) => self.results.clear(),
            }
        }
        for work in &mut self.works {
            if cancelled() {
                return;
            }
            let images = Images {
                values: &work.tensor,
                batch: 1,
                size: work.size,
            };
            self.results.push(desk.network.run(images, &mut work.depth));
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // at the end of the process what it would be closed by may be gone
        if let Ok(_under_way) = UnderWay::enter() {
            // SAFETY: nobody uses it after this, and this happens once
            unsafe { ManuallyDrop::drop(&mut self.network) };
        }
    }
}

impl Desk {
    fn run_together(&mut self, works: &mut VecDeque<Work>) -> Result<(), Error> {
        let size = works.front().map(|work| work.size).unwrap_or_default();
        self.tensor.clear();
        for work in works.iter() {
            self.tensor.extend_from_slice(&work.tensor);
        }
        let images = Images {
            values: &self.tensor,
            batch: works.len(),
            size,
        };
        self.network.run(images, &mut self.depth)?;
        let area = self.depth.size.area();
        if self.depth.values.len() != works.len() * area {
            return Err(Error::Inference {
                size: size.to_string(),
                reason: format!(
                    "{} values came back for {} images",
                    self.depth.values.len(),
                    works.len()
                ),
            });
        }
        for (work, map) in works.iter_mut().zip(self.depth.values.chunks_exact(area)) {
            work.depth.values.clear();
            work.depth.values.extend_from_slice(map);
            work.depth.size = self.depth.size;
            work.depth.batch = 1;
        }
        Ok(())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let inference = self.started.elapsed();
        let batch = self.tickets.len();
        let mut results = std::mem::take(&mut self.results).into_iter();
        let mut state = lock(&self.queue.state);
        // what ended this run must not end the next
        let cancelled = self.queue.cancelled.swap(false, Ordering::AcqRel);
        if let (Some(cancellation), true) = (&self.queue.cancellation, cancelled) {
            cancellation.reset();
        }
        state.desk = self.desk.take();
        state.turn = None;
        for &ticket in &self.tickets {
            let work = self.works.pop_front().unwrap_or_default();
            let size = work.size;
            let result = results.next().unwrap_or_else(|| {
                Err(Error::Inference {
                    size: size.to_string(),
                    reason: if cancelled {
                        "nobody waits for it any more".to_owned()
                    } else {
                        "the network has panicked; please report this".to_owned()
                    },
                })
            });
            if result.is_ok() && !state.warm.contains(&size) {
                state.warm.push(size);
            }
            let started = self.started;
            // its stream may not have waited for it
            let mut entries = state.entries.iter_mut();
            let Some(entry) = entries.find(|entry| entry.ticket == ticket) else {
                continue;
            };
            let ran = result.map(|()| Ran {
                waited: started.saturating_duration_since(entry.arrived),
                inference,
                batch,
            });
            entry.phase = Phase::Done(work, ran);
            entry.bell.notify_one();
        }
        state.choose();
    }
}
