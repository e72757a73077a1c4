//! How gRPC sends a message over HTTP/2: a flag, a length, and the message's bytes; after an answer its status.
//!
//! Tensors are sent as they lie in memory, without a copy. What a server says is untrusted.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tonic::codegen::http::HeaderMap;
use tonic::{Code, Status};

use super::super::transport::{Failure, Fault};

/// Bytes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// Of a status's words.
const LONGEST_WORDS: usize = 4096;

/// A request: one message, in pieces.
pub(super) struct Outgoing {
    pieces: [Bytes; 2],
    left: u64,
}

impl Outgoing {
    /// A message of a head and a body, `None` if it is longer than gRPC can say.
    pub(super) fn new(head: &Bytes, body: Bytes) -> Option<Self> {
        let length = u32::try_from(head.len().checked_add(body.len())?).ok()?;
        let mut first = BytesMut::with_capacity(PREFIX + head.len());
        first.put_u8(0);
        first.put_u32(length);
        first.put_slice(head);
        Some(Self {
            pieces: [first.freeze(), body],
            left: PREFIX as u64 + u64::from(length),
        })
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.pieces.iter_mut().find(|piece| !piece.is_empty());
        let next = next.map(std::mem::take);
        if let Some(piece) = &next {
            self.left = self.left.saturating_sub(piece.len() as u64);
        }
        Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// An answer of one message, as it comes in.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    prefix: Vec<u8>,
    message: Option<Vec<u8>>,
    length: usize,
}

impl Incoming {
    /// Takes in a piece; a message may have `limit` bytes.
    ///
    /// # Errors
    /// Why this is no such message.
    pub(super) fn take(&mut self, mut piece: &[u8], limit: usize) -> Result<(), Failure> {
        if self.message.is_none() {
            let missing = (PREFIX - self.prefix.len()).min(piece.len());
            let (prefix, rest) = piece.split_at(missing);
            self.prefix.extend_from_slice(prefix);
            piece = rest;
            let Ok([flag, length @ ..]) = <[u8; PREFIX]>::try_from(self.prefix.as_slice()) else {
                return Ok(());
            };
            if flag != 0 {
                let words = format!("its answer begins with {flag}, and not as a message does");
                return Err(Failure::new(Fault::NotGrpc, words));
            }
            self.length = u32::from_be_bytes(length) as usize;
            if self.length > limit {
                let words = format!("{} bytes where there may be {limit}", self.length);
                return Err(Failure::new(Fault::Damaged, words));
            }
            let mut message = Vec::new();
            message
                .try_reserve_exact(self.length)
                .map_err(|error| Failure::new(Fault::Damaged, error.to_string()))?;
            self.message = Some(message);
        }
        let Some(message) = &mut self.message else {
            return Ok(());
        };
        if piece.len() > self.length - message.len() {
            return Err(Failure::new(Fault::Damaged, "more than one message"));
        }
        message.extend_from_slice(piece);
        Ok(())
    }

