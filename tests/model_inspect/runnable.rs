//! The models that run, and what they say of themselves.

use gstdepthanything::geometry::Size;
use gstdepthanything::model::{
    DepthKind, ElementType, InputNormalization, InputSize, Layout, OutputActivation,
};

/// A model that runs, with what most of them have in common filled in.
pub(crate) struct Expected {
    pub(crate) kind: DepthKind,
    pub(crate) activation: OutputActivation,
    pub(crate) patch: Option<u32>,
    /// Of a model without patches, by its metadata.
    pub(crate) stride: Option<u32>,
    pub(crate) normalization: InputNormalization,
    pub(crate) layout: Layout,
    pub(crate) size: InputSize,
    pub(crate) batch: Option<usize>,
    pub(crate) element: ElementType,
    pub(crate) depth: &'static str,
    pub(crate) quantized: bool,
}

impl Default for Expected {
    fn default() -> Self {
        Self {
            kind: DepthKind::Relative,
            activation: OutputActivation::Relu,
            patch: Some(14),
            stride: None,
            normalization: InputNormalization::Imagenet,
            layout: Layout::ChannelsFirst,
            size: InputSize::Any,
            batch: Some(1),
            element: ElementType::F32,
            depth: "depth",
            quantized: false,
        }
    }
}

impl Expected {
    fn metric(max_depth: f64) -> Self {
        Self {
            kind: DepthKind::Metric,
            activation: OutputActivation::ScaledSigmoid { max_depth },
            ..Self::default()
        }
    }

    fn fed(normalization: InputNormalization) -> Self {
        Self {
            normalization,
            ..Self::default()
        }
    }

    fn last(self) -> Self {
        Self {
            layout: Layout::ChannelsLast,
            ..self
        }
    }

    fn bytes(self) -> Self {
        Self {
            element: ElementType::U8,
            ..self
        }
    }

    fn pixelwise(activation: OutputActivation) -> Self {
        Self {
            patch: None,
            ..Self::activation(activation)
        }
    }

    fn activation(activation: OutputActivation) -> Self {
        Self {
            activation,
            ..Self::default()
        }
    }
}

fn operator(name: &str) -> OutputActivation {
    OutputActivation::Other(name.to_owned())
}

pub(crate) fn runnable() -> Vec<(&'static str, Expected)> {
    let mut all = own_family();
    all.extend(foreign());
    all
}

/// Models that prepare their image themselves, take it in other forms, or whose numbers may be anything.
fn foreign() -> Vec<(&'static str, Expected)> {
    let unit = || Expected::fed(InputNormalization::Unit);
    let byte = || Expected::fed(InputNormalization::Byte);
    let plain = Expected::default;
    vec![
        ("inside-unit", unit()),
        ("inside-byte", byte()),
        ("inside-byte-mean", byte()),
        ("inside-folded", byte()),
        ("inside-batch", byte()),
        ("inside-convolution", byte()),
        ("inside-depthwise", unit()),
        ("inside-symmetric", byte()),
        ("inside-function", unit()),
        ("inside-if", byte()),
        ("inside-moved", unit()),
        ("inside-clamped", unit()),
        ("inside-split", unit()),
        ("inside-put-back", plain()),
        (
            "inside-quantised",
            Expected {
                quantized: true,
                ..unit()
            },
        ),
        ("pixel-range", byte()),
        ("nhwc", plain().last()),
        (
            "nhwc-open",
            Expected {
                batch: None,
                ..plain().last()
            },
        ),
        ("nhwc-unit", unit().last()),
        (
            "nhwc-f16",
            Expected {
                element: ElementType::F16,
                ..plain().last()
            },
        ),
        ("nhwc-one-view", plain().last()),
        ("bytes-image", byte().bytes()),
        ("bytes-last", byte().bytes().last()),
        ("bytes-plain", byte().bytes()),
        (
            "bytes-quantised",
            Expected {
                quantized: true,
                ..plain().bytes()
            },
        ),
        ("doubt-relu", Expected::pixelwise(OutputActivation::Relu)),
        ("doubt-scaled-relu", plain()),
        ("doubt-clip", Expected::pixelwise(operator("Conv"))),
        ("doubt-softplus", Expected::pixelwise(operator("Softplus"))),
        (
            "doubt-reciprocal",
            Expected::pixelwise(operator("Reciprocal")),
        ),
        ("doubt-divided", Expected::pixelwise(operator("Div"))),
        ("doubt-bins", Expected::pixelwise(operator("ReduceSum"))),
        (
            "doubt-three",
            Expected {
                depth: "predicted_depth",
                ..Expected::pixelwise(operator("Conv"))
            },
        ),
        (
            "doubt-exp",
            Expected {
                kind: DepthKind::Distance,
                ..Expected::pixelwise(OutputActivation::Exp)
            },
        ),
        (
            "stride-32",
            Expected {
                kind: DepthKind::Metric,
                stride: Some(32),
                normalization: InputNormalization::Unit,
                batch: None,
                depth: "output0",
                ..Expected::pixelwise(OutputActivation::Exp)
            },
        ),
    ]
}

