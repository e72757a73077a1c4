//! GObject and GStreamer virtual methods of `depthanything`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_transform::GenerateOutputSuccess;
use gst_base::subclass::prelude::*;
use gst_video::VideoInfo;
use gst_video::subclass::prelude::*;

use super::frames::Frames;
use super::loading::{Formats, Session};
use super::messages::{Hints, Stats, ToMessage, Warning};
use super::metas::{self, Infos};
use super::settings::{self, Changes, LiveSettings, Settings};
use super::stream::Stream;
use super::{CAT, caps};
use crate::error::{Error, Setting};
use crate::inference;
use crate::inference::sizes::Notice;
use crate::sync::lock;
use crate::threads::Worker;
use crate::timing::Live;

/// Private part of the element.
#[derive(Default)]
pub struct DepthAnything {
    pub(super) settings: Mutex<Settings>,
    /// From `start` to `stop`: the load settings are in use.
    started: AtomicBool,
    /// The model and the stream that runs through it.
    pub(super) session: Session,
    /// Where the stream is in time.
    pub(super) live: Live,
    /// Works on frames of a live source.
    pub(super) worker: Worker<gst::Buffer, gst::FlowError>,
    /// A frame has been dropped since the last was taken in.
    pub(super) skipped: AtomicBool,
    /// What metas are taken over by.
    infos: Mutex<Option<Arc<Infos>>>,
    pub(super) stats: Mutex<Stats>,
    hints: Hints,
}

