//! The inner loops, a row at a time. They vectorise by themselves; the variant for AVX2 is the same code, compiled for
//! it, and gives the same bits.

/// A row of the depth map, and the luma of its cells, as the columns of the frame see it: for each column the nearest
/// cell, the one before and the one after it.
#[derive(Debug, Clone, Default)]
pub(super) struct Stretched {
    pub(super) luma: [Vec<f32>; 3],
    pub(super) depth: [Vec<f32>; 3],
    /// Whether all of the depth is finite.
    pub(super) finite: bool,
}

impl Stretched {
    pub(super) fn new(columns: usize) -> Self {
        let three = || [0, 1, 2].map(|_| vec![0.0; columns]);
        Self {
            luma: three(),
            depth: three(),
            finite: true,
        }
    }
}

/// Luma this far apart, of 255, has nothing to do with each other.
const REACH: f32 = 25.5;
/// What a cell weighs at least, before squaring: where nothing resembles a pixel all do the same.
const LEAST: f32 = 0.02;

/// Weight of a cell whose luma differs by `difference`.
#[inline(always)]
fn likeness(difference: f32) -> f32 {
    let off = difference * (1.0 / REACH);
    let like = (1.0 - off * off).max(LEAST);
    like * like
}

/// Sums of weights and of weighted depth, for each column.
#[derive(Debug, Clone, Default)]
pub(super) struct Sums {
    weighted: Vec<f32>,
    weights: Vec<f32>,
}

impl Sums {
    pub(super) fn new(columns: usize) -> Self {
        Self {
            weighted: vec![0.0; columns],
            weights: vec![0.0; columns],
        }
    }
}

/// Whether the faster variant runs here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fast(bool);

impl Fast {
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        return Self(std::arch::is_x86_feature_detected!("avx2"));
        #[cfg(not(target_arch = "x86_64"))]
        Self(false)
    }

    #[cfg(test)]
    pub(super) const PLAIN: Self = Self(false);

    /// Adds a row of the depth map, `down` of whose weight falls on this row of the frame, to `sums`, or begins them
    /// with it. `across`: weights of the three cells, for each column.
    pub(super) fn add(
        self,
        sums: &mut Sums,
        luma: &[f32],
        row: &Stretched,
        down: f32,
        across: &[Vec<f32>; 3],
        begin: bool,
    ) {
        #[cfg(target_arch = "x86_64")]
        if self.0 {
            // SAFETY: AVX2 was detected
            unsafe { add_avx2(sums, luma, row, down, across, begin) };
            return;
        }
        add(sums, luma, row, down, across, begin);
    }

    /// Rounds the quotients of the sums to samples, halves to even; NaN becomes 0.
    pub(super) fn finish<const BIG_ENDIAN: bool>(self, sums: &Sums, out: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        if self.0 {
            // SAFETY: AVX2 was detected
            unsafe { finish_avx2::<BIG_ENDIAN>(sums, out) };
            return;
        }
        finish::<BIG_ENDIAN>(sums, out);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn add_avx2(
    sums: &mut Sums,
    luma: &[f32],
    row: &Stretched,
    down: f32,
    across: &[Vec<f32>; 3],
    begin: bool,
) {
    add(sums, luma, row, down, across, begin);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn finish_avx2<const BIG_ENDIAN: bool>(sums: &Sums, out: &mut [u8]) {
    finish::<BIG_ENDIAN>(sums, out);
}

#[inline(always)]
fn add(
    sums: &mut Sums,
    luma: &[f32],
    row: &Stretched,
    down: f32,
    across: &[Vec<f32>; 3],
    begin: bool,
) {
    let columns = luma.len();
    let cut = |rows: &'_ [Vec<f32>; 3]| -> [*const f32; 3] {
        // the lengths are checked once, so that the loop below has no branches
        rows.each_ref().map(|row| row[..columns].as_ptr())
    };
    let (lumas, depths, across) = (cut(&row.luma), cut(&row.depth), cut(across));
    let weighted = &mut sums.weighted[..columns];
    let weights = &mut sums.weights[..columns];
    for x in 0..columns {
        let (mut sum, mut weight) = (0.0, 0.0);
        for tap in 0..3 {
            // SAFETY: all have `columns` values, as checked above
            let (cell, depth, near) =
                unsafe { (*lumas[tap].add(x), *depths[tap].add(x), *across[tap].add(x)) };
            let share = likeness(luma[x] - cell) * near;
            weight += share;
            sum += share * depth;
        }
        if begin {
            weighted[x] = down * sum;
            weights[x] = down * weight;
        } else {
            weighted[x] += down * sum;
            weights[x] += down * weight;
        }
    }
}

/// As [`add`] does for three rows, where some depth is not finite: what is not finite has no weight, and where the
/// nearest cell is not, the result is NaN.
pub(super) fn add_what_is_finite(
    sums: &mut Sums,
    luma: &[f32],
    rows: [&Stretched; 3],
    down: [f32; 3],
    across: &[Vec<f32>; 3],
) {
    for (x, &luma) in luma.iter().enumerate() {
        let (mut sum, mut weight) = (0.0, 0.0);
        for (row, down) in rows.iter().zip(down) {
            let taps = row.depth.iter().zip(&row.luma).zip(across);
            for ((depth, cell), near) in taps {
                let depth = depth[x];
                if depth.is_finite() {
                    let share = likeness(luma - cell[x]) * near[x] * down;
                    weight += share;
                    sum += share * depth;
                }
            }
        }
        let known = rows[1].depth[1][x].is_finite();
        sums.weighted[x] = if known { sum } else { f32::NAN };
        sums.weights[x] = weight;
    }
}

#[inline(always)]
fn finish<const BIG_ENDIAN: bool>(sums: &Sums, out: &mut [u8]) {
    // the last bits of this and a sample are the sample, rounded as the sum is
    const SHIFT: f32 = (1 << 23) as f32;
    let pixels = out.as_chunks_mut::<2>().0;
    for ((out, sum), weight) in pixels.iter_mut().zip(&sums.weighted).zip(&sums.weights) {
        // `max` takes the other of a NaN and a number, which `clamp` does not
        let sample = f32::min((sum / weight).max(0.0), 65535.0);
        let sample = (sample + SHIFT).to_bits() as u16;
        *out = if BIG_ENDIAN {
            sample.to_be_bytes()
        } else {
            sample.to_le_bytes()
        };
    }
}
