//! Sixteen values at a time: arrays, or the registers of AVX2 or AVX-512. All give the same bits.

/// Values worked on at a time.
pub(super) const LANES: usize = 16;

/// [`LANES`] values.
pub(super) trait Lanes: Copy {
    fn splat(value: f32) -> Self;
    /// Those from `at` on.
    fn load(values: &[f32], at: usize) -> Self;
    fn store(self, out: &mut [f32; LANES]);
    /// Those of eight in a row that `which` says, for each half of the lanes: from `at[0]` on for the first, `at[1]` for the
    /// second.
    fn pick(values: &[f32], at: [usize; 2], which: &[i32; LANES]) -> Self;
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
    #[inline(always)]
    fn splat(value: f32) -> Self {
        [value; LANES]
    }

    #[inline(always)]
    fn load(values: &[f32], at: usize) -> Self {
        let mut lanes = [0.0; LANES];
        lanes.copy_from_slice(&values[at..at + LANES]);
        lanes
    }

    #[inline(always)]
    fn store(self, out: &mut [f32; LANES]) {
        *out = self;
    }

    #[inline(always)]
    fn pick(values: &[f32], at: [usize; 2], which: &[i32; LANES]) -> Self {
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

/// Which lanes are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fast(Width);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Fast {
    pub(super) fn detect() -> Self {
        Self::all().last().copied().unwrap_or(Self(Width::Plain))
    }

    /// What this processor can, the best last.
    pub(super) fn all() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let more = [
            (Width::Avx2, std::arch::is_x86_feature_detected!("avx2")),
            (
                Width::Avx512,
                std::arch::is_x86_feature_detected!("avx512f"),
            ),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let more: [(Width, bool); 0] = [];
        let more = more.into_iter().filter(|(_, can)| *can);
        let all = std::iter::once(Width::Plain).chain(more.map(|(width, _)| width));
        all.map(Self).collect()
    }

    /// Only where it was detected.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn is_avx2(self) -> bool {
        self.0 == Width::Avx2
    }

    /// Only where it was detected.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn is_avx512(self) -> bool {
        self.0 == Width::Avx512
    }
}

/// `name => body` makes a function that runs `body` with the best lanes there are.
macro_rules! variants {
    ($($(#[$meta:meta])* $name:ident => $body:ident, ($($arg:ident: $type:ty),*);)*) => {
        $($(#[$meta])*
        pub(super) fn $name(fast: super::lanes::Fast, $($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            if fast.is_avx512() {
                #[target_feature(enable = "avx512f,avx2")]
                fn with_avx512($($arg: $type),*) {
                    $body::<Avx512>($($arg),*);
                }
                // SAFETY: AVX-512 and AVX2 were detected
                unsafe { with_avx512($($arg),*) };
                return;
            }
            #[cfg(target_arch = "x86_64")]
            if fast.is_avx2() {
                #[target_feature(enable = "avx2")]
                fn with_avx2($($arg: $type),*) {
                    $body::<Avx2>($($arg),*);
                }
                // SAFETY: AVX2 was detected
                unsafe { with_avx2($($arg),*) };
                return;
            }
            let _ = fast;
            $body::<[f32; super::lanes::LANES]>($($arg),*);
        })*
    };
}
pub(super) use variants;

#[cfg(target_arch = "x86_64")]
pub(super) use {avx2::Avx2, avx512::Avx512};

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{LANES, Lanes};
    use std::arch::x86_64::*;

    /// Two registers, so that one is worked on while the other is waited for. Only functions that are compiled for AVX2
    /// may use it, and only where that was detected.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2(__m256, __m256);

    macro_rules! both {
        ($($name:ident $instruction:ident)*) => {
            $(#[inline(always)]
            fn $name(self, other: Self) -> Self {
                // SAFETY: AVX2 was detected, as the type asks for
                unsafe { Self($instruction(self.0, other.0), $instruction(self.1, other.1)) }
            })*
        };
    }

    impl Lanes for Avx2 {
        #[inline(always)]
        fn splat(value: f32) -> Self {
            // SAFETY: AVX2 was detected, as the type asks for
            unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
        }

        #[inline(always)]
        fn load(values: &[f32], at: usize) -> Self {
            let values = &values[at..at + LANES];
            // SAFETY: there are so many values, and AVX2 was detected, as the type asks for
            unsafe {
                let first = values.as_ptr();
                Self(_mm256_loadu_ps(first), _mm256_loadu_ps(first.add(8)))
            }
        }

        #[inline(always)]
        fn store(self, out: &mut [f32; LANES]) {
            // SAFETY: there is room for so many, and AVX2 was detected, as the type asks for
            unsafe {
                let first = out.as_mut_ptr();
                _mm256_storeu_ps(first, self.0);
                _mm256_storeu_ps(first.add(8), self.1);
            }
        }

        #[inline(always)]
        fn pick(values: &[f32], at: [usize; 2], which: &[i32; LANES]) -> Self {
            let [first, second] = at;
            let (first, second) = (&values[first..first + 8], &values[second..second + 8]);
            // SAFETY: there are so many values, and AVX2 was detected, as the type asks for
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
    use std::arch::x86_64::*;

    /// One register. Only functions that are compiled for AVX-512F and AVX2 may use it, and only where they were detected.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512(__m512);

    macro_rules! one {
        ($($name:ident $instruction:ident)*) => {
            $(#[inline(always)]
            fn $name(self, other: Self) -> Self {
                // SAFETY: AVX-512F was detected, as the type asks for
                unsafe { Self($instruction(self.0, other.0)) }
            })*
        };
    }

    impl Lanes for Avx512 {
        #[inline(always)]
        fn splat(value: f32) -> Self {
            // SAFETY: AVX-512F was detected, as the type asks for
            unsafe { Self(_mm512_set1_ps(value)) }
        }

        #[inline(always)]
        fn load(values: &[f32], at: usize) -> Self {
            let values = &values[at..at + LANES];
            // SAFETY: there are so many values, and AVX-512F was detected, as the type asks for
            unsafe { Self(_mm512_loadu_ps(values.as_ptr())) }
        }

        #[inline(always)]
        fn store(self, out: &mut [f32; LANES]) {
            // SAFETY: there is room for so many, and AVX-512F was detected, as the type asks for
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        fn pick(values: &[f32], at: [usize; 2], which: &[i32; LANES]) -> Self {
            let mut lanes = [0.0; LANES];
            Avx2::pick(values, at, which).store(&mut lanes);
            Self::load(&lanes, 0)
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
