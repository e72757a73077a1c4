//! What the two processes say to each other: arguments of the one, and texts of the other that each end in a zero byte.

#![cfg_attr(
    not(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64")),
    allow(dead_code, reason = "there is no other process there")
)]

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::inference::onnx::fingerprint::{self, BUILD};
use crate::inference::{Config, ExecutionProvider, Precision};
use crate::model::{InputNormalization, ModelSource};

/// What the other process is called with.
pub(super) const ARGUMENT: &str = "--try-model";
/// Arguments of a request.
const FIELDS: usize = 10;
/// Said before the model is read: what happens from then on is the model's fault.
pub(super) const BEGINS: &[u8] = b"begins\0";

/// A model to try.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub(super) config: Config,
    /// The library of ONNX Runtime.
    pub(super) runtime: PathBuf,
    /// See [`crate::inference::Limits::memory`].
    pub(super) memory_limit: Option<u64>,
    /// Libraries of execution providers that are plugins.
    pub(super) plugins: Vec<PathBuf>,
}

/// What came back.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// Nothing: there is no such process here.
    NotBegun,
    /// It ended while it had the model.
    Died,
    /// It works.
    Works,
    /// It fails by the model's fault.
    Failed(Error),
    /// It fails, and will here.
    Other,
}

impl Request {
    /// Of a model in a file.
    pub(super) fn of(
        config: &Config,
        runtime: &Path,
        plugins: Vec<PathBuf>,
        memory_limit: Option<u64>,
    ) -> Option<Self> {
        config.model.path()?;
        Some(Self {
            config: config.clone(),
            runtime: runtime.to_owned(),
            memory_limit,
            plugins,
        })
    }

    /// As arguments.
    pub(super) fn fields(&self) -> Vec<OsString> {
        let Self {
            config,
            runtime,
            memory_limit,
            plugins,
        } = self;
        let fields: [OsString; FIELDS] = [
            BUILD.into(),
            runtime.into(),
            config.model.path().unwrap_or(Path::new("")).into(),
            config.provider.name().into(),
            config.device.clone().into(),
            config.precision.map_or("", Precision::name).into(),
            config.threads.to_string().into(),
            config
                .normalization
                .map_or("", InputNormalization::name)
                .into(),
            config.rewrite.to_string().into(),
            memory_limit
                .map_or(String::new(), |it| it.to_string())
                .into(),
        ];
        let plugins = plugins.iter().map(OsString::from);
        fields.into_iter().chain(plugins).collect()
    }

    /// Of arguments; none where they are those of another build.
    pub(super) fn from(fields: &[OsString]) -> Option<Self> {
        let [
            build,
            runtime,
            model,
            provider,
            device,
            precision,
            threads,
            normalization,
            rewrite,
            memory_limit,
            plugins @ ..,
        ] = fields
        else {
            return None;
        };
        // both are of the same build, or don't understand each other
        if build != BUILD {
            return None;
        }
        let text = |field: &OsStr| field.to_str().map(ToOwned::to_owned);
        let provider = text(provider)?;
        let (precision, normalization) = (text(precision)?, text(normalization)?);
        let config = Config {
            provider: ExecutionProvider::of_name(&provider)?,
            device: text(device)?,
            precision: match precision.as_str() {
                "" => None,
                name => Some(Precision::of_name(name)?),
            },
            threads: text(threads)?.parse().ok()?,
            normalization: match normalization.as_str() {
                "" => None,
                name => Some(InputNormalization::of_name(name)?),
            },
            rewrite: text(rewrite)?.parse().ok()?,
            ..Config::new(ModelSource::File(model.into()))
        };
        Some(Self {
            config,
            runtime: runtime.into(),
            memory_limit: match text(memory_limit)?.as_str() {
                "" => None,
                bytes => Some(bytes.parse().ok()?),
            },
            plugins: plugins.iter().map(PathBuf::from).collect(),
        })
    }

    /// What it is remembered by, with the hash of the model.
    pub(super) fn name(&self, model: [u8; 32]) -> String {
        let mut hash = blake3::Hasher::new();
        hash.update(&model);
        let mut fields = self.fields();
        // wherever the file lies, and whatever it may take: that is no part of what works
        fields[2].clear();
        fields[FIELDS - 1].clear();
        fingerprint::add_parts(
            &mut hash,
            fields.iter().map(|field| field.as_encoded_bytes()),
        );
        // others may have taken their place, or this be another CPU
        fingerprint::add_to(&mut hash, &self.runtime);
        for plugin in &self.plugins {
            fingerprint::add_library(&mut hash, plugin);
        }
        format!("tried-{}", &hash.finalize().to_hex()[..32])
    }
}

