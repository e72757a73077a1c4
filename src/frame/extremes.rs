//! The least and the largest of a depth map.

/// Pairs side by side, so that the compiler makes vectors of them.
const LANES: usize = 16;

/// Smallest and largest finite value; `None` when none is finite.
pub(crate) fn extremes(values: &[f32]) -> Option<(f32, f32)> {
    let mut low = [f32::INFINITY; LANES];
    let mut high = [f32::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    let mut take = |lane: usize, value: f32| {
        let finite = value.abs() < f32::INFINITY;
        low[lane] = low[lane].min(if finite { value } else { f32::INFINITY });
        high[lane] = high[lane].max(if finite { value } else { f32::NEG_INFINITY });
    };
    for chunk in chunks {
        for (lane, &value) in chunk.iter().enumerate() {
            take(lane, value);
        }
    }
    for &value in rest {
        take(0, value);
    }
    let low = low.into_iter().fold(f32::INFINITY, f32::min);
    let high = high.into_iter().fold(f32::NEG_INFINITY, f32::max);
    (low <= high).then_some((low, high))
}

#[cfg(test)]
mod tests {
    use super::extremes;

    #[test]
    fn only_finite_values_count() {
        let values = [f32::NAN, 3.0, f32::INFINITY, -1.0, f32::NEG_INFINITY];
        assert_eq!(extremes(&values), Some((-1.0, 3.0)));
        assert_eq!(extremes(&[f32::NAN, f32::INFINITY]), None);
        assert_eq!(extremes(&[]), None);
        let many: Vec<f32> = (0..1001).map(|value| value as f32).collect();
        for cut in 1..many.len() {
            assert_eq!(extremes(&many[..cut]), Some((0.0, (cut - 1) as f32)));
        }
    }
}
