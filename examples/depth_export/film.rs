//! One film of all frames: FFV1, lossless, each frame for itself.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;
use gstdepthanything::geometry::Size;

use crate::failure::{Failure, Result};
use crate::frames::{Frame, sync_folder};
use crate::journal::{Journal, Row};
use crate::matroska::{self, Film, Header};
use crate::player::Messages;

/// Frames in the encoder at most.
const UNDER_WAY: usize = 4;
/// What is written is brought onto the disk as often as this.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// Between frames of which nobody knows when they are shown.
const NO_DURATION: gst::ClockTime = gst::ClockTime::from_mseconds(40);
/// An encoder that gives nothing for so long gives nothing any more.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Encodes frames and writes them into one file, whose frames are written down once they are on the disk.
pub(crate) struct FilmWriter {
    path: PathBuf,
    encoder: Option<Encoder>,
    film: Option<Film>,
    /// The first frame's size, which all have.
    size: Option<Size>,
    /// Frames that the file has from an earlier run.
    done: u64,
    /// When the next frame is shown, if it does not say.
    next: gst::ClockTime,
    frame_duration: Option<gst::ClockTime>,
    encoding: VecDeque<(u64, Row)>,
    /// Written, but perhaps not on the disk.
    written: Vec<(u64, Option<Row>, u64)>,
    synced: Instant,
}

impl FilmWriter {
    /// Goes on with the unfinished film at `path`, of which `done` frames count.
    pub(crate) fn new(path: &Path, done: u64) -> Result<Self> {
        let mut size = None;
        if done > 0 {
            size = File::open(path)
                .and_then(|mut file| matroska::size_of(&mut file))
                .map_err(|error| Failure::reading(path, &error))?
                .map(|[width, height]| Size::new(width, height));
        }
        Ok(Self {
            path: path.to_owned(),
            encoder: None,
            film: None,
            size,
            done,
            next: gst::ClockTime::ZERO,
            frame_duration: None,
            encoding: VecDeque::new(),
            written: Vec::new(),
            synced: Instant::now(),
        })
    }

    /// The size that all frames must have, once it is known.
    pub(crate) fn size(&self) -> Option<Size> {
        self.size
    }

    /// Hands a frame to the encoder, and writes what comes out of it.
    pub(crate) fn push(&mut self, frame: Frame, journal: &mut Journal) -> Result<()> {
        let size = *self.size.get_or_insert(frame.size);
        if frame.size != size {
            return Err(Failure::never(format!(
                "frame {} is {} and those before are {size}: one film has one size; --format png or exr takes any",
                frame.number, frame.size
            )));
        }
        if self.encoder.is_none() {
            self.encoder = Some(Encoder::new(&frame)?);
        }
        let Some(encoder) = &mut self.encoder else {
            return Ok(());
        };
        encoder.push(&frame)?;
        self.encoding.push_back((frame.number, frame.row));
        while self.encoding.len() >= UNDER_WAY {
            self.take()?;
        }
        self.note(journal, false)
    }

    /// Notes a frame that the decoder did not give.
    pub(crate) fn skip(&mut self, number: u64, journal: &mut Journal) -> Result<()> {
        while !self.encoding.is_empty() {
            self.take()?;
        }
        self.written.push((number, None, 0));
        self.note(journal, false)
    }

    /// Waits for all frames, and makes the file whole as far as it goes.
    pub(crate) fn finish(&mut self, journal: &mut Journal) -> Result<()> {
        if let Some(encoder) = &self.encoder {
            encoder.end()?;
        }
        while !self.encoding.is_empty() {
            self.take()?;
        }
        self.note(journal, true)?;
        if let Some(film) = &mut self.film {
            film.finish()
                .map_err(|error| Failure::writing(&self.path, &error))?;
        }
        sync_folder(&self.path)
    }

