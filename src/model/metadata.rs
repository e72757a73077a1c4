//! What exporters write beside the graph (`metadata_props`).

use super::proto::ModelProto;
use super::{DepthKind, Finding, InputNormalization};

/// What the metadata of a model tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Metadata {
    /// What its depth is.
    pub depth: Option<Finding<DepthKind>>,
    /// What its image has to be.
    pub normalization: Option<Finding<InputNormalization>>,
    /// What the sides of its image are multiples of.
    pub stride: Option<u32>,
}

/// More entries than any exporter writes.
const MAX_ENTRIES: usize = 256;

impl Metadata {
    /// Of `model`. Known are:
    /// - Ultralytics' exporter: `task`, `stride` and so on. Its depth networks give metres and, as all of its networks,
    ///   take 0…1.
    /// - `Image.NominalPixelRange` of ONNX's own
    ///   [metadata](https://github.com/onnx/onnx/blob/main/docs/MetadataProps.md), as Windows ML reads it.
    pub(super) fn of(model: &ModelProto) -> Self {
        let value = |key: &str| {
            model
                .metadata_props
                .iter()
                .take(MAX_ENTRIES)
                .find(|entry| entry.key().eq_ignore_ascii_case(key))
                .map(|entry| entry.value().trim())
        };
        let is = |key: &str, wanted: &str| {
            value(key).is_some_and(|value| value.eq_ignore_ascii_case(wanted))
        };
        let range = value("Image.NominalPixelRange").and_then(|range| {
            let value = match range.to_ascii_lowercase().as_str() {
                "nominalrange_0_255" => InputNormalization::Byte,
                "normalized_0_1" => InputNormalization::Unit,
                _ => return None,
            };
            let reason = format!("its metadata say Image.NominalPixelRange: {range}");
            Some(Finding::certain(value, reason))
        });
        let author = value("author").unwrap_or_default();
        if !author.eq_ignore_ascii_case("Ultralytics") {
            return Self {
                normalization: range,
                ..Self::default()
            };
        }
        let reason = |says: &str| format!("its metadata say {says} by Ultralytics");
        Self {
            depth: is("task", "depth")
                .then(|| Finding::certain(DepthKind::Metric, reason("task: depth"))),
            normalization: range.or_else(|| {
                let reason = "its metadata say that it is by Ultralytics, whose networks take 0…1";
                Some(Finding::certain(
                    InputNormalization::Unit,
                    reason.to_owned(),
                ))
            }),
            stride: value("stride")
                .and_then(|stride| stride.parse().ok())
                .filter(|stride| (1..=256).contains(stride)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::proto::StringStringEntryProto;
    use super::*;

    fn metadata(entries: &[(&str, &str)]) -> Metadata {
        Metadata::of(&ModelProto {
            metadata_props: entries
                .iter()
                .map(|(key, value)| StringStringEntryProto {
                    key: Some((*key).to_owned()),
                    value: Some((*value).to_owned()),
                })
                .collect(),
            ..ModelProto::default()
        })
    }

    #[test]
    fn what_exporters_write() {
        let found = metadata(&[
            ("author", "Ultralytics"),
            ("task", "depth"),
            ("stride", "32"),
        ]);
        assert_eq!(
            found.depth.map(|found| found.value),
            Some(DepthKind::Metric)
        );
        assert_eq!(
            found.normalization.map(|found| found.value),
            Some(InputNormalization::Unit)
        );
        assert_eq!(found.stride, Some(32));

        let found = metadata(&[
            ("author", "Ultralytics"),
            ("task", "segment"),
            ("stride", "-1"),
        ]);
        assert_eq!((found.depth, found.stride), (None, None));

        let found = metadata(&[("image.nominalpixelrange", "NominalRange_0_255")]);
        assert_eq!(
            found.normalization.map(|found| found.value),
            Some(InputNormalization::Byte)
        );
        // anybody may write "task"
        assert_eq!(metadata(&[("task", "depth")]), Metadata::default());
        assert_eq!(
            metadata(&[("Image.NominalPixelRange", "Normalized_1_1")]),
            Metadata::default()
        );
    }
}
