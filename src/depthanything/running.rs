//! What the element does while it runs, between GStreamer's virtual methods and the stream.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_transform::{InputBuffer, PrepareOutputBufferSuccess};
use gst_base::subclass::prelude::*;

use super::errors::ToMessage;
use super::imp::{DepthAnything, Pending};
use super::job::{Moment, Span};
use super::live_work::LiveWork;
use super::messages::{self, EngineNews, Reason};
use super::settings::{LiveSettings, LoadSettings};
use super::starting::Starting;
use super::stream::{Compilation, Report, Stream};
use super::warning::Warning;
use super::worker::{Arrival, Handler};
use super::{CAT, loading};
use crate::engine::ep::short_name;
use crate::engine::shared::Interrupt;
use crate::error::{Error, Setting};
use crate::model::Cancel;
use crate::sync::lock;

/// The start of the element waits for its model no longer than this, as who stops it has to wait for the start.
const MOMENT: Duration = Duration::from_millis(200);

impl DepthAnything {
    /// Works on the stream without holding its lock; `None`: there is none.
    pub(super) fn with_stream<T>(&self, work: impl FnOnce(&mut Stream) -> T) -> Option<T> {
        let mut stream = lock(&self.stream).take()?;
        let result = work(&mut stream);
        *lock(&self.stream) = Some(stream);
        Some(result)
    }

    /// Loads the model on a thread of its own. What goes wrong soon fails the start, and what goes wrong later is told by a
    /// message.
    pub(super) fn start_loading(&self, settings: &LoadSettings) -> Result<(), Error> {
        let [loads, installs, fails] = [(); 3].map(|()| self.obj().clone());
        let of_thread = settings.clone();
        let starting = Starting::begin(
            move |cancel| loads.imp().load(&of_thread, cancel),
            move |(stream, interrupt)| installs.imp().install(stream, interrupt),
            move |error| fails.post_error_message(error.to_message()),
        );
        let Ok(starting) = starting else {
            // no thread is to be had: here, then
            let (stream, interrupt) = self.load(settings, Cancel::default())?;
            self.install(stream, interrupt);
            return Ok(());
        };
        match starting.wait_a_moment(MOMENT) {
            Some(result) => result,
            None => {
                *lock(&self.starting) = Some(starting);
                Ok(())
            }
        }
    }

    /// Whether the model is still being loaded.
    pub(super) fn is_loading(&self) -> bool {
        let starting = lock(&self.starting).clone();
        starting.is_some_and(|starting| !starting.is_done())
    }

    /// Waits until the model is loaded.
    ///
    /// # Errors
    /// When that has failed, which has been told, or somebody flushes or stops meanwhile.
    fn await_loading(&self) -> Result<(), gst::FlowError> {
        let starting = lock(&self.starting).clone();
        let Some(starting) = starting else {
            return Ok(());
        };
        match starting.wait() {
            Some(Ok(())) => {
                *lock(&self.starting) = None;
                Ok(())
            }
            Some(Err(_)) => Err(gst::FlowError::Error),
            None => Err(gst::FlowError::Flushing),
        }
    }

    /// Tells the stream the formats that were negotiated last, if it has not been told yet, once the model is loaded.
    ///
    /// # Errors
    /// When the model can't be loaded, or frames can't be worked on, which has been told; when somebody flushes or stops.
    pub(super) fn negotiate(&self) -> Result<(), gst::FlowError> {
        if lock(&self.pending).is_none() {
            return Ok(());
        }
        self.await_loading()?;
        let Some(Pending { frame, depth, pace }) = lock(&self.pending).take() else {
            return Ok(());
        };
        let live = self.live_settings();
        let (negotiated, network, converts) = self
            .with_stream(|stream| {
                let negotiated = stream.set_format(&frame, &depth, &live, pace)?;
                Ok((negotiated, stream.network_size(), stream.converts()))
            })
            .ok_or(gst::FlowError::Flushing)?
            .map_err(|error: Error| {
                let _ = self.fail(&error);
                gst::FlowError::NotNegotiated
            })?;
        if converts {
            gst::info!(
                CAT,
                imp = self,
                "{} is converted to RGB first; 8-bit RGB, and 4:2:0, 4:2:2 and 4:4:4 of 8 to 12 bits are not",
                frame.format().to_str()
            );
        }
        if let Some(warning) = &negotiated.warning {
            self.warn(warning);
        }
        if let (Some(reason), Some(network)) = (negotiated.reason, network) {
            gst::info!(CAT, imp = self, "the network sees {network}");
            lock(&self.stats).network = network;
            messages::post_resolution(self.obj().upcast_ref(), network, reason);
        }
        Ok(())
    }

