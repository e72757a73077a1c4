//! One export: what is wanted, what is done of it already, and the rest.

use std::sync::{Arc, Mutex, PoisonError};

use gstdepthanything::depth_meta::{DepthMeta, Unit};
use gstdepthanything::geometry::Size;

use crate::container::{self, Start};
use crate::exr::Head;
use crate::failure::{Failure, Result};
use crate::film::{self, FilmWriter};
use crate::frames::{Frame, Names, Writers};
use crate::index::Index;
use crate::journal::{Journal, Row};
use crate::places::Places;
use crate::player::{Next, OnFrame, Player, Setup, Shown};
use crate::progress::{self, Position, Progress};
use crate::selection::Selection;
use crate::settings::{self, Range};
use crate::shots::{self, Cuts, Shot};
use crate::source::Source;
use crate::timecode::Timecode;
use crate::{Arguments, Format, Shard, stop};

/// Frames that the element sees before a first pass goes on, so that it finds the same cuts.
const RUN_UP: u64 = 24;

/// How a run ended without an error.
pub(crate) enum End {
    Done,
    Interrupted(stop::Signal),
}

/// All that does not change in a run.
pub(crate) struct Job<'a> {
    arguments: &'a Arguments,
    source: Source,
    /// Number of the source's first frame.
    first: u64,
    /// See [`container::tells_raw_time`].
    raw_time: bool,
    index: Option<Arc<Index>>,
    /// The frames to make, earlier ones included.
    wanted: Selection,
    /// Those and the other shards'.
    whole: Selection,
    range: Range,
    settings: Vec<(String, String)>,
    places: Places,
    start: Option<Start>,
}

/// Does what is still to be done.
pub(crate) fn run(arguments: &Arguments) -> Result<End> {
    start_gstreamer()?;
    stop::listen()?;
    let default = match arguments.format {
        Format::Exr => Range::Element("frame"),
        // nothing is cut off, and what is still keeps its value
        Format::Png | Format::Ffv1 => Range::Locked,
    };
    let range = match (&arguments.shots, arguments.range.as_deref()) {
        (Some(_), None) => Range::Locked,
        (_, text) => Range::parse(text, default)?,
    };
    if arguments.shots.is_some() && range != Range::Locked {
        return Err("--shots goes with --range locked".into());
    }
    let settings = settings::properties(arguments, &range)?;
    check(arguments, &range, &settings)?;
    let source = Source::find(&arguments.film, arguments.start_number, arguments.fps)?;
    let names = Names::new(&arguments.out, &arguments.name, arguments.format)?;
    let places = Places::new(arguments)?;
    let mut job = Job {
        first: source.first(arguments.start_number),
        raw_time: matches!(&source, Source::Film(path) if container::tells_raw_time(path)),
        index: None,
        wanted: Selection::from(0),
        whole: Selection::from(0),
        start: match &source {
            Source::Film(path) => container::start_timecode(path),
            Source::Sequence(_) => None,
        },
        source,
        arguments,
        range,
        settings,
        places,
    };
    if arguments.shard.is_some() {
        job.plan(true)?;
    }
    let mut journal = Journal::open(&job.places.journal, &job.words())?;
    if arguments.shard.is_none() {
        job.plan(journal.done() > 0 && !journal.is_complete())?;
    }
    if job.wanted.is_empty() {
        // more shards than frames
        journal.complete()?;
        job.tell_end(&journal, "");
        return Ok(End::Done);
    }
    job.check_done(&mut journal, &names)?;
    if job.all_done(&journal) {
        job.tell_end(&journal, " all done before");
        return Ok(End::Done);
    }
    let shots = match job.shots(journal.done())? {
        Passed::Done(shots) => shots,
        Passed::First => return Ok(End::Done),
        Passed::Interrupted(signal) => return Ok(End::Interrupted(signal)),
    };
    job.export(&names, shots, &mut journal)
}

/// The installed plugin where there is one.
fn start_gstreamer() -> Result<()> {
    gst::init().map_err(|error| Failure::again(error.message().to_owned()))?;
    if gst::ElementFactory::find("depthanything").is_none() {
        gstdepthanything::plugin_register_static()?;
    }
    Ok(())
}

