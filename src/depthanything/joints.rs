//! How each frame of a stream joins on to the one before, by its flags, its position and the events before it.
//!
//! None of these says that the picture has changed: a leaky queue marks each frame after one that it took, a caps event
//! may change nothing but the rate, a segment may go on where the last ended. They only say when the picture has to be
//! looked at, and how closely.

use gst_video::VideoInfo;

use crate::range::Joint;

/// A position farther from where the last frame ended is another place of the video, in nanoseconds: more than a queue
/// or a lossy network takes out.
const ELSEWHERE: i64 = 2_000_000_000;

/// What is known of the frame that comes next.
#[derive(Debug, Default)]
pub(super) struct Joints {
    joint: Joint,
    /// An event has come after which another picture is likely.
    event: bool,
    /// Stream time at which the last frame ended.
    end: Option<i64>,
}

/// A frame's joint.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) joint: Joint,
    /// Whether the picture has to be looked at to know that it goes on.
    pub(super) in_doubt: bool,
}

impl Joints {
    /// A segment has begun.
    pub(super) fn segment(&mut self) {
        self.event = true;
    }

    /// Another stream has begun, or the frames have another shape.
    pub(super) fn elsewhere(&mut self) {
        self.joint = self.joint.max(Joint::Elsewhere);
    }

    /// A frame of this joint has come to nothing: the next one joins on to the one before it.
    pub(super) fn put_back(&mut self, joint: Joint) {
        self.joint = self.joint.max(joint);
        self.event = true;
    }

    /// What was before has been flushed.
    pub(super) fn afresh(&mut self) {
        self.joint = Joint::Afresh;
    }

    /// The caps of the frames have changed.
    pub(super) fn caps(&mut self, before: &VideoInfo, now: &VideoInfo) {
        let shape = |info: &VideoInfo| (info.width(), info.height(), info.par());
        if shape(before) != shape(now) {
            self.elsewhere();
        }
        self.event |= before != now;
    }

    /// The joint of the frame that has come, from `start` to `end` of stream time.
    pub(super) fn next(
        &mut self,
        discont: bool,
        start: Option<gst::ClockTime>,
        end: Option<gst::ClockTime>,
    ) -> Joined {
        let signed = |time: gst::ClockTime| i64::try_from(time.nseconds()).unwrap_or(i64::MAX);
        let event = std::mem::take(&mut self.event);
        let flagged = discont || event;
        let (start, end) = (start.map(signed), end.map(signed));
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
    fn next(joints: &mut Joints, discont: bool, start: u64) -> Joined {
        let time = gst::ClockTime::from_mseconds;
        joints.next(discont, Some(time(start)), Some(time(start + 40)))
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
        gst::init().unwrap();
        let info = |rate, width| {
            VideoInfo::builder(gst_video::VideoFormat::Rgb, width, 48)
                .fps(gst::Fraction::new(rate, 1))
                .build()
                .unwrap()
        };
        let mut joints = Joints::default();
        joints.caps(&info(25, 64), &info(30, 64));
        assert_eq!(next(&mut joints, false, 0), DOUBT);
        joints.caps(&info(25, 64), &info(25, 128));
        assert_eq!(next(&mut joints, false, 40).joint, Joint::Elsewhere);
    }
}
