//! Whether a stream has runs for detail beside those that say what is large, and in which tiles.
//!
//! It is the first thing given up where time or memory is short, and the last to come back: only while the network sees what
//! `resolution` asks for, and only while there is time for all of a frame's runs.

use std::sync::Arc;
use std::time::Duration;

use super::{FrameShape, Notice, Reason};
use crate::detail::Tiles;
use crate::error::Error;
use crate::geometry::{Size, network_size, tokens};
use crate::inference::backend::{Description, InputSize};
use crate::inference::planner::{CostModel, Level, Plan, Planner};

/// What decides on the tiles.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Wish {
    /// Short side of the picture that is cut into tiles.
    detail: u32,
    /// Short side of what the network sees first.
    resolution: u32,
    shape: FrameShape,
    first: Size,
}

/// The runs for detail of a stream.
#[derive(Default)]
pub(super) struct Detail {
    wish: Option<Wish>,
    /// `None`: what is asked for is none.
    tiles: Option<Arc<Tiles>>,
    /// Whether there is time for them.
    gate: Option<Planner>,
    /// There was no memory for them.
    failed: bool,
    /// What is to be said, once.
    notice: Option<Notice>,
    /// What frames have had since the last change.
    present: Option<Size>,
}

/// What the next frame has.
#[derive(Debug, Default)]
pub(crate) struct DetailRuns {
    /// `None`: the first run alone.
    pub(crate) tiles: Option<Arc<Tiles>>,
    /// Size of the picture that is cut into tiles from here on, nothing by nothing where none is, and why that has changed.
    pub(crate) step: Option<(Size, Reason)>,
}

impl Detail {
    /// Decides anew if the wish has changed: `wanted` pixels of the short side beside a first run as `plan` says.
    pub(super) fn follow(
        &mut self,
        description: &Description,
        plan: &Plan,
        resolution: u32,
        shape: FrameShape,
        wanted: u32,
    ) -> bool {
        let wish = Wish {
            detail: wanted,
            resolution,
            shape,
            first: plan.top().size,
        };
        if self.wish == Some(wish) {
            return false;
        }
        self.wish = Some(wish);
        self.failed = false;
        self.notice = None;
        self.gate = None;
        self.tiles = match tiles(description, wish) {
            Ok(tiles) => tiles.map(Arc::new),
            Err(notice) => {
                self.notice = Some(notice);
                None
            }
        };
        if let Some(tiles) = &self.tiles {
            let first = plan.top();
            let all = tokens(tiles.size(), description.patch) * tiles.count();
            let with_detail = Level {
                resolution: wanted,
                size: tiles.whole(),
                tokens: first.tokens.saturating_add(all),
            };
            self.gate = Planner::new(vec![first, with_detail], LINEAR);
        }
        true
    }

    /// The tiles, where there is time and memory for them: a frame may take `pace` (`None`: as long as it likes), and the
    /// network sees what is asked for, or less (`lowered`).
    pub(super) fn tiles(
        &mut self,
        plan: &Plan,
        pace: Option<Duration>,
        lowered: bool,
    ) -> Option<&Arc<Tiles>> {
        let first = plan.top();
        let gate = self.gate.as_mut()?;
        if gate.set_frame_interval(pace)
            && let Some((tokens, time)) = plan.latest()
            && tokens == first.tokens
        {
            gate.calibrate(tokens, time, LINEAR);
        }
        gate.limit(if lowered { first.tokens } else { usize::MAX });
        let has_time = gate.level().tokens > first.tokens;
        let tiles = self.tiles.as_ref();
        tiles.filter(|_| has_time && !lowered && !self.failed)
    }

    /// A frame took `time`, late or not, with detail or without, where that would have been possible.
    pub(super) fn observe(&mut self, time: Duration, late: bool, now: Duration) {
        if let Some(gate) = &mut self.gate {
            gate.observe(time, late, now);
        }
    }

    /// There was no memory for the runs: there are none until something else is asked for.
    pub(super) fn fail(&mut self, error: Error) {
        if !std::mem::replace(&mut self.failed, true) {
            self.notice = Some(Notice::DetailMemory(error));
        }
    }

