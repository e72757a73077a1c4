//! Trial runs at load: does depth come back, from which output, and are the open sides really open?

use super::{Options, SessionNetwork};
use crate::engine::network::{Images, InputSize};
use crate::engine::provider::ExecutionProvider;
use crate::error::Error;
use crate::geometry::Size;
use crate::model::{self, DepthOutput, ModelFacts};

/// Two small sizes in patches, of different shape and area, so that a side that only seems open shows.
const SIZES: [(u32, u32); 2] = [(13, 9), (9, 10)];
/// Sides of networks without a patch embedding are halved as often as they like; tried in this order.
const STRIDES: [u32; 3] = [32, 64, 16];
/// Sizes that networks are exported at, in pixels a side.
const USUAL_SIDES: [u32; 10] = [518, 384, 256, 224, 512, 392, 252, 504, 336, 448];

impl SessionNetwork {
    /// Runs the network on a picture of its own and settles what the file leaves open: the output, the sizes.
    pub(super) fn try_out(
        &mut self,
        facts: &ModelFacts,
        output: &DepthOutput,
        provider: ExecutionProvider,
    ) -> Result<(), Error> {
        match self.description.input_size {
            InputSize::Fixed(size) => self.try_size(facts, output, provider, size, self.images()),
            InputSize::Any => self.try_any(facts, output, provider),
        }
    }

    /// Images of a trial run: as many as the model wants.
    fn images(&self) -> usize {
        self.description.batch.unwrap_or(1)
    }

    fn try_any(
        &mut self,
        facts: &ModelFacts,
        output: &DepthOutput,
        provider: ExecutionProvider,
    ) -> Result<(), Error> {
        let mut steps = vec![self.description.patch];
        if !facts.has_patch_embedding {
            steps.extend(STRIDES);
        }
        let mut first_error = None;
        for &step in &steps {
            match self.try_step(facts, output, provider, step) {
                Ok(()) => {
                    if step != self.description.patch {
                        self.description.patch = step;
                        self.description.notes.push(format!(
                            "{} takes sides that are multiples of {step}",
                            facts.label
                        ));
                    }
                    return Ok(());
                }
                Err(error @ Error::Inference { .. }) => first_error.get_or_insert(error),
                // not a matter of size
                Err(error) => return Err(error),
            };
        }
        let Some(first_error) = first_error else {
            return Ok(());
        };
        self.find_size(facts, output, provider, first_error)
    }

    /// Whether both small sizes of multiples of `step` work, and then whether a batch does.
    fn try_step(
        &mut self,
        facts: &ModelFacts,
        output: &DepthOutput,
        provider: ExecutionProvider,
        step: u32,
    ) -> Result<(), Error> {
        let [first, second] = SIZES.map(|(columns, rows)| Size::new(columns * step, rows * step));
        let images = self.images();
        self.try_size(facts, output, provider, first, images)?;
        if self.description.batch.is_some() {
            return self.try_size(facts, output, provider, second, images);
        }
        let together = self.try_size(facts, output, provider, second, 2);
        let Err(Error::Inference { .. } | Error::ModelUnsupported { .. }) = &together else {
            return together;
        };
        self.try_size(facts, output, provider, second, 1)?;
        self.description.batch = Some(1);
        self.description.notes.push(format!(
            "{} says it takes any number of images at a time, but fails with more than one",
            facts.label
        ));
        Ok(())
    }

