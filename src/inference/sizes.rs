//! At which sizes a stream's network runs: the one asked for, or the largest that there is time and memory for.

mod compilation;
mod detail;

use std::time::{Duration, Instant};

use super::backend::Readiness;
use super::planner::{Memory, Plan, Shortage};
use super::shared::{Request, Shared, Timing};
use crate::error::Error;
use crate::geometry::Size;

pub(crate) use super::planner::{Asked, FrameShape};
pub(crate) use compilation::{Compilation, Tell};
pub(crate) use detail::DetailRuns;

use compilation::Watch;
use detail::Detail;

/// A run on nothing lets other streams go first for so long.
const TRIAL_SLACK: Duration = Duration::from_secs(1);

/// Why the network's size is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The first size of a stream.
    Start,
    /// Another was asked for.
    Property,
    /// The frames changed.
    Caps,
    /// To keep up with the stream, or because there is time for more.
    Load,
    /// To stay in memory.
    Memory,
}

/// What is to be said of a size, while the stream goes on.
#[derive(Debug)]
pub(crate) enum Notice {
    /// There is no memory for a size, and a smaller one is taken.
    Memory(Error),
    /// The minimum is above the resolution, and asks for nothing.
    Floor(Asked),
    /// There is no such size for these frames, or no memory for it: the size stays what it is.
    Refused {
        asked: Asked,
        kept: Asked,
        error: Error,
    },
    /// There are no runs for detail at the resolution that is asked for them, and why.
    NoDetail { detail: u32, reason: String },
    /// There is no memory for the runs for detail.
    DetailMemory(Error),
}

impl Shortage {
    fn notice(self) -> Option<Notice> {
        self.warning.map(Notice::Memory)
    }
}

/// A network, and the sizes that a stream may run it at.
pub(crate) struct Sizes {
    network: Shared,
    memory: Memory,
    /// Tells of sizes that are compiled.
    watch: Watch,
    /// `None`: there have been no frames yet.
    planned: Option<Planned>,
    detail: Detail,
}

/// The plan for the present frames.
struct Planned {
    plan: Plan,
    shape: FrameShape,
    asked: Asked,
    /// Asked for, and impossible.
    refused: Option<Asked>,
    /// Why the plan's size is another than the present one, while it is being made ready.
    pending: Option<Reason>,
    /// What the network sees,
    present: Size,
    /// and why.
    reason: Reason,
}

impl Sizes {
    /// For `network`, which may take so many bytes (`None`: any number) on a machine that has as many left as `available`
    /// tells.
    pub(crate) fn new(
        network: Shared,
        most_memory: Option<u64>,
        available: fn() -> Option<u64>,
    ) -> Self {
        Self {
            network,
            memory: Memory::new(most_memory, available),
            watch: Watch::default(),
            planned: None,
            detail: Detail::default(),
        }
    }

    /// What frames run through.
    pub(crate) fn network(&self) -> &Shared {
        &self.network
    }

    /// From here on `tell` hears of sizes that have to be compiled.
    pub(crate) fn tell_compilations(&mut self, tell: Box<Tell>) {
        self.watch = Watch::new(tell);
    }

    /// What the network sees; `None` before there are frames.
    pub(crate) fn present(&self) -> Option<Size> {
        self.planned.as_ref().map(|planned| planned.present)
    }

    /// Whether the plan is for such frames and this wish already.
    pub(crate) fn is_for(&self, shape: FrameShape, asked: Asked) -> bool {
        self.planned
            .as_ref()
            .is_some_and(|planned| planned.shape == shape && planned.asked == asked)
    }

