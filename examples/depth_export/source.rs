//! Where the frames come from: a film, or a sequence of pictures.

use std::fs;
use std::path::{Path, PathBuf};

use gst::prelude::*;

use crate::decoding;
use crate::failure::{Failure, Result};
use crate::frames::number_place;
use crate::link_video::link_video;
use crate::orientation;
use crate::selection::Selection;

/// A film or a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Film(PathBuf),
    Sequence(Sequence),
}

/// Numbered pictures in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sequence {
    /// As it was asked for.
    pattern: PathBuf,
    folder: PathBuf,
    before: String,
    after: String,
    /// Each picture's number and the digits it is written with, in order.
    files: Vec<(u64, String)>,
    pub(crate) rate: gst::Fraction,
}

impl Source {
    /// What `path` names: a file, or a pattern such as `shot.%04d.png` or `shot.####.png`. A sequence begins at `start`, or
    /// with its lowest number.
    pub(crate) fn find(path: &Path, start: Option<u64>, rate: gst::Fraction) -> Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str());
        let pattern = name.and_then(number_place).filter(|_| !path.is_file());
        if let Some((before, _, after)) = pattern {
            return Sequence::find(path, [before, after], start, rate).map(Self::Sequence);
        }
        decoding::check(path).map_err(|words| {
            let hint = match path.is_dir() {
                true => ": of pictures, name them all, as in shot.%04d.png",
                false => "",
            };
            Failure::never(words + hint)
        })?;
        Ok(Self::Film(path.to_owned()))
    }

    /// What the user calls it.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Film(path) => path,
            Self::Sequence(sequence) => &sequence.pattern,
        }
    }

    /// Number of the first frame.
    pub(crate) fn first(&self, start: Option<u64>) -> u64 {
        match self {
            Self::Film(_) => start.unwrap_or(0),
            Self::Sequence(sequence) => sequence.first(),
        }
    }
}

