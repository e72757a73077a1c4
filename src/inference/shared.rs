//! One engine for many streams of a process.
//!
//! Streams with the same model, provider, device and options share one loaded network ([`open`]): the weights and the
//! arena are there once. Each stream has a [`Shared`], and gives [`Request`]s to it; whose deadline is the earliest runs
//! next (`scheduler.rs`), alone or together with others of the same size. The network goes when its last stream goes.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::backend::{Connection, Description, Network, Readiness};
use super::planner::{MemoryModel, MemoryUse};
use super::registry::{self, Engine};
use super::scheduler::Client;
use super::{Config, Limits, Progress};
use crate::error::Error;
use crate::geometry::{Size, tokens};
use crate::sync::lock;

pub use super::scheduler::{Batching, Completed, Request, Ticket, Timing};

/// How often one looks whether servers are there while a request waits for them.
const LOOK: Duration = Duration::from_millis(20);
/// Servers may be away for so long before a request is given up that does not wait for them: one that only breaks a
/// connection is back by then.
const GRACE: Duration = Duration::from_millis(300);

/// A stream's place at a network.
pub struct Shared {
    engine: Arc<Engine>,
    description: Description,
    batching: Batching,
    client: Arc<Client>,
    counts: bool,
}

/// Opens the network that `config` asks for, or joins those who have it already, within `limits`, which are each stream's
/// own. `progress` is told the story of its loading either way, on this thread. Of several that ask at the same time, one
/// loads and the others wait.
///
/// # Errors
/// See [`super::open`].
pub fn open(
    limits: Limits,
    config: &Config,
    batching: Batching,
    progress: &mut dyn FnMut(Progress),
) -> Result<Shared, Error> {
    let engine = registry::open(config, &limits, progress)?;
    let mut shared = Shared::join(engine, batching);
    if config.servers.is_none() {
        // the same file may lie at several places under several names
        shared.description.model = config.model.name();
    }
    Ok(shared)
}

/// Gives elements that ask for `config` this network, of whatever kind, for as long as the stream that is returned or one
/// of theirs lives.
///
/// # Errors
/// When the model of `config` can't be read: it is what it is known by.
#[cfg(feature = "testing")]
pub fn offer(config: &Config, network: Box<dyn Network>) -> Result<Shared, Error> {
    let memory = MemoryModel::new(0, true, None);
    let engine = Engine::new(network, Vec::new(), memory, None, Vec::new());
    registry::offer(config, &engine)?;
    Ok(Shared::join(engine, Batching::default()))
}

impl Shared {
    /// A network that no other stream shares.
    #[cfg(feature = "testing")]
    pub fn alone(network: Box<dyn Network>) -> Self {
        Self::alone_with(network, MemoryModel::new(0, true, None))
    }

    /// The same, with what is known of the memory that it takes.
    #[cfg(feature = "testing")]
    pub fn alone_with(network: Box<dyn Network>, memory: MemoryModel) -> Self {
        Self::join(
            Engine::new(network, Vec::new(), memory, None, Vec::new()),
            Batching::default(),
        )
    }

    /// Another stream of the same network.
    #[cfg(feature = "testing")]
    pub fn another(&self) -> Self {
        let mut another = Self::join(Arc::clone(&self.engine), self.batching);
        another.description.clone_from(&self.description);
        another
    }

