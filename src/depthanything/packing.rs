//! The way out: from a depth map to the samples of a depth frame, with what came before it in mind.

use std::time::Instant;

use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoFrameRef, VideoInfo};

use super::intake::Job;
use super::messages::{Saturation, Warning};
use super::metas;
use super::settings::LiveSettings;
use super::{DepthOutput, DepthRange};
use crate::depth_meta::{DepthMeta, Unit};
use crate::error::{Error, Setting};
use crate::frame::{ByteOrder, Gray16Writer, Guide, GuidedWriter, Mapping, SmallPicture};
use crate::geometry::Size;
use crate::inference::backend::{DepthKind, DepthMaps, Description};
use crate::inference::shared::Request;
use crate::mapping::writable;
use crate::range::{Compared, Limits, Mode, Strength, TemporalFilter, Tracker};

/// What samples are made of.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Output {
    /// Inverse depth; `of_distance`: the model gives depth that grows with distance.
    Inverse { of_distance: bool },
    /// Steps of so many metres.
    Metric { unit: f64 },
}

/// Writes depth maps to depth frames, in the order of the stream.
pub(super) struct Packer {
    output: Output,
    model: String,
    tracker: Tracker,
    filter: TemporalFilter,
    format: Option<Format>,
    held: Held,
    /// Whether depth that is too far for a sample has been told of.
    told_saturation: bool,
    /// See [`Gray16Writer::with_threads`].
    threads: usize,
}

/// What follows from the caps of the depth.
struct Format {
    size: Size,
    order: ByteOrder,
    /// For depth maps of the size that came last.
    writer: Option<Gray16Writer>,
    guided: Option<GuidedWriter>,
}

/// The latest depth, for the frames that repeat it.
#[derive(Default)]
struct Held {
    depth: DepthMaps,
    /// What the network saw of it.
    network: Size,
    limits: Option<Limits>,
    /// The temporal filter has had it.
    filtered: bool,
    scene: u32,
    /// Of the frame that the depth is of; empty: not to be led by it.
    guide: Guide,
}

impl Packer {
    /// Depth of the network `description`, which gives `kind` (`None`: as its file tells), as `output` in steps of
    /// `depth_unit` metres where it is metric.
    ///
    /// # Errors
    /// [`Error::Setting`] when metric output is asked of a model that gives no metres.
    pub(super) fn new(
        description: &Description,
        kind: Option<DepthKind>,
        output: DepthOutput,
        depth_unit: f64,
    ) -> Result<Self, Error> {
        let named = kind.is_some();
        let kind = kind.unwrap_or(description.kind);
        let metric = kind == DepthKind::Metric;
        let output = match output {
            DepthOutput::Auto | DepthOutput::Metric if metric => {
                Output::Metric { unit: depth_unit }
            }
            DepthOutput::Metric => {
                return Err(Error::Setting {
                    setting: Setting::Output,
                    reason: no_metres(description, named),
                });
            }
            DepthOutput::Auto | DepthOutput::Inverse => Output::Inverse {
                of_distance: kind != DepthKind::Relative,
            },
        };
        Ok(Self {
            output,
            model: description.model.clone(),
            tracker: Tracker::default(),
            filter: TemporalFilter::default(),
            format: None,
            held: Held::default(),
            told_saturation: false,
            threads: 0,
        })
    }

    /// For the writers made from here on; 0: one for each core.
    pub(super) fn set_threads(&mut self, threads: usize) {
        self.threads = threads;
    }

    /// Depth frames are of `info` from here on. The depth that is held can still be repeated.
    pub(super) fn set_format(&mut self, info: &VideoInfo) {
        let size = Size::new(info.width(), info.height());
        self.format = Some(Format {
            size,
            order: match info.format() {
                VideoFormat::Gray16Be => ByteOrder::Big,
                _ => ByteOrder::Little,
            },
            writer: None,
            guided: None,
        });
    }

