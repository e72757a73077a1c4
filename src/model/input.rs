//! Which input is the image.

use super::tensor_info::{Dim, ElementType, TensorInfo};
use super::{Finding, InputNormalization, InputSize, ModelFacts, Quantization};
use crate::error::{Error, Setting};
use crate::geometry::Size;

/// Larger than any image a network is made for, and small enough for every product of sides.
const MAX_SIDE: u64 = 16_384;
/// A fixed first side greater than this is a window of frames, not a batch.
const MAX_FIXED_BATCH: u64 = 16;

const WANTED: &str = "one image input [N, 3, height, width] or [N, height, width, 3], or one view of these \
    [N, 1, …], of float32, float16 or uint8";

/// The order of an image's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// A plane for each channel: [3, height, width].
    ChannelsFirst,
    /// Pixel by pixel: [height, width, 3].
    ChannelsLast,
}

/// The image input of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageInput {
    /// Its place among the inputs.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// [`ElementType::F32`], [`ElementType::F16`] or [`ElementType::U8`].
    pub element: ElementType,
    /// The order of its values.
    pub layout: Layout,
    /// Whether it has a side for views: [N, 1, 3, height, width] or [N, 1, height, width, 3].
    pub has_views: bool,
    /// Its values, and how they were found out.
    pub normalization: Finding<InputNormalization>,
    /// What the integers of a quantised image stand for; `None`: they are the values themselves.
    pub quantization: Option<Quantization>,
    /// Images per run where the model fixes it; `None`: any number.
    pub batch: Option<usize>,
    /// Width where the model fixes it.
    pub width: Option<u32>,
    /// Height where the model fixes it.
    pub height: Option<u32>,
}

impl ImageInput {
    /// The sizes it takes. Where only one side is fixed, the other is taken to be as long.
    pub fn input_size(&self) -> InputSize {
        match (self.width, self.height) {
            (Some(width), Some(height)) => InputSize::Fixed(Size::new(width, height)),
            (Some(side), None) | (None, Some(side)) => InputSize::Fixed(Size::new(side, side)),
            (None, None) => InputSize::Any,
        }
    }

    /// The shape of a tensor of `batch` images of `size`.
    pub fn shape(&self, batch: usize, size: Size) -> Vec<i64> {
        let [height, width] = [i64::from(size.height), i64::from(size.width)];
        let mut shape = vec![batch as i64];
        if self.has_views {
            shape.push(1);
        }
        shape.extend(match self.layout {
            Layout::ChannelsFirst => [3, height, width],
            Layout::ChannelsLast => [height, width, 3],
        });
        shape
    }

    /// The same with values that the user names, whatever was found.
    ///
    /// # Errors
    /// [`Error::Setting`] where integers can't be such values.
    pub fn with_normalization(mut self, normalization: InputNormalization) -> Result<Self, Error> {
        let found = self.normalization.value;
        if self.element == ElementType::U8
            && normalization != InputNormalization::Byte
            && normalization != found
        {
            return Err(Error::Setting {
                setting: Setting::InputNormalization,
                reason: format!(
                    "the model takes its image as uint8, which {} values can't be; leave it at auto or byte",
                    normalization.name()
                ),
            });
        }
        if normalization != found {
            self.quantization = None;
        }
        self.normalization = Finding::certain(normalization, "it was set".to_owned());
        Ok(self)
    }

    /// What is fed, in words: element type, shape, values.
    pub fn in_words(&self) -> String {
        let order = match (self.layout, self.has_views) {
            (Layout::ChannelsFirst, false) => "[N, 3, height, width]",
            (Layout::ChannelsLast, false) => "[N, height, width, 3]",
            (Layout::ChannelsFirst, true) => "[N, 1, 3, height, width]",
            (Layout::ChannelsLast, true) => "[N, 1, height, width, 3]",
        };
        let values = match (self.normalization.value, self.quantization) {
            (InputNormalization::Imagenet, None) => {
                "-2.1…2.6: 0…1 less ImageNet's mean, divided by its deviation".to_owned()
            }
            (InputNormalization::Unit, _) => "0…1".to_owned(),
            (InputNormalization::Byte, _) => "0…255".to_owned(),
            (InputNormalization::Imagenet, Some(Quantization { scale, zero })) => format!(
                "0…255: ImageNet's normalised values, divided by {scale:.6} and {zero} added"
            ),
        };
        format!("RGB, {order} {}, {values}", self.element)
    }
}

