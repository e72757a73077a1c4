//! Loads and tries a model in another process first: a fault of ONNX Runtime's own in the operators of a model, which no
//! guard of this process sees, then ends that process and not this one.
//!
//! The other process needs no program that would have to be installed: the dynamic loader runs this plugin's own file
//! (`isolated/start.rs`, `isolated/child.rs`). Models made of what exports of Depth Anything are made of are
//! not tried so (`model/plain.rs`); others once: what has worked is remembered beside the compiled engines.

#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod child;
mod message;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod start;

use std::io::Read;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::cache::Cache;
use super::opening;
use super::runtime::Runtime;
use crate::error::Error;
use crate::inference::Config;
use crate::model::Model;
use crate::sync::lock;

use message::{Answer, Request};

/// Longest answer that is read.
const MAX_ANSWER: u64 = 1 << 20;

/// Whether this is the other process.
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// Whether this process tries a model for another one.
pub(super) fn is_child() -> bool {
    IS_CHILD.load(Ordering::Relaxed)
}

/// Has the model of `config` loaded and tried in another process, if it is one to be careful with and there can be such a
/// process here.
///
/// # Errors
/// Those of the other process that are the model's fault, and [`Error::ModelUnsupported`] when the process was ended by it.
pub(super) fn try_out(
    config: &Config,
    model: &Model,
    runtime: &Runtime,
    memory_limit: Option<u64>,
) -> Result<(), Error> {
    let is_plain = config.model.path().is_none() || model.is_plain();
    if is_plain || is_child() {
        return Ok(());
    }
    let plugins = runtime.plugins();
    let plugins = plugins.iter().map(|it| it.file().to_owned()).collect();
    let Some(request) = Request::of(config, runtime.path(), plugins, memory_limit) else {
        return Ok(());
    };
    let cache = Cache::new(config.engine_cache.as_deref());
    let name = request.name(model.digest());
    if cache.has(&name) {
        return Ok(());
    }
    let Some(mut command) = command() else {
        return Ok(());
    };
    command
        .args(request.fields())
        // what lies behind a large tensor is more often nothing then
        .env("MALLOC_MMAP_THRESHOLD_", "65536")
        // its end tells that this process is gone
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    // where nothing can be started, the model is tried here, as it would be without all this
    let Ok(mut child) = command.spawn() else {
        return Ok(());
    };
    let pipes = child.stdin.take().zip(child.stdout.take());
    let child = Arc::new(Mutex::new(Running(child)));
    let ended = Arc::clone(&child);
    let answer = opening::uncounted(
        move || drop(lock(&ended).0.kill()),
        || {
            let (_input, output) = pipes?;
            Some(read(output))
        },
    )?;
    match answer {
        None | Some(Answer::NotBegun | Answer::Other) => Ok(()),
        Some(Answer::Works) => {
            cache.add(&name);
            Ok(())
        }
        Some(Answer::Failed(error)) => Err(error),
        Some(Answer::Died) => Err(Error::ModelUnsupported {
            model: config.model.label(),
            found: format!(
                "a crash of ONNX Runtime {} when it was tried in a process of its own{}",
                runtime.version(),
                lock(&child).end()
            ),
            wanted: "a model that ONNX Runtime can run; another version of it may be able to run this one"
                .to_owned(),
        }),
    }
}

/// The process; it ends with this.
struct Running(Child);

impl Running {
    /// What ended it, in brackets.
    fn end(&mut self) -> String {
        match self.0.wait() {
            Ok(status) => format!(" ({})", in_words(status)),
            // somebody else has asked for the end of all children
            Err(_) => String::new(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn in_words(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return match signal {
            libc::SIGSEGV => "SIGSEGV".to_owned(),
            libc::SIGABRT => "SIGABRT".to_owned(),
            libc::SIGBUS => "SIGBUS".to_owned(),
            libc::SIGFPE => "SIGFPE".to_owned(),
            libc::SIGILL => "SIGILL".to_owned(),
            libc::SIGKILL => "SIGKILL: did it take too much memory?".to_owned(),
            _ => format!("signal {signal}"),
        };
    }
    status.to_string()
}

/// All that it says.
fn read(output: ChildStdout) -> Answer {
    let mut bytes = Vec::new();
    let _ = output.take(MAX_ANSWER).read_to_end(&mut bytes);
    Answer::of(&bytes)
}

/// Runs this plugin's file; none where that can't be.
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
fn command() -> Option<Command> {
    let (loader, plugin) = start::files()?;
    let mut command = Command::new(loader);
    command.arg(plugin).arg(message::ARGUMENT);
    Some(command)
}

#[cfg(not(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64")))]
fn command() -> Option<Command> {
    None
}
