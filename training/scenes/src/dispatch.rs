//! Hot loops compiled twice: for what every processor of the target has, and for AVX2, chosen at run time.
//!
//! A function has the instructions of the function that it is inlined into, so everything hot below [`Work::run`]
//! is `#[inline(always)]`. FMA is left out on purpose: pictures are to be the same on all machines, to the last bit.

/// Something to be compiled for each set of instructions.
pub(crate) trait Work {
    /// What comes of it.
    type Out;

    /// Does it; has to be `#[inline(always)]`. `Set` stands for the set of instructions: it keeps the copies of
    /// closures and generic functions apart, so that each has one caller and is inlined there.
    fn run<Set>(self) -> Self::Out;
}

/// Instructions that every processor of the target has.
enum Plain {}
#[cfg(target_arch = "x86_64")]
enum Avx2 {}

/// Does it in the fastest way that this machine knows.
#[inline]
pub(crate) fn dispatch<W: Work>(work: W) -> W::Out {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
        fn avx2<W: Work>(work: W) -> W::Out {
            work.run::<Avx2>()
        }
        // which came together
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt")
        {
            // SAFETY: the processor has just said that it can
            return unsafe { avx2(work) };
        }
    }
    work.run::<Plain>()
}