fn own_family() -> Vec<(&'static str, Expected)> {
    let plain = Expected::default;
    let fixed = |width, height| InputSize::Fixed(Size::new(width, height));
    vec![
        ("image-depth", plain()),
        (
            "pixel-values",
            Expected {
                batch: None,
                depth: "predicted_depth",
                ..plain()
            },
        ),
        (
            "static-square",
            Expected {
                size: fixed(56, 56),
                depth: "output",
                ..plain()
            },
        ),
        (
            "static-wide",
            Expected {
                size: fixed(70, 42),
                depth: "output",
                ..plain()
            },
        ),
        (
            "fixed-height",
            Expected {
                size: fixed(56, 56),
                depth: "output",
                ..plain()
            },
        ),
        ("rank-2", plain()),
        (
            "rank-4",
            Expected {
                batch: None,
                ..plain()
            },
        ),
        ("channel-last-depth", plain()),
        ("one-view", plain()),
        ("open-views", plain()),
        (
            "unnamed-sides",
            Expected {
                batch: None,
                depth: "y",
                ..plain()
            },
        ),
        (
            "untyped-output",
            Expected {
                depth: "y",
                ..plain()
            },
        ),
        (
            "f16",
            Expected {
                batch: None,
                element: ElementType::F16,
                depth: "predicted_depth",
                ..plain()
            },
        ),
        ("f16-inside", plain()),
        (
            "f16-in-f32-out",
            Expected {
                element: ElementType::F16,
                ..plain()
            },
        ),
        ("unsorted", plain()),
        ("metric-optimized", Expected::metric(20.0)),
        ("v1", plain()),
        (
            "patch-16",
            Expected {
                patch: Some(16),
                ..plain()
            },
        ),
        (
            "patch-rearranged",
            Expected {
                patch: Some(16),
                ..plain()
            },
        ),
        (
            "no-patch",
            Expected {
                patch: None,
                ..plain()
            },
        ),
        ("coarse", plain()),
        (
            "batch-2",
            Expected {
                batch: Some(2),
                ..plain()
            },
        ),
        (
            "depth-third",
            Expected {
                batch: None,
                depth: "output_2",
                ..plain()
            },
        ),
        ("full-precision", plain()),
        (
            "attention-memory",
            Expected {
                batch: None,
                ..plain()
            },
        ),
        (
            "depth-and-sky",
            Expected {
                kind: DepthKind::Distance,
                ..Expected::activation(OutputActivation::Exp)
            },
        ),
        ("metric-indoor", Expected::metric(20.0)),
        (
            "metric-outdoor",
            Expected {
                depth: "output",
                ..Expected::metric(80.0)
            },
        ),
        ("metric-divided", Expected::metric(20.0)),
        ("metric-function", Expected::metric(20.0)),
        ("metric-if", Expected::metric(20.0)),
        (
            "disparity",
            Expected {
                depth: "disparity",
                ..Expected::activation(OutputActivation::Probability)
            },
        ),
        (
            "scaled-disparity",
            Expected {
                depth: "disparity",
                ..Expected::activation(OutputActivation::Probability)
            },
        ),
        (
            "int8-dynamic",
            Expected {
                batch: None,
                depth: "predicted_depth",
                quantized: true,
                ..plain()
            },
        ),
        (
            "int8-operators",
            Expected {
                quantized: true,
                ..Expected::metric(20.0)
            },
        ),
        (
            "int8-qdq",
            Expected {
                quantized: true,
                ..Expected::metric(20.0)
            },
        ),
        (
            "q4",
            Expected {
                batch: None,
                depth: "predicted_depth",
                quantized: true,
                ..plain()
            },
        ),
        (
            "bnb4",
            Expected {
                batch: None,
                depth: "predicted_depth",
                quantized: true,
                ..plain()
            },
        ),
        ("false-dynamic", plain()),
        ("limited", plain()),
        (
            "nan",
            Expected {
                batch: None,
                ..Expected::activation(operator("Conv"))
            },
        ),
        (
            "nan-bright",
            Expected {
                batch: None,
                ..Expected::activation(operator("Sqrt"))
            },
        ),
        (
            "inf",
            Expected {
                batch: None,
                ..Expected::activation(operator("Div"))
            },
        ),
        (
            "constant",
            Expected {
                batch: None,
                ..Expected::activation(operator("Conv"))
            },
        ),
        (
            "negative",
            Expected {
                batch: None,
                ..Expected::activation(operator("Neg"))
            },
        ),
        ("external", plain()),
    ]
}
