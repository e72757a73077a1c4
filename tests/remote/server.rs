//! A KServe v2 server in this process that does what a test wants, good or bad.
#![allow(missing_docs, unreachable_pub, reason = "of this test alone")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

#[derive(Clone, PartialEq, Message)]
struct Names {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

/// Answers `ModelMetadata`; its tensors are those of requests, too.
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub datatype: String,
    #[prost(int64, repeated, tag = "3")]
    pub shape: Vec<i64>,
}

impl Tensor {
    pub fn new(name: &str, datatype: &str, shape: &[i64]) -> Self {
        Self {
            name: name.to_owned(),
            datatype: datatype.to_owned(),
            shape: shape.to_vec(),
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct Model {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, repeated, tag = "2")]
    pub versions: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    pub inputs: Vec<Tensor>,
    #[prost(message, repeated, tag = "5")]
    pub outputs: Vec<Tensor>,
}

impl Model {
    /// A depth model of any size, as it is exported.
    pub fn depth(datatype: &str) -> Self {
        Self {
            name: "depth".to_owned(),
            versions: vec!["1".to_owned()],
            inputs: vec![Tensor::new("pixel_values", datatype, &[-1, 3, -1, -1])],
            outputs: vec![Tensor::new("predicted_depth", datatype, &[-1, -1, -1])],
        }
    }
}

#[derive(Clone, PartialEq, Message)]
struct Index {
    #[prost(message, repeated, tag = "1")]
    models: Vec<Names>,
}

#[derive(Clone, PartialEq, Message)]
struct Number {
    #[prost(int64, optional, tag = "2")]
    int: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Infer {
    #[prost(string, tag = "1")]
    model_name: String,
    #[prost(btree_map = "string, message", tag = "4")]
    parameters: BTreeMap<String, Number>,
    #[prost(message, repeated, tag = "5")]
    inputs: Vec<Tensor>,
    #[prost(bytes = "bytes", repeated, tag = "7")]
    raw: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Answer {
    #[prost(message, repeated, tag = "5")]
    pub outputs: Vec<Tensor>,
    #[prost(bytes = "bytes", repeated, tag = "6")]
    pub raw: Vec<Bytes>,
}

/// What a model is fed.
pub struct Images {
    pub shape: Vec<i64>,
    pub datatype: String,
    pub data: Bytes,
    /// Of the inferences that this server was asked for.
    pub index: usize,
    /// Microseconds that the request may wait.
    pub timeout: Option<i64>,
}

impl Images {
    pub fn floats(&self) -> Vec<f32> {
        let values = self.data.chunks_exact(4);
        values
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect()
    }

    /// Height and width of channels-first images.
    pub fn sides(&self) -> [usize; 2] {
        [2, 3].map(|side| self.shape[side] as usize)
    }
}

/// What a server says to an inference.
pub enum Reply {
    /// Depth of this shape.
    Depth(&'static str, Vec<i64>, Vec<u8>),
    /// These bytes for a message.
    Message(Vec<u8>),
    /// A code of gRPC and its words.
    Status(u32, String),
    /// These bytes as they are, and these trailers.
    Raw(Vec<u8>, Vec<(&'static str, &'static [u8])>),
}

impl Reply {
    pub fn floats(shape: &[i64], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        Self::Depth("FP32", shape.to_vec(), bytes.collect())
    }

    /// Red is depth.
    pub fn red(images: &Images) -> Self {
        let [height, width] = images.sides();
        let values = images.floats();
        let shape = [images.shape[0], height as i64, width as i64];
        let maps: Vec<f32> = values
            .chunks_exact(3 * height * width)
            .flat_map(|image| image[..height * width].to_vec())
            .collect();
        Self::floats(&shape, &maps)
    }
}

type Does = dyn Fn(&Images) -> Reply + Send + Sync;

/// What a server is and does; it may be changed while it runs.
pub struct State {
    pub name: Mutex<&'static str>,
    pub models: Mutex<Vec<Model>>,
    pub does: Mutex<Arc<Does>>,
    pub delay: Mutex<Duration>,
    /// Every call is answered by this code; 0: not.
    pub fails: AtomicU32,
    /// Nothing is answered.
    pub frozen: AtomicBool,
    /// Inferences that were asked for, that are under way, and that were at a time at most.
    pub asked: AtomicUsize,
    pub in_flight: AtomicUsize,
    pub most: AtomicUsize,
    pub connections: AtomicUsize,
    /// Metadata of the last call.
    pub headers: Mutex<http::HeaderMap>,
}

/// Runs until it is dropped or killed.
pub struct Server {
    pub state: Arc<State>,
    pub port: u16,
    runtime: Option<Runtime>,
    tls: Option<Arc<tokio_rustls::rustls::ServerConfig>>,
}

impl Server {
    pub fn new(does: impl Fn(&Images) -> Reply + Send + Sync + 'static) -> Self {
        Self::with_tls(None, does)
    }

    pub fn with_tls(
        tls: Option<Arc<tokio_rustls::rustls::ServerConfig>>,
        does: impl Fn(&Images) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let state = State {
            name: Mutex::new("kserve"),
            models: Mutex::new(vec![Model::depth("FP32")]),
            does: Mutex::new(Arc::new(does)),
            delay: Mutex::default(),
            fails: AtomicU32::new(0),
            frozen: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            headers: Mutex::default(),
        };
        let mut server = Self {
            state: Arc::new(state),
            port: 0,
            runtime: None,
            tls,
        };
        server.start();
        server
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it, again at the same port.
    pub fn start(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads");
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let listener = runtime
            .block_on(TcpListener::bind(address))
            .expect("the port");
        self.port = listener.local_addr().expect("an address").port();
        let state = Arc::clone(&self.state);
        let tls = self.tls.clone().map(tokio_rustls::TlsAcceptor::from);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, tls) = (Arc::clone(&state), tls.clone());
                state.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, state).await;
                            }
                        }
                        None => serve(stream, state).await,
                    }
                });
            }
        });
        self.runtime = Some(runtime);
    }

    /// Ends it and its connections at once.
    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
        self.state.in_flight.store(0, Ordering::SeqCst);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<State>) {
    let connection = h2::server::Builder::new()
        .initial_window_size(8 << 20)
        .initial_connection_window_size(8 << 20)
        .handshake::<_, Bytes>(stream)
        .await;
    let Ok(mut connection) = connection else {
        return;
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(answer(request, respond, Arc::clone(&state)));
    }
}

