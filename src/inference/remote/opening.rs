//! Finds a model on servers, checks it as a file would be, and tries it on a picture.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;

use super::form::{Declared, Form};
use super::grpc::Grpc;
use super::network::{Remote, RemoteNetwork, Threads};
use super::pool::{Destination, Manner, Pool};
use super::protocol::{
    self, Call, Method, ModelConfigResponse, ModelMetadataResponse, ModelRequest,
    RepositoryIndexRequest, RepositoryIndexResponse, ServerMetadataResponse,
};
use super::secret::SecretFile;
use super::servers::{Address, Servers};
use super::transport::{Failure, Fault, History, Transport, Verdict, judge};
use crate::error::{Error, Setting};
use crate::geometry::Size;
use crate::inference::Progress;
use crate::inference::backend::{DepthKind, Description, Images, InputSize, MemoryDomain, Network};
use crate::model::{
    Cancel, FALLBACK_PATCH, ImageInput, InputNormalization, select_input, select_output,
    settle_output,
};
use crate::text;

/// How often one looks whether nobody wants the network any more.
const LOOK: Duration = Duration::from_millis(20);
/// Between two rounds of asking all servers.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Models of a server that are looked at where none is named.
const MAX_MODELS: usize = 64;
/// Versions that are named.
const MAX_VERSIONS: usize = 8;
/// Pictures that a model is tried on: in patches of Depth Anything, and of most other networks.
const TRIALS: [(Size, u32); 2] = [
    (
        Size {
            width: 182,
            height: 126,
        },
        FALLBACK_PATCH,
    ),
    (
        Size {
            width: 192,
            height: 128,
        },
        32,
    ),
];

/// A server's model.
struct Found {
    /// `triton`, or what else speaks the protocol: `kserve`.
    kind: &'static str,
    /// Its name and version.
    server: String,
    model: ModelRequest,
    declared: Declared,
    /// Images in a request, where the server limits them.
    max_batch: Option<usize>,
    /// Whether it can map memory of this machine.
    shares_memory: bool,
}