    /// Plans for frames of `shape` that come at `pace` where somebody waits for them, and tries sizes where it has to be
    /// known what they take. `warm`: the network has run at the size before a frame waits for it; else the first frame is
    /// its first run. Gives the size, why it is another than before if it is, and what is to be said of it.
    ///
    /// # Errors
    /// When the network runs at no size that is allowed. There is no plan then.
    pub(crate) fn plan(
        &mut self,
        shape: FrameShape,
        asked: Asked,
        pace: Option<Duration>,
        warm: bool,
    ) -> Result<(Size, Option<Reason>, Option<Notice>), Error> {
        let before = self.planned.take();
        let mut plan = Plan::new(self.network.description(), shape, asked)?;
        match &before {
            Some(before) => plan.follow(&before.plan, pace),
            None => drop(plan.set_pace(pace)),
        }
        let shortage = self.settle(&mut plan, asked, warm)?;
        let size = plan.size();
        let reason = match &before {
            _ if shortage.is_some() => Some(Reason::Memory),
            None => Some(Reason::Start),
            Some(before) if before.present != size => Some(Reason::Caps),
            Some(_) => None,
        };
        self.planned = Some(Planned {
            plan,
            shape,
            asked,
            refused: None,
            pending: None,
            present: size,
            reason: reason.unwrap_or(Reason::Caps),
        });
        Ok((size, reason, shortage.and_then(Shortage::notice)))
    }

    /// There are no frames any more.
    pub(crate) fn forget(&mut self) {
        self.planned = None;
    }

    /// Takes over what was changed while playing: the wish, the pace. What can't be done leaves everything as it is and is
    /// said once.
    pub(crate) fn follow(&mut self, asked: Asked, pace: Option<Duration>) -> Option<Notice> {
        let planned = self.planned.as_mut()?;
        let before = planned.asked;
        if asked == before {
            planned.refused = None;
            if planned.plan.set_pace(pace).is_some() {
                planned.pending = Some(Reason::Load);
            }
            return None;
        }
        if planned.refused == Some(asked) {
            return None;
        }
        let plan = Plan::new(self.network.description(), planned.shape, asked);
        let plan = plan.and_then(|mut plan| {
            plan.follow(&planned.plan, pace);
            let (network, watch) = (&self.network, &mut self.watch);
            let mut trial = |size| trial(network, watch, size).map(drop);
            let shortage = self
                .memory
                .fit(network, &mut plan, asked, true, &mut trial)?;
            Ok((plan, shortage))
        });
        match plan {
            Ok((plan, shortage)) => {
                planned.plan = plan;
                planned.asked = asked;
                planned.refused = None;
                planned.pending = Some(match shortage {
                    Some(_) => Reason::Memory,
                    None => Reason::Property,
                });
                shortage
                    .and_then(Shortage::notice)
                    .or_else(|| asked.floor_is_above().then_some(Notice::Floor(asked)))
            }
            Err(error) => {
                planned.refused = Some(asked);
                Some(Notice::Refused {
                    asked,
                    kept: before,
                    error,
                })
            }
        }
    }

    /// The plan's size, where it is another than the present one and can be run at: frames go on at the old size until then.
    pub(crate) fn next(&mut self) -> Option<Size> {
        let planned = self.planned.as_mut()?;
        let size = planned.plan.size();
        if size == planned.present {
            planned.pending = None;
            return None;
        }
        let readiness = self.network.prepare(size);
        self.watch.observe(size, &readiness);
        // a size that can't be made ready is not run at either, and says why then
        (!matches!(readiness, Readiness::Preparing(_))).then_some(size)
    }

    /// The network sees `size` from here on. Gives the reason.
    pub(crate) fn change_to(&mut self, size: Size) -> Reason {
        let Some(planned) = &mut self.planned else {
            return Reason::Load;
        };
        planned.present = size;
        planned.reason = planned.pending.take().unwrap_or(Reason::Load);
        planned.reason
    }

    /// The runs for detail of the next frame, at `wanted` pixels of the short side (0: none), which may take `pace` in all.
    pub(crate) fn detail(&mut self, wanted: u32, pace: Option<Duration>) -> DetailRuns {
        let Some(planned) = &self.planned else {
            return DetailRuns::default();
        };
        let description = self.network.description();
        let (plan, resolution) = (&planned.plan, planned.asked.resolution);
        let news = self
            .detail
            .follow(description, plan, resolution, planned.shape, wanted);
        let lowered = planned.present != plan.top().size;
        let pace = pace.filter(|_| plan.adapts());
        let tiles = self.detail.tiles(plan, pace, lowered).cloned();
        let tiles = tiles.filter(|tiles| {
            let readiness = self.network.prepare(tiles.size());
            self.watch.observe(tiles.size(), &readiness);
            // frames go on without until then
            !matches!(readiness, Readiness::Preparing(_))
        });
        let reason = match planned.reason {
            Reason::Start if news => Reason::Start,
            _ if news => Reason::Property,
            _ if self.detail.has_failed() => Reason::Memory,
            reason if lowered => reason,
            _ => Reason::Load,
        };
        let step = self.detail.step(tiles.as_deref());
        DetailRuns {
            tiles,
            step: step.map(|size| (size, reason)),
        }
    }

