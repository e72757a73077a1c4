//! JPEG there and back.

use jpeg_encoder::{ColorType, Encoder};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;

/// Leaves the marks of JPEG in a picture. A picture that the codecs refuse stays as it is.
pub(super) fn squeeze(out: &mut [u8], w: usize, h: usize, quality: u8) {
    let mut coded = Vec::with_capacity(out.len() / 4);
    let size = (u16::try_from(w), u16::try_from(h));
    let (Ok(w), Ok(h)) = size else { return };
    if Encoder::new(&mut coded, quality)
        .encode(out, w, h, ColorType::Rgb)
        .is_err()
    {
        return;
    }
    if let Ok(back) = JpegDecoder::new(ZCursor::new(&coded)).decode()
        && back.len() == out.len()
    {
        out.copy_from_slice(&back);
    }
}
