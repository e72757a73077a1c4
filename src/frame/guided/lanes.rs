//! Sixteen values at a time: arrays, or the registers of AVX2 or AVX-512. All give the same bits.

/// Values worked on at a time.
pub(super) const LANES: usize = 16;

/// [`LANES`] values.
pub(super) trait Lanes: Copy {
    /// That the instructions are there; needed to make lanes, and so proved by those that there are.
    type Proof: Copy;
    fn splat(proof: Self::Proof, value: f32) -> Self;
    /// Those from `at` on.
    fn load(proof: Self::Proof, values: &[f32], at: usize) -> Self;
    fn store(self, out: &mut [f32; LANES]);
    /// Those of eight in a row that `which` says, for each half of the lanes: from `at[0]` on for the first, `at[1]` for the
    /// second.
    fn pick(proof: Self::Proof, values: &[f32], at: [usize; 2], which: &[i32; LANES]) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    /// The smaller; `other`, where one is NaN.
    fn min(self, other: Self) -> Self;
    /// The larger; `other`, where one is NaN.
    fn max(self, other: Self) -> Self;
}

impl Lanes for [f32; LANES] {
    type Proof = ();

    #[inline(always)]
    fn splat(_: Self::Proof, value: f32) -> Self {
        [value; LANES]
    }

    #[inline(always)]
    fn load(_: Self::Proof, values: &[f32], at: usize) -> Self {
        let mut lanes = [0.0; LANES];
        lanes.copy_from_slice(&values[at..at + LANES]);
        lanes
    }

    #[inline(always)]
    fn store(self, out: &mut [f32; LANES]) {
        *out = self;
    }

