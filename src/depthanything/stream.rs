//! What one running element holds, and the way of a frame through it: intake, network, packing.

use std::time::{Duration, Instant};

use gst_video::{VideoFrameRef, VideoInfo};

use super::intake::Intake;
use super::messages::Reason;
use super::packing::Packer;
use super::plan::Plan;
use super::settings::{LiveSettings, LoadSettings};
use crate::depth_meta::DepthMeta;
use crate::engine::shared::{Ran, Shared, Work};
use crate::error::Error;
use crate::frame::Guide;
use crate::geometry::Size;

/// The longest that a frame lets other streams go first.
const LONGEST_PATIENCE: Duration = Duration::from_secs(1);

/// A network and the frames that run through it.
pub(super) struct Stream {
    network: Shared,
    packer: Packer,
    format: Option<Format>,
    /// Used again by every frame.
    work: Work,
    guide: Guide,
    /// For the conversion of large frames; 0: all cores.
    threads: usize,
    /// The next frame has nothing to do with the last.
    fresh: bool,
    /// Bytes that the network may take; `None`: any number.
    memory_limit: Option<u64>,
    begun: Instant,
}

/// What follows from the caps and the properties that choose the size.
struct Format {
    frame: VideoInfo,
    depth: VideoInfo,
    asked: Asked,
    plan: Plan,
    /// How long a frame may wait for other streams of the network.
    patience: Duration,
    intake: Intake,
}

/// The properties that choose the size.
#[derive(Clone, Copy, PartialEq)]
struct Asked {
    resolution: u32,
    min_resolution: u32,
}

impl Asked {
    fn of(live: &LiveSettings) -> Self {
        Self {
            resolution: live.resolution,
            min_resolution: live.min_resolution,
        }
    }
}

/// What the clock says to a frame.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moment {
    /// Time between two frames, where somebody waits for them.
    pub(super) pace: Option<Duration>,
    /// It comes late, if not too late.
    pub(super) late: bool,
    /// It comes too late to be worth more than the depth before.
    pub(super) hurried: bool,
    /// How long it had to wait for the frame before it.
    pub(super) waited: Duration,
}

/// A frame under way.
struct Job {
    work: Work,
    /// What leads its depth to the edges of the picture; empty where that is not asked for.
    guide: Guide,
    live: LiveSettings,
    begun: Instant,
    late: bool,
    repeated: bool,
    /// It has nothing to do with the frame before.
    fresh: bool,
    ran: Option<Ran>,
    steps: Vec<(Size, Reason)>,
}

/// What became of a frame.
#[derive(Debug)]
pub(super) struct Report {
    /// To be attached to the depth frame.
    pub(super) meta: DepthMeta,
    /// Time in the network; `None`: the depth is repeated.
    pub(super) inference: Option<Duration>,
    /// Time around it.
    pub(super) convert: Duration,
    /// All of it, and the wait for other streams of the network.
    pub(super) total: Duration,
    /// Values of the depth map that are NaN or infinite.
    pub(super) invalid: u64,
    /// What the network sees from here on, and why, each time that it changed.
    pub(super) steps: Vec<(Size, Reason)>,
    /// What went wrong without ending the stream.
    pub(super) warning: Option<Error>,
}

impl Stream {
    /// Frames for `network`.
    ///
    /// # Errors
    /// [`Error::Setting`] when metric output is asked of a relative model.
    pub(super) fn new(network: Shared, settings: &LoadSettings) -> Result<Self, Error> {
        let threads = settings.num_threads as usize;
        let mut packer = Packer::new(network.description(), settings.output, settings.depth_unit)?;
        packer.set_threads(threads);
        Ok(Self {
            packer,
            network,
            format: None,
            work: Work::default(),
            guide: Guide::default(),
            threads,
            fresh: true,
            memory_limit: Some(settings.memory_limit).filter(|&limit| limit > 0),
            begun: Instant::now(),
        })
    }

    /// What the network sees; `None` before caps.
    pub(super) fn network_size(&self) -> Option<Size> {
        self.format.as_ref().map(|format| format.intake.network())
    }

    /// Whether frames go through GStreamer's video converter first.
    pub(super) fn converts(&self) -> bool {
        self.format
            .as_ref()
            .is_some_and(|format| format.intake.converts())
    }

    /// Whether there is a depth to repeat.
    pub(super) fn can_repeat(&self) -> bool {
        self.format
            .as_ref()
            .is_some_and(|format| format.intake.can_repeat())
    }