/// Why a server is not taken, or not yet.
enum Refusal {
    Failure(Failure),
    /// It has no such model.
    Model(Error),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// Opens the network that `servers` run, until it is cancelled. Gives one for each request that may be under way.
///
/// # Errors
/// - [`Error::Setting`]: an option that can't be; which model, where there are several.
/// - [`Error::Server`]: no server answers, or none as it should.
/// - [`Error::ModelUnsupported`]: their model is none that can be used here.
pub(in crate::inference) fn open(
    servers: &Servers,
    normalization: Option<InputNormalization>,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Box<dyn Network>>, Error> {
    let start = Instant::now();
    let secret = servers
        .token_file
        .as_deref()
        .map(|path| SecretFile::new(path, &servers.token_header));
    if let Some(secret) = &secret {
        secret.read().map_err(|reason| Error::Setting {
            setting: Setting::ServerToken,
            reason,
        })?;
    }
    let no_thread = |reason: std::io::Error| error(servers, &format!("no thread: {reason}"));
    let threads = Threads::start(servers.addresses.len()).map_err(no_thread)?;
    let handle = threads
        .handle()
        .ok_or_else(|| error(servers, "no thread"))?;
    // what carries calls is tied to these threads
    let in_threads = handle.enter();
    let mut transports = Vec::new();
    for address in &servers.addresses {
        let transport = Grpc::new(address, servers);
        let transport = transport.map_err(|failure| match failure.fault {
            Fault::Tls => Error::Setting {
                setting: Setting::ServerTlsCa,
                reason: failure.words,
            },
            Fault::Secret => Error::Setting {
                setting: Setting::ServerToken,
                reason: failure.words,
            },
            _ => error(servers, &failure.to_string()),
        })?;
        transports.push((
            address.to_string(),
            Box::new(transport) as Box<dyn Transport>,
        ));
    }
    drop(in_threads);
    progress(Progress::Loading { provider: "kserve" });
    let opening = Opening {
        servers,
        cancel,
        start,
    };
    let (known, found) = handle.block_on(opening.find(&transports, progress))?;
    let label = format!("model {} of {}", found.model.name, transports[known].0);
    let facts = found.declared.facts(&label);
    let mut input = select_input(&facts, &found.declared.inputs)?;
    if let Some(normalization) = normalization {
        input = input.with_normalization(normalization)?;
    }
    let mut form = Form {
        model: found.model.name.clone(),
        version: found.model.version.clone(),
        input,
        output: None,
        timeout: i64::try_from(servers.timeout.as_micros()).unwrap_or(i64::MAX),
    };
    let manner = Manner {
        timeout: servers.timeout,
        patience: servers.patience,
    };
    let count = transports.len();
    let shares_memory = servers.shared_memory
        && found.shares_memory
        && servers.addresses.iter().all(Address::is_here);
    #[cfg(unix)]
    let shares_memory = shares_memory
        && handle.block_on(async {
            for (_, transport) in &transports {
                if !super::local::try_out(&**transport).await {
                    return false;
                }
            }
            true
        });
    let pool = Pool::new(
        transports,
        known,
        (found.model.clone(), found.declared.clone()),
        manner,
        handle.clone(),
    );
    let trial = handle.block_on(opening.or_cancelled(try_out(&pool, &mut form, &found, &label)))?;
    let (patch, size, map) = trial?;
    let mut description = describe(&found, &form, patch, map);
    // a map of another size needs room that is not known
    let shares_memory = cfg!(unix) && shares_memory && map == size;
    if shares_memory {
        let how = "frames go through shared memory";
        description.interpretation.push(how.to_owned());
    }
    if let Some(secret) = secret {
        description.warnings.extend(secret.warning());
        let open: Vec<_> = servers.addresses.iter().filter(|it| !it.tls).collect();
        if let [first, ..] = open[..] {
            description.warnings.push(format!(
                "the secret goes to {first} unencrypted; grpcs:// encrypts it"
            ));
        }
    }
    progress(Progress::Ready {
        provider: found.kind,
        precision: description.precision.clone(),
        source: String::new(),
        seconds: start.elapsed().as_secs_f64(),
    });
    let remote = Arc::new(Remote {
        _threads: threads,
        handle,
        pool,
        form,
        shares_memory,
        description,
    });
    let slots = count.saturating_mul(servers.in_flight.max(1));
    let network = || Box::new(RemoteNetwork::new(&remote)) as Box<dyn Network>;
    Ok(std::iter::repeat_with(network).take(slots).collect())
}

fn error(servers: &Servers, reason: &str) -> Error {
    Error::Server {
        servers: servers.label(),
        reason: reason.to_owned(),
    }
}

struct Opening<'a> {
    servers: &'a Servers,
    cancel: &'a Cancel,
    start: Instant,
}

impl Opening<'_> {
    /// # Errors
    /// [`Error::Cancelled`].
    async fn or_cancelled<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        let cancelled = async {
            while !self.cancel.is_cancelled() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            result = work => Ok(result),
            () = cancelled => Err(Error::Cancelled),
        }
    }

    /// The first server that has the model.
    async fn find(
        &self,
        transports: &[(String, Box<dyn Transport>)],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(usize, Found), Error> {
        let mut refused: Vec<Option<Error>> = transports.iter().map(|_| None).collect();
        let mut told = String::new();
        let mut pause = FIRST_PAUSE;
        loop {
            let mut reasons = Vec::new();
            for (index, (name, transport)) in transports.iter().enumerate() {
                if let Some(error) = &refused[index] {
                    reasons.push(error.to_string());
                    continue;
                }
                let identified = self.or_cancelled(self.identify(name, &**transport));
                let failure = match identified.await? {
                    Ok(found) => return Ok((index, found)),
                    Err(Refusal::Model(error)) => {
                        reasons.push(error.to_string());
                        refused[index] = Some(error);
                        continue;
                    }
                    Err(Refusal::Failure(failure)) => failure,
                };
                let reason = format!("{name}: {failure}");
                if judge(failure.fault, History::default()) != Verdict::Passing {
                    refused[index] = Some(Error::Server {
                        servers: name.clone(),
                        reason: failure.to_string(),
                    });
                }
                reasons.push(reason);
            }
            let words = reasons.join("; ");
            if refused.iter().all(Option::is_some) {
                let only = refused.pop().flatten().filter(|_| refused.is_empty());
                return Err(only.unwrap_or_else(|| error(self.servers, &words)));
            }
            if self.start.elapsed() >= self.servers.patience {
                let seconds = self.start.elapsed().as_secs_f64();
                return Err(error(
                    self.servers,
                    &format!("no server has answered for {seconds:.1} s: {words}"),
                ));
            }
            if told != words {
                progress(Progress::Reconnecting {
                    provider: "kserve",
                    reason: words.clone(),
                });
                told = words;
            }
            let left = self.servers.patience.saturating_sub(self.start.elapsed());
            let wait = tokio::time::sleep(pause.min(left));
            self.or_cancelled(wait).await?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn ask<M: Message + Default>(
        &self,
        transport: &dyn Transport,
        method: Method,
        message: &impl Message,
    ) -> Result<M, Failure> {
        let call = Call::small(method, message);
        let answer: Bytes = transport.call(call, self.servers.timeout).await?;
        protocol::read(answer).map_err(|words| Failure::new(Fault::Damaged, words))
    }

    /// Asks a server who it is and what its model is.
    async fn identify(&self, name: &str, transport: &dyn Transport) -> Result<Found, Refusal> {
        let server: Result<ServerMetadataResponse, _> =
            self.ask(transport, Method::ServerMetadata, &()).await;
        let server = match server {
            Ok(server) => server,
            // some speak only what is needed for inference
            Err(failure) if failure.fault == Fault::Unimplemented => Default::default(),
            Err(failure) => return Err(failure.into()),
        };
        let is_triton = server.name.eq_ignore_ascii_case("triton");
        let version = self.servers.version.clone().unwrap_or_default();
        let (model, declared) = match &self.servers.model {
            Some(model) => {
                let model = ModelRequest {
                    name: model.clone(),
                    version,
                };
                let declared = self.declared(transport, &model).await?;
                (model, declared)
            }
            None => self.only_model(name, transport, version).await?,
        };
        // Triton's own, and of no use elsewhere
        let config = match is_triton {
            true => {
                let config = self.ask(transport, Method::ModelConfig, &model).await;
                config.ok().and_then(|it: ModelConfigResponse| it.config)
            }
            false => None,
        };
        let max_batch = config.and_then(|config| usize::try_from(config.max_batch_size).ok());
        Ok(Found {
            kind: if is_triton { "triton" } else { "kserve" },
            server: format!(
                "{} {} at {name}",
                text::name(&server.name),
                text::name(&server.version)
            ),
            model,
            declared,
            max_batch: max_batch.filter(|&most| most > 0),
            shares_memory: server
                .extensions
                .iter()
                .any(|it| it == "system_shared_memory"),
        })
    }

    async fn declared(
        &self,
        transport: &dyn Transport,
        model: &ModelRequest,
    ) -> Result<Declared, Failure> {
        let metadata = self.ask::<ModelMetadataResponse>(transport, Method::ModelMetadata, model);
        Declared::read(metadata.await?).map_err(|words| Failure::new(Fault::Damaged, words))
    }

    /// The only model that fits.
    async fn only_model(
        &self,
        server: &str,
        transport: &dyn Transport,
        version: String,
    ) -> Result<(ModelRequest, Declared), Refusal> {
        let which = |reason: String| {
            Refusal::Model(Error::Setting {
                setting: Setting::ServerModel,
                reason: format!("{reason}; name the model"),
            })
        };
        let asked = RepositoryIndexRequest { ready: true };
        let index: Result<RepositoryIndexResponse, _> =
            self.ask(transport, Method::RepositoryIndex, &asked).await;
        let index = match index {
            Ok(index) => index,
            Err(failure) if failure.fault == Fault::Unimplemented => {
                return Err(which(format!("{server} does not tell which it has")));
            }
            Err(failure) => return Err(failure.into()),
        };
        let mut names: Vec<_> = index.models.into_iter().map(|model| model.name).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            // it may still be loading them
            return Err(Failure::new(Fault::Unavailable, "it has no model that is ready").into());
        }
        if names.len() > MAX_MODELS {
            return Err(which(format!("{server} has {} models", names.len())));
        }
        let (mut fitting, mut others) = (Vec::new(), Vec::new());
        for name in names {
            let model = ModelRequest {
                name,
                version: version.clone(),
            };
            match self.declared(transport, &model).await {
                Ok(declared) => {
                    let facts = declared.facts(&model.name);
                    let fits = select_input(&facts, &declared.inputs)
                        .and_then(|_| select_output(&facts, &declared.outputs));
                    match fits {
                        Ok(_) => fitting.push((model, declared)),
                        Err(error) => others.push(error.to_string()),
                    }
                }
                Err(failure) if failure.fault == Fault::NotFound => {
                    others.push(format!("{}: {failure}", text::name(&model.name)));
                }
                Err(failure) => return Err(failure.into()),
            }
        }
        match fitting.len() {
            0 => Err(which(format!(
                "{server} has none that can be used here: {}",
                others.join("; ")
            ))),
            1 => fitting.pop().ok_or_else(|| which(String::new())),
            _ => {
                let names: Vec<_> = fitting
                    .iter()
                    .map(|(model, _)| text::name(&model.name))
                    .collect();
                Err(which(format!(
                    "{server} has several that could be meant: {}",
                    names.join(", ")
                )))
            }
        }
    }
}

/// Runs a picture through the model, which shows what its output and its patch are.
///
/// # Errors
/// As [`Pool::infer`], and [`Error::ModelUnsupported`] when no depth comes back.
async fn try_out(
    pool: &Arc<Pool>,
    form: &mut Form,
    found: &Found,
    label: &str,
) -> Result<(u32, Size, Size), Error> {
    let facts = found.declared.facts(label);
    let depth = select_output(&facts, &found.declared.outputs)?;
    let trials = match form.input.input_size() {
        InputSize::Fixed(size) => vec![(size, FALLBACK_PATCH)],
        InputSize::Any => TRIALS.to_vec(),
    };
    let mut failure = None;
    for (size, patch) in trials {
        let values = vec![0.5; 3 * size.area()];
        let images = Images {
            values: &values,
            batch: 1,
            size,
        };
        let call = form.call(images, form.tensor(images, Bytes::new())?);
        let accept = |answer: &Bytes| form.outputs(answer);
        let call = async |_: Destination<'_>| Ok(call.clone());
        let outputs = match pool.infer((size, 1), call, accept).await {
            Ok(outputs) => outputs,
            // of another patch, perhaps
            Err(error @ Error::Inference { .. }) => {
                failure.get_or_insert(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        let of = |index: usize| {
            let tensor = found.declared.outputs.get(index)?;
            outputs.iter().find(|output| output.name == tensor.name)
        };
        let shapes: Vec<_> = depth
            .candidates
            .iter()
            .map(|&index| {
                of(index)
                    .map(|output| output.shape.clone())
                    .unwrap_or_default()
            })
            .collect();
        let batch = form.batch(images);
        let settled = settle_output(
            &facts,
            &found.declared.outputs,
            &depth,
            &shapes,
            batch,
            size,
        )?;
        let (index, map) = settled;
        let output = of(index).ok_or_else(|| damaged(label, "it has not the output".to_owned()))?;
        output.size(batch).map_err(|words| damaged(label, words))?;
        form.output = Some(output.name.clone());
        return Ok((patch, size, map));
    }
    Err(failure.unwrap_or_else(|| damaged(label, "it was not tried".to_owned())))
}

fn damaged(label: &str, reason: String) -> Error {
    Error::ModelUnsupported {
        model: label.to_owned(),
        found: reason,
        wanted: "a depth map".to_owned(),
    }
}

/// What the network is.
fn describe(found: &Found, form: &Form, patch: u32, map: Size) -> Description {
    let ImageInput {
        batch,
        ref normalization,
        ref element,
        ..
    } = form.input;
    let mut notes = Vec::new();
    if let (true, [_, _, ..]) = (form.version.is_empty(), &found.declared.versions[..]) {
        let versions: Vec<_> = found.declared.versions.iter().take(MAX_VERSIONS).collect();
        notes.push(format!(
            "the server has versions {} of it and chooses one",
            text::printable(&format!("{versions:?}"))
        ));
    }
    let output = form.output.as_deref().unwrap_or_default();
    Description {
        kind: DepthKind::Relative,
        kind_is_certain: false,
        normalization: normalization.value,
        normalization_is_certain: normalization.is_certain,
        interpretation: vec![
            format!(
                "`{}` is fed {}",
                text::name(&form.input.name),
                form.input.in_words()
            ),
            format!(
                "`{}` is taken as depth: {map} of a trial came back",
                text::name(output)
            ),
        ],
        patch,
        input_size: form.input.input_size(),
        batch: batch.into_iter().chain(found.max_batch).min(),
        provider: found.kind.to_owned(),
        memory: MemoryDomain::Host,
        holds_attention_scores: false,
        precision: match element {
            crate::model::ElementType::F16 => "fp16",
            _ => "fp32",
        }
        .to_owned(),
        runtime: found.server.clone(),
        notes,
        ..Description::of_any_size(&text::name(&found.model.name))
    }
}
