//! The engines of this process, by content and configuration.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError, Weak};
use std::time::Instant;

use crate::error::{Error, Setting};
use crate::geometry::tokens;
use crate::model::{Cancel, ModelSource};
use crate::sync::lock;

use super::backend::{Connection, Description, MemoryDomain, Network, Preparation};
use super::planner::{MemoryModel, resident};
use super::scheduler::{Measured, Scheduler};
use super::{Config, Limits, Progress, Source, onnx};

/// Keeps what has been measured of a network's memory for other processes: see [`MemoryModel::measured`].
pub(super) type KeepMeasured = dyn Fn(&[(usize, u64)]) + Send + Sync;

/// A network that may be shared, and how many streams do.
pub(super) struct Engine {
    pub(super) scheduler: Scheduler,
    pub(super) description: Description,
    pub(super) streams: Arc<AtomicUsize>,
    pub(super) memory: Arc<Mutex<MemoryModel>>,
    pub(super) preparation: Option<Arc<dyn Preparation>>,
    /// The servers that run it.
    pub(super) connection: Option<Arc<dyn Connection>>,
    /// Requests that run at the same time.
    pub(super) slots: usize,
    /// What happened while it was loaded, for those who come later.
    pub(super) story: Vec<Progress>,
}

impl Engine {
    /// `network` with the others of its slots.
    pub(super) fn new(
        network: Box<dyn Network>,
        others: Vec<Box<dyn Network>>,
        memory: MemoryModel,
        keep: Option<Box<KeepMeasured>>,
        story: Vec<Progress>,
    ) -> Arc<Self> {
        let description = network.description().clone();
        let preparation = network.preparation();
        let connection = network.connection();
        let mut networks = vec![network];
        networks.extend(others);
        let memory = Arc::new(Mutex::new(memory));
        let streams = Arc::new(AtomicUsize::new(0));
        let (patch, observed) = (description.patch, Arc::clone(&memory));
        let measured = move |size, bytes| {
            let mut memory = lock(&observed);
            if memory.observe(tokens(size, patch), bytes) {
                let all = memory.measured();
                drop(memory);
                keep.iter().for_each(|keep| keep(&all));
            }
        };
        // what a GPU holds is not seen here, and only predicted
        let measured =
            (description.memory == MemoryDomain::Host).then(|| Box::new(measured) as Box<Measured>);
        Arc::new(Self {
            slots: networks.len(),
            scheduler: Scheduler::new(networks, Arc::clone(&streams), measured),
            description,
            streams,
            memory,
            preparation,
            connection,
            story,
        })
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("description", &self.description)
            .finish_non_exhaustive()
    }
}

/// What decides whether two elements can share an engine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    /// Of the model, weights beside its file included.
    content: [u8; 32],
    /// Its bytes.
    length: u64,
    /// All but the model.
    config: Config,
}

impl Key {
    fn of(config: &Config, source: &Source) -> Self {
        let (content, length) = match source {
            Source::Here(model) => (model.digest(), model.length()),
            // whose it is, the configuration says
            Source::Elsewhere => ([0; 32], 0),
        };
        Self {
            content,
            length,
            config: Config {
                model: ModelSource::Builtin,
                ..config.clone()
            },
        }
    }
}

/// An engine, or one that is being loaded.
enum Entry {
    Loading(Arc<Load>),
    Ready(Weak<Engine>),
}

/// What those who wait for an engine see of its loading.
#[derive(Default)]
struct Load {
    state: Mutex<LoadState>,
    changed: Condvar,
}

#[derive(Default)]
struct LoadState {
    story: Vec<Progress>,
    result: Option<Result<Arc<Engine>, Error>>,
}

impl Load {
    fn tell(&self, progress: Progress) {
        lock(&self.state).story.push(progress);
        self.changed.notify_all();
    }

    fn finish(&self, result: Result<Arc<Engine>, Error>) {
        lock(&self.state).result.get_or_insert(result);
        self.changed.notify_all();
    }

