//! gRPC by `tonic`. Only this and what is in it know it.

mod message;

use std::error::Error as _;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, Version};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Status};
use tower_service::Service;

use message::{Incoming, Outgoing};

use super::protocol::{Call, SERVICE};
use super::secret::{Secret, SecretFile, contents};
use super::servers::{Address, Servers};
use super::transport::{Answer, Failure, Fault, Transport};
use crate::sync::lock;

/// A connection that is silent for so long is asked whether it still lives; servers refuse being asked much more often.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// It has so long to say yes.
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(5);
/// A connection is made within this time.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes that may be under way of one answer: a depth map of a 4K frame at 1036.
const STREAM_WINDOW: u32 = 8 << 20;
/// Bytes that may be under way of all answers of a server.
const CONNECTION_WINDOW: u32 = 32 << 20;
/// Bytes that a server may send in one piece: fewer pieces are fewer calls of the system.
const FRAME: u32 = 1 << 20;
/// Bytes of a file of certificates.
const LONGEST_CA: u64 = 16 << 20;

/// The header of a secret, and its value once there is a connection.
type Header = (HeaderName, Arc<Mutex<Option<Secret>>>);

/// What the calls to a server have in common.
pub(super) struct Grpc {
    channel: Channel,
    /// Header and value of the secret, as they were read when the present connection was made.
    secret: Option<Header>,
}

impl Grpc {
    /// For the server at `address`. Does not connect yet.
    ///
    /// # Errors
    /// What is wrong with the certificates or the header, in words.
    pub(super) fn new(address: &Address, servers: &Servers) -> Result<Self, Failure> {
        let scheme = if address.tls { "https" } else { "http" };
        let tls = |words: String| Failure::new(Fault::Tls, words);
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
            .map_err(|error| Failure::new(Fault::Connection, error.to_string()))?
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_ANSWER)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME);
        if address.tls {
            let mut config = ClientTlsConfig::new()
                .domain_name(address.host.clone())
                .assume_http2(true);
            config = match &servers.tls_ca {
                Some(path) => {
                    let in_words = |reason: String| tls(format!("{}: {reason}", path.display()));
                    let pem = contents(path, LONGEST_CA).map_err(in_words)?;
                    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
                    if !pem.windows(BEGIN.len()).any(|window| window == BEGIN) {
                        return Err(in_words("it holds no certificate in PEM form".to_owned()));
                    }
                    config.ca_certificate(Certificate::from_pem(pem))
                }
                None => config.with_native_roots(),
            };
            endpoint = endpoint
                .tls_config(config)
                .map_err(|error| tls(chain(&error)))?;
        }
        let file = servers
            .token_file
            .as_deref()
            .map(|path| SecretFile::new(path, &servers.token_header));
        let shared = Arc::<Mutex<Option<Secret>>>::default();
        let secret = match &file {
            Some(_) => {
                let header = servers.token_header.to_ascii_lowercase();
                let key = header.parse().ok().filter(|_| !header.ends_with("-bin"));
                let key = key.ok_or_else(|| {
                    let name = crate::text::name(&header).into_owned();
                    Failure::new(Fault::Secret, format!("`{name}` is no name of a header"))
                })?;
                Some((key, Arc::clone(&shared)))
            }
            None => None,
        };
        let connector = Connector {
            host: address.host.clone(),
            port: address.port,
            file,
            secret: shared,
        };
        Ok(Self {
            channel: endpoint.connect_with_connector_lazy(connector),
            secret,
        })
    }
}

impl Transport for Grpc {
    fn call(&self, call: Call, deadline: Duration) -> Answer {
        let channel = self.channel.clone();
        let secret = self.secret.clone();
        Box::pin(async move {
            let answered = tokio::time::timeout(deadline, answer(channel, secret, call, deadline));
            answered.await.unwrap_or_else(|_| Err(late(deadline)))
        })
    }
}

/// One call, and its answer.
async fn answer(
    mut channel: Channel,
    secret: Option<Header>,
    call: Call,
    deadline: Duration,
) -> Result<Bytes, Failure> {
    let of_channel = |error: tonic::transport::Error| failure(&Status::from_error(Box::new(error)));
    // which connects where there is no connection, and reads the secret
    std::future::poll_fn(|context| channel.poll_ready(context))
        .await
        .map_err(of_channel)?;
    let internal =
        |error: tonic::codegen::http::Error| Failure::new(Fault::Internal, error.to_string());
    let message = Outgoing::new(&call.head, call.body)
        .ok_or_else(|| Failure::new(Fault::TooLarge, "more than 4 GB"))?;
    let mut request = Request::post(format!("/{SERVICE}/{}", call.method.name()))
        .version(Version::HTTP_2)
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .header("grpc-timeout", message::timeout(deadline))
        .body(Body::new(message))
        .map_err(internal)?;
    if let Some((name, secret)) = secret
        && let Some(secret) = lock(&secret).as_ref()
    {
        let mut value = HeaderValue::try_from(secret.expose())
            .map_err(|_| Failure::new(Fault::Secret, "the secret fits no header"))?;
        // neither shown nor kept in the compression's table
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
    }
    let answer = channel.call(request).await.map_err(of_channel)?;
    let (head, mut body) = answer.into_parts();
    let mut ends = message::status(&head.headers);
    if let Some(status) = ends.take_if(|status| status.code() != Code::Ok) {
        return Err(failure(&status));
    }
    let mut incoming = Incoming::default();
    if ends.is_none() {
        is_grpc(head.status, &head.headers)?;
    }
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let Some(frame) = frame else { break };
        match frame.map_err(|status| failure(&status))?.into_data() {
            Ok(data) => incoming.take(&data, call.limit)?,
            Err(frame) => {
                if let Some(trailers) = frame.trailers_ref() {
                    ends = message::status(trailers).or(ends);
                }
            }
        }
    }
    match ends {
        Some(status) if status.code() == Code::Ok => incoming.finish(),
        Some(status) => Err(failure(&status)),
        None => Err(Failure::new(
            Fault::Connection,
            "the answer ended before it was whole",
        )),
    }
}

