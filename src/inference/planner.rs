//! Which resolution fits the time a stream leaves for a frame, and the memory there is.
//!
//! All that is known of memory is here: what a network takes at a size (`memory.rs`), what the machine has left
//! (`available.rs`), which sizes that leaves (`limit.rs`), what loading a model may take (`loading.rs`), when a runtime is
//! told to give back (`arena.rs`). `plan.rs` is the sizes of one stream.
//!
//! A [`Planner`] knows a ladder of network sizes and what each costs relative to the others, learns from
//! each frame how long a unit of cost takes on this machine now, and says when to go down or up. It knows no
//! clock: the caller tells it the time, so that it can be tested in simulated hours.

mod arena;
mod available;
mod limit;
mod loading;
mod memory;
mod plan;

use std::collections::VecDeque;
use std::time::Duration;

pub(super) use arena::Arena;
pub use available::available;
pub(super) use available::available_with_swap;
pub(super) use limit::{Memory, MemoryUse, Shortage};
pub(super) use loading::{check_images, loading_may_take, run_may_take};
pub(super) use memory::GivenBack;
pub use memory::{MemoryModel, give_back, resident};
pub(super) use plan::Plan;
pub(crate) use plan::{Asked, FrameShape};

use crate::geometry::Size;

/// Share of the frame interval that a frame may take: the rest is for everything else on the machine.
const BUDGET: f64 = 0.8;
/// Share of the budget that a larger size must fit in before it is tried: the gap to the budget is what
/// keeps the planner from going up and down in turn.
const ROOM: f64 = 0.85;
/// Frames that a decision to go down looks at. Their median must be too slow: one slow frame is an accident.
const RECENT: usize = 5;
/// Frames that must have gone by at a size before its times count: the first runs at a size are slow.
const SETTLE: usize = 2;
/// How long all must be well before a larger size is tried.
const HOLD: Duration = Duration::from_secs(2);
/// A larger size that had to be left again within this time was a mistake.
const REGRET: Duration = Duration::from_secs(20);
/// Each mistake doubles that time, up to this.
const LONGEST_HOLD: Duration = Duration::from_secs(120);

/// Frames in a row that came late although the element itself is quick enough, after which it makes room for whatever
/// holds them up: a decoder, another process.
const LATE: usize = 8;

/// One size that the network can run at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// The test-time resolution, in pixels.
    pub resolution: u32,
    /// What the network sees.
    pub size: Size,
    /// Tokens: patches of the picture.
    pub tokens: usize,
}

/// Time of a run relative to others: linear in the tokens, and quadratic where attention outweighs the rest.
///
/// For ViT-S, whose width is 384, attention takes as long as everything else at about 6,000 tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CostModel {
    /// Tokens at which attention takes as long as everything else.
    pub attention_equals_rest_at: f64,
}

impl Default for CostModel {
    fn default() -> Self {
        Self {
            attention_equals_rest_at: 6000.0,
        }
    }
}

impl CostModel {
    fn cost(&self, tokens: usize) -> f64 {
        let tokens = tokens as f64;
        tokens * (1.0 + tokens / self.attention_equals_rest_at)
    }
}

/// Chooses the level.
#[derive(Debug)]
pub struct Planner {
    /// From the smallest to the largest.
    levels: Vec<Level>,
    costs: Vec<f64>,
    current: usize,
    /// Time that a frame may take; `None`: as long as it likes.
    budget: Option<Duration>,
    /// Seconds a unit of cost of the latest frames at this level.
    recent: VecDeque<f64>,
    /// Frames at this level.
    frames: usize,
    /// Nothing below this for want of time.
    floor: usize,
    /// Nothing above this for want of memory.
    ceiling: usize,
    /// Late frames in a row.
    late: usize,
    /// Since when a larger size would fit.
    well_since: Option<Duration>,
    hold: Duration,
    /// When it last went up.
    went_up: Option<Duration>,
}

impl Planner {
    /// Begins at the largest of `levels`, which must not be empty.
    pub fn new(mut levels: Vec<Level>, model: CostModel) -> Option<Self> {
        levels.sort_by_key(|level| level.tokens);
        levels.dedup_by_key(|level| level.tokens);
        let current = levels.len().checked_sub(1)?;
        Some(Self {
            costs: levels
                .iter()
                .map(|level| model.cost(level.tokens))
                .collect(),
            levels,
            current,
            floor: 0,
            ceiling: current,
            late: 0,
            budget: None,
            recent: VecDeque::with_capacity(RECENT),
            frames: 0,
            well_since: None,
            hold: HOLD,
            went_up: None,
        })
    }

