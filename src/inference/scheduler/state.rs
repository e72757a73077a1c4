//! What a scheduler knows: the requests that wait, run or are done, and the slots that are free.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::slot::Slot;
use super::{Batching, Client, Request, Timing};
use crate::error::Error;
use crate::geometry::Size;
use crate::inference::backend::Cancellation;
pub(super) struct State {
    /// Those that are free.
    pub(super) slots: Vec<Slot>,
    /// Threads that serve slots, at most one for each, and how many of them have nothing to do.
    pub(super) threads: Vec<JoinHandle<()>>,
    pub(super) idle: usize,
    /// Of the threads, those that have ended.
    pub(super) ended: usize,
    pub(super) entries: Vec<Entry>,
    pub(super) runs: Vec<Run>,
    pub(super) next_ticket: u64,
    pub(super) warm: Vec<Size>,
    pub(super) closed: bool,
}

/// A request and where it stands.
pub(super) struct Entry {
    pub(super) ticket: u64,
    pub(super) client: Arc<Client>,
    pub(super) due: Instant,
    pub(super) arrived: Instant,
    pub(super) batching: Batching,
    pub(super) size: Size,
    pub(super) phase: Phase,
}

pub(super) enum Phase {
    Waiting(Request),
    /// A slot gathers a batch for it.
    Leading(Request),
    Running,
    Done(Request, Result<Timing, Error>),
}

/// A slot's run: whose it is, and what ends it.
pub(super) struct Run {
    pub(super) tickets: Vec<u64>,
    /// `None`: it can't be ended.
    pub(super) cancellation: Option<Arc<dyn Cancellation>>,
    /// Nobody waits for it.
    pub(super) cancelled: Arc<AtomicBool>,
}

impl Run {
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        if let Some(cancellation) = &self.cancellation {
            cancellation.cancel();
        }
    }
}

impl Entry {
    pub(super) fn waits(&self) -> bool {
        matches!(self.phase, Phase::Waiting(_)) && !self.client.is_interrupted()
    }
}

impl State {
    pub(super) fn entry(&self, ticket: u64) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.ticket == ticket)
    }

    pub(super) fn entry_mut(&mut self, ticket: u64) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.ticket == ticket)
    }

    pub(super) fn remove(&mut self, ticket: u64) -> Option<Entry> {
        let index = self
            .entries
            .iter()
            .position(|entry| entry.ticket == ticket)?;
        Some(self.entries.swap_remove(index))
    }

    /// Nobody waits for this request any more. Gives its buffers back, unless it runs.
    pub(super) fn give_up(&mut self, ticket: u64) -> Request {
        let Some(entry) = self.remove(ticket) else {
            return Request::default();
        };
        match entry.phase {
            Phase::Waiting(request) | Phase::Leading(request) | Phase::Done(request, _) => request,
            Phase::Running => {
                let awaited = |ticket: &u64| self.entry(*ticket).is_some();
                let run = self.runs.iter().find(|run| run.tickets.contains(&ticket));
                if let Some(run) = run.filter(|run| !run.tickets.iter().any(awaited)) {
                    run.cancel();
                }
                Request::default()
            }
        }
    }

    pub(super) fn fail(&mut self, ticket: u64, error: Error) {
        if let Some(entry) = self.entry_mut(ticket) {
            let phase = std::mem::replace(&mut entry.phase, Phase::Running);
            entry.phase = match phase {
                Phase::Waiting(request) | Phase::Leading(request) => {
                    Phase::Done(request, Err(error))
                }
                other => other,
            };
            entry.client.changed.notify_all();
        }
    }

    /// A slot takes this request; how it may run with others.
    pub(super) fn lead(&mut self, ticket: u64) -> Option<Batching> {
        let entry = self.entry_mut(ticket)?;
        let phase = std::mem::replace(&mut entry.phase, Phase::Running);
        entry.phase = match phase {
            Phase::Waiting(request) => Phase::Leading(request),
            other => other,
        };
        Some(entry.batching)
    }

    /// Clients that have a request here.
    pub(super) fn present(&self) -> usize {
        let mut clients: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| !matches!(entry.phase, Phase::Done(..)))
            .map(|entry| Arc::as_ptr(&entry.client))
            .collect();
        clients.sort_unstable();
        clients.dedup();
        clients.len()
    }

    /// The tickets that can run with `leader`, by their deadlines, and how many there may be.
    pub(super) fn batch(&self, leader: u64) -> (Vec<u64>, usize) {
        let Some(lead) = self.entry(leader) else {
            return (Vec::new(), 0);
        };
        let mut most = lead.batching.most.max(1);
        let mut tickets = vec![leader];
        let mut others: Vec<&Entry> = self
            .entries
            .iter()
            .filter(|entry| entry.size == lead.size && entry.waits())
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

    pub(super) fn start(&mut self, tickets: &[u64]) -> Vec<Request> {
        let mut requests = Vec::with_capacity(tickets.len());
        for &ticket in tickets {
            let Some(entry) = self.entry_mut(ticket) else {
                continue;
            };
            match std::mem::replace(&mut entry.phase, Phase::Running) {
                Phase::Waiting(request) | Phase::Leading(request) => requests.push(request),
                other => entry.phase = other,
            }
        }
        requests
    }

    /// Tells everyone whose request has run.
    pub(super) fn finish(
        &mut self,
        tickets: &[u64],
        requests: Vec<Request>,
        results: Vec<Result<(), Error>>,
        started: Instant,
        inference: Duration,
        cancelled: bool,
    ) {
        let mut results = results.into_iter();
        for (&ticket, request) in tickets.iter().zip(requests) {
            let size = request.size;
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
            if result.is_ok() && !self.warm.contains(&size) {
                self.warm.push(size);
            }
            // its client may not have waited for it
            let Some(entry) = self.entry_mut(ticket) else {
                continue;
            };
            let timing = result.map(|()| Timing {
                waited: started.saturating_duration_since(entry.arrived),
                inference,
                batch: tickets.len(),
            });
            entry.phase = Phase::Done(request, timing);
            entry.client.changed.notify_all();
        }
    }
}
