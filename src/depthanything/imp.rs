//! GObject and GStreamer virtual methods of `depthanything`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use gst_video::VideoInfo;
use gst_video::subclass::prelude::*;

use super::errors::ToMessage;
use super::gaps::{Gaps, Stamp};
use super::hints::Hints;
use super::job::Moment;
use super::live::Live;
use super::metas::{self, Infos};
use super::plan::Asked;
use super::settings::{self, Changes, Settings};
use super::starting::Starting;
use super::stats::Stats;
use super::stream::Stream;
use super::warning::Warning;
use super::worker::Worker;
use super::{CAT, caps};
use crate::engine::{self, shared::Interrupt};
use crate::error::Error;
use crate::sync::lock;

/// Formats of frames and their depth, and the time between two frames where somebody waits for them.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) frame: VideoInfo,
    pub(super) depth: VideoInfo,
    pub(super) pace: Option<Duration>,
}

/// Private part of the element.
#[derive(Default)]
pub struct DepthAnything {
    pub(super) settings: Mutex<Settings>,
    /// Taken out by the streaming thread while it works, so that no lock is held over an inference.
    pub(super) stream: Mutex<Option<Stream>>,
    /// The model is being loaded.
    pub(super) starting: Mutex<Option<Arc<Starting>>>,
    /// Ends the stream's wait for a network that others use.
    pub(super) interrupt: Mutex<Option<Interrupt>>,
    pub(super) stats: Mutex<Stats>,
    pub(super) live: Live,
    /// Works on frames of a live source.
    pub(super) worker: Worker,
    /// Finds out which frames never came.
    pub(super) gaps: Mutex<Gaps>,
    /// What the clock said of the frame that has been taken in.
    pub(super) moment: Mutex<Moment>,
    pub(super) hints: Hints,
    /// A frame has been dropped since the last was taken in.
    pub(super) skipped: AtomicBool,
    /// Formats that the stream has not been told yet.
    pub(super) pending: Mutex<Option<Pending>>,
    /// What metas are taken over by.
    pub(super) infos: Mutex<Option<Arc<Infos>>>,
    /// From `start` to `stop`: the load settings are in use.
    pub(super) started: AtomicBool,
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
        engine::watch_main_thread();
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
            self.live.forgive(&self.obj());
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
        engine::watch_main_thread();
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
        self.hints.reset();
        *lock(&self.gaps) = Gaps::default();
        let asked = Asked::of(&settings.live);
        if asked.floor_is_above() {
            self.warn(&Warning::Floor(asked));
        }
        let started =
            Self::check_range(&settings.live).and_then(|()| self.start_loading(&settings.load));
        started.map_err(|error| {
            self.started.store(false, Ordering::Release);
            error.to_message()
        })
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let starting = lock(&self.starting).take();
        if let Some(starting) = starting {
            starting.abandon();
        }
        self.worker.stop();
        *lock(&self.pending) = None;
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
            gst::QueryViewMut::Drain(_) => {
                // an error has been told
                let _ = self.drain();
                BaseTransformImplExt::parent_query(self, direction, query)
            }
            _ => BaseTransformImplExt::parent_query(self, direction, query),
        }
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::FlushStart(_) => self.set_interrupted(true),
            gst::EventView::FlushStop(_) => {
                self.worker.discard();
                self.set_interrupted(false);
                self.live.restart();
                lock(&self.gaps).restart();
                self.with_stream(|stream| {
                    stream.discard();
                    stream.restart();
                });
            }
            _ if event.is_serialized() => {
                // an error has been told, and a flush ends it
                let _ = self.drain();
            }
            _ => {}
        }
        match event.view() {
            gst::EventView::Gap(_) => lock(&self.gaps).restart(),
            gst::EventView::Segment(_) => {
                self.live.restart();
                lock(&self.gaps).restart();
                self.with_stream(|stream| stream.joints().segment());
            }
            gst::EventView::StreamStart(_) => {
                self.live.restart();
                lock(&self.gaps).restart();
                self.with_stream(|stream| stream.joints().elsewhere());
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
        let missing = lock(&self.gaps).observe(Stamp {
            time: inbuf.pts().map(Into::into),
            offset: Some(inbuf.offset())
                .filter(|&offset| offset != gst::ffi::GST_BUFFER_OFFSET_NONE),
        });
        if missing > 0 {
            lock(&self.stats).missing += missing;
        }
        if self.has_worker() {
            if self.obj().src_pad().needs_reconfigure() {
                // which frees what the frames under way use
                self.drain()?;
            }
        } else {
            self.negotiate()?;
            let Some(moment) = self.live.take(&self.obj(), &inbuf) else {
                self.skip();
                return Ok(gst_base::BASE_TRANSFORM_FLOW_DROPPED);
            };
            *lock(&self.moment) = moment;
        }
        let mode = lock(&self.infos)
            .as_ref()
            .map(|infos| infos.frame.interlace_mode());
        self.hints
            .check_fields(self.obj().upcast_ref(), mode, &inbuf);
        self.parent_submit_input_buffer(is_discont, inbuf)
    }

    fn transform(
        &self,
        inbuf: &gst::Buffer,
        outbuf: &mut gst::BufferRef,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let moment = *lock(&self.moment);
        self.work_on(inbuf, outbuf, self.span(inbuf), moment)?;
        Ok(gst::FlowSuccess::Ok)
    }

    fn generate_output(
        &self,
    ) -> Result<gst_base::subclass::base_transform::GenerateOutputSuccess, gst::FlowError> {
        use gst_base::subclass::base_transform::GenerateOutputSuccess;
        if self.has_worker() {
            if let Some(frame) = self.take_queued_buffer() {
                self.submit(frame)?;
            }
            return Ok(GenerateOutputSuccess::NoOutput);
        }
        // a source may turn out not to be live after all
        self.worker.drain()?;
        if self.in_flight() == 1 {
            return self.parent_generate_output();
        }
        if let Some(frame) = self.take_queued_buffer() {
            let (span, moment) = (self.span(&frame), *lock(&self.moment));
            self.send(frame, span, moment)?;
        }
        // not by the base class, which marks whatever it pushes next as the frame after a discontinuity
        while let Some((depth, _)) = self.collect(false)? {
            self.obj().src_pad().push(depth)?;
        }
        Ok(GenerateOutputSuccess::NoOutput)
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
        let more = self.in_flight() - 1;
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
        self.drain()
            .map_err(|error| gst::loggable_error!(CAT, "frames under way: {error}"))?;
        let pace = self.live.set_rate(&self.obj(), frame.fps());
        lock(&self.gaps).set_rate(frame.fps().numer(), frame.fps().denom());
        self.live.resized();
        let infos = Infos {
            frame: frame.clone(),
            depth: depth.clone(),
        };
        *lock(&self.infos) = Some(Arc::new(infos));
        let pending = Pending {
            frame: frame.clone(),
            depth: depth.clone(),
            pace,
        };
        *lock(&self.pending) = Some(pending);
        if self.is_loading() {
            // a source may hold a lock meanwhile that it needs to stop: its first frame waits, not its caps
            return Ok(());
        }
        self.negotiate()
            .map_err(|error| gst::loggable_error!(CAT, "{error}"))
    }
}
