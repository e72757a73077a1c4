//! What opening a model has found out by running it, kept for the next start: the sizes and the output, whether its graph
//! is run rewritten, whether less than fp32 gives the depth of fp32.
//!
//! It is kept by all that it hangs on: the content of the model, the options, and what [`fingerprint`] tells of the
//! machine; beside compiled engines, in the same folder of this user's own ([`Cache::note`]). What is damaged, or does not
//! fit the session, counts for nothing, and is found out again.

use serde_json::{Value, json};

use super::{Graph, Profile, SessionNetwork, Setup, agreement, fusion, threads};
use crate::error::Error;
use crate::geometry::Size;
use crate::inference::backend::{InputSize, MemoryDomain};
use crate::inference::onnx::cache::Cache;
use crate::inference::onnx::ep::{self, Source};
use crate::inference::onnx::{fingerprint, isolated, opening};
use crate::model::MAX_FIXED_PIXELS;

/// Words for arithmetic that there are.
const PRECISIONS: [&str; 5] = ["fp32", "fp16", "bf16", "int8", "unknown"];
/// Sides of a patch, at most.
const MAX_PATCH: u32 = 64;

/// What opening a model came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Finding {
    /// It works, and so.
    Works(Settled),
    /// In this precision its depth is not that of fp32: why.
    Refused(String),
}

/// What trial runs have settled of a network that works.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settled {
    /// Its graph is run rewritten.
    rewritten: bool,
    input_size: InputSize,
    patch: u32,
    batch: Option<usize>,
    /// Index and name of its depth among the outputs.
    depth: (usize, String),
    precision: &'static str,
    placement: Option<String>,
    notes: Vec<String>,
}

/// Where a finding is kept; `None`: it is not.
pub(super) struct Record(Option<(Cache, String)>);

impl Record {
    /// Of what `setup` comes to. On a device it hangs on more than is known here: its driver, what else it is used for. And
    /// who tries a model for another process has to try it.
    pub(super) fn of(setup: Setup<'_>) -> Self {
        let on_host = setup.capabilities().memory == MemoryDomain::Host;
        if !on_host || isolated::is_child() {
            return Self(None);
        }
        let cache = Cache::new(setup.config.engine_cache.as_deref());
        Self(name(setup).map(|name| (cache, name)))
    }

    /// What was found out before.
    pub(super) fn read(&self) -> Option<Finding> {
        let (cache, name) = self.0.as_ref()?;
        Finding::of(&cache.note(name)?)
    }

    /// It is refused for this reason: keeps that, and gives the error.
    pub(super) fn refuse(&self, setup: Setup<'_>, reason: String) -> Error {
        self.write(&Finding::Refused(reason.clone()));
        agreement::refused(setup, reason)
    }

    /// Keeps what was found out, where that can be.
    pub(super) fn write(&self, finding: &Finding) {
        if let Some((cache, name)) = &self.0 {
            cache.keep_note(name, &finding.text());
        }
    }
}

/// The name that the finding of `setup` is kept under; `None`: there is nothing to be found out.
fn name(setup: Setup<'_>) -> Option<String> {
    let config = setup.config;
    let threads = threads(config.threads);
    let provider = (setup.provider, Source::BuiltIn);
    let registrations = ep::registrations(provider, setup.precision, config, threads, None).ok()?;
    let normalization = config.normalization.map(|it| it.name());
    let mut hash = blake3::Hasher::new();
    hash.update(&setup.model.digest());
    fingerprint::add_parts(
        &mut hash,
        [
            setup.model.length().to_string().as_str(),
            setup.provider.name(),
            setup.precision.name(),
            // what was named is judged otherwise than what `auto` takes
            config.precision.map_or("", |it| it.name()),
            &config.device,
            &threads.to_string(),
            normalization.unwrap_or(""),
            &config.rewrite.to_string(),
            &format!("{registrations:?}"),
        ]
        .map(str::as_bytes),
    );
    fingerprint::add_to(&mut hash, setup.runtime.path());
    if let Source::Plugin(plugin) = setup.source {
        fingerprint::add_library(&mut hash, plugin.file());
    }
    Some(format!("settled-{}", &hash.finalize().to_hex()[..32]))
}

impl Finding {
    /// As it is kept.
    fn text(&self) -> String {
        let value = match self {
            Self::Refused(reason) => json!({ "refused": reason }),
            Self::Works(settled) => json!({
                "rewritten": settled.rewritten,
                "size": match settled.input_size {
                    InputSize::Any => Value::Null,
                    InputSize::Fixed(size) => json!([size.width, size.height]),
                },
                "patch": settled.patch,
                "batch": settled.batch,
                "depth": settled.depth.0,
                "output": settled.depth.1,
                "precision": settled.precision,
                "placement": settled.placement,
                "notes": settled.notes,
            }),
        };
        value.to_string()
    }