/// What can be wrong of the options alone.
fn check(arguments: &Arguments, range: &Range, settings: &[(String, String)]) -> Result<()> {
    let depth = gst::ElementFactory::make("depthanything").build()?;
    for (name, value) in settings {
        settings::apply(&depth, name, value)?;
    }
    if arguments.shard.is_none() {
        return Ok(());
    }
    if arguments.format == Format::Ffv1 {
        return Err(
            "FFV1 is one file, which can't be made in shards: --format png or exr can".into(),
        );
    }
    let of = |name: &str| settings.iter().rev().find(|(set, _)| set == name);
    let keeps = |name: &str, none: &str| of(name).is_some_and(|(_, value)| value != none);
    let state = if *range == Range::Element("smooth") || keeps_smooth(settings) {
        Some("--range smooth")
    } else if keeps("temporal-filter", "0") {
        Some("temporal-filter")
    } else if keeps("inference-interval", "1") {
        Some("inference-interval")
    } else {
        None
    };
    match state {
        Some(state) => Err(format!(
            "{state} takes from frames before, which another shard has: it can't be made in shards; \
             --range frame, locked or LOW:HIGH can"
        )
        .into()),
        None => Ok(()),
    }
}

fn keeps_smooth(settings: &[(String, String)]) -> bool {
    let last = settings.iter().rev().find(|(name, _)| name == "range");
    last.is_some_and(|(_, value)| value == "smooth")
}

/// What comes of a first pass.
enum Passed {
    /// The range of each shot; none where none is needed.
    Done(Vec<Shot>),
    /// This shard's part, and the others' are not known.
    First,
    Interrupted(stop::Signal),
}