    /// The message, at the end of an answer that is well.
    ///
    /// # Errors
    /// There is none, or not all of it.
    pub(super) fn finish(self) -> Result<Bytes, Failure> {
        let message = self.message.filter(|message| message.len() == self.length);
        let message = message.ok_or_else(|| Failure::new(Fault::Damaged, "it ends too early"))?;
        Ok(message.into())
    }
}

/// The status among headers or trailers, if they have one.
pub(super) fn status(headers: &HeaderMap) -> Option<Status> {
    let code = headers.get("grpc-status")?;
    // what is no number is unknown
    let code = code.to_str().ok().and_then(|code| code.parse().ok());
    let words = headers.get("grpc-message");
    let words = words.map(|words| unescaped(words.as_bytes()));
    Some(Status::new(
        code.map_or(Code::Unknown, Code::from_i32),
        words.unwrap_or_default(),
    ))
}

/// The words of a status: `%` and two digits stand for a byte.
fn unescaped(words: &[u8]) -> String {
    let mut bytes = Vec::new();
    let mut rest = &words[..words.len().min(LONGEST_WORDS)];
    while let [first, after @ ..] = rest {
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let escaped = match (first, after) {
            (b'%', [high, low, ..]) => digit(high).zip(digit(low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                bytes.push((16 * high + low) as u8);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A deadline as the header `grpc-timeout` has it: at most eight digits and a unit.
pub(super) fn timeout(deadline: Duration) -> String {
    const MOST: u128 = 99_999_999;
    let units = [
        (deadline.as_nanos(), 'n'),
        (deadline.as_micros(), 'u'),
        (deadline.as_millis(), 'm'),
    ];
    let fits = units.into_iter().find(|(count, _)| *count <= MOST);
    let (count, unit) = fits.unwrap_or((u128::from(deadline.as_secs()).min(MOST), 'S'));
    format!("{count}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pieces: &[&[u8]], limit: usize) -> Result<Bytes, Fault> {
        let mut incoming = Incoming::default();
        for piece in pieces {
            incoming.take(piece, limit).map_err(|it| it.fault)?;
        }
        incoming.finish().map_err(|it| it.fault)
    }

    #[test]
    fn a_message_goes_there_and_back_in_any_pieces() {
        let head = Bytes::from_static(b"head");
        let outgoing = Outgoing::new(&head, Bytes::from_static(b" and body")).unwrap();
        assert_eq!(outgoing.size_hint().exact(), Some(5 + 13));
        let sent = outgoing.pieces.concat();
        for cut in 0..sent.len() {
            let (first, second) = sent.split_at(cut);
            let message = taken(&[first, second], 13);
            assert_eq!(message.as_deref(), Ok(&b"head and body"[..]), "{cut}");
        }
        let each: Vec<&[u8]> = sent.chunks(1).collect();
        assert_eq!(taken(&each, 13).as_deref(), Ok(&b"head and body"[..]));
        let empty = Outgoing::new(&Bytes::new(), Bytes::new()).unwrap();
        assert_eq!(taken(&[&empty.pieces.concat()], 0).as_deref(), Ok(&b""[..]));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let cases: [(&[u8], Fault); 7] = [
            (b"", Fault::Damaged),
            (b"\0\0\0", Fault::Damaged),
            (b"\0\0\0\0\x02a", Fault::Damaged),
            (b"\0\0\0\0\x02abc", Fault::Damaged),
            (b"\0\xff\xff\xff\xff", Fault::Damaged),
            (b"\x01\0\0\0\x02ab", Fault::NotGrpc),
            (b"HTTP/1.1", Fault::NotGrpc),
        ];
        for (bytes, fault) in cases {
            assert_eq!(taken(&[bytes], 100).err(), Some(fault), "{bytes:?}");
        }
    }

    #[test]
    fn a_status_is_read_whatever_it_holds() {
        let read = |code: &[u8], words: &[u8]| {
            let value = |bytes: &[u8]| bytes.try_into().expect("a header's value");
            let mut headers = HeaderMap::new();
            headers.insert("grpc-status", value(code));
            headers.insert("grpc-message", value(words));
            headers.insert("grpc-status-details-bin", value(b"!no base64!"));
            let status = status(&headers).expect("a status");
            (status.code(), status.message().to_owned())
        };
        let says = |code, words: &str| (code, words.to_owned());
        assert_eq!(read(b"5", b"no%20model"), says(Code::NotFound, "no model"));
        assert_eq!(read(b"0", b""), says(Code::Ok, ""));
        assert_eq!(read(b"-7", b"100%"), says(Code::Unknown, "100%"));
        assert_eq!(read(b"\xff", b"%f"), says(Code::Unknown, "%f"));
        assert_eq!(
            read(b"99999999999", b"%ff%zz"),
            says(Code::Unknown, "\u{fffd}%zz")
        );
        assert!(status(&HeaderMap::new()).is_none());
    }

    #[test]
    fn deadlines_have_eight_digits() {
        assert_eq!(timeout(Duration::from_millis(50)), "50000000n");
        assert_eq!(timeout(Duration::from_secs(2)), "2000000u");
        assert_eq!(timeout(Duration::from_secs(3600)), "3600000m");
        assert_eq!(timeout(Duration::from_secs(1_000_000)), "1000000S");
        assert_eq!(timeout(Duration::MAX), "99999999S");
    }
}
