//! A small random generator of our own: sample I of seed S has to be the same
//! picture for as long as the project lives, whatever other crates do.

/// SplitMix64: one addition and one mix per draw, no state to warm up.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

/// Scrambles 64 bits; the finaliser of SplitMix64.
#[must_use]
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number in 0..1 that depends on two integers only, for per-pixel jitter.
#[must_use]
pub fn hash01(a: u32, b: u32) -> f32 {
    let z = mix((u64::from(a) << 32) | u64::from(b));
    (z >> 40) as f32 / (1u32 << 24) as f32
}

impl Rng {
    /// A generator for one stream of one seed.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        Self {
            state: mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15))
                ^ mix(stream.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1)),
        }
    }

    /// A generator that no longer shares draws with this one.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self {
            state: mix(self.bits()),
        }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// Uniform in 0..1.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// Uniform in a..b.
    pub fn range(&mut self, a: f32, b: f32) -> f32 {
        a + (b - a) * self.unit()
    }

    /// Uniform in the logarithm: as many between 1 and 2 as between 2 and 4.
    pub fn log(&mut self, a: f32, b: f32) -> f32 {
        self.range(a.ln(), b.ln()).exp()
    }

    /// Normal with this deviation.
    pub fn normal(&mut self, deviation: f32) -> f32 {
        // three uniforms are normal enough here and have no tails that put a camera upside down
        let s = self.unit() + self.unit() + self.unit() - 1.5;
        s * 2.0 * deviation
    }

    /// True with this probability.
    pub fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// Uniform integer in a..b (b excluded).
    pub fn int(&mut self, a: usize, b: usize) -> usize {
        if b <= a {
            return a;
        }
        a + (self.bits() % (b - a) as u64) as usize
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.int(0, of.len())]
    }

    /// -1 or 1.
    pub fn sign(&mut self) -> f32 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }

    /// An angle of the full circle.
    pub fn turn(&mut self) -> f32 {
        self.range(0.0, std::f32::consts::TAU)
    }
}
