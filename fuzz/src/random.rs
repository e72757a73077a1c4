//! Choices that come again with their seed.

/// A stream of numbers (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number less than `bound`; 0 where that is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound.max(1)
    }

    /// Whether it is so once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }

    /// One of these, of which there are some.
    pub(crate) fn one_of<T: Copy, const N: usize>(&mut self, of: [T; N]) -> T {
        of[self.below(N)]
    }

    /// Where programs that count go wrong.
    pub(crate) fn odd_number(&mut self) -> i64 {
        let next = self.next() as i64;
        self.one_of([
            0,
            1,
            -1,
            2,
            3,
            4,
            7,
            13,
            14,
            16,
            64,
            65,
            224,
            518,
            4095,
            4096,
            16_384,
            65_535,
            1 << 24,
            1 << 31,
            1 << 32,
            1 << 40,
            i64::from(i32::MAX),
            i64::MAX,
            i64::MIN,
            i64::MAX - 15,
            next,
            next >> 40,
        ])
    }

    /// Where programs that reckon go wrong.
    pub(crate) fn odd_float(&mut self) -> f64 {
        let any = f64::from_bits(self.next());
        self.one_of([
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.001,
            1e-300,
            5e-324,
            1e300,
            -1e300,
            65_504.0,
            65_535.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            f64::MIN_POSITIVE,
            any,
        ])
    }
}
