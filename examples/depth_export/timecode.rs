//! SMPTE timecodes: what a source counts its frames by, and what editors find a place by.

use std::fmt;

use gst_video::{VideoTimeCode, VideoTimeCodeFlags, VideoTimeCodeMeta};

/// A place on a counter of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timecode {
    /// Frames since 00:00:00:00.
    count: u64,
    /// Frames that a second of the display has: 30 for 29.97.
    pub(crate) per_second: u32,
    /// Numbers of frames are left out, so that 29.97 frames a second keep up with the clock.
    pub(crate) drop_frame: bool,
}

impl Timecode {
    /// From a frame's place on the counter. `None` of a rate that no timecode has.
    pub(crate) fn of_count(count: u64, per_second: u32, drop_frame: bool) -> Option<Self> {
        let plausible = (1..=1000).contains(&per_second);
        plausible.then_some(Self {
            count: count % day(per_second, drop_frame),
            per_second,
            drop_frame: drop_frame && per_second.is_multiple_of(30),
        })
    }

    /// From what is displayed.
    pub(crate) fn of_display(
        [hours, minutes, seconds, frames]: [u32; 4],
        per_second: u32,
        drop_frame: bool,
    ) -> Option<Self> {
        if minutes > 59 || seconds > 59 || frames >= per_second || hours > 23 {
            return None;
        }
        let drop_frame = drop_frame && per_second.is_multiple_of(30);
        let minute = u64::from(60 * hours + minutes);
        let shown = (60 * minute + u64::from(seconds)) * u64::from(per_second) + u64::from(frames);
        let dropped = if drop_frame {
            dropped(per_second) * (minute - minute / 10)
        } else {
            0
        };
        // a number that is left out stands for the one after
        Self::of_count(shown.saturating_sub(dropped), per_second, drop_frame)
    }

    /// Reads `01:00:00:00`, or `01:00:00;00` with numbers left out.
    pub(crate) fn parse(text: &str, per_second: u32) -> Option<Self> {
        let fields: Vec<_> = text.trim().split([':', ';', '.']).collect();
        let [hours, minutes, seconds, frames] = fields[..] else {
            return None;
        };
        let number = |text: &str| text.parse().ok();
        let fields = [
            number(hours)?,
            number(minutes)?,
            number(seconds)?,
            number(frames)?,
        ];
        Self::of_display(fields, per_second, text.contains([';', '.']))
    }

    /// Of a frame that brings its own.
    pub(crate) fn of_frame(frame: &gst::BufferRef) -> Option<Self> {
        let code = frame.meta::<VideoTimeCodeMeta>()?.tc();
        let (rate, scale) = (code.fps().numer(), code.fps().denom());
        if rate <= 0 || scale <= 0 {
            return None;
        }
        let per_second = u32::try_from((rate + scale - 1) / scale).ok()?;
        let drop_frame = code.flags().contains(VideoTimeCodeFlags::DROP_FRAME);
        let fields = [code.hours(), code.minutes(), code.seconds(), code.frames()];
        Self::of_display(fields, per_second, drop_frame)
    }

    /// So many frames later.
    pub(crate) fn later(self, frames: u64) -> Self {
        Self {
            count: (self.count + frames) % day(self.per_second, self.drop_frame),
            ..self
        }
    }

    /// As GStreamer has it, for a video of so many frames a second.
    pub(crate) fn in_rate(self, rate: gst::Fraction) -> VideoTimeCode {
        let [hours, minutes, seconds, frames] = self.display();
        let flags = if self.drop_frame {
            VideoTimeCodeFlags::DROP_FRAME
        } else {
            VideoTimeCodeFlags::empty()
        };
        VideoTimeCode::new(rate, None, flags, hours, minutes, seconds, frames, 0)
    }

    /// Hours, minutes, seconds and frames, as they are displayed.
    pub(crate) fn display(self) -> [u32; 4] {
        let rate = u64::from(self.per_second);
        let mut shown = self.count;
        if self.drop_frame {
            let drop = dropped(self.per_second);
            let (minute, ten) = (60 * rate - drop, 600 * rate - 9 * drop);
            let (tens, rest) = (shown / ten, shown % ten);
            // the first minute of ten has all its numbers
            let minutes = if rest < 60 * rate {
                0
            } else {
                1 + (rest - 60 * rate) / minute
            };
            shown += drop * (9 * tens + minutes);
        }
        let second = shown / rate;
        [second / 3600, second / 60 % 60, second % 60, shown % rate]
            .map(|field| u32::try_from(field).unwrap_or(0))
    }
}

/// Numbers left out at the begin of a minute.
fn dropped(per_second: u32) -> u64 {
    u64::from(per_second / 15)
}

/// Frames of 24 hours.
fn day(per_second: u32, drop_frame: bool) -> u64 {
    let ten = 600 * u64::from(per_second);
    let drop = if drop_frame && per_second.is_multiple_of(30) {
        9 * dropped(per_second)
    } else {
        0
    };
    144 * (ten - drop)
}

impl fmt::Display for Timecode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [hours, minutes, seconds, frames] = self.display();
        let mark = if self.drop_frame { ';' } else { ':' };
        write!(
            formatter,
            "{hours:02}:{minutes:02}:{seconds:02}{mark}{frames:02}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_displayed_comes_back() {
        for (per_second, drop) in [
            (24, false),
            (25, false),
            (30, false),
            (30, true),
            (60, true),
        ] {
            let mut last = String::new();
            for count in (0..200_000).chain(2_589_000..2_593_000) {
                let Some(code) = Timecode::of_count(count, per_second, drop) else {
                    panic!("{count}");
                };
                let text = code.to_string();
                assert_eq!(Timecode::parse(&text, per_second), Some(code), "{text}");
                assert_ne!(text, last);
                last = text;
            }
        }
    }

    #[test]
    fn numbers_are_left_out_as_smpte_says() {
        let after = |text: &str, frames| {
            let code = Timecode::parse(text, 30).expect("a timecode");
            code.later(frames).to_string()
        };
        assert_eq!(after("00:00:59;29", 1), "00:01:00;02");
        assert_eq!(after("00:09:59;29", 1), "00:10:00;00");
        assert_eq!(after("01:00:00;00", 107_892), "02:00:00;00");
        assert_eq!(after("23:59:59;29", 1), "00:00:00;00");
        assert_eq!(after("00:00:59:29", 1), "00:01:00:00");
        assert_eq!(Timecode::parse("01:00:00", 24), None);
        assert_eq!(Timecode::parse("01:00:00:24", 24), None);
        assert_eq!(Timecode::parse("01:00:00:00", 0), None);
    }
}