    /// The size to run at.
    pub fn level(&self) -> Level {
        self.levels[self.current]
    }

    /// The time between two frames of the stream; `None` where there is none to keep to. True: that is news.
    pub fn set_frame_interval(&mut self, interval: Option<Duration>) -> bool {
        let budget = interval.map(|interval| interval.mul_f64(BUDGET));
        // an interval that is measured trembles
        let same = match (self.budget, budget) {
            (Some(before), Some(now)) => before.abs_diff(now) < before / 50,
            (before, now) => before == now,
        };
        if !same {
            self.budget = budget;
            self.well_since = None;
        }
        !same
    }

    /// Time is no reason to go below this resolution.
    pub fn set_floor(&mut self, resolution: u32) {
        let found = self
            .levels
            .iter()
            .position(|level| level.resolution >= resolution);
        self.floor = found.unwrap_or(self.levels.len() - 1);
    }

    /// All sizes, from the smallest.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// Jumps to the largest size that fits the time, given that a run at `tokens` takes `time`. `Some`: run at this from
    /// now on.
    pub fn calibrate(&mut self, tokens: usize, time: Duration, model: CostModel) -> Option<Level> {
        let budget = self.budget?.as_secs_f64() * ROOM;
        let unit = time.as_secs_f64() / model.cost(tokens);
        let fits = self.costs[..=self.ceiling]
            .iter()
            .rposition(|cost| unit * cost <= budget);
        let target = fits.unwrap_or(0).max(self.floor).min(self.ceiling);
        (target != self.current).then(|| self.go_to(target))
    }

    /// Nothing above `tokens` from here on, for want of memory. `Some`: run at this from now on.
    pub fn limit(&mut self, tokens: usize) -> Option<Level> {
        let fits = self.levels.iter().rposition(|level| level.tokens <= tokens);
        self.ceiling = fits.unwrap_or(0);
        (self.current > self.ceiling).then(|| self.go_to(self.ceiling))
    }

    /// Takes the time in the element of a frame that ran at [`Self::level`], and whether it came late, at `now` on any
    /// clock. `Some`: run at this from now on.
    pub fn observe(&mut self, time: Duration, late: bool, now: Duration) -> Option<Level> {
        let budget = self.budget?.as_secs_f64();
        self.frames += 1;
        if self.frames <= SETTLE {
            return None;
        }
        self.late = if late { self.late + 1 } else { 0 };
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent
            .push_back(time.as_secs_f64() / self.costs[self.current]);

        let median = self.median();
        let enough = self.recent.len() >= RECENT.div_ceil(2);
        if enough && median * self.costs[self.current] > budget {
            return self.go_down(median, budget, now);
        }
        if self.late >= LATE {
            // one step, as if this size were just too slow
            self.late = 0;
            let unit = budget / self.costs[self.current];
            return self.go_down(unit, budget, now);
        }
        if self.recent.len() == RECENT {
            return self.maybe_go_up(budget, now);
        }
        None
    }

    /// To the largest size that fits, at once.
    fn go_down(&mut self, unit: f64, budget: f64, now: Duration) -> Option<Level> {
        self.well_since = None;
        if self
            .went_up
            .is_some_and(|up| now.saturating_sub(up) < REGRET)
        {
            self.hold = (self.hold * 2).min(LONGEST_HOLD);
        }
        let below = &self.costs[..self.current];
        let fits = below.iter().rposition(|cost| unit * cost <= budget * ROOM);
        let target = fits.unwrap_or(0).max(self.floor);
        if target >= self.current {
            return None;
        }
        self.went_up = None;
        Some(self.go_to(target))
    }