    /// Takes the next frame out of the encoder and writes it.
    fn take(&mut self) -> Result<()> {
        let Some(encoder) = &mut self.encoder else {
            return Ok(());
        };
        let (packet, caps) = encoder.pull()?;
        let Some((number, row)) = self.encoding.pop_front() else {
            return Ok(());
        };
        let failed = |error| Failure::writing(&self.path, &error);
        if self.film.is_none() {
            let header = header(&caps, &row)?;
            self.frame_duration = header.frame_duration;
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(self.done == 0)
                .open(&self.path)
                .map_err(failed)?;
            self.film = if self.done == 0 {
                Some(Film::begin(file, &header).map_err(failed)?)
            } else {
                Film::go_on(file, &header, self.done).map_err(failed)?
            };
            let end = self.film.as_ref().map_or(gst::ClockTime::ZERO, Film::end);
            self.next = end
                + self
                    .frame_duration
                    .filter(|_| self.done > 0)
                    .unwrap_or_default();
        }
        let Some(film) = &mut self.film else {
            return Err(Failure::never(format!(
                "{} was written by another version or from another video: remove it to begin again",
                self.path.display()
            )));
        };
        // streams without a container have no time stamps
        let time = row.time.unwrap_or(self.next);
        self.next = time + row.duration.or(self.frame_duration).unwrap_or(NO_DURATION);
        film.add(time, row.duration, &packet).map_err(failed)?;
        self.written.push((number, Some(row), packet.len() as u64));
        Ok(())
    }

    /// Writes down what is on the disk, which it is every now and then, or `now`.
    fn note(&mut self, journal: &mut Journal, now: bool) -> Result<()> {
        if self.written.is_empty() || !(now || self.synced.elapsed() > SYNC_EVERY) {
            return Ok(());
        }
        if let Some(film) = &mut self.film {
            film.sync()
                .map_err(|error| Failure::writing(&self.path, &error))?;
        }
        for (number, row, bytes) in self.written.drain(..) {
            match row {
                Some(row) => journal.add(number, &row, bytes)?,
                None => journal.add_missing(number)?,
            }
        }
        self.synced = Instant::now();
        Ok(())
    }
}

