//! The element's properties: what each is called, what it says of itself, when it may change, and where it is kept.

use std::path::PathBuf;

use gst::prelude::*;

use super::Settings;

/// In which states a property may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::depthanything) enum Changes {
    /// Up to READY: the model is not loaded yet.
    Ready,
    /// In every state.
    Playing,
}

/// A row of the table.
pub(super) struct Property {
    pub(super) name: &'static str,
    pub(super) changes: Changes,
    /// What GObject is told, with the defaults of these settings.
    pub(super) spec: fn(&Settings) -> glib::ParamSpec,
    pub(super) get: fn(&Settings) -> glib::Value,
    pub(super) set: fn(&mut Settings, &glib::Value),
}

/// Puts `value` into `field`; GObject has checked its type and range before.
pub(super) fn put<T: for<'v> glib::value::FromValue<'v>>(field: &mut T, value: &glib::Value) {
    if let Ok(value) = value.get() {
        *field = value;
    }
}

/// The text of a property that may be unset.
pub(super) fn text(value: &glib::Value) -> Option<String> {
    let text = value.get::<Option<String>>().ok().flatten();
    text.filter(|text| !text.is_empty())
}

/// A path as a property tells it.
pub(super) fn shown(path: &Option<PathBuf>) -> glib::Value {
    let path = path.as_ref();
    path.map(|path| path.to_string_lossy().into_owned())
        .to_value()
}

/// As [`put`], but leaves NaN out, which passes GObject's range check.
fn put_number(field: &mut f64, value: &glib::Value) {
    if let Ok(value) = value.get::<f64>()
        && value.is_finite()
    {
        *field = value;
    }
}

