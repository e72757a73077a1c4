//! Writes FFV1 into Matroska (RFC 9559), a cluster for each frame, so that what is written is a film at any time: a
//! player reads as far as it goes, a later run goes on behind the last whole frame. Frames keep their time to the
//! microsecond, the first frame's timecode is kept as FFmpeg keeps it, in the tag `TIMECODE`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use gst::ClockTime;

/// What a film has besides its frames.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Header {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Display size where pixels are not square.
    pub(crate) display: Option<[u32; 2]>,
    /// Duration of a frame, where all have the same.
    pub(crate) frame_duration: Option<ClockTime>,
    pub(crate) timecode: Option<String>,
    /// FFV1's configuration record.
    pub(crate) codec_private: Vec<u8>,
}

mod id {
    pub(super) const EBML: u32 = 0x1A45_DFA3;
    pub(super) const SEGMENT: u32 = 0x1853_8067;
    pub(super) const SEEK_HEAD: u32 = 0x114D_9B74;
    pub(super) const INFO: u32 = 0x1549_A966;
    pub(super) const TRACKS: u32 = 0x1654_AE6B;
    pub(super) const TAGS: u32 = 0x1254_C367;
    pub(super) const CUES: u32 = 0x1C53_BB6B;
    pub(super) const CLUSTER: u32 = 0x1F43_B675;
    pub(super) const TIMESTAMP: u32 = 0xE7;
    pub(super) const SIMPLE_BLOCK: u32 = 0xA3;
    pub(super) const VOID: u32 = 0xEC;
}