    /// One step at a time, once the slowest of the recent frames says that there has been room for long.
    fn maybe_go_up(&mut self, budget: f64, now: Duration) -> Option<Level> {
        if self
            .went_up
            .is_some_and(|up| now.saturating_sub(up) >= REGRET)
        {
            // it was right to go up
            self.went_up = None;
            self.hold = (self.hold / 2).max(HOLD);
        }
        let slowest = self.recent.iter().copied().fold(0.0, f64::max);
        let next = self.current + 1;
        let fits = self
            .costs
            .get(next)
            .is_some_and(|cost| slowest * cost <= budget * ROOM);
        if !fits || next > self.ceiling || self.late > 0 {
            self.well_since = None;
            return None;
        }
        let since = *self.well_since.get_or_insert(now);
        if now.saturating_sub(since) < self.hold {
            return None;
        }
        self.went_up = Some(now);
        Some(self.go_to(next))
    }

    fn go_to(&mut self, level: usize) -> Level {
        self.current = level;
        self.recent.clear();
        self.frames = 0;
        self.late = 0;
        self.well_since = None;
        self.levels[level]
    }

    fn median(&self) -> f64 {
        let mut sorted: Vec<f64> = self.recent.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 16:9, from 140 to 518 in steps of 14, as `resolution=518 min-resolution=140` has them.
    fn ladder() -> Vec<Level> {
        (10..=37)
            .map(|patches: u32| Level {
                resolution: 14 * patches,
                size: Size::new(14 * (patches * 16).div_ceil(9), 14 * patches),
                tokens: (patches * (patches * 16).div_ceil(9)) as usize,
            })
            .collect()
    }

    /// A machine and a live stream, in simulated time.
    struct Simulation {
        planner: Planner,
        now: f64,
        random: u64,
        interval: f64,
        late: bool,
    }

    impl Simulation {
        fn new(interval: f64) -> Self {
            let mut planner = Planner::new(ladder(), CostModel::default()).unwrap();
            planner.set_frame_interval(Some(Duration::from_secs_f64(interval)));
            Self {
                planner,
                now: 0.0,
                random: 1,
                interval,
                late: false,
            }
        }

        fn uniform(&mut self) -> f64 {
            self.random = self
                .random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.random >> 11) as f64 / (1u64 << 53) as f64
        }

        /// Runs a frame on a machine that does 518 in `seconds_at_518`; gives its time and the step.
        fn frame(&mut self, seconds_at_518: f64, noise: f64) -> (f64, Option<Level>) {
            // the machine does not follow the planner's model: attention weighs more
            let true_cost = |tokens: usize| {
                let tokens = tokens as f64;
                tokens * (1.0 + tokens / 4000.0)
            };
            let largest = ladder().last().unwrap().tokens;
            let share = true_cost(self.planner.level().tokens) / true_cost(largest);
            let spread = 1.0 + noise * (2.0 * self.uniform() - 1.0);
            let time = seconds_at_518 * share * spread;
            self.now += self.interval.max(time);
            let step = self.planner.observe(
                Duration::from_secs_f64(time),
                self.late,
                Duration::from_secs_f64(self.now),
            );
            (time, step)
        }
    }

    #[test]
    fn an_empty_ladder_is_no_planner() {
        assert!(Planner::new(Vec::new(), CostModel::default()).is_none());
    }

    #[test]
    fn without_a_frame_rate_it_stays_at_the_top() {
        let mut planner = Planner::new(ladder(), CostModel::default()).unwrap();
        for second in 0..1000 {
            let now = Duration::from_secs(second);
            assert_eq!(planner.observe(Duration::from_secs(9), false, now), None);
        }
        assert_eq!(planner.level().resolution, 518);
    }

    #[test]
    fn a_stream_that_is_too_fast_is_kept_up_with_after_a_second() {
        let mut simulation = Simulation::new(0.1);
        while simulation.now < 5.0 {
            simulation.frame(0.7, 0.1);
        }
        for _ in 0..200 {
            let (time, _) = simulation.frame(0.7, 0.1);
            assert!(time < 0.1, "{time} at {:?}", simulation.planner.level());
        }
        // and not at less than it could
        assert!(simulation.planner.level().resolution >= 168);
    }

