//! High dynamic range to standard: what a network that learned from photographs is to see of PQ and HLG pictures.
//!
//! Both are taken to light on a display, where reference white (203 cd/m², ITU-R BT.2408) is 1; from the picture's
//! primaries to those of BT.709; and to the signal of a standard picture, the inverse of the EOTF of BT.1886 (gamma
//! 2.4). There, what is up to [`KNEE`] stays as it is, so that a standard picture in a PQ or HLG container looks as
//! before; what is brighter is rolled off below 1, so that nothing is cut off.
//!
//! Powers are made of polynomials, so that the compiler vectorises them and all instruction sets give the same bits.

/// How samples stand for light.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Transfer {
    /// Standard dynamic range, whatever its gamma: shown to the network as it is.
    #[default]
    Standard,
    /// Perceptual quantizer, SMPTE ST 2084, ITU-R BT.2100.
    Pq,
    /// Hybrid log-gamma, ARIB STD-B67, ITU-R BT.2100.
    Hlg,
}

/// Chromaticities (x, y) of red, green, blue and white.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Primaries([[f64; 2]; 4]);

impl Primaries {
    /// ITU-R BT.709, sRGB.
    pub const BT709: Self = Self([[0.64, 0.33], [0.30, 0.60], [0.15, 0.06], D65]);
    /// ITU-R BT.2020, BT.2100.
    pub const BT2020: Self = Self([[0.708, 0.292], [0.170, 0.797], [0.131, 0.046], D65]);
    /// Display P3 (SMPTE EG 432-1).
    pub const P3: Self = Self([[0.680, 0.320], [0.265, 0.690], [0.150, 0.060], D65]);

    /// RGB → XYZ, with Y = 1 for white.
    fn to_xyz(self) -> [[f64; 3]; 3] {
        let xyz = self.0.map(|[x, y]| [x / y, 1.0, (1.0 - x - y) / y]);
        let [red, green, blue, white] = xyz;
        let columns = [0, 1, 2].map(|row| [red[row], green[row], blue[row]]);
        let shares = apply(inverse(columns), white);
        columns.map(|row| [0, 1, 2].map(|channel| row[channel] * shares[channel]))
    }

    /// Linear RGB of these primaries → linear RGB of BT.709.
    fn to_bt709(self) -> [[f64; 3]; 3] {
        let from_xyz = inverse(Self::BT709.to_xyz());
        let to_xyz = self.to_xyz();
        from_xyz
            .map(|row| [0, 1, 2].map(|channel| (0..3).map(|i| row[i] * to_xyz[i][channel]).sum()))
    }
}

const D65: [f64; 2] = [0.3127, 0.3290];

fn apply(matrix: [[f64; 3]; 3], vector: [f64; 3]) -> [f64; 3] {
    matrix.map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum())
}

fn inverse(m: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    // the adjugate: each entry is a minor of the transposed matrix
    let minor = |row: usize, column: usize| {
        let (a, b) = ((row + 1) % 3, (row + 2) % 3);
        let (c, d) = ((column + 1) % 3, (column + 2) % 3);
        m[a][c] * m[b][d] - m[a][d] * m[b][c]
    };
    let determinant: f64 = (0..3).map(|column| m[0][column] * minor(0, column)).sum();
    [0, 1, 2].map(|row| [0, 1, 2].map(|column| minor(column, row) / determinant))
}

/// Light of reference white, in cd/m².
const WHITE: f64 = 203.0;
/// Light of the brightest HLG sample on the display that it is made for, in cd/m².
const HLG_PEAK: f64 = 1000.0;
/// Signal up to which nothing is changed; 1 is reference white.
const KNEE: f32 = 0.9;
/// Signal of the brightest that PQ knows, 10,000 cd/m²: (10000 / 203)^(1 / 2.4).
const BRIGHTEST: f32 = 5.070_9;

/// Turns rows of R′, G′ and B′ in 0…1, PQ or HLG, into those of a standard picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ToneMap {
    transfer: Transfer,
    to_bt709: [[f32; 3]; 3],
    /// Weights of luminance in the picture's own primaries.
    luminance: [f32; 3],
}