    /// Finds the runtime, loads the model, says so on the bus.
    fn load(&self, settings: &LoadSettings, cancel: Cancel) -> Result<(Stream, Interrupt), Error> {
        let network = loading::load(&self.obj(), settings, cancel)?;
        let interrupt = network.interrupt();
        let mut stream = Stream::new(network, settings)?;
        stream.tell_landed(self.worker.landed());
        let element = self.obj().downgrade();
        stream.tell_compilations(Box::new(move |news| {
            if let Some(element) = element.upgrade() {
                element.imp().tell_compilation(news);
            }
        }));
        Ok((stream, interrupt))
    }

    /// From here on frames run through `stream`.
    fn install(&self, stream: Stream, interrupt: Interrupt) {
        {
            let network = stream.network();
            let mut stats = lock(&self.stats);
            stats.provider.clone_from(&network.description().provider);
            stats.precision.clone_from(&network.description().precision);
            stats.stream_count = network.stream_count();
        }
        *lock(&self.interrupt) = Some(interrupt);
        *lock(&self.stream) = Some(stream);
    }

    /// A size is compiled, or has been.
    fn tell_compilation(&self, news: Compilation) {
        let (provider, precision) = {
            let stats = lock(&self.stats);
            (stats.provider.clone(), stats.precision.clone())
        };
        let news = EngineNews {
            stage: if news.is_done { "ready" } else { "compiling" },
            provider: short_name(&provider).to_owned(),
            precision,
            elapsed: news.elapsed,
            reason: news.size.to_string(),
        };
        gst::info!(
            CAT,
            imp = self,
            "{} for {} after {:?}",
            news.stage,
            news.reason,
            news.elapsed
        );
        messages::post_engine(self.obj().upcast_ref(), &news);
    }

    /// A wait for the network ends, or work is done again.
    pub(super) fn set_interrupted(&self, interrupted: bool) {
        if let Some(starting) = lock(&self.starting).as_ref() {
            starting.interrupt(interrupted);
        }
        if let Some(interrupt) = lock(&self.interrupt).as_ref() {
            interrupt.set(interrupted);
        }
    }

    /// Counts a frame that has been dropped.
    pub(super) fn skip(&self) {
        lock(&self.stats).dropped += 1;
        self.skipped.store(true, Ordering::Relaxed);
    }

    /// Counts a frame and tells what has changed by it.
    fn account(&self, report: &Report) {
        let age = self.live.age(&self.obj(), report.time);
        {
            let mut stats = lock(&self.stats);
            stats.frames += 1;
            stats.age = age;
            stats.rate.push(Instant::now());
            stats.invalid_values += report.invalid;
            stats.convert_time.push(report.convert);
            match report.inference {
                Some(time) => {
                    stats.inferences += 1;
                    stats.inference_time.push(time);
                }
                None => stats.repeated += 1,
            }
            if let Some(&(network, _)) = report.steps.last() {
                stats.inference_time.clear();
                stats.network = network;
            }
        }
        if !report.steps.is_empty() {
            self.live.resized();
        }
        for &(network, reason) in &report.steps {
            gst::info!(CAT, imp = self, "{network} from here on: {reason:?}");
            messages::post_resolution(self.obj().upcast_ref(), network, reason);
            if reason == Reason::Property {
                self.live.forgive(&self.obj());
            }
        }
        if let Some(warning) = &report.warning {
            self.warn(warning);
        }
        if report.invalid > 0 {
            gst::warning!(
                CAT,
                imp = self,
                "{} values are NaN or infinite: 0",
                report.invalid
            );
        }
        if report.inference.is_some() {
            self.live.observe(&self.obj(), report.total);
        }
    }

