//! What loading a model, and trying it on a picture, may take of memory: a stranger's file could have a runtime ask for any
//! amount.

use super::available;
use crate::error::Error;
use crate::geometry::Size;

/// Bytes that loading and trying any model may ask for …
const BASE: u64 = 1 << 30;
/// … and for each byte of its weights.
const PER_BYTE: u64 = 8;

/// Bytes that loading a model of so many bytes may ask for.
pub(in crate::inference) fn loading_may_take(length: u64) -> u64 {
    BASE.saturating_add(length.saturating_mul(PER_BYTE))
}

/// Bytes that a run may take beyond the weights, at most: features of full size, scores of some heads in some layers.
pub(in crate::inference) fn run_may_take(size: Size, batch: usize, patch: u32) -> u64 {
    let pixels = size.area() as f64 * batch as f64;
    let patch = f64::from(patch.max(1));
    let tokens = pixels / (patch * patch);
    (2048.0 * pixels + 256.0 * tokens * tokens / batch.max(1) as f64) as u64
}

/// Whether the machine has room for the images of a run, and as much again for what is made of them.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub(in crate::inference) fn check_images(size: Size, batch: usize) -> Result<(), Error> {
    let images = (batch as u64).saturating_mul((size.area() as u64).saturating_mul(12));
    let left = available().unwrap_or(u64::MAX);
    if images.saturating_mul(2) <= left {
        return Ok(());
    }
    Err(Error::OutOfMemory {
        size: size.to_string(),
        reason: format!(
            "the images of a run alone take {} MB, and there are {} MB left",
            images >> 20,
            left >> 20
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_networks_may_take_more() {
        assert!(run_may_take(Size::new(182, 126), 2, 14) < 200 << 20);
        // ViT-L at 1036 square: a few GB
        assert!(run_may_take(Size::new(1036, 1036), 1, 14) > 7 << 30);
        // whatever a file says
        run_may_take(Size::new(u32::MAX, u32::MAX), usize::MAX, 0);
        assert_eq!(loading_may_take(0), 1 << 30);
        assert_eq!(loading_may_take(u64::MAX), u64::MAX);
    }

    #[test]
    fn images_have_to_fit_in_the_machine() {
        assert!(check_images(Size::new(182, 126), 2).is_ok());
        if available().is_some() {
            let refused = check_images(Size::new(u32::MAX, u32::MAX), usize::MAX);
            assert!(matches!(refused, Err(Error::OutOfMemory { .. })));
        }
    }
}