    /// Writes a frame's depth, or the one before, to its depth frame, which is of `info`. Returns what describes it, and how
    /// many of its values are NaN or infinite.
    ///
    /// # Errors
    /// When there is no depth, or the depth frame is not what its caps say.
    pub(super) fn pack(
        &mut self,
        job: &mut Job,
        depth_frame: &mut gst::BufferRef,
        info: &VideoInfo,
    ) -> Result<(DepthMeta, u64), Error> {
        let start = Instant::now();
        if !job.repeated {
            let compared = std::mem::take(&mut job.compared);
            let (picture, live) = (&job.picture, &job.live);
            self.take(&mut job.request, &mut job.guide, picture, compared, live);
            if job.warning.is_none()
                && let Some(saturation) = self.saturation()
            {
                job.warning = Some(Warning::Saturation(saturation));
            }
        }
        let mut frame = writable(depth_frame, info, "depth")?;
        let packed = self.write(&mut frame, &job.live, job.repeated);
        drop(frame);
        if let Ok((meta, _)) = &packed {
            metas::describe_regions(depth_frame, info, meta);
        }
        job.writing = start.elapsed();
        packed
    }

    /// Whether a frame may show the depth before it: that is allowed, and there is one.
    pub(super) fn may_repeat(&self, live: &LiveSettings) -> bool {
        live.inference_interval > 1 && !self.held.depth.values.is_empty()
    }

    /// Takes the depth map of `request` and its guide; what is left in them are buffers to use again. `compared` is what its
    /// `picture` is to the one before.
    fn take(
        &mut self,
        request: &mut Request,
        guide: &mut Guide,
        picture: &SmallPicture,
        compared: Compared,
        live: &LiveSettings,
    ) {
        let held = &mut self.held;
        std::mem::swap(&mut held.guide, guide);
        std::mem::swap(&mut held.depth, &mut request.depth);
        held.network = request.size;
        self.tracker.see(compared);
        held.limits = match self.output {
            Output::Inverse { of_distance } => {
                if of_distance {
                    for value in &mut held.depth.values {
                        *value = if *value > 0.0 {
                            value.recip()
                        } else {
                            f32::NAN
                        };
                    }
                }
                let DepthMaps { values, size, .. } = &mut held.depth;
                let mode = range_mode(live);
                let limits = self.tracker.follow(values, *size, mode);
                let strength = strength(mode, live);
                held.filtered = strength.is_some();
                match strength {
                    Some(strength) => self.filter.apply(
                        values,
                        *size,
                        picture,
                        limits,
                        self.tracker.carry(),
                        strength,
                    ),
                    None => self.filter.restart(),
                }
                Some(limits)
            }
            // metres need no range
            Output::Metric { .. } => Some(Limits { lo: 0.0, hi: 0.0 }),
        };
        held.scene = self.tracker.scene();
    }

    /// What the depth that is held loses for being too far; told once.
    fn saturation(&mut self) -> Option<Saturation> {
        let Output::Metric { unit } = self.output else {
            return None;
        };
        if self.told_saturation {
            return None;
        }
        let limit = (unit * 65535.0) as f32;
        let beyond = |value: &f32| *value > limit && *value < f32::INFINITY;
        let values = &self.held.depth.values;
        // nearly always there is none, which a plain count finds soonest
        if values.iter().filter(|value| beyond(value)).count() == 0 {
            return None;
        }
        self.told_saturation = true;
        let farthest = values.iter().copied().filter(beyond).fold(limit, f32::max);
        Some(Saturation {
            farthest: f64::from(farthest),
            unit,
        })
    }