    /// Tells the story as it happens, and how it ends.
    fn follow(&self, progress: &mut dyn FnMut(Progress)) -> Result<Arc<Engine>, Error> {
        let mut told = 0;
        let mut state = lock(&self.state);
        loop {
            let news = state.story.get(told..).unwrap_or_default().to_vec();
            if news.is_empty() {
                if let Some(result) = &state.result {
                    return result.clone();
                }
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            drop(state);
            told += news.len();
            news.into_iter().for_each(&mut *progress);
            state = lock(&self.state);
        }
    }
}

static ENGINES: LazyLock<Mutex<HashMap<Key, Entry>>> = LazyLock::new(Mutex::default);

/// What to do about an engine.
enum Part {
    Join(Arc<Engine>),
    Wait(Arc<Load>),
    Lead(Box<Loading>),
}

/// One that this thread loads. Dropped without an end, it has failed.
struct Loading {
    key: Key,
    load: Arc<Load>,
}

impl Loading {
    fn end(&self, result: Result<Arc<Engine>, Error>) {
        {
            let mut engines = lock(&ENGINES);
            match &result {
                Ok(engine) => {
                    engines.insert(self.key.clone(), Entry::Ready(Arc::downgrade(engine)));
                }
                Err(_) => {
                    engines.remove(&self.key);
                }
            }
        }
        self.load.finish(result);
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        if lock(&self.load.state).result.is_none() {
            self.end(Err(Error::Provider {
                provider: self.key.config.provider.name().to_owned(),
                reason: "loading was given up".to_owned(),
            }));
        }
    }
}

fn part(key: Key) -> Part {
    let mut engines = lock(&ENGINES);
    engines.retain(|_, entry| match entry {
        Entry::Loading(_) => true,
        Entry::Ready(engine) => engine.strong_count() > 0,
    });
    match engines.get(&key) {
        Some(Entry::Loading(load)) => return Part::Wait(Arc::clone(load)),
        Some(Entry::Ready(engine)) => {
            if let Some(engine) = engine.upgrade() {
                return Part::Join(engine);
            }
        }
        None => {}
    }
    let load = Arc::<Load>::default();
    engines.insert(key.clone(), Entry::Loading(Arc::clone(&load)));
    Part::Lead(Box::new(Loading { key, load }))
}

/// See [`super::shared::offer`].
#[cfg(feature = "testing")]
pub(super) fn offer(config: &Config, engine: &Arc<Engine>) -> Result<(), Error> {
    let key = Key::of(config, &Source::find(config, &Cancel::default())?);
    lock(&ENGINES).insert(key, Entry::Ready(Arc::downgrade(engine)));
    Ok(())
}

/// See [`super::shared::open`].
pub(super) fn open(
    config: &Config,
    limits: &Limits,
    progress: &mut dyn FnMut(Progress),
) -> Result<Arc<Engine>, Error> {
    let start = Instant::now();
    // those who find it loaded or wait for it have waited since they asked
    let since_asked = |event: Progress| match event {
        Progress::Ready {
            provider,
            precision,
            source,
            ..
        } => Progress::Ready {
            provider,
            precision,
            source,
            seconds: start.elapsed().as_secs_f64(),
        },
        other => other,
    };
    loop {
        let before = resident();
        let source = Source::find(config, &limits.cancel)?;
        match part(Key::of(config, &source)) {
            Part::Join(engine) => {
                drop(source);
                let story = engine.story.iter().cloned();
                story.map(since_asked).for_each(progress);
                return Ok(engine);
            }
            Part::Wait(load) => {
                drop(source);
                match load.follow(&mut |event| progress(since_asked(event))) {
                    // whoever loaded it was stopped: it is loaded here, then
                    Err(Error::Cancelled) if !limits.cancel.is_cancelled() => {}
                    // and where it has met a limit that is not this stream's, too
                    Err(Error::Setting {
                        setting: Setting::MemoryLimit,
                        ..
                    }) => {}
                    result => return result,
                }
            }
            Part::Lead(loading) => {
                let told = &mut |event: Progress| {
                    loading.load.tell(event.clone());
                    progress(event);
                };
                let opened = source.open(config, limits, told);
                let result = opened.and_then(|mut networks| {
                    let story = lock(&loading.load.state).story.clone();
                    let loaded = before
                        .zip(resident())
                        .map(|(before, after)| after.saturating_sub(before));
                    let network = networks.pop().ok_or(Error::Cancelled)?;
                    let description = network.description();
                    let Key {
                        content, length, ..
                    } = loading.key;
                    let (memory, keep) = match config.servers {
                        Some(_) => (MemoryModel::without_weights(description.patch), None),
                        None => {
                            let fused = !description.memory_is_quadratic();
                            let memory = MemoryModel::new(length, fused, loaded);
                            let record = onnx::MemoryRecord::of(config, content, description);
                            let known = record.read();
                            let keep = move |all: &[(usize, u64)]| record.write(all);
                            let keep = Box::new(keep) as Box<KeepMeasured>;
                            (memory.with_measured(&known), Some(keep))
                        }
                    };
                    Ok(Engine::new(network, networks, memory, keep, story))
                });
                loading.end(result.clone());
                return result;
            }
        }
    }
}
