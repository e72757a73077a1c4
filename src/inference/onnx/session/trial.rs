//! Trial runs at load: does depth come back, from which output, and are the open sides really open?

use super::{Options, SessionNetwork, failure};
use crate::error::Error;
use crate::geometry::Size;
use crate::inference::backend::{Images, InputSize};
use crate::inference::onnx::ep::ExecutionProvider;
use crate::inference::onnx::opening;
use crate::inference::planner;
use crate::model::{self, DepthOutput, InputNormalization, MAX_FIXED_PIXELS, ModelFacts};

/// Two small sizes in patches, of different shape and area, so that a side that only seems open shows.
const SIZES: [(u32, u32); 2] = [(13, 9), (9, 10)];
/// Sides of networks without a patch embedding are halved as often as they like; tried in this order.
const STRIDES: [u32; 3] = [32, 64, 16];
/// Sizes that networks are exported at, in pixels a side.
const USUAL_SIDES: [u32; 10] = [518, 384, 256, 224, 512, 392, 252, 504, 336, 448];

/// What trial runs have settled of a network.
#[derive(Debug, Clone)]
pub(super) struct Tried {
    input_size: InputSize,
    patch: u32,
    batch: Option<usize>,
    /// Index of its depth among the outputs.
    depth: usize,
    notes: Vec<String>,
}

impl SessionNetwork {
    /// What trial runs have settled of it.
    pub(super) fn tried(&self) -> Tried {
        let description = &self.description;
        Tried {
            input_size: description.input_size,
            patch: description.patch,
            batch: description.batch,
            depth: self.depth,
            notes: description.notes.clone(),
        }
    }

    /// Takes over what trial runs have settled of another network of the same model.
    pub(super) fn follow(
        &mut self,
        tried: &Tried,
        facts: &ModelFacts,
        provider: ExecutionProvider,
    ) -> Result<(), Error> {
        let description = &mut self.description;
        description.input_size = tried.input_size;
        description.patch = tried.patch;
        description.batch = tried.batch;
        description.notes.clone_from(&tried.notes);
        self.select(tried.depth, provider)?;
        self.interpret(facts);
        Ok(())
    }

    /// Runs the network on a picture of its own and settles what the file leaves open: the output, the sizes, the
    /// number of images.
    ///
    /// # Errors
    /// [`Error::ModelUnsupported`] when no depth comes back, [`Error::ModelInvalid`] when no size works,
    /// [`Error::Provider`] when nothing but NaN comes back, and those of a run.
    pub(super) fn try_out(
        &mut self,
        facts: &ModelFacts,
        output: &DepthOutput,
        provider: ExecutionProvider,
    ) -> Result<(), Error> {
        Trial {
            network: self,
            facts,
            output,
            provider,
        }
        .run()
    }

    pub(super) fn select(
        &mut self,
        output: usize,
        provider: ExecutionProvider,
    ) -> Result<(), Error> {
        if self.depth == output {
            return Ok(());
        }
        self.depth = output;
        self.options = Options::new(&self.outputs[output].name, self.arenas)
            .map_err(|error| failure::provider(provider, &error, &[]))?;
        Ok(())
    }
}

/// A network that is being tried.
struct Trial<'a> {
    network: &'a mut SessionNetwork,
    facts: &'a ModelFacts,
    output: &'a DepthOutput,
    provider: ExecutionProvider,
}