    /// Says what went wrong without ending the stream. A size that was refused is not what the properties say any more.
    pub(super) fn warn(&self, warning: &Warning) {
        match warning {
            Warning::Memory(error) => gst::element_imp_warning!(
                self,
                gst::ResourceError::NoSpaceLeft,
                ("{error}. The stream goes on at a lower resolution")
            ),
            Warning::Saturation(saturation) => gst::element_imp_warning!(
                self,
                gst::LibraryError::Settings,
                (
                    "the model gives {:.1} m, and samples of depth-unit={} end at {:.1} m: what is farther is 65535. A \
                     larger depth-unit reaches farther; it is set before the element starts",
                    saturation.farthest,
                    saturation.unit,
                    saturation.unit * 65535.0
                )
            ),
            Warning::Floor(asked) => gst::element_imp_warning!(
                self,
                gst::LibraryError::Settings,
                (
                    "min-resolution={} is above resolution={}, which stays as it is",
                    asked.min_resolution,
                    asked.resolution
                )
            ),
            Warning::Refused { asked, kept, error } => {
                gst::element_imp_warning!(
                    self,
                    gst::LibraryError::Settings,
                    ("{error}. The resolution stays what it was")
                );
                let (resolution, min_resolution) = {
                    let live = &mut lock(&self.settings).live;
                    let changed = (
                        live.resolution == asked.resolution && asked.resolution != kept.resolution,
                        live.min_resolution == asked.min_resolution
                            && asked.min_resolution != kept.min_resolution,
                    );
                    if changed.0 {
                        live.resolution = kept.resolution;
                    }
                    if changed.1 {
                        live.min_resolution = kept.min_resolution;
                    }
                    changed
                };
                let element = self.obj();
                if resolution {
                    element.notify("resolution");
                }
                if min_resolution {
                    element.notify("min-resolution");
                }
            }
        }
    }

    pub(super) fn fail(&self, error: &Error) -> gst::FlowError {
        gst::error!(CAT, imp = self, "{error}");
        self.post_error_message(error.to_message());
        gst::FlowError::Error
    }

    /// Whether depth is repeated on purpose, and so may be where frames are late.
    pub(super) fn may_repeat(&self) -> bool {
        lock(&self.settings).live.inference_interval > 1
    }

    pub(super) fn in_flight(&self) -> u32 {
        lock(&self.settings).load.in_flight
    }

    /// Where in the video a frame is.
    pub(super) fn span(&self, frame: &gst::BufferRef) -> Span {
        let segment = self.obj().segment();
        let Some(segment) = segment.downcast_ref::<gst::ClockTime>() else {
            return Span::default();
        };
        let end = frame.pts().zip(frame.duration());
        let end = end.and_then(|(start, duration)| start.checked_add(duration));
        [frame.pts(), end].map(|time| segment.to_stream_time(time))
    }

    /// An empty depth frame for `frame`, with its times, flags and metas.
    pub(super) fn depth_frame(&self, frame: &gst::Buffer) -> Result<gst::Buffer, gst::FlowError> {
        let prepared = self.parent_prepare_output_buffer(InputBuffer::Readable(frame))?;
        let PrepareOutputBufferSuccess::Buffer(mut depth_frame) = prepared else {
            return Err(gst::FlowError::Error);
        };
        if self.skipped.swap(false, Ordering::Relaxed) {
            let depth_frame = depth_frame.make_mut();
            depth_frame.set_flags(gst::BufferFlags::DISCONT);
        }
        Ok(depth_frame)
    }

