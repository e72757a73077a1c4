//! What GStreamer's demuxers do not tell of a film: its timecode in MP4, QuickTime and Matroska. The file is not
//! trusted: what is read of it is bounded.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::timecode::Timecode;

/// No more boxes or elements are looked at.
const MAX_PARTS: usize = 100_000;
/// Nor is more than this taken into memory.
const MAX_BYTES: u64 = 1 << 20;

/// A film's timecode where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// In QuickTime a track of its own counts frames.
    Counted(Timecode),
    /// As text; how many frames a second has is the video's affair.
    Text([u8; 11]),
}

impl Start {
    /// The timecode, for a film of so many frames a second, if its container does not say.
    pub(crate) fn timecode(&self, per_second: Option<u32>) -> Option<Timecode> {
        match self {
            Self::Counted(code) => Some(*code),
            Self::Text(text) => Timecode::parse(str::from_utf8(text).ok()?, per_second?),
        }
    }
}

const EBML: [u8; 4] = [0x1A, 0x45, 0xDF, 0xA3];

/// Whether a film is Matroska, whose demuxer counts stream time from the first frame, while the file's own time stamps
/// are those of the frames.
pub(crate) fn tells_raw_time(film: &Path) -> bool {
    let mut begin = [0; 4];
    File::open(film).is_ok_and(|mut film| film.read_exact(&mut begin).is_ok() && begin == EBML)
}

/// The timecode that a film begins with, if it has one.
pub(crate) fn start_timecode(film: &Path) -> Option<Start> {
    let mut file = File::open(film).ok()?;
    let read = if tells_raw_time(film) {
        matroska(&mut file)
    } else {
        quicktime(&mut file)
    };
    // a damaged one is none
    read.ok().flatten()
}

/// A part of a file.
#[derive(Debug, Clone, Copy)]
struct Span {
    begin: u64,
    end: u64,
}

fn whole(file: &mut File) -> io::Result<Span> {
    let end = file.seek(SeekFrom::End(0))?;
    Ok(Span { begin: 0, end })
}

fn bytes(file: &mut File, span: Span) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(span.begin))?;
    let length = span.end.saturating_sub(span.begin).min(MAX_BYTES);
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The boxes in `span`, by their kind.
fn boxes(file: &mut File, span: Span, left: &mut usize) -> io::Result<Vec<([u8; 4], Span)>> {
    let mut found = Vec::new();
    let mut place = span.begin;
    while place + 8 <= span.end && *left > 0 {
        *left -= 1;
        let mut head = [0; 16];
        file.seek(SeekFrom::Start(place))?;
        file.read_exact(&mut head[..8])?;
        let [a, b, c, d, e, f, g, h, ..] = head;
        let kind = [e, f, g, h];
        let (size, content) = match u32::from_be_bytes([a, b, c, d]) {
            0 => (span.end - place, 8),
            1 => {
                file.read_exact(&mut head[8..])?;
                let size = head[8..]
                    .iter()
                    .fold(0, |size: u64, byte| size << 8 | u64::from(*byte));
                (size, 16)
            }
            size => (size.into(), 8),
        };
        let end = place.saturating_add(size).min(span.end);
        if size < content {
            break;
        }
        found.push((
            kind,
            Span {
                begin: place + content,
                end,
            },
        ));
        place = end;
    }
    Ok(found)
}

fn quicktime(file: &mut File) -> io::Result<Option<Start>> {
    let mut left = MAX_PARTS;
    let all = whole(file)?;
    for (kind, movie) in boxes(file, all, &mut left)? {
        if &kind != b"moov" {
            continue;
        }
        for (kind, track) in boxes(file, movie, &mut left)? {
            if &kind == b"trak"
                && let Some(code) = timecode_track(file, track, &mut left)?
            {
                return Ok(Some(Start::Counted(code)));
            }
        }
    }
    Ok(None)
}

/// The first timecode of a track that has them (QuickTime File Format, "Timecode media").
fn timecode_track(file: &mut File, track: Span, left: &mut usize) -> io::Result<Option<Timecode>> {
    let mut tables = Span { ..track };
    for name in [b"mdia", b"minf", b"stbl"] {
        let inside = boxes(file, tables, left)?;
        let Some((_, found)) = inside.into_iter().find(|(kind, _)| kind == name) else {
            return Ok(None);
        };
        tables = found;
    }
    let (mut entry, mut place) = (None, None);
    for (kind, table) in boxes(file, tables, left)? {
        match &kind {
            b"stsd" => entry = Some(bytes(file, table)?),
            b"stco" => place = number(&bytes(file, table)?, 8, 4),
            b"co64" => place = number(&bytes(file, table)?, 8, 8),
            _ => {}
        }
    }
    let (Some(entry), Some(place)) = (entry, place) else {
        return Ok(None);
    };
    // version and flags, number of entries, size, kind, reserved, data reference, reserved; then the description
    if entry.get(12..16) != Some(b"tmcd") {
        return Ok(None);
    }
    const DROP_FRAME: u64 = 1;
    let (flags, per_second) = (number(&entry, 28, 4), number(&entry, 40, 1));
    let mut count = [0; 4];
    file.seek(SeekFrom::Start(place))?;
    file.read_exact(&mut count)?;
    let code = per_second.zip(flags).and_then(|(per_second, flags)| {
        let per_second = u32::try_from(per_second).ok()?;
        Timecode::of_count(
            u32::from_be_bytes(count).into(),
            per_second,
            flags & DROP_FRAME != 0,
        )
    });
    Ok(code)
}

