//! Several servers as one: which is asked, what happens when one fails.
//!
//! A request goes to the server that has the fewest under way. One that fails is left alone for a while, twice as long each
//! time, and is then asked by one small call whether it is back; its requests are sent again, elsewhere or later, which does
//! no harm: inference changes nothing. A request fails when no server could answer it for as long as patience lasts.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Notify;
#[cfg(unix)]
use tokio::task::JoinHandle;

use super::form::Declared;
use super::protocol::{self, Call, Method, ModelMetadataResponse, ModelRequest};
use super::transport::{Failure, Fault, History, Transport, Verdict, judge};
use crate::error::Error;
use crate::geometry::Size;
use crate::inference::backend::{Outage, ServerEvent, ServerListener, ServerStatistics};
use crate::sync::lock;

/// A server that has failed is left alone for so long at first,
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// and for so long in the end;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// where no server is left, for so long: a live stream waits for it.
const LONGEST_PAUSE_ALONE: Duration = Duration::from_secs(1);
/// Time for the small call.
const PROBE: Duration = Duration::from_secs(2);
/// Round trips that the percentiles are of.
const ROUND_TRIPS: usize = 512;
/// Why a server is away at first.
const NOT_ASKED: &str = "it has not been asked yet";
/// Sizes that are remembered.
const SIZES: usize = 4096;

/// How a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    /// It is given requests.
    Well,
    /// It is back, and given one request to show it.
    OnTrial,
    /// It has failed, and is asked now and then.
    Away,
    /// It will not serve.
    Unfit,
}

/// Where a request is about to go.
#[derive(Clone, Copy)]
pub(super) struct Destination<'a> {
    /// Which of the servers.
    pub(super) index: usize,
    /// Another, once it has failed: it may have forgotten what it was told.
    pub(super) epoch: u64,
    pub(super) transport: &'a dyn Transport,
}

/// A server.
struct Server {
    name: String,
    transport: Box<dyn Transport>,
    in_flight: AtomicUsize,
    /// How often it has failed.
    failures: AtomicU64,
    standing: Mutex<Standing>,
}

struct Standing {
    health: Health,
    /// It has answered well before.
    known: bool,
    /// How long it was left alone last.
    pause: Duration,
    /// Why it is away or unfit.
    reason: String,
    /// A task asks it now and then.
    is_probed: bool,
}

/// What all servers have in common.
#[derive(Default)]
struct Common {
    /// Since when no server is well.
    lost: Option<Instant>,
    retries: u64,
    round_trips: VecDeque<Duration>,
    /// Sizes and batches that have been answered.
    sizes: BTreeSet<(u32, u32, usize)>,
    listeners: Vec<Weak<ServerListener>>,
}

/// The servers.
pub(super) struct Pool {
    servers: Vec<Server>,
    common: Mutex<Common>,
    /// A server's health has changed, or one has a request less.
    changed: Notify,
    handle: Handle,
    timeout: Duration,
    patience: Duration,
    /// What is asked of one that is back.
    model: ModelRequest,
    declared: Declared,
    /// Where to begin looking among equals.
    turn: AtomicUsize,
}

/// A request that is under way at a server.
struct InFlight<'a> {
    server: &'a Server,
    changed: &'a Notify,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.server.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }
}

/// How [`Pool`] asks.
pub(super) struct Manner {
    pub(super) timeout: Duration,
    pub(super) patience: Duration,
}

impl Pool {
    /// Of `servers`, of which the one at `first` has shown that its model is `declared`. The others are
    /// asked from here on.
    pub(super) fn new(
        servers: Vec<(String, Box<dyn Transport>)>,
        first: usize,
        (model, declared): (ModelRequest, Declared),
        manner: Manner,
        handle: Handle,
    ) -> Arc<Self> {
        let servers = servers.into_iter().enumerate();
        let servers = servers.map(|(index, (name, transport))| Server {
            name,
            transport,
            in_flight: AtomicUsize::new(0),
            failures: AtomicU64::new(0),
            standing: Mutex::new(Standing {
                health: if index == first {
                    Health::Well
                } else {
                    Health::Away
                },
                known: false,
                pause: Duration::ZERO,
                reason: NOT_ASKED.to_owned(),
                is_probed: false,
            }),
        });
        let pool = Arc::new(Self {
            servers: servers.collect(),
            common: Mutex::default(),
            changed: Notify::new(),
            handle,
            timeout: manner.timeout,
            patience: manner.patience,
            model,
            declared,
            turn: AtomicUsize::new(0),
        });
        for index in (0..pool.servers.len()).filter(|&index| index != first) {
            pool.probe(index);
        }
        pool
    }

