//! A frame in the element, from the sink pad to the source pad: judged by the pipeline's clock, worked on, pushed.
//!
//! ```text
//! sink pad ──▶ judged ──▶ intake ──▶ network ──▶ packing ──▶ source pad
//! ```
//!
//! Where the source is live, threads of the element's own do that, which the source never waits for; else the source's
//! thread does. The source's thread may wait for the others while it holds the lock of the sink pad's stream: nothing that
//! they do takes that.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_transform::{
    GenerateOutputSuccess, InputBuffer, PrepareOutputBufferSuccess,
};
use gst_base::subclass::prelude::*;

use super::CAT;
use super::messages::{self, Report};
use crate::error::Error;
use crate::inference::sizes::Reason;
use crate::sync::lock;
use crate::threads::Handler;
use crate::timing::{Judgement, Moment, Span, Stamp, Times};

/// Longer latencies are none that a pipeline could be set to.
const LONGEST: Duration = Duration::from_secs(3600);

type Arrival = crate::threads::Arrival<gst::Buffer>;
type Depth = crate::threads::Depth<gst::Buffer>;

/// The element, as those see it who work on its frames.
pub(super) struct Frames(pub(super) super::DepthAnything);

impl Frames {
    /// Counts the frames that should have come before this one and did not.
    pub(super) fn count_missing(&self, frame: &gst::BufferRef) {
        let missing = self.0.imp().live.missing(Stamp {
            time: frame.pts().map(Into::into),
            offset: Some(frame.offset())
                .filter(|&offset| offset != gst::ffi::GST_BUFFER_OFFSET_NONE),
        });
        if missing > 0 {
            lock(&self.0.imp().stats).missing += missing;
        }
    }

    /// Whether frames are worked on by threads of their own, so that a live source is not held up.
    pub(super) fn have_worker(&self) -> bool {
        let imp = self.0.imp();
        let handler = || -> Arc<dyn Handler<_, _>> { Arc::new(Self(self.0.clone())) };
        imp.live.is_live() && imp.worker.start(handler)
    }

    /// Takes a frame to where its depth is pushed, or to the threads that do so. Gives the depth frame if the base class is to
    /// push it.
    ///
    /// # Errors
    /// What has become of it, or of frames before it.
    pub(super) fn pass(&self, frame: gst::Buffer) -> Result<GenerateOutputSuccess, gst::FlowError> {
        let imp = self.0.imp();
        if self.have_worker() {
            self.submit(frame)?;
            return Ok(GenerateOutputSuccess::NoOutput);
        }
        // a source may turn out not to be live after all
        imp.worker.drain()?;
        imp.session.negotiate(&self.0)?;
        let time = self.running_time(&frame);
        let arrival = Arrival {
            span: self.span(&frame),
            frame,
            time,
            came: None,
        };
        match imp.live.take(time, arrival.span, self.0.is_qos()) {
            Judgement::Drop(by) => {
                self.dropped(arrival, by);
                Ok(GenerateOutputSuccess::Dropped)
            }
            Judgement::Work(moment) if self.in_flight() == 1 => {
                let done = self.take_in(arrival, moment)?;
                // the base class pushes it, and knows its position then
                Ok(done.map_or(GenerateOutputSuccess::NoOutput, |depth| {
                    GenerateOutputSuccess::Buffer(depth.buffer)
                }))
            }
            Judgement::Work(moment) => {
                // not by the base class, which marks whatever it pushes next as the frame after a discontinuity
                let mut done = self.take_in(arrival, moment)?;
                while let Some(depth) = done {
                    self.push(depth)?;
                    done = self.next(false)?;
                }
                Ok(GenerateOutputSuccess::NoOutput)
            }
        }
    }

    /// Gives a frame of a live source to the threads that work on it.
    fn submit(&self, frame: gst::Buffer) -> Result<(), gst::FlowError> {
        let imp = self.0.imp();
        let time = self.running_time(&frame);
        if let Some(time) = time {
            imp.live.arrive(time);
        }
        let room = imp
            .live
            .room(self.now(), frame.size(), self.0.is_qos(), self.may_repeat());
        let arrival = Arrival {
            span: self.span(&frame),
            frame,
            time,
            came: self.now(),
        };
        imp.worker.submit(arrival, room, self)
    }