impl ToneMap {
    /// `None`: the picture is one of standard range.
    pub(super) fn new(transfer: Transfer, primaries: Primaries) -> Option<Self> {
        let narrow = |row: [f64; 3]| row.map(|value| value as f32);
        (transfer != Transfer::Standard).then(|| Self {
            transfer,
            to_bt709: primaries.to_bt709().map(narrow),
            luminance: narrow(primaries.to_xyz()[1]),
        })
    }

    /// Changes the rows, which are of one length, in place.
    #[inline(always)]
    pub(super) fn rows(&self, rows: [&mut [f32]; 3]) {
        let [red, green, blue] = rows;
        let (reds, last_red) = red.as_chunks_mut::<BLOCK>();
        let (greens, last_green) = green.as_chunks_mut::<BLOCK>();
        let (blues, last_blue) = blue.as_chunks_mut::<BLOCK>();
        for ((red, green), blue) in reds.iter_mut().zip(greens).zip(blues) {
            self.block([red, green, blue]);
        }
        let mut rest = [[0.0; BLOCK]; 3];
        let last = [last_red, last_green, last_blue];
        for (block, row) in rest.iter_mut().zip(&last) {
            block[..row.len()].copy_from_slice(row);
        }
        let [red, green, blue] = &mut rest;
        self.block([red, green, blue]);
        for (block, row) in rest.iter().zip(last) {
            row.copy_from_slice(&block[..row.len()]);
        }
    }

    /// Plain loops over arrays, which the compiler makes vectors of.
    #[inline(always)]
    fn block(&self, rows: [&mut [f32; BLOCK]; 3]) {
        let mut light = [[0.0; BLOCK]; 3];
        for (light, row) in light.iter_mut().zip(&rows) {
            let pairs = light.iter_mut().zip(row.iter());
            match self.transfer {
                Transfer::Hlg => {
                    for (light, signal) in pairs {
                        *light = hlg_light(within(*signal));
                    }
                }
                _ => {
                    for (light, signal) in pairs {
                        *light = pq_light(within(*signal)) * (10_000.0 / WHITE) as f32;
                    }
                }
            }
        }
        let [reds, greens, blues] = &mut light;
        if self.transfer == Transfer::Hlg {
            let weights = self.luminance;
            for ((r, g), b) in reds.iter_mut().zip(&mut *greens).zip(&mut *blues) {
                let luminance = (*r * weights[0] + *g * weights[1]) + *b * weights[2];
                // the system's gamma is 1.2 at 1000 cd/m²
                let gain = power(luminance, 0.2) * (HLG_PEAK / WHITE) as f32;
                *r *= gain;
                *g *= gain;
                *b *= gain;
            }
        }
        for (out, row) in rows.into_iter().zip(self.to_bt709) {
            let pixels = reds.iter().zip(&*greens).zip(&*blues);
            for (out, ((r, g), b)) in out.iter_mut().zip(pixels) {
                let light = (r * row[0] + g * row[1]) + b * row[2];
                *out = roll_off(power(light, 1.0 / 2.4));
            }
        }
    }
}

/// Pixels that are changed at a time.
const BLOCK: usize = 16;

/// Interpolation goes beyond what it interpolates.
#[inline(always)]
#[allow(clippy::manual_clamp, reason = "twice as fast in vectors")]
fn within(signal: f32) -> f32 {
    signal.max(0.0).min(1.0)
}

/// PQ's EOTF: signal in 0…1 → light, 1 is 10,000 cd/m².
#[inline(always)]
fn pq_light(signal: f32) -> f32 {
    const M1: f32 = 2610.0 / 16384.0;
    const M2: f32 = 2523.0 / 32.0;
    const C1: f32 = 3424.0 / 4096.0;
    const C2: f32 = 2413.0 / 128.0;
    const C3: f32 = 2392.0 / 128.0;
    let e = power(signal, 1.0 / M2);
    power((e - C1).max(0.0) / (C2 - C3 * e), 1.0 / M1)
}

