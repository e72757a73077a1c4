//! The engines of this process, by content and configuration.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError, Weak};
use std::time::{Instant, SystemTime};

use super::{Engine, lock};
use crate::engine::planner::{MemoryModel, resident};
use crate::engine::{self, Config, Progress};
use crate::error::Error;
use crate::model::{self, ModelSource};

/// What decides whether two elements can share an engine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    /// Of the model file.
    content: [u8; 32],
    /// The model file's.
    length: u64,
    /// Files with weights beside it, too large to be read for this, with their length and time.
    beside: Vec<(PathBuf, u64, Option<SystemTime>)>,
    /// All but the model.
    config: Config,
}

impl Key {
    /// # Errors
    /// When the model can't be read.
    fn of(config: &Config) -> Result<Self, Error> {
        let facts = model::inspect(&config.model)?;
        let beside = facts.external_data.iter().map(|path| {
            let metadata = std::fs::metadata(path);
            let length = metadata.as_ref().map_or(0, std::fs::Metadata::len);
            let time = metadata.ok().and_then(|metadata| metadata.modified().ok());
            (path.canonicalize().unwrap_or(path.clone()), length, time)
        });
        let bytes = config.model.bytes()?;
        Ok(Self {
            content: blake3::hash(&bytes).into(),
            length: bytes.len() as u64,
            beside: beside.collect(),
            config: Config {
                model: ModelSource::Builtin,
                ..config.clone()
            },
        })
    }
}

impl Key {
    /// Bytes of the model, weights beside it included.
    fn length(&self) -> u64 {
        self.length + self.beside.iter().map(|(_, length, _)| length).sum::<u64>()
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
    bell: Condvar,
}

#[derive(Default)]
struct LoadState {
    story: Vec<Progress>,
    result: Option<Result<Arc<Engine>, Error>>,
}

impl Load {
    fn tell(&self, progress: Progress) {
        lock(&self.state).story.push(progress);
        self.bell.notify_all();
    }

    fn finish(&self, result: Result<Arc<Engine>, Error>) {
        lock(&self.state).result.get_or_insert(result);
        self.bell.notify_all();
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
                    .bell
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
    Lead(Loading),
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
    Part::Lead(Loading { key, load })
}

/// See [`super::offer`].
pub(super) fn offer(config: &Config, engine: &Arc<Engine>) -> Result<(), Error> {
    let key = Key::of(config)?;
    lock(&ENGINES).insert(key, Entry::Ready(Arc::downgrade(engine)));
    Ok(())
}

/// See [`super::open`].
pub(super) fn open(
    config: &Config,
    progress: &mut dyn FnMut(Progress),
) -> Result<Arc<Engine>, Error> {
    let start = Instant::now();
    // those who find it loaded or wait for it have waited since they asked
    let mut since_asked = |event: Progress| {
        progress(match event {
            Progress::Ready {
                provider,
                precision,
                ..
            } => Progress::Ready {
                provider,
                precision,
                seconds: start.elapsed().as_secs_f64(),
            },
            other => other,
        });
    };
    match part(Key::of(config)?) {
        Part::Join(engine) => {
            engine.story.iter().cloned().for_each(&mut since_asked);
            Ok(engine)
        }
        Part::Wait(load) => load.follow(&mut since_asked),
        Part::Lead(loading) => {
            let before = resident();
            let opened = engine::open(config, &mut |event| {
                loading.load.tell(event.clone());
                progress(event);
            });
            let result = opened.map(|network| {
                let story = lock(&loading.load.state).story.clone();
                let loaded = before
                    .zip(resident())
                    .map(|(before, after)| after.saturating_sub(before));
                let fused = network.description().fuses_attention();
                let memory = MemoryModel::new(loading.key.length(), fused, loaded);
                Engine::new(network, memory, story)
            });
            loading.end(result.clone());
            result
        }
    }
}
