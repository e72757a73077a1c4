//! What runs of a network took of memory, kept for other processes that run it in the same way, beside compiled engines
//! ([`Cache::note`]).
//!
//! Only the first network of a process writes: what those before have left in the heap makes the growth of the next too small.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::cache::Cache;
use super::{fingerprint, isolated, runtime};
use crate::inference::Config;
use crate::inference::backend::{Description, MemoryDomain};

/// There has been a network in this process.
static ANOTHER: AtomicBool = AtomicBool::new(false);

/// Where that is kept; `None`: it is not.
pub(in crate::inference) struct MemoryRecord {
    place: Option<(Cache, String)>,
    is_first: bool,
}

impl MemoryRecord {
    const NOWHERE: Self = Self {
        place: None,
        is_first: false,
    };

    /// For the network that `description` is of, whose model has this hash.
    pub(in crate::inference) fn of(
        config: &Config,
        model: [u8; 32],
        description: &Description,
    ) -> Self {
        // that of a device is not measured, and who tries a model for another process runs it as no stream does
        if description.memory != MemoryDomain::Host || isolated::is_child() {
            return Self::NOWHERE;
        }
        let Ok(runtime) = runtime::load() else {
            return Self::NOWHERE;
        };
        let mut hash = blake3::Hasher::new();
        hash.update(&model);
        fingerprint::add_parts(
            &mut hash,
            [
                description.provider.as_str(),
                &description.precision,
                &description.fused_attentions.to_string(),
                &config.device,
                &config.threads.to_string(),
            ]
            .map(str::as_bytes),
        );
        fingerprint::add_to(&mut hash, runtime.path());
        // whichever of them runs it
        for plugin in runtime.plugins() {
            fingerprint::add_library(&mut hash, plugin.file());
        }
        let name = format!("memory-{}", &hash.finalize().to_hex()[..32]);
        Self {
            place: Some((Cache::new(config.engine_cache.as_deref()), name)),
            is_first: !ANOTHER.swap(true, Ordering::Relaxed),
        }
    }

    /// Tokens and bytes, as they were written; nothing where there is nothing sound.
    pub(in crate::inference) fn read(&self) -> Vec<(usize, u64)> {
        let text = self
            .place
            .as_ref()
            .and_then(|(cache, name)| cache.note(name));
        text.and_then(|text| parse(&text)).unwrap_or_default()
    }

    /// Keeps them, where that can be.
    pub(in crate::inference) fn write(&self, measured: &[(usize, u64)]) {
        if let Some((cache, name)) = self.place.as_ref().filter(|_| self.is_first) {
            cache.keep_note(name, &serde_json::json!(measured).to_string());
        }
    }
}

fn parse(text: &str) -> Option<Vec<(usize, u64)>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let pair = |value: &Value| match value.as_array()?.as_slice() {
        [tokens, bytes] => Some((usize::try_from(tokens.as_u64()?).ok()?, bytes.as_u64()?)),
        _ => None,
    };
    value.as_array()?.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let record = || MemoryRecord {
            place: Some((
                Cache::new(Some(folder.path())),
                "memory-of-a-network".to_owned(),
            )),
            is_first: true,
        };
        assert!(record().read().is_empty());
        record().write(&[(200, 7), (400, 1 << 40)]);
        assert_eq!(record().read(), [(200, 7), (400, 1 << 40)]);
        for odd in ["", "7", "[[1]]", "[[1,2,3]]", "[[-1,2]]", "[[1.5,2]]"] {
            assert_eq!(parse(odd), None, "{odd}");
        }
    }
}