/// HLG's inverse OETF: signal in 0…1 → light of the scene in 0…1.
#[inline(always)]
fn hlg_light(signal: f32) -> f32 {
    const A: f32 = 0.178_832_77;
    const B: f32 = 0.284_668_92;
    const C: f32 = 0.559_910_7;
    let dark = signal * signal / 3.0;
    let bright = (exp2((signal - C) * (std::f32::consts::LOG2_E / A)) + B) / 12.0;
    if signal <= 0.5 { dark } else { bright }
}

/// What is above the knee goes on with the same slope and comes to 1 at the brightest (Reinhard's curve with a white
/// point).
#[inline(always)]
fn roll_off(signal: f32) -> f32 {
    const SPAN: f32 = 1.0 - KNEE;
    const LIMIT: f32 = (BRIGHTEST - KNEE) / SPAN;
    let above = (signal - KNEE).max(0.0) / SPAN;
    let rolled = KNEE + SPAN * (above * (1.0 + above / (LIMIT * LIMIT)) / (1.0 + above));
    if signal > KNEE {
        rolled.min(1.0)
    } else {
        signal
    }
}

/// `base` to the power of `exponent`, within some 1e-6 of it; what is not above 0 is taken for 1e-30.
#[inline(always)]
fn power(base: f32, exponent: f32) -> f32 {
    exp2(log2(base.max(1e-30)) * exponent)
}

/// Of a positive normal number.
#[inline(always)]
fn log2(value: f32) -> f32 {
    // value = 2^exponent · mantissa, which is within a factor of √2 around 1
    const ROOT_HALF: i32 = 0x3f35_04f3;
    let bits = value.to_bits() as i32;
    let exponent = (bits - ROOT_HALF) >> 23;
    let mantissa = f32::from_bits((bits - (exponent << 23)) as u32);
    // ln m = 2 artanh((m − 1)/(m + 1))
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let s = t * t;
    let artanh = t * (1.0 + s * (1.0 / 3.0 + s * (1.0 / 5.0 + s * (1.0 / 7.0))));
    exponent as f32 + artanh * (2.0 * std::f32::consts::LOG2_E)
}

