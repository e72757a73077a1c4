//! What one running element holds, and the way of a frame through it.

use std::time::{Duration, Instant};

use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoFrameRef, VideoInfo};

use super::messages::Reason;
use super::pixels::Reader;
use super::settings::LiveSettings;
use super::{DepthOutput, DepthRange};
use crate::depth_meta::{DepthMeta, Unit};
use crate::engine::network::{DepthKind, DepthMaps, Images, InputSize, Network};
use crate::error::Error;
use crate::frame::{ByteOrder, Gray16Writer, Mapping, Normalization, TensorWriter};
use crate::geometry::{Size, network_size};
use crate::range::{CutDetector, Limits, Mode, Tracker};

/// What samples are made of.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Output {
    /// Inverse depth; `of_metric`: the model gives metres.
    Inverse { of_metric: bool },
    /// Steps of so many metres.
    Metric { unit: f64 },
}

/// A network and the frames that run through it.
pub(super) struct Stream {
    network: Box<dyn Network>,
    output: Output,
    format: Option<Format>,
    /// Sizes the network has run at; its first run at a size is the slow one.
    warm: Vec<Size>,
    tracker: Tracker,
    cuts: CutDetector,
    /// Frames since the network ran last; `None`: there is no depth to repeat.
    age: Option<u32>,
}

