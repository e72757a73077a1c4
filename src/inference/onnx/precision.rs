//! The arithmetic of inference.

use std::fmt;

/// Arithmetic of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 32-bit floats.
    Fp32,
    /// IEEE half precision.
    Fp16,
    /// Brain float: the range of `Fp32` with 8 bits of mantissa.
    Bf16,
}

impl Precision {
    /// That of this name.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let all = [Self::Fp32, Self::Fp16, Self::Bf16];
        all.into_iter().find(|it| it.name() == name)
    }

    /// Its name as the property spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Bf16 => "bf16",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether this machine's CPU multiplies bf16: AVX512_BF16, which every CPU with AMX has too.
pub(super) fn cpu_has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::is_x86_feature_detected!("avx512bf16")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}