    /// What is to be said of it.
    pub(super) fn take_notice(&mut self) -> Option<Notice> {
        self.notice.take()
    }

    /// Whether what frames have is another than before.
    pub(super) fn step(&mut self, tiles: Option<&Tiles>) -> Option<Size> {
        let whole = tiles.map(Tiles::whole);
        let before = std::mem::replace(&mut self.present, whole);
        (before != whole).then(|| whole.unwrap_or_default())
    }

    /// Whether there was no memory for them.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }
}

/// Tiles are runs one after the other.
const LINEAR: CostModel = CostModel {
    attention_equals_rest_at: f64::INFINITY,
};

/// The tiles that `wish` asks for; `None`: it asks for none.
fn tiles(description: &Description, wish: Wish) -> Result<Option<Tiles>, Notice> {
    let Wish {
        detail,
        resolution,
        shape,
        first,
    } = wish;
    if detail == 0 {
        return Ok(None);
    }
    let patch = description.patch.max(1);
    let resolution = match description.input_size {
        InputSize::Fixed(size) => size.width.min(size.height),
        InputSize::Any => resolution,
    };
    let off = |reason| Notice::NoDetail { detail, reason };
    if detail <= resolution {
        return Err(off(format!(
            "it has to be above the resolution, {resolution}, to add anything"
        )));
    }
    let whole = network_size(shape.size, shape.par, detail, patch).map_err(|error| {
        off(match error.highest {
            Some(highest) if highest > resolution => format!(
                "frames of {} would be longer than networks are asked for; {highest} or less works",
                shape.size
            ),
            _ => format!(
                "frames of {} are too long and thin for more detail",
                shape.size
            ),
        })
    })?;
    match description.input_size {
        InputSize::Fixed(tile) => {
            let whole = Size::new(whole.width.max(tile.width), whole.height.max(tile.height));
            Ok(Some(Tiles::of_size(tile, whole, patch)))
        }
        InputSize::Any => Tiles::no_larger_than(first, whole, patch)
            .map(Some)
            .ok_or_else(|| {
                off(format!(
                    "resolution={resolution} is so low that tiles no larger could not overlap; raise it"
                ))
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Asked;
    use super::*;

    const HD: FrameShape = FrameShape {
        size: Size::new(1920, 1080),
        par: (1, 1),
    };

    fn plan(description: &Description, resolution: u32, min_resolution: u32) -> Plan {
        let asked = Asked {
            resolution,
            min_resolution,
        };
        Plan::new(description, HD, asked).expect("a plan")
    }

    fn any() -> Description {
        Description::of_any_size("test")
    }

    #[test]
    fn it_has_to_be_above_the_resolution() {
        let plan = plan(&any(), 518, 0);
        for wanted in [1, 252, 518] {
            let mut detail = Detail::default();
            assert!(detail.follow(&any(), &plan, 518, HD, wanted));
            assert!(detail.tiles(&plan, None, false).is_none());
            assert!(matches!(
                detail.take_notice(),
                Some(Notice::NoDetail { .. })
            ));
            // said once
            assert!(!detail.follow(&any(), &plan, 518, HD, wanted));
            assert!(detail.take_notice().is_none());
        }
        let mut detail = Detail::default();
        detail.follow(&any(), &plan, 518, HD, 0);
        assert!(detail.tiles(&plan, None, false).is_none());
        assert!(
            detail.take_notice().is_none(),
            "off is nothing to be warned of"
        );
        detail.follow(&any(), &plan, 518, HD, 1036);
        let tiles = detail.tiles(&plan, None, false).expect("tiles");
        assert_eq!(tiles.whole(), Size::new(1848, 1036));
    }

    #[test]
    fn frames_that_are_too_long_are_told_what_works() {
        let strip = FrameShape {
            size: Size::new(16_384, 2000),
            par: (1, 1),
        };
        let asked = Asked {
            resolution: 518,
            min_resolution: 0,
        };
        let plan = Plan::new(&any(), strip, asked).expect("a plan");
        let mut detail = Detail::default();
        detail.follow(&any(), &plan, 518, strip, 4000);
        let Some(Notice::NoDetail { reason, .. }) = detail.take_notice() else {
            panic!("nothing is said");
        };
        assert!(reason.contains("1988 or less"), "{reason}");
        detail.follow(&any(), &plan, 518, strip, 1988);
        assert!(detail.tiles(&plan, None, false).is_some());
    }

    #[test]
    fn models_of_a_fixed_size_have_tiles_of_that_size() {
        let tile = Size::new(518, 518);
        let fixed = Description {
            input_size: InputSize::Fixed(tile),
            ..any()
        };
        let plan = plan(&fixed, 252, 0);
        let mut detail = Detail::default();
        detail.follow(&fixed, &plan, 252, HD, 1036);
        let tiles = detail.tiles(&plan, None, false).expect("tiles").clone();
        assert_eq!((tiles.size(), tiles.whole()), (tile, Size::new(1848, 1036)));
        // above `resolution`, which such a model does not know, but not above its own size
        detail.follow(&fixed, &plan, 252, HD, 518);
        assert!(detail.tiles(&plan, None, false).is_none());
        assert!(detail.take_notice().is_some());
        // wider than the picture at that resolution
        let wide = Description {
            input_size: InputSize::Fixed(Size::new(1960, 518)),
            ..any()
        };
        detail.follow(&wide, &plan, 518, HD, 1036);
        let tiles = detail.tiles(&plan, None, false).expect("tiles");
        assert_eq!(tiles.size(), Size::new(1960, 518));
    }

    #[test]
    fn it_goes_first_and_comes_back_last() {
        let plan = plan(&any(), 518, 252);
        let mut detail = Detail::default();
        detail.follow(&any(), &plan, 518, HD, 1036);
        let pace = Some(Duration::from_millis(100));
        assert!(detail.tiles(&plan, pace, false).is_some());
        // all runs take longer than a frame may
        let mut now = Duration::ZERO;
        let mut frame = |detail: &mut Detail, time: u64, lowered: bool| {
            now += Duration::from_millis(100);
            detail.observe(Duration::from_millis(time), false, now);
            detail.tiles(&plan, pace, lowered).is_some()
        };
        for _ in 0..6 {
            frame(&mut detail, 150, false);
        }
        assert!(!frame(&mut detail, 25, false), "given up");
        // the first run leaves no time for the others
        for _ in 0..100 {
            assert!(!frame(&mut detail, 25, false));
        }
        // the resolution has been lowered: there is time now, but that comes first
        for _ in 0..100 {
            assert!(!frame(&mut detail, 5, true));
        }
        let back = (0..100).any(|_| frame(&mut detail, 5, false));
        assert!(back, "it comes back when there is time for all");
        assert!(
            !frame(&mut detail, 5, true),
            "and goes at once with the resolution"
        );
    }

    #[test]
    fn a_fixed_resolution_has_all_the_time() {
        let plan = plan(&any(), 518, 0);
        let mut detail = Detail::default();
        detail.follow(&any(), &plan, 518, HD, 1036);
        for second in 0..50 {
            detail.observe(Duration::from_secs(9), true, Duration::from_secs(second));
            assert!(detail.tiles(&plan, None, false).is_some());
        }
    }

    #[test]
    fn without_memory_there_is_none_until_something_else_is_asked_for() {
        let plan = plan(&any(), 518, 0);
        let mut detail = Detail::default();
        detail.follow(&any(), &plan, 518, HD, 2072);
        detail.fail(Error::OutOfMemory {
            size: "1×1".into(),
            reason: "test".into(),
        });
        assert!(detail.tiles(&plan, None, false).is_none());
        assert!(matches!(
            detail.take_notice(),
            Some(Notice::DetailMemory(_))
        ));
        detail.follow(&any(), &plan, 518, HD, 1036);
        assert!(detail.tiles(&plan, None, false).is_some());
    }
}