    /// Forgets the past: after a flush, a discontinuity, a new segment.
    pub(super) fn restart(&mut self) {
        self.fresh = true;
        if let Some(format) = &mut self.format {
            format.intake.end_repetition();
        }
    }

    /// Prepares for frames of `frame`, depth of `depth`, which come at `pace` where somebody waits for them; says why
    /// when the network's size changes by it.
    ///
    /// # Errors
    /// When frames can't be read, or the network does not run at any size that is allowed.
    pub(super) fn set_format(
        &mut self,
        frame: &VideoInfo,
        depth: &VideoInfo,
        live: &LiveSettings,
        pace: Option<Duration>,
    ) -> Result<Option<Reason>, Error> {
        let before = self.format.take();
        let asked = Asked::of(live);
        self.packer.set_format(depth);
        let (plan, intake, reason) = match before {
            // depth of another size or byte order: the frames, and what the network sees of them, go on
            Some(before) if before.frame == *frame && before.asked == asked => {
                (before.plan, before.intake, None)
            }
            before => {
                let mut plan = Plan::new(self.network.description(), frame, live)?;
                match &before {
                    Some(before) => plan.follow(&before.plan, pace),
                    None => drop(plan.set_pace(pace)),
                }
                let short = self.settle(&mut plan, live)?;
                let reason = match &before {
                    _ if short => Some(Reason::Memory),
                    None => Some(Reason::Start),
                    Some(before) if before.intake.network() != plan.size() => Some(Reason::Caps),
                    Some(_) => None,
                };
                if before.is_none_or(|before| before.frame != *frame) {
                    self.packer.restart();
                }
                let intake = Intake::new(frame, plan.size(), self.threads)?;
                (plan, intake, reason)
            }
        };
        self.format = Some(Format {
            frame: frame.clone(),
            depth: depth.clone(),
            asked,
            plan,
            patience: patience(frame.fps()),
            intake,
        });
        Ok(reason)
    }

    /// Tries sizes before frames wait for them: what fits in memory, what there is time for. True: memory is short.
    fn settle(&mut self, plan: &mut Plan, live: &LiveSettings) -> Result<bool, Error> {
        let wanted = plan.size();
        let mut short = false;
        if let Some(limit) = self.memory_limit {
            self.fit_memory(plan, live, limit)?;
            short = plan.size() != wanted;
        }
        if plan.wants_calibration() {
            let smallest = plan.smallest();
            self.trial(smallest.size)?;
            // the first run at a size is a slow one
            if let Some(ran) = self.trial(smallest.size)? {
                plan.calibrate(smallest.tokens, ran.inference);
            }
        }
        loop {
            let size = plan.size();
            if self.network.is_warm(size) {
                return Ok(short);
            }
            match self.trial(size) {
                Err(Error::OutOfMemory { .. }) if plan.shrink() => short = true,
                result => return result.map(|_| short),
            }
        }
    }

    /// Runs the network at growing sizes, each predicted from those before, up to the largest within `limit` bytes.
    fn fit_memory(
        &mut self,
        plan: &mut Plan,
        live: &LiveSettings,
        limit: u64,
    ) -> Result<(), Error> {
        let rungs = plan.rungs_in_memory(live).to_vec();
        let Some(&smallest) = rungs.first() else {
            return Ok(());
        };
        let mut fits = None;
        let mut next = Some(smallest);
        while let Some(rung) = next {
            if !self.network.is_warm(rung.size) {
                match self.trial(rung.size) {
                    Err(Error::OutOfMemory { .. }) if fits.is_some() => break,
                    result => drop(result?),
                }
            }
            if self.network.memory(rung.tokens) > limit {
                break;
            }
            fits = Some(rung);
            // a prediction does not reach further than this
            next = rungs.iter().copied().rfind(|other| {
                other.tokens > rung.tokens
                    && other.tokens <= (2 * rung.tokens).max(rungs.get(1).map_or(0, |r| r.tokens))
                    && self.network.memory(other.tokens) <= limit
            });
        }
        match fits {
            Some(rung) => plan.limit(rung.tokens),
            None => {
                let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
                return Err(Error::Setting {
                    property: "memory-limit",
                    reason: format!(
                        "{} MB are too few: {} takes {} MB at {}, the smallest size that min-resolution allows. \
                         Raise the limit, lower min-resolution, or use a smaller model",
                        megabytes(limit),
                        self.network.description().model,
                        megabytes(self.network.memory(smallest.tokens)),
                        smallest.size,
                    ),
                });
            }
        }
        Ok(())
    }

