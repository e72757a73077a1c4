//! What the element is set to. [`table`] holds its properties, one after the other; those of inference on servers are at the
//! end of this file.

mod table;

use std::path::PathBuf;
use std::time::Duration;

use gst::prelude::*;
pub(super) use table::Changes;
use table::{Property, TABLE, put, shown, text};

use super::{
    DepthOutput, DepthRange, ExecutionProvider, InputNormalization, ModelDepth, Precision,
    ServerSharedMemory, Upsampling,
};
use crate::error::{Error, Setting};
use crate::inference::Servers;
use crate::inference::remote::Address;
use crate::inference::sizes::Asked;

/// A second, in nanoseconds.
const SECOND: u64 = 1_000_000_000;
/// Longer deadlines are none.
const LONGEST_TIMEOUT: u64 = 86_400 * SECOND;
/// Requests that keep a server busy: one is under way while it works on another.
const SATURATES: u32 = 2;

/// What is read when the element starts.
#[derive(Debug, Clone)]
pub(super) struct LoadSettings {
    /// The model's path; `None`: the built-in model.
    pub(super) model_file: Option<PathBuf>,
    /// What its numbers are.
    pub(super) model_depth: ModelDepth,
    /// The values that it wants its image in.
    pub(super) input_normalization: InputNormalization,
    /// Who runs the network.
    pub(super) execution_provider: ExecutionProvider,
    /// The provider's device; empty: its first.
    pub(super) device: String,
    /// Arithmetic of the inference.
    pub(super) precision: Precision,
    /// Where compiled engines are kept; `None`: in the user's cache folder.
    pub(super) engine_cache: Option<PathBuf>,
    /// Threads for inference on the CPU; 0: all.
    pub(super) num_threads: u32,
    /// Bytes that inference may take; 0: no limit.
    pub(super) memory_limit: u64,
    /// Frames worked on at the same time.
    pub(super) in_flight: u32,
    /// Frames of streams that share a model and run together, at most.
    pub(super) max_batch: u32,
    /// How long a batch may wait to fill, in nanoseconds.
    pub(super) batch_timeout: u64,
    /// What the samples mean.
    pub(super) output: DepthOutput,
    /// Metres per step of metric output.
    pub(super) depth_unit: f64,
    /// Servers that run the network instead.
    pub(super) server: ServerSettings,
}

impl LoadSettings {
    /// Bytes that inference may take; `None`: no limit.
    pub(super) fn most_memory(&self) -> Option<u64> {
        Some(self.memory_limit).filter(|&limit| limit > 0)
    }
}

/// What is read anew with each frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LiveSettings {
    /// Short side of what the network sees, in pixels.
    pub(super) resolution: u32,
    /// The least that it may be lowered to; 0: it is fixed.
    pub(super) min_resolution: u32,
    /// Short side of the picture that fine structure comes from; 0: there is none.
    pub(super) detail_resolution: u32,
    /// The network runs on each n-th frame.
    pub(super) inference_interval: u32,
    /// Near is black.
    pub(super) invert: bool,
    /// How relative values become samples.
    pub(super) range: DepthRange,
    /// Weight of the past in the smooth range.
    pub(super) smoothing: f64,
    /// How far the temporal filter may move a sample, in shares of the range; 0: there is none.
    pub(super) temporal_filter: f64,
    /// Ends of the fixed range, in the model's units.
    pub(super) range_min: f64,
    /// See `range_min`.
    pub(super) range_max: f64,
    /// From the network's size to the frame's.
    pub(super) upsampling: Upsampling,
}

impl LiveSettings {
    /// What they ask of the network's size.
    pub(super) fn asked(&self) -> Asked {
        Asked {
            resolution: self.resolution,
            min_resolution: self.min_resolution,
        }
    }

    /// Whether the temporal filter works, which needs the picture's luma.
    pub(super) fn filters(&self) -> bool {
        self.range == DepthRange::Smooth && self.temporal_filter > 0.0
    }

    /// Why a fixed range is asked for that is none; `None`: it is one, or not asked for.
    pub(super) fn missing_range(&self) -> Option<String> {
        (self.range == DepthRange::Fixed && self.range_min >= self.range_max).then(|| {
            format!(
                "fixed needs range-min below range-max, and they are {} and {}",
                self.range_min, self.range_max
            )
        })
    }
}

