//! GObject and GStreamer virtual methods of `depthanything`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use gst_video::VideoInfo;
use gst_video::subclass::prelude::*;

use super::live::Live;
use super::messages::{self, Reason};
use super::settings::{self, Changes, LiveSettings, LoadSettings, Settings};
use super::stats::Stats;
use super::stream::{Moment, Report, Stream};
use super::{CAT, DepthRange, caps, loading};
use crate::engine::shared::Interrupt;
use crate::error::Error;
use crate::sync::lock;

/// Private part of the element.
#[derive(Default)]
pub struct DepthAnything {
    settings: Mutex<Settings>,
    /// Taken out by the streaming thread while it works, so that no lock is held over an inference.
    stream: Mutex<Option<Stream>>,
    /// Ends the stream's wait for a network that others use.
    interrupt: Mutex<Option<Interrupt>>,
    stats: Mutex<Stats>,
    live: Live,
    /// What the clock said of the frame that has been taken in.
    moment: Mutex<Moment>,
    /// From `start` to `stop`: the load settings are in use.
    started: AtomicBool,
}

impl DepthAnything {
    /// Works on the stream without holding its lock; `None`: there is none.
    fn with_stream<T>(&self, work: impl FnOnce(&mut Stream) -> T) -> Option<T> {
        let mut stream = lock(&self.stream).take()?;
        let result = work(&mut stream);
        *lock(&self.stream) = Some(stream);
        Some(result)
    }

    /// Finds the runtime, loads the model, says so on the bus.
    fn load(&self, settings: &LoadSettings) -> Result<Stream, Error> {
        let network = loading::load(&self.obj(), settings)?;
        let description = network.description();
        {
            let mut stats = lock(&self.stats);
            stats.provider.clone_from(&description.provider);
            stats.precision.clone_from(&description.precision);
            stats.census = network.census();
        }
        *lock(&self.interrupt) = Some(network.interrupt());
        Stream::new(network, settings)
    }

    /// A wait for the network ends, or work is done again.
    fn set_interrupted(&self, interrupted: bool) {
        if let Some(interrupt) = lock(&self.interrupt).as_ref() {
            interrupt.set(interrupted);
        }
    }

    /// Counts a frame, which had waited for the one before it, and tells what has changed by it.
    fn account(&self, report: &Report, waited: Duration) {
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
        if let Some(error) = &report.warning {
            gst::element_imp_warning!(
                self,
                gst::ResourceError::NoSpaceLeft,
                ("{error}. The stream goes on at a lower resolution")
            );
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
            self.live.observe(&self.obj(), waited + report.total);
        }
    }

    /// A fixed range needs two ends; says so once they are known to be missing.
    fn check_range(live: &LiveSettings) -> Result<(), Error> {
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

    fn check_orientation(&self, tags: &gst::TagListRef) {
        if let Some(orientation) = tags.get::<gst::tags::ImageOrientation>()
            && !matches!(orientation.get(), "rotate-0" | "auto")
        {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Format,
                (
                    "the film is tagged {}, and a network sees less in a picture that does not stand \
                     upright: put `videoflip video-direction=auto` before depthanything",
                    orientation.get()
                )
            );
        }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for DepthAnything {
    const NAME: &'static str = "GstDepthAnything";
    type Type = super::DepthAnything;
    type ParentType = gst_video::VideoFilter;
}

impl ObjectImpl for DepthAnything {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(settings::specs);
        PROPERTIES.as_ref()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let name = pspec.name();
        if settings::changes(name) == Some(Changes::Ready) && self.started.load(Ordering::Acquire) {
            gst::element_imp_warning!(
                self,
                gst::LibraryError::Settings,
                ("property {name} can't change while the element runs: set it in READY or NULL")
            );
            return;
        }
        gst::info!(CAT, imp = self, "{name} is {value:?}");
        lock(&self.settings).set(name, value);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "stats" => lock(&self.stats).to_structure().to_value(),
            name => {
                let value = lock(&self.settings).get(name);
                value.unwrap_or_else(|| pspec.default_value().clone())
            }
        }
    }
}

impl GstObjectImpl for DepthAnything {}

impl ElementImpl for DepthAnything {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Depth Anything",
                "Filter/Analyzer/Video",
                "Turns video into 16-bit depth with Depth Anything V2 at any test-time resolution",
                "The depthanything developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            use gst::{PadDirection, PadPresence, PadTemplate};
            let template = |name, direction, caps: gst::Caps| {
                PadTemplate::new(name, direction, PadPresence::Always, &caps)
                    .expect("name and caps of a static template are sound")
            };
            vec![
                template("sink", PadDirection::Sink, caps::sink_template()),
                template("src", PadDirection::Src, caps::src_template()),
            ]
        });
        TEMPLATES.as_ref()
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::PausedToReady {
            self.set_interrupted(true);
        }
        self.parent_change_state(transition)
    }
}