/// Nanoseconds of a tick.
const TICK: u64 = 1000;
/// A size that is not known yet, in eight bytes.
const UNKNOWN: [u8; 8] = [0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
/// Bytes before a frame in its cluster: its id and size, a timestamp, the block's id, size, track, time and flags.
const CLUSTER_HEAD: usize = 4 + 8 + (1 + 1 + 8) + (1 + 8) + 4;
/// Room for the index of the file's parts, filled in at the end.
const SEEK_HEAD_ROOM: usize = 200;
/// Ticks between two entries of the index.
const CUE_EVERY: u64 = 1_000_000_000 / TICK;
/// Nothing that is looked for in a film's head lies behind this.
const MAX_HEAD: u64 = 1 << 16;

/// An element with its content.
fn element(id: u32, content: &[u8]) -> Vec<u8> {
    let bytes = id.to_be_bytes();
    let zeros = id.leading_zeros() as usize / 8;
    let mut out = bytes[zeros..].to_vec();
    out.extend(size(content.len() as u64));
    out.extend(content);
    out
}

/// A size in eight bytes, as all of ours are, so that lengths are known beforehand.
fn size(size: u64) -> [u8; 8] {
    (size | 1 << 56).to_be_bytes()
}

fn number(id: u32, value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let zeros = (value.leading_zeros() as usize / 8).min(7);
    element(id, &bytes[zeros..])
}

fn text(id: u32, text: &str) -> Vec<u8> {
    element(id, text.as_bytes())
}

fn parent(id: u32, children: &[Vec<u8>]) -> Vec<u8> {
    element(id, &children.concat())
}

/// All before the first frame, and where things lie in it.
struct Head {
    bytes: Vec<u8>,
    /// Of the segment's content.
    segment: usize,
    seek_head: usize,
    /// Of the duration's eight bytes.
    duration: usize,
    /// Id and place in the segment of its parts.
    parts: Vec<(u32, usize)>,
}

impl Header {
    fn head(&self) -> Head {
        let mut bytes = parent(
            id::EBML,
            &[
                number(0x4286, 1),        // EBMLVersion
                number(0x42F7, 1),        // EBMLReadVersion
                number(0x42F2, 4),        // EBMLMaxIDLength
                number(0x42F3, 8),        // EBMLMaxSizeLength
                text(0x4282, "matroska"), // DocType
                number(0x4287, 4),        // DocTypeVersion
                number(0x4285, 2),        // DocTypeReadVersion
            ],
        );
        bytes.extend(&id::SEGMENT.to_be_bytes());
        bytes.extend(UNKNOWN);
        let segment = bytes.len();
        let seek_head = segment;
        bytes.extend(element(id::VOID, &[0; SEEK_HEAD_ROOM - 9]));
        let mut parts = Vec::new();
        let name = concat!("depth_export ", env!("CARGO_PKG_VERSION"));
        let info = parent(
            id::INFO,
            &[
                number(0x2A_D7B1, TICK),                 // TimestampScale
                text(0x4D80, name),                      // MuxingApp
                text(0x5741, name),                      // WritingApp
                element(0x4489, &0.0_f64.to_be_bytes()), // Duration
            ],
        );
        parts.push((id::INFO, bytes.len() - segment));
        bytes.extend(info);
        let duration = bytes.len() - 8;
        parts.push((id::TRACKS, bytes.len() - segment));
        bytes.extend(self.tracks());
        if let Some(timecode) = &self.timecode {
            parts.push((id::TAGS, bytes.len() - segment));
            let tag = parent(
                0x67C8, // SimpleTag
                &[text(0x45A3, "TIMECODE"), text(0x4487, timecode)],
            );
            let targets = element(0x63C0, &[]);
            bytes.extend(parent(id::TAGS, &[parent(0x7373, &[targets, tag])]));
        }
        Head {
            bytes,
            segment,
            seek_head,
            duration,
            parts,
        }
    }

    fn tracks(&self) -> Vec<u8> {
        let mut video = vec![
            number(0xB0, self.width.into()),
            number(0xBA, self.height.into()),
            number(0x9A, 2), // FlagInterlaced: progressive
        ];
        if let Some([width, height]) = self.display {
            video.push(number(0x54B0, width.into()));
            video.push(number(0x54BA, height.into()));
        }
        // Colour: Range, full
        video.push(parent(0x55B0, &[number(0x55B9, 2)]));
        let mut track = vec![
            number(0xD7, 1),      // TrackNumber
            number(0x73C5, 1),    // TrackUID
            number(0x83, 1),      // TrackType: video
            number(0x9C, 0),      // FlagLacing
            text(0x86, "V_FFV1"), // CodecID
        ];
        if let Some(duration) = self.frame_duration {
            track.push(number(0x23_E383, duration.nseconds())); // DefaultDuration
        }
        track.push(element(0x63A2, &self.codec_private));
        track.push(parent(0xE0, &video));
        parent(id::TRACKS, &[parent(0xAE, &track)])
    }
}

impl Head {
    /// Of a file that begins so.
    fn of_file(begin: &[u8]) -> Option<Self> {
        let segment = 12 + child(begin, id::EBML)?.len() + 12;
        let mut parts = Vec::new();
        let mut duration = None;
        let mut place = segment;
        loop {
            let (id, content, end) = part(begin, place)?;
            match id {
                id::CLUSTER => break,
                id::INFO => duration = end.checked_sub(8).filter(|&at| at >= content),
                _ => {}
            }
            if [id::INFO, id::TRACKS, id::TAGS].contains(&id) {
                parts.push((id, place - segment));
            }
            place = end;
        }
        Some(Self {
            bytes: begin.get(..place)?.to_vec(),
            segment,
            seek_head: segment,
            duration: duration?,
            parts,
        })
    }

    /// Whether the film's frames are encoded as `header` says.
    fn encoded_as(&self, header: &Header) -> bool {
        let record = || {
            child(
                child(child(self.bytes.get(self.segment..)?, id::TRACKS)?, 0xAE)?,
                0x63A2,
            )
        };
        record() == Some(&header.codec_private)
            && pixel_size(&self.bytes) == Some([header.width, header.height])
    }
}

/// A film that is being written.
pub(crate) struct Film {
    file: File,
    head: Head,
    /// Time in ticks and place in the segment, of a frame of each second.
    cues: Vec<(u64, u64)>,
    /// End of the last frame, in ticks.
    end: u64,
    length: u64,
    frames: u64,
}

impl Film {
    /// Begins a film in an empty file.
    pub(crate) fn begin(mut file: File, header: &Header) -> io::Result<Self> {
        let head = header.head();
        file.write_all(&head.bytes)?;
        Ok(Self {
            length: head.bytes.len() as u64,
            file,
            head,
            cues: Vec::new(),
            end: 0,
            frames: 0,
        })
    }

    /// Goes on behind the first `frames` frames of a film that [`Self::begin`] has begun. `None` if its frames are not
    /// encoded as `header` says, or are fewer.
    pub(crate) fn go_on(mut file: File, header: &Header, frames: u64) -> io::Result<Option<Self>> {
        let begun = begin_of(&mut file)?;
        let Some(head) = Head::of_file(&begun).filter(|head| head.encoded_as(header)) else {
            return Ok(None);
        };
        file.seek(SeekFrom::Start(head.bytes.len() as u64))?;
        let mut film = Self {
            length: head.bytes.len() as u64,
            file,
            head,
            cues: Vec::new(),
            end: 0,
            frames: 0,
        };
        for _ in 0..frames {
            let Some((time, bytes)) = next_frame(&mut film.file)? else {
                return Ok(None);
            };
            film.note(time, None, CLUSTER_HEAD as u64 + bytes);
        }
        // as long as it is being written nobody is to rely on its index
        film.file.set_len(film.length)?;
        film.file
            .seek(SeekFrom::Start(film.head.segment as u64 - 8))?;
        film.file.write_all(&UNKNOWN)?;
        film.file
            .write_all(&element(id::VOID, &[0; SEEK_HEAD_ROOM - 9]))?;
        film.file.seek(SeekFrom::End(0))?;
        Ok(Some(film))
    }

    /// Writes a frame; [`Self::sync`] brings it onto the disk.
    pub(crate) fn add(
        &mut self,
        time: ClockTime,
        duration: Option<ClockTime>,
        frame: &[u8],
    ) -> io::Result<()> {
        let ticks = (time.nseconds() + TICK / 2) / TICK;
        let block = 4 + frame.len() as u64;
        let mut head = Vec::with_capacity(CLUSTER_HEAD);
        head.extend(id::CLUSTER.to_be_bytes());
        head.extend(size(CLUSTER_HEAD as u64 - 12 + frame.len() as u64));
        head.extend([id::TIMESTAMP as u8, 0x88]);
        head.extend(ticks.to_be_bytes());
        head.push(id::SIMPLE_BLOCK as u8);
        head.extend(size(block));
        // track 1, at the cluster's time, a key frame
        head.extend([0x81, 0, 0, 0x80]);
        self.file.write_all(&head)?;
        self.file.write_all(frame)?;
        self.note(ticks, duration, head.len() as u64 + frame.len() as u64);
        Ok(())
    }

    /// The end of the last frame, or its begin where it has no duration.
    pub(crate) fn end(&self) -> ClockTime {
        ClockTime::from_nseconds(self.end * TICK)
    }

    fn note(&mut self, ticks: u64, duration: Option<ClockTime>, bytes: u64) {
        let place = self.length - self.head.segment as u64;
        if self
            .cues
            .last()
            .is_none_or(|(last, _)| ticks >= last + CUE_EVERY)
        {
            self.cues.push((ticks, place));
        }
        self.end = ticks + duration.map_or(0, |duration| duration.nseconds() / TICK);
        self.length += bytes;
        self.frames += 1;
    }

    /// Waits until all is on the disk.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Writes what players seek by.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let cues: Vec<_> = self
            .cues
            .iter()
            .map(|&(time, place)| {
                // CueTime; CueTrackPositions: CueTrack, CueClusterPosition
                let at = parent(0xB7, &[number(0xF7, 1), number(0xF1, place)]);
                parent(0xBB, &[number(0xB3, time), at])
            })
            .collect();
        let mut parts = self.head.parts.clone();
        if !cues.is_empty() {
            let cues = parent(id::CUES, &cues);
            parts.push((
                id::CUES,
                usize::try_from(self.length).unwrap_or(usize::MAX) - self.head.segment,
            ));
            self.file.write_all(&cues)?;
            self.length += cues.len() as u64;
        }
        let entries: Vec<_> = parts
            .iter()
            .map(|&(id, place)| {
                // Seek: SeekID, SeekPosition
                let id = element(0x53AB, &id.to_be_bytes());
                parent(0x4DBB, &[id, number(0x53AC, place as u64)])
            })
            .collect();
        let mut seek_head = parent(id::SEEK_HEAD, &entries);
        let room = SEEK_HEAD_ROOM - seek_head.len();
        seek_head.extend(element(id::VOID, &vec![0; room - 9]));
        let segment = self.length - self.head.segment as u64;
        for (place, bytes) in [
            (self.head.segment - 8, &size(segment)[..]),
            (self.head.seek_head, &seek_head[..]),
            (self.head.duration, &(self.end as f64).to_be_bytes()[..]),
        ] {
            self.file.seek(SeekFrom::Start(place as u64))?;
            self.file.write_all(bytes)?;
        }
        self.file.sync_all()
    }
}

