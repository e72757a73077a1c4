//! Several frames under way.

use std::sync::Arc;
use std::time::Duration;

use super::{Report, Stream, not_negotiated};
use crate::depthanything::flight::{Flight, InFlightFrame, Outcome};
use crate::depthanything::job::Moment;
use crate::depthanything::settings::LiveSettings;
use crate::error::{Error, Setting};

impl Stream {
    /// Takes a frame in, whose depth is to be laid on `depth_frame`, without waiting for it.
    ///
    /// # Errors
    /// When the frame can't be read.
    pub(in crate::depthanything) fn send(
        &mut self,
        frame: gst::Buffer,
        depth_frame: gst::Buffer,
        live: &LiveSettings,
        moment: Moment,
    ) -> Result<(), Error> {
        let job = self.begin(&frame, live, moment)?;
        let format = self.format.as_ref().ok_or_else(not_negotiated)?;
        let in_flight = InFlightFrame {
            due: job.begun + format.slack,
            depth_info: Arc::clone(&format.depth),
            job,
            frame,
            depth_frame,
            outcome: Outcome::None,
        };
        let flight = match &mut self.flight {
            Some(flight) => flight,
            none => {
                let packer = Arc::clone(&self.packer);
                let flight = Flight::new(self.network.same(), packer, self.landed.clone());
                none.insert(flight.map_err(|error| Error::Setting {
                    setting: Setting::InFlight,
                    reason: format!("no thread can be started ({error})"),
                })?)
            }
        };
        flight.send(in_flight)
    }

    /// Whether a frame that is under way has not reached the network yet: another would only grow old behind it.
    pub(in crate::depthanything) fn network_is_awaited(&self) -> bool {
        self.flight.as_ref().is_some_and(Flight::network_is_awaited)
    }

    /// Whether [`Self::collect`] has more to give, now or later.
    pub(in crate::depthanything) fn is_under_way(&self) -> bool {
        let count = self.flight.as_ref().map_or(0, Flight::count);
        count + self.done.len() > 0
    }

    /// The next depth frame in order. `all`: waits for whatever is under way; else only where as many frames are under
    /// way as may be.
    ///
    /// # Errors
    /// That of the frame whose turn it is; the ones after it can be collected.
    pub(in crate::depthanything) fn collect(
        &mut self,
        all: bool,
    ) -> Result<Option<(gst::Buffer, Report)>, Error> {
        loop {
            if let Some(done) = self.done.pop_front() {
                return Ok(Some(done));
            }
            let Some(flight) = &mut self.flight else {
                return Ok(None);
            };
            let wait = all || flight.count() >= self.in_flight;
            let Some(in_flight) = flight.next(wait)? else {
                return Ok(None);
            };
            if let Outcome::Failed(Error::OutOfMemory { .. }) = in_flight.outcome {
                // everything is finished first, so that this frame can be taken through at a smaller size
                let mut in_order = flight.all()?;
                in_order.push_front(in_flight);
                for in_flight in in_order {
                    let finished = self.settle_frame(in_flight)?;
                    self.done.extend(finished);
                }
                continue;
            }
            if let Some(finished) = self.settle_frame(in_flight)? {
                return Ok(Some(finished));
            }
        }
    }

    /// What has become of a frame that was under way; `None`: nothing, as somebody flushes.
    fn settle_frame(
        &mut self,
        in_flight: InFlightFrame,
    ) -> Result<Option<(gst::Buffer, Report)>, Error> {
        let InFlightFrame {
            job,
            frame,
            mut depth_frame,
            outcome,
            ..
        } = in_flight;
        match outcome {
            Outcome::Depth(meta, invalid) => {
                let network = job
                    .timing
                    .map_or(Duration::ZERO, |timing| timing.waited + timing.inference);
                let pace = network.max(job.reading).max(job.writing);
                let report = self.finish(job, meta, invalid, pace);
                Ok(Some((depth_frame, report)))
            }
            Outcome::Failed(error @ Error::OutOfMemory { .. }) => {
                let Some(depth) = depth_frame.get_mut() else {
                    return Err(error);
                };
                let report = self.complete(job, Some(error), &frame, depth)?;
                Ok(report.map(|report| (depth_frame, report)))
            }
            Outcome::Failed(error) => {
                self.abandon(job);
                Err(error)
            }
            Outcome::Interrupted | Outcome::None => {
                self.abandon(job);
                Ok(None)
            }
        }
    }

    /// Throws away what is under way: after a flush.
    pub(in crate::depthanything) fn discard(&mut self) {
        self.done.clear();
        if let Some(flight) = &mut self.flight
            && flight.all().is_err()
        {
            self.flight = None;
        }
    }
}
