//! The other process: what it does.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::message::{Answer, BEGINS, Request};
use super::{IS_CHILD, message};
use crate::error::Error;
use crate::geometry::Size;
use crate::inference::backend::{DepthMaps, Images, InputSize, Network};
use crate::inference::onnx::runtime::{self, allowance};
use crate::inference::planner;
use crate::inference::{Config, Limits};

/// Further sizes to try, in patches, and the least side of those. The last is what 16:9 has at the default resolution.
const PATCHES: [(u32, u32); 4] = [(3, 4), (11, 6), (2, 17), (66, 37)];
const MIN_PATCH: u32 = 8;
/// They may take so long together.
const TIME: Duration = Duration::from_secs(3);

/// What the process ends with when it could not begin.
const NOT_BEGUN: i32 = 2;

/// Tries the model that the arguments name, and says on its output how that went. Gives the exit status.
pub(super) fn run(arguments: &[OsString]) -> i32 {
    let fields = match arguments {
        [_, first, fields @ ..] if first == message::ARGUMENT => fields,
        _ => {
            eprintln!("This is a plugin of GStreamer: put it into a folder on GST_PLUGIN_PATH.");
            return NOT_BEGUN;
        }
    };
    let Some(request) = Request::from(fields) else {
        return NOT_BEGUN;
    };
    IS_CHILD.store(true, Ordering::Relaxed);
    leave_no_core();
    let Ok(output) = take_output().map(Arc::new) else {
        return NOT_BEGUN;
    };
    if runtime::load_from_with(&request.runtime, request.plugins).is_err() {
        return NOT_BEGUN;
    }
    let watch = std::thread::Builder::new().spawn(|| {
        let _ = std::io::stdin().lock().read(&mut [0]);
        // whoever has asked is gone
        end(NOT_BEGUN);
    });
    if watch.is_err() {
        return NOT_BEGUN;
    }
    if (&*output).write_all(BEGINS).is_err() {
        return NOT_BEGUN;
    }
    let limits = Limits {
        memory: request.memory_limit,
        ..Limits::default()
    };
    let answer = match crate::inference::open_within(&limits, &request.config, &mut drop) {
        Ok(mut network) => {
            let works = Answer::Works.bytes();
            let to = Arc::clone(&output);
            let limit = std::thread::Builder::new().spawn(move || {
                std::thread::sleep(TIME);
                let _ = (&*to).write_all(&works);
                end(0);
            });
            if limit.is_ok() {
                run_at_other_sizes(&mut *network, again(&request.config));
            }
            Answer::Works
        }
        Err(
            error @ (Error::ModelInvalid { .. }
            | Error::ModelUnsupported { .. }
            | Error::Inference { .. }),
        ) => Answer::Failed(error),
        Err(_) => Answer::Other,
    };
    let _ = (&*output).write_all(&answer.bytes());
    // without what libraries do at the end
    end(0)
}

/// Bytes that loading the model once more may ask for: OpenVINO packs weights anew for a size that it has not seen, and reads
/// where it was given no memory for that.
fn again(config: &Config) -> u64 {
    let file = config.model.path().and_then(|it| it.metadata().ok());
    planner::loading_may_take(file.map_or(0, |it| it.len()))
}

/// What is read or written out of bounds at one size is not always seen there. `again`: see there.
fn run_at_other_sizes(network: &mut dyn Network, again: u64) {
    let description = network.description();
    let patch = description.patch.max(MIN_PATCH);
    let batch = description.batch.unwrap_or(1);
    let sizes = match description.input_size {
        InputSize::Fixed(_) => &[][..],
        InputSize::Any => &PATCHES[..],
    };
    let mut depth = DepthMaps::default();
    for &(width, height) in sizes {
        let size = Size::new(width * patch, height * patch);
        let images = Images {
            values: &vec![0.5; batch * 3 * size.area()],
            batch,
            size,
        };
        let run = planner::run_may_take(size, batch, patch);
        allowance::set(Some(run.saturating_add(again)));
        // an error is one in the stream, too
        let _ = network.run(images, &mut depth);
    }
}

/// The pipe for the answer. What libraries print on the standard output is no part of it.
fn take_output() -> std::io::Result<File> {
    let output = std::io::stdout().as_fd().try_clone_to_owned()?;
    // SAFETY: two numbers, of files that are open
    match unsafe { libc::dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO) } {
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok(output.into()),
    }
}

fn end(status: i32) -> ! {
    // SAFETY: ends the process
    unsafe { libc::_exit(status) }
}

/// A crash is nothing to look into here.
fn leave_no_core() {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: reads the struct
    let _ = unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
}