/// Width and height of a film that [`Film::begin`] has begun.
pub(crate) fn size_of(file: &mut File) -> io::Result<Option<[u32; 2]>> {
    Ok(pixel_size(&begin_of(file)?))
}

/// The begin of a file, as far as a head goes.
fn begin_of(file: &mut File) -> io::Result<Vec<u8>> {
    let mut begin = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(MAX_HEAD).read_to_end(&mut begin)?;
    Ok(begin)
}

fn pixel_size(head: &[u8]) -> Option<[u32; 2]> {
    let segment = head.get(12 + child(head, id::EBML)?.len() + 12..)?;
    // Tracks, TrackEntry, Video
    let video = child(child(child(segment, id::TRACKS)?, 0xAE)?, 0xE0)?;
    let number = |id| {
        let bytes = child(video, id)?;
        let fold = |number: u32, byte: &u8| number.checked_mul(256)?.checked_add((*byte).into());
        bytes.iter().try_fold(0, fold)
    };
    Some([number(0xB0)?, number(0xBA)?])
}

/// Content of the first element `id` among `elements`, whose sizes have eight bytes as all of ours.
fn child(elements: &[u8], id: u32) -> Option<&[u8]> {
    let mut place = 0;
    loop {
        let (this, content, end) = part(elements, place)?;
        if this == id {
            return elements.get(content..end);
        }
        place = end;
    }
}

