//! Whether faster arithmetic gives the depth that fp32 gives.

use super::comparison::{Difference, Picture};
use super::{SessionNetwork, Setup, fusion};
use crate::error::Error;
use crate::inference::onnx::precision::Precision;

/// In patches: large enough for sums to grow as in use, small enough to be quick on a CPU.
const COMPARED_AT: (u32, u32) = (18, 13);
/// Least correlation of the two depth maps. bf16 keeps 0.9999 and more of Depth Anything's.
const LEAST_CORRELATION: f64 = 0.99;
/// Largest mean difference, in units of the range of the fp32 map: what correlation does not see, a scale or shift,
/// counts for metric depth.
const MEAN_TOLERANCE: f64 = 0.03;
/// Two implementations of fp32 differ by less than this part of the range, bf16 and fp16 by more.
const ROUNDING: f64 = 2e-5;

/// Two implementations of fp32 on the same sums, in whatever order, differ by less than this part of the range; TF32 and
/// bf16 by more.
const FULL_PRECISION: f64 = 2e-4;

/// Sees whether `network`, which was asked for fp32, computes in it, or why it is refused.
///
/// # Errors
/// As those of [`compare`].
pub(super) fn compare_full(
    setup: Setup<'_>,
    network: &mut SessionNetwork,
) -> Result<Result<(), String>, Error> {
    // those compute in what they were made for
    if setup.facts.half_precision || setup.facts.computes_in_integers() {
        return Ok(Ok(()));
    }
    let (found, expected) = both(setup, network)?;
    let expected = match expected {
        // the cpu can't run it at that size, which tells nothing of the provider
        Err(Error::Inference { .. }) => return Ok(Ok(())),
        expected => expected?,
    };
    let failed = |reason: String| Err(format!("asked for fp32, {reason}"));
    Ok(match agreement(&expected, &found) {
        Err(reason) => failed(format!("its depth is not that of the cpu: {reason}")),
        Ok(Some(difference)) if difference > FULL_PRECISION => failed(format!(
            "it computes in less: its depth departs from that of the cpu by {difference:.1e} of the range"
        )),
        Ok(_) => Ok(()),
    })
}

/// Depth of a picture, or why there is none.
type Outcome = Result<Vec<f32>, Error>;

/// The depth of one picture by `network`, and by fp32 on the CPU.
fn both(setup: Setup<'_>, network: &mut SessionNetwork) -> Result<(Vec<f32>, Outcome), Error> {
    let picture = Picture::new(&network.description, COMPARED_AT, 1)?;
    let found = picture.depth(network)?;
    let mut reference = fusion::open_reference(setup, network)?;
    Ok((found, picture.depth(&mut reference)))
}

/// As [`compare`].
///
/// # Errors
/// As [`compare`], and [`Error::Provider`] when it is refused.
pub(super) fn check(setup: Setup<'_>, network: &mut SessionNetwork) -> Result<&'static str, Error> {
    compare(setup, network)?.map_err(|reason| refused(setup, reason))
}

/// The error of a network that is refused for this reason.
pub(super) fn refused(setup: Setup<'_>, reason: String) -> Error {
    Error::Provider {
        provider: setup.provider.name().to_owned(),
        reason,
    }
}

/// Compares `network` with fp32 on the CPU on one picture. Gives the precision that it really computes with, or why it is
/// refused: its depth is another, or a named precision is not what it computes with.
///
/// # Errors
/// Those of runs, and of loading the model for the CPU.
pub(super) fn compare(
    setup: Setup<'_>,
    network: &mut SessionNetwork,
) -> Result<Result<&'static str, String>, Error> {
    let asked = setup.precision;
    let told = match network.description.precision.as_str() {
        name if name == asked.name() => asked.name(),
        "int8" => "int8",
        _ => "unknown",
    };
    let (found, expected) = both(setup, network)?;
    let expected = expected?;
    Ok(match agreement(&expected, &found) {
        Err(reason) => Err(format!(
            "in {asked} its depth is not that of fp32: {reason}"
        )),
        Ok(Some(difference)) if difference < ROUNDING && !setup.facts.half_precision => {
            match setup.config.precision {
                Some(_) => Err(format!(
                    "it takes {asked} and computes in fp32 all the same; leave `precision` at auto"
                )),
                None => Ok(Precision::Fp32.name()),
            }
        }
        Ok(_) => Ok(told),
    })
}