async fn answer(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    state: Arc<State>,
) {
    let (head, mut body) = request.into_parts();
    let mut bytes = BytesMut::new();
    while let Some(Ok(chunk)) = body.data().await {
        let _ = body.flow_control().release_capacity(chunk.len());
        bytes.extend_from_slice(&chunk);
    }
    while state.frozen.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    *state.headers.lock().unwrap() = head.headers;
    let method = head.uri.path().rsplit('/').next().unwrap_or_default();
    let message = bytes.freeze().split_off(5);
    let reply = match state.fails.load(Ordering::SeqCst) {
        0 => reply(method, message, &state).await,
        code => Reply::Status(code, "as the test wants it".to_owned()),
    };
    let head = http::Response::builder().header("content-type", "application/grpc");
    let Ok(mut send) = respond.send_response(head.body(()).expect("a head"), false) else {
        return;
    };
    let mut trailers = http::HeaderMap::new();
    let message = match reply {
        Reply::Status(code, words) => {
            trailers.insert("grpc-message", words.parse().expect("a header"));
            trailers.insert("grpc-status", code.into());
            None
        }
        Reply::Raw(bytes, ends) => {
            for (name, value) in ends {
                trailers.insert(name, value.try_into().expect("a header"));
            }
            let _ = send.send_data(bytes.into(), false);
            None
        }
        Reply::Message(message) => Some(message),
        Reply::Depth(datatype, shape, data) => {
            let output = Tensor::new("predicted_depth", datatype, &shape);
            let answer = Answer {
                outputs: vec![output],
                raw: vec![data.into()],
            };
            Some(answer.encode_to_vec())
        }
    };
    if let Some(message) = message {
        trailers.insert("grpc-status", 0.into());
        let mut framed = BytesMut::with_capacity(message.len() + 5);
        framed.put_u8(0);
        framed.put_u32(message.len() as u32);
        framed.put_slice(&message);
        let _ = send.send_data(framed.freeze(), false);
    }
    let _ = send.send_trailers(trailers);
}

async fn reply(method: &str, message: Bytes, state: &State) -> Reply {
    let named = |name: &str| {
        let models = state.models.lock().unwrap();
        models.iter().find(|model| model.name == name).cloned()
    };
    let unknown = |name: &str| Reply::Status(5, format!("model {name} is not found"));
    match method {
        "ServerMetadata" => {
            let server = Names {
                name: (*state.name.lock().unwrap()).to_owned(),
                version: "1".to_owned(),
            };
            Reply::Message(server.encode_to_vec())
        }
        "RepositoryIndex" => {
            let models = state.models.lock().unwrap();
            let models = models.iter().map(|model| Names {
                name: model.name.clone(),
                version: "1".to_owned(),
            });
            let models = models.collect();
            Reply::Message(Index { models }.encode_to_vec())
        }
        "ModelMetadata" => {
            let asked = Names::decode(message).expect("a request");
            match named(&asked.name) {
                Some(model)
                    if asked.version.is_empty() || model.versions.contains(&asked.version) =>
                {
                    Reply::Message(model.encode_to_vec())
                }
                _ => unknown(&asked.name),
            }
        }
        "ModelInfer" => {
            let asked = Infer::decode(message).expect("a request");
            if named(&asked.model_name).is_none() {
                return unknown(&asked.model_name);
            }
            let under_way = state.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
            state.most.fetch_max(under_way, Ordering::SeqCst);
            let delay = *state.delay.lock().unwrap();
            tokio::time::sleep(delay).await;
            let input = &asked.inputs[0];
            let images = Images {
                shape: input.shape.clone(),
                datatype: input.datatype.clone(),
                data: asked.raw.first().cloned().unwrap_or_default(),
                index: state.asked.fetch_add(1, Ordering::SeqCst),
                timeout: asked.parameters.get("timeout").and_then(|it| it.int),
            };
            let does = Arc::clone(&state.does.lock().unwrap());
            let reply = does(&images);
            state.in_flight.fetch_sub(1, Ordering::SeqCst);
            reply
        }
        _ => Reply::Status(12, "unimplemented".to_owned()),
    }
}