/// What follows from the caps and the resolution.
struct Format {
    reader: Reader,
    info: VideoInfo,
    depth_size: Size,
    depth_order: ByteOrder,
    depth_writer: Gray16Writer,
    resolution: u32,
    network: Size,
    tensor_writer: TensorWriter,
    tensor: Vec<f32>,
    depth: DepthMaps,
    limits: Limits,
    scene: u32,
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
        network: Box<dyn Network>,
        output: DepthOutput,
        depth_unit: f64,
    ) -> Result<Self, Error> {
        let metric = network.description().kind == DepthKind::Metric;
        let output = match output {
            DepthOutput::Auto if metric => Output::Metric { unit: depth_unit },
            DepthOutput::Metric if metric => Output::Metric { unit: depth_unit },
            DepthOutput::Metric => {
                return Err(Error::Setting {
                    property: "output",
                    reason: format!(
                        "the model {} is relative: its depth has no metres. Leave `output` at auto, \
                         or use a metric model",
                        network.description().model
                    ),
                });
            }
            DepthOutput::Auto | DepthOutput::Inverse => Output::Inverse { of_metric: metric },
        };
        Ok(Self {
            network,
            output,
            format: None,
            warm: Vec::new(),
            tracker: Tracker::default(),
            cuts: CutDetector::default(),
            age: None,
        })
    }

    /// What the network sees; `None` before caps.
    pub(super) fn network_size(&self) -> Option<Size> {
        self.format.as_ref().map(|format| format.network)
    }

    /// Whether frames go through GStreamer's video converter first.
    pub(super) fn converts(&self) -> bool {
        self.format
            .as_ref()
            .is_some_and(|format| format.reader.converts())
    }

    /// Forgets the past: after a flush, a discontinuity, a new segment.
    pub(super) fn restart(&mut self) {
        self.tracker.restart();
        self.cuts.restart();
        self.age = None;
    }

    /// Prepares for frames of `info`, depth of `depth_info`; says why when the network's size changes by it.
    ///
    /// # Errors
    /// When frames can't be read, or the network does not run at the size that follows.
    pub(super) fn set_format(
        &mut self,
        info: &VideoInfo,
        depth_info: &VideoInfo,
        live: &LiveSettings,
    ) -> Result<Option<Reason>, Error> {
        let reader = Reader::new(info).map_err(|error| Error::Frame {
            reason: error.to_string(),
        })?;
        let before = self.format.take();
        let network = self.size_for(info, live.resolution);
        let depth_size = Size::new(depth_info.width(), depth_info.height());
        let source = *reader.format();
        // only a new size or picture makes the past worthless
        if before.as_ref().is_none_or(|before| before.info != *info) {
            self.restart();
        }
        let reason = match &before {
            None => Some(Reason::Start),
            Some(before) if before.network != network => Some(Reason::Caps),
            Some(_) => None,
        };
        let mut format = Format {
            tensor_writer: TensorWriter::new(&source, network, Normalization::IMAGENET)?,
            depth_writer: Gray16Writer::new(network, depth_size),
            reader,
            info: info.clone(),
            depth_size,
            depth_order: match depth_info.format() {
                VideoFormat::Gray16Be => ByteOrder::Big,
                _ => ByteOrder::Little,
            },
            resolution: live.resolution,
            network,
            tensor: Vec::new(),
            depth: DepthMaps::default(),
            limits: Limits { lo: 0.0, hi: 0.0 },
            scene: 0,
        };
        format.tensor.resize(3 * network.area(), 0.0);
        if let Some(before) = before {
            // a repeated frame may need it, in the new byte order or size
            format.depth = before.depth;
            format.limits = before.limits;
            format.scene = before.scene;
        }
        if !self.warm.contains(&network) {
            self.network
                .run(images(&format.tensor, network), &mut format.depth)?;
            self.age = None;
            self.warm.push(network);
        }
        self.format = Some(format);
        Ok(reason)
    }

    fn size_for(&self, info: &VideoInfo, resolution: u32) -> Size {
        let description = self.network.description();
        match description.input_size {
            InputSize::Fixed(size) => size,
            InputSize::Any => {
                let par = info.par();
                network_size(
                    Size::new(info.width(), info.height()),
                    (par.numer().unsigned_abs(), par.denom().unsigned_abs()),
                    resolution,
                    description.patch,
                )
            }
        }
    }

    /// One frame in, one depth frame out.
    ///
    /// # Errors
    /// When the frame can't be read or the network fails; the stream stays usable.
    pub(super) fn process(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
        depth_frame: &mut VideoFrameRef<&mut gst::BufferRef>,
        live: &LiveSettings,
    ) -> Result<Report, Error> {
        let start = Instant::now();
        let resized = self.follow_resolution(live.resolution)?;
        let repeat = match self.age {
            Some(age) => age + 1 < live.inference_interval,
            None => false,
        };
        let inference = if repeat {
            None
        } else {
            Some(self.infer(frame, live)?)
        };
        self.age = Some(if repeat {
            self.age.map_or(0, |age| age.saturating_add(1))
        } else {
            0
        });

        let output = self.output;
        let format = self.format.as_mut().ok_or_else(not_negotiated)?;
        let (mapping, scale, offset) = mapping(output, format.limits, live.invert);
        let stride = depth_frame.plane_stride()[0];
        let stride = usize::try_from(stride).map_err(|_| Error::Frame {
            reason: format!("stride {stride} of the depth frame"),
        })?;
        let samples = depth_frame
            .plane_data_mut(0)
            .map_err(|error| Error::Frame {
                reason: error.to_string(),
            })?;
        let invalid = format.depth_writer.write(
            &format.depth.values,
            mapping,
            format.depth_order,
            samples,
            stride,
        )?;
        let meta = DepthMeta {
            scale,
            offset,
            unit: match output {
                Output::Inverse { .. } => Unit::InverseDepth,
                Output::Metric { .. } => Unit::Metre,
            },
            network: format.network,
            repeated: repeat,
            scene: format.scene,
            model: self.network.description().model.clone(),
        };
        Ok(Report {
            meta,
            inference,
            convert: start
                .elapsed()
                .saturating_sub(inference.unwrap_or_default()),
            invalid: if repeat { 0 } else { invalid as u64 },
            resized,
        })
    }

    /// Takes over a resolution that was changed while playing. The depth of the old size is not repeated.
    fn follow_resolution(&mut self, resolution: u32) -> Result<bool, Error> {
        let format = self.format.as_ref().ok_or_else(not_negotiated)?;
        if format.resolution == resolution {
            return Ok(false);
        }
        let network = self.size_for(&format.info, resolution);
        let format = self.format.as_mut().ok_or_else(not_negotiated)?;
        format.resolution = resolution;
        if format.network == network {
            return Ok(false);
        }
        let source = *format.reader.format();
        format.tensor_writer = TensorWriter::new(&source, network, Normalization::IMAGENET)?;
        format.tensor = vec![0.0; 3 * network.area()];
        format.network = network;
        self.age = None;
        Ok(true)
    }

    /// Frame → tensor → depth map → limits. Gives the time in the network.
    fn infer(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
        live: &LiveSettings,
    ) -> Result<Duration, Error> {
        let format = self.format.as_mut().ok_or_else(not_negotiated)?;
        let Format {
            reader,
            tensor_writer,
            tensor,
            depth,
            ..
        } = format;
        reader.read(frame, |frame| tensor_writer.write(frame, tensor))?;
        // without a depth map to repeat, a failed run must not leave half of one behind
        self.age = None;
        let start = Instant::now();
        self.network.run(images(tensor, format.network), depth)?;
        let inference = start.elapsed();

        if depth.size != format.depth_writer.network() {
            format.depth_writer = Gray16Writer::new(depth.size, format.depth_size);
        }
        match self.output {
            Output::Inverse { of_metric } => {
                if of_metric {
                    for value in &mut depth.values {
                        *value = if *value > 0.0 {
                            value.recip()
                        } else {
                            f32::NAN
                        };
                    }
                }
                if self.cuts.is_cut(tensor, format.network) {
                    self.tracker.restart();
                }
                format.limits = self.tracker.follow(&depth.values, range_mode(live));
            }
            Output::Metric { .. } => {
                if self.cuts.is_cut(tensor, format.network) {
                    self.tracker.restart();
                }
                // for the count of scenes alone
                self.tracker.follow(&[], Mode::Frame);
            }
        }
        format.scene = self.tracker.scene();
        Ok(inference)
    }
}

fn images(tensor: &[f32], size: Size) -> Images<'_> {
    Images {
        values: tensor,
        batch: 1,
        size,
    }
}

fn not_negotiated() -> Error {
    Error::Frame {
        reason: "it came before its caps".into(),
    }
}

/// `range=fixed` without a range to speak of falls back to the frame's own; the element has said so.
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