/// Finds the image among the inputs that an inference runtime reports.
///
/// # Errors
/// [`Error::ModelUnsupported`] when there is none, when there are several, when there are others beside it, or when
/// its form is none that a single image can be given in: several views, a window of frames, other types of elements.
pub fn select_input(facts: &ModelFacts, inputs: &[TensorInfo]) -> Result<ImageInput, Error> {
    let unsupported = |found: String| {
        Err(Error::ModelUnsupported {
            model: facts.label.clone(),
            found,
            wanted: WANTED.to_owned(),
        })
    };
    let judged: Vec<_> = inputs
        .iter()
        .map(|input| image_input(facts, input))
        .collect();
    let images = judged.iter().filter(|judgement| judgement.is_ok()).count();
    match (inputs, images) {
        ([], _) => unsupported("no input at all".to_owned()),
        (_, 0) => {
            let found: Vec<_> = inputs
                .iter()
                .zip(judged)
                .map(|(input, judgement)| match judgement {
                    Err(reason) => format!("the input {input}, {reason}"),
                    Ok(_) => input.to_string(),
                })
                .collect();
            unsupported(found.join("; "))
        }
        (_, 1) if inputs.len() > 1 => {
            let others: Vec<_> = inputs
                .iter()
                .zip(&judged)
                .filter(|(_, judgement)| judgement.is_err())
                .map(|(input, _)| input.to_string())
                .collect();
            unsupported(format!(
                "besides the image also the input {}",
                others.join(", ")
            ))
        }
        (_, 1) => {
            let index = judged.iter().position(Result::is_ok).unwrap_or_default();
            match judged.into_iter().nth(index) {
                Some(Ok(image)) => Ok(ImageInput { index, ..image }),
                _ => unsupported("no image input".to_owned()),
            }
        }
        (_, several) => {
            let all: Vec<_> = inputs.iter().map(TensorInfo::to_string).collect();
            unsupported(format!("{several} image inputs: {}", all.join(", ")))
        }
    }
}

/// `input` as an image, or why it is none.
fn image_input(facts: &ModelFacts, input: &TensorInfo) -> Result<ImageInput, String> {
    let treatment = facts.treatment_of(&input.name);
    let (batch, views, sides) = match input.dims.as_slice() {
        [batch, sides @ ..] if sides.len() == 3 => (batch, None, sides),
        [batch, views, sides @ ..] if sides.len() == 3 => (batch, Some(views), sides),
        dims => return Err(format!("of rank {}", dims.len())),
    };
    if !input.element.may_be_image() {
        return Err(format!("whose elements are {}", input.element));
    }
    let [first, middle, last] = sides else {
        return Err("without sides".to_owned());
    };
    let layout = match (first.fixed(), last.fixed()) {
        (Some(3), _) => Layout::ChannelsFirst,
        (_, Some(3)) => Layout::ChannelsLast,
        // nothing but what the graph does with it tells
        (None, None) if treatment.channels_last == Some(true) => Layout::ChannelsLast,
        _ => Layout::ChannelsFirst,
    };
    let (channels, height, width) = match layout {
        Layout::ChannelsFirst => (first, middle, last),
        Layout::ChannelsLast => (last, first, middle),
    };
    if !channels.admits(3) {
        if views.is_some_and(|views| views.fixed() == Some(3)) {
            return Err("with channels before frames: a window of frames".to_owned());
        }
        // channels last, but not three of them
        let last = last.fixed().filter(|count| (1..=4).contains(count));
        return Err(match last {
            Some(count) if channels.fixed().is_some_and(|c| c > 4) => {
                format!("with {}", channels_of(count))
            }
            _ => format!("with {}", channels_of(channels)),
        });
    }
    if let (None, Some(taken)) = (channels.fixed(), facts.channels)
        && taken != 3
    {
        return Err(format!(
            "whose first convolution takes {}",
            channels_of(taken)
        ));
    }
    if let Some(views) = views
        && !views.admits(1)
    {
        return Err(format!("with {views} views or frames at once"));
    }
    let batch = match batch.fixed() {
        None => None,
        Some(0) => return Err("with room for no image".to_owned()),
        Some(images) if images > MAX_FIXED_BATCH => {
            return Err(format!("a window of {images} frames"));
        }
        Some(images) => Some(images as usize),
    };
    Ok(ImageInput {
        index: 0,
        name: input.name.clone(),
        element: input.element.clone(),
        layout,
        has_views: views.is_some(),
        normalization: normalization(facts, input, treatment.normalization),
        quantization: treatment.quantization,
        batch,
        width: side(width)?,
        height: side(height)?,
    })
}