    /// The same stream, for another of its threads.
    pub fn same(&self) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            description: self.description.clone(),
            batching: self.batching,
            client: Arc::clone(&self.client),
            counts: false,
        }
    }

    fn join(engine: Arc<Engine>, batching: Batching) -> Self {
        engine.streams.fetch_add(1, Ordering::Relaxed);
        Self {
            description: engine.description.clone(),
            engine,
            batching,
            client: Arc::default(),
            counts: true,
        }
    }

    /// What the network is and where it runs.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Requests of it that run at the same time.
    pub fn slots(&self) -> usize {
        self.engine.slots
    }

    /// The servers that run it; `None`: it runs in this process.
    pub fn connection(&self) -> Option<&Arc<dyn Connection>> {
        self.engine.connection.as_ref()
    }

    /// Counts the streams that share the network, for as long as one does.
    pub fn stream_count(&self) -> StreamCount {
        StreamCount(Arc::downgrade(&self.engine))
    }

    /// Ends waits for the network from another thread.
    pub fn interrupt(&self) -> Interrupt {
        Interrupt {
            client: Arc::clone(&self.client),
            engine: Arc::downgrade(&self.engine),
        }
    }

    /// Whether the network has run at this size: the first run at one takes longer.
    pub fn is_warm(&self, size: Size) -> bool {
        self.engine.scheduler.is_warm(size)
    }

    /// Whether a run at `size` begins at once; if not, it is made ready from here on, on another thread.
    pub fn prepare(&self, size: Size) -> Readiness {
        match &self.engine.preparation {
            Some(preparation) => Arc::clone(preparation).prepare(size),
            None => Readiness::Ready,
        }
    }

    /// Requests of this stream that may run together.
    pub fn runs_together(&self) -> usize {
        let most = self.description.batch.unwrap_or(usize::MAX);
        self.batching.most.min(most).max(1)
    }

    /// Gives a request to the network, which runs it when no other is due before `due` that can be run.
    pub fn submit(&self, request: Request, due: Instant) -> Ticket {
        let mut batching = self.batching;
        let most = self.description.batch.unwrap_or(usize::MAX);
        batching.most = batching.most.min(most);
        if let (2.., Some(bytes)) = (batching.most, self.client.memory_limit()) {
            let tokens = tokens(request.size, self.description.patch);
            let fit = lock(&self.engine.memory).batch_within(tokens, bytes);
            batching.most = batching.most.min(fit);
        }
        self.engine
            .scheduler
            .submit(&self.client, request, due, batching)
    }

    /// Waits for what becomes of a request. `patient`: also while no server is there to run it; else it is given up then.
    pub fn wait(&self, ticket: Ticket, patient: bool) -> Completed {
        let Some(connection) = self.connection().filter(|_| !patient) else {
            return ticket.wait();
        };
        loop {
            if ticket.wait_until(Instant::now() + LOOK) {
                return ticket.wait();
            }
            let since = match connection.outage() {
                // it says itself what is wrong
                Some(outage) if outage.is_over => return ticket.wait(),
                Some(outage) => outage.since.elapsed(),
                None => continue,
            };
            if since > GRACE {
                drop(ticket);
                return Completed {
                    request: Request::default(),
                    result: Err(Error::ServersAway { since }),
                };
            }
        }
    }

    /// [`Self::submit`]s a request and waits for it. `None`: it was interrupted.
    ///
    /// # Errors
    /// As [`Network::run`]; one stream's error is nobody else's.
    pub fn run(&self, request: &mut Request, due: Instant) -> Result<Option<Timing>, Error> {
        let completed = self.submit(std::mem::take(request), due).wait();
        *request = completed.request;
        completed.result
    }
}

impl MemoryUse for Shared {
    fn description(&self) -> &Description {
        &self.description
    }

    fn at(&self, tokens: usize) -> u64 {
        lock(&self.engine.memory).predict(tokens)
    }

    fn held(&self) -> u64 {
        lock(&self.engine.memory).held()
    }

    fn largest_measured(&self) -> usize {
        lock(&self.engine.memory).largest_measured()
    }

    fn is_warm(&self, size: Size) -> bool {
        self.engine.scheduler.is_warm(size)
    }

    fn limit(&self, bytes: Option<u64>) {
        self.client.limit_memory(bytes);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.counts {
            self.engine.streams.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Ends a stream's waits for its network.
#[derive(Debug)]
pub struct Interrupt {
    client: Arc<Client>,
    engine: Weak<Engine>,
}

impl Interrupt {
    /// True: requests that wait or run come back at once, undone, and so do all that follow. False: requests are run again.
    /// Those of other streams are not touched.
    pub fn set(&self, interrupted: bool) {
        if let Some(engine) = self.engine.upgrade() {
            engine.scheduler.interrupt(&self.client, interrupted);
        }
    }
}

/// Counts the streams of a network without keeping it.
#[derive(Debug, Clone, Default)]
pub struct StreamCount(Weak<Engine>);

impl StreamCount {
    /// Streams that share the network now.
    pub fn get(&self) -> usize {
        self.0
            .upgrade()
            .map_or(0, |engine| engine.streams.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests;