    /// Waits for the frames under way and pushes their depth, before something that comes after them.
    ///
    /// # Errors
    /// What has become of them.
    pub(super) fn drain(&self) -> Result<(), gst::FlowError> {
        self.0.imp().worker.drain()?;
        // before the model is loaded there is no stream
        if self.in_flight() > 1 && self.0.imp().session.has_stream() {
            while let Some(depth) = self.next(true)? {
                self.push(depth)?;
            }
        }
        Ok(())
    }

    fn in_flight(&self) -> u32 {
        lock(&self.0.imp().settings).load.in_flight
    }

    /// Whether depth is repeated on purpose, and so may be where frames are late.
    fn may_repeat(&self) -> bool {
        lock(&self.0.imp().settings).live.inference_interval > 1
    }

    /// An empty depth frame for `frame`, with its times, flags and metas.
    fn depth_frame(&self, frame: &gst::Buffer) -> Result<gst::Buffer, gst::FlowError> {
        let imp = self.0.imp();
        let prepared = imp.parent_prepare_output_buffer(InputBuffer::Readable(frame))?;
        let PrepareOutputBufferSuccess::Buffer(mut depth_frame) = prepared else {
            return Err(gst::FlowError::Error);
        };
        if imp.skipped.swap(false, Ordering::Relaxed) {
            let depth_frame = depth_frame.make_mut();
            depth_frame.set_flags(gst::BufferFlags::DISCONT);
        }
        Ok(depth_frame)
    }

    /// Takes a frame in. Gives the next depth frame in order that is done: its own, or, where several are in flight, one
    /// before it, if any.
    fn take_in(&self, arrival: Arrival, moment: Moment) -> Result<Option<Depth>, gst::FlowError> {
        let imp = self.0.imp();
        imp.session.negotiate(&self.0)?;
        let frame = arrival.frame;
        let mut depth_frame = self.depth_frame(&frame)?;
        let live = imp.live_settings();
        if self.in_flight() > 1 {
            let sent = imp
                .session
                .with_stream(|stream| stream.send(frame, depth_frame, &live, moment));
            let sent = sent.ok_or(gst::FlowError::Flushing)?;
            sent.map_err(|error| imp.fail(&error))?;
            return self.next(false);
        }
        let writable = depth_frame.make_mut();
        let processed = imp
            .session
            .with_stream(|stream| stream.process(&frame, writable, &live, moment))
            .ok_or(gst::FlowError::Flushing)?;
        if let Err(Error::ServersAway { .. }) = processed {
            self.give_up(frame, moment);
            return Ok(None);
        }
        let report = processed
            .map_err(|error| imp.fail(&error))?
            .ok_or(gst::FlowError::Flushing)?;
        self.done(depth_frame, &report).map(Some)
    }

    /// A frame of a live source for which no server was there.
    fn give_up(&self, frame: gst::Buffer, moment: Moment) {
        let arrival = Arrival {
            frame,
            span: moment.span,
            time: moment.time,
            came: None,
        };
        let late = self.now().zip(moment.time).map(|(now, time)| now - time);
        let late = late.and_then(|late| u64::try_from(late).ok());
        self.dropped(arrival, Duration::from_nanos(late.unwrap_or(0)));
    }

    /// The next depth frame in order; see [`super::stream::Stream::collect`].
    fn next(&self, all: bool) -> Result<Option<Depth>, gst::FlowError> {
        let imp = self.0.imp();
        let collected = imp
            .session
            .with_stream(|stream| (stream.collect(all), stream.take_given_up()));
        let (collected, given_up) = collected.ok_or(gst::FlowError::Flushing)?;
        for (frame, moment) in given_up {
            self.give_up(frame, moment);
        }
        let Some((buffer, report)) = collected.map_err(|error| imp.fail(&error))? else {
            return Ok(None);
        };
        self.done(buffer, &report).map(Some)
    }