impl Answer {
    /// What follows [`BEGINS`].
    pub(super) fn bytes(&self) -> Vec<u8> {
        let (kind, texts) = match self {
            Self::NotBegun | Self::Died => return Vec::new(),
            Self::Works => ("works", vec![]),
            Self::Failed(Error::ModelInvalid { model, reason }) => ("invalid", vec![model, reason]),
            Self::Failed(Error::ModelUnsupported {
                model,
                found,
                wanted,
            }) => ("unsupported", vec![model, found, wanted]),
            Self::Failed(Error::Inference { size, reason }) => ("inference", vec![size, reason]),
            Self::Failed(_) | Self::Other => ("other", vec![]),
        };
        let mut bytes = [kind.as_bytes(), &[0]].concat();
        for text in texts {
            bytes.extend(text.bytes().filter(|&byte| byte != 0));
            bytes.push(0);
        }
        bytes
    }

    /// Of all that the other process has said.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let Some(said) = bytes.strip_prefix(BEGINS) else {
            return Self::NotBegun;
        };
        // whole texts only
        let mut texts = said
            .split_inclusive(|&byte| byte == 0)
            .filter_map(|text| text.strip_suffix(&[0]))
            .map(|text| String::from_utf8_lossy(text).into_owned());
        let kind = texts.next();
        let mut next = || texts.next().unwrap_or_default();
        match kind.as_deref() {
            Some("works") => Self::Works,
            Some("invalid") => Self::Failed(Error::ModelInvalid {
                model: next(),
                reason: next(),
            }),
            Some("unsupported") => Self::Failed(Error::ModelUnsupported {
                model: next(),
                found: next(),
                wanted: next(),
            }),
            Some("inference") => Self::Failed(Error::Inference {
                size: next(),
                reason: next(),
            }),
            Some("other") => Self::Other,
            _ => Self::Died,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_comes_over() {
        let config = Config {
            provider: ExecutionProvider::Openvino,
            device: "CPU".to_owned(),
            precision: Some(Precision::Bf16),
            threads: 3,
            normalization: Some(InputNormalization::Unit),
            rewrite: false,
            ..Config::new(ModelSource::File("models/a b\n\u{e9}.onnx".into()))
        };
        for config in [config, Config::new(ModelSource::File("m".into()))] {
            let runtime = Path::new("/lib/libonnxruntime.so");
            let limit = config.rewrite.then_some(12);
            let plugins = match limit {
                Some(_) => vec!["/lib/a:b.so".into(), "/lib/c.so".into()],
                None => Vec::new(),
            };
            let request = Request::of(&config, runtime, plugins, limit).unwrap();
            let mut fields = request.fields();
            assert_eq!(Request::from(&fields), Some(request.clone()));
            assert_eq!(Request::from(&fields[..FIELDS - 1]), None);
            // of another build
            fields[0].push("x");
            assert_eq!(Request::from(&fields), None);
            let name = request.name([1; 32]);
            assert_ne!(name, request.name([2; 32]));
        }
        assert!(
            Request::of(
                &Config::new(ModelSource::Builtin),
                Path::new("/lib"),
                Vec::new(),
                None
            )
            .is_none()
        );
    }

    #[test]
    fn an_answer_comes_over() {
        let over = |answer: &Answer| Answer::of(&[BEGINS, &answer.bytes()].concat());
        let error = Error::ModelUnsupported {
            model: "m".to_owned(),
            found: "a\0b".to_owned(),
            wanted: String::new(),
        };
        match over(&Answer::Failed(error)) {
            Answer::Failed(Error::ModelUnsupported { model, found, .. }) => {
                assert_eq!((model.as_str(), found.as_str()), ("m", "ab"));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(over(&Answer::Works), Answer::Works));
        let other = Answer::Failed(Error::Cancelled);
        assert!(matches!(over(&other), Answer::Other));
        // it has said nothing, or not all
        assert!(matches!(Answer::of(b""), Answer::NotBegun));
        assert!(matches!(Answer::of(BEGINS), Answer::Died));
        assert!(matches!(Answer::of(b"begins\0wor"), Answer::Died));
    }
}
