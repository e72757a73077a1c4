//! What one running element holds, and the way of a frame through it: intake, network, packing.

mod compilation;
mod memory;
mod sizes;
mod under_way;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst_video::VideoInfo;

use super::flight::Flight;
use super::intake::Intake;
use super::job::{Job, Moment, Span, pack};
use super::joints::Joints;
use super::messages::Reason;
use super::packing::{self, Packer};
use super::plan::{Asked, Plan};
use super::settings::{LiveSettings, LoadSettings};
use super::warning::Warning;
use super::worker::Landed;
use crate::depth_meta::DepthMeta;
use crate::engine::network::Readiness;
use crate::engine::planner::available;
use crate::engine::shared::{Request, Shared};
use crate::error::Error;
use crate::frame::{Guide, SmallPicture};
use crate::geometry::Size;
use crate::mapping::readable;
use crate::range::{Compared, CutDetector, Joint};
use crate::sync::lock;

use compilation::Watch;
pub(super) use compilation::{Compilation, Tell};
use memory::Limit;

/// The longest that a frame lets other streams go first.
const LONGEST_SLACK: Duration = Duration::from_secs(1);

/// A network and the frames that run through it.
pub(super) struct Stream {
    network: Shared,
    /// Only the thread that lays depth on frames takes it while frames are under way.
    packer: Arc<Mutex<Packer>>,
    format: Option<Format>,
    /// Buffers to use again.
    spare: Vec<(Request, Guide, SmallPicture)>,
    /// Frames that may be under way.
    in_flight: usize,
    flight: Option<Flight>,
    /// Tells that a frame under way is done.
    landed: Option<Landed>,
    /// Frames that are done, to be collected before those under way.
    done: VecDeque<(gst::Buffer, Report)>,
    /// For the conversion of large frames; 0: all cores.
    threads: usize,
    /// How the next frame joins on to the last.
    joints: Joints,
    /// Stream time of the next frame: its start and end.
    span: Span,
    /// Looks at the picture of each frame that is read.
    cuts: CutDetector,
    /// Of natural pictures, in the network's units.
    deviation: f32,
    /// Bytes that the network may take; `None`: any number.
    memory_limit: Option<u64>,
    /// What follows from it, or from what the machine has left, for the sizes of the present plan.
    limit: Option<Limit>,
    /// The largest size, in tokens, that was measured when the plan was limited.
    measured: usize,
    /// Tells how many bytes the machine has left.
    available: fn() -> Option<u64>,
    /// Tells of sizes that are compiled.
    watch: Watch,
    begun: Instant,
}

/// What follows from the caps and the properties that choose the size.
struct Format {
    frame: VideoInfo,
    depth: Arc<VideoInfo>,
    asked: Asked,
    /// Asked for and not to be had.
    refused: Option<Asked>,
    plan: Plan,
    /// Why the plan's size is another than what the network sees, while it is being made ready.
    pending: Option<Reason>,
    /// How long a frame may wait for other streams of the network.
    slack: Duration,
    intake: Intake,
}

impl Format {
    /// Changes what the network sees to the plan's size, once that is ready: frames go on at the old size until then.
    fn change_size(&mut self, network: &Shared, watch: &mut Watch) -> Option<(Size, Reason)> {
        let size = self.plan.size();
        if size == self.intake.network() {
            self.pending = None;
            return None;
        }
        let readiness = network.prepare(size);
        watch.observe(size, &readiness);
        if let Readiness::Preparing(_) = readiness {
            return None;
        }
        // a size that can't be made ready is not run at either, and says why then
        self.intake.resize(size).ok()?;
        Some((size, self.pending.take().unwrap_or(Reason::Load)))
    }
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
    /// All of it, with the waits for other streams of the network and for frames in flight before it.
    pub(super) total: Duration,
    /// Values of the depth map that are NaN or infinite.
    pub(super) invalid: u64,
    /// What the network sees from here on, and why, each time that it changed.
    pub(super) steps: Vec<(Size, Reason)>,
    /// What went wrong without ending the stream.
    pub(super) warning: Option<Warning>,
    /// The frame's running time in nanoseconds, where it is known.
    pub(super) time: Option<i64>,
}

/// What follows from new caps.
#[derive(Debug)]
pub(super) struct Negotiated {
    /// Why the network's size changes by them, if it does.
    pub(super) reason: Option<Reason>,
    /// What is to be said of it.
    pub(super) warning: Option<Warning>,
}

impl Stream {
    /// Frames for `network`.
    ///
    /// # Errors
    /// [`Error::Setting`] when metric output is asked of a relative model.
    pub(super) fn new(network: Shared, settings: &LoadSettings) -> Result<Self, Error> {
        let threads = settings.num_threads as usize;
        let depth = settings.model_depth.into();
        let description = network.description();
        let mut packer = Packer::new(description, depth, settings.output, settings.depth_unit)?;
        packer.set_threads(threads);
        let deviation = description.normalization.picture_deviation();
        Ok(Self {
            packer: Arc::new(Mutex::new(packer)),
            network,
            format: None,
            spare: Vec::new(),
            in_flight: settings.in_flight.max(1) as usize,
            flight: None,
            landed: None,
            done: VecDeque::new(),
            threads,
            joints: Joints::default(),
            span: Span::default(),
            cuts: CutDetector::default(),
            deviation,
            memory_limit: Some(settings.memory_limit).filter(|&limit| limit > 0),
            limit: None,
            measured: 0,
            available,
            watch: Watch::default(),
            begun: Instant::now(),
        })
    }