    /// Of a text that was kept; none where it is another's.
    fn of(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        if let Some(reason) = value.get("refused") {
            return Some(Self::Refused(reason.as_str()?.to_owned()));
        }
        let number = |value: &Value| value.as_u64().and_then(|it| u32::try_from(it).ok());
        // what is missing is null as well, and none of these may be
        let or_null = |name: &str| {
            value
                .get(name)
                .map(|it| Some(it).filter(|it| !it.is_null()))
        };
        let input_size = match or_null("size")? {
            None => InputSize::Any,
            Some(sides) => match sides.as_array()?.as_slice() {
                [width, height] => InputSize::Fixed(Size::new(number(width)?, number(height)?)),
                _ => return None,
            },
        };
        let batch = match or_null("batch")? {
            None => None,
            Some(batch) => Some(usize::try_from(batch.as_u64()?).ok()?),
        };
        let placement = match or_null("placement")? {
            None => None,
            Some(text) => Some(text.as_str()?.to_owned()),
        };
        let precision = value.get("precision")?.as_str()?;
        let notes = value.get("notes")?.as_array()?.iter();
        Some(Self::Works(Settled {
            rewritten: value.get("rewritten")?.as_bool()?,
            input_size,
            patch: number(value.get("patch")?)?,
            batch,
            depth: (
                number(value.get("depth")?)? as usize,
                value.get("output")?.as_str()?.to_owned(),
            ),
            precision: PRECISIONS.into_iter().find(|it| *it == precision)?,
            placement,
            notes: notes
                .map(|note| note.as_str().map(str::to_owned))
                .collect::<Option<_>>()?,
        }))
    }
}

impl SessionNetwork {
    /// Opens the model as it was found to work before; `None`: that does not fit it, or what it is to be tried for.
    ///
    /// # Errors
    /// Those of loading it.
    pub(super) fn open_settled(setup: Setup<'_>, settled: &Settled) -> Result<Option<Self>, Error> {
        // whether the one size that there is stays within a limit shows when it is tried
        let fixed = matches!(settled.input_size, InputSize::Fixed(_));
        if fixed && opening::has_memory_limit() {
            return Ok(None);
        }
        let graph = match settled.rewritten {
            true => fusion::rewritten(setup),
            false => Some((Graph::of(setup.model), 0)),
        };
        let Some((graph, attentions)) = graph else {
            return Ok(None);
        };
        let mut network = Self::prepare(setup, &graph, &Profile::none())?.0;
        if !network.allows(settled) {
            return Ok(None);
        }
        network.select(settled.depth.0, setup.provider)?;
        network.interpret(setup.facts);
        network.rewritten = settled.rewritten;
        let description = &mut network.description;
        description.input_size = settled.input_size;
        description.patch = settled.patch;
        description.batch = settled.batch;
        description.precision = settled.precision.to_owned();
        description.placement.clone_from(&settled.placement);
        description.notes.clone_from(&settled.notes);
        description.fused_attentions = attentions;
        Ok(Some(network))
    }

    /// Whether trial runs can have settled that of this network.
    fn allows(&self, settled: &Settled) -> bool {
        let description = &self.description;
        let (depth, output) = &settled.depth;
        let images = settled.batch.unwrap_or(1) as u64;
        let size_fits = match (description.input_size, settled.input_size) {
            (InputSize::Any, InputSize::Any) => true,
            (InputSize::Any, InputSize::Fixed(size)) => {
                let pixels = images.saturating_mul(size.area() as u64);
                (1..=MAX_FIXED_PIXELS).contains(&pixels)
            }
            (before, after) => before == after,
        };
        let batch_fits = match (description.batch, settled.batch) {
            (None, Some(batch)) => batch == 1,
            (before, after) => before == after,
        };
        let output_fits = self
            .outputs
            .get(*depth)
            .is_some_and(|info| info.name == *output);
        size_fits && batch_fits && output_fits && (1..=MAX_PATCH).contains(&settled.patch)
    }

