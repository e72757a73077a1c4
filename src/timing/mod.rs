//! What is known of time: which frames of a live stream are late, how long one takes, which never came.
//!
//! No clock is read in here: the caller says what time it is, so that hours can be simulated.

mod gaps;
mod latency;
mod live;
mod pacing;
mod statistics;

pub(crate) use gaps::Stamp;
pub(crate) use live::{Age, Judgement, Live, Moment, Room, Span, Times};
pub(crate) use statistics::{Durations, Rate};
