//! Sizes that the network is tried at, and those it changes to.

use std::time::{Duration, Instant};

use super::memory::Shortage;
use super::{LONGEST_SLACK, Stream, not_negotiated};
use crate::depthanything::job::Job;
use crate::depthanything::messages::Reason;
use crate::depthanything::plan::{Asked, Plan};
use crate::depthanything::settings::LiveSettings;
use crate::depthanything::warning::Warning;
use crate::engine::network::Readiness;
use crate::engine::shared::{Request, Timing};
use crate::error::Error;
use crate::geometry::Size;

impl Stream {
    /// Tries sizes before frames wait for them: what fits in memory, what there is time for. Some: memory is short.
    pub(super) fn settle(
        &mut self,
        plan: &mut Plan,
        live: &LiveSettings,
    ) -> Result<Option<Shortage>, Error> {
        let smallest = plan.smallest();
        let limit = self.limit_for(plan);
        let fits = limit.is_none_or(|limit| self.network.memory(smallest.tokens) <= limit.bytes());
        if plan.wants_calibration() && fits {
            self.trial(smallest.size)?;
            // the first run at a size is a slow one
            if let Some(ran) = self.trial(smallest.size)? {
                plan.calibrate(smallest.tokens, ran.inference);
            }
        }
        let mut shortage = self.fit(plan, live, false)?;
        loop {
            let size = plan.size();
            if self.network.is_warm(size) {
                return Ok(shortage);
            }
            match self.trial(size) {
                Err(error @ Error::OutOfMemory { .. }) if plan.shrink() => {
                    let warning = Some(Warning::Memory(error));
                    shortage = Some(Shortage { warning });
                }
                result => return result.map(|_| shortage),
            }
        }
    }

    /// Runs the network on nothing at a size, which waits until that is compiled. `None`: interrupted.
    pub(super) fn trial(&mut self, size: Size) -> Result<Option<Timing>, Error> {
        self.watch.observe(size, &self.network.prepare(size));
        let (mut work, guide, picture) = self.spare.pop().unwrap_or_default();
        work.size = size;
        work.tensor.clear();
        work.tensor.resize(3 * size.area(), 0.0);
        let due = Instant::now() + LONGEST_SLACK;
        let ran = self.network.run(&mut work, due);
        self.spare.push((work, guide, picture));
        if let Ok(Some(_)) = ran {
            self.watch.observe(size, &Readiness::Ready);
        }
        ran
    }

    /// A run found no memory: takes a smaller size from now on. False: that is no help.
    pub(super) fn shrink(&mut self, error: &Error, job: &mut Job) -> bool {
        let (Error::OutOfMemory { .. }, Some(format)) = (error, &mut self.format) else {
            return false;
        };
        // another frame in flight may have shrunk it already
        if format.plan.size() == job.request.size && !format.plan.shrink() {
            return false;
        }
        let size = format.plan.size();
        if format.intake.resize(size).is_err() {
            return false;
        }
        job.steps.push((size, Reason::Memory));
        // the tensor that failed is larger than what is needed now
        job.request = Request::default();
        let _ = format.intake.repeats(1);
        true
    }

    /// Takes over what was changed while playing: the properties, the pace. What can't be done leaves everything as it is
    /// and is said once.
    pub(super) fn follow(
        &mut self,
        live: &LiveSettings,
        pace: Option<Duration>,
        steps: &mut Vec<(Size, Reason)>,
    ) -> Result<Option<Warning>, Error> {
        let format = self.format.as_mut().ok_or_else(not_negotiated)?;
        let (asked, before) = (Asked::of(live), format.asked);
        let mut warning = None;
        if asked == before {
            format.refused = None;
            if format.plan.set_pace(pace).is_some() {
                format.pending = Some(Reason::Load);
            }
        } else if format.refused != Some(asked) {
            let plan =
                Plan::new(self.network.description(), &format.frame, live).map(|mut plan| {
                    plan.follow(&format.plan, pace);
                    plan
                });
            let plan = plan.and_then(|mut plan| {
                let shortage = self.fit(&mut plan, live, true)?;
                Ok((plan, shortage))
            });
            let format = self.format.as_mut().ok_or_else(not_negotiated)?;
            match plan {
                Ok((plan, shortage)) => {
                    format.plan = plan;
                    format.asked = asked;
                    format.refused = None;
                    let short = shortage.is_some();
                    format.pending = Some(if short {
                        Reason::Memory
                    } else {
                        Reason::Property
                    });
                    warning = shortage
                        .and_then(|shortage| shortage.warning)
                        .or_else(|| asked.floor_is_above().then_some(Warning::Floor(asked)));
                }
                Err(error) => {
                    format.refused = Some(asked);
                    warning = Some(Warning::Refused {
                        asked,
                        kept: before,
                        error,
                    });
                }
            }
        }
        let format = self.format.as_mut().ok_or_else(not_negotiated)?;
        steps.extend(format.change_size(&self.network, &mut self.watch));
        Ok(warning)
    }
}
