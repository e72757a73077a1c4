//! GObject and GStreamer virtual methods of `depthanything`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use gst_video::VideoInfo;
use gst_video::subclass::prelude::*;

use super::latency::Latency;
use super::messages::{self, Reason};
use super::settings::{self, Changes, LiveSettings, LoadSettings, Settings};
use super::stats::Stats;
use super::stream::{Report, Stream};
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
    latency: Mutex<Latency>,
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
        let stream = Stream::new(network, settings.output, settings.depth_unit)?;
        Ok(stream.with_threads(settings.num_threads as usize))
    }

    /// A wait for the network ends, or work is done again.
    fn set_interrupted(&self, interrupted: bool) {
        if let Some(interrupt) = lock(&self.interrupt).as_ref() {
            interrupt.set(interrupted);
        }
    }

    /// Counts a frame and tells what has changed by it.
    fn account(&self, report: &Report) {
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
            if report.resized {
                stats.inference_time.clear();
                stats.network = report.meta.network;
            }
        }
        if report.resized {
            messages::post_resolution(
                self.obj().upcast_ref(),
                report.meta.network,
                Reason::Property,
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
            self.observe_latency(report.total);
        }
    }

    fn observe_latency(&self, time: Duration) {
        let changed = lock(&self.latency).observe(time);
        if let Some(latency) = changed {
            gst::debug!(CAT, imp = self, "a frame takes up to {latency:?}");
            let message = gst::message::Latency::builder().src(&*self.obj()).build();
            // fails only without a bus, when nobody would listen
            let _ = self.obj().post_message(message);
        }
    }

    fn answer_latency(&self, query: &mut gst::query::Latency) -> bool {
        let mut upstream = gst::query::Latency::new();
        let sink = self.obj().sink_pad().to_owned();
        if !sink.peer_query(&mut upstream) {
            return false;
        }
        let (live, min, max) = upstream.result();
        let own = Duration::min(lock(&self.latency).told(), Duration::from_secs(3600));
        let own = gst::ClockTime::try_from(own).unwrap_or(gst::ClockTime::ZERO);
        gst::log!(
            CAT,
            imp = self,
            "latency: upstream {min}, own {own}, live {live}"
        );
        query.set(live, min + own, max.map(|max| max + own));
        true
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
        *lock(&self.latency) = Latency::default();
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
                self.answer_latency(query)
            }
            _ => BaseTransformImplExt::parent_query(self, direction, query),
        }
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::FlushStart(_) => self.set_interrupted(true),
            gst::EventView::FlushStop(_) => {
                self.set_interrupted(false);
                self.with_stream(Stream::restart);
            }
            gst::EventView::Segment(_) | gst::EventView::StreamStart(_) => {
                self.with_stream(Stream::restart);
            }
            gst::EventView::Tag(tag) => self.check_orientation(tag.tag()),
            _ => {}
        }
        self.parent_sink_event(event)
    }

    fn submit_input_buffer(
        &self,
        is_discont: bool,
        inbuf: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let flow = self.parent_submit_input_buffer(is_discont, inbuf)?;
        if flow == gst_base::BASE_TRANSFORM_FLOW_DROPPED {
            lock(&self.stats).dropped += 1;
        }
        Ok(flow)
    }

    fn transform(
        &self,
        inbuf: &gst::Buffer,
        outbuf: &mut gst::BufferRef,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let live = lock(&self.settings).live;
        let report = self
            .with_stream(|stream| {
                if inbuf.flags().contains(gst::BufferFlags::DISCONT) {
                    stream.restart();
                }
                stream.process(inbuf, outbuf, &live)
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
        self.account(&report);
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
        let (reason, network, converts) = self
            .with_stream(|stream| {
                let reason = stream.set_format(frame, depth, &live)?;
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