    /// Gives a depth frame its meta, counts it, tells what has changed by it.
    fn done(&self, mut buffer: gst::Buffer, report: &Report) -> Result<Depth, gst::FlowError> {
        let imp = self.0.imp();
        gst::log!(
            CAT,
            obj = self.0,
            "{} at {}: network {:?}, around it {:?}",
            buffer.pts().display(),
            report.meta.network,
            report.inference,
            report.convert
        );
        report.meta.attach(buffer.make_mut()).map_err(|error| {
            gst::element_error!(self.0, gst::CoreError::Failed, ("{error}"));
            gst::FlowError::Error
        })?;
        let age = imp.live.age(self.now(), report.time);
        lock(&imp.stats).count(report, age);
        let sizes = || {
            let stats = lock(&imp.stats);
            (stats.network, stats.detail)
        };
        if !report.steps.is_empty() {
            imp.live.resized();
        }
        let (_, detail) = sizes();
        for &(network, reason) in &report.steps {
            gst::info!(CAT, obj = self.0, "{network} from here on: {reason:?}");
            messages::post_resolution(self.0.upcast_ref(), network, detail, reason);
            if reason == Reason::Property {
                self.forgive();
            }
        }
        if let Some((detail, reason)) = report.detail_step {
            gst::info!(
                CAT,
                obj = self.0,
                "detail of {detail} from here on: {reason:?}"
            );
            imp.live.resized();
            messages::post_resolution(self.0.upcast_ref(), sizes().0, detail, reason);
            if reason == Reason::Property {
                self.forgive();
            }
        }
        if let Some(warning) = &report.warning {
            imp.warn(warning);
        }
        if report.invalid > 0 {
            gst::warning!(
                CAT,
                obj = self.0,
                "{} values are NaN or infinite: 0",
                report.invalid
            );
        }
        if report.inference.is_some() {
            self.observe(report.total);
        }
        Ok(Depth {
            bytes: buffer.size(),
            buffer,
            time: report.time,
        })
    }
}

/// What is done to each frame, whoever does it.
impl Handler<gst::Buffer, gst::FlowError> for Frames {
    fn judge(&self, arrival: &Arrival, newer: bool) -> Judgement {
        let imp = self.0.imp();
        let can_repeat = || imp.session.with_stream(|stream| stream.can_repeat()) == Some(true);
        let may_repeat = self.may_repeat() && can_repeat();
        imp.live.judge(
            self.now(),
            times(arrival),
            arrival.span,
            newer,
            self.0.is_qos(),
            may_repeat,
        )
    }

    fn is_late(&self, arrival: &Arrival) -> bool {
        // a late frame may be repeated
        !self.may_repeat()
            && self.0.is_qos()
            && self.0.imp().live.is_late(self.now(), times(arrival))
    }

    fn is_early(&self, time: Option<i64>) -> bool {
        self.0.imp().live.is_early(self.now(), time)
    }

    fn dropped(&self, arrival: Arrival, by: Duration) {
        let imp = self.0.imp();
        lock(&imp.stats).dropped += 1;
        imp.skipped.store(true, Ordering::Relaxed);
        let waited = self
            .now()
            .zip(arrival.came)
            .and_then(|(now, came)| u64::try_from(now - came).ok());
        let by = by.max(Duration::from_nanos(waited.unwrap_or(0)));
        gst::debug!(
            CAT,
            obj = self.0,
            "{} is {by:?} late",
            arrival.frame.pts().display()
        );
        self.post_qos(&arrival, by);
    }

    fn work(&self, arrival: Arrival, moment: Moment) -> Result<Vec<Depth>, gst::FlowError> {
        let mut depths = Vec::new();
        let mut done = self.take_in(arrival, moment)?;
        while let Some(depth) = done {
            depths.push(depth);
            done = self.next(false)?;
        }
        Ok(depths)
    }

    fn collect(&self, all: bool) -> Result<Vec<Depth>, gst::FlowError> {
        std::iter::from_fn(|| self.next(all).transpose()).collect()
    }

    fn is_under_way(&self) -> bool {
        let session = &self.0.imp().session;
        session.with_stream(|stream| stream.is_under_way()) == Some(true)
    }

    fn network_is_awaited(&self) -> bool {
        let session = &self.0.imp().session;
        session.with_stream(|stream| stream.network_is_awaited()) == Some(true)
    }

    fn push(&self, depth: Depth) -> Result<(), gst::FlowError> {
        let imp = self.0.imp();
        lock(&imp.stats).age = imp.live.age(self.now(), depth.time);
        self.0.src_pad().push(depth.buffer).map(drop)
    }

    fn panicked(&self, words: &str) -> gst::FlowError {
        gst::element_error!(
            self.0,
            gst::LibraryError::Failed,
            ("the element has panicked: {words}. Restart it, and please report this")
        );
        gst::FlowError::Error
    }
}