/// All of them.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// Changes up to READY.
    pub(super) load: LoadSettings,
    /// Changes at any time.
    pub(super) live: LiveSettings,
    ends: Ends,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            load: LoadSettings {
                model_file: None,
                model_depth: ModelDepth::Auto,
                input_normalization: InputNormalization::Auto,
                execution_provider: ExecutionProvider::Auto,
                device: String::new(),
                precision: Precision::Auto,
                engine_cache: None,
                num_threads: 0,
                memory_limit: 0,
                in_flight: 1,
                max_batch: 1,
                batch_timeout: 0,
                output: DepthOutput::Auto,
                depth_unit: 0.001,
                server: ServerSettings::default(),
            },
            live: LiveSettings {
                resolution: 518,
                min_resolution: 0,
                detail_resolution: 0,
                inference_interval: 1,
                invert: false,
                range: DepthRange::Smooth,
                smoothing: 0.9,
                temporal_filter: 0.0,
                range_min: 0.0,
                range_max: 0.0,
                upsampling: Upsampling::Bilinear,
            },
            ends: Ends::default(),
        }
    }
}

impl Settings {
    /// The value of the property `name`.
    pub(super) fn get(&self, name: &str) -> Option<glib::Value> {
        row(name).map(|property| (property.get)(self))
    }

    /// Gives the property `name` a value.
    pub(super) fn set(&mut self, name: &str, value: &glib::Value) {
        if let Some(property) = row(name) {
            (property.set)(self, value);
        }
        self.ends.note(&self.live);
    }

    /// The same while frames come. A fixed range that has no ends is refused.
    ///
    /// # Errors
    /// Says what is missing; nothing has changed then.
    pub(super) fn set_playing(&mut self, name: &str, value: &glib::Value) -> Result<(), String> {
        let before = self.live.range;
        self.set(name, value);
        match self.live.missing_range() {
            Some(reason) if name == "range" && before != DepthRange::Fixed => {
                self.live.range = before;
                Err(format!("{reason}: set them first. It stays what it was"))
            }
            _ => Ok(()),
        }
    }

    /// The size that `asked` wants is none: what asks for it is `kept` again. Gives which of `resolution` and `min-resolution`
    /// have changed by that.
    pub(super) fn take_back(&mut self, asked: Asked, kept: Asked) -> [bool; 2] {
        let back = |value: &mut u32, asked: u32, kept: u32| {
            let changes = *value == asked && asked != kept;
            if changes {
                *value = kept;
            }
            changes
        };
        let live = &mut self.live;
        [
            back(&mut live.resolution, asked.resolution, kept.resolution),
            back(
                &mut live.min_resolution,
                asked.min_resolution,
                kept.min_resolution,
            ),
        ]
    }

    /// What holds for the next frame, and what is to be said of it, once.
    pub(super) fn for_frame(&mut self) -> (LiveSettings, Option<String>) {
        self.ends.for_frame(self.live)
    }
}

/// The ends that a fixed range has while its properties change.
#[derive(Debug, Default, Clone)]
struct Ends {
    /// The last that were ones.
    last: Option<(f64, f64)>,
    /// The present ones are none, which has been said.
    said: bool,
}

impl Ends {
    /// A property has been set.
    fn note(&mut self, live: &LiveSettings) {
        let (min, max) = (live.range_min, live.range_max);
        if min < max {
            self.last = Some((min, max));
            self.said = false;
        }
    }

    /// What holds for the next frame, and what is to be said of it, once: the last ends where there are none.
    fn for_frame(&mut self, mut live: LiveSettings) -> (LiveSettings, Option<String>) {
        let (Some(reason), Some((min, max))) = (live.missing_range(), self.last) else {
            return (live, None);
        };
        (live.range_min, live.range_max) = (min, max);
        let said = std::mem::replace(&mut self.said, true);
        let warning = format!("{reason}: {min} to {max} stays in use");
        (live, (!said).then_some(warning))
    }
}

/// All that can be set, in the order of `gst-inspect-1.0`.
fn rows() -> impl Iterator<Item = &'static Property> {
    TABLE.iter().chain(SERVER)
}

