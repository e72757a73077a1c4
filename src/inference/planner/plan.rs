//! At which size the network sees a stream: the one asked for, or the largest that fits the time and the memory there are.

use std::time::Duration;

use super::{CostModel, Level, Planner};
use crate::error::Error;
use crate::geometry::{self, Size, network_size};
use crate::inference::backend::{Description, InputSize};

/// Patches of the short side below which there is no picture left to speak of.
const LEAST_PATCHES: u32 = 5;
/// Where a size has failed for want of memory, the next one tried has this share of its tokens.
const SHRINK: f64 = 0.8;

/// What is asked for, in pixels of the short side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Asked {
    /// What the network is to see.
    pub(crate) resolution: u32,
    /// The least that it may be lowered to; 0: it is fixed.
    pub(crate) min_resolution: u32,
}

impl Asked {
    /// The minimum asks for more than the resolution allows.
    pub(crate) fn floor_is_above(self) -> bool {
        self.min_resolution > self.resolution
    }
}

/// The frames that sizes are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameShape {
    pub(crate) size: Size,
    /// Width to height of a pixel.
    pub(crate) par: (u32, u32),
}

/// The sizes of a stream, and the present one.
pub(in crate::inference) struct Plan {
    planner: Planner,
    /// Smaller sizes are taken when time is short.
    adapts: bool,
    /// There is a pace to keep.
    paced: bool,
    /// The smallest that may be taken when time is short.
    floor: u32,
    patch: u32,
    /// The latest run: its tokens, and the time of its frame.
    latest: Option<(usize, Duration)>,
}

impl Plan {
    /// For frames of `shape`.
    ///
    /// # Errors
    /// When there is no size for such frames at the resolution asked for.
    pub(in crate::inference) fn new(
        description: &Description,
        shape: FrameShape,
        asked: Asked,
    ) -> Result<Self, Error> {
        let patch = description.patch.max(1);
        let level = |resolution| {
            let size = size_for(description, shape, resolution)?;
            Ok(Level {
                resolution,
                size,
                tokens: geometry::tokens(size, patch),
            })
        };
        let top = level(asked.resolution)?;
        let floor = match asked.min_resolution {
            0 => asked.resolution,
            least => least.min(asked.resolution),
        };
        let mut levels = vec![top];
        if description.input_size == InputSize::Any {
            // want of memory may ask for less than any that time asks for
            let below = (1..asked.resolution.div_ceil(patch)).map(|patches| patches * patch);
            levels.extend(below.filter_map(|resolution| level(resolution).ok()));
            levels.retain(|level| level.tokens <= top.tokens);
        }
        let planner = Planner::new(levels, CostModel::default());
        let mut plan = Self {
            planner: planner.ok_or_else(|| Error::Frame {
                reason: "there is no size for it".into(),
            })?,
            adapts: floor < asked.resolution && description.input_size == InputSize::Any,
            paced: false,
            floor,
            patch,
            latest: None,
        };
        plan.planner.set_floor(floor);
        Ok(plan)
    }

    /// What the network is to see.
    pub(in crate::inference) fn size(&self) -> Size {
        self.planner.level().size
    }

    /// The size that is asked for.
    pub(in crate::inference) fn top(&self) -> Level {
        let levels = self.planner.levels();
        levels.last().copied().unwrap_or(self.level())
    }

    /// Whether smaller sizes are taken when time is short.
    pub(in crate::inference) fn adapts(&self) -> bool {
        self.adapts
    }

    /// Tokens and time of the latest run; `None`: there was none.
    pub(in crate::inference) fn latest(&self) -> Option<(usize, Duration)> {
        self.latest
    }

    /// Time has a say, and nothing is known of it yet.
    pub(in crate::inference) fn wants_calibration(&self) -> bool {
        self.adapts && self.paced && self.latest.is_none()
    }

    /// The same with its resolution and tokens.
    pub(in crate::inference) fn level(&self) -> Level {
        self.planner.level()
    }

    /// Sizes that the network can be tried at, from the smallest, up to the one asked for.
    pub(in crate::inference) fn levels(&self) -> &[Level] {
        self.from(self.patch * LEAST_PATCHES)
    }

    /// The smallest that may be taken to stay in memory.
    pub(in crate::inference) fn smallest_in_memory(&self, asked: Asked) -> Level {
        let floor = match asked.min_resolution {
            0 => self.patch * LEAST_PATCHES,
            _ => self.floor,
        };
        self.from(floor).first().copied().unwrap_or(self.level())
    }

    fn from(&self, resolution: u32) -> &[Level] {
        let levels = self.planner.levels();
        let first = levels.partition_point(|level| level.resolution < resolution);
        &levels[first.min(levels.len() - 1)..]
    }

    /// The smallest size that is taken to save time.
    pub(in crate::inference) fn smallest(&self) -> Level {
        let mut levels = self.planner.levels().iter();
        let found = levels.find(|level| level.resolution >= self.floor);
        *found.unwrap_or(&self.planner.level())
    }

    /// Tokens of a size.
    pub(in crate::inference) fn tokens(&self, size: Size) -> usize {
        geometry::tokens(size, self.patch)
    }

    /// A frame may take so long. `None`: as long as it likes. `Some` size: take this from now on.
    pub(in crate::inference) fn set_pace(&mut self, pace: Option<Duration>) -> Option<Size> {
        self.paced = pace.is_some();
        if !self.adapts || !self.planner.set_frame_interval(pace) {
            return None;
        }
        let (tokens, time) = self.latest?;
        self.calibrate(tokens, time)
    }

    /// A frame at so many tokens took so long, of a stream that is only about to begin.
    pub(in crate::inference) fn calibrate(
        &mut self,
        tokens: usize,
        time: Duration,
    ) -> Option<Size> {
        self.latest = Some((tokens, time));
        self.planner
            .calibrate(tokens, time, CostModel::default())
            .map(|level| level.size)
    }

    /// Goes on from `other`, which was for the same network.
    pub(in crate::inference) fn follow(&mut self, other: &Self, pace: Option<Duration>) {
        self.latest = other.latest;
        self.set_pace(pace);
    }

    /// Takes how long a frame took and whether it came late. `Some`: take this size from now on.
    pub(in crate::inference) fn observe(
        &mut self,
        time: Duration,
        late: bool,
        now: Duration,
    ) -> Option<Size> {
        self.latest = Some((self.planner.level().tokens, time));
        if !self.adapts {
            return None;
        }
        self.planner
            .observe(time, late, now)
            .map(|level| level.size)
    }

    /// Nothing above `tokens` fits in memory.
    pub(in crate::inference) fn limit(&mut self, tokens: usize) {
        self.planner.limit(tokens);
    }

    /// The present size does not fit in memory. False: there is none below it.
    pub(in crate::inference) fn shrink(&mut self) -> bool {
        let tokens = self.planner.level().tokens as f64 * SHRINK;
        self.planner.limit(tokens as usize).is_some()
    }
}

fn size_for(description: &Description, shape: FrameShape, resolution: u32) -> Result<Size, Error> {
    match description.input_size {
        InputSize::Fixed(size) => Ok(size),
        InputSize::Any => network_size(shape.size, shape.par, resolution, description.patch)
            .map_err(|error| Error::Frame {
                reason: error.to_string(),
            }),
    }
}
