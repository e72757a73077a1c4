//! `range=fixed`, which takes `range-min` and `range-max`: three properties that are set one after the other.

use super::LiveSettings;
use crate::depthanything::DepthRange;

impl LiveSettings {
    /// Why a fixed range is asked for that is none; `None`: it is one, or not asked for.
    pub(in crate::depthanything) fn missing_range(&self) -> Option<String> {
        (self.range == DepthRange::Fixed && self.range_min >= self.range_max).then(|| {
            format!(
                "fixed needs range-min below range-max, and they are {} and {}",
                self.range_min, self.range_max
            )
        })
    }
}

/// The ends that a fixed range has while its properties change.
#[derive(Debug, Default, Clone)]
pub(super) struct Ends {
    /// The last that were ones.
    last: Option<(f64, f64)>,
    /// The present ones are none, which has been said.
    said: bool,
}

impl Ends {
    /// A property has been set.
    pub(super) fn note(&mut self, live: &LiveSettings) {
        let (min, max) = (live.range_min, live.range_max);
        if min < max {
            self.last = Some((min, max));
            self.said = false;
        }
    }

    /// What holds for the next frame, and what is to be said of it, once: the last ends where there are none.
    pub(super) fn for_frame(&mut self, mut live: LiveSettings) -> (LiveSettings, Option<String>) {
        let (Some(reason), Some((min, max))) = (live.missing_range(), self.last) else {
            return (live, None);
        };
        (live.range_min, live.range_max) = (min, max);
        let said = std::mem::replace(&mut self.said, true);
        let warning = format!("{reason}: {min} to {max} stays in use");
        (live, (!said).then_some(warning))
    }
}
