//! Functions of the standard library to as many digits as a picture needs: several times as fast, and the same on all
//! machines.

/// Sine and cosine of so many turns, 0 to 2, to 1e-3: enough for places on lamps and the sun, and far faster.
#[inline(always)]
#[must_use]
pub(super) fn circle(turns: f32) -> (f32, f32) {
    let wave = |turns: f32| {
        // from -1/2 to 1/2 turns, where two parabolas and their squares are a sine
        let x = turns - (turns + 0.5) as i32 as f32;
        let y = 8.0 * x - 16.0 * x * x.abs();
        0.225 * (y * y.abs() - y) + y
    };
    (wave(turns), wave(turns + 0.25))
}

/// `base` to a power of 1 or more, for bases up to 1: what is too faint to be seen is 0, without a call.
#[inline(always)]
#[must_use]
pub(super) fn lobe(base: f32, power: f32) -> f32 {
    // the logarithm of x is at most x - 1, so what comes out here is below exp(-8)
    if power * (1.0 - base) > 8.0 {
        return 0.0;
    }
    base.powf(power)
}

/// The exponential function to 1e-5 of its value; what is beyond 2^±126 stays there.
#[inline(always)]
#[must_use]
pub(super) fn exp(x: f32) -> f32 {
    let y = (x * std::f32::consts::LOG2_E).clamp(-126.0, 126.0);
    // rounded: without SSE4.1 the standard rounding is a call
    let whole = (y + 1024.5) as i32 - 1024;
    let u = (y - whole as f32) * std::f32::consts::LN_2;
    let part = 1.0 + u * (1.0 + u * (0.5 + u * (1.0 / 6.0 + u * (1.0 / 24.0 + u * (1.0 / 120.0)))));
    part * f32::from_bits(((whole + 127) as u32) << 23)
}

#[cfg(test)]
mod tests {
    use super::{circle, exp, lobe};

    #[test]
    fn circles_are_those_of_sin_cos() {
        for k in 0..2000u16 {
            let turns = f32::from(k) / 1000.0;
            let (s, c) = circle(turns);
            let (sin, cos) = (turns * std::f32::consts::TAU).sin_cos();
            assert!((s - sin).abs() < 1.2e-3, "{turns}: {s} is not {sin}");
            assert!((c - cos).abs() < 1.2e-3, "{turns}: {c} is not {cos}");
        }
    }

    #[test]
    fn lobes_are_powers_to_a_thousandth() {
        for power in [1.0, 4.0, 30.0, 300.0] {
            for k in 0..=1000u16 {
                let base = f32::from(k) / 1000.0;
                let off = lobe(base, power) - base.powf(power);
                assert!(off.abs() < 1e-3, "{base}^{power}: off by {off}");
            }
        }
    }

    #[test]
    fn exponentials_are_those_of_the_standard_library() {
        for k in -800..=800i16 {
            let x = f32::from(k) * 0.1;
            let off = exp(x) / x.exp() - 1.0;
            assert!(off.abs() < 1e-5, "{x}: off by the share {off}");
        }
        assert!(exp(-1e9) < 1e-37 && exp(-1e9) > 0.0);
        assert!(exp(1e9).is_finite());
    }
}
