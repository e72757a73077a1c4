//! What one running element holds, and the way of a frame through it: intake, network, packing.

use std::time::{Duration, Instant};

use gst_video::{VideoFrameRef, VideoInfo};

use super::DepthOutput;
use super::intake::Intake;
use super::messages::Reason;
use super::packing::Packer;
use super::settings::LiveSettings;
use crate::depth_meta::DepthMeta;
use crate::engine::network::InputSize;
use crate::engine::shared::{Shared, Work};
use crate::error::Error;
use crate::geometry::{Size, network_size};

/// The longest that a frame lets other streams go first.
const LONGEST_PATIENCE: Duration = Duration::from_secs(1);

/// A network and the frames that run through it.
pub(super) struct Stream {
    network: Shared,
    packer: Packer,
    format: Option<Format>,
    /// Used again by every frame.
    work: Work,
    /// For the conversion of large frames; 0: all cores.
    threads: usize,
}

/// What follows from the caps and the resolution.
struct Format {
    frame: VideoInfo,
    depth: VideoInfo,
    resolution: u32,
    /// How long a frame may wait for other streams of the network.
    patience: Duration,
    intake: Intake,
}

/// What became of a frame.
#[derive(Debug)]
pub(super) struct Report {
    /// To be attached to the depth frame.
    pub(super) meta: DepthMeta,
    /// Time in the network; `None`: the depth is repeated.
    pub(super) inference: Option<Duration>,
    /// Time around it.
    pub(super) convert: Duration,
    /// All of it, and the wait for other streams of the network.
    pub(super) total: Duration,
    /// Values of the depth map that are NaN or infinite.
    pub(super) invalid: u64,
    /// The network sees another size than before.
    pub(super) resized: bool,
}

impl Stream {
    /// Frames for `network`, which give `output` in steps of `depth_unit` metres where it is metric.
    ///
    /// # Errors
    /// [`Error::Setting`] when metric output is asked of a relative model.
    pub(super) fn new(
        network: Shared,
        output: DepthOutput,
        depth_unit: f64,
    ) -> Result<Self, Error> {
        Ok(Self {
            packer: Packer::new(network.description(), output, depth_unit)?,
            network,
            format: None,
            work: Work::default(),
            threads: 0,
        })
    }