/// The pipeline's clock.
impl Frames {
    /// The pipeline's running time, while it runs.
    fn now(&self) -> Option<i64> {
        (self.0.current_state() == gst::State::Playing)
            .then(|| self.0.current_running_time())
            .flatten()
            .map(signed)
    }

    /// When a frame is due.
    fn running_time(&self, frame: &gst::BufferRef) -> Option<i64> {
        let segment = self.0.segment();
        let segment = segment.downcast_ref::<gst::ClockTime>()?;
        segment.to_running_time(frame.pts()).map(signed)
    }

    /// Where in the video a frame is.
    fn span(&self, frame: &gst::BufferRef) -> Span {
        let segment = self.0.segment();
        let Some(segment) = segment.downcast_ref::<gst::ClockTime>() else {
            return Span::default();
        };
        let end = frame.pts().zip(frame.duration());
        let end = end.and_then(|(start, duration)| start.checked_add(duration));
        [frame.pts(), end].map(|time| segment.to_stream_time(time).map(signed))
    }

    /// Somebody has asked for a change that a frame or two may take longer for.
    pub(super) fn forgive(&self) {
        self.0.imp().live.forgive(self.now());
    }

    /// Frames come at this rate, from a source that is live or not. Gives the time between two, where somebody waits for
    /// them.
    pub(super) fn set_rate(&self, rate: gst::Fraction) -> Option<Duration> {
        let mut query = gst::query::Latency::new();
        let answered = self.0.sink_pad().peer_query(&mut query);
        let (live, latency, _) = query.result();
        let upstream = (answered && live).then(|| latency.into());
        let rate = (rate.numer(), rate.denom());
        self.0.imp().live.set_rate(rate, upstream)
    }

    /// A sink has found frames to be late or early.
    pub(super) fn hear_qos(&self, event: &gst::event::Qos) {
        let (_, _, difference, timestamp) = event.get();
        if let Some(timestamp) = timestamp {
            let earliest = signed(timestamp).saturating_add(difference);
            self.0.imp().live.set_earliest(earliest);
        }
    }

    /// A frame took so long. Tells the pipeline if that is news.
    fn observe(&self, time: Duration) {
        if let Some(latency) = self.0.imp().live.observe(self.now(), time) {
            gst::debug!(CAT, obj = self.0, "a frame takes up to {latency:?}");
            let message = gst::message::Latency::builder().src(&self.0).build();
            // fails only without a bus, when nobody would listen
            let _ = self.0.post_message(message);
        }
    }

    /// Answers with the latency of everything upstream and the element's own.
    pub(super) fn answer_latency(&self, query: &mut gst::query::Latency) -> bool {
        let mut upstream = gst::query::Latency::new();
        if !self.0.sink_pad().peer_query(&mut upstream) {
            return false;
        }
        let (live, min, max) = upstream.result();
        let own = self.0.imp().live.latency(live.then(|| min.into()));
        let own = gst::ClockTime::try_from(own.min(LONGEST)).unwrap_or(gst::ClockTime::ZERO);
        gst::log!(
            CAT,
            obj = self.0,
            "latency: upstream {min}, own {own}, live {live}"
        );
        query.set(live, min + own, max.map(|max| max + own));
        true
    }

    /// Tells of a frame that was dropped for being late by so much.
    fn post_qos(&self, arrival: &Arrival, by: Duration) {
        let (worked_on, dropped) = self.0.imp().live.dropped();
        let time = |time: Option<i64>| {
            let time = time.and_then(|time| u64::try_from(time).ok());
            time.map(gst::ClockTime::from_nseconds)
        };
        let message = gst::message::Qos::builder(true)
            .src(&self.0)
            .running_time(time(arrival.time))
            .stream_time(time(arrival.span[0]))
            .timestamp(arrival.frame.pts())
            .duration(arrival.frame.duration())
            .values(
                i64::try_from(by.as_nanos()).unwrap_or(i64::MAX),
                1.0,
                1_000_000,
            )
            .stats(
                gst::format::Buffers::from_u64(worked_on),
                gst::format::Buffers::from_u64(dropped),
            )
            .build();
        let _ = self.0.post_message(message);
    }
}

fn times(arrival: &Arrival) -> Times {
    Times {
        time: arrival.time,
        came: arrival.came,
    }
}

fn signed(time: gst::ClockTime) -> i64 {
    i64::try_from(time.nseconds()).unwrap_or(i64::MAX)
}
