//! The binary stream that training reads.
//!
//! A record, little-endian: `DSC1`, u32 width, u32 height, u32 kind, u64 index, two f32 of zero, then RGB
//! bytes row by row, then inverse depth as f32 row by row.

use crate::sample::{Sample, Wanted, sample};
use std::io::{self, Read, Write};

const MAGIC: &[u8; 4] = b"DSC1";

/// Writes one record.
pub fn write_record(out: &mut impl Write, s: &Sample) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(32 + s.rgb.len() + s.inverse_depth.len() * 4);
    bytes.extend_from_slice(MAGIC);
    for n in [s.width, s.height, s.kind] {
        bytes.extend_from_slice(&(n as u32).to_le_bytes());
    }
    bytes.extend_from_slice(&s.index.to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&s.rgb);
    for d in &s.inverse_depth {
        bytes.extend_from_slice(&d.to_le_bytes());
    }
    out.write_all(&bytes)
}

/// Reads one record; `None` at the end of the stream.
pub fn read_record(from: &mut impl Read) -> io::Result<Option<Sample>> {
    let mut head = [0; 32];
    match from.read_exact(&mut head) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    if &head[..4] != MAGIC {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "this is not a record of scenes",
        ));
    }
    let word = |i: usize| u32::from_le_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]);
    let (width, height) = (word(4) as usize, word(8) as usize);
    let index = u64::from(word(16)) | (u64::from(word(20)) << 32);
    let mut rgb = vec![0; width * height * 3];
    from.read_exact(&mut rgb)?;
    let mut depth = vec![0; width * height * 4];
    from.read_exact(&mut depth)?;
    Ok(Some(Sample {
        width,
        height,
        kind: word(12) as usize,
        index,
        rgb,
        inverse_depth: depth
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
    }))
}

/// Writes records from `first` on, `count` of them or without end. A reader that goes away ends it quietly.
pub fn stream(
    out: &mut impl Write,
    wanted: &Wanted,
    first: u64,
    count: Option<u64>,
) -> io::Result<()> {
    let end = count.map_or(u64::MAX, |n| first.saturating_add(n));
    for index in first..end {
        match write_record(out, &sample(wanted, index)) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            other => other?,
        }
    }
    match out.flush() {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