impl Job<'_> {
    /// What makes the frames what they are, for the journal.
    fn words(&self) -> String {
        let arguments = self.arguments;
        let mut words = vec![format!("{:?} of {:?}", arguments.format, arguments.film)];
        words.extend(
            self.settings
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
        if let Some(number) = arguments.start_number {
            words.push(format!("start-number={number}"));
        }
        if let Source::Sequence(sequence) = &self.source {
            words.push(format!(
                "fps={}/{}",
                sequence.rate.numer(),
                sequence.rate.denom()
            ));
        }
        if self.range == Range::Locked {
            words.push("locked".to_owned());
            if let Some(shots) = &arguments.shots {
                words.push(format!("shots={shots}"));
            }
        }
        if arguments.shard.is_some() {
            // merge checks that all of these are there
            words.push(format!("frames={}", self.whole));
        }
        words.join(" ")
    }

    /// Finds out which frames are wanted, and where they are; of a film that is played from its begin to its end that
    /// comes by itself.
    fn plan(&mut self, goes_on: bool) -> Result<()> {
        let arguments = self.arguments;
        let given = arguments.frames.clone();
        let all = Selection::from(self.first);
        let mut wanted = given.clone().unwrap_or(all);
        let last = match &self.source {
            Source::Sequence(sequence) => Some(sequence.last()),
            Source::Film(film) if given.is_some() || arguments.shard.is_some() || goes_on => {
                self.index = Index::read(film, self.raw_time)?.map(Arc::new);
                self.index
                    .as_ref()
                    .map(|index| self.first + index.len() - 1)
            }
            Source::Film(_) => None,
        };
        wanted = wanted.within(self.first, last.unwrap_or(u64::MAX));
        if wanted.is_empty() {
            let last = last.map_or("…".to_owned(), |last| last.to_string());
            return Err(format!(
                "{} has the frames {}-{last}, and --frames {} wants none of them",
                arguments.film.display(),
                self.first,
                given.map_or(String::new(), |given| given.to_string())
            )
            .into());
        }
        self.whole = wanted.clone();
        if let Some(Shard { number, of }) = arguments.shard {
            let Some(count) = wanted.count() else {
                return Err(format!(
                    "{} does not list when its frames are shown, so that it can't be made in shards: put it into \
                     Matroska or MP4 first",
                    arguments.film.display()
                )
                .into());
            };
            let border = |number: u32| {
                let place = u128::from(count) * u128::from(number) / u128::from(of);
                u64::try_from(place).unwrap_or(u64::MAX)
            };
            wanted = wanted.first(border(number)).after(border(number - 1));
        }
        if let Source::Sequence(sequence) = &self.source {
            sequence.check(&wanted)?;
        }
        self.wanted = wanted;
        Ok(())
    }

    /// Goes back to the first frame whose file is not as the journal says.
    fn check_done(&self, journal: &mut Journal, names: &Names) -> Result<()> {
        let lines = journal.lines();
        let mut numbers = self.wanted.numbers();
        if let Some(other) = lines
            .iter()
            .find(|line| numbers.next() != Some(line.number))
        {
            // fewer frames than before are done too
            if self.wanted.count().is_some_and(|count| count > 0)
                && self.arguments.frames.is_some()
                && self
                    .wanted
                    .ends()
                    .is_some_and(|ends| other.number > ends[1])
                && self
                    .wanted
                    .numbers()
                    .zip(lines)
                    .all(|(number, line)| number == line.number)
            {
                return Ok(());
            }
            return Err(format!(
                "{} was begun with other --frames (it has {}): write to another place, or remove it",
                self.places.journal.display(),
                other.number
            )
            .into());
        }
        let mut whole = lines.len();
        if self.places.folder.is_some() {
            let as_said = |line: &crate::journal::Line| {
                line.bytes.is_none_or(|bytes| {
                    let file = std::fs::metadata(names.path(line.number));
                    file.is_ok_and(|file| file.is_file() && file.len() == bytes)
                })
            };
            whole = lines
                .iter()
                .position(|line| !as_said(line))
                .unwrap_or(whole);
        } else {
            self.check_film(lines, &mut whole)?;
        }
        if whole < journal.lines().len() {
            eprintln!(
                "frame {} is not on the disk as it was written: going on from there",
                journal.lines()[whole].number
            );
            journal.keep(whole)?;
        }
        Ok(())
    }

    /// The same of a film.
    fn check_film(&self, lines: &[crate::journal::Line], whole: &mut usize) -> Result<()> {
        let (film, unfinished) = (&self.arguments.out, &self.places.unfinished);
        if film.exists() && !unfinished.exists() && !lines.is_empty() {
            // it is complete, or was when fewer frames were wanted
            film::rename(film, unfinished)?;
        }
        let in_file = lines.iter().filter(|line| line.bytes.is_some()).count() as u64;
        let mut left = film::whole(unfinished, in_file)?;
        if left == in_file {
            return Ok(());
        }
        *whole = 0;
        for line in lines {
            if line.bytes.is_some() {
                if left == 0 {
                    break;
                }
                left -= 1;
            }
            *whole += 1;
        }
        Ok(())
    }

    fn all_done(&self, journal: &Journal) -> bool {
        let done = match self.wanted.count() {
            Some(count) => journal.done() >= count,
            None => journal.is_complete(),
        };
        if done && self.places.folder.is_none() {
            // check_film took its name away
            let _ = film::rename(&self.places.unfinished, &self.arguments.out);
        }
        done
    }

    /// The range of each shot; those of an earlier run that has `done` frames already.
    fn shots(&mut self, done: u64) -> Result<Passed> {
        if self.range != Range::Locked {
            return Ok(Passed::Done(Vec::new()));
        }
        if done > 0 || self.arguments.shard.is_some() && self.shots_are_merged()? {
            return Ok(Passed::Done(shots::load(&self.places.shots)?));
        }
        self.first_pass()
    }

    /// Whether the shots of all shards are known, and this one's part in them is of these options.
    fn shots_are_merged(&self) -> Result<bool> {
        if !self.places.shots.exists() {
            return Ok(false);
        }
        Ok(self.ranges()?.is_complete())
    }

    /// The first pass's table.
    fn ranges(&self) -> Result<Journal> {
        Journal::open(&self.places.ranges, &format!("ranges: {}", self.words()))
    }

    fn first_pass(&mut self) -> Result<Passed> {
        let mut journal = self.ranges()?;
        let done = journal.done();
        if !journal.is_complete() {
            eprintln!("first of two passes: the range of each shot");
            if done > 0 && self.index.is_none() && matches!(self.source, Source::Film(_)) {
                self.plan(true)?;
            }
            match self.survey(&mut journal)? {
                Surveyed::Done => journal.complete()?,
                Surveyed::Metric => {
                    journal.keep(0)?;
                    return Ok(Passed::Done(Vec::new()));
                }
                Surveyed::Interrupted(signal) => {
                    eprintln!(
                        "{} frames of the first pass are done; the same command goes on with the next",
                        journal.done()
                    );
                    return Ok(Passed::Interrupted(signal));
                }
            }
        }
        if self.arguments.shard.is_some() {
            eprintln!(
                "the first pass of this shard is done; once all are, depth_export merge {} finds the shots, and the \
                 same command makes the frames",
                self.arguments.out.display()
            );
            return Ok(Passed::First);
        }
        let shots = shots::of_lines(journal.lines(), &self.cuts()?);
        shots::save(&self.places.shots, &shots)?;
        Ok(Passed::Done(shots))
    }

    fn cuts(&self) -> Result<Cuts> {
        Ok(self.arguments.shots.clone().unwrap_or(Cuts::Seen))
    }

    fn setup<'s>(
        &'s self,
        settings: &'s [(String, String)],
        one_size: Option<Option<Size>>,
    ) -> Setup<'s> {
        Setup {
            source: &self.source,
            first: self.first,
            index: self.index.as_ref(),
            raw_time: self.raw_time,
            settings,
            one_size,
        }
    }

    /// Notes the range and the scene of each frame.
    fn survey(&self, journal: &mut Journal) -> Result<Surveyed> {
        let mut settings = self.settings.clone();
        settings.push(("range".into(), "frame".into()));
        let rest = self.wanted.after(journal.done());
        let Some([next, _]) = rest.ends() else {
            return Ok(Surveyed::Done);
        };
        // a cut is found between frames of which the first ones are known already, or are another shard's
        let before = match next.checked_sub(1) {
            Some(last) => self.whole.within(0, last),
            None => Selection::of(Vec::new()),
        };
        let run_up = before.after(before.count().unwrap_or(0).saturating_sub(RUN_UP));
        let last_scene = journal.lines().last().map_or(0, |line| line.scene);
        let played = rest.ranges().chain(run_up.ranges()).collect();
        let played = Selection::of(played);
        let mut player = Player::start(&self.setup(&settings, None), &played, Arc::new(|_, _| {}))?;
        let mut progress = Progress::new("ranges", journal.done(), self.arguments.json());
        // the element's scene number of a frame, and ours
        let mut scenes: Option<(u32, u32)> = None;
        let mut expected = Expected::new(&rest);
        loop {
            let shown = match player.next()? {
                Next::Frame(shown) => shown,
                Next::End => break,
                Next::Stopped(signal) => return Ok(Surveyed::Interrupted(signal)),
            };
            let mut row = self.row(&shown)?;
            if row.meta.unit == Unit::Metre {
                return Ok(Surveyed::Metric);
            }
            if shown.number < next {
                // up to where it goes on, the scene is that of the last frame
                scenes = Some((row.meta.scene, last_scene));
                continue;
            }
            let (theirs, ours) = *scenes.get_or_insert((row.meta.scene, last_scene));
            row.meta.scene = ours.wrapping_add(row.meta.scene.wrapping_sub(theirs));
            for missing in expected.up_to(shown.number).numbers() {
                journal.add_missing(missing)?;
            }
            journal.add(shown.number, &row, 0)?;
            self.tell(&mut progress, &player, shown.time, journal.done());
        }
        for missing in self
            .missing_at_end(&player, &expected, journal.done())?
            .numbers()
        {
            journal.add_missing(missing)?;
        }
        Ok(Surveyed::Done)
    }

    /// Makes the frames that are not done.
    fn export(&self, names: &Names, shots: Vec<Shot>, journal: &mut Journal) -> Result<End> {
        let result = self.export_rest(names, shots, journal);
        let film = self.places.folder.is_none();
        match result {
            Ok(End::Done) => {
                if film {
                    film::rename(&self.places.unfinished, &self.arguments.out)?;
                }
                journal.complete()?;
                self.tell_end(journal, "");
                Ok(End::Done)
            }
            other => {
                if film && journal.done() == 0 {
                    for nothing in [&self.places.unfinished, &self.places.journal] {
                        let _ = std::fs::remove_file(nothing);
                    }
                }
                let place = if film && journal.done() > 0 {
                    format!(" in {}", self.places.unfinished.display())
                } else {
                    String::new()
                };
                let done = format!(
                    "{} frames are done and whole{place}; the same command goes on with the next",
                    journal.done()
                );
                if let Ok(End::Interrupted(_)) = other {
                    eprintln!("{done}");
                }
                other.map_err(|failure| failure.and(&done))
            }
        }
    }

    fn export_rest(&self, names: &Names, shots: Vec<Shot>, journal: &mut Journal) -> Result<End> {
        let rest = self.wanted.after(journal.done());
        if keeps_smooth(&self.settings) && journal.done() > 0 {
            eprintln!(
                "warning: range=smooth begins afresh at frame {}, where this goes on",
                rest.ends().map_or(0, |ends| ends[0])
            );
        }
        let mut output = match self.places.folder {
            Some(_) => Output::Frames(Writers::new(names, self.arguments.format, self.threads())),
            None => {
                let in_film = journal.lines().iter().filter(|line| line.bytes.is_some());
                Output::Film(Box::new(FilmWriter::new(
                    &self.places.unfinished,
                    in_film.count() as u64,
                )?))
            }
        };
        let one_size = match &output {
            Output::Frames(_) => None,
            Output::Film(film) => Some(film.size()),
        };
        let shots = Arc::new(shots);
        let mut player = Player::start(
            &self.setup(&self.settings, one_size),
            &rest,
            apply_shots(shots.clone()),
        )?;
        let played = self.write_rest(&mut player, &mut output, &shots, &rest, journal);
        let written = output.finish(journal);
        let end = played?;
        written?;
        Ok(end)
    }

    fn write_rest(
        &self,
        player: &mut Player,
        output: &mut Output,
        shots: &[Shot],
        rest: &Selection,
        journal: &mut Journal,
    ) -> Result<End> {
        let mut progress = Progress::new("frames", journal.done(), self.arguments.json());
        let before = journal.lines().last().map(|line| line.scene);
        let mut expected = Expected::new(rest);
        let (mut scene, mut given) = (None, journal.done());
        let mut cut_off = CutOff::default();
        let mut end = None;
        loop {
            let shown = match player.next()? {
                Next::Frame(shown) => shown,
                Next::End => break,
                Next::Stopped(signal) => return Ok(End::Interrupted(signal)),
            };
            let missing = expected.up_to(shown.number);
            leave_out(&missing);
            for missing in missing.numbers() {
                output.skip(missing, journal)?;
                given += 1;
            }
            let mut frame = self.frame(&shown)?;
            let duration = frame.row.duration.unwrap_or_default();
            end = shown.time.map(|time| time + duration);
            frame.row.meta.scene = match shots::place(shots, shown.number) {
                Some(place) => u32::try_from(place).unwrap_or(u32::MAX),
                // scenes are counted on where another run ended
                None => {
                    let theirs = frame.row.meta.scene;
                    theirs
                        .wrapping_sub(*scene.get_or_insert(theirs))
                        .wrapping_add(before.unwrap_or(0))
                }
            };
            if matches!(self.range, Range::Given(_)) || keeps_smooth(&self.settings) {
                cut_off.look(&frame);
            }
            output.push(frame, journal)?;
            given += 1;
            self.tell(&mut progress, player, shown.time, given);
        }
        drop(progress);
        cut_off.tell();
        let missing = self.missing_at_end(player, &expected, given)?;
        leave_out(&missing);
        if self.arguments.frames.is_none() && self.arguments.shard.is_none() {
            self.tell_of_a_torn_end(player, end);
        }
        for missing in missing.numbers() {
            output.skip(missing, journal)?;
        }
        Ok(End::Done)
    }

    /// A film that was cut short says how long it was.
    fn tell_of_a_torn_end(&self, player: &Player, end: Option<gst::ClockTime>) {
        /// Its sound may be longer than its pictures.
        const SLACK: gst::ClockTime = gst::ClockTime::from_mseconds(250);
        if let (Some(end), Some(length), Source::Film(film)) =
            (end, player.duration(), &self.source)
            && length > end + SLACK
        {
            eprintln!(
                "warning: {} is {:.2} s long, and the last frame that could be decoded ends at {:.2} s: is it whole?",
                film.display(),
                length.seconds_f64(),
                end.seconds_f64()
            );
        }
    }

    /// What is wanted, and did not come before the end. An error if that can't be.
    fn missing_at_end(
        &self,
        player: &Player,
        expected: &Expected,
        given: u64,
    ) -> Result<Selection> {
        let film = self.arguments.film.display();
        let decoded = player.decoded();
        if decoded == 0 {
            return Err(format!("no frame of {film} could be decoded").into());
        }
        let rest = expected.rest();
        let listed = self.index.is_some() || matches!(self.source, Source::Sequence(_));
        if listed || rest.is_empty() {
            return Ok(rest);
        }
        // counted from the begin, the film's end shows only now
        if let Some(begin) = rest.ends().map(|ends| ends[0])
            && given < self.wanted_before(begin) + 1
            && decoded + self.first < begin
        {
            return Err(format!(
                "{film} has only {decoded} frames, and frame {begin} is wanted: is it another film of that name?"
            )
            .into());
        }
        Ok(Selection::of(Vec::new()))
    }

    /// How many of the wanted frames lie before a number.
    fn wanted_before(&self, number: u64) -> u64 {
        match number.checked_sub(1) {
            Some(last) => self.wanted.within(0, last).count().unwrap_or(0),
            None => 0,
        }
    }

    fn row(&self, shown: &Shown) -> Result<Row> {
        let buffer = shown.sample.buffer().ok_or("a sample without a frame")?;
        Ok(Row {
            time: shown.time,
            duration: buffer.duration(),
            timecode: self.timecode(shown, buffer),
            meta: DepthMeta::read(buffer).ok_or("a depth frame without GstDepthMeta")?,
        })
    }

    /// The frame's own timecode, or what the film's first one makes of it.
    fn timecode(&self, shown: &Shown, buffer: &gst::BufferRef) -> Option<Timecode> {
        if let Some(code) = Timecode::of_frame(buffer) {
            return Some(code);
        }
        let start = self.start?;
        let rate = rate(shown.sample.caps()?);
        let per_second = rate.map(|rate| (rate.numer() as u32).div_ceil(rate.denom() as u32));
        // where frames come as they like, the counter goes on with time
        let frames = shown.number - self.first;
        Some(start.timecode(per_second)?.later(frames))
    }

    fn frame(&self, shown: &Shown) -> Result<Frame> {
        use gst_video::{VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo};
        let caps = shown.sample.caps().ok_or("a frame without caps")?;
        let info = VideoInfo::from_caps(caps)?;
        let buffer = shown.sample.buffer().ok_or("a sample without a frame")?;
        let depth = VideoFrameRef::from_buffer_ref_readable(buffer, &info)?;
        let of = match info.format() {
            VideoFormat::Gray16Be => u16::from_be_bytes,
            _ => u16::from_le_bytes,
        };
        let width = info.width() as usize;
        let rows = depth
            .plane_data(0)
            .map_err(|error| error.to_string())?
            .chunks(depth.plane_stride()[0] as usize);
        let samples = rows
            .take(info.height() as usize)
            .flat_map(|row| row[..2 * width].chunks_exact(2))
            .map(|pair| of([pair[0], pair[1]]))
            .collect();
        let row = self.row(shown)?;
        let mut head = Head::new(&info, buffer);
        if let (None, Some(code), Some(rate)) = (&head.timecode, row.timecode, head.rate) {
            head.timecode = Some(code.in_rate(rate));
        }
        Ok(Frame {
            number: shown.number,
            size: Size::new(info.width(), info.height()),
            samples,
            head,
            row,
        })
    }

    fn threads(&self) -> usize {
        match self.arguments.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads as usize,
        }
    }

    fn tell(
        &self,
        progress: &mut Progress,
        player: &Player,
        time: Option<gst::ClockTime>,
        done: u64,
    ) {
        let of = self.wanted.count();
        let share = || {
            let (time, all) = (time?.nseconds(), player.duration()?.nseconds());
            Some(time as f64 / all.max(1) as f64)
        };
        progress.tell(Position {
            done,
            of,
            share: if of.is_none() { share() } else { None },
        });
    }

    fn tell_end(&self, journal: &Journal, how: &str) {
        let (done, out) = (journal.done(), self.arguments.out.display());
        if self.arguments.json() {
            progress::say(&serde_json::json!({
                "stage": "done", "frames": done, "of": done, "percent": 100.0, "out": out.to_string(),
            }));
        } else {
            println!("{done} frames in {out}{how}");
        }
    }
}