    /// Takes a frame through the network and lays its depth on `depth_frame`.
    pub(super) fn work_on(
        &self,
        frame: &gst::BufferRef,
        depth_frame: &mut gst::BufferRef,
        span: Span,
        moment: Moment,
    ) -> Result<(), gst::FlowError> {
        let live = self.live_settings();
        let report = self
            .with_stream(|stream| {
                stream.place(span);
                stream.process(frame, depth_frame, &live, moment)
            })
            .ok_or(gst::FlowError::Flushing)?
            .map_err(|error| self.fail(&error))?
            .ok_or(gst::FlowError::Flushing)?;
        self.dispatch(&report, depth_frame)
    }

    /// Sends a frame off, to be collected later.
    pub(super) fn send(
        &self,
        frame: gst::Buffer,
        span: Span,
        moment: Moment,
    ) -> Result<(), gst::FlowError> {
        let depth_frame = self.depth_frame(&frame)?;
        let live = self.live_settings();
        let sent = self.with_stream(|stream| {
            stream.place(span);
            stream.send(frame, depth_frame, &live, moment)
        });
        let sent = sent.ok_or(gst::FlowError::Flushing)?;
        sent.map_err(|error| self.fail(&error))
    }

    /// The next depth frame in order, with its running time; see [`Stream::collect`].
    pub(super) fn collect(
        &self,
        all: bool,
    ) -> Result<Option<(gst::Buffer, Option<i64>)>, gst::FlowError> {
        let collected = self.with_stream(|stream| stream.collect(all));
        let collected = collected.ok_or(gst::FlowError::Flushing)?;
        let Some((mut depth, report)) = collected.map_err(|error| self.fail(&error))? else {
            return Ok(None);
        };
        self.dispatch(&report, depth.make_mut())?;
        Ok(Some((depth, report.time)))
    }

    /// Gives a frame of a live source to the threads that work on it.
    pub(super) fn submit(&self, frame: gst::Buffer) -> Result<(), gst::FlowError> {
        let (time, came) = self.live.arrive(&self.obj(), &frame);
        let may_repeat = self.may_repeat();
        let room = self.live.room(&self.obj(), frame.size(), may_repeat);
        let arrival = Arrival {
            span: self.span(&frame),
            frame,
            time,
            came,
        };
        let work = LiveWork(self.obj().clone());
        self.worker.submit(arrival, room, &work)
    }

    /// Whether frames are worked on by threads of their own, so that a live source is not held up.
    pub(super) fn has_worker(&self) -> bool {
        let work = || -> Arc<dyn Handler> { Arc::new(LiveWork(self.obj().clone())) };
        self.live.is_live() && self.worker.start(work)
    }

    /// Waits for the frames under way and pushes their depth, before something that comes after them.
    pub(super) fn drain(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.worker.drain()?;
        // before the model is loaded there is no stream
        if self.in_flight() > 1 && lock(&self.stream).is_some() {
            while let Some((depth, _)) = self.collect(true)? {
                self.obj().src_pad().push(depth)?;
            }
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// Gives a depth frame its meta, and accounts for it.
    pub(super) fn dispatch(
        &self,
        report: &Report,
        depth: &mut gst::BufferRef,
    ) -> Result<(), gst::FlowError> {
        gst::log!(
            CAT,
            imp = self,
            "{} at {}: network {:?}, around it {:?}",
            depth.pts().display(),
            report.meta.network,
            report.inference,
            report.convert
        );
        report.meta.attach(depth).map_err(|error| {
            gst::element_imp_error!(self, gst::CoreError::Failed, ("{error}"));
            gst::FlowError::Error
        })?;
        self.account(report);
        Ok(())
    }

    /// A fixed range needs two ends; says so once they are known to be missing.
    pub(super) fn check_range(live: &LiveSettings) -> Result<(), Error> {
        match live.missing_range() {
            Some(reason) => Err(Error::Setting {
                setting: Setting::Range,
                reason,
            }),
            None => Ok(()),
        }
    }

    /// The settings of the next frame.
    pub(super) fn live_settings(&self) -> LiveSettings {
        let (live, warning) = lock(&self.settings).for_frame();
        if let Some(warning) = warning {
            gst::element_imp_warning!(
                self,
                gst::LibraryError::Settings,
                ("property range: {warning}")
            );
        }
        live
    }
}
