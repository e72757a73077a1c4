//! Sizes that the network is tried at, and those it changes to.

use std::time::{Duration, Instant};

use super::{Asked, Job, LONGEST_PATIENCE, Stream, not_negotiated};
use crate::depthanything::messages::Reason;
use crate::depthanything::plan::Plan;
use crate::depthanything::settings::LiveSettings;
use crate::engine::shared::{Ran, Work};
use crate::error::Error;
use crate::geometry::Size;

impl Stream {
    /// Tries sizes before frames wait for them: what fits in memory, what there is time for. True: memory is short.
    pub(super) fn settle(&mut self, plan: &mut Plan, live: &LiveSettings) -> Result<bool, Error> {
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
    pub(super) fn fit_memory(
        &mut self,
        plan: &mut Plan,
        live: &LiveSettings,
        limit: u64,
    ) -> Result<(), Error> {
        let rungs = plan.rungs_in_memory(live).to_vec();
        // the memory of a GPU can't be measured from here, so that runs would teach nothing
        let predicted = self.network.description().runs_on_gpu();
        let Some(&smallest) = rungs.first() else {
            return Ok(());
        };
        let mut fits = None;
        let mut next = Some(smallest);
        while let Some(rung) = next {
            if !predicted && !self.network.is_warm(rung.size) {
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
    pub(super) fn trial(&mut self, size: Size) -> Result<Option<Ran>, Error> {
        let (mut work, guide) = self.spare.pop().unwrap_or_default();
        work.size = size;
        work.tensor.clear();
        work.tensor.resize(3 * size.area(), 0.0);
        let due = Instant::now() + LONGEST_PATIENCE;
        let ran = self.network.run(&mut work, due);
        self.spare.push((work, guide));
        ran
    }

    /// A run found no memory: takes a smaller size from now on. False: that is no help.
    pub(super) fn shrink(&mut self, error: &Error, job: &mut Job) -> bool {
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
    pub(super) fn follow(
        &mut self,
        live: &LiveSettings,
        pace: Option<Duration>,
        steps: &mut Vec<(Size, Reason)>,
    ) -> Result<(), Error> {
        let format = self.format.as_mut().ok_or_else(not_negotiated)?;
        let asked = Asked::of(live);
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
            format.pending = Some(Reason::Property);
        } else if format.plan.set_pace(pace).is_some() {
            format.pending = Some(Reason::Load);
        }
        steps.extend(format.change_size(&self.network));
        Ok(())
    }
}
