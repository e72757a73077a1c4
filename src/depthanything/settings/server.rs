//! The properties of inference on servers.

use std::path::PathBuf;
use std::time::Duration;

use gst::prelude::*;

use super::table::{Changes, Property, put};
use super::{LoadSettings, Settings};
use crate::depthanything::ServerSharedMemory;
use crate::error::{Error, Setting};
use crate::inference::Servers;
use crate::inference::remote::Address;

/// A second, in nanoseconds.
const SECOND: u64 = 1_000_000_000;
/// Longer deadlines are none.
const LONGEST_TIMEOUT: u64 = 86_400 * SECOND;
/// Requests that keep a server busy: one is under way while it works on another.
const SATURATES: u32 = 2;

/// What is asked of servers.
#[derive(Debug, Clone)]
pub(in crate::depthanything) struct ServerSettings {
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

impl LoadSettings {
    /// The servers that are asked for; `None`: none are.
    ///
    /// # Errors
    /// [`Error::Setting`]: an address is none, or a property is set that servers leave no choice of.
    pub(in crate::depthanything) fn servers(&self) -> Result<Option<Servers>, Error> {
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

/// The text of a property that may be unset.
fn text(value: &glib::Value) -> Option<String> {
    let text = value.get::<Option<String>>().ok().flatten();
    text.filter(|text| !text.is_empty())
}

fn shown(path: &Option<PathBuf>) -> glib::Value {
    let path = path.as_ref();
    path.map(|path| path.to_string_lossy().into_owned())
        .to_value()
}

fn string(name: &'static str, nick: &'static str, blurb: &'static str) -> glib::ParamSpec {
    glib::ParamSpecString::builder(name)
        .nick(nick)
        .blurb(blurb)
        .mutable_ready()
        .build()
}

/// The rows of the table that are about servers.
pub(super) static SERVER: &[Property] = &[
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