    /// Converts large frames with so many threads; 0: one for each core.
    pub(super) fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self.packer.set_threads(threads);
        self
    }

    /// What the network sees; `None` before caps.
    pub(super) fn network_size(&self) -> Option<Size> {
        self.format.as_ref().map(|format| format.intake.network())
    }

    /// Whether frames go through GStreamer's video converter first.
    pub(super) fn converts(&self) -> bool {
        self.format
            .as_ref()
            .is_some_and(|format| format.intake.converts())
    }

    /// Forgets the past: after a flush, a discontinuity, a new segment.
    pub(super) fn restart(&mut self) {
        self.packer.restart();
        if let Some(format) = &mut self.format {
            format.intake.end_repetition();
        }
    }

    /// Prepares for frames of `frame`, depth of `depth`; says why when the network's size changes by it.
    ///
    /// # Errors
    /// When frames can't be read, or the network does not run at the size that follows.
    pub(super) fn set_format(
        &mut self,
        frame: &VideoInfo,
        depth: &VideoInfo,
        live: &LiveSettings,
    ) -> Result<Option<Reason>, Error> {
        let before = self.format.take();
        let network = self.size_for(frame, live.resolution)?;
        let mut intake = Intake::new(frame, network, self.threads)?;
        let reason = match &before {
            None => Some(Reason::Start),
            Some(before) if before.intake.network() != network => Some(Reason::Caps),
            Some(_) => None,
        };
        match &before {
            // depth of another size or byte order; that of the same network size can go on
            Some(before) if before.frame == *frame && reason.is_none() => {
                intake.go_on_from(&before.intake);
            }
            Some(before) if before.frame == *frame => {}
            _ => self.packer.restart(),
        }
        self.packer.set_format(depth);
        self.warm_up(network)?;
        self.format = Some(Format {
            frame: frame.clone(),
            depth: depth.clone(),
            resolution: live.resolution,
            patience: patience(frame.fps()),
            intake,
        });
        Ok(reason)
    }

    /// Runs the network at a size for the first time, which takes longer, before frames wait for it.
    fn warm_up(&mut self, size: Size) -> Result<(), Error> {
        if !self.network.is_warm(size) {
            self.work.size = size;
            self.work.tensor.clear();
            self.work.tensor.resize(3 * size.area(), 0.0);
            let due = Instant::now() + LONGEST_PATIENCE;
            // interrupted: the first frame will be slow, if one comes
            self.network.run(&mut self.work, due)?;
        }
        Ok(())
    }

    fn size_for(&self, info: &VideoInfo, resolution: u32) -> Result<Size, Error> {
        let description = self.network.description();
        match description.input_size {
            InputSize::Fixed(size) => Ok(size),
            InputSize::Any => {
                let par = info.par();
                network_size(
                    Size::new(info.width(), info.height()),
                    (par.numer().unsigned_abs(), par.denom().unsigned_abs()),
                    resolution,
                    description.patch,
                )
                .map_err(|error| Error::Frame {
                    reason: error.to_string(),
                })
            }
        }
    }

    /// One frame in, one depth frame out; `None`: interrupted.
    ///
    /// # Errors
    /// When the frame can't be read or the network fails; the stream stays usable.
    pub(super) fn process(
        &mut self,
        frame: &gst::BufferRef,
        depth_frame: &mut gst::BufferRef,
        live: &LiveSettings,
    ) -> Result<Option<Report>, Error> {
        let start = Instant::now();
        let resized = self.follow_resolution(live.resolution)?;
        let format = self.format.as_mut().ok_or_else(not_negotiated)?;
        let repeated = format.intake.repeats(live.inference_interval);
        let mut ran = None;
        if !repeated {
            let result = readable(frame, &format.frame).and_then(|frame| {
                self.work.size = format.intake.network();
                format.intake.read(&frame, &mut self.work.tensor)?;
                let due = Instant::now() + format.patience;
                self.network.run(&mut self.work, due)
            });
            if !matches!(result, Ok(Some(_))) {
                // what has failed is tried again with the next frame, not papered over with an older depth
                format.intake.end_repetition();
            }
            let Some(done) = result? else {
                return Ok(None);
            };
            ran = Some(done);
            self.packer.take(&mut self.work, live);
        }
        let mut depth_frame = writable(depth_frame, &format.depth)?;
        let (meta, invalid) = self.packer.write(&mut depth_frame, live, repeated)?;
        let total = start.elapsed();
        let elsewhere = ran.map_or(Duration::ZERO, |ran| ran.waited + ran.inference);
        Ok(Some(Report {
            meta,
            inference: ran.map(|ran| ran.inference),
            convert: total.saturating_sub(elsewhere),
            total,
            invalid: if repeated { 0 } else { invalid },
            resized,
        }))
    }

    /// Takes over a resolution that was changed while playing.
    fn follow_resolution(&mut self, resolution: u32) -> Result<bool, Error> {
        let format = self.format.as_ref().ok_or_else(not_negotiated)?;
        if format.resolution == resolution {
            return Ok(false);
        }
        let network = self.size_for(&format.frame, resolution)?;
        let format = self.format.as_mut().ok_or_else(not_negotiated)?;
        format.resolution = resolution;
        let resized = format.intake.network() != network;
        format.intake.resize(network)?;
        Ok(resized)
    }
}

/// The time between two frames, within reason. Work that is due sooner goes first, so a slow stream lets a fast one
/// pass, but not for ever.
fn patience(rate: gst::Fraction) -> Duration {
    let interval = f64::from(rate.denom()) / f64::from(rate.numer());
    Duration::try_from_secs_f64(interval)
        .unwrap_or(LONGEST_PATIENCE)
        .clamp(Duration::from_millis(1), LONGEST_PATIENCE)
}

fn not_negotiated() -> Error {
    Error::Frame {
        reason: "it came before its caps".into(),
    }
}

fn unmapped(what: &str) -> Error {
    Error::Frame {
        reason: format!("the {what} buffer can't be mapped or is smaller than its caps say"),
    }
}

fn readable<'a>(
    buffer: &'a gst::BufferRef,
    info: &'a VideoInfo,
) -> Result<VideoFrameRef<&'a gst::BufferRef>, Error> {
    VideoFrameRef::from_buffer_ref_readable(buffer, info).map_err(|_| unmapped("input"))
}

fn writable<'a>(
    buffer: &'a mut gst::BufferRef,
    info: &'a VideoInfo,
) -> Result<VideoFrameRef<&'a mut gst::BufferRef>, Error> {
    VideoFrameRef::from_buffer_ref_writable(buffer, info).map_err(|_| unmapped("depth"))
}