/// A number of `length` bytes at a place.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + length)?;
    Some(
        bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)),
    )
}

/// The elements in `span`, by their id.
fn elements(file: &mut File, span: Span, left: &mut usize) -> io::Result<Vec<(u64, Span)>> {
    let mut found = Vec::new();
    let mut place = span.begin;
    while place < span.end && *left > 0 {
        *left -= 1;
        file.seek(SeekFrom::Start(place))?;
        let mut head = Vec::new();
        (&mut *file).take(12).read_to_end(&mut head)?;
        let Some((id, id_bytes)) = variable(&head, true) else {
            break;
        };
        let Some((size, size_bytes)) = variable(&head[id_bytes..], false) else {
            break;
        };
        let begin = place + (id_bytes + size_bytes) as u64;
        // a size that is not known goes on to the end
        let unknown = size == (1 << (7 * size_bytes)) - 1;
        let end = if unknown {
            span.end
        } else {
            begin.saturating_add(size).min(span.end)
        };
        found.push((id, Span { begin, end }));
        place = end;
    }
    Ok(found)
}

/// A number whose first bits say how many bytes it has; an id keeps them.
fn variable(bytes: &[u8], id: bool) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    let value = number(bytes, 0, length).filter(|_| length <= 8)?;
    let mark = 1 << (7 * length);
    Some((if id { value } else { value & !mark }, length))
}

fn matroska(file: &mut File) -> io::Result<Option<Start>> {
    const SEGMENT: u64 = 0x1853_8067;
    const SEEK_HEAD: u64 = 0x114D_9B74;
    const CLUSTER: u64 = 0x1F43_B675;
    const TAGS: u64 = 0x1254_C367;
    let mut left = MAX_PARTS;
    let all = whole(file)?;
    let top = elements(file, all, &mut left)?;
    let Some((_, segment)) = top.into_iter().find(|(id, _)| *id == SEGMENT) else {
        return Ok(None);
    };
    // up to the first cluster; what lies behind is told by the seek head
    let mut place = segment.begin;
    let mut tags = Vec::new();
    while place < segment.end && left > 0 {
        let rest = Span {
            begin: place,
            ..segment
        };
        let mut one = 1;
        let Some((id, part)) = elements(file, rest, &mut one)?.pop() else {
            break;
        };
        left -= 1;
        match id {
            CLUSTER => break,
            TAGS => tags.push(part),
            SEEK_HEAD => {
                for (_, seek) in elements(file, part, &mut left)? {
                    let (mut id, mut at) = (None, None);
                    for (field, span) in elements(file, seek, &mut left)? {
                        let value = bytes(file, span)?;
                        let value = number(&value, 0, value.len().min(8));
                        match field {
                            0x53AB => id = value,
                            0x53AC => at = value,
                            _ => {}
                        }
                    }
                    let at = at.and_then(|at| segment.begin.checked_add(at));
                    if let (Some(TAGS), Some(begin)) = (id, at.filter(|&at| at < segment.end)) {
                        let mut one = 1;
                        let there = Span { begin, ..segment };
                        let found = elements(file, there, &mut one)?.pop();
                        tags.extend(found.filter(|(id, _)| *id == TAGS).map(|(_, span)| span));
                    }
                }
            }
            _ => {}
        }
        place = part.end;
    }
    for tags in tags {
        for (_, tag) in elements(file, tags, &mut left)? {
            for (id, simple) in elements(file, tag, &mut left)? {
                if id != 0x67C8 {
                    continue;
                }
                let (mut name, mut value) = (Vec::new(), Vec::new());
                for (field, span) in elements(file, simple, &mut left)? {
                    match field {
                        0x45A3 => name = bytes(file, span)?,
                        0x4487 => value = bytes(file, span)?,
                        _ => {}
                    }
                }
                if name.eq_ignore_ascii_case(b"TIMECODE")
                    && let Ok(text) = value.trim_ascii().try_into()
                {
                    return Ok(Some(Start::Text(text)));
                }
            }
        }
    }
    Ok(None)
}