impl Sequence {
    fn find(
        path: &Path,
        [before, after]: [&str; 2],
        start: Option<u64>,
        rate: gst::Fraction,
    ) -> Result<Self> {
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Failure::never(format!("there is no folder {}", folder.display()))
            }
            _ => Failure::reading(folder, &error),
        };
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let digits = name
                .to_str()
                .and_then(|name| name.strip_prefix(before)?.strip_suffix(after))
                .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
            let Some(digits) = digits else { continue };
            let number = digits
                .parse::<u64>()
                .ok()
                .filter(|&number| number < u64::MAX / 2);
            if let Some(number) = number.filter(|&number| start.is_none_or(|start| number >= start))
            {
                files.push((number, digits.to_owned()));
            }
        }
        files.sort_unstable();
        if let Some(twice) = files.windows(2).find(|two| two[0].0 == two[1].0) {
            return Err(format!(
                "{} has two pictures of number {}: {before}{}{after} and {before}{}{after}",
                folder.display(),
                twice[0].0,
                twice[0].1,
                twice[1].1
            )
            .into());
        }
        let first = files.first().map(|(number, _)| *number);
        if first.is_none() || start.is_some_and(|start| Some(start) != first) {
            return Err(format!(
                "there is no picture {}{}",
                path.display(),
                start.map_or(String::new(), |start| format!(" of number {start}"))
            )
            .into());
        }
        Ok(Self {
            pattern: path.to_owned(),
            folder: folder.to_owned(),
            before: before.to_owned(),
            after: after.to_owned(),
            files,
            rate,
        })
    }

    pub(crate) fn first(&self) -> u64 {
        self.files.first().map_or(0, |(number, _)| *number)
    }

    pub(crate) fn last(&self) -> u64 {
        self.files.last().map_or(0, |(number, _)| *number)
    }

    /// The file of a number; `None` where there is none.
    pub(crate) fn path(&self, number: u64) -> Option<PathBuf> {
        let place = self
            .files
            .binary_search_by_key(&number, |(number, _)| *number)
            .ok()?;
        let digits = &self.files[place].1;
        Some(
            self.folder
                .join(format!("{}{digits}{}", self.before, self.after)),
        )
    }

    /// An error that names them if some of `wanted` are missing.
    pub(crate) fn check(&self, wanted: &Selection) -> Result<()> {
        let gaps = self.files.windows(2).map(|two| [two[0].0 + 1, two[1].0]);
        let gaps: Vec<_> = gaps.filter(|gap| gap[0] < gap[1]).collect();
        let missing = gaps
            .into_iter()
            .map(|[first, behind]| wanted.within(first, behind - 1))
            .find(|missing| !missing.is_empty());
        let Some(missing) = missing else {
            return Ok(());
        };
        Err(format!(
            "{}: there is no picture of number {missing}; --frames says which are wanted",
            self.folder
                .join(format!("{}#{}", self.before, self.after))
                .display(),
        )
        .into())
    }

    /// When a frame is shown.
    pub(crate) fn time(&self, number: u64) -> gst::ClockTime {
        let (rate, scale) = (
            self.rate.numer().unsigned_abs(),
            self.rate.denom().unsigned_abs(),
        );
        let second = u128::from(gst::ClockTime::SECOND.nseconds());
        let offset = u128::from(number - self.first());
        let time =
            (offset * second * u128::from(scale) + u128::from(rate) / 2) / u128::from(rate.max(1));
        gst::ClockTime::from_nseconds(u64::try_from(time).unwrap_or(u64::MAX / 2))
    }

    /// The number of the frame that is shown at `time`.
    pub(crate) fn number(&self, time: gst::ClockTime) -> Option<u64> {
        let place = self
            .files
            .partition_point(|(number, _)| self.time(*number) < time);
        self.files
            .get(place)
            .map(|(number, _)| *number)
            .filter(|&number| self.time(number) == time)
    }

    /// Pushes the pictures of `wanted`, until there are no more or nobody wants them.
    pub(crate) fn feed(&self, wanted: &Selection, target: &gst_app::AppSrc) {
        for number in wanted.numbers() {
            let Some(path) = self.path(number) else {
                return;
            };
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) => {
                    gst::element_error!(
                        target,
                        gst::ResourceError::Read,
                        ("can't read {}: {error}", path.display())
                    );
                    return;
                }
            };
            let kind = gst_base::type_find_helper_for_data(None::<&gst::Object>, &bytes);
            let Ok((mut caps, _)) = kind else {
                gst::element_error!(
                    target,
                    gst::StreamError::TypeNotFound,
                    ("{} is no picture that is known here", path.display())
                );
                return;
            };
            if let Some(caps) = caps.make_mut().structure_mut(0) {
                caps.set("framerate", self.rate);
            }
            if target.caps().is_none_or(|now| now != caps) {
                target.set_caps(Some(&caps));
            }
            let mut buffer = gst::Buffer::from_mut_slice(bytes);
            if let Some(buffer) = buffer.get_mut() {
                let time = self.time(number);
                buffer.set_pts(time);
                buffer.set_duration(self.time(number + 1) - time);
            }
            if target.push_buffer(buffer).is_err() {
                return;
            }
        }
        let _ = target.end_of_stream();
    }
}

/// The elements that bring the source's video to `video`.
pub(crate) fn connect(
    source: &Source,
    pipeline: &gst::Pipeline,
    video: &gst::Element,
) -> Result<()> {
    let element = match source {
        Source::Film(path) => gst::ElementFactory::make("filesrc")
            .property("location", path)
            .build()?,
        Source::Sequence(_) => gst::ElementFactory::make("appsrc")
            .name("pictures")
            .property("format", gst::Format::Time)
            .property("block", true)
            // of large pictures one is enough
            .property("max-bytes", 1_u64 << 20)
            .build()?,
    };
    let decoder = gst::ElementFactory::make("decodebin").build()?;
    pipeline.add_many([&element, &decoder])?;
    element.link(&decoder)?;
    if let (Source::Film(path), Some(pad)) = (source, video.static_pad("sink")) {
        orientation::tell(path, &pad);
    }
    link_video(pipeline, &decoder, video).map_err(|error| Failure::never(error.to_string()))
}
