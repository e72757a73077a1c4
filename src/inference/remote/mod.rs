//! A network that runs on servers: KServe v2 over gRPC, as Triton and others speak it.
//!
//! ```text
//! network ──▶ form ──▶ pool ──▶ transport (grpc) ──▶ a server
//! ```
//!
//! `servers` is what a user states, `opening` finds the model and tries it, `form` turns images to requests and answers to
//! depth maps by the messages of `protocol`, `pool` chooses a server and sends again what one has failed on. What a server
//! answers is untrusted. Without the feature `remote` there is only `servers`, and opening says so.

#[cfg(feature = "remote")]
mod form;
#[cfg(feature = "remote")]
mod grpc;
#[cfg(feature = "remote")]
mod halves;
#[cfg(all(feature = "remote", unix))]
mod local;
#[cfg(feature = "remote")]
mod network;
#[cfg(feature = "remote")]
mod opening;
#[cfg(feature = "remote")]
mod pool;
#[cfg(feature = "remote")]
mod protocol;
#[cfg(all(feature = "remote", unix))]
mod region;
#[cfg(feature = "remote")]
mod secret;
mod servers;
#[cfg(feature = "remote")]
mod transport;

pub use servers::{Address, Servers};

#[cfg(feature = "remote")]
pub(super) use opening::open;

/// # Errors
/// Always: this build has no network that servers run.
#[cfg(not(feature = "remote"))]
pub(super) fn open(
    _: &Servers,
    _: Option<crate::model::InputNormalization>,
    _: &crate::model::Cancel,
    _: &mut dyn FnMut(super::Progress),
) -> Result<Vec<Box<dyn super::Network>>, crate::error::Error> {
    Err(crate::error::Error::Setting {
        setting: crate::error::Setting::Server,
        reason: "this plugin was built without the feature `remote`".to_owned(),
    })
}
