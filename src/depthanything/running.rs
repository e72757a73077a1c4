//! What the element does while it runs, between GStreamer's virtual methods and the stream.

use std::sync::atomic::Ordering;

use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_transform::{InputBuffer, PrepareOutputBufferSuccess};
use gst_base::subclass::prelude::*;

use super::imp::DepthAnything;
use super::messages::{self, EngineNews, Reason};
use super::settings::{LiveSettings, LoadSettings};
use super::stream::{Compilation, Report, Span, Stream, Warning};
use super::{CAT, DepthRange, loading};
use crate::engine::provider::short_name;
use crate::error::Error;
use crate::sync::lock;

impl DepthAnything {
    /// Works on the stream without holding its lock; `None`: there is none.
    pub(super) fn with_stream<T>(&self, work: impl FnOnce(&mut Stream) -> T) -> Option<T> {
        let mut stream = lock(&self.stream).take()?;
        let result = work(&mut stream);
        *lock(&self.stream) = Some(stream);
        Some(result)
    }

    /// Finds the runtime, loads the model, says so on the bus.
    pub(super) fn load(&self, settings: &LoadSettings) -> Result<Stream, Error> {
        let network = loading::load(&self.obj(), settings)?;
        let description = network.description();
        {
            let mut stats = lock(&self.stats);
            stats.provider.clone_from(&description.provider);
            stats.precision.clone_from(&description.precision);
            stats.census = network.census();
        }
        *lock(&self.interrupt) = Some(network.interrupt());
        let mut stream = Stream::new(network, settings)?;
        let element = self.obj().downgrade();
        stream.tell_compilations(Box::new(move |news| {
            if let Some(element) = element.upgrade() {
                element.imp().tell_compilation(news);
            }
        }));
        Ok(stream)
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
        if let Some(interrupt) = lock(&self.interrupt).as_ref() {
            interrupt.set(interrupted);
        }
    }

    /// Counts a frame and tells what has changed by it.
    pub(super) fn account(&self, report: &Report) {
        {
            let mut stats = lock(&self.stats);
            stats.frames += 1;
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
        for &(network, reason) in &report.steps {
            gst::info!(CAT, imp = self, "{network} from here on: {reason:?}");
            messages::post_resolution(self.obj().upcast_ref(), network, reason);
            if reason == Reason::Property {
                self.live.forgive();
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
            self.live.observe(&self.obj(), report.waited + report.total);
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
                let live = &mut lock(&self.settings).live;
                if live.resolution == asked.resolution {
                    live.resolution = kept.resolution;
                }
                if live.min_resolution == asked.min_resolution {
                    live.min_resolution = kept.min_resolution;
                }
            }
        }
    }

    pub(super) fn fail(&self, error: &Error) -> gst::FlowError {
        gst::error!(CAT, imp = self, "{error}");
        self.post_error_message(error.to_message());
        gst::FlowError::Error
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

    /// Sends a frame off, to be collected later.
    pub(super) fn send(&self, frame: gst::Buffer) -> Result<(), gst::FlowError> {
        let prepared = self.parent_prepare_output_buffer(InputBuffer::Readable(&frame))?;
        let PrepareOutputBufferSuccess::Buffer(mut depth_frame) = prepared else {
            return Err(gst::FlowError::Error);
        };
        if self.skipped.swap(false, Ordering::Relaxed) {
            let depth_frame = depth_frame.make_mut();
            depth_frame.set_flags(gst::BufferFlags::DISCONT);
        }
        let live = lock(&self.settings).live;
        let moment = *lock(&self.moment);
        let sent = self.with_stream(|stream| {
            stream.place(self.span(&frame));
            stream.send(frame, depth_frame, &live, moment)
        });
        let sent = sent.ok_or(gst::FlowError::Flushing)?;
        sent.map_err(|error| self.fail(&error))
    }

    /// The next depth frame in order; see [`Stream::collect`].
    pub(super) fn collect(&self, all: bool) -> Result<Option<gst::Buffer>, gst::FlowError> {
        let collected = self.with_stream(|stream| stream.collect(all));
        let collected = collected.ok_or(gst::FlowError::Flushing)?;
        let Some((mut depth, report)) = collected.map_err(|error| self.fail(&error))? else {
            return Ok(None);
        };
        self.dispatch(&report, depth.make_mut())?;
        Ok(Some(depth))
    }

    /// Waits for the frames under way and pushes their depth, before something that comes after them.
    pub(super) fn drain(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
        if self.in_flight() > 1 {
            while let Some(depth) = self.collect(true)? {
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
        self.live.leave(&self.obj());
        self.account(report);
        Ok(())
    }

    /// A fixed range needs two ends; says so once they are known to be missing.
    pub(super) fn check_range(live: &LiveSettings) -> Result<(), Error> {
        if live.range == DepthRange::Fixed && live.range_min >= live.range_max {
            return Err(Error::Setting {
                property: "range",
                reason: format!(
                    "fixed needs range-min below range-max, and they are {} and {}",
                    live.range_min, live.range_max
                ),
            });
        }
        Ok(())
    }
}
