//! ONNX Runtime's own log, handed to whoever asks for it.

use std::cell::RefCell;
use std::sync::{PoisonError, RwLock};

use crate::panics::caught;
use crate::text;

/// Severity of a message of ONNX Runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// Every step.
    Verbose,
    /// Decisions.
    Info,
    /// Something is not as asked for, but goes on.
    Warning,
    /// Something failed.
    Error,
    /// Nothing works any more.
    Fatal,
}

/// Gets each message of at least the level asked for: level, category, text. Called on ONNX Runtime's threads; must
/// not block.
pub type LogHook = fn(LogLevel, &str, &str);

struct Log {
    hook: Option<LogHook>,
    level: LogLevel,
    environment: Option<ort::environment::Environment>,
}

static LOG: RwLock<Log> = RwLock::new(Log {
    hook: None,
    level: LogLevel::Warning,
    environment: None,
});

thread_local! {
    /// Errors of this thread, while [`capture`] wants them.
    static CAPTURED: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Runs `work` and also gives the errors that ONNX Runtime logged meanwhile on this thread: often they say more than
/// the error it returns ("Failed to load provider").
pub(in crate::inference::onnx) fn capture<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    CAPTURED.set(Some(Vec::new()));
    let result = work();
    (result, CAPTURED.take().unwrap_or_default())
}

/// Sends ONNX Runtime's messages from `level` up to `hook`. Without a hook they are dropped. May be called before or
/// after the runtime was loaded. Levels below [`LogLevel::Warning`] slow every run down.
pub fn set_log_hook(level: LogLevel, hook: LogHook) {
    let environment = {
        let mut log = LOG.write().unwrap_or_else(PoisonError::into_inner);
        log.hook = Some(hook);
        log.level = level;
        log.environment.clone()
    };
    if let Some(environment) = environment {
        environment.set_log_level(at_least_errors(level));
    }
}

/// Lets a new environment log at the level asked for.
pub(super) fn attach(environment: &ort::environment::Environment) {
    let level = {
        let mut log = LOG.write().unwrap_or_else(PoisonError::into_inner);
        log.environment = Some(environment.clone());
        log.level
    };
    environment.set_log_level(at_least_errors(level));
}

/// Errors are always wanted, by [`capture`].
fn at_least_errors(level: LogLevel) -> ort::logging::LogLevel {
    level.min(LogLevel::Error).into()
}

/// Passes one message on. The caller is C++: a panic must not cross into it.
pub(super) fn forward(level: LogLevel, category: &str, message: &str) {
    let _ = caught(|| pass_on(level, category, message));
}

fn pass_on(level: LogLevel, category: &str, message: &str) {
    if level >= LogLevel::Error {
        CAPTURED.with_borrow_mut(|captured| {
            if let Some(captured) = captured {
                captured.push(message.to_owned());
            }
        });
    }
    let hook = {
        let log = LOG.read().unwrap_or_else(PoisonError::into_inner);
        log.hook.filter(|_| level >= log.level)
    };
    if let Some(hook) = hook {
        // both hold names of the model's file
        hook(level, &text::printable(category), &text::printable(message));
    }
}

impl From<ort::logging::LogLevel> for LogLevel {
    fn from(level: ort::logging::LogLevel) -> Self {
        match level {
            ort::logging::LogLevel::Verbose => Self::Verbose,
            ort::logging::LogLevel::Info => Self::Info,
            ort::logging::LogLevel::Warning => Self::Warning,
            ort::logging::LogLevel::Error => Self::Error,
            ort::logging::LogLevel::Fatal => Self::Fatal,
        }
    }
}

impl From<LogLevel> for ort::logging::LogLevel {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Verbose => Self::Verbose,
            LogLevel::Info => Self::Info,
            LogLevel::Warning => Self::Warning,
            LogLevel::Error => Self::Error,
            LogLevel::Fatal => Self::Fatal,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::sync::lock;

    static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

    fn hear(_: LogLevel, category: &str, message: &str) {
        lock(&HEARD).push(format!("{category}: {message}"));
    }

    #[test]
    fn what_a_file_says_steers_no_terminal() {
        set_log_hook(LogLevel::Fatal, hear);
        let endless = "n".repeat(3_000_000);
        forward(
            LogLevel::Fatal,
            "\u{1b}[2J",
            &format!("node \u{1b}]0;t\u{7} {endless}"),
        );
        let heard = lock(&HEARD).clone();
        let [line] = heard.as_slice() else {
            panic!("{heard:?}")
        };
        assert!(line.len() < 10_000 && !line.chars().any(char::is_control));
        assert!(line.contains("node"));
    }
}
