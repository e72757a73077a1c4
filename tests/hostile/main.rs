//! Models that mean harm: whatever they hold, the process goes on, in little time and memory, and reads nothing but the
//! model's own files. SECURITY.md says what is promised.

mod craft;
#[path = "../engine_support/mod.rs"]
mod engine_support;
mod reading;
mod running;

use std::path::Path;
use std::time::Duration;

use gstdepthanything::error::Error;
use gstdepthanything::model::proto::ModelProto;
use gstdepthanything::model::{ModelFacts, ModelSource, inspect};
use prost::Message as _;

/// Most that a hostile file may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The time that this thread has computed: what else the machine does is not the file's fault.
fn worked() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: fills in the struct given, and touches nothing else
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Writes `model` into `folder`.
fn write(folder: &Path, model: &ModelProto) -> ModelSource {
    let path = folder.join("model.onnx");
    std::fs::write(&path, model.encode_to_vec()).expect("file");
    ModelSource::File(path)
}

/// Inspects `model`, within its time; a refusal names the file and can be shown.
#[track_caller]
fn judge(name: &str, source: &ModelSource) -> Result<ModelFacts, Error> {
    let start = worked();
    let result = inspect(source);
    let took = worked() - start;
    assert!(took < TIMEOUT, "{name}: {took:?}");
    if let Err(error) = &result {
        let words = error.to_string();
        let folder = source.path().and_then(Path::parent).expect("a file");
        assert!(
            words.contains(&*folder.to_string_lossy()),
            "{name}: {words}"
        );
        assert!(
            words.len() < 8192 && !words.chars().any(char::is_control),
            "{name}: {words:?}"
        );
    }
    result
}