/// The specifications of all properties, `stats` included.
pub(super) fn specs() -> Vec<glib::ParamSpec> {
    let defaults = Settings::default();
    let stats = glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
        .nick("Statistics")
        .blurb(
            "frames, inferences, repeated, dropped (too late), missing (never came: taken by a leaky queue, lost), fps, \
             age and late of the last frame in nanoseconds, invalid-values (NaN or infinite), provider, precision, \
             network-width, network-height, detail-width, detail-height (0: no runs for detail), the 50th and 99th percentile of inference-time and convert-time in \
             nanoseconds, shared-by (elements that share the network); with server also server-inflight, server-retries and \
             the 50th and 99th percentile of server-round-trip in nanoseconds",
        )
        .read_only()
        .build();
    let settable = rows().map(|property| (property.spec)(&defaults));
    settable.chain([stats]).collect()
}

/// When the property `name` may change; `None`: there is no such settable property.
pub(super) fn changes(name: &str) -> Option<Changes> {
    row(name).map(|property| property.changes)
}

fn row(name: &str) -> Option<&'static Property> {
    rows().find(|property| property.name == name)
}

/// What is asked of servers.
#[derive(Debug, Clone)]
pub(super) struct ServerSettings {
    /// Where they are; `None`: inference is done here.
    server: Option<String>,
    model: Option<String>,
    version: Option<String>,
    /// In nanoseconds.
    timeout: u64,
    /// In nanoseconds.
    patience: u64,
    tls_ca: Option<PathBuf>,
    token_file: Option<PathBuf>,
    token_header: String,
    shared_memory: ServerSharedMemory,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            server: None,
            model: None,
            version: None,
            timeout: 2 * SECOND,
            patience: 30 * SECOND,
            tls_ca: None,
            token_file: None,
            token_header: "authorization".to_owned(),
            shared_memory: ServerSharedMemory::Auto,
        }
    }
}

impl ServerSettings {
    /// A property that does nothing, as it is about servers and there is none.
    pub(super) fn set_in_vain(&self) -> Option<&'static str> {
        let unset = Self::default();
        let set = [
            (self.model != unset.model, "server-model"),
            (self.version != unset.version, "server-model-version"),
            (self.timeout != unset.timeout, "server-timeout"),
            (self.patience != unset.patience, "server-patience"),
            (self.tls_ca != unset.tls_ca, "server-tls-ca"),
            (self.token_file != unset.token_file, "server-token-file"),
            (
                self.token_header != unset.token_header,
                "server-token-header",
            ),
            (
                self.shared_memory != unset.shared_memory,
                "server-shared-memory",
            ),
        ];
        let first = set.into_iter().find(|(is_set, _)| *is_set);
        first
            .filter(|_| self.server.is_none())
            .map(|(_, name)| name)
    }
}

impl LoadSettings {
    /// The servers that are asked for; `None`: none are.
    ///
    /// # Errors
    /// [`Error::Setting`]: an address is none, or a property is set that servers leave no choice of.
    pub(super) fn servers(&self) -> Result<Option<Servers>, Error> {
        let it = &self.server;
        let Some(server) = &it.server else {
            return Ok(None);
        };
        let conflicts = [
            (
                self.model_file.is_some(),
                "model-file",
                "choose the server's model with server-model",
            ),
            (
                self.execution_provider != Default::default(),
                "execution-provider",
                "the server has its own",
            ),
            (!self.device.is_empty(), "device", "the server has its own"),
            (
                self.precision != Default::default(),
                "precision",
                "the server's model has its own",
            ),
        ];
        if let Some((_, name, remedy)) = conflicts.iter().find(|(is_set, ..)| *is_set) {
            return Err(Error::Setting {
                setting: Setting::Server,
                reason: format!("with it, {name} can't be set too: {remedy}"),
            });
        }
        Ok(Some(Servers {
            model: it.model.clone(),
            version: it.version.clone(),
            timeout: Duration::from_nanos(it.timeout),
            patience: Duration::from_nanos(it.patience),
            tls_ca: it.tls_ca.clone(),
            token_file: it.token_file.clone(),
            token_header: it.token_header.clone(),
            shared_memory: it.shared_memory == ServerSharedMemory::Auto,
            in_flight: self.in_flight.max(SATURATES) as usize,
            ..Servers::new(Address::list(server)?)
        }))
    }
}

fn string(name: &'static str, nick: &'static str, blurb: &'static str) -> glib::ParamSpec {
    glib::ParamSpecString::builder(name)
        .nick(nick)
        .blurb(blurb)
        .mutable_ready()
        .build()
}

