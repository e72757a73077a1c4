//! The element `depthanything`: [`DepthAnything`] says what it does.
//!
//! ```text
//! imp ──▶ frames ──▶ stream ──▶ intake ──▶ network ──▶ packing ──▶ source pad
//! ```
//!
//! `imp` has GStreamer's virtual methods. `frames` judges each frame by the pipeline's clock and pushes its depth, on the
//! source's thread or, where the source is live, on threads of the element's own. `stream` takes a frame through `intake`
//! (to a tensor), the network, and `packing` (from a depth map to samples). `loading` has the model loaded and holds the
//! stream that it gives. `settings` are the properties, `caps` and `metas` what goes over from frames to depth, `messages`
//! all that an application is told.

use std::sync::LazyLock;

use gst::prelude::*;

mod caps;
mod frames;
/**
 * SECTION:element-depthanything
 *
 * `depthanything` turns video into depth: one video frame in, one 16-bit grey frame out, same timestamps, same
 * order. It runs a Depth Anything V2 network with ONNX Runtime, which is looked for when the element starts.
 * Without `model-file` it runs a small built-in network.
 *
 * ## Example launch lines
 *
 * A photo to a 16-bit PNG:
 *
 * ```bash
 * gst-launch-1.0 filesrc location=photo.jpg ! decodebin ! depthanything ! pngenc ! filesink location=depth.png
 * ```
 *
 * A video's depth, in colour, on the screen:
 *
 * ```bash
 * gst-launch-1.0 filesrc location=video.mp4 ! decodebin ! depthanything resolution=364 ! depthcolorize ! videoconvert ! autovideosink
 * ```
 *
 * A video's depth to a file that keeps all 16 bits:
 *
 * ```bash
 * gst-launch-1.0 filesrc location=video.mp4 ! decodebin ! depthanything ! avenc_ffv1 ! matroskamux ! filesink location=depth.mkv
 * ```
 *
 * ## What a sample means
 *
 * With a relative model (`output=inverse`) samples are inverse depth: white is near, 0 is the farthest. With a
 * metric model (`output=metric`) they are multiples of `depth-unit` metres and 0 is "no depth". Each frame
 * carries a `GstDepthMeta`, with which the model's own numbers are taken back: value = scale · sample + offset;
 * its structure has the fields `scale`, `offset`, `unit` and more.
 *
 * What a model's numbers are is told by its file, else by `model-depth`; which values it wants its image in by its
 * graph, else by `input-normalization`.
 *
 * ## What the network sees
 *
 * The frame, scaled so that its short side is `resolution` pixels and both sides are multiples of the model's
 * patch (14): 924×518 for a 1920×1080 video at 518. `resolution` may change while the video plays.
 *
 * ## Depth of another size
 *
 * The depth frame is as large as the frame that came in, unless a caps filter downstream asks for another size:
 *
 * ```bash
 * gst-launch-1.0 filesrc location=photo.jpg ! decodebin ! depthanything ! video/x-raw,width=1024,height=576 ! pngenc ! filesink location=large.png
 * ```
 *
 * Since: 0.1
 */
mod imp;
mod intake;
mod loading;
mod messages;
mod metas;
mod packing;
mod settings;
mod stream;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "depthanything",
        gst::DebugColorFlags::empty(),
        Some("Depth Anything"),
    )
});

glib::wrapper! {
    /// Turns video into depth: one video frame in, one 16-bit grey frame out. What GStreamer's documentation says of it stands
    /// at the module of its implementation.
    pub struct DepthAnything(ObjectSubclass<imp::DepthAnything>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
}

/**
 * GstDepthAnythingExecutionProvider:
 *
 * Who runs the network.
 *
 * Since: 0.1
 */
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstDepthAnythingExecutionProvider")]
pub enum ExecutionProvider {
    /// The best that really works.
    #[default]
    #[enum_value(
        name = "The best that really works on this machine and model",
        nick = "auto"
    )]
    Auto,
    /// ONNX Runtime's own kernels.
    #[enum_value(name = "ONNX Runtime's own CPU kernels", nick = "cpu")]
    Cpu,
    /// NVIDIA CUDA.
    #[enum_value(name = "NVIDIA CUDA", nick = "cuda")]
    Cuda,
    /// NVIDIA TensorRT.
    #[enum_value(name = "NVIDIA TensorRT", nick = "tensorrt")]
    Tensorrt,
    /// OpenVINO.
    #[enum_value(
        name = "OpenVINO, on Intel and AMD CPUs and Intel GPUs",
        nick = "openvino"
    )]
    Openvino,
    /// WebGPU.
    #[enum_value(
        name = "WebGPU, by Vulkan on any GPU; not taken by auto",
        nick = "webgpu"
    )]
    Webgpu,
}