    /// What is to be said of the runs for detail, once.
    pub(crate) fn detail_notice(&mut self) -> Option<Notice> {
        self.detail.take_notice()
    }

    /// There was no memory for the runs for detail.
    pub(crate) fn give_up_detail(&mut self, error: Error) {
        self.detail.fail(error);
    }

    /// A frame at `size` took `time`, late or not, with runs for detail or without. True: the plan has another size.
    pub(crate) fn observe(
        &mut self,
        size: Size,
        detailed: bool,
        time: Duration,
        late: bool,
        now: Duration,
    ) -> bool {
        let Some(planned) = &mut self.planned else {
            return false;
        };
        if size != planned.plan.size() {
            return false;
        }
        if detailed || size == planned.plan.top().size {
            self.detail.observe(time, late, now);
        }
        // what goes first has not gone yet
        let step = if detailed {
            None
        } else {
            planned.plan.observe(time, late, now)
        };
        let mut step = step.map(|_| Reason::Load);
        let tokens = planned.plan.tokens(size);
        if self
            .memory
            .keep_within(&self.network, &mut planned.plan, tokens)
        {
            step = Some(Reason::Memory);
        }
        if step.is_some() {
            planned.pending = step;
        }
        step.is_some()
    }

    /// A run at `size` found no memory: the smaller size to take from now on. `None`: that is no help.
    pub(crate) fn shrink(&mut self, error: &Error, size: Size) -> Option<Size> {
        let (Error::OutOfMemory { .. }, Some(planned)) = (error, &mut self.planned) else {
            return None;
        };
        // another frame in flight may have shrunk it already
        if planned.plan.size() == size && !planned.plan.shrink() {
            return None;
        }
        Some(planned.plan.size())
    }

    /// Tries sizes before frames wait for them: what fits in memory, what there is time for. `warm`: also the one that is
    /// taken, whatever is known of it. Some: memory is short.
    fn settle(
        &mut self,
        plan: &mut Plan,
        asked: Asked,
        warm: bool,
    ) -> Result<Option<Shortage>, Error> {
        let (network, watch) = (&self.network, &mut self.watch);
        let mut trial = |size| trial(network, watch, size);
        let smallest = plan.smallest();
        let fits = self.memory.allows(network, plan, smallest.tokens);
        if plan.wants_calibration() && fits {
            trial(smallest.size)?;
            // the first run at a size is a slow one
            if let Some(timing) = trial(smallest.size)? {
                plan.calibrate(smallest.tokens, timing.inference);
            }
        }
        let mut shortage = self.memory.fit(network, plan, asked, false, &mut |size| {
            trial(size).map(drop)
        })?;
        loop {
            let size = plan.size();
            if network.is_warm(size) || !(warm || starts_late(network, size)) {
                return Ok(shortage);
            }
            match trial(size) {
                Err(error @ Error::OutOfMemory { .. }) if plan.shrink() => {
                    shortage = Some(Shortage {
                        warning: Some(error),
                    });
                }
                result => return result.map(|_| shortage),
            }
        }
    }
}

/// Whether the first run at a size waits for more than the network here: for its engine, which is told of while it is
/// compiled, or for a server, which may refuse it.
fn starts_late(network: &Shared, size: Size) -> bool {
    network.connection().is_some() || !matches!(network.prepare(size), Readiness::Ready)
}

/// Runs the network on nothing at a size, which waits until that is compiled. `None`: interrupted.
fn trial(network: &Shared, watch: &mut Watch, size: Size) -> Result<Option<Timing>, Error> {
    watch.observe(size, &network.prepare(size));
    let mut request = Request {
        size,
        tensor: vec![0.0; 3 * size.area()],
        ..Request::default()
    };
    let result = network.run(&mut request, Instant::now() + TRIAL_SLACK);
    if let Ok(Some(_)) = result {
        watch.observe(size, &Readiness::Ready);
    }
    result
}
