//! Numbers as half precision in little-endian bytes, and back.

use half::f16;

/// Rounds to the nearest, ties to even. Does as many as there are on the shorter side.
pub(super) fn to_bytes(values: &[f32], bytes: &mut [u8]) {
    let (pieces, out) = (values.as_chunks::<LANES>().0, bytes.as_chunks_mut().0);
    let done = LANES * pieces.len().min(out.len());
    if !f16c::to_bytes(pieces, out) {
        for (values, bytes) in pieces.iter().zip(out) {
            one_by_one(values, bytes);
        }
    }
    one_by_one(&values[done..], &mut bytes[2 * done..]);
}

/// Adds the numbers of `bytes` to `values`.
pub(super) fn from_bytes(bytes: &[u8], values: &mut Vec<f32>) {
    let (pieces, rest) = bytes.as_chunks();
    let first = values.len();
    values.resize(first + LANES * pieces.len(), 0.0);
    let out = values[first..].as_chunks_mut().0;
    if !f16c::from_bytes(pieces, out) {
        for (bytes, values) in pieces.iter().zip(out) {
            for (value, bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
                *value = f16::from_le_bytes(*bytes).to_f32();
            }
        }
    }
    let rest = rest.as_chunks().0.iter();
    values.extend(rest.map(|bytes| f16::from_le_bytes(*bytes).to_f32()));
}

/// Numbers that are converted at a time.
const LANES: usize = 8;

fn one_by_one(values: &[f32], bytes: &mut [u8]) {
    for (value, bytes) in values.iter().zip(bytes.as_chunks_mut().0) {
        *bytes = f16::from_f32(*value).to_le_bytes();
    }
}

/// By the instructions for it; `half` asks for them anew for every eight numbers.
#[cfg(target_arch = "x86_64")]
mod f16c {
    use std::arch::x86_64::{
        _MM_FROUND_TO_NEAREST_INT, _mm_loadu_si128, _mm_storeu_si128, _mm256_cvtph_ps,
        _mm256_cvtps_ph, _mm256_loadu_ps, _mm256_storeu_ps,
    };

    use super::LANES;

    fn is_there() -> bool {
        is_x86_feature_detected!("avx") && is_x86_feature_detected!("f16c")
    }

    /// Whether it could.
    pub(super) fn to_bytes(values: &[[f32; LANES]], bytes: &mut [[u8; 2 * LANES]]) -> bool {
        #[target_feature(enable = "avx,f16c")]
        fn convert(values: &[[f32; LANES]], bytes: &mut [[u8; 2 * LANES]]) {
            for (values, bytes) in values.iter().zip(bytes) {
                // SAFETY: eight floats are read and sixteen bytes written, aligned or not
                unsafe {
                    let values = _mm256_loadu_ps(values.as_ptr());
                    let halves = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(values);
                    _mm_storeu_si128(bytes.as_mut_ptr().cast(), halves);
                }
            }
        }
        // SAFETY: both are there
        is_there()
            && unsafe {
                convert(values, bytes);
                true
            }
    }

    /// Whether it could.
    pub(super) fn from_bytes(bytes: &[[u8; 2 * LANES]], values: &mut [[f32; LANES]]) -> bool {
        #[target_feature(enable = "avx,f16c")]
        fn convert(bytes: &[[u8; 2 * LANES]], values: &mut [[f32; LANES]]) {
            for (bytes, values) in bytes.iter().zip(values) {
                // SAFETY: sixteen bytes are read and eight floats written, aligned or not
                unsafe {
                    let halves = _mm_loadu_si128(bytes.as_ptr().cast());
                    _mm256_storeu_ps(values.as_mut_ptr(), _mm256_cvtph_ps(halves));
                }
            }
        }
        // SAFETY: both are there
        is_there()
            && unsafe {
                convert(bytes, values);
                true
            }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod f16c {
    use super::LANES;

    pub(super) fn to_bytes(_: &[[f32; LANES]], _: &mut [[u8; 2 * LANES]]) -> bool {
        false
    }

    pub(super) fn from_bytes(_: &[[u8; 2 * LANES]], _: &mut [[f32; LANES]]) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_halves_and_what_lies_between_are_those_of_the_reference() {
        let halves: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        let exact = halves.iter().map(|half| half.to_f32());
        let between = halves.iter().map(|half| half.to_f32() * 1.0003 + 1e-9);
        let values: Vec<f32> = exact.chain(between).chain([1e30, -1e30, 0.1]).collect();
        let mut bytes = vec![0; 2 * values.len()];
        to_bytes(&values, &mut bytes);
        let mut back = vec![7.0];
        from_bytes(&bytes, &mut back);
        assert_eq!(back.len(), values.len() + 1);
        for ((value, bytes), back) in values.iter().zip(bytes.as_chunks().0).zip(&back[1..]) {
            let (half, expected) = (f16::from_le_bytes(*bytes), f16::from_f32(*value));
            let same = half == expected || (half.is_nan() && value.is_nan());
            assert!(same, "{value}: {half}");
            assert!(half.to_f32() == *back || back.is_nan(), "{half}");
        }
    }

    #[test]
    fn the_shorter_side_counts() {
        let values = [1.5; 21];
        for length in 0..=50 {
            let mut bytes = vec![0; length];
            to_bytes(&values, &mut bytes);
            let written = bytes.chunks(2).filter(|it| *it == [0, 0x3e]).count();
            assert_eq!(written, (length / 2).min(21));
            let mut back = Vec::new();
            from_bytes(&bytes, &mut back);
            assert_eq!(back.len(), length / 2);
        }
    }
}