    /// Writes the depth that is held. Gives the meta, and how many of its values are NaN or infinite.
    ///
    /// # Errors
    /// When there is no depth, or the frame is not what its caps say.
    fn write(
        &mut self,
        frame: &mut VideoFrameRef<&mut gst::BufferRef>,
        live: &LiveSettings,
        repeated: bool,
    ) -> Result<(DepthMeta, u64), Error> {
        let wrong = |reason: String| Error::Frame { reason };
        let (Some(format), Some(limits)) = (&mut self.format, self.held.limits) else {
            return Err(wrong("there is no depth for it yet".into()));
        };
        let depth = &self.held.depth;
        let (mapping, scale, offset) = mapping(self.output, limits, live.invert);
        let stride = frame.plane_stride()[0];
        let stride = usize::try_from(stride)
            .map_err(|_| wrong(format!("stride {stride} of the depth frame")))?;
        let samples = frame
            .plane_data_mut(0)
            .map_err(|error| wrong(error.to_string()))?;
        let (values, guide, order) = (&depth.values, &self.held.guide, format.order);
        let mut filtered = self.held.filtered;
        let invalid = match format.guided_writer(depth.size, guide, live) {
            Some(writer) => {
                filtered = true;
                writer.write(values, guide, mapping, order, samples, stride)?
            }
            None => {
                let writer = format.bilinear_writer(depth.size, self.threads);
                writer.write(values, mapping, order, samples, stride)?
            }
        };
        let meta = DepthMeta {
            scale,
            offset,
            unit: match self.output {
                Output::Inverse { .. } => Unit::InverseDepth,
                Output::Metric { .. } => Unit::Metre,
            },
            network: self.held.network,
            repeated,
            filtered,
            scene: self.held.scene,
            model: self.model.clone(),
        };
        Ok((meta, invalid as u64))
    }
}

impl Format {
    fn bilinear_writer(&mut self, depth: Size, threads: usize) -> &mut Gray16Writer {
        let of = |writer: &Gray16Writer| writer.network() == depth;
        let writer = self
            .writer
            .take()
            .filter(of)
            .unwrap_or_else(|| Gray16Writer::new(depth, self.size).with_threads(threads));
        self.writer.insert(writer)
    }

    /// `None`: not asked for, nothing to lead it by, or the frame is no larger than the depth map.
    fn guided_writer(
        &mut self,
        depth: Size,
        guide: &Guide,
        live: &LiveSettings,
    ) -> Option<&mut GuidedWriter> {
        if !live.upsampling.is_guided() || guide.size().area() == 0 {
            return None;
        }
        if self
            .guided
            .as_ref()
            .is_none_or(|writer| writer.network() != depth)
        {
            self.guided = GuidedWriter::new(depth, self.size);
        }
        self.guided.as_mut()
    }
}

/// Why there is no metric output. `named`: by what the user says of the model.
fn no_metres(description: &Description, named: bool) -> String {
    let model = &description.model;
    if named {
        return format!(
            "`model-depth` says that the model {model} gives no metres; leave `output` at auto, or set model-depth=metric"
        );
    }
    if description.kind_is_certain {
        return format!(
            "the model {model} is relative: its depth has no metres. Leave `output` at auto, or use a metric model"
        );
    }
    format!(
        "the file of the model {model} does not tell that its depth is in metres. If it is, set model-depth=metric; else \
         leave `output` at auto"
    )
}

/// `range=fixed` has ends: the settings refuse it without, and keep the last ones while new ones are set. Were there none, each
/// frame would have its own range.
fn range_mode(live: &LiveSettings) -> Mode {
    match live.range {
        DepthRange::Fixed if live.range_min < live.range_max => Mode::Fixed(Limits {
            lo: live.range_min,
            hi: live.range_max,
        }),
        DepthRange::Frame | DepthRange::Fixed => Mode::Frame,
        DepthRange::Smooth => Mode::Smooth {
            past: live.smoothing,
        },
    }
}

/// Of the temporal filter; `None`: there is none.
fn strength(mode: Mode, live: &LiveSettings) -> Option<Strength> {
    let departure = live.temporal_filter;
    match mode {
        Mode::Smooth { past } if live.filters() => Some(Strength { past, departure }),
        _ => None,
    }
}

/// How a value becomes a sample, and how the meta takes it back: value = scale · sample + offset.
fn mapping(output: Output, limits: Limits, invert: bool) -> (Mapping, f64, f64) {
    match output {
        Output::Metric { unit } => (Mapping::metric(unit), unit, 0.0),
        Output::Inverse { .. } => {
            // a flat frame has no span: its samples all stand for the one value there is
            let step = limits.span() / 65535.0;
            let (scale, offset) = if invert {
                (-step, limits.hi)
            } else {
                (step, limits.lo)
            };
            (
                Mapping::inverse(limits.lo, limits.hi, invert),
                scale,
                offset,
            )
        }
    }
}