    /// What trial runs have settled of it; `None`: something that is not so every time, such as want of memory, had a say.
    pub(super) fn finding(&self) -> Option<Finding> {
        let description = &self.description;
        let precision = description.precision.as_str();
        (!self.is_makeshift).then_some(())?;
        Some(Finding::Works(Settled {
            rewritten: self.rewritten,
            input_size: description.input_size,
            patch: description.patch,
            batch: description.batch,
            depth: (self.depth, self.outputs.get(self.depth)?.name.clone()),
            precision: PRECISIONS.into_iter().find(|it| *it == precision)?,
            placement: description.placement.clone(),
            notes: description.notes.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::inference::Config;
    use crate::inference::backend::{DepthMaps, Images, Network as _};
    use crate::inference::onnx::ep::ExecutionProvider;
    use crate::inference::onnx::precision::Precision;
    use crate::inference::onnx::runtime::{self, Runtime};
    use crate::inference::onnx::session::trial::picture;
    use crate::model::{Budget, Model, ModelSource};

    struct Bench {
        runtime: &'static Runtime,
        folder: tempfile::TempDir,
        config: Config,
        model: Model,
    }

    impl Bench {
        fn new(model: &str) -> Self {
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            let folder = tempfile::tempdir().unwrap();
            let source = ModelSource::File(root.join("tests/models").join(model));
            let config = Config {
                provider: ExecutionProvider::Cpu,
                engine_cache: Some(folder.path().to_owned()),
                threads: 1,
                ..Config::new(source)
            };
            Self {
                runtime: runtime::for_tests(),
                model: Model::read(&config.model, &Budget::default()).unwrap(),
                config,
                folder,
            }
        }

        fn setup(&self) -> Setup<'_> {
            Setup {
                runtime: self.runtime,
                config: &self.config,
                model: &self.model,
                facts: self.model.facts(),
                provider: ExecutionProvider::Cpu,
                source: Source::BuiltIn,
                precision: Precision::Fp32,
                engine: None,
                brief: false,
            }
        }

        fn open(&self) -> SessionNetwork {
            SessionNetwork::open(self.setup()).unwrap()
        }

        fn settled(&self) -> Settled {
            match Record::of(self.setup()).read() {
                Some(Finding::Works(settled)) => settled,
                other => panic!("{other:?}"),
            }
        }

        fn write(&self, settled: &Settled) {
            Record::of(self.setup()).write(&Finding::Works(settled.clone()));
        }

        /// Whether the next start takes what is kept: that has a sentence in it by which it is known.
        fn is_taken(&self) -> bool {
            let notes = self.open().description.notes;
            notes.iter().any(|note| note == SENTENCE)
        }

        /// The one file that is kept.
        fn file(&self) -> PathBuf {
            let folder = std::fs::read_dir(self.folder.path()).unwrap().next();
            let mut files = std::fs::read_dir(folder.unwrap().unwrap().path()).unwrap();
            let file = files.next().unwrap().unwrap().path();
            assert!(files.next().is_none());
            file
        }
    }

    const SENTENCE: &str = "found out before";

    fn depth(network: &mut SessionNetwork) -> Vec<f32> {
        let size = match network.description.input_size {
            InputSize::Any => Size::new(84, 56),
            InputSize::Fixed(size) => size,
        };
        let values = picture(1, size, network.description.normalization).unwrap();
        let images = Images {
            values: &values,
            batch: 1,
            size,
        };
        let mut depth = DepthMaps::default();
        network.run(images, &mut depth).unwrap();
        depth.values
    }

    #[test]
    fn a_finding_is_read_as_it_was_written() {
        let settled = Settled {
            rewritten: true,
            input_size: InputSize::Fixed(Size::new(518, 392)),
            patch: 14,
            batch: Some(1),
            depth: (2, "depth \"\u{e9}\"\n".to_owned()),
            precision: "bf16",
            placement: Some("all of it".to_owned()),
            notes: vec!["a".to_owned(), "b".to_owned()],
        };
        let open = Settled {
            input_size: InputSize::Any,
            batch: None,
            placement: None,
            notes: Vec::new(),
            ..settled.clone()
        };
        for finding in [
            Finding::Works(settled),
            Finding::Works(open),
            Finding::Refused("so".to_owned()),
        ] {
            let text = finding.text();
            assert_eq!(Finding::of(&text), Some(finding));
            // what is left out is not taken for nothing
            let value: Value = serde_json::from_str(&text).unwrap();
            for name in value.as_object().unwrap().keys() {
                let mut less = value.clone();
                less.as_object_mut().unwrap().remove(name);
                assert_eq!(Finding::of(&less.to_string()), None, "{name}");
            }
        }
        for odd in ["", "{}", "[]", "7", r#"{"refused":7}"#] {
            assert_eq!(Finding::of(odd), None, "{odd}");
        }
    }

    #[test]
    fn what_was_found_out_is_not_found_out_again() {
        for model in [
            "attention/transformers-eager.onnx",
            // settled by runs: which output, which size
            "trial-settles.onnx",
            "false-dynamic.onnx",
        ] {
            let bench = Bench::new(model);
            let mut first = bench.open();
            let mut settled = bench.settled();
            assert_eq!(settled.rewritten, first.rewritten);
            settled.notes.push(SENTENCE.to_owned());
            bench.write(&settled);
            let mut again = bench.open();
            assert_eq!(again.description.notes.pop().as_deref(), Some(SENTENCE));
            let [first_is, again_is] =
                [&first, &again].map(|network| format!("{:?}", network.description));
            assert_eq!(first_is, again_is, "{model}");
            assert_eq!(depth(&mut first), depth(&mut again), "{model}");
        }
    }

    #[test]
    fn what_is_damaged_or_foreign_or_does_not_fit_counts_for_nothing() {
        let bench = Bench::new("pixel-values.onnx");
        bench.open();
        let mut settled = bench.settled();
        settled.notes.push(SENTENCE.to_owned());
        bench.write(&settled);
        assert!(bench.is_taken());

        let file = bench.file();
        let sound = std::fs::read(&file).unwrap();
        let at = sound.len() - 20;
        let mut damaged = sound.clone();
        damaged[at] ^= 1;
        for bytes in [&damaged[..], &sound[..at], &[], &vec![b'a'; 1 << 20]] {
            std::fs::write(&file, bytes).unwrap();
            assert!(!bench.is_taken(), "{} bytes", bytes.len());
            assert!(bench.settled().notes.is_empty(), "it was found out again");
        }
        // of another name, which is of another model, CPU, …
        let elsewhere = bench.folder.path().join("settled-elsewhere");
        std::fs::write(&elsewhere, &sound).unwrap();
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        assert!(!bench.is_taken(), "a link");
        let root = file.parent().unwrap().to_owned();
        let text = String::from_utf8(sound.clone()).unwrap();
        let other = text.split_once('\n').unwrap().1;
        let cache = Cache::new(Some(bench.folder.path()));
        cache.keep_note("settled-other", other);
        std::fs::rename(root.join("settled-other"), &file).unwrap();
        assert!(!bench.is_taken(), "moved");

        // of no session of this model
        for unfit in [
            Settled {
                depth: (7, settled.depth.1.clone()),
                ..settled.clone()
            },
            Settled {
                depth: (settled.depth.0, "another".to_owned()),
                ..settled.clone()
            },
            Settled {
                batch: Some(2),
                ..settled.clone()
            },
            Settled {
                patch: 0,
                ..settled.clone()
            },
            Settled {
                input_size: InputSize::Fixed(Size::new(1 << 20, 1 << 20)),
                ..settled.clone()
            },
            Settled {
                rewritten: true,
                ..settled.clone()
            },
        ] {
            bench.write(&unfit);
            assert!(!bench.is_taken(), "{unfit:?}");
        }
    }

    #[test]
    fn a_refusal_is_remembered_and_each_way_to_run_it_has_its_own() {
        let bench = Bench::new("pixel-values.onnx");
        let record = Record::of(bench.setup());
        record.write(&Finding::Refused("it is another depth".to_owned()));
        let error = SessionNetwork::open(bench.setup()).err().expect("refused");
        assert!(matches!(&error, Error::Provider { .. }), "{error}");
        assert!(error.to_string().contains("another depth"), "{error}");

        let named = name(bench.setup());
        let config = |change: &dyn Fn(&mut Config)| {
            let mut config = bench.config.clone();
            change(&mut config);
            config
        };
        for config in [
            config(&|it| it.threads = 2),
            config(&|it| it.rewrite = false),
            config(&|it| it.precision = Some(Precision::Fp32)),
            config(&|it| it.normalization = Some(crate::model::InputNormalization::Unit)),
        ] {
            let setup = Setup {
                config: &config,
                ..bench.setup()
            };
            assert_ne!(named, name(setup), "{config:?}");
        }
        let other = Bench::new("image-depth.onnx");
        let setup = Setup {
            model: &other.model,
            ..bench.setup()
        };
        assert_ne!(named, name(setup));
        let setup = Setup {
            precision: Precision::Bf16,
            ..bench.setup()
        };
        assert_ne!(named, name(setup));
        assert_eq!(named, name(bench.setup()));
    }
}