impl BaseTransformImpl for DepthAnything {
    const MODE: gst_base::subclass::BaseTransformMode =
        gst_base::subclass::BaseTransformMode::NeverInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        self.started.store(true, Ordering::Release);
        let settings = lock(&self.settings).clone();
        *lock(&self.stats) = Stats::default();
        self.live.start();
        if settings.live.min_resolution > settings.live.resolution {
            gst::element_imp_warning!(
                self,
                gst::LibraryError::Settings,
                (
                    "min-resolution={} is above resolution={}, which stays as it is",
                    settings.live.min_resolution,
                    settings.live.resolution
                )
            );
        }
        let loaded = Self::check_range(&settings.live).and_then(|()| self.load(&settings.load));
        match loaded {
            Ok(stream) => {
                *lock(&self.stream) = Some(stream);
                Ok(())
            }
            Err(error) => {
                self.started.store(false, Ordering::Release);
                Err(error.to_message())
            }
        }
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let stream = lock(&self.stream).take();
        drop(stream);
        *lock(&self.interrupt) = None;
        self.started.store(false, Ordering::Release);
        Ok(())
    }

    fn transform_caps(
        &self,
        direction: gst::PadDirection,
        caps: &gst::Caps,
        filter: Option<&gst::Caps>,
    ) -> Option<gst::Caps> {
        let others = caps::transform(direction, caps, filter);
        gst::trace!(CAT, imp = self, "{direction:?} {caps} → {others}");
        Some(others)
    }

    fn fixate_caps(
        &self,
        direction: gst::PadDirection,
        caps: &gst::Caps,
        others: gst::Caps,
    ) -> gst::Caps {
        let fixed = caps::fixate(caps, others);
        gst::debug!(CAT, imp = self, "{direction:?} {caps} fixes {fixed}");
        fixed
    }

    fn query(&self, direction: gst::PadDirection, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Latency(query) if direction == gst::PadDirection::Src => {
                self.live.answer(&self.obj(), query)
            }
            _ => BaseTransformImplExt::parent_query(self, direction, query),
        }
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::FlushStart(_) => self.set_interrupted(true),
            gst::EventView::FlushStop(_) => {
                self.set_interrupted(false);
                self.live.restart();
                self.with_stream(Stream::restart);
            }
            gst::EventView::Segment(_) | gst::EventView::StreamStart(_) => {
                self.live.restart();
                self.with_stream(Stream::restart);
            }
            gst::EventView::Tag(tag) => self.check_orientation(tag.tag()),
            _ => {}
        }
        self.parent_sink_event(event)
    }

    fn src_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Qos(qos) => {
                // not to the base class, which would drop frames that may be repeated
                self.live.hear_qos(qos);
                return self.obj().sink_pad().push_event(event);
            }
            gst::EventView::Latency(latency) => self.live.hear_latency(latency),
            _ => {}
        }
        self.parent_src_event(event)
    }

    fn submit_input_buffer(
        &self,
        is_discont: bool,
        inbuf: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let may_repeat = lock(&self.settings).live.inference_interval > 1
            && self.with_stream(|stream| stream.can_repeat()) == Some(true);
        let Some(moment) = self.live.take(&self.obj(), &inbuf, may_repeat) else {
            lock(&self.stats).dropped += 1;
            return Ok(gst_base::BASE_TRANSFORM_FLOW_DROPPED);
        };
        *lock(&self.moment) = moment;
        self.parent_submit_input_buffer(is_discont, inbuf)
    }

    fn transform(
        &self,
        inbuf: &gst::Buffer,
        outbuf: &mut gst::BufferRef,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let live = lock(&self.settings).live;
        let moment = *lock(&self.moment);
        let report = self
            .with_stream(|stream| {
                if inbuf.flags().contains(gst::BufferFlags::DISCONT) {
                    stream.restart();
                }
                stream.process(inbuf, outbuf, &live, moment)
            })
            .ok_or(gst::FlowError::Flushing)?
            .map_err(|error| {
                gst::error!(CAT, imp = self, "{error}");
                self.post_error_message(error.to_message());
                gst::FlowError::Error
            })?
            .ok_or(gst::FlowError::Flushing)?;
        gst::log!(
            CAT,
            imp = self,
            "{} at {}: network {:?}, around it {:?}",
            inbuf.pts().display(),
            report.meta.network,
            report.inference,
            report.convert
        );
        report.meta.attach(outbuf).map_err(|error| {
            gst::element_imp_error!(self, gst::CoreError::Failed, ("{error}"));
            gst::FlowError::Error
        })?;
        self.live.leave(&self.obj());
        self.account(&report, moment.waited);
        Ok(gst::FlowSuccess::Ok)
    }
}

impl VideoFilterImpl for DepthAnything {
    fn set_info(
        &self,
        incaps: &gst::Caps,
        frame: &VideoInfo,
        outcaps: &gst::Caps,
        depth: &VideoInfo,
    ) -> Result<(), gst::LoggableError> {
        gst::debug!(CAT, imp = self, "{incaps} → {outcaps}");
        let refuse = |error: Error| {
            self.post_error_message(error.to_message());
            gst::loggable_error!(CAT, "{error}")
        };
        if let Some(reason) = caps::refusal(frame) {
            return Err(refuse(Error::Frame { reason }));
        }
        let live = lock(&self.settings).live;
        let pace = self.live.set_rate(&self.obj(), frame.fps());
        let (reason, network, converts) = self
            .with_stream(|stream| {
                let reason = stream.set_format(frame, depth, &live, pace)?;
                Ok((reason, stream.network_size(), stream.converts()))
            })
            .ok_or_else(|| gst::loggable_error!(CAT, "not started"))?
            .map_err(refuse)?;
        if converts {
            gst::info!(
                CAT,
                imp = self,
                "{} is converted to RGB first; NV12, I420 and 8-bit RGB formats are not",
                frame.format().to_str()
            );
        }
        if let (Some(reason), Some(network)) = (reason, network) {
            gst::info!(CAT, imp = self, "the network sees {network}");
            lock(&self.stats).network = network;
            messages::post_resolution(self.obj().upcast_ref(), network, reason);
        }
        Ok(())
    }
}