/// Frames of the unfinished film that are whole; none where there is no film.
pub(crate) fn whole(path: &Path, at_most: u64) -> Result<u64> {
    match File::open(path) {
        Ok(mut file) => matroska::whole_frames(&mut file, at_most)
            .map_err(|error| Failure::reading(path, &error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(Failure::reading(path, &error)),
    }
}

/// Gives the film its name.
pub(crate) fn rename(unfinished: &Path, path: &Path) -> Result<()> {
    fs::rename(unfinished, path).map_err(|error| Failure::writing(path, &error))?;
    sync_folder(path)
}

fn header(caps: &gst::Caps, first: &Row) -> Result<Header> {
    let shape = caps.structure(0).ok_or("an encoder without caps")?;
    let side = |name| {
        shape
            .get::<i32>(name)
            .ok()
            .and_then(|side| u32::try_from(side).ok())
    };
    let (Some(width), Some(height)) = (side("width"), side("height")) else {
        return Err("the FFV1 encoder names no size".into());
    };
    let record = shape
        .get::<gst::Buffer>("codec_data")
        .map_err(|_| "the FFV1 encoder gives no configuration record")?;
    let record = record.map_readable()?;
    let aspect = shape.get::<gst::Fraction>("pixel-aspect-ratio").ok();
    let aspect = aspect.filter(|aspect| aspect.numer() > 0 && *aspect != gst::Fraction::new(1, 1));
    let rate = shape.get::<gst::Fraction>("framerate").ok();
    Ok(Header {
        width,
        height,
        display: aspect.and_then(|aspect| {
            let wide = u64::from(width) * aspect.numer().unsigned_abs() as u64;
            let wide = (wide + aspect.denom() as u64 / 2) / aspect.denom() as u64;
            Some([u32::try_from(wide).ok()?, height])
        }),
        frame_duration: rate.filter(|rate| rate.numer() > 0).and_then(|rate| {
            let second = gst::ClockTime::SECOND.nseconds();
            let (rate, scale) = (rate.numer().unsigned_abs(), rate.denom().unsigned_abs());
            let duration = (second * u64::from(scale) + u64::from(rate) / 2) / u64::from(rate);
            (duration > 0).then(|| gst::ClockTime::from_nseconds(duration))
        }),
        timecode: first.timecode.map(|code| code.to_string()),
        codec_private: record.to_vec(),
    })
}

/// FFmpeg's FFV1 encoder.
struct Encoder {
    pipeline: gst::Pipeline,
    frames: gst_app::AppSrc,
    packets: gst_app::AppSink,
    messages: Messages,
}

impl Encoder {
    fn new(first: &Frame) -> Result<Self> {
        // each frame for itself: to be cut at any, and read from any
        let pipeline = gst::parse::launch(
            "appsrc name=frames format=time ! avenc_ffv1 gop-size=1 ! appsink name=packets sync=false async=false",
        )
        .map_err(|error| {
            Failure::again(format!(
                "FFV1 needs FFmpeg's encoder, in Debian's package gstreamer1.0-libav: {}",
                error.message()
            ))
        })?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "not a pipeline")?;
        let frames = pipeline
            .by_name("frames")
            .and_downcast::<gst_app::AppSrc>()
            .ok_or("no appsrc")?;
        let packets = pipeline
            .by_name("packets")
            .and_downcast::<gst_app::AppSink>()
            .ok_or("no appsink")?;
        let mut caps = gst_video::VideoCapsBuilder::new()
            .format(gst_video::VideoFormat::Gray16Le)
            .width(i32::try_from(first.size.width).map_err(|_| "a frame too wide")?)
            .height(i32::try_from(first.size.height).map_err(|_| "a frame too high")?)
            .framerate(first.head.rate.unwrap_or(gst::Fraction::new(0, 1)));
        caps = caps.pixel_aspect_ratio(first.head.pixel_aspect);
        frames.set_caps(Some(&caps.build()));
        let messages = Messages::new(&pipeline)?;
        let encoder = Self {
            pipeline,
            frames,
            packets,
            messages,
        };
        let started = encoder.pipeline.set_state(gst::State::Playing);
        started.map_err(|error| Failure::again(format!("the FFV1 encoder: {error}")))?;
        Ok(encoder)
    }

    fn push(&mut self, frame: &Frame) -> Result<()> {
        let bytes: Vec<u8> = frame
            .samples
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(frame.row.time);
            buffer.set_duration(frame.row.duration);
        }
        let pushed = self.frames.push_buffer(buffer);
        self.messages.hear()?;
        pushed
            .map(drop)
            .map_err(|error| Failure::again(format!("the FFV1 encoder took no frame: {error}")))
    }

    fn end(&self) -> Result<()> {
        let ended = self.frames.end_of_stream();
        ended
            .map(drop)
            .map_err(|error| Failure::again(format!("the FFV1 encoder took no end: {error}")))
    }

    /// The next packet and its caps.
    fn pull(&mut self) -> Result<(glib::Bytes, gst::Caps)> {
        let begun = Instant::now();
        loop {
            if let Some(sample) = self
                .packets
                .try_pull_sample(gst::ClockTime::from_mseconds(200))
            {
                let packet = sample.buffer().ok_or("a packet without its bytes")?;
                let caps = sample.caps_owned().ok_or("a packet without caps")?;
                return Ok((
                    glib::Bytes::from_owned(packet.map_readable()?.to_vec()),
                    caps,
                ));
            }
            self.messages.hear()?;
            if self.packets.is_eos() || begun.elapsed() > TIMEOUT {
                return Err(Failure::again("the FFV1 encoder lost a frame"));
            }
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