impl DepthAnything {
    fn frames(&self) -> Frames {
        Frames(self.obj().clone())
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

    /// Says what went wrong without ending the stream. A size that was refused is not what the properties say any more.
    pub(super) fn warn(&self, warning: &Warning) {
        let element = self.obj();
        warning.post(&element);
        if let &Warning::Size(Notice::Refused { asked, kept, .. }) = warning {
            let changed = lock(&self.settings).take_back(asked, kept);
            for (name, changed) in ["resolution", "min-resolution"].into_iter().zip(changed) {
                if changed {
                    element.notify(name);
                }
            }
        }
    }

    /// Says what ends the stream.
    pub(super) fn fail(&self, error: &Error) -> gst::FlowError {
        let model = lock(&self.settings).load.model_file.clone();
        let error = model.map_or_else(|| error.clone(), |file| error.clone().of_model(&file));
        gst::error!(CAT, imp = self, "{error}");
        self.post_error_message(error.to_message());
        gst::FlowError::Error
    }
}

#[glib::object_subclass]
impl ObjectSubclass for DepthAnything {
    const NAME: &'static str = "GstDepthAnything";
    type Type = super::DepthAnything;
    type ParentType = gst_video::VideoFilter;
}

impl ObjectImpl for DepthAnything {
    fn constructed(&self) {
        self.parent_constructed();
        inference::watch_main_thread();
    }

    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(settings::specs);
        PROPERTIES.as_ref()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let name = pspec.name();
        let started = self.started.load(Ordering::Acquire);
        if settings::changes(name) == Some(Changes::Ready) && started {
            gst::element_imp_warning!(
                self,
                gst::LibraryError::Settings,
                ("property {name} can't change while the element runs: set it in READY or NULL")
            );
            return;
        }
        gst::info!(CAT, imp = self, "{name} is {value:?}");
        if !started {
            lock(&self.settings).set(name, value);
            return;
        }
        if matches!(name, "resolution" | "min-resolution") {
            self.frames().forgive();
        }
        let set = lock(&self.settings).set_playing(name, value);
        if let Err(reason) = set {
            gst::element_imp_warning!(
                self,
                gst::LibraryError::Settings,
                ("property {name}: {reason}")
            );
        }
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
        inference::watch_main_thread();
        if transition == gst::StateChange::PausedToReady {
            self.session.set_interrupted(true);
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
        self.hints.reset();
        let asked = settings.live.asked();
        if asked.floor_is_above() {
            self.warn(&Warning::Size(Notice::Floor(asked)));
        }
        let started = match settings.live.missing_range() {
            Some(reason) => Err(Error::Setting {
                setting: Setting::Range,
                reason,
            }),
            None => self.session.start(&self.obj(), &settings.load),
        };
        started.map_err(|error| {
            self.started.store(false, Ordering::Release);
            error.to_message()
        })
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        self.session.abandon();
        self.worker.stop();
        self.session.end();
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
                self.frames().answer_latency(query)
            }
            gst::QueryViewMut::Drain(_) => {
                // an error has been told
                let _ = self.frames().drain();
                BaseTransformImplExt::parent_query(self, direction, query)
            }
            _ => BaseTransformImplExt::parent_query(self, direction, query),
        }
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::FlushStart(_) => self.session.set_interrupted(true),
            gst::EventView::FlushStop(_) => {
                self.worker.discard();
                self.session.set_interrupted(false);
                self.live.restart();
                self.session.with_stream(Stream::restart);
            }
            _ if event.is_serialized() => {
                // an error has been told, and a flush ends it
                let _ = self.frames().drain();
            }
            _ => {}
        }
        match event.view() {
            gst::EventView::Gap(_) => self.live.gap(),
            gst::EventView::Segment(_) => {
                self.live.restart();
                self.session.with_stream(|stream| stream.joints().segment());
            }
            gst::EventView::StreamStart(_) => {
                self.live.restart();
                self.session
                    .with_stream(|stream| stream.joints().elsewhere());
            }
            gst::EventView::Tag(tag) => self
                .hints
                .check_orientation(self.obj().upcast_ref(), tag.tag()),
            _ => {}
        }
        self.parent_sink_event(event)
    }

    fn src_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Qos(qos) => {
                // not to the base class, which would drop frames that may be repeated
                self.frames().hear_qos(qos);
                return self.obj().sink_pad().push_event(event);
            }
            gst::EventView::Latency(latency) => self.live.set_total(latency.latency().into()),
            _ => {}
        }
        self.parent_src_event(event)
    }

    fn submit_input_buffer(
        &self,
        is_discont: bool,
        inbuf: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let frames = self.frames();
        frames.count_missing(&inbuf);
        if frames.have_worker() && self.obj().src_pad().needs_reconfigure() {
            // which frees what the frames under way use
            frames.drain()?;
        }
        let mode = lock(&self.infos)
            .as_ref()
            .map(|infos| infos.frame.interlace_mode());
        self.hints
            .check_fields(self.obj().upcast_ref(), mode, &inbuf);
        self.parent_submit_input_buffer(is_discont, inbuf)
    }

    fn generate_output(&self) -> Result<GenerateOutputSuccess, gst::FlowError> {
        match self.take_queued_buffer() {
            Some(frame) => self.frames().pass(frame),
            None => Ok(GenerateOutputSuccess::NoOutput),
        }
    }

    fn transform_meta<'a>(
        &self,
        depth: &mut gst::BufferRef,
        meta: gst::MetaRef<'a, gst::Meta>,
        _frame: &'a gst::BufferRef,
    ) -> bool {
        let infos = lock(&self.infos).clone();
        infos.is_some_and(|infos| metas::transform(&meta, depth, &infos))
    }

    fn decide_allocation(
        &self,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        let more = lock(&self.settings).load.in_flight - 1;
        let pools: Vec<_> = query.allocation_pools().collect();
        for (index, (pool, size, min, max)) in (0..).zip(pools) {
            let min = min.saturating_add(more);
            // a pool that is too small for those in flight would never give the one that is waited for
            let enough = max == 0 || max >= min;
            query.set_nth_allocation_pool(
                index,
                pool.filter(|_| enough).as_ref(),
                size,
                min,
                if enough { max } else { 0 },
            );
        }
        self.parent_decide_allocation(query)
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
        if let Some(reason) = caps::refusal(frame) {
            let error = Error::Frame { reason };
            self.post_error_message(error.to_message());
            return Err(gst::loggable_error!(CAT, "{error}"));
        }
        let frames = self.frames();
        frames
            .drain()
            .map_err(|error| gst::loggable_error!(CAT, "frames under way: {error}"))?;
        let pace = frames.set_rate(frame.fps());
        self.live.resized();
        let infos = Infos {
            frame: frame.clone(),
            depth: depth.clone(),
        };
        *lock(&self.infos) = Some(Arc::new(infos));
        let formats = Formats {
            frame: frame.clone(),
            depth: depth.clone(),
            pace,
            timed: pace.is_some() || self.live.is_live(),
        };
        self.session
            .set_formats(&self.obj(), formats)
            .map_err(|error| gst::loggable_error!(CAT, "{error}"))
    }
}