    /// Runs the network on nothing at a size. `None`: interrupted.
    fn trial(&mut self, size: Size) -> Result<Option<Ran>, Error> {
        self.work.size = size;
        self.work.tensor.clear();
        self.work.tensor.resize(3 * size.area(), 0.0);
        let due = Instant::now() + LONGEST_PATIENCE;
        self.network.run(&mut self.work, due)
    }

    /// One frame in, one depth frame out; `None`: interrupted.
    ///
    /// # Errors
    /// When the frame can't be read or the network fails; the stream stays usable.
    pub(super) fn process(
        &mut self,
        frame: &gst::BufferRef,
        depth_frame: &mut gst::BufferRef,
        live: &LiveSettings,
        moment: Moment,
    ) -> Result<Option<Report>, Error> {
        let mut warning = None;
        let mut job = self.begin(frame, live, moment)?;
        while !job.repeated {
            let due = job.begun + self.patience();
            match self.network.run(&mut job.work, due) {
                Ok(Some(ran)) => {
                    job.ran = Some(ran);
                    break;
                }
                Ok(None) => {
                    self.abandon(job);
                    return Ok(None);
                }
                Err(error) => {
                    if !self.shrink(&error, &mut job) || !self.read(frame, &mut job)? {
                        self.abandon(job);
                        return Err(error);
                    }
                    warning = Some(error);
                }
            }
        }
        let format = self.format.as_ref().ok_or_else(not_negotiated)?;
        let packed = pack(&mut self.packer, &mut job, depth_frame, &format.depth);
        let total = job.begun.elapsed();
        let (meta, invalid) = packed.inspect_err(|_| self.restart())?;
        let mut report = self.finish(job, meta, invalid, total, total);
        report.warning = warning;
        Ok(Some(report))
    }

    /// The way in: decides what happens to a frame and reads it.
    fn begin(
        &mut self,
        frame: &gst::BufferRef,
        live: &LiveSettings,
        moment: Moment,
    ) -> Result<Job, Error> {
        let begun = Instant::now();
        let mut steps = Vec::new();
        self.follow(live, moment.pace, &mut steps)?;
        let format = self.format.as_mut().ok_or_else(not_negotiated)?;
        let interval = if moment.hurried {
            u32::MAX
        } else {
            live.inference_interval
        };
        let mut job = Job {
            repeated: format.intake.repeats(interval),
            work: std::mem::take(&mut self.work),
            guide: std::mem::take(&mut self.guide),
            live: *live,
            begun,
            late: moment.late,
            fresh: std::mem::take(&mut self.fresh),
            ran: None,
            steps,
        };
        if !job.repeated
            && let Err(error) = self.read(frame, &mut job)
        {
            self.abandon(job);
            return Err(error);
        }
        Ok(job)
    }

    /// Reads `frame` at the present size. True, for the sake of the caller.
    fn read(&mut self, frame: &gst::BufferRef, job: &mut Job) -> Result<bool, Error> {
        let format = self.format.as_mut().ok_or_else(not_negotiated)?;
        job.work.size = format.intake.network();
        let frame = readable(frame, &format.frame)?;
        job.guide.clear();
        let guide = job.live.upsampling.is_guided().then_some(&mut job.guide);
        format.intake.read(&frame, &mut job.work.tensor, guide)?;
        Ok(true)
    }

    /// A frame that comes to nothing. The next one is tried, not papered over with an older depth.
    fn abandon(&mut self, job: Job) {
        self.work = job.work;
        self.guide = job.guide;
        self.fresh |= job.fresh;
        if let Some(format) = &mut self.format {
            format.intake.end_repetition();
        }
    }

    /// The way out: takes the buffers back, learns from the times. `total` is what the frame took, `pace` what keeps the
    /// next one from being taken up.
    fn finish(
        &mut self,
        mut job: Job,
        meta: DepthMeta,
        invalid: u64,
        total: Duration,
        pace: Duration,
    ) -> Report {
        let now = self.begun.elapsed();
        if let Some(format) = &mut self.format
            && job.ran.is_some()
            && job.work.size == format.plan.size()
        {
            let mut step = format
                .plan
                .observe(pace, job.late, now)
                .map(|_| Reason::Load);
            if let Some(limit) = self.memory_limit
                && self.network.memory(format.plan.tokens(job.work.size)) > limit
                && format.plan.shrink()
            {
                step = Some(Reason::Memory);
            }
            if let Some(reason) = step
                && format.intake.resize(format.plan.size()).is_ok()
            {
                job.steps.push((format.plan.size(), reason));
            }
        }
        let elsewhere = job
            .ran
            .map_or(Duration::ZERO, |ran| ran.waited + ran.inference);
        self.work = job.work;
        self.guide = job.guide;
        Report {
            meta,
            inference: job.ran.map(|ran| ran.inference),
            convert: total.saturating_sub(elsewhere),
            total,
            invalid: if job.repeated { 0 } else { invalid },
            steps: job.steps,
            warning: None,
        }
    }