/// What is not about servers, in the order of `gst-inspect-1.0`.
pub(super) static TABLE: &[Property] = &[
    Property {
        name: "model-file",
        changes: Changes::Ready,
        spec: |_| {
            glib::ParamSpecString::builder("model-file")
                .nick("Model file")
                .blurb(
                    "Path of an ONNX model: an export of Depth Anything V2 or V1, relative or metric, or another \
                     monocular depth network of that form. Unset: the small built-in model",
                )
                .mutable_ready()
                .build()
        },
        get: |s| shown(&s.load.model_file),
        set: |s, value| s.load.model_file = text(value).map(PathBuf::from),
    },
    Property {
        name: "model-depth",
        changes: Changes::Ready,
        spec: |s| {
            glib::ParamSpecEnum::builder_with_default("model-depth", s.load.model_depth)
                .nick("Model's depth")
                .blurb(
                    "What the model's numbers are, where its file does not tell or is wrong. With distance, depth is turned \
                     over to inverse; metric allows output=metric",
                )
                .mutable_ready()
                .build()
        },
        get: |s| s.load.model_depth.to_value(),
        set: |s, value| put(&mut s.load.model_depth, value),
    },
    Property {
        name: "input-normalization",
        changes: Changes::Ready,
        spec: |s| {
            glib::ParamSpecEnum::builder_with_default(
                "input-normalization",
                s.load.input_normalization,
            )
            .nick("Input normalization")
            .blurb(
                "Values that the model wants its image in. auto finds out what the model's graph does itself and does \
                 not do it twice",
            )
            .mutable_ready()
            .build()
        },
        get: |s| s.load.input_normalization.to_value(),
        set: |s, value| put(&mut s.load.input_normalization, value),
    },
    Property {
        name: "resolution",
        changes: Changes::Playing,
        spec: |s| {
            glib::ParamSpecUInt::builder("resolution")
                .nick("Test-time resolution")
                .blurb(
                    "Short side of what the network sees, in pixels, whatever it was trained at; both \
                     sides are made multiples of the model's patch (14). Higher: sharper edges and finer \
                     structures, more time and memory. 252 is quick, 518 usual, 1036 fine",
                )
                .minimum(14)
                .maximum(4200)
                .default_value(s.live.resolution)
                .mutable_playing()
                .build()
        },
        get: |s| s.live.resolution.to_value(),
        set: |s, value| put(&mut s.live.resolution, value),
    },
    Property {
        name: "min-resolution",
        changes: Changes::Playing,
        spec: |s| {
            glib::ParamSpecUInt::builder("min-resolution")
                .nick("Minimum resolution")
                .blurb(
                    "How far the element may lower resolution to keep up with a live stream or a sink with a \
                     clock; it goes up again when there is time. 0: resolution is fixed",
                )
                .maximum(4200)
                .default_value(s.live.min_resolution)
                .mutable_playing()
                .build()
        },
        get: |s| s.live.min_resolution.to_value(),
        set: |s, value| put(&mut s.live.min_resolution, value),
    },
    Property {
        name: "detail-resolution",
        changes: Changes::Playing,
        spec: |s| {
            glib::ParamSpecUInt::builder("detail-resolution")
                .nick("Detail resolution")
                .blurb(
                    "Adds fine structure from runs at this short side, in pixels, in overlapping tiles no larger than what \
                     resolution costs; what is large stays that of resolution. 1036 beside 518 takes seven runs a \
                     frame. Given up first where time (min-resolution) or memory (memory-limit) is short. 0: off",
                )
                .maximum(16_384)
                .default_value(s.live.detail_resolution)
                .mutable_playing()
                .build()
        },
        get: |s| s.live.detail_resolution.to_value(),
        set: |s, value| put(&mut s.live.detail_resolution, value),
    },
    Property {
        name: "execution-provider",
        changes: Changes::Ready,
        spec: |s| {
            glib::ParamSpecEnum::builder_with_default(
                "execution-provider",
                s.load.execution_provider,
            )
            .nick("Execution provider")
            .blurb(
                "Who runs the network. auto takes the best that really works on this machine and model \
                 and says which; a named one works or the element fails",
            )
            .mutable_ready()
            .build()
        },
        get: |s| s.load.execution_provider.to_value(),
        set: |s, value| put(&mut s.load.execution_provider, value),
    },
    Property {
        name: "device",
        changes: Changes::Ready,
        spec: |s| {
            glib::ParamSpecString::builder("device")
                .nick("Device")
                .blurb(
                    "Device of a named execution-provider: \"1\" is the second GPU of cuda and tensorrt, \
                     \"GPU.1\" that of openvino. Empty: its first",
                )
                .default_value(Some(s.load.device.as_str()))
                .mutable_ready()
                .build()
        },
        get: |s| s.load.device.to_value(),
        set: |s, value| {
            if let Ok(device) = value.get::<Option<String>>() {
                s.load.device = device.unwrap_or_default();
            }
        },
    },
    Property {
        name: "precision",
        changes: Changes::Ready,
        spec: |s| {
            glib::ParamSpecEnum::builder_with_default("precision", s.load.precision)
                .nick("Precision")
                .blurb(
                    "Arithmetic of the inference. auto: the fastest whose depth is that of fp32 on a test picture; \
                     a named one is used or the element fails",
                )
                .mutable_ready()
                .build()
        },
        get: |s| s.load.precision.to_value(),
        set: |s, value| put(&mut s.load.precision, value),
    },
    Property {
        name: "engine-cache",
        changes: Changes::Ready,
        spec: |_| {
            glib::ParamSpecString::builder("engine-cache")
                .nick("Engine cache")
                .blurb(
                    "Folder for the engines that execution-provider=tensorrt compiles, which takes minutes, and for what \
                     has been found out about models, so that the next start is quick. Unset: depthanything in the \
                     user's cache folder",
                )
                .mutable_ready()
                .build()
        },
        get: |s| shown(&s.load.engine_cache),
        set: |s, value| s.load.engine_cache = text(value).map(PathBuf::from),
    },
    Property {
        name: "num-threads",
        changes: Changes::Ready,
        spec: |s| {
            glib::ParamSpecUInt::builder("num-threads")
                .nick("CPU threads")
                .blurb("Threads for inference on the CPU; fewer leave cores to the rest of the pipeline. 0: one for each core")
                .maximum(1024)
                .default_value(s.load.num_threads)
                .mutable_ready()
                .build()
        },
        get: |s| s.load.num_threads.to_value(),
        set: |s, value| put(&mut s.load.num_threads, value),
    },
    Property {
        name: "inference-interval",
        changes: Changes::Playing,
        spec: |s| {
            glib::ParamSpecUInt::builder("inference-interval")
                .nick("Inference interval")
                .blurb(
                    "Run the network on each n-th frame and repeat its depth for those between, \
                     which GstDepthMeta marks as repeated",
                )
                .minimum(1)
                .default_value(s.live.inference_interval)
                .mutable_playing()
                .build()
        },
        get: |s| s.live.inference_interval.to_value(),
        set: |s, value| put(&mut s.live.inference_interval, value),
    },
    Property {
        name: "memory-limit",
        changes: Changes::Ready,
        spec: |s| {
            glib::ParamSpecUInt64::builder("memory-limit")
                .nick("Memory limit")
                .blurb(
                    "Bytes that the network may take, weights included; the largest resolution that fits is \
                     used, up to the one asked for. 0: no limit but what the machine has left",
                )
                .default_value(s.load.memory_limit)
                .mutable_ready()
                .build()
        },
        get: |s| s.load.memory_limit.to_value(),
        set: |s, value| put(&mut s.load.memory_limit, value),
    },
    Property {
        name: "in-flight",
        changes: Changes::Ready,
        spec: |s| {
            glib::ParamSpecUInt::builder("in-flight")
                .nick("Frames in flight")
                .blurb(
                    "Frames worked on at the same time: 3 hide the conversion of frames and depth behind a network \
                     that runs on a GPU. Each one more adds the time of a frame to the latency, which is reported",
                )
                .minimum(1)
                .maximum(8)
                .default_value(s.load.in_flight)
                .mutable_ready()
                .build()
        },
        get: |s| s.load.in_flight.to_value(),
        set: |s, value| put(&mut s.load.in_flight, value),
    },
    Property {
        name: "max-batch",
        changes: Changes::Ready,
        spec: |s| {
            glib::ParamSpecUInt::builder("max-batch")
                .nick("Maximum batch")
                .blurb(
                    "Elements of one process with the same model and options share it; up to this many of \
                     their frames run together. Pays on GPUs, seldom on CPUs",
                )
                .minimum(1)
                .maximum(64)
                .default_value(s.load.max_batch)
                .mutable_ready()
                .build()
        },
        get: |s| s.load.max_batch.to_value(),
        set: |s, value| put(&mut s.load.max_batch, value),
    },
    Property {
        name: "batch-timeout",
        changes: Changes::Ready,
        spec: |s| {
            glib::ParamSpecUInt64::builder("batch-timeout")
                .nick("Batch timeout")
                .blurb(
                    "How long a frame may wait for those of other streams to fill a batch, in nanoseconds. \
                     0: it takes along what is there",
                )
                .default_value(s.load.batch_timeout)
                .mutable_ready()
                .build()
        },
        get: |s| s.load.batch_timeout.to_value(),
        set: |s, value| put(&mut s.load.batch_timeout, value),
    },
    Property {
        name: "output",
        changes: Changes::Ready,
        spec: |s| {
            glib::ParamSpecEnum::builder_with_default("output", s.load.output)
                .nick("Output")
                .blurb("What a sample means. auto: metres for a metric model, else inverse depth, white near and black far")
                .mutable_ready()
                .build()
        },
        get: |s| s.load.output.to_value(),
        set: |s, value| put(&mut s.load.output, value),
    },
    Property {
        name: "invert",
        changes: Changes::Playing,
        spec: |s| {
            glib::ParamSpecBoolean::builder("invert")
                .nick("Invert")
                .blurb("In inverse output, make near black and far white. GstDepthMeta follows, so values stay right")
                .default_value(s.live.invert)
                .mutable_playing()
                .build()
        },
        get: |s| s.live.invert.to_value(),
        set: |s, value| put(&mut s.live.invert, value),
    },
    Property {
        name: "range",
        changes: Changes::Playing,
        spec: |s| {
            glib::ParamSpecEnum::builder_with_default("range", s.live.range)
                .nick("Range")
                .blurb("In inverse output, which of the model's values become 0 and 65535. frame uses each frame's contrast fully, \
                     smooth is for looking at, fixed for comparing frames")
                .mutable_playing()
                .build()
        },
        get: |s| s.live.range.to_value(),
        set: |s, value| put(&mut s.live.range, value),
    },
    Property {
        name: "smoothing",
        changes: Changes::Playing,
        spec: |s| {
            glib::ParamSpecDouble::builder("smoothing")
                .nick("Smoothing")
                .blurb("Weight of the past in range=smooth. 0: none, as range=frame; 0.9: what is nearer than all before is \
                     taken in within five frames; 1: the first frame's range until the next cut")
                .minimum(0.0)
                .maximum(1.0)
                .default_value(s.live.smoothing)
                .mutable_playing()
                .build()
        },
        get: |s| s.live.smoothing.to_value(),
        set: |s, value| put_number(&mut s.live.smoothing, value),
    },
    Property {
        name: "temporal-filter",
        changes: Changes::Playing,
        spec: |s| {
            glib::ParamSpecDouble::builder("temporal-filter")
                .nick("Temporal filter")
                .blurb(
                    "In range=smooth, steadies depth against drift of whole regions and noise of single pixels, and follows \
                     what moves through the picture. The value is the largest difference from the model's own depth, as a \
                     share of the range: 0.03 for most videos, 0.1 where much moves. 0: off, samples are the model's values",
                )
                .minimum(0.0)
                .maximum(0.5)
                .default_value(s.live.temporal_filter)
                .mutable_playing()
                .build()
        },
        get: |s| s.live.temporal_filter.to_value(),
        set: |s, value| put_number(&mut s.live.temporal_filter, value),
    },
    Property {
        name: "range-min",
        changes: Changes::Playing,
        spec: |s| {
            glib::ParamSpecDouble::builder("range-min")
                .nick("Range minimum")
                .blurb("With range=fixed, the model's value that becomes sample 0, as smaller ones do. GstDepthMeta tells the values of a frame")
                .default_value(s.live.range_min)
                .mutable_playing()
                .build()
        },
        get: |s| s.live.range_min.to_value(),
        set: |s, value| put_number(&mut s.live.range_min, value),
    },
    Property {
        name: "range-max",
        changes: Changes::Playing,
        spec: |s| {
            glib::ParamSpecDouble::builder("range-max")
                .nick("Range maximum")
                .blurb("With range=fixed, the model's value that becomes sample 65535, as larger ones do. Has to be above range-min")
                .default_value(s.live.range_max)
                .mutable_playing()
                .build()
        },
        get: |s| s.live.range_max.to_value(),
        set: |s, value| put_number(&mut s.live.range_max, value),
    },
    Property {
        name: "upsampling",
        changes: Changes::Playing,
        spec: |s| {
            glib::ParamSpecEnum::builder_with_default("upsampling", s.live.upsampling)
                .nick("Upsampling")
                .blurb(
                    "How depth gets from the network's size to that of a larger frame. guided sharpens edges where the \
                     picture has them, for some milliseconds more; it adds no detail that the network has not seen",
                )
                .mutable_playing()
                .build()
        },
        get: |s| s.live.upsampling.to_value(),
        set: |s, value| put(&mut s.live.upsampling, value),
    },
    Property {
        name: "depth-unit",
        changes: Changes::Ready,
        spec: |s| {
            glib::ParamSpecDouble::builder("depth-unit")
                .nick("Depth unit")
                .blurb(
                    "Metres per step of a sample in metric output: 0.001 is the millimetre of depth cameras \
                     and reaches 65.5 m, 0.002 reaches 131 m; farther is 65535",
                )
                .minimum(1e-6)
                .maximum(1e3)
                .default_value(s.load.depth_unit)
                .mutable_ready()
                .build()
        },
        get: |s| s.load.depth_unit.to_value(),
        set: |s, value| put_number(&mut s.load.depth_unit, value),
    },
];