    /// From here on `tell` hears of sizes that have to be compiled.
    pub(super) fn tell_compilations(&mut self, tell: Box<Tell>) {
        self.watch = Watch::new(tell);
    }

    /// From here on `landed` hears when a frame under way is done.
    pub(super) fn tell_landed(&mut self, landed: Landed) {
        self.landed = Some(landed);
    }

    /// What frames run through.
    pub(super) fn network(&self) -> &Shared {
        &self.network
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

    /// Forgets the past: after a flush.
    pub(super) fn restart(&mut self) {
        self.joints.afresh();
        if let Some(format) = &mut self.format {
            format.intake.end_repetition();
        }
    }

    /// The frames that come next may join on to the last, or not.
    pub(super) fn joints(&mut self) -> &mut Joints {
        &mut self.joints
    }

    /// Where in the video the frame is that comes next.
    pub(super) fn place(&mut self, span: Span) {
        self.span = span;
    }

    /// Prepares for frames of `frame`, depth of `depth`, which come at `pace` where somebody waits for them.
    ///
    /// # Errors
    /// When frames can't be read, or the network does not run at any size that is allowed.
    pub(super) fn set_format(
        &mut self,
        frame: &VideoInfo,
        depth: &VideoInfo,
        live: &LiveSettings,
        pace: Option<Duration>,
    ) -> Result<Negotiated, Error> {
        let before = self.format.take();
        let asked = Asked::of(live);
        lock(&self.packer).set_format(depth);
        let (plan, intake, negotiated) = match before {
            // depth of another size or byte order: the frames, and what the network sees of them, go on
            Some(before) if before.frame == *frame && before.asked == asked => {
                let negotiated = Negotiated {
                    reason: None,
                    warning: None,
                };
                (before.plan, before.intake, negotiated)
            }
            before => {
                let mut plan = Plan::new(self.network.description(), frame, live)?;
                match &before {
                    Some(before) => plan.follow(&before.plan, pace),
                    None => drop(plan.set_pace(pace)),
                }
                let shortage = self.settle(&mut plan, live)?;
                let reason = match &before {
                    _ if shortage.is_some() => Some(Reason::Memory),
                    None => Some(Reason::Start),
                    Some(before) if before.intake.network() != plan.size() => Some(Reason::Caps),
                    Some(_) => None,
                };
                let normalization = self.network.description().normalization;
                let mut intake = Intake::new(frame, plan.size(), normalization, self.threads)?;
                if let Some(before) = &before {
                    self.joints.caps(&before.frame, frame);
                    let size = |info: &VideoInfo| (info.width(), info.height());
                    if size(&before.frame) == size(frame) {
                        intake.resume(&before.intake);
                    }
                }
                let warning = shortage.and_then(|shortage| shortage.warning);
                (plan, intake, Negotiated { reason, warning })
            }
        };
        self.format = Some(Format {
            frame: frame.clone(),
            depth: Arc::new(depth.clone()),
            asked,
            refused: None,
            plan,
            pending: None,
            slack: slack(frame.fps()),
            intake,
        });
        Ok(negotiated)
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
        let job = self.begin(frame, live, moment)?;
        self.complete(job, None, frame, depth_frame)
    }

    /// Takes a frame that has been read through the network and out, here and now. `error`: what the network said to it
    /// before.
    fn complete(
        &mut self,
        mut job: Job,
        mut error: Option<Error>,
        frame: &gst::BufferRef,
        depth_frame: &mut gst::BufferRef,
    ) -> Result<Option<Report>, Error> {
        while !job.repeated {
            if let Some(error) = error.take() {
                if !self.shrink(&error, &mut job) {
                    self.abandon(job);
                    return Err(error);
                }
                if let Err(error) = self.read(frame, &mut job) {
                    self.abandon(job);
                    return Err(error);
                }
                job.warning = Some(Warning::Memory(error));
            }
            let due = job.begun + self.slack();
            match self.network.run(&mut job.request, due) {
                Ok(Some(timing)) => {
                    job.timing = Some(timing);
                    break;
                }
                Ok(None) => {
                    self.abandon(job);
                    return Ok(None);
                }
                Err(failed) => error = Some(failed),
            }
        }
        let format = self.format.as_ref().ok_or_else(not_negotiated)?;
        let packed = pack(
            &mut lock(&self.packer),
            &mut job,
            depth_frame,
            &format.depth,
        );
        match packed {
            Ok((meta, invalid)) => {
                let pace = job.begun.elapsed();
                Ok(Some(self.finish(job, meta, invalid, pace)))
            }
            Err(error) => {
                self.abandon(job);
                Err(error)
            }
        }
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
        let warning = self.follow(live, moment.pace, &mut steps)?;
        let format = self.format.as_mut().ok_or_else(not_negotiated)?;
        let interval = if moment.hurried {
            u32::MAX
        } else {
            live.inference_interval
        };
        let (request, guide, picture) = self.spare.pop().unwrap_or_default();
        let discont = frame.flags().contains(gst::BufferFlags::DISCONT);
        let [start, end] = std::mem::take(&mut self.span);
        let joined = self.joints.next(discont, start, end);
        let mut job = Job {
            repeated: format.intake.repeats(interval),
            request,
            guide,
            picture,
            live: *live,
            begun,
            moment,
            joint: joined.joint,
            compared: Compared::default(),
            timing: None,
            reading: Duration::ZERO,
            writing: Duration::ZERO,
            steps,
            warning,
        };
        if job.repeated && !joined.in_doubt {
            return Ok(job);
        }
        if let Err(error) = self.read(frame, &mut job) {
            self.abandon(job);
            return Err(error);
        }
        let compared = self.cuts.look(&job.picture, job.joint);
        if job.repeated && !compared.goes_on() {
            // the depth before is of something else
            job.repeated = false;
            if let Some(format) = &mut self.format {
                format.intake.repeat_this();
            }
        }
        if !job.repeated {
            job.compared = compared;
        }
        Ok(job)
    }

    /// Reads `frame` at the present size.
    fn read(&mut self, frame: &gst::BufferRef, job: &mut Job) -> Result<(), Error> {
        let start = Instant::now();
        let format = self.format.as_mut().ok_or_else(not_negotiated)?;
        job.request.size = format.intake.network();
        let frame = readable(frame, &format.frame, "input")?;
        job.guide.clear();
        let guide = job.live.upsampling.is_guided().then_some(&mut job.guide);
        format.intake.read(&frame, &mut job.request.tensor, guide)?;
        let (tensor, size) = (&job.request.tensor, job.request.size);
        let luma = packing::filters(&job.live);
        job.picture.read(tensor, size, self.deviation, luma);
        job.reading = start.elapsed();
        Ok(())
    }

    /// A frame that comes to nothing. The next one is tried, not papered over with an older depth.
    fn abandon(&mut self, job: Job) {
        self.spare.push((job.request, job.guide, job.picture));
        // nobody has taken in a cut before it
        self.joints.put_back(if job.compared.goes_on() {
            job.joint
        } else {
            Joint::Afresh
        });
        if let Some(format) = &mut self.format {
            format.intake.end_repetition();
        }
    }

    /// The way out: takes the buffers back, learns from the times. `pace` is what keeps the next frame from being taken
    /// up.
    fn finish(&mut self, mut job: Job, meta: DepthMeta, invalid: u64, pace: Duration) -> Report {
        let now = self.begun.elapsed();
        if let Some(mut format) = self.format.take() {
            if job.timing.is_some() && job.request.size == format.plan.size() {
                let step = format.plan.observe(pace, job.moment.late, now);
                let mut step = step.map(|_| Reason::Load);
                let tokens = format.plan.tokens(job.request.size);
                if self.keep_within(&mut format.plan, tokens) {
                    step = Some(Reason::Memory);
                }
                if let Some(reason) = step {
                    format.pending = Some(reason);
                    job.steps
                        .extend(format.change_size(&self.network, &mut self.watch));
                }
            }
            self.format = Some(format);
        }
        let mut total = job.begun.elapsed();
        if let others @ 1.. = u32::try_from(self.in_flight - 1).unwrap_or(0) {
            // without what is downstream, and a source that stops, which hold up frames in flight too
            let each = pace.max(job.moment.pace.unwrap_or(LONGEST_SLACK));
            let network = job
                .timing
                .map_or(Duration::ZERO, |timing| timing.waited + timing.inference);
            total = total.min(job.reading + network + job.writing + each * others);
        }
        self.spare.push((job.request, job.guide, job.picture));
        Report {
            meta,
            inference: job.timing.map(|timing| timing.inference),
            convert: job.reading + job.writing,
            total,
            invalid: if job.repeated { 0 } else { invalid },
            steps: job.steps,
            warning: job.warning,
            time: job.moment.time,
        }
    }

    fn slack(&self) -> Duration {
        self.format
            .as_ref()
            .map_or(LONGEST_SLACK, |format| format.slack)
    }
}

/// The time between two frames, within reason. What is due sooner goes first, so a slow stream lets a fast one
/// pass, but not for ever.
fn slack(rate: gst::Fraction) -> Duration {
    let interval = f64::from(rate.denom()) / f64::from(rate.numer());
    Duration::try_from_secs_f64(interval)
        .unwrap_or(LONGEST_SLACK)
        .clamp(Duration::from_millis(1), LONGEST_SLACK)
}

fn not_negotiated() -> Error {
    Error::Frame {
        reason: "it came before its caps".into(),
    }
}

#[cfg(test)]
mod tests;
