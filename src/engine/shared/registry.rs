//! The engines of this process, by content and configuration.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError, Weak};
use std::time::Instant;

use super::{Engine, lock};
use crate::engine::planner::{MemoryModel, resident};
use crate::engine::{self, Config, Progress};
use crate::error::Error;
use crate::model::{Cancel, Model, ModelSource};

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
    fn of(config: &Config, model: &Model) -> Self {
        Self {
            content: model.digest(),
            length: model.length(),
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
    let key = Key::of(config, &engine::read(config, Cancel::default())?);
    lock(&ENGINES).insert(key, Entry::Ready(Arc::downgrade(engine)));
    Ok(())
}

/// See [`super::open`].
pub(super) fn open(
    config: &Config,
    cancel: Cancel,
    progress: &mut dyn FnMut(Progress),
) -> Result<Arc<Engine>, Error> {
    let start = Instant::now();
    // those who find it loaded or wait for it have waited since they asked
    let since_asked = |event: Progress| match event {
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
    };
    loop {
        let before = resident();
        let model = engine::read(config, cancel.clone())?;
        match part(Key::of(config, &model)) {
            Part::Join(engine) => {
                drop(model);
                let story = engine.story.iter().cloned();
                story.map(since_asked).for_each(progress);
                return Ok(engine);
            }
            Part::Wait(load) => {
                drop(model);
                match load.follow(&mut |event| progress(since_asked(event))) {
                    // whoever loaded it was stopped: it is loaded here, then
                    Err(Error::Cancelled) if !cancel.is_cancelled() => {}
                    result => return result,
                }
            }
            Part::Lead(loading) => {
                let told = &mut |event: Progress| {
                    loading.load.tell(event.clone());
                    progress(event);
                };
                let opened = engine::open_model(config, model, &cancel, told);
                let result = opened.map(|network| {
                    let story = lock(&loading.load.state).story.clone();
                    let loaded = before
                        .zip(resident())
                        .map(|(before, after)| after.saturating_sub(before));
                    let fused = !network.description().memory_is_quadratic();
                    let memory = MemoryModel::new(loading.key.length, fused, loaded);
                    Engine::new(network, memory, story)
                });
                loading.end(result.clone());
                return result;
            }
        }
    }
}
