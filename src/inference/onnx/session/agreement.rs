//! Whether faster arithmetic gives the depth that fp32 gives.

use super::trial::picture;
use super::{SessionNetwork, Setup, fusion};
use crate::error::Error;
use crate::geometry::Size;
use crate::inference::backend::{DepthMaps, Images, InputSize, Network as _};
use crate::inference::onnx::ep::ExecutionProvider;
use crate::inference::onnx::opening;
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

/// Compares `network` with fp32 on the CPU on one picture. Gives the precision that it really computes with.
///
/// # Errors
/// [`Error::Provider`] when its depth is another, or when a named precision is not what it computes with.
pub(super) fn check(setup: Setup<'_>, network: &mut SessionNetwork) -> Result<&'static str, Error> {
    let description = &network.description;
    let (columns, rows) = COMPARED_AT;
    let size = match description.input_size {
        InputSize::Any => Size::new(columns * description.patch, rows * description.patch),
        InputSize::Fixed(size) => size,
    };
    let asked = setup.precision;
    let told = match description.precision.as_str() {
        name if name == asked.name() => asked.name(),
        "int8" => "int8",
        _ => "unknown",
    };
    let values = picture(1, size, description.normalization)?;
    let images = Images {
        values: &values,
        batch: 1,
        size,
    };
    let only = matches!(description.input_size, InputSize::Fixed(_));
    opening::trial(size, 2, description.patch, only);
    let [mut expected, mut found] = [DepthMaps::default(), DepthMaps::default()];
    network.run(images, &mut found)?;
    let mut reference = fusion::open(Setup {
        provider: ExecutionProvider::Cpu,
        precision: Precision::Fp32,
        config: &setup.config.on_any_cpu(),
        ..setup
    })?;
    reference.run(images, &mut expected)?;
    drop(reference);

    let failed = |reason| Error::Provider {
        provider: setup.provider.name().to_owned(),
        reason,
    };
    match agreement(&expected.values, &found.values) {
        Err(reason) => Err(failed(format!(
            "in {asked} its depth is not that of fp32: {reason}"
        ))),
        Ok(Some(difference)) if difference < ROUNDING && !setup.facts.half_precision => {
            match setup.config.precision {
                Some(_) => Err(failed(format!(
                    "it takes {asked} and computes in fp32 all the same; leave `precision` at auto"
                ))),
                None => Ok(Precision::Fp32.name()),
            }
        }
        Ok(_) => Ok(told),
    }
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
    let lost = |&(expected, found): &(&f32, &f32)| expected.is_finite() && !found.is_finite();
    let lost = std::iter::zip(expected, found).filter(lost).count();
    if lost > 0 {
        return Err(format!(
            "{lost} of {} values are NaN or infinite",
            found.len()
        ));
    }
    let pairs: Vec<(f64, f64)> = std::iter::zip(expected, found)
        .filter(|(expected, _)| expected.is_finite())
        .map(|(&expected, &found)| (f64::from(expected), f64::from(found)))
        .collect();
    let count = pairs.len().max(1) as f64;
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
    let (low, high) = pairs
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), pair| {
            (low.min(pair.0), high.max(pair.0))
        });
    let range = high - low;
    let magnitude = low.abs().max(high.abs());
    let largest = pairs
        .iter()
        .map(|(expected, found)| (expected - found).abs())
        .fold(0.0, f64::max);
    // a flat map has nothing to correlate
    if pairs.is_empty() || range <= 1e-4 * magnitude {
        return match largest <= 0.02 * magnitude {
            true => Ok(None),
            false => Err(format!("it should be {high:.4} everywhere")),
        };
    }
    let [mean_expected, mean_found] = [mean(&|pair| pair.0), mean(&|pair| pair.1)];
    let covariance = mean(&|pair| (pair.0 - mean_expected) * (pair.1 - mean_found));
    let variance = mean(&|pair| (pair.0 - mean_expected).powi(2));
    let variance_found = mean(&|pair| (pair.1 - mean_found).powi(2));
    if variance_found <= 1e-6 * variance {
        return Err("it is the same everywhere".to_owned());
    }
    let correlation = covariance / (variance * variance_found).sqrt();
    if correlation < LEAST_CORRELATION {
        return Err(format!("the two correlate by {correlation:.4} only"));
    }
    let difference = mean(&|pair| (pair.0 - pair.1).abs()) / range;
    if difference > MEAN_TOLERANCE {
        return Err(format!(
            "it differs by {:.1} % of the range",
            100.0 * difference
        ));
    }
    Ok(Some(largest / range))
}

#[cfg(test)]
mod tests {
    use super::*;

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