/// How a first pass ended.
enum Surveyed {
    Done,
    /// Metres need no range.
    Metric,
    Interrupted(stop::Signal),
}

/// Sets each shot's range with its first frame.
fn apply_shots(shots: Arc<Vec<Shot>>) -> OnFrame {
    let applied = Mutex::new(None);
    Arc::new(move |number, depth| {
        let Some(place) = shots::place(&shots, number) else {
            return;
        };
        let mut applied = applied.lock().unwrap_or_else(PoisonError::into_inner);
        if *applied != Some(place) {
            *applied = Some(place);
            shots[place].apply(depth);
        }
    })
}

fn rate(caps: &gst::CapsRef) -> Option<gst::Fraction> {
    let rate = caps.structure(0)?.get::<gst::Fraction>("framerate").ok()?;
    (rate.numer() > 0 && rate.denom() > 0).then_some(rate)
}

fn leave_out(missing: &Selection) {
    if !missing.is_empty() {
        eprintln!("warning: left out, since the decoder gives no such frames: {missing}");
    }
}

/// What is still to come.
struct Expected<'a> {
    wanted: &'a Selection,
    next: u64,
}

impl<'a> Expected<'a> {
    fn new(wanted: &'a Selection) -> Self {
        Self { wanted, next: 0 }
    }

