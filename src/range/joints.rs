//! How each frame of a stream joins on to the one before, by its flags, its position and the events before it.
//!
//! None of these says that the picture has changed: a leaky queue marks each frame after one that it took, a caps event
//! may change nothing but the rate, a segment may go on where the last ended. They only say when the picture has to be
//! looked at, and how closely.

use super::Joint;

/// A position farther from where the last frame ended is another place of the video, in nanoseconds: more than a queue
/// or a lossy network takes out.
const ELSEWHERE: i64 = 2_000_000_000;

/// What is known of the frame that comes next.
#[derive(Debug, Default)]
pub(crate) struct Joints {
    joint: Joint,
    /// An event has come after which another picture is likely.
    event: bool,
    /// Stream time at which the last frame ended.
    end: Option<i64>,
}

/// A frame's joint.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) joint: Joint,
    /// Whether the picture has to be looked at to know that it goes on.
    pub(crate) in_doubt: bool,
}

impl Joints {
    /// A segment has begun.
    pub(crate) fn segment(&mut self) {
        self.event = true;
    }

    /// Another stream has begun, or the frames have another shape.
    pub(crate) fn elsewhere(&mut self) {
        self.joint = self.joint.max(Joint::Elsewhere);
    }

    /// A frame of this joint has come to nothing: the next one joins on to the one before it.
    pub(crate) fn put_back(&mut self, joint: Joint) {
        self.joint = self.joint.max(joint);
        self.event = true;
    }

    /// What was before has been flushed.
    pub(crate) fn afresh(&mut self) {
        self.joint = Joint::Afresh;
    }

    /// The caps of the frames have changed; `same_shape`: neither their size nor their pixel aspect ratio.
    pub(crate) fn caps(&mut self, same_shape: bool) {
        if !same_shape {
            self.elsewhere();
        }
        self.event = true;
    }

    /// The joint of the frame that has come, from `start` to `end` of stream time in nanoseconds.
    pub(crate) fn next(&mut self, discont: bool, start: Option<i64>, end: Option<i64>) -> Joined {
        let event = std::mem::take(&mut self.event);
        let flagged = discont || event;
        if flagged
            && let (Some(before), Some(start)) = (self.end, start)
            && start.saturating_sub(before).saturating_abs() > ELSEWHERE
        {
            self.elsewhere();
        }
        self.end = end.or(start).or(self.end);
        let joint = std::mem::take(&mut self.joint);
        Joined {
            joint,
            in_doubt: flagged || joint != Joint::Next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEXT: Joined = Joined {
        joint: Joint::Next,
        in_doubt: false,
    };
    const DOUBT: Joined = Joined {
        joint: Joint::Next,
        in_doubt: true,
    };
    const ELSEWHERE: Joined = Joined {
        joint: Joint::Elsewhere,
        in_doubt: true,
    };

    /// The joint of a frame of 40 ms that begins after so many.
    fn next(joints: &mut Joints, discont: bool, start: i64) -> Joined {
        joints.next(
            discont,
            Some(start * 1_000_000),
            Some((start + 40) * 1_000_000),
        )
    }

    #[test]
    fn flags_alone_lead_nowhere_else() {
        let mut joints = Joints::default();
        assert_eq!(next(&mut joints, true, 0), DOUBT);
        assert_eq!(next(&mut joints, false, 40), NEXT);
        // so many have been lost
        assert_eq!(next(&mut joints, true, 1000), DOUBT);
        // a segment that goes on
        joints.segment();
        assert_eq!(next(&mut joints, false, 1040), DOUBT);
        assert_eq!(next(&mut joints, false, 1080), NEXT);
        // without times nothing is known
        assert_eq!(joints.next(true, None, None), DOUBT);
    }

    #[test]
    fn a_position_far_away_is_elsewhere() {
        let mut joints = Joints::default();
        next(&mut joints, false, 60_000);
        assert_eq!(next(&mut joints, true, 65_000), ELSEWHERE);
        joints.segment();
        assert_eq!(next(&mut joints, true, 0), ELSEWHERE);
        assert_eq!(next(&mut joints, true, 40), DOUBT);
        // a slow stream is no place far away, unless somebody says that something is missing
        assert_eq!(next(&mut joints, false, 10_000), NEXT);
        joints.elsewhere();
        assert_eq!(next(&mut joints, false, 10_040), ELSEWHERE);
    }

    #[test]
    fn a_flush_counts_more_than_all_else() {
        let mut joints = Joints::default();
        next(&mut joints, false, 0);
        joints.afresh();
        joints.elsewhere();
        joints.segment();
        assert_eq!(next(&mut joints, true, 40).joint, Joint::Afresh);
        assert_eq!(next(&mut joints, false, 80), NEXT);
    }

    #[test]
    fn only_another_shape_is_elsewhere() {
        let mut joints = Joints::default();
        joints.caps(true);
        assert_eq!(next(&mut joints, false, 0), DOUBT);
        joints.caps(false);
        assert_eq!(next(&mut joints, false, 40).joint, Joint::Elsewhere);
    }
}
