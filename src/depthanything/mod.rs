//! The element `depthanything`: one video frame in, one 16-bit depth frame out.

use std::sync::LazyLock;

use gst::prelude::*;

mod caps;
mod imp;
mod latency;
mod loading;
mod messages;
mod pixels;
mod settings;
mod stats;
mod stream;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "depthanything",
        gst::DebugColorFlags::empty(),
        Some("Depth Anything"),
    )
});

glib::wrapper! {
    /// Turns video into depth. See the [module](self) for what comes out.
    pub struct DepthAnything(ObjectSubclass<imp::DepthAnything>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Who runs the network.
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
}

/// What the samples mean.
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

/// How relative values are laid on the samples.
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
        name = "A running estimate that starts afresh at a cut, flush or discontinuity",
        nick = "smooth"
    )]
    Smooth,
    /// Given.
    #[enum_value(name = "range-min to range-max", nick = "fixed")]
    Fixed,
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    #[cfg(feature = "doc")]
    for enum_type in [
        ExecutionProvider::static_type(),
        DepthOutput::static_type(),
        DepthRange::static_type(),
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