/// Whether an answer without a status in its head may have one in the end.
///
/// # Errors
/// What it is instead.
fn is_grpc(status: StatusCode, headers: &HeaderMap) -> Result<(), Failure> {
    let words = format!("HTTP status code {}", status.as_u16());
    match status {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(Failure::new(Fault::Secret, wants_another_secret(&words)));
        }
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => return Err(Failure::new(Fault::Unavailable, words)),
        _ => return Err(Failure::new(Fault::NotGrpc, words)),
    }
    let is_grpc = |value: &HeaderValue| value.as_bytes().starts_with(b"application/grpc");
    match headers.get("content-type") {
        Some(value) if is_grpc(value) => Ok(()),
        _ => Err(Failure::new(Fault::NotGrpc, "its content-type is another")),
    }
}

fn wants_another_secret(words: &str) -> String {
    format!("the server wants another secret than it was told ({words})")
}

fn late(deadline: Duration) -> Failure {
    Failure::new(Fault::Timeout, format!("{deadline:?}"))
}

/// Connects to a server. The secret is read anew each time.
#[derive(Clone)]
struct Connector {
    host: String,
    port: u16,
    file: Option<SecretFile>,
    secret: Arc<Mutex<Option<Secret>>>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum NotConnected {
    #[error("{0}")]
    Secret(String),
    #[error("{0}")]
    Io(io::Error),
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = NotConnected;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            if let Some(file) = &connector.file {
                let secret = file.read().map_err(NotConnected::Secret)?;
                *lock(&connector.secret) = Some(secret);
            }
            let stream = TcpStream::connect((connector.host.as_str(), connector.port))
                .await
                .map_err(NotConnected::Io)?;
            stream.set_nodelay(true).map_err(NotConnected::Io)?;
            Ok(TokioIo::new(stream))
        })
    }
}

/// An error with what is behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        source = inner.source();
    }
    words
}

/// What a status means.
fn failure(status: &Status) -> Failure {
    let mut source = status.source();
    let mut is_broken = false;
    while let Some(error) = source {
        is_broken = true;
        if let Some(error) = error.downcast_ref::<NotConnected>() {
            return match error {
                NotConnected::Secret(words) => Failure::new(Fault::Secret, words.as_str()),
                NotConnected::Io(error) => Failure::new(Fault::Connection, error.to_string()),
            };
        }
        let io = error.downcast_ref::<io::Error>();
        let tls = io.and_then(io::Error::get_ref);
        if let Some(tls) = tls.and_then(|error| error.downcast_ref::<rustls::Error>()) {
            return of_tls(tls);
        }
        if error
            .downcast_ref::<h2::Error>()
            .is_some_and(is_another_protocol)
        {
            return Failure::new(Fault::NotGrpc, error.to_string());
        }
        source = error.source();
    }
    let message = status.message();
    let words = match status.source() {
        Some(source) if message.is_empty() || is_broken => chain(source),
        _ => message.to_owned(),
    };
    let fault = match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => Fault::Secret,
        // Triton's words for a missing header
        _ if message.contains("protocol is restricted") => Fault::Secret,
        _ if message.contains("received corrupt message") => Fault::Tls,
        Code::ResourceExhausted if message.contains("arger than max") => Fault::TooLarge,
        Code::OutOfRange => Fault::Damaged,
        Code::DeadlineExceeded => Fault::Timeout,
        Code::NotFound => Fault::NotFound,
        Code::InvalidArgument => Fault::InvalidArgument,
        Code::Unimplemented => Fault::Unimplemented,
        _ if is_broken => Fault::Connection,
        Code::Internal | Code::DataLoss | Code::FailedPrecondition | Code::Unknown | Code::Ok => {
            Fault::Internal
        }
        Code::Unavailable | Code::Cancelled | Code::Aborted | Code::ResourceExhausted => {
            Fault::Unavailable
        }
        Code::AlreadyExists => Fault::InvalidArgument,
    };
    let words = match fault {
        Fault::Secret => wants_another_secret(&words),
        Fault::Timeout => "the time that it was given".to_owned(),
        _ => words,
    };
    Failure::new(fault, words)
}

/// Whether what came can't be HTTP/2.
fn is_another_protocol(error: &h2::Error) -> bool {
    let reason = error.reason();
    error.is_go_away()
        && error.is_library()
        && matches!(
            reason,
            Some(h2::Reason::FRAME_SIZE_ERROR | h2::Reason::PROTOCOL_ERROR)
        )
}

fn of_tls(error: &rustls::Error) -> Failure {
    let words = match error {
        rustls::Error::InvalidCertificate(reason) => format!(
            "the server is not who it should be ({reason:?}): check the name in its address, and the authority that has \
             signed its certificate"
        ),
        rustls::Error::InvalidMessage(_) => {
            format!("what answers does not speak TLS ({error}): grpc:// is without")
        }
        error => error.to_string(),
    };
    Failure::new(Fault::Tls, words)
}
