//! `--range locked`: one range for each shot, so that nothing is cut off and no frame is stretched differently. A first
//! pass over the film finds them.

use std::error::Error;
use std::fs;
use std::path::Path;

use gst::prelude::*;
use gstdepthanything::depth_meta::{DepthMeta, Unit};

use crate::job::{Messages, Progress};
use crate::journal::cannot_write;

/// First line of the table.
const HEAD: &str = "first_frame,range_min,range_max";

/// Frames between two cuts, and the range of the model's values in them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shot {
    pub(crate) first: u64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Shot {
    /// Sets the range of `depth`, which has `range=fixed`.
    pub(crate) fn apply(&self, depth: &gst::Element) {
        // a flat shot has no span, and wants one
        let least = 1e-6 * self.low.abs().max(1e-6);
        depth.set_property("range-min", self.low);
        depth.set_property("range-max", self.high.max(self.low + least));
    }
}

/// Plays a film whose depth has `range=frame` and notes what its frames' ranges are. Nothing in metric output, which
/// needs no range.
pub(crate) fn survey(pipeline: &gst::Pipeline) -> Result<Vec<Shot>, Box<dyn Error>> {
    let sink = pipeline
        .by_name("frames")
        .and_downcast::<gst_app::AppSink>()
        .ok_or("no appsink")?;
    let mut messages = Messages::new(pipeline)?;
    if let Err(error) = pipeline.set_state(gst::State::Playing) {
        // the message on the bus says more
        messages.hear()?;
        return Err(error.into());
    }
    let mut progress = Progress::new(0);
    let mut shots: Vec<Shot> = Vec::new();
    let (mut number, mut scene) = (0, None);
    loop {
        let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_mseconds(200)) else {
            messages.hear()?;
            if messages.ended {
                return Ok(shots);
            }
            continue;
        };
        let buffer = sample.buffer().ok_or("a sample without a frame")?;
        let meta = DepthMeta::read(buffer).ok_or("a depth frame without GstDepthMeta")?;
        if meta.unit == Unit::Metre {
            return Ok(Vec::new());
        }
        progress.tell(pipeline, buffer.pts(), number);
        let ends = [meta.value(0), meta.value(u16::MAX)];
        let (low, high) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
        match shots.last_mut().filter(|_| scene == Some(meta.scene)) {
            Some(shot) => {
                shot.low = shot.low.min(low);
                shot.high = shot.high.max(high);
            }
            None => shots.push(Shot {
                first: number,
                low,
                high,
            }),
        }
        scene = Some(meta.scene);
        number += 1;
    }
}

/// Writes the table, which a later run goes on with.
pub(crate) fn save(path: &Path, shots: &[Shot]) -> Result<(), Box<dyn Error>> {
    let mut text = format!("{HEAD}\n");
    for shot in shots {
        text += &format!("{},{:e},{:e}\n", shot.first, shot.low, shot.high);
    }
    let unfinished = path.with_extension("csv.part");
    fs::write(&unfinished, text)
        .and_then(|()| fs::rename(&unfinished, path))
        .map_err(|error| {
            let _ = fs::remove_file(&unfinished);
            cannot_write(path, &error)
        })
}

/// Reads the table.
pub(crate) fn load(path: &Path) -> Result<Vec<Shot>, Box<dyn Error>> {
    let text = fs::read_to_string(path).map_err(|error| {
        format!(
            "can't read {}, the ranges that the frames so far were made with: {error}",
            path.display()
        )
    })?;
    let shot = |line: &str| {
        let mut fields = line.split(',');
        Some(Shot {
            first: fields.next()?.parse().ok()?,
            low: fields.next()?.parse().ok()?,
            high: fields.next()?.parse().ok()?,
        })
    };
    let wrong = || {
        format!(
            "{} is damaged: remove the folder's files, and begin again",
            path.display()
        )
    };
    if text.lines().next() != Some(HEAD) {
        return Err(wrong().into());
    }
    text.lines()
        .skip(1)
        .map(|line| shot(line).ok_or_else(|| wrong().into()))
        .collect()
}
