//! What the worker's threads do with a frame of a live stream.
//!
//! The source's thread may wait for them while it holds the lock of the sink pad's stream: nothing here takes that.

use std::time::Duration;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;

use super::imp::DepthAnything;
use super::job::Moment;
use super::worker::{Arrival, Depth, Handler, Judgement};
use crate::sync::lock;

/// The element, as the worker sees it.
pub(super) struct LiveWork(pub(super) super::DepthAnything);

impl LiveWork {
    fn imp(&self) -> &DepthAnything {
        self.0.imp()
    }

    fn may_repeat(&self) -> bool {
        self.imp().may_repeat()
    }
}

impl Handler for LiveWork {
    fn judge(&self, arrival: &Arrival, newer: bool) -> Judgement {
        let may_repeat =
            self.may_repeat() && self.imp().with_stream(|stream| stream.can_repeat()) == Some(true);
        self.imp().live.judge(&self.0, arrival, newer, may_repeat)
    }

    fn is_late(&self, arrival: &Arrival) -> bool {
        // a late frame may be repeated
        !self.may_repeat() && self.imp().live.is_late(&self.0, arrival)
    }

    fn is_early(&self, time: Option<i64>) -> bool {
        self.imp().live.is_early(&self.0, time)
    }

    fn dropped(&self, arrival: Arrival, by: Duration) {
        self.imp().skip();
        self.imp().live.dropped(&self.0, &arrival, by);
    }

    fn work(&self, arrival: Arrival, moment: Moment) -> Result<Vec<Depth>, gst::FlowError> {
        let imp = self.imp();
        imp.negotiate()?;
        if imp.in_flight() > 1 {
            imp.send(arrival.frame, arrival.span, moment)?;
            return self.collect(false);
        }
        let mut buffer = imp.depth_frame(&arrival.frame)?;
        let depth_frame = buffer.make_mut();
        imp.work_on(&arrival.frame, depth_frame, arrival.span, moment)?;
        let time = arrival.time;
        Ok(vec![Depth { buffer, time }])
    }

    fn collect(&self, all: bool) -> Result<Vec<Depth>, gst::FlowError> {
        let collected = std::iter::from_fn(|| self.imp().collect(all).transpose());
        collected
            .map(|depth| depth.map(|(buffer, time)| Depth { buffer, time }))
            .collect()
    }

    fn is_under_way(&self) -> bool {
        self.imp().with_stream(|stream| stream.is_under_way()) == Some(true)
    }

    fn network_is_awaited(&self) -> bool {
        self.imp().with_stream(|stream| stream.network_is_awaited()) == Some(true)
    }

    fn push(&self, depth: Depth) -> Result<(), gst::FlowError> {
        lock(&self.imp().stats).age = self.imp().live.age(&self.0, depth.time);
        self.0.src_pad().push(depth.buffer).map(drop)
    }

    fn panicked(&self, words: &str) {
        gst::element_imp_error!(
            self.imp(),
            gst::LibraryError::Failed,
            ("the element has panicked: {words}. Restart it, and please report this")
        );
    }
}