    #[test]
    fn load_that_comes_is_followed_within_a_second_and_left_again() {
        let mut simulation = Simulation::new(0.1);
        while simulation.now < 60.0 {
            simulation.frame(0.3, 0.05);
        }
        let before = simulation.planner.level().resolution;
        let start = simulation.now;
        let mut settled = None;
        while simulation.now < start + 30.0 {
            let (time, _) = simulation.frame(0.6, 0.05);
            if time <= 0.1 && settled.is_none() {
                settled = Some(simulation.now - start);
            }
        }
        assert!(settled.is_some_and(|after| after <= 1.0), "{settled:?}");
        assert!(simulation.planner.level().resolution < before);
        let start = simulation.now;
        while simulation.now < start + 120.0 {
            simulation.frame(0.3, 0.05);
        }
        assert!(simulation.planner.level().resolution >= before - 14);
    }

    #[test]
    fn a_hundred_thousand_noisy_frames_without_swinging() {
        let mut simulation = Simulation::new(0.1);
        let (mut steps, mut late) = (0, 0);
        for frame in 0..100_000 {
            // a machine that slows and recovers over an hour
            let drift = 1.0 + 0.3 * (f64::from(frame) / 36_000.0 * std::f64::consts::TAU).sin();
            let (time, step) = simulation.frame(0.5 * drift, 0.15);
            steps += u32::from(step.is_some());
            late += u32::from(time > 0.1);
        }
        // nearly three hours: a step now and then, never a swing
        assert!(steps < 250, "{steps} steps");
        assert!(late < 300, "{late} late frames");
    }

    #[test]
    fn single_slow_frames_change_nothing() {
        let mut simulation = Simulation::new(0.1);
        while simulation.now < 120.0 {
            simulation.frame(0.4, 0.02);
        }
        let before = simulation.planner.level();
        for frame in 0..2000 {
            let seconds = if frame % 25 == 0 { 1.6 } else { 0.4 };
            let (_, step) = simulation.frame(seconds, 0.02);
            assert!(
                step.is_none_or(|level| level.tokens > before.tokens),
                "{step:?}"
            );
        }
    }

    #[test]
    fn a_machine_at_the_edge_of_two_sizes_stays_at_one() {
        // whatever the machine's speed, it must not go up and down in turn
        for speed in 0..40 {
            let mut simulation = Simulation::new(0.1);
            let seconds = 0.2 + 0.02 * f64::from(speed);
            while simulation.now < 60.0 {
                simulation.frame(seconds, 0.1);
            }
            let start = simulation.now;
            let mut steps = 0;
            while simulation.now < start + 600.0 {
                steps += u32::from(simulation.frame(seconds, 0.1).1.is_some());
            }
            assert!(steps <= 12, "{steps} steps in ten minutes at {seconds} s");
        }
    }

    #[test]
    fn one_run_tells_where_to_begin() {
        let mut planner = Planner::new(ladder(), CostModel::default()).unwrap();
        let smallest = planner.levels()[0];
        let time = Duration::from_millis(20);
        assert_eq!(
            planner.calibrate(smallest.tokens, time, CostModel::default()),
            None,
            "a stream without a pace stays at the top"
        );
        planner.set_frame_interval(Some(Duration::from_millis(100)));
        let level = planner.calibrate(smallest.tokens, time, CostModel::default());
        let level = level.unwrap();
        let expected = 20.0 * CostModel::default().cost(level.tokens)
            / CostModel::default().cost(smallest.tokens);
        assert!(expected <= 68.0 && expected > 50.0, "{expected} ms");
    }

    #[test]
    fn memory_is_a_ceiling() {
        let mut simulation = Simulation::new(1.0);
        let limit = ladder()[12];
        let level = simulation.planner.limit(limit.tokens);
        assert_eq!(level, Some(limit));
        while simulation.now < 300.0 {
            simulation.frame(0.01, 0.1);
        }
        assert_eq!(simulation.planner.level(), limit);
    }

    #[test]
    fn frames_that_come_late_make_room_for_what_holds_them_up() {
        let mut simulation = Simulation::new(0.1);
        while simulation.now < 60.0 {
            simulation.frame(0.4, 0.05);
        }
        let before = simulation.planner.level();
        for _ in 0..LATE + SETTLE {
            simulation.late = true;
            simulation.frame(0.4, 0.05);
        }
        let after = simulation.planner.level();
        assert!(after.tokens < before.tokens);
        simulation.late = false;
        let end = simulation.now + 120.0;
        while simulation.now < end {
            simulation.frame(0.4, 0.05);
        }
        assert!(simulation.planner.level().tokens >= before.tokens);
    }
}
