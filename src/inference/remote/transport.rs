//! A call to a server, whoever carries it, and what a failed one means.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use super::protocol::Call;
use crate::text;

/// What an answer will be.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Bytes, Failure>> + Send>>;

/// Carries calls to one server. It connects when the first one is made, and again where the connection has gone.
pub(super) trait Transport: Send + Sync {
    /// One call and its answer, within `deadline`. Dropped, it is given up.
    fn call(&self, call: Call, deadline: Duration) -> Answer;
}

/// Why a call has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nobody is there, or the connection broke.
    Connection,
    /// The server is not who it should be, or does not speak TLS.
    Tls,
    /// The secret can't be read, or the server wants another.
    Secret,
    /// What answers does not speak gRPC.
    NotGrpc,
    /// No answer within the deadline.
    Timeout,
    /// The server is busy, comes or goes.
    Unavailable,
    /// The server does not know the model.
    NotFound,
    /// The server does not know the method.
    Unimplemented,
    /// The server says that the request is wrong.
    InvalidArgument,
    /// The request is larger than the server takes.
    TooLarge,
    /// The server has failed on it.
    Internal,
    /// The answer is not what was asked for.
    Damaged,
}

/// A call that has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) fault: Fault,
    /// The server's words, or the system's.
    pub(super) words: String,
}

impl Failure {
    pub(super) fn new(fault: Fault, words: impl Into<String>) -> Self {
        Self {
            fault,
            words: words.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = text::printable(&self.words);
        match self.fault {
            Fault::Connection => write!(f, "it can't be reached ({words})"),
            Fault::Tls => write!(f, "TLS: {words}"),
            Fault::Secret => write!(f, "{words}"),
            Fault::NotGrpc => write!(
                f,
                "what answers there does not speak gRPC ({words}); Triton's port for it is 8001, 8000 is that of HTTP"
            ),
            Fault::Timeout => write!(f, "no answer within {words}"),
            Fault::Unavailable => write!(f, "it is not available: {words}"),
            Fault::NotFound => write!(f, "it does not have the model: {words}"),
            Fault::Unimplemented => write!(f, "it does not speak KServe v2: {words}"),
            Fault::InvalidArgument => write!(f, "it refuses the request: {words}"),
            Fault::TooLarge => write!(f, "a message is too large: {words}"),
            Fault::Internal => write!(f, "it has failed: {words}"),
            Fault::Damaged => write!(f, "its answer is not what was asked for: {words}"),
        }
    }
}

/// What is known when a call fails.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct History {
    /// The server has answered well before.
    pub(super) server_is_known: bool,
    /// A request of this size has been answered well before, by whichever server.
    pub(super) size_is_known: bool,
}

/// What a failed call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may go better later, or elsewhere.
    Passing,
    /// This server will not serve.
    ServerIsUnfit,
    /// No server will answer such a request.
    RequestIsRefused,
}

/// Judges by what a server says and by what it has done before: a server that drains or loads its model again says that it
/// does not have the model, and so does one that never had it.
pub(super) fn judge(fault: Fault, history: History) -> Verdict {
    match fault {
        Fault::Connection | Fault::Timeout | Fault::Unavailable => Verdict::Passing,
        Fault::Tls | Fault::Secret => Verdict::ServerIsUnfit,
        Fault::NotGrpc | Fault::NotFound | Fault::Unimplemented if history.server_is_known => {
            Verdict::Passing
        }
        Fault::NotGrpc | Fault::NotFound | Fault::Unimplemented => Verdict::ServerIsUnfit,
        Fault::InvalidArgument | Fault::TooLarge | Fault::Internal | Fault::Damaged
            if history.size_is_known =>
        {
            Verdict::Passing
        }
        Fault::Internal | Fault::Damaged if history.server_is_known => Verdict::Passing,
        Fault::InvalidArgument | Fault::TooLarge | Fault::Internal | Fault::Damaged => {
            Verdict::RequestIsRefused
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judged_by_code_and_history() {
        let all = [
            Fault::Connection,
            Fault::Tls,
            Fault::Secret,
            Fault::NotGrpc,
            Fault::Timeout,
            Fault::Unavailable,
            Fault::NotFound,
            Fault::Unimplemented,
            Fault::InvalidArgument,
            Fault::TooLarge,
            Fault::Internal,
            Fault::Damaged,
        ];
        let new = History::default();
        let known = History {
            server_is_known: true,
            size_is_known: true,
        };
        for fault in all {
            let passing = matches!(
                fault,
                Fault::Connection | Fault::Timeout | Fault::Unavailable
            );
            assert_eq!(judge(fault, new) == Verdict::Passing, passing, "{fault:?}");
            let fatal = matches!(fault, Fault::Tls | Fault::Secret);
            assert_eq!(judge(fault, known) == Verdict::ServerIsUnfit, fatal);
            assert_eq!(judge(fault, known) == Verdict::Passing, !fatal);
        }
        let new_size = History {
            server_is_known: true,
            size_is_known: false,
        };
        assert_eq!(
            judge(Fault::InvalidArgument, new_size),
            Verdict::RequestIsRefused
        );
        assert_eq!(judge(Fault::Internal, new_size), Verdict::Passing);
    }
}
