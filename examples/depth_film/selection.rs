//! Which frames of a video go into the picture.

use std::sync::{Mutex, PoisonError};

/// Chooses frames evenly over a video, by time stamp, so that two branches of a pipeline agree on them.
pub(crate) struct Selection {
    wanted: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Time from one to the next; known from the first frame on.
    interval: Option<gst::ClockTime>,
    first: gst::ClockTime,
    chosen: Vec<gst::ClockTime>,
}

impl Selection {
    /// `wanted` frames, or fewer when the video has fewer.
    pub(crate) fn new(wanted: u64) -> Self {
        Self {
            wanted: wanted.max(1),
            state: Mutex::default(),
        }
    }

    /// Sees a frame before the branches part, and keeps it in mind if it is the next one wanted. `duration`
    /// is asked for at the first frame; where it is not known, frames are two seconds apart.
    pub(crate) fn offer(
        &self,
        pts: Option<gst::ClockTime>,
        duration: impl FnOnce() -> Option<gst::ClockTime>,
    ) {
        let Some(pts) = pts else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let interval = match state.interval {
            Some(interval) => interval,
            None => {
                let interval = duration().map(|duration| duration / self.wanted);
                let interval = interval.unwrap_or(gst::ClockTime::from_seconds(2));
                state.interval = Some(interval);
                state.first = pts;
                interval
            }
        };
        let number = state.chosen.len() as u64;
        if number < self.wanted && pts >= state.first + interval * number {
            state.chosen.push(pts);
        }
    }

    /// Whether the frame was chosen.
    pub(crate) fn holds(&self, pts: Option<gst::ClockTime>) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        pts.is_some_and(|pts| state.chosen.contains(&pts))
    }
}