    /// Sends what `call` gives for a server, until one has answered it so that `accept` takes it. `size` and `batch` are those of its images.
    ///
    /// # Errors
    /// [`Error::Server`] when no server could for as long as patience lasts, and [`Error::Inference`] when none would.
    pub(super) async fn infer<T>(
        self: &Arc<Self>,
        (size, batch): (Size, usize),
        call: impl AsyncFn(Destination<'_>) -> Result<Call, Failure>,
        accept: impl Fn(&Bytes) -> Result<T, String>,
    ) -> Result<T, Error> {
        let key = (size.width, size.height, batch);
        let mut failed_since = None;
        loop {
            // before one looks, so that nothing is missed
            let changed = self.changed.notified();
            let Some(server) = self.choose() else {
                self.wait(changed).await?;
                continue;
            };
            let (index, _in_flight) = server;
            let server = &self.servers[index];
            let begun = Instant::now();
            let destination = Destination {
                index,
                epoch: server.failures.load(Ordering::Acquire),
                transport: &*server.transport,
            };
            let answer = match call(destination).await {
                Ok(call) => server.transport.call(call, self.timeout).await,
                Err(failure) => Err(failure),
            };
            let result = answer.and_then(|answer| {
                accept(&answer).map_err(|words| Failure::new(Fault::Damaged, words))
            });
            match result {
                Ok(result) => {
                    self.answered(index, key, begun.elapsed());
                    return Ok(result);
                }
                Err(failure) => {
                    // one lock after the other
                    let server_is_known = lock(&server.standing).known;
                    let size_is_known = lock(&self.common).sizes.contains(&key);
                    let history = History {
                        server_is_known,
                        size_is_known,
                    };
                    let verdict = judge(failure.fault, history);
                    if verdict == Verdict::RequestIsRefused {
                        return Err(Error::Inference {
                            size: size.to_string(),
                            reason: format!("{}: {failure}", server.name),
                        });
                    }
                    self.failed(index, &failure, verdict);
                    let since = *failed_since.get_or_insert(begun);
                    // servers are there, and fail on this one
                    if since.elapsed() > self.patience.max(self.timeout * 2) {
                        return Err(self.error(&format!("{}: {failure}", server.name)));
                    }
                }
            }
        }
    }

    /// Waits until something has changed.
    ///
    /// # Errors
    /// When no server has been well for as long as patience lasts, or none will be.
    async fn wait(&self, changed: impl Future<Output = ()>) -> Result<(), Error> {
        if self.is_hopeless() {
            return Err(self.error(&self.reasons()));
        }
        let lost = lock(&self.common).lost;
        let Some(lost) = lost else {
            // one is well, or on trial
            let _ = tokio::time::timeout(FIRST_PAUSE, changed).await;
            return Ok(());
        };
        let left = (lost + self.patience).saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.error(&format!(
                "no server has answered for {:.1} s: {}",
                lost.elapsed().as_secs_f64(),
                self.reasons()
            )));
        }
        let _ = tokio::time::timeout(left, changed).await;
        Ok(())
    }

    fn error(&self, reason: &str) -> Error {
        let names: Vec<_> = self.servers.iter().map(|server| &*server.name).collect();
        Error::Server {
            servers: names.join(", "),
            reason: reason.to_owned(),
        }
    }

    /// Why each server does not answer.
    fn reasons(&self) -> String {
        let reasons = self.servers.iter().filter_map(|server| {
            let standing = lock(&server.standing);
            matches!(standing.health, Health::Away | Health::Unfit)
                .then(|| format!("{}: {}", server.name, standing.reason))
        });
        reasons.collect::<Vec<_>>().join("; ")
    }

    fn is_lost(&self) -> bool {
        lock(&self.common).lost.is_some()
    }

    /// Whether no server will serve.
    fn is_hopeless(&self) -> bool {
        let is_unfit = |server: &Server| lock(&server.standing).health == Health::Unfit;
        self.servers.iter().all(is_unfit)
    }

    /// The server to ask next.
    fn choose(&self) -> Option<(usize, InFlight<'_>)> {
        let count = self.servers.len();
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut best: Option<(usize, usize)> = None;
        // one request at a time is chosen for
        let _common = lock(&self.common);
        for index in (0..count).map(|step| first.wrapping_add(step) % count) {
            let server = &self.servers[index];
            let under_way = server.in_flight.load(Ordering::Acquire);
            let takes = match lock(&server.standing).health {
                Health::Well => true,
                Health::OnTrial => under_way == 0,
                Health::Away | Health::Unfit => false,
            };
            if takes && best.is_none_or(|(_, least)| under_way < least) {
                best = Some((index, under_way));
            }
        }
        let (index, _) = best?;
        let server = &self.servers[index];
        server.in_flight.fetch_add(1, Ordering::AcqRel);
        let changed = &self.changed;
        Some((index, InFlight { server, changed }))
    }

    fn answered(&self, index: usize, size: (u32, u32, usize), time: Duration) {
        let server = &self.servers[index];
        {
            let mut standing = lock(&server.standing);
            standing.known = true;
            // one that was given up on meanwhile comes back by its probe
            if standing.health == Health::OnTrial {
                standing.health = Health::Well;
            }
            if standing.health == Health::Well {
                standing.pause = Duration::ZERO;
            }
        }
        let mut common = lock(&self.common);
        if common.round_trips.len() == ROUND_TRIPS {
            common.round_trips.pop_front();
        }
        common.round_trips.push_back(time);
        if common.sizes.len() < SIZES {
            common.sizes.insert(size);
        }
    }

    fn failed(self: &Arc<Self>, index: usize, failure: &Failure, verdict: Verdict) {
        lock(&self.common).retries += 1;
        let server = &self.servers[index];
        server.failures.fetch_add(1, Ordering::AcqRel);
        let is_news = {
            let mut standing = lock(&server.standing);
            let before = standing.health;
            if before == Health::Unfit {
                return;
            }
            standing.reason = failure.to_string();
            standing.health = match verdict {
                Verdict::ServerIsUnfit => Health::Unfit,
                _ => Health::Away,
            };
            standing.health != before
        };
        if is_news {
            self.update_lost();
            self.tell(&ServerEvent::Lost {
                server: server.name.clone(),
                reason: failure.to_string(),
            });
        }
        if verdict != Verdict::ServerIsUnfit {
            self.probe(index);
        }
        self.changed.notify_waiters();
    }

    /// A server's health has changed: whether any is well.
    fn update_lost(&self) {
        let mut common = lock(&self.common);
        let is_there = |server: &Server| {
            matches!(
                lock(&server.standing).health,
                Health::Well | Health::OnTrial
            )
        };
        if self.servers.iter().any(is_there) {
            common.lost = None;
        } else {
            common.lost.get_or_insert_with(Instant::now);
        }
    }

    /// From here on a server that is away is asked now and then whether it is back.
    fn probe(self: &Arc<Self>, index: usize) {
        if std::mem::replace(&mut lock(&self.servers[index].standing).is_probed, true) {
            return;
        }
        let weak = Arc::downgrade(self);
        self.handle.spawn(async move {
            while let Some(pause) = weak.upgrade().map(|pool| pool.pause(index)) {
                tokio::time::sleep(pause).await;
                let Some(pool) = weak.upgrade() else { return };
                let call = Call::small(Method::ModelMetadata, &pool.model);
                let answer = pool.servers[index]
                    .transport
                    .call(call, PROBE.min(pool.timeout.max(FIRST_PAUSE)));
                drop(pool);
                let answer = answer.await;
                let Some(pool) = weak.upgrade() else { return };
                if pool.probed(index, answer) {
                    return;
                }
            }
        });
    }

    /// How long to leave a server alone now.
    fn pause(&self, index: usize) -> Duration {
        let longest = if self.is_lost() {
            LONGEST_PAUSE_ALONE
        } else {
            LONGEST_PAUSE
        };
        let mut standing = lock(&self.servers[index].standing);
        if standing.pause.is_zero() && standing.reason == NOT_ASKED {
            // never asked yet
            standing.pause = FIRST_PAUSE / 2;
            return Duration::ZERO;
        }
        standing.pause = (standing.pause * 2).max(FIRST_PAUSE).min(LONGEST_PAUSE);
        standing.pause.min(longest)
    }

    /// A server has answered the small call. Whether it need not be asked again.
    fn probed(&self, index: usize, answer: Result<Bytes, Failure>) -> bool {
        let server = &self.servers[index];
        let declared = answer.and_then(|answer| {
            protocol::read::<ModelMetadataResponse>(answer)
                .and_then(Declared::read)
                .map_err(|words| Failure::new(Fault::Damaged, words))
        });
        let failure = match declared {
            Ok(declared) if declared.is_like(&self.declared) => {
                {
                    let mut standing = lock(&server.standing);
                    standing.health = Health::OnTrial;
                    standing.is_probed = false;
                }
                self.update_lost();
                self.tell(&ServerEvent::Back {
                    server: server.name.clone(),
                });
                self.changed.notify_waiters();
                return true;
            }
            Ok(_) => Failure::new(
                Fault::NotFound,
                "its inputs and outputs are others than those of the first server's",
            ),
            Err(failure) => failure,
        };
        let (is_unfit, is_news) = {
            let mut standing = lock(&server.standing);
            let history = History {
                server_is_known: standing.known,
                size_is_known: standing.known,
            };
            let is_unfit = judge(failure.fault, history) != Verdict::Passing;
            let reason = failure.to_string();
            let is_news = standing.reason != reason && !standing.known;
            standing.reason = reason;
            if is_unfit {
                standing.health = Health::Unfit;
                standing.is_probed = false;
            }
            (is_unfit, is_news)
        };
        if is_unfit || is_news {
            self.update_lost();
            self.tell(&ServerEvent::Lost {
                server: server.name.clone(),
                reason: failure.to_string(),
            });
            self.changed.notify_waiters();
        }
        is_unfit
    }

    fn tell(&self, event: &ServerEvent) {
        let listeners: Vec<_> = {
            let mut common = lock(&self.common);
            common.listeners.retain(|weak| weak.strong_count() > 0);
            common.listeners.iter().filter_map(Weak::upgrade).collect()
        };
        for listener in listeners {
            listener(event);
        }
    }

    pub(super) fn listen(&self, listener: Weak<ServerListener>) {
        lock(&self.common).listeners.push(listener);
        // what happened before
        for server in &self.servers {
            let standing = lock(&server.standing);
            let is_lost = standing.health == Health::Unfit
                || (standing.health == Health::Away && !standing.pause.is_zero());
            let event = is_lost.then(|| ServerEvent::Lost {
                server: server.name.clone(),
                reason: standing.reason.clone(),
            });
            drop(standing);
            if let Some(event) = event {
                self.tell(&event);
            }
        }
    }

    /// How many servers there are.
    #[cfg(unix)]
    pub(super) fn count(&self) -> usize {
        self.servers.len()
    }

    /// Tells a server something; the task ends with its answer.
    #[cfg(unix)]
    pub(super) fn notify(&self, index: usize, call: Call) -> Option<JoinHandle<()>> {
        let answer = self.servers.get(index)?.transport.call(call, PROBE);
        Some(self.handle.spawn(async move { drop(answer.await) }))
    }

    pub(super) fn statistics(&self) -> ServerStatistics {
        let in_flight = |server: &Server| server.in_flight.load(Ordering::Relaxed);
        let common = lock(&self.common);
        let mut times: Vec<_> = common.round_trips.iter().copied().collect();
        times.sort_unstable();
        let percentile = |percent: usize| {
            let index = (times.len() * percent).div_ceil(100).saturating_sub(1);
            times.get(index).copied().unwrap_or_default()
        };
        ServerStatistics {
            in_flight: self.servers.iter().map(in_flight).sum(),
            retries: common.retries,
            round_trip_p50: percentile(50),
            round_trip_p99: percentile(99),
        }
    }

    pub(super) fn outage(&self) -> Option<Outage> {
        let since = lock(&self.common).lost?;
        // what comes now is told why at once, then
        let is_over = since.elapsed() >= self.patience || self.is_hopeless();
        Some(Outage { since, is_over })
    }
}
