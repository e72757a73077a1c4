//! The way of a frame through one running element: intake, network, packing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst_video::VideoInfo;

use super::intake::{Intake, Job, not_negotiated};
use super::messages::{Report, Warning};
use super::packing::Packer;
use super::settings::{LiveSettings, LoadSettings};
use crate::depth_meta::DepthMeta;
use crate::error::{Error, Setting};
use crate::geometry::Size;
use crate::inference::backend::ServerListener;
use crate::inference::detailed;
use crate::inference::planner::available;
use crate::inference::shared::{Shared, Ticket};
use crate::inference::sizes::{FrameShape, Notice, Reason, Sizes, Tell};
use crate::range::Joints;
use crate::sync::lock;
use crate::threads::{Crashed, Finished, Stages};
use crate::timing::Moment;

/// The longest that a frame lets other streams go first.
const LONGEST_SLACK: Duration = Duration::from_secs(1);

/// A network and the frames that run through it.
pub(super) struct Stream {
    intake: Intake,
    sizes: Sizes,
    /// Only the thread that writes depth frames takes it while frames are under way.
    packer: Arc<Mutex<Packer>>,
    /// `None` before there are caps.
    output: Option<Output>,
    in_flight: InFlight,
    /// Frames that were under way when no server was there.
    given_up: Vec<(gst::Buffer, Moment)>,
    /// Hears of the network's servers.
    listener: Option<Arc<ServerListener>>,
    begun: Instant,
}