    #[inline(always)]
    fn pick(_: Self::Proof, values: &[f32], at: [usize; 2], which: &[i32; LANES]) -> Self {
        let mut lanes = [0.0; LANES];
        let halves = lanes.as_chunks_mut::<8>().0.iter_mut();
        for ((half, which), at) in halves.zip(which.as_chunks::<8>().0).zip(at) {
            let values = &values[at..at + 8];
            for (lane, which) in half.iter_mut().zip(which) {
                *lane = values[(which & 7) as usize];
            }
        }
        lanes
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        both(self, other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        both(self, other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        both(self, other, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        both(self, other, |a, b| a / b)
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        both(self, other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        both(self, other, |a, b| if a > b { a } else { b })
    }
}

#[inline(always)]
fn both(mut a: [f32; LANES], b: [f32; LANES], of: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    for (a, b) in a.iter_mut().zip(b) {
        *a = of(*a, b);
    }
    a
}

/// `name => body` makes a function that runs `body` with the lanes of an instruction set.
macro_rules! variants {
    ($($(#[$meta:meta])* $name:ident => $body:ident, ($($arg:ident: $type:ty),*);)*) => {
        $($(#[$meta])*
        pub(super) fn $name(simd: $crate::frame::simd::Simd, $($arg: $type),*) {
            use $crate::frame::simd::Simd;
            match simd {
                #[cfg(target_arch = "x86_64")]
                Simd::Avx512(proof) => {
                    #[target_feature(enable = "avx512f,avx2")]
                    fn with_avx512(proof: $crate::frame::simd::Avx512, $($arg: $type),*) {
                        $body::<Avx512>(proof, $($arg),*);
                    }
                    // SAFETY: `proof` is only made where both were detected
                    unsafe { with_avx512(proof, $($arg),*) }
                }
                #[cfg(target_arch = "x86_64")]
                Simd::Avx2(proof) => {
                    #[target_feature(enable = "avx2")]
                    fn with_avx2(proof: $crate::frame::simd::Avx2, $($arg: $type),*) {
                        $body::<Avx2>(proof, $($arg),*);
                    }
                    // SAFETY: `proof` is only made where it was detected
                    unsafe { with_avx2(proof, $($arg),*) }
                }
                // NEON is what plain Rust is compiled for
                _ => $body::<[f32; super::lanes::LANES]>((), $($arg),*),
            }
        })*
    };
}
pub(super) use variants;

#[cfg(target_arch = "x86_64")]
pub(super) use {avx2::Avx2, avx512::Avx512};

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{LANES, Lanes};
    use crate::frame::simd as proof;
    use std::arch::x86_64::*;

    /// Two registers, so that one is worked on while the other is waited for. Fast only in functions that are
    /// compiled for AVX2.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2(__m256, __m256);

    macro_rules! both {
        ($($name:ident $instruction:ident)*) => {
            $(#[inline(always)]
            fn $name(self, other: Self) -> Self {
                // SAFETY: AVX2 is proved, or lanes would not be here
                unsafe { Self($instruction(self.0, other.0), $instruction(self.1, other.1)) }
            })*
        };
    }

    impl Lanes for Avx2 {
        type Proof = proof::Avx2;

        #[inline(always)]
        fn splat(_: Self::Proof, value: f32) -> Self {
            // SAFETY: AVX2 is proved, or lanes would not be here
            unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
        }

        #[inline(always)]
        fn load(_: Self::Proof, values: &[f32], at: usize) -> Self {
            let values = &values[at..at + LANES];
            // SAFETY: there are so many values, and AVX2 is proved, or lanes would not be here
            unsafe {
                let first = values.as_ptr();
                Self(_mm256_loadu_ps(first), _mm256_loadu_ps(first.add(8)))
            }
        }

        #[inline(always)]
        fn store(self, out: &mut [f32; LANES]) {
            // SAFETY: there is room for so many, and AVX2 is proved, or lanes would not be here
            unsafe {
                let first = out.as_mut_ptr();
                _mm256_storeu_ps(first, self.0);
                _mm256_storeu_ps(first.add(8), self.1);
            }
        }

        #[inline(always)]
        fn pick(_: Self::Proof, values: &[f32], at: [usize; 2], which: &[i32; LANES]) -> Self {
            let [first, second] = at;
            let (first, second) = (&values[first..first + 8], &values[second..second + 8]);
            // SAFETY: there are so many values, and AVX2 is proved, or lanes would not be here
            unsafe {
                let which = which.as_ptr().cast::<__m256i>();
                Self(
                    _mm256_permutevar8x32_ps(
                        _mm256_loadu_ps(first.as_ptr()),
                        _mm256_loadu_si256(which),
                    ),
                    _mm256_permutevar8x32_ps(
                        _mm256_loadu_ps(second.as_ptr()),
                        _mm256_loadu_si256(which.add(1)),
                    ),
                )
            }
        }

        both! {
            add _mm256_add_ps
            sub _mm256_sub_ps
            mul _mm256_mul_ps
            div _mm256_div_ps
            min _mm256_min_ps
            max _mm256_max_ps
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::{Avx2, LANES, Lanes};
    use crate::frame::simd as proof;
    use std::arch::x86_64::*;

    /// One register. Fast only in functions that are compiled for AVX-512F and AVX2.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512(__m512);

    macro_rules! one {
        ($($name:ident $instruction:ident)*) => {
            $(#[inline(always)]
            fn $name(self, other: Self) -> Self {
                // SAFETY: AVX-512F is proved, or lanes would not be here
                unsafe { Self($instruction(self.0, other.0)) }
            })*
        };
    }

    impl Lanes for Avx512 {
        type Proof = proof::Avx512;

        #[inline(always)]
        fn splat(_: Self::Proof, value: f32) -> Self {
            // SAFETY: AVX-512F is proved, or lanes would not be here
            unsafe { Self(_mm512_set1_ps(value)) }
        }

        #[inline(always)]
        fn load(_: Self::Proof, values: &[f32], at: usize) -> Self {
            let values = &values[at..at + LANES];
            // SAFETY: there are so many values, and AVX-512F is proved, or lanes would not be here
            unsafe { Self(_mm512_loadu_ps(values.as_ptr())) }
        }

        #[inline(always)]
        fn store(self, out: &mut [f32; LANES]) {
            // SAFETY: there is room for so many, and AVX-512F is proved, or lanes would not be here
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        fn pick(proof: Self::Proof, values: &[f32], at: [usize; 2], which: &[i32; LANES]) -> Self {
            let mut lanes = [0.0; LANES];
            Avx2::pick(proof.avx2(), values, at, which).store(&mut lanes);
            Self::load(proof, &lanes, 0)
        }

        one! {
            add _mm512_add_ps
            sub _mm512_sub_ps
            mul _mm512_mul_ps
            div _mm512_div_ps
            min _mm512_min_ps
            max _mm512_max_ps
        }
    }
}