/// The rows of the table that are about servers.
static SERVER: &[Property] = &[
    Property {
        name: "server",
        changes: Changes::Ready,
        spec: |_| {
            string(
                "server",
                "Server",
                "Inference on servers that speak KServe v2 over gRPC (NVIDIA Triton and others) instead of here: \
                 host:port, several with commas, grpcs://host:port for TLS. Unset: here",
            )
        },
        get: |s| s.load.server.server.to_value(),
        set: |s, value| s.load.server.server = text(value),
    },
    Property {
        name: "server-model",
        changes: Changes::Ready,
        spec: |_| {
            string(
                "server-model",
                "Server's model",
                "Which model of the server. Unset: the only one that fits",
            )
        },
        get: |s| s.load.server.model.to_value(),
        set: |s, value| s.load.server.model = text(value),
    },
    Property {
        name: "server-model-version",
        changes: Changes::Ready,
        spec: |_| {
            string(
                "server-model-version",
                "Version of the server's model",
                "Which version of server-model. Unset: the one that the server chooses",
            )
        },
        get: |s| s.load.server.version.to_value(),
        set: |s, value| s.load.server.version = text(value),
    },
    Property {
        name: "server-timeout",
        changes: Changes::Ready,
        spec: |s| {
            glib::ParamSpecUInt64::builder("server-timeout")
                .nick("Timeout of servers")
                .blurb(
                    "A request that a server has not answered within so many nanoseconds is sent to another. Longer \
                     than the network takes there",
                )
                .minimum(SECOND / 1000)
                .maximum(LONGEST_TIMEOUT)
                .default_value(s.load.server.timeout)
                .mutable_ready()
                .build()
        },
        get: |s| s.load.server.timeout.to_value(),
        set: |s, value| put(&mut s.load.server.timeout, value),
    },
    Property {
        name: "server-patience",
        changes: Changes::Ready,
        spec: |s| {
            glib::ParamSpecUInt64::builder("server-patience")
                .nick("Patience with servers")
                .blurb(
                    "Nanoseconds that all servers may be gone before the stream fails. Meanwhile a live stream goes on \
                     without depth, or repeats it with inference-interval, and a video waits. 0: fails at once",
                )
                .default_value(s.load.server.patience)
                .mutable_ready()
                .build()
        },
        get: |s| s.load.server.patience.to_value(),
        set: |s, value| put(&mut s.load.server.patience, value),
    },
    Property {
        name: "server-tls-ca",
        changes: Changes::Ready,
        spec: |_| {
            string(
                "server-tls-ca",
                "Authority of servers",
                "File with the certificates, in PEM form, of the authorities that may have signed those of grpcs:// \
                 servers. Unset: the system's",
            )
        },
        get: |s| shown(&s.load.server.tls_ca),
        set: |s, value| s.load.server.tls_ca = text(value).map(PathBuf::from),
    },
    Property {
        name: "server-token-file",
        changes: Changes::Ready,
        spec: |_| {
            string(
                "server-token-file",
                "File of the token",
                "File with a secret that servers are told, read at each connection and shown nowhere",
            )
        },
        get: |s| shown(&s.load.server.token_file),
        set: |s, value| s.load.server.token_file = text(value).map(PathBuf::from),
    },
    Property {
        name: "server-token-header",
        changes: Changes::Ready,
        spec: |s| {
            glib::ParamSpecString::builder("server-token-header")
                .nick("Header of the token")
                .blurb(
                    "Header that the secret of server-token-file is sent in. In authorization, a single word gets Bearer \
                     in front",
                )
                .default_value(Some(s.load.server.token_header.as_str()))
                .mutable_ready()
                .build()
        },
        get: |s| s.load.server.token_header.to_value(),
        set: |s, value| {
            s.load.server.token_header =
                text(value).unwrap_or_else(|| Settings::default().load.server.token_header);
        },
    },
    Property {
        name: "server-shared-memory",
        changes: Changes::Ready,
        spec: |s| {
            glib::ParamSpecEnum::builder_with_default(
                "server-shared-memory",
                s.load.server.shared_memory,
            )
            .nick("Shared memory with servers")
            .blurb("Whether frames go through shared memory to a Triton on this machine, which saves time")
            .mutable_ready()
            .build()
        },
        get: |s| s.load.server.shared_memory.to_value(),
        set: |s, value| put(&mut s.load.server.shared_memory, value),
    },
];

#[cfg(test)]
mod tests;