/// The largest difference in units of the range of `expected`; `None` where that is flat. In words when the two are not
/// the same depth.
fn agreement(expected: &[f32], found: &[f32]) -> Result<Option<f64>, String> {
    if expected.len() != found.len() {
        return Err(format!(
            "{} values instead of {}",
            found.len(),
            expected.len()
        ));
    }
    let difference = Difference::of(expected, found);
    if difference.lost > 0 {
        return Err(format!(
            "{} of {} values are NaN or infinite",
            difference.lost,
            found.len()
        ));
    }
    let (range, magnitude) = (difference.range(), difference.magnitude());
    // a flat map has nothing to correlate
    if range <= 1e-4 * magnitude {
        return match difference.largest <= 0.02 * magnitude {
            true => Ok(None),
            false => Err(format!("it should be {:.4} everywhere", difference.most)),
        };
    }
    let (variance, variance_found) = (difference.variance, difference.variance_found);
    if variance_found <= 1e-6 * variance {
        return Err("it is the same everywhere".to_owned());
    }
    let correlation = difference.covariance / (variance * variance_found).sqrt();
    if correlation < LEAST_CORRELATION {
        return Err(format!("the two correlate by {correlation:.4} only"));
    }
    let mean = difference.mean / range;
    if mean > MEAN_TOLERANCE {
        return Err(format!("it differs by {:.1} % of the range", 100.0 * mean));
    }
    Ok(Some(difference.largest / range))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::Config;
    use crate::inference::onnx::ep::{ExecutionProvider, Source};
    use crate::inference::onnx::session::Graph;
    use crate::inference::onnx::{precision, runtime};
    use crate::model::{Budget, Model, ModelSource};

    /// As if the plugin did not know the option that says so.
    #[test]
    fn less_than_fp32_does_not_pass_for_it() {
        let runtime = runtime::for_tests();
        let source = match Source::find(ExecutionProvider::Openvino, runtime) {
            Ok(Some(source)) if source.is_plugin() && precision::cpu_has_bf16() => source,
            _ => {
                println!("left out: no OpenVINO plugin here, or a CPU without bf16");
                return;
            }
        };
        let config = Config::new(ModelSource::Builtin);
        let model = Model::read(&config.model, &Budget::default()).expect("the built-in model");
        let setup = |precision| Setup {
            runtime,
            config: &config,
            model: &model,
            facts: model.facts(),
            provider: ExecutionProvider::Openvino,
            source,
            precision,
            engine: None,
            brief: false,
        };
        let open = |precision| {
            SessionNetwork::open_graph(setup(precision), &Graph::of(&model)).expect("a network")
        };
        let fp32 = setup(Precision::Fp32);
        let compare = |precision| compare_full(fp32, &mut open(precision)).expect("two runs");
        compare(Precision::Fp32).expect("fp32");
        let reason = compare(Precision::Bf16).expect_err("bf16");
        assert!(reason.contains("it computes in less"), "{reason}");
    }

    fn map(value: impl Fn(f32) -> f32) -> Vec<f32> {
        (0..100).map(|index| value(index as f32 / 10.0)).collect()
    }

    #[track_caller]
    fn differs(found: &[f32], words: &str) {
        let reason = agreement(&map(|x| x), found).expect_err("another depth");
        assert!(reason.contains(words), "{reason}");
    }

    #[test]
    fn the_same_depth() {
        let expected = map(|x| x);
        assert_eq!(agreement(&expected, &expected), Ok(Some(0.0)));
        let rounded = map(|x| half::bf16::from_f32(x).to_f32());
        let difference = agreement(&expected, &rounded).unwrap().unwrap();
        assert!((1e-4..1e-2).contains(&difference), "{difference}");
        // where fp32 has no number, anything goes
        let mut unknown = expected.clone();
        unknown[7] = f32::NAN;
        assert_eq!(agreement(&unknown, &expected), Ok(Some(0.0)));
        // flat in both
        assert_eq!(agreement(&[5.0; 9], &[5.01; 9]), Ok(None));
        assert!(agreement(&[5.0; 9], &[7.0; 9]).is_err());
    }

    #[test]
    fn another_depth() {
        let mut lost = map(|x| x);
        lost[3] = f32::INFINITY;
        differs(&lost, "1 of 100 values are NaN");
        differs(&[0.0; 100], "the same everywhere");
        differs(&map(|x| -x), "correlate by -1.0000");
        differs(&map(|x| (7.0 * x).sin()), "correlate by");
        differs(&map(|x| 1.2 * x), "% of the range");
        differs(&[0.0; 99], "99 values instead of 100");
    }
}