/**
 * GstDepthAnythingPrecision:
 *
 * Arithmetic of the inference.
 *
 * Since: 0.1
 */
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstDepthAnythingPrecision")]
pub enum Precision {
    /// The fastest that passes the check.
    #[default]
    #[enum_value(
        name = "The fastest that gives the depth of fp32 on a test picture",
        nick = "auto"
    )]
    Auto,
    /// 32-bit floats.
    #[enum_value(name = "32-bit floats", nick = "fp32")]
    Fp32,
    /// Half precision.
    #[enum_value(name = "Half precision, on GPUs", nick = "fp16")]
    Fp16,
    /// Brain float.
    #[enum_value(
        name = "Brain float, with openvino on CPUs that have AVX512_BF16 or AMX",
        nick = "bf16"
    )]
    Bf16,
}

/**
 * GstDepthAnythingModelDepth:
 *
 * What the model's numbers are.
 *
 * Since: 0.1
 */
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstDepthAnythingModelDepth")]
pub enum ModelDepth {
    /// As the file tells.
    #[default]
    #[enum_value(
        name = "As the model's file tells, else inverse, with a warning",
        nick = "auto"
    )]
    Auto,
    /// Inverse depth.
    #[enum_value(name = "Larger is nearer", nick = "inverse")]
    Inverse,
    /// Distance without metres.
    #[enum_value(
        name = "Larger is farther, without metres; becomes inverse depth",
        nick = "distance"
    )]
    Distance,
    /// Metres.
    #[enum_value(name = "Metres", nick = "metric")]
    Metric,
}

/**
 * GstDepthAnythingInputNormalization:
 *
 * What the model wants its image in.
 *
 * Since: 0.1
 */
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstDepthAnythingInputNormalization")]
pub enum InputNormalization {
    /// As the file tells.
    #[default]
    #[enum_value(name = "As the model's file tells, else imagenet", nick = "auto")]
    Auto,
    /// ImageNet's mean and deviation.
    #[enum_value(
        name = "0 to 1, less ImageNet's mean, divided by its deviation",
        nick = "imagenet"
    )]
    Imagenet,
    /// 0…1.
    #[enum_value(name = "0 to 1", nick = "unit")]
    Unit,
    /// 0…255.
    #[enum_value(name = "0 to 255", nick = "byte")]
    Byte,
}

/**
 * GstDepthAnythingOutput:
 *
 * What the samples mean.
 *
 * Since: 0.1
 */
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstDepthAnythingOutput")]
pub enum DepthOutput {
    /// Metric for a metric model, else inverse.
    #[default]
    #[enum_value(name = "Metric for a metric model, else inverse", nick = "auto")]
    Auto,
    /// Inverse depth over the whole range of samples.
    #[enum_value(
        name = "Inverse depth: white is near, 0 is the farthest",
        nick = "inverse"
    )]
    Inverse,
    /// Multiples of `depth-unit`.
    #[enum_value(
        name = "Depth in steps of depth-unit metres, 0 is invalid",
        nick = "metric"
    )]
    Metric,
}

/**
 * GstDepthAnythingRange:
 *
 * How relative values become samples.
 *
 * Since: 0.1
 */
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstDepthAnythingRange")]
pub enum DepthRange {
    /// Of each frame.
    #[enum_value(
        name = "Smallest and largest value of each frame; flickers",
        nick = "frame"
    )]
    Frame,
    /// A running estimate.
    #[default]
    #[enum_value(
        name = "A running estimate that starts afresh at a cut, found in the frames, and at a flush",
        nick = "smooth"
    )]
    Smooth,
    /// Given.
    #[enum_value(name = "range-min to range-max", nick = "fixed")]
    Fixed,
}

/**
 * GstDepthAnythingUpsampling:
 *
 * How depth gets from the network's size to that of the frame.
 *
 * Since: 0.1
 */
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstDepthAnythingUpsampling")]
pub enum Upsampling {
    /// As Depth Anything V2 does it.
    #[default]
    #[enum_value(
        name = "Bilinear with aligned corners, as Depth Anything V2 does it",
        nick = "bilinear"
    )]
    Bilinear,
    /// Joint bilateral upsampling.
    #[enum_value(
        name = "Led by the frame's luma, so that edges follow the picture",
        nick = "guided"
    )]
    Guided,
}

/**
 * GstDepthAnythingServerSharedMemory:
 *
 * Whether frames go to servers through shared memory.
 *
 * Since: 0.1
 */
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstDepthAnythingServerSharedMemory")]
pub enum ServerSharedMemory {
    /// Where a server can.
    #[default]
    #[enum_value(name = "With a Triton on this machine", nick = "auto")]
    Auto,
    /// Never.
    #[enum_value(name = "Never", nick = "off")]
    Off,
}

impl Upsampling {
    fn is_guided(self) -> bool {
        self == Self::Guided
    }
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    #[cfg(feature = "doc")]
    for enum_type in [
        ExecutionProvider::static_type(),
        Precision::static_type(),
        ModelDepth::static_type(),
        InputNormalization::static_type(),
        DepthOutput::static_type(),
        DepthRange::static_type(),
        Upsampling::static_type(),
        ServerSharedMemory::static_type(),
    ] {
        enum_type.mark_as_plugin_api(gst::PluginAPIFlags::empty());
    }
    gst::Element::register(
        Some(plugin),
        "depthanything",
        gst::Rank::NONE,
        DepthAnything::static_type(),
    )
}
