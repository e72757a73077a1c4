//! The other process: what it does.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::sync::atomic::Ordering;

use super::message::{Answer, BEGINS, Request};
use super::{IS_CHILD, message};
use crate::engine::runtime;
use crate::error::Error;

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
    if runtime::load_from(&request.runtime).is_err() {
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
    if say(BEGINS).is_err() {
        return NOT_BEGUN;
    }
    let answer = match crate::engine::open(&request.config, &mut drop) {
        Ok(_) => Answer::Works,
        Err(
            error @ (Error::ModelInvalid { .. }
            | Error::ModelUnsupported { .. }
            | Error::Inference { .. }),
        ) => Answer::Failed(error),
        Err(_) => Answer::Other,
    };
    let _ = say(&answer.bytes());
    // without what libraries do at the end
    end(0)
}

fn say(bytes: &[u8]) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(bytes)?;
    output.flush()
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