/// Id of the element at a place, where its content begins, and where it ends.
fn part(elements: &[u8], place: usize) -> Option<(u32, usize, usize)> {
    let id_bytes = elements.get(place)?.leading_zeros() as usize + 1;
    let id = elements
        .get(place..place + id_bytes)
        .filter(|id| id.len() <= 4)?;
    let id = id.iter().fold(0, |id, byte| id << 8 | u32::from(*byte));
    let content = place + id_bytes + 8;
    let size = elements.get(place + id_bytes..content)?;
    let size = u64::from_be_bytes(size.try_into().ok()?) & !(1 << 56);
    let end = content.checked_add(usize::try_from(size).ok()?)?;
    Some((id, content, end))
}

/// Ticks and length of the frame that begins at the file's place, which then is behind it. `None` where there is no whole
/// one.
fn next_frame(file: &mut File) -> io::Result<Option<(u64, u64)>> {
    let mut head = [0; CLUSTER_HEAD];
    match file.read_exact(&mut head) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let eight = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&head[at..at + 8]);
        u64::from_be_bytes(bytes)
    };
    let rest = (eight(4) & !(1 << 56)).checked_sub(CLUSTER_HEAD as u64 - 12);
    let Some(rest) = rest.filter(|_| head[..4] == id::CLUSTER.to_be_bytes()) else {
        return Ok(None);
    };
    let place = file.stream_position()?;
    let length = file.metadata()?.len();
    match place.checked_add(rest).filter(|&end| end <= length) {
        Some(end) => {
            file.seek(SeekFrom::Start(end))?;
            Ok(Some((eight(14), rest)))
        }
        None => Ok(None),
    }
}

/// How many whole frames a film that [`Film::begin`] has begun has, at most `at_most`.
pub(crate) fn whole_frames(file: &mut File, at_most: u64) -> io::Result<u64> {
    let Some(head) = Head::of_file(&begin_of(file)?) else {
        return Ok(0);
    };
    file.seek(SeekFrom::Start(head.bytes.len() as u64))?;
    let mut whole = 0;
    while whole < at_most && next_frame(file)?.is_some() {
        whole += 1;
    }
    Ok(whole)
}