/// What follows from the caps for the way out.
struct Output {
    depth: Arc<VideoInfo>,
    /// How long a frame may wait for other streams of the network.
    slack: Duration,
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
        let memory_limit = settings.most_memory();
        Ok(Self {
            intake: Intake::new(description.normalization, threads),
            sizes: Sizes::new(network, memory_limit, available),
            packer: Arc::new(Mutex::new(packer)),
            output: None,
            in_flight: InFlight::new(settings.in_flight.max(1) as usize),
            given_up: Vec::new(),
            listener: None,
            begun: Instant::now(),
        })
    }

    /// From here on `tell` hears of sizes that have to be compiled.
    pub(super) fn tell_compilations(&mut self, tell: Box<Tell>) {
        self.sizes.tell_compilations(tell);
    }

    /// From here on `listener` hears of the servers that run the network, if any do.
    pub(super) fn tell_servers(&mut self, listener: Arc<ServerListener>) {
        if let Some(connection) = self.network().connection() {
            connection.listen(Arc::downgrade(&listener));
            self.listener = Some(listener);
        }
    }

    /// From here on `finished` hears when a frame under way is done.
    pub(super) fn tell_finished(&mut self, finished: Finished) {
        self.in_flight.finished = finished;
    }

    /// What frames run through.
    pub(super) fn network(&self) -> &Shared {
        self.sizes.network()
    }

    /// What the network sees; `None` before caps.
    pub(super) fn network_size(&self) -> Option<Size> {
        self.sizes.present()
    }

    /// Whether frames go through GStreamer's video converter first.
    pub(super) fn converts(&self) -> bool {
        self.intake.converts()
    }

    /// Whether there is a depth to repeat.
    pub(super) fn can_repeat(&self) -> bool {
        self.intake.can_repeat()
    }

    /// Forgets the past: after a flush.
    pub(super) fn restart(&mut self) {
        self.in_flight.discard();
        self.intake.restart();
    }

    /// The frames that come next may join on to the last, or not.
    pub(super) fn joints(&mut self) -> &mut Joints {
        self.intake.joints()
    }

    /// Prepares for frames of `frame`, depth of `depth`, which come at `pace` where somebody waits for them. `warm`: the
    /// network runs once at their size before the first comes.
    ///
    /// # Errors
    /// When frames can't be read, or the network does not run at any size that is allowed.
    pub(super) fn set_format(
        &mut self,
        frame: &VideoInfo,
        depth: &VideoInfo,
        live: &LiveSettings,
        pace: Option<Duration>,
        warm: bool,
    ) -> Result<Negotiated, Error> {
        self.output = None;
        lock(&self.packer).set_format(depth);
        let par = frame.par();
        let shape = FrameShape {
            size: Size::new(frame.width(), frame.height()),
            par: (par.numer().unsigned_abs(), par.denom().unsigned_abs()),
        };
        let asked = live.asked();
        let negotiated = if self.intake.is_for(frame) && self.sizes.is_for(shape, asked) {
            // depth of another size or byte order: the frames, and what the network sees of them, go on
            Negotiated {
                reason: None,
                warning: None,
            }
        } else {
            let planned = self.sizes.plan(shape, asked, pace, warm);
            let planned = planned.and_then(|(size, reason, notice)| {
                self.intake.set_format(frame, size)?;
                let warning = notice.map(Warning::Size);
                Ok(Negotiated { reason, warning })
            });
            if planned.is_err() {
                self.sizes.forget();
                self.intake.forget_format();
            }
            planned?
        };
        self.output = Some(Output {
            depth: Arc::new(depth.clone()),
            slack: slack(frame.fps()),
        });
        Ok(negotiated)
    }

    /// One frame in, one depth frame out, here and now; `None`: interrupted.
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

    /// Takes a frame in, whose depth is to be written to `depth_frame`, without waiting for it.
    ///
    /// # Errors
    /// When the frame can't be read.
    pub(super) fn send(
        &mut self,
        frame: gst::Buffer,
        depth_frame: gst::Buffer,
        live: &LiveSettings,
        moment: Moment,
    ) -> Result<(), Error> {
        let mut job = self.begin(&frame, live, moment)?;
        let output = self.output.as_ref().ok_or_else(not_negotiated)?;
        let due = job.begun + output.slack;
        let network = self.sizes.network();
        // several of them are in the network at a time
        let ticket = (network.slots() > 1 && !job.repeated)
            .then(|| network.submit(std::mem::take(&mut job.request), due));
        let in_flight = InFlightFrame {
            due,
            ticket,
            depth_info: Arc::clone(&output.depth),
            job,
            frame,
            depth_frame,
            outcome: Outcome::None,
        };
        self.in_flight
            .send(in_flight, self.sizes.network(), &self.packer)
    }

    /// Whether a frame that is under way has not reached the network yet: another would only grow old behind it.
    pub(super) fn network_is_awaited(&self) -> bool {
        let stages = self.in_flight.stages.as_ref();
        stages.is_some_and(|stages| stages.waiting() >= self.network().slots())
    }

    /// Whether [`Self::collect`] has more to give, now or later.
    pub(super) fn is_under_way(&self) -> bool {
        self.in_flight.count() > 0
    }

    /// The next depth frame in order. `all`: waits for whatever is under way; else only where as many frames are under
    /// way as may be.
    ///
    /// # Errors
    /// That of the frame whose turn it is; the ones after it can be collected.
    pub(super) fn collect(&mut self, all: bool) -> Result<Option<(gst::Buffer, Report)>, Error> {
        loop {
            if let Some(done) = self.in_flight.done.pop_front() {
                return Ok(Some(done));
            }
            let Some(in_flight) = self.in_flight.next(all)? else {
                return Ok(None);
            };
            if let Outcome::Failed(Error::OutOfMemory { .. }) = in_flight.outcome {
                // everything is finished first, so that this frame can be taken through at a smaller size
                let mut in_order = self.in_flight.all()?;
                in_order.push_front(in_flight);
                for in_flight in in_order {
                    let finished = self.settle_frame(in_flight)?;
                    self.in_flight.done.extend(finished);
                }
                continue;
            }
            if let Some(finished) = self.settle_frame(in_flight)? {
                return Ok(Some(finished));
            }
        }
    }

    /// Frames that [`Self::collect`] has left out since this was asked, as no server was there for them.
    pub(super) fn take_given_up(&mut self) -> Vec<(gst::Buffer, Moment)> {
        std::mem::take(&mut self.given_up)
    }

    /// The way in: decides what happens to a frame and reads it.
    fn begin(
        &mut self,
        frame: &gst::BufferRef,
        live: &LiveSettings,
        moment: Moment,
    ) -> Result<Job, Error> {
        if self.output.is_none() {
            return Err(not_negotiated());
        }
        let mut job = self.intake.job(live, moment);
        let notice = self.sizes.follow(live.asked(), moment.pace);
        job.warning = notice.map(Warning::Size);
        job.steps.extend(self.change_size());
        let runs = self.sizes.detail(live.detail_resolution, moment.pace);
        job.detailed.set(runs.tiles);
        job.detail_step = runs.step;
        if job.warning.is_none() {
            job.warning = self.sizes.detail_notice().map(Warning::Size);
        }
        match self.intake.take(frame, &mut job) {
            Ok(()) => Ok(job),
            Err(error) => {
                self.intake.abandon(job);
                Err(error)
            }
        }
    }

    /// Changes what the network sees to the size that is planned, once that is ready.
    fn change_size(&mut self) -> Option<(Size, Reason)> {
        let size = self.sizes.next()?;
        self.intake.resize(size).ok()?;
        Some((size, self.sizes.change_to(size)))
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
        let output = self.output.as_ref().ok_or_else(not_negotiated)?;
        let (depth, slack) = (Arc::clone(&output.depth), output.slack);
        while !job.repeated {
            if let Some(error) = error.take() {
                if !self.shrink(&error, &mut job) {
                    self.intake.abandon(job);
                    return Err(error);
                }
                if let Err(error) = self.intake.read(frame, &mut job) {
                    self.intake.abandon(job);
                    return Err(error);
                }
                job.warning = Some(Warning::Size(Notice::Memory(error)));
            }
            let due = job.begun + slack;
            let turn = detailed::Turn {
                first: None,
                due,
                patient: !job.moment.live,
            };
            let network = self.sizes.network();
            match detailed::run(network, &mut job.request, &mut job.detailed, turn) {
                Ok(Some(timing)) => {
                    job.timing = Some(timing);
                    break;
                }
                Err(Error::ServersAway { .. }) if lock(&self.packer).may_repeat(&job.live) => {
                    job.repeated = true;
                }
                Ok(None) => {
                    self.intake.abandon(job);
                    return Ok(None);
                }
                Err(failed) => error = Some(failed),
            }
        }
        let packed = lock(&self.packer).pack(&mut job, depth_frame, &depth);
        match packed {
            Ok((meta, invalid)) => {
                let pace = job.begun.elapsed();
                Ok(Some(self.finish(job, meta, invalid, pace)))
            }
            Err(error) => {
                self.intake.abandon(job);
                Err(error)
            }
        }
    }

    /// A run found no memory: takes a smaller size from now on. False: that is no help.
    fn shrink(&mut self, error: &Error, job: &mut Job) -> bool {
        let Some(size) = self.sizes.shrink(error, job.request.size) else {
            return false;
        };
        if self.intake.resize(size).is_err() {
            return false;
        }
        self.sizes.change_to(size);
        self.intake.begin_again(job);
        job.steps.push((size, Reason::Memory));
        true
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
                // several are in the network at a time
                let together = self.network().slots().min(self.in_flight.most).max(1);
                let network = network / u32::try_from(together).unwrap_or(1);
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
            Outcome::Failed(Error::ServersAway { .. }) => {
                self.given_up.push((frame, job.moment));
                self.intake.abandon(job);
                Ok(None)
            }
            Outcome::Failed(error) => {
                self.intake.abandon(job);
                Err(error)
            }
            Outcome::Interrupted | Outcome::None => {
                self.intake.abandon(job);
                Ok(None)
            }
        }
    }

    /// The way out: takes the buffers back, learns from the times. `pace` is what keeps the next frame from being taken
    /// up.
    fn finish(&mut self, mut job: Job, meta: DepthMeta, invalid: u64, pace: Duration) -> Report {
        let (size, late, now) = (job.request.size, job.moment.late, self.begun.elapsed());
        if let Some(error) = job.detailed.take_failure() {
            self.sizes.give_up_detail(error);
        }
        let detailed = job.detailed.whole().is_some();
        if job.timing.is_some() && self.sizes.observe(size, detailed, pace, late, now) {
            job.steps.extend(self.change_size());
        }
        let mut total = job.begun.elapsed();
        if let others @ 1.. = u32::try_from(self.in_flight.most - 1).unwrap_or(0) {
            // without what is downstream, and a source that stops, which hold up frames in flight too
            let each = pace.max(job.moment.pace.unwrap_or(LONGEST_SLACK));
            let network = job
                .timing
                .map_or(Duration::ZERO, |timing| timing.waited + timing.inference);
            total = total.min(job.reading + network + job.writing + each * others);
        }
        let report = Report {
            meta,
            inference: job.timing.map(|timing| timing.inference),
            convert: job.reading + job.writing,
            total,
            invalid: if job.repeated { 0 } else { invalid },
            steps: std::mem::take(&mut job.steps),
            detail_step: job.detail_step.take(),
            warning: job.warning.take(),
            time: job.moment.time,
        };
        self.intake.give_back(job);
        report
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

/// Several frames under way: while one is read, another is in the network and the depth of a third is written.
struct InFlight {
    /// As many as may be.
    most: usize,
    /// The network's thread and the one that writes depth frames. They start with the first frame.
    stages: Option<Stages<InFlightFrame>>,
    /// Hears that a frame under way is done.
    finished: Finished,
    /// Frames that are done, to be collected before those under way.
    done: VecDeque<(gst::Buffer, Report)>,
}

/// A frame under way, with all that it needs.
struct InFlightFrame {
    job: Job,
    /// Kept, in case that it has to be read again.
    frame: gst::Buffer,
    depth_frame: gst::Buffer,
    depth_info: Arc<VideoInfo>,
    due: Instant,
    /// Where it is in the network already.
    ticket: Option<Ticket>,
    outcome: Outcome,
}

/// How far it has come.
enum Outcome {
    /// On its way.
    None,
    /// Its depth frame is done; how many of its values are NaN or infinite.
    Depth(DepthMeta, u64),
    /// Somebody flushes or stops.
    Interrupted,
    /// The network, or the way out, has failed.
    Failed(Error),
}

impl InFlight {
    fn new(most: usize) -> Self {
        Self {
            most,
            stages: None,
            finished: Arc::new(|| {}),
            done: VecDeque::new(),
        }
    }

    fn count(&self) -> usize {
        self.done.len() + self.stages.as_ref().map_or(0, Stages::count)
    }

    /// Sends a frame off.
    fn send(
        &mut self,
        frame: InFlightFrame,
        network: &Shared,
        packer: &Arc<Mutex<Packer>>,
    ) -> Result<(), Error> {
        let stages = match &mut self.stages {
            Some(stages) => stages,
            none => {
                let (network, packer) = (network.same(), Arc::clone(packer));
                let finished = Arc::clone(&self.finished);
                let stages = Stages::new(
                    ["depth-network", "depth-packing"],
                    move |frame: &mut InFlightFrame| frame.run(&network),
                    move |frame| frame.write(&packer),
                    move || finished(),
                );
                none.insert(stages.map_err(|error| Error::Setting {
                    setting: Setting::InFlight,
                    reason: format!("no thread can be started ({error})"),
                })?)
            }
        };
        stages.send(frame).map_err(crashed)
    }

    /// The frame that is next in order, which is waited for if `all` are, or as many are under way as may be.
    fn next(&mut self, all: bool) -> Result<Option<InFlightFrame>, Error> {
        let Some(stages) = &mut self.stages else {
            return Ok(None);
        };
        let wait = all || stages.count() >= self.most;
        stages.next(wait).map_err(crashed)
    }

    /// All that are under way.
    fn all(&mut self) -> Result<VecDeque<InFlightFrame>, Error> {
        let Some(stages) = &mut self.stages else {
            return Ok(VecDeque::new());
        };
        stages.all().map_err(crashed)
    }

    /// Throws away what is under way.
    fn discard(&mut self) {
        self.done.clear();
        if self.all().is_err() {
            self.stages = None;
        }
    }
}

impl InFlightFrame {
    /// On the network's thread.
    fn run(&mut self, network: &Shared) {
        let job = &mut self.job;
        if job.repeated {
            return;
        }
        let turn = detailed::Turn {
            first: self.ticket.take(),
            due: self.due,
            patient: !job.moment.live,
        };
        match detailed::run(network, &mut job.request, &mut job.detailed, turn) {
            Ok(Some(timing)) => job.timing = Some(timing),
            Ok(None) => self.outcome = Outcome::Interrupted,
            Err(error) => self.outcome = Outcome::Failed(error),
        }
    }

    /// On the thread that writes depth frames.
    fn write(&mut self, packer: &Mutex<Packer>) {
        if matches!(self.outcome, Outcome::Failed(Error::ServersAway { .. }))
            && lock(packer).may_repeat(&self.job.live)
        {
            self.job.repeated = true;
            self.outcome = Outcome::None;
        }
        if !matches!(self.outcome, Outcome::None) {
            return;
        }
        let Some(depth_frame) = self.depth_frame.get_mut() else {
            self.outcome = Outcome::Failed(Error::Frame {
                reason: "the depth buffer is not its own".into(),
            });
            return;
        };
        // nobody else takes this lock while frames are under way
        let packed = lock(packer).pack(&mut self.job, depth_frame, &self.depth_info);
        self.outcome = match packed {
            Ok((meta, invalid)) => Outcome::Depth(meta, invalid),
            Err(error) => Outcome::Failed(error),
        };
    }
}

fn crashed(Crashed: Crashed) -> Error {
    Error::Inference {
        size: "this size".into(),
        reason: "a thread of the element has panicked; restart it, and please report this".into(),
    }
}

#[cfg(test)]
mod tests;