/// The values that the image has to have: as the metadata say, else as the graph tells, else as is usual.
fn normalization(
    facts: &ModelFacts,
    input: &TensorInfo,
    found: Option<Finding<InputNormalization>>,
) -> Finding<InputNormalization> {
    if let Some(found) = facts.declared_normalization.clone().or(found) {
        return found;
    }
    if input.element == ElementType::U8 {
        let reason = "its image comes in bytes".to_owned();
        return Finding::certain(InputNormalization::Byte, reason);
    }
    let reason = "its graph takes the image as it is".to_owned();
    if facts.has_patch_embedding {
        let reason = format!("{reason}, as Depth Anything and other vision transformers do");
        return Finding::certain(InputNormalization::Imagenet, reason);
    }
    Finding::guessed(InputNormalization::Imagenet, reason)
}

fn channels_of(count: impl std::fmt::Display) -> String {
    let count = count.to_string();
    let plural = if count == "1" { "" } else { "s" };
    format!("{count} channel{plural} instead of 3")
}

fn side(dim: &Dim) -> Result<Option<u32>, String> {
    match dim.fixed() {
        None => Ok(None),
        Some(length @ 1..=MAX_SIDE) => Ok(u32::try_from(length).ok()),
        Some(length) => Err(format!("with a side of {length} pixels")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ModelSource, inspect};
    use super::*;

    fn judge(dims: &[i64]) -> Result<ImageInput, String> {
        let dims = dims.iter().map(|&length| Dim::new(length, "")).collect();
        let facts = ModelFacts {
            channels: None,
            ..inspect(&ModelSource::Builtin).unwrap()
        };
        image_input(&facts, &TensorInfo::new("image", ElementType::F32, dims))
    }

    #[track_caller]
    fn refused(dims: &[i64], words: &str) {
        let reason = judge(dims).expect_err("an image");
        assert!(reason.contains(words), "{reason}");
    }

    #[test]
    fn forms_of_an_image() {
        let image = judge(&[-1, 3, 518, -1]).unwrap();
        assert_eq!(
            (image.batch, image.height, image.width),
            (None, Some(518), None)
        );
        assert_eq!(image.input_size(), InputSize::Fixed(Size::new(518, 518)));
        assert_eq!(judge(&[16, 3, -1, -1]).unwrap().batch, Some(16));
        assert!(judge(&[-1; 5]).unwrap().has_views);
        let layout = |dims: &[i64]| judge(dims).unwrap().layout;
        assert_eq!(
            layout(&[1, 3, 224, 3]),
            Layout::ChannelsFirst,
            "three columns"
        );
        for dims in [&[1, -1, -1, 3][..], &[1, 224, 224, 3], &[1, 1, -1, -1, 3]] {
            assert_eq!(layout(dims), Layout::ChannelsLast, "{dims:?}");
        }
        let image = judge(&[1, 224, 320, 3]).unwrap();
        let size = Size::new(320, 224);
        assert_eq!(image.input_size(), InputSize::Fixed(size));
        assert_eq!(image.shape(2, size), [2, 224, 320, 3]);
    }

    #[test]
    fn what_is_no_image() {
        refused(&[3, -1, -1], "of rank 3");
        refused(&[1, 1, 1, 3, -1, -1], "of rank 6");
        refused(&[1, 224, 224, 1], "with 1 channel instead of 3");
        refused(&[1, 3, 8, -1, -1], "a window of frames");
        refused(&[1, 1, -1, -1], "with 1 channel instead of 3");
        refused(&[1, 9, -1, -1], "with 9 channels instead of 3");
        refused(&[0, 3, -1, -1], "room for no image");
        refused(&[17, 3, -1, -1], "a window of 17 frames");
        refused(&[1, 3, 0, -1], "a side of 0 pixels");
        refused(
            &[1, 3, i64::MAX, -1],
            "a side of 9223372036854775807 pixels",
        );
    }
}