/// 2 to the power of `value`; below −126 it is 2^−126, above 126 it is 2^126.
#[inline(always)]
#[allow(clippy::manual_clamp, reason = "twice as fast in vectors")]
fn exp2(value: f32) -> f32 {
    // adding it rounds to an integer, which is then the low bits
    const INTEGERS: f32 = 12_582_912.0;
    let value = value.max(-126.0).min(126.0);
    let rounded = value + INTEGERS;
    let whole = rounded - INTEGERS;
    let x = (value - whole) * std::f32::consts::LN_2;
    // e^x for |x| up to ½ ln 2
    let series = 1.0
        + x * (1.0
            + x * (1.0 / 2.0
                + x * (1.0 / 6.0 + x * (1.0 / 24.0 + x * (1.0 / 120.0 + x * (1.0 / 720.0))))));
    let exponent = rounded.to_bits().wrapping_sub(INTEGERS.to_bits());
    let scale = f32::from_bits(exponent.wrapping_add(127) << 23);
    series * scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers() {
        for i in 0..4000 {
            let base = 10.0_f32.powf(-6.0 + 8.0 * i as f32 / 4000.0);
            for exponent in [1.0 / 2.4, 0.2, 1.0 / 78.84375, 6.277_39] {
                let exact = f64::from(base).powf(f64::from(exponent));
                let got = f64::from(power(base, exponent));
                assert!(
                    (got / exact - 1.0).abs() < 2e-5,
                    "{base}^{exponent}: {got} {exact}"
                );
            }
        }
        assert!(power(0.0, 1.0 / 2.4) < 1e-12);
    }

    /// Anchors from BT.2100 and BT.2408.
    #[test]
    fn light_of_well_known_signals() {
        for (signal, light) in [
            (0.0, 0.0),
            (0.508, 100.0),
            (0.5807, 203.0),
            (0.7518, 1000.0),
            (1.0, 10_000.0),
        ] {
            let got = pq_light(signal) * 10_000.0;
            assert!(
                (got - light).abs() <= 0.004 * light + 1e-3,
                "{signal}: {got}, not {light}"
            );
        }
        for (signal, light) in [(0.0, 0.0), (0.5, 1.0 / 12.0), (0.75, 0.2650), (1.0, 1.0)] {
            let got = hlg_light(signal);
            assert!((got - light).abs() < 1e-4, "{signal}: {got}, not {light}");
        }
    }

    #[test]
    fn white_stays_white_in_other_primaries() {
        for primaries in [Primaries::BT709, Primaries::BT2020, Primaries::P3] {
            for row in primaries.to_bt709() {
                assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            }
        }
        // BT.2087
        let expected = [
            [1.6605, -0.5876, -0.0728],
            [-0.1246, 1.1329, -0.0083],
            [-0.0182, -0.1006, 1.1187],
        ];
        for (row, expected) in Primaries::BT2020.to_bt709().into_iter().zip(expected) {
            for (a, b) in row.into_iter().zip(expected) {
                assert!((a - b).abs() < 2e-4, "{a} {b}");
            }
        }
        let luminance = Primaries::BT2020.to_xyz()[1];
        for (a, b) in luminance.into_iter().zip([0.2627, 0.6780, 0.0593]) {
            assert!((a - b).abs() < 1e-4);
        }
    }

    fn mapped(transfer: Transfer, rgb: [f32; 3]) -> [f32; 3] {
        let [mut r, mut g, mut b] = rgb.map(|value| [value]);
        let map = ToneMap::new(transfer, Primaries::BT2020).expect("high dynamic range");
        map.rows([&mut r, &mut g, &mut b]);
        [r[0], g[0], b[0]]
    }

    /// A grey of a standard picture whose white is reference white keeps its value up to the knee, in PQ and in HLG.
    #[test]
    fn standard_pictures_in_a_hdr_container_stay_what_they_are() {
        for step in 1..=90 {
            let signal = f64::from(step) / 100.0;
            let nits = 203.0 * signal.powf(2.4);
            let y = (nits / 10_000.0).powf(2610.0 / 16384.0);
            let pq = ((3424.0 / 4096.0 + 2413.0 / 128.0 * y) / (1.0 + 2392.0 / 128.0 * y))
                .powf(2523.0 / 32.0);
            // the inverse of the system's gamma, then the OETF
            let scene = (nits / 1000.0).powf(1.0 / 1.2);
            let hlg = if scene <= 1.0 / 12.0 {
                (3.0 * scene).sqrt()
            } else {
                0.178_832_77 * (12.0 * scene - 0.284_668_92).ln() + 0.559_910_73
            };
            for (transfer, value) in [(Transfer::Pq, pq), (Transfer::Hlg, hlg)] {
                for got in mapped(transfer, [value as f32; 3]) {
                    assert!(
                        (f64::from(got) - signal).abs() < 1e-3,
                        "{transfer:?} {signal}: {got}"
                    );
                }
            }
        }
    }

    /// Brighter is never darker, and nothing goes beyond white or below black.
    #[test]
    fn nothing_is_cut_off() {
        for transfer in [Transfer::Pq, Transfer::Hlg] {
            let mut before = -1.0;
            for step in 0..=1000 {
                let [value, _, _] = mapped(transfer, [step as f32 / 1000.0; 3]);
                assert!(
                    value >= before && (0.0..=1.0005).contains(&value),
                    "{transfer:?} {step}: {value}"
                );
                before = value;
            }
            // saturated colours of the wider gamut, and what interpolation overshoots
            for rgb in [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-0.1, 0.3, 1.1]] {
                for value in mapped(transfer, rgb) {
                    assert!((0.0..=1.0).contains(&value), "{value}");
                }
            }
        }
        assert!(ToneMap::new(Transfer::Standard, Primaries::BT2020).is_none());
    }
}