    /// The sides are open in the file only: finds the size that works.
    fn find_size(
        &mut self,
        facts: &ModelFacts,
        output: &DepthOutput,
        provider: ExecutionProvider,
        error: Error,
    ) -> Result<(), Error> {
        let patch = self.description.patch;
        let hinted = match &error {
            Error::Inference { reason, .. } => hinted_sides(reason, patch),
            _ => Vec::new(),
        };
        let mut tried = Vec::new();
        for side in hinted.into_iter().chain(USUAL_SIDES) {
            if tried.contains(&side) {
                continue;
            }
            tried.push(side);
            let size = Size::new(side, side);
            match self.try_size(facts, output, provider, size, self.images()) {
                Ok(()) => {
                    self.description.input_size = InputSize::Fixed(size);
                    self.description.notes.push(format!(
                        "{} says it takes any size, but works at {size} only: frames are stretched to that",
                        facts.label
                    ));
                    return Ok(());
                }
                Err(Error::Inference { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let Error::Inference { size, reason } = error else {
            return Err(error);
        };
        Err(Error::ModelInvalid {
            model: facts.label.clone(),
            reason: format!(
                "it fails at {size} ({reason}), and no other size was found that works; export it again, with open \
                 height and width or with fixed ones"
            ),
        })
    }

    /// One trial run: a depth map for each image has to come back. Of several outputs that could be the depth, what
    /// comes back decides.
    fn try_size(
        &mut self,
        facts: &ModelFacts,
        output: &DepthOutput,
        provider: ExecutionProvider,
        size: Size,
        batch: usize,
    ) -> Result<(), Error> {
        let values = picture(batch, size);
        let images = Images {
            values: &values,
            batch,
            size,
        };
        let mut shapes = Vec::with_capacity(output.candidates.len());
        let mut finite = Vec::with_capacity(output.candidates.len());
        for &candidate in &output.candidates {
            self.select(candidate, provider)?;
            let (shape, any_finite) = self.run_raw(images, |shape, values| {
                Ok((shape.to_vec(), values.any_finite()))
            })?;
            shapes.push(shape);
            finite.push((candidate, any_finite));
        }
        let (depth, _) = model::settle_output(facts, &self.outputs, output, &shapes, batch, size)?;
        self.select(depth, provider)?;
        self.description.kind = facts.kind_of(&self.outputs[depth].name);
        if finite.contains(&(depth, true)) {
            return Ok(());
        }
        if provider == ExecutionProvider::Cpu {
            let note = format!(
                "{} gives nothing but NaN or infinity on a plain picture",
                facts.label
            );
            if !self.description.notes.contains(&note) {
                self.description.notes.push(note);
            }
            return Ok(());
        }
        Err(Error::Provider {
            provider: provider.name().to_owned(),
            reason: "this model gives nothing but NaN or infinity with it; use another provider"
                .to_owned(),
        })
    }

    fn select(&mut self, output: usize, provider: ExecutionProvider) -> Result<(), Error> {
        if self.depth == output {
            return Ok(());
        }
        self.depth = output;
        self.options = Options::new(&self.outputs[output].name, provider)
            .map_err(|error| super::failure::provider(provider, &error, &[]))?;
        Ok(())
    }
}

/// A picture with something in it: a slope, a brighter box, a corner, normalised as photographs are.
fn picture(batch: usize, size: Size) -> Vec<f32> {
    const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
    const STD: [f32; 3] = [0.229, 0.224, 0.225];
    let (width, height) = (size.width as usize, size.height as usize);
    let mut values = Vec::with_capacity(batch * 3 * size.area());
    for _ in 0..batch {
        for (mean, std) in MEAN.into_iter().zip(STD) {
            for y in 0..height {
                for x in 0..width {
                    let (across, down) = (x as f32 / width as f32, y as f32 / height as f32);
                    let inside = (0.3..0.6).contains(&across) && (0.4..0.8).contains(&down);
                    let grey = 0.3 + 0.3 * down + if inside { 0.3 } else { 0.0 };
                    values.push((grey - mean) / std);
                }
            }
        }
    }
    values
}

/// Sides that an error message speaks of: a transformer that was frozen at n×n patches complains about n² tokens or
/// n² + 1, or about a shape that ends in n, n (patches or pixels).
fn hinted_sides(words: &str, patch: u32) -> Vec<u32> {
    let numbers: Vec<u32> = words
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect();
    let grids = numbers.iter().filter_map(|&number| {
        [number, number.saturating_sub(1)]
            .into_iter()
            .find(|tokens| tokens.isqrt().pow(2) == *tokens && *tokens >= 64)
            .map(u32::isqrt)
    });
    let pairs = numbers
        .windows(2)
        .filter(|pair| pair[0] == pair[1] && pair[0] > 1)
        .map(|pair| pair[0]);
    let mut sides = Vec::new();
    for side in grids
        .map(|patches| patches * patch)
        .chain(pairs.flat_map(|side| [side.saturating_mul(patch), side]))
    {
        if (32..=1600).contains(&side) && side % patch == 0 && !sides.contains(&side) {
            sides.push(side);
        }
    }
    sides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frozen_positions_tell_their_size() {
        let words = "Non-zero status code returned while running Add node. Name:'/embeddings/Add' Status Message: left \
                     operand cannot broadcast on dim 1 LeftShape: {1,118,384}, RightShape: {1,1370,384}";
        assert_eq!(hinted_sides(words, 14), [518]);
        let words = "The input tensor cannot be reshaped to the requested shape. Input shape:{1,1,126,182}, requested \
                     shape:{1,1,56,56}";
        assert_eq!(hinted_sides(words, 14), [784, 56]);
        assert!(hinted_sides("status 5", 14).is_empty());
    }

    #[test]
    fn the_picture_is_one() {
        let values = picture(2, Size::new(26, 18));
        assert_eq!(values.len(), 2 * 3 * 26 * 18);
        assert!(values.iter().all(|value| (-2.2..2.7).contains(value)));
        let (least, most) = values
            .iter()
            .fold((f32::MAX, f32::MIN), |(least, most), &value| {
                (least.min(value), most.max(value))
            });
        assert!(most - least > 1.0);
    }
}
