//! A frame on its way from intake to packing.

use std::time::{Duration, Instant};

use gst_video::VideoInfo;

use super::messages::Reason;
use super::metas;
use super::packing::Packer;
use super::settings::LiveSettings;
use super::warning::Warning;
use crate::depth_meta::DepthMeta;
use crate::engine::shared::{Request, Timing};
use crate::error::Error;
use crate::frame::{Guide, SmallPicture};
use crate::geometry::Size;
use crate::mapping::writable;
use crate::range::{Compared, Joint};

/// Start and end of a frame in stream time, where they are known.
pub(super) type Span = [Option<gst::ClockTime>; 2];

/// What the clock says to a frame.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moment {
    /// The frame's running time in nanoseconds, where it is known.
    pub(super) time: Option<i64>,
    /// Time between two frames, where somebody waits for them.
    pub(super) pace: Option<Duration>,
    /// It comes late, if not too late.
    pub(super) late: bool,
    /// It comes too late to be worth more than the depth before.
    pub(super) hurried: bool,
}

/// A frame under way.
pub(super) struct Job {
    pub(super) request: Request,
    /// What leads its depth to the edges of the picture; empty where that is not asked for.
    pub(super) guide: Guide,
    /// What it shows, for the range; with luma where that is filtered.
    pub(super) picture: SmallPicture,
    pub(super) live: LiveSettings,
    pub(super) begun: Instant,
    pub(super) moment: Moment,
    pub(super) repeated: bool,
    /// How it joins on to the frame before,
    pub(super) joint: Joint,
    /// and what its picture is to that one's, if it is not repeated.
    pub(super) compared: Compared,
    pub(super) timing: Option<Timing>,
    /// Time that reading the frame took.
    pub(super) reading: Duration,
    /// Time that writing its depth took.
    pub(super) writing: Duration,
    pub(super) steps: Vec<(Size, Reason)>,
    pub(super) warning: Option<Warning>,
}

/// Writes a frame's depth, or the one before, to its depth frame. Returns what describes it, and how many of its values
/// are NaN or infinite.
pub(super) fn pack(
    packer: &mut Packer,
    job: &mut Job,
    depth_frame: &mut gst::BufferRef,
    info: &VideoInfo,
) -> Result<(DepthMeta, u64), Error> {
    let start = Instant::now();
    if !job.repeated {
        let compared = std::mem::take(&mut job.compared);
        let (picture, live) = (&job.picture, &job.live);
        packer.take(&mut job.request, &mut job.guide, picture, compared, live);
        if job.warning.is_none()
            && let Some(saturation) = packer.saturation()
        {
            job.warning = Some(Warning::Saturation(saturation));
        }
    }
    let mut frame = writable(depth_frame, info, "depth")?;
    let packed = packer.write(&mut frame, &job.live, job.repeated);
    drop(frame);
    if let Ok((meta, _)) = &packed {
        metas::describe_regions(depth_frame, info, meta);
    }
    job.writing = start.elapsed();
    packed
}
