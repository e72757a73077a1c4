//! Which providers and precisions are tried for a model, in which order.

use super::{AUTO, Ask, ExecutionProvider};
use crate::error::{Error, Setting};
use crate::inference::onnx::precision::Precision;
use crate::model::ModelFacts;

/// One way to run a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::inference::onnx) struct Attempt {
    pub(in crate::inference::onnx) provider: ExecutionProvider,
    pub(in crate::inference::onnx) precision: Precision,
}

/// What has to be known to choose.
#[derive(Debug, Clone, Copy)]
pub(in crate::inference::onnx) struct Choice<'a> {
    /// The provider asked for.
    pub(in crate::inference::onnx) provider: ExecutionProvider,
    /// The precision asked for; `None`: the fastest that passes the check.
    pub(in crate::inference::onnx) precision: Option<Precision>,
    /// The provider's device asked for.
    pub(in crate::inference::onnx) device: &'a str,
    /// The model.
    pub(in crate::inference::onnx) facts: &'a ModelFacts,
    /// Whether this machine's CPU multiplies bf16.
    pub(in crate::inference::onnx) cpu_has_bf16: bool,
}

impl Choice<'_> {
    /// What to try, fastest first (`benches/results/precision.md`); of the providers `available` alone.
    ///
    /// # Errors
    /// [`Error::Setting`] when none of them gives the precision asked for.
    pub(in crate::inference::onnx) fn attempts(
        &self,
        available: &[ExecutionProvider],
    ) -> Result<Vec<Attempt>, Error> {
        let mut order = match self.provider {
            ExecutionProvider::Auto => AUTO.to_vec(),
            named => vec![named],
        };
        order.retain(|provider| available.contains(provider));
        let mut attempts = Vec::new();
        let mut refusals = Vec::new();
        for &provider in &order {
            match self.precisions(provider) {
                Ok(precisions) => {
                    attempts.extend(precisions.into_iter().map(|precision| Attempt {
                        provider,
                        precision,
                    }));
                }
                Err(reason) => refusals.push(reason),
            }
        }
        if attempts.is_empty()
            && let Some(reason) = refusals.pop()
        {
            return Err(Error::Setting {
                setting: Setting::Precision,
                reason,
            });
        }
        Ok(attempts)
    }

    /// The precisions to try with `provider`, fastest first, or why it does not give the one asked for.
    fn precisions(&self, provider: ExecutionProvider) -> Result<Vec<Precision>, String> {
        let (given, otherwise) = self.given(provider);
        match self.precision {
            None => Ok(given),
            Some(wanted) if given.contains(&wanted) => Ok(vec![wanted]),
            Some(wanted) => Err(format!("{wanted} is not available here: {otherwise}")),
        }
    }

    /// The precisions that `provider` gives with this model on this machine, fastest first, and why no others.
    fn given(&self, provider: ExecutionProvider) -> (Vec<Precision>, String) {
        if self.facts.computes_in_integers() {
            return (
                vec![Precision::Fp32],
                "this model computes in 8-bit integers, and in fp32 what is left; leave `precision` at auto".into(),
            );
        }
        let ask = Ask {
            precision: self.precision,
            device: self.device,
            facts: self.facts,
            cpu_has_bf16: self.cpu_has_bf16,
        };
        match provider.provider() {
            Some(provider) => provider.precisions(&ask),
            None => (vec![Precision::Fp32], String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ExecutionProvider::{Auto, Cpu, Cuda, Openvino, Tensorrt};
    use Precision::{Bf16, Fp16, Fp32};

    use super::*;
    use crate::model::{ModelSource, inspect};

    fn facts() -> ModelFacts {
        inspect(&ModelSource::Builtin).expect("the built-in model")
    }

    fn choice(facts: &ModelFacts) -> Choice<'_> {
        Choice {
            provider: Auto,
            precision: None,
            device: "",
            facts,
            cpu_has_bf16: true,
        }
    }

    #[track_caller]
    fn tries(choice: Choice<'_>, expected: &[(ExecutionProvider, Precision)]) {
        let attempts = choice.attempts(&AUTO).expect("attempts");
        let found: Vec<_> = attempts
            .iter()
            .map(|attempt| (attempt.provider, attempt.precision))
            .collect();
        assert_eq!(found, expected);
    }

    #[track_caller]
    fn refuses(choice: Choice<'_>, words: &str) {
        match choice.attempts(&AUTO) {
            Err(Error::Setting { setting, reason }) => {
                assert_eq!(setting, Setting::Precision);
                assert!(reason.contains(words), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn auto_tries_the_fastest_first() {
        let facts = facts();
        let choice = choice(&facts);
        let gpu = [
            (Tensorrt, Fp16),
            (Tensorrt, Fp32),
            (Cuda, Fp16),
            (Cuda, Fp32),
        ];
        tries(
            choice,
            &[&gpu[..], &[(Openvino, Bf16), (Openvino, Fp32), (Cpu, Fp32)]].concat(),
        );
        tries(
            Choice {
                cpu_has_bf16: false,
                ..choice
            },
            &[&gpu[..], &[(Openvino, Fp32), (Cpu, Fp32)]].concat(),
        );
        tries(
            Choice {
                device: "GPU.0",
                ..choice
            },
            &[&gpu[..], &[(Openvino, Fp16), (Openvino, Fp32), (Cpu, Fp32)]].concat(),
        );
    }

    #[test]
    fn what_is_not_there_is_not_tried() {
        let facts = facts();
        let attempts = choice(&facts).attempts(&[Cpu]).expect("attempts");
        assert_eq!(
            attempts,
            [Attempt {
                provider: Cpu,
                precision: Fp32
            }]
        );
    }

    #[test]
    fn a_named_precision_is_the_only_one() {
        let facts = facts();
        let named = |provider, precision| Choice {
            provider,
            precision: Some(precision),
            ..choice(&facts)
        };
        tries(named(Auto, Bf16), &[(Openvino, Bf16)]);
        tries(named(Auto, Fp16), &[(Tensorrt, Fp16), (Cuda, Fp16)]);
        tries(
            named(Auto, Fp32),
            &[
                (Tensorrt, Fp32),
                (Cuda, Fp32),
                (Openvino, Fp32),
                (Cpu, Fp32),
            ],
        );
        tries(named(Openvino, Bf16), &[(Openvino, Bf16)]);
        tries(
            Choice {
                device: "gpu.1",
                ..named(Openvino, Fp16)
            },
            &[(Openvino, Fp16)],
        );
        refuses(named(Cpu, Bf16), "the cpu provider computes in fp32");
        refuses(named(Openvino, Fp16), "bf16 and fp32");
        refuses(named(Cuda, Bf16), "the cuda provider gives fp16 and fp32");
        refuses(
            Choice {
                cpu_has_bf16: false,
                ..named(Openvino, Bf16)
            },
            "this CPU has no instructions for bf16",
        );
        refuses(
            Choice {
                device: "AUTO:GPU,CPU",
                ..named(Openvino, Fp16)
            },
            "chooses its arithmetic itself",
        );
    }

    #[test]
    fn models_of_less_keep_to_it() {
        let half = ModelFacts {
            half_precision: true,
            ..facts()
        };
        let cuda = Choice {
            provider: Cuda,
            ..choice(&half)
        };
        tries(cuda, &[(Cuda, Fp16)]);
        refuses(
            Choice {
                precision: Some(Fp32),
                ..cuda
            },
            "this model is fp16 itself",
        );
        // the CPU computes in fp32 all the same
        tries(
            Choice {
                provider: Openvino,
                ..choice(&half)
            },
            &[(Openvino, Bf16), (Openvino, Fp32)],
        );
        let integers = ModelFacts {
            quantized: true,
            ..facts()
        };
        tries(
            Choice {
                provider: Openvino,
                ..choice(&integers)
            },
            &[(Openvino, Fp32)],
        );
        refuses(
            Choice {
                precision: Some(Bf16),
                ..choice(&integers)
            },
            "8-bit integers",
        );
    }
}