    /// A run found no memory: takes a smaller size from now on. False: that is no help.
    fn shrink(&mut self, error: &Error, job: &mut Job) -> bool {
        let (Error::OutOfMemory { .. }, Some(format)) = (error, &mut self.format) else {
            return false;
        };
        // another frame in flight may have shrunk it already
        if format.plan.size() == job.work.size && !format.plan.shrink() {
            return false;
        }
        let size = format.plan.size();
        if format.intake.resize(size).is_err() {
            return false;
        }
        job.steps.push((size, Reason::Memory));
        // the tensor that failed is larger than what is needed now
        job.work = Work::default();
        let _ = format.intake.repeats(1);
        true
    }

    /// Takes over what was changed while playing: the properties, the pace.
    fn follow(
        &mut self,
        live: &LiveSettings,
        pace: Option<Duration>,
        steps: &mut Vec<(Size, Reason)>,
    ) -> Result<(), Error> {
        let format = self.format.as_mut().ok_or_else(not_negotiated)?;
        let asked = Asked::of(live);
        let mut reason = Reason::Load;
        if format.asked != asked {
            let mut plan = Plan::new(self.network.description(), &format.frame, live)?;
            plan.follow(&format.plan, pace);
            if let Some(limit) = self.memory_limit {
                let mut fits = plan.rungs_in_memory(live).iter();
                let fits = fits.rfind(|rung| self.network.memory(rung.tokens) <= limit);
                plan.limit(fits.map_or(0, |rung| rung.tokens));
            }
            format.plan = plan;
            format.asked = asked;
            reason = Reason::Property;
        } else {
            format.plan.set_pace(pace);
        }
        let size = format.plan.size();
        if size != format.intake.network() {
            format.intake.resize(size)?;
            steps.push((size, reason));
        }
        Ok(())
    }

    fn patience(&self) -> Duration {
        self.format
            .as_ref()
            .map_or(LONGEST_PATIENCE, |format| format.patience)
    }
}

/// Lays a frame's depth, or the one before, on its depth frame.
fn pack(
    packer: &mut Packer,
    job: &mut Job,
    depth_frame: &mut gst::BufferRef,
    info: &VideoInfo,
) -> Result<(DepthMeta, u64), Error> {
    if job.fresh {
        packer.restart();
    }
    if !job.repeated {
        packer.take(&mut job.work, &mut job.guide, &job.live);
    }
    let mut depth_frame = writable(depth_frame, info)?;
    packer.write(&mut depth_frame, &job.live, job.repeated)
}

/// The time between two frames, within reason. Work that is due sooner goes first, so a slow stream lets a fast one
/// pass, but not for ever.
fn patience(rate: gst::Fraction) -> Duration {
    let interval = f64::from(rate.denom()) / f64::from(rate.numer());
    Duration::try_from_secs_f64(interval)
        .unwrap_or(LONGEST_PATIENCE)
        .clamp(Duration::from_millis(1), LONGEST_PATIENCE)
}

fn not_negotiated() -> Error {
    Error::Frame {
        reason: "it came before its caps".into(),
    }
}

fn unmapped(what: &str) -> Error {
    Error::Frame {
        reason: format!("the {what} buffer can't be mapped or is smaller than its caps say"),
    }
}

fn readable<'a>(
    buffer: &'a gst::BufferRef,
    info: &'a VideoInfo,
) -> Result<VideoFrameRef<&'a gst::BufferRef>, Error> {
    VideoFrameRef::from_buffer_ref_readable(buffer, info).map_err(|_| unmapped("input"))
}

fn writable<'a>(
    buffer: &'a mut gst::BufferRef,
    info: &'a VideoInfo,
) -> Result<VideoFrameRef<&'a mut gst::BufferRef>, Error> {
    VideoFrameRef::from_buffer_ref_writable(buffer, info).map_err(|_| unmapped("depth"))
}

#[cfg(test)]
mod tests;
