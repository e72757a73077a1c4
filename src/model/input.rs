//! Which input is the image.

use super::outlet::{Dim, ElementType, Outlet};
use super::{InputSize, ModelFacts};
use crate::error::Error;
use crate::geometry::Size;

/// Larger than any image a network is made for, and small enough for every product of sides.
const MAX_SIDE: u64 = 16_384;
/// A fixed first side greater than this is a window of frames, not a batch.
const MAX_FIXED_BATCH: u64 = 16;

const WANTED: &str =
    "one image input [N, 3, height, width] or [N, 1, 3, height, width] of float32 or float16";

/// The image input of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageInput {
    /// Its place among the inputs.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// [`ElementType::F32`] or [`ElementType::F16`].
    pub element: ElementType,
    /// Whether it has a side for views: [N, 1, 3, height, width].
    pub has_views: bool,
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
        let images = batch as i64;
        let [height, width] = [i64::from(size.height), i64::from(size.width)];
        if self.has_views {
            vec![images, 1, 3, height, width]
        } else {
            vec![images, 3, height, width]
        }
    }
}

/// Finds the image among the inputs that an inference runtime reports.
///
/// # Errors
/// [`Error::ModelUnsupported`] when there is none, when there are several, when there are others beside it, or when
/// its form is none that a single image can be given in: channels last, several views, a window of frames, integers.
pub fn select_input(facts: &ModelFacts, inputs: &[Outlet]) -> Result<ImageInput, Error> {
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
            let all: Vec<_> = inputs.iter().map(Outlet::to_string).collect();
            unsupported(format!("{several} image inputs: {}", all.join(", ")))
        }
    }
}

/// `input` as an image, or why it is none.
fn image_input(facts: &ModelFacts, input: &Outlet) -> Result<ImageInput, String> {
    let (batch, views, channels, height, width) = match input.dims.as_slice() {
        [batch, channels, height, width] => (batch, None, channels, height, width),
        [batch, views, channels, height, width] => (batch, Some(views), channels, height, width),
        dims => return Err(format!("of rank {}", dims.len())),
    };
    if !input.element.is_supported() {
        return Err(format!("whose elements are {}", input.element));
    }
    if !channels.admits(3) || (channels.fixed().is_none() && width.fixed() == Some(3)) {
        if width.fixed() == Some(3) {
            return Err("with channels last (NHWC)".to_owned());
        }
        if views.is_some_and(|views| views.fixed() == Some(3)) {
            return Err("with channels before frames: a window of frames".to_owned());
        }
        return Err(format!("with {}", channels_of(channels)));
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
        has_views: views.is_some(),
        batch,
        width: side(width)?,
        height: side(height)?,
    })
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
        image_input(&facts, &Outlet::new("image", ElementType::F32, dims))
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
        assert!(
            judge(&[1, 3, 224, 3]).is_ok(),
            "three columns, channels first"
        );
    }

    #[test]
    fn what_is_no_image() {
        refused(&[3, -1, -1], "of rank 3");
        refused(&[1, 1, 1, 3, -1, -1], "of rank 6");
        refused(&[1, -1, -1, 3], "NHWC");
        refused(&[1, 1, -1, -1, 3], "NHWC");
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
