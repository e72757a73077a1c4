//! How a picture was held, where GStreamer does not read it: Exif in PNG and WebP. `videoflip video-direction=auto`
//! behind the decoder turns it upright then.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use gst::prelude::*;

/// GStreamer's words for Exif's orientations from 1 on.
const WORDS: [&str; 8] = [
    "rotate-0",
    "flip-rotate-0",
    "rotate-180",
    "flip-rotate-180",
    "flip-rotate-270",
    "rotate-90",
    "flip-rotate-90",
    "rotate-270",
];

/// Tells the element of `pad`, which takes the pictures of `file`, how they were held, unless the decoder does.
pub(crate) fn tell(file: &Path, pad: &gst::Pad) {
    let found = File::open(file).and_then(|mut file| exif(&mut file)).ok();
    let Some(word) = found.flatten().and_then(|exif| word(&exif)) else {
        return;
    };
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
        let mut told = false;
        pad.sticky_events_foreach(|event| {
            if let gst::EventView::Tag(tags) = event.view() {
                told |= tags.tag().get::<gst::tags::ImageOrientation>().is_some();
            }
            std::ops::ControlFlow::Continue(gst::EventForeachAction::Keep)
        });
        if !told {
            let mut tags = gst::TagList::new();
            tags.make_mut()
                .add::<gst::tags::ImageOrientation>(&word, gst::TagMergeMode::Replace);
            // nobody there is told
            let _ = pad.send_event(gst::event::Tag::new(tags));
        }
        gst::PadProbeReturn::Remove
    });
}

/// The Exif data of a PNG or WebP picture.
fn exif(file: &mut File) -> io::Result<Option<Vec<u8>>> {
    /// Chunks of a picture, and bytes of its Exif data, that are looked at.
    const MOST: u64 = 1 << 16;
    let mut head = [0; 12];
    file.read_exact(&mut head)?;
    let png = head.starts_with(b"\x89PNG\r\n\x1a\n");
    if png {
        file.seek(SeekFrom::Start(8))?;
    } else if !(head.starts_with(b"RIFF") && head.ends_with(b"WEBP")) {
        return Ok(None);
    }
    for _ in 0..MOST {
        let mut chunk = [0; 8];
        file.read_exact(&mut chunk)?;
        let [a, b, c, d, e, f, g, h] = chunk;
        let (length, name, wanted, behind) = match png {
            true => (u32::from_be_bytes([a, b, c, d]), [e, f, g, h], b"eXIf", 4),
            false => {
                let length = u32::from_le_bytes([e, f, g, h]);
                (length, [a, b, c, d], b"EXIF", i64::from(length % 2))
            }
        };
        if name == *wanted {
            let mut data = Vec::new();
            file.take(MOST.min(length.into())).read_to_end(&mut data)?;
            return Ok(Some(data));
        }
        file.seek(SeekFrom::Current(i64::from(length) + behind))?;
    }
    Ok(None)
}

/// What Exif data says of the orientation. It is a TIFF file: the first directory's entry 274.
fn word(exif: &[u8]) -> Option<&'static str> {
    let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let big = match tiff.get(..2)? {
        b"MM" => true,
        b"II" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes: [u8; 2] = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(match big {
            true => u16::from_be_bytes(bytes),
            false => u16::from_le_bytes(bytes),
        })
    };
    let long = |at: usize| {
        let (first, second) = (u32::from(short(at)?), u32::from(short(at + 2)?));
        usize::try_from(match big {
            true => first << 16 | second,
            false => second << 16 | first,
        })
        .ok()
    };
    let directory = long(4)?;
    let count = usize::from(short(directory)?);
    let entries = (0..count).map_while(|index| directory.checked_add(2 + 12 * index));
    let entry = entries
        .take_while(|&at| short(at).is_some())
        .find(|&at| short(at) == Some(274))?;
    let orientation = usize::from(short(entry.checked_add(8)?)?);
    WORDS.get(orientation.checked_sub(1)?).copied()
}
