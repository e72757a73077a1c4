//! Instruction sets of this machine, chosen at run time, for all loops that have variants.

/// Proof that this machine has AVX2.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2(());

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    /// The proof, if it can be had.
    pub(crate) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

/// Proof that this machine has AVX-512 (F and BW).
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512(Avx2);

#[cfg(target_arch = "x86_64")]
impl Avx512 {
    /// The proof, if it can be had.
    pub(crate) fn detect() -> Option<Self> {
        let there = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        Avx2::detect().filter(|_| there).map(Self)
    }

    /// Every such machine has AVX2.
    pub(crate) fn avx2(self) -> Avx2 {
        self.0
    }
}

/// An instruction set that this machine has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Simd {
    /// What the target has anyway.
    Plain,
    /// x86-64 with AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// x86-64 with AVX-512 (F, BW).
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    /// 64-bit Arm, where NEON is always there.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Simd {
    /// The fastest that this machine has.
    pub(crate) fn detect() -> Self {
        Self::available().last().unwrap_or(Self::Plain)
    }

    /// All that this machine has, the slowest first.
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        let variants = [
            Some(Self::Plain),
            #[cfg(target_arch = "x86_64")]
            Avx2::detect().map(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            Avx512::detect().map(Self::Avx512),
            #[cfg(target_arch = "aarch64")]
            Some(Self::Neon),
        ];
        variants.into_iter().flatten()
    }
}