    /// What should have come before the frame that has come.
    fn up_to(&mut self, number: u64) -> Selection {
        let missing = match number.checked_sub(1) {
            Some(last) if last >= self.next => self.wanted.within(self.next, last),
            _ => Selection::of(Vec::new()),
        };
        self.next = number + 1;
        missing
    }

    fn rest(&self) -> Selection {
        self.wanted.within(self.next, u64::MAX)
    }
}

/// Where frames go.
enum Output {
    Frames(Writers),
    Film(Box<FilmWriter>),
}

impl Output {
    fn push(&mut self, frame: Frame, journal: &mut Journal) -> Result<()> {
        match self {
            Self::Frames(writers) => writers.push(frame, journal),
            Self::Film(film) => film.push(frame, journal),
        }
    }

    fn skip(&mut self, number: u64, journal: &mut Journal) -> Result<()> {
        match self {
            Self::Frames(writers) => writers.skip(number, journal),
            Self::Film(film) => film.skip(number, journal),
        }
    }

    fn finish(&mut self, journal: &mut Journal) -> Result<()> {
        match self {
            Self::Frames(writers) => writers.finish(journal),
            Self::Film(film) => film.finish(journal),
        }
    }
}

/// How much of a frame lies at the ends of a range that was not made for it.
#[derive(Default)]
struct CutOff {
    /// Of the worst frame.
    share: f64,
    number: u64,
}

impl CutOff {
    /// More than this is told.
    const WORTH_TELLING: f64 = 1e-3;

    fn look(&mut self, frame: &Frame) {
        if frame.row.meta.unit != Unit::InverseDepth || frame.samples.is_empty() {
            return;
        }
        let at_end = frame
            .samples
            .iter()
            .filter(|&&sample| sample == 0 || sample == u16::MAX);
        let share = at_end.count() as f64 / frame.samples.len() as f64;
        if share > self.share {
            (self.share, self.number) = (share, frame.number);
        }
    }

    fn tell(&self) {
        if self.share > Self::WORTH_TELLING {
            eprintln!(
                "warning: the range cuts values off: in frame {} {:.1} % of the samples are 0 or 65535.                  --range locked and frame cut nothing off",
                self.number,
                100.0 * self.share
            );
        }
    }
}