impl Trial<'_> {
    fn run(&mut self) -> Result<(), Error> {
        if let Some(batch @ 2..) = self.network.input.batch {
            self.note(&format!(
                "it takes {batch} images in each run and no fewer: a frame alone costs as much"
            ));
        }
        match self.network.description.input_size {
            InputSize::Fixed(size) => {
                self.check_fixed(size)?;
                self.at(size, self.images(), true).map(drop)
            }
            InputSize::Any => self.any_size(),
        }
    }

    /// A model that fixes its size, and how many images there are in a run, could fix them at anything.
    fn check_fixed(&self, size: Size) -> Result<(), Error> {
        let batch = self.network.input.batch.unwrap_or(1);
        if (batch as u64).saturating_mul(size.area() as u64) <= MAX_FIXED_PIXELS {
            return Ok(());
        }
        Err(Error::ModelUnsupported {
            model: self.facts.label.clone(),
            found: format!("{batch} images of {size} in each run"),
            wanted: format!("at most {} megapixels together", MAX_FIXED_PIXELS >> 20),
        })
    }

    /// Images of a run: as many as the model wants.
    fn images(&self) -> usize {
        self.network.description.batch.unwrap_or(1)
    }

    fn note(&mut self, text: &str) {
        let notes = &mut self.network.description.notes;
        if !notes.iter().any(|note| note == text) {
            notes.push(text.to_owned());
        }
    }

    fn any_size(&mut self) -> Result<(), Error> {
        let patch = self.network.description.patch;
        let mut steps = vec![patch];
        if !self.facts.has_patch_embedding {
            steps.extend(STRIDES);
        }
        let mut first_error = None;
        for step in steps {
            match self.multiples_of(step) {
                Ok(()) => {
                    if step != patch {
                        self.network.description.patch = step;
                        self.note(&format!("it takes sides that are multiples of {step}"));
                    }
                    return Ok(());
                }
                Err(error @ Error::Inference { .. }) => first_error.get_or_insert(error),
                // not a matter of size
                Err(error) => return Err(error),
            };
        }
        first_error.map_or(Ok(()), |error| self.find_size(error))
    }

    /// Whether both small sizes of multiples of `step` work, and whether a batch does.
    fn multiples_of(&mut self, step: u32) -> Result<(), Error> {
        let [first, second] = SIZES.map(|(columns, rows)| Size::new(columns * step, rows * step));
        let images = self.images();
        let first_map = self.at(first, images, false)?;
        let second_map = if self.network.description.batch.is_some() {
            self.at(second, images, false)?
        } else {
            match self.at(second, 2, false) {
                Err(Error::Inference { .. } | Error::ModelUnsupported { .. }) => {
                    let map = self.at(second, 1, false)?;
                    self.network.description.batch = Some(1);
                    self.note(
                        "it says it takes any number of images at a time, but fails with more than one",
                    );
                    map
                }
                result => result?,
            }
        };
        if first_map == second_map {
            self.note(&format!(
                "it takes any size, but always gives a depth map of {first_map}: its output was frozen in export, and a \
                 higher resolution gives no more detail than that"
            ));
        }
        Ok(())
    }

    /// The sides are open in the file only: finds the size that works.
    fn find_size(&mut self, error: Error) -> Result<(), Error> {
        let Error::Inference { size, reason } = error else {
            return Err(error);
        };
        let hinted = hinted_sides(&reason, self.network.description.patch);
        let usual = USUAL_SIDES
            .into_iter()
            .filter(|side| !hinted.contains(side));
        for side in hinted.iter().copied().chain(usual) {
            let size = Size::new(side, side);
            match self.at(size, self.images(), true) {
                Ok(_) => {
                    self.network.description.input_size = InputSize::Fixed(size);
                    self.note(&format!(
                        "it says it takes any size, but works at {size} only: frames are stretched to that"
                    ));
                    return Ok(());
                }
                Err(Error::Inference { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::ModelInvalid {
            model: self.facts.label.clone(),
            reason: format!(
                "it fails at {size} ({reason}), and no other size was found that works; export it again, with open \
                 height and width or with fixed ones"
            ),
        })
    }

    /// One run: a depth map for each image has to come back, whose size this gives. Of several outputs that could be
    /// the depth, what comes back decides. `only`: the model may leave no choice of another size.
    fn at(&mut self, size: Size, batch: usize, only: bool) -> Result<Size, Error> {
        let description = &self.network.description;
        let patch = description.patch;
        let values = picture(batch, size, description.normalization)?;
        let images = Images {
            values: &values,
            batch,
            size,
        };
        let candidates = &self.output.candidates;
        let mut shapes = Vec::with_capacity(candidates.len());
        let mut with_numbers = Vec::new();
        for &candidate in candidates {
            opening::trial(size, batch, patch, only);
            self.network.select(candidate, self.provider)?;
            let (shape, any_finite) = self.network.run_raw(images, |shape, values| {
                Ok((shape.to_vec(), values.any_finite()))
            })?;
            shapes.push(shape);
            if any_finite {
                with_numbers.push(candidate);
            }
        }
        let outputs = &self.network.outputs;
        let (depth, map) =
            model::settle_output(self.facts, outputs, self.output, &shapes, batch, size)?;
        self.network.select(depth, self.provider)?;
        self.network.interpret(self.facts);
        if with_numbers.contains(&depth) {
            return Ok(map);
        }
        if self.provider == ExecutionProvider::Cpu {
            self.note("it gives nothing but NaN or infinity on a plain picture");
            return Ok(map);
        }
        Err(Error::Provider {
            provider: self.provider.name().to_owned(),
            reason: "this model gives nothing but NaN or infinity with it; use another provider"
                .to_owned(),
        })
    }
}

/// A picture with something in it: a slope, a brighter box, a corner, in the values of photographs so normalised.
///
/// # Errors
/// [`Error::OutOfMemory`]: a model may fix any size.
pub(super) fn picture(
    batch: usize,
    size: Size,
    normalization: InputNormalization,
) -> Result<Vec<f32>, Error> {
    planner::check_images(size, batch)?;
    let (mean, deviation) = normalization.mean_and_deviation();
    let [mean, deviation] = [mean, deviation].map(|channels| channels.map(|value| value as f32));
    let (width, height) = (size.width as usize, size.height as usize);
    let mut values = Vec::new();
    values
        .try_reserve_exact(batch.saturating_mul(3 * size.area()))
        .map_err(|error| Error::OutOfMemory {
            size: size.to_string(),
            reason: format!("there is no room for {batch} images of it ({error})"),
        })?;
    for _ in 0..batch {
        for (mean, std) in mean.into_iter().zip(deviation) {
            for y in 0..height {
                for x in 0..width {
                    let (across, down) = (x as f32 / width as f32, y as f32 / height as f32);
                    let inside = (0.3..0.6).contains(&across) && (0.4..0.8).contains(&down);
                    let texture = 0.2 * grain(x / 9, y / 9) + 0.2 * grain(x, y);
                    let grey = 0.3 + 0.3 * down + if inside { 0.3 } else { 0.0 };
                    values.push((grey + texture - 0.2 - mean) / std);
                }
            }
        }
    }
    Ok(values)
}

/// 0…1, as if at random, the same on every machine. Without it the picture is smoother than any photograph, and what a
/// network makes of it hangs on the last bits of bf16.
fn grain(x: usize, y: usize) -> f32 {
    let mixed = (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA6B);
    let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x2C1B_3C6D);
    (mixed >> 8) as f32 / (1 << 24) as f32
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
        let size = Size::new(26, 18);
        let values = picture(2, size, InputNormalization::Imagenet).unwrap();
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
