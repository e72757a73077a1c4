//! Cuts, fades, flashes and steps: films joined, lit and changed in ways that are known.

use std::error::Error;

use gstdepthanything::frame::SmallPicture;
use gstdepthanything::range::{CutDetector, Joint, Limits, Mode, Tracker};

use super::{PAST, show};
use crate::Eye;
use crate::film::{Film, Shot};

const MODE: Mode = Mode::Smooth { past: PAST };

/// A frame as the tracker gets it.
struct Kept {
    picture: SmallPicture,
    depth: Vec<f32>,
    size: gstdepthanything::geometry::Size,
}

pub(super) fn run(eye: &mut Eye, films: &[Film]) -> Result<(), Box<dyn Error>> {
    let mut beginnings = Vec::new();
    for film in films {
        let mut shots = Vec::new();
        // the first few frames of each
        film.each(|shot| {
            if shots.len() < 8 {
                shots.push(shot);
            }
            Ok(())
        })?;
        beginnings.push(shots);
    }
    cuts(eye, films, &beginnings)?;
    let mut faded = 0;
    let mut flashed = 0;
    for shots in &beginnings {
        faded += scenes(eye, &fade(shots))?;
        flashed += scenes(eye, &flash(shots))?;
    }
    println!(
        "- fades to black and back: {faded} of {} films were taken for cuts",
        films.len()
    );
    println!(
        "- a frame lit by a flash: {flashed} of {} films were taken for cuts",
        films.len()
    );
    for (film, shots) in films.iter().zip(&beginnings) {
        step(eye, &film.name, shots)?;
    }
    Ok(())
}

fn look(eye: &mut Eye, shot: &Shot) -> Result<Kept, Box<dyn Error>> {
    let looked = eye.look(shot)?;
    Ok(Kept {
        picture: SmallPicture::of(looked.tensor, looked.network),
        depth: looked.depth.values.clone(),
        size: looked.depth.size,
    })
}

/// Each film cut to each other one.
fn cuts(eye: &mut Eye, films: &[Film], beginnings: &[Vec<Shot>]) -> Result<(), Box<dyn Error>> {
    let mut looked: Vec<Vec<Kept>> = Vec::new();
    for shots in beginnings {
        looked.push(
            shots
                .iter()
                .map(|shot| look(eye, shot))
                .collect::<Result<_, _>>()?,
        );
    }
    let (mut joined, mut found, mut settled) = (0, 0, 0);
    let mut missed = Vec::new();
    for (from, first) in looked.iter().enumerate() {
        for (to, second) in looked.iter().enumerate() {
            if from == to {
                continue;
            }
            joined += 1;
            let mut tracker = Tracker::default();
            let mut cuts = CutDetector::default();
            for frame in first {
                tracker.see(cuts.look(&frame.picture, Joint::Next));
                tracker.follow(&frame.depth, frame.size, MODE);
            }
            let before = tracker.scene();
            for (index, frame) in second.iter().take(2).enumerate() {
                tracker.see(cuts.look(&frame.picture, Joint::Next));
                let limits = tracker.follow(&frame.depth, frame.size, MODE);
                if index == 0 && tracker.scene() > before {
                    found += 1;
                } else if index == 0 {
                    missed.push(format!("{} → {}", films[from].name, films[to].name));
                }
                let own = Limits::of(&frame.depth).unwrap_or(limits);
                let off = (limits.hi - own.hi).abs().max((limits.lo - own.lo).abs());
                if index == 1 && off < 0.1 * own.span() {
                    settled += 1;
                }
            }
        }
    }
    println!(
        "\n- cuts: {found} of {joined} found at their first frame; range right one frame later: {settled}; not found: {missed:?}"
    );
    Ok(())
}

/// Scenes beyond the first that the tracker counts.
fn scenes(eye: &mut Eye, shots: &[Shot]) -> Result<u32, Box<dyn Error>> {
    let mut tracker = Tracker::default();
    let mut cuts = CutDetector::default();
    for shot in shots {
        let frame = look(eye, shot)?;
        tracker.see(cuts.look(&frame.picture, Joint::Next));
        tracker.follow(&frame.depth, frame.size, MODE);
    }
    Ok(tracker.scene().min(1))
}

fn lit(shot: &Shot, light: impl Fn(f32) -> f32) -> Shot {
    Shot {
        size: shot.size,
        rgb: shot
            .rgb
            .iter()
            .map(|&byte| light(f32::from(byte)).clamp(0.0, 255.0) as u8)
            .collect(),
        truth: None,
        take: None,
        pose: None,
    }
}

/// To black in 12 frames and back in 12.
fn fade(shots: &[Shot]) -> Vec<Shot> {
    let lights = (0..=24).map(|frame: i32| (frame - 12).abs() as f32 / 12.0);
    lights
        .enumerate()
        .filter_map(|(index, light)| {
            let shot = shots.get(index % shots.len().max(1))?;
            Some(lit(shot, |byte| byte * light))
        })
        .collect()
}

/// One frame of eight is flooded with light.
fn flash(shots: &[Shot]) -> Vec<Shot> {
    let lit = |(index, shot): (usize, &Shot)| match index {
        4 => lit(shot, |byte| byte * 1.3 + 110.0),
        _ => lit(shot, |byte| byte),
    };
    shots.iter().enumerate().map(lit).collect()
}

/// From one frame to the next, something stands there that is half as near again as all else.
fn step(eye: &mut Eye, name: &str, shots: &[Shot]) -> Result<(), Box<dyn Error>> {
    let frames: Vec<Kept> = shots
        .iter()
        .map(|shot| look(eye, shot))
        .collect::<Result<_, _>>()?;
    let Some(first) = frames.first() else {
        return Ok(());
    };
    let mut tracker = Tracker::default();
    let mut cuts = CutDetector::default();
    let mut shown = Vec::new();
    let place = first.size.area() / 2 + first.size.width as usize / 2;
    for index in 0..40 {
        let frame = &frames[index % frames.len()];
        let mut depth = frame.depth.clone();
        let own = Limits::of(&depth).ok_or("a frame without depth")?;
        if index >= 8 {
            let (width, height) = (frame.size.width as usize, frame.size.height as usize);
            for row in depth
                .chunks_exact_mut(width)
                .skip(height * 2 / 5)
                .take(height / 5)
            {
                row[width * 2 / 5..width * 3 / 5].fill((own.lo + 1.5 * own.span()) as f32);
            }
        }
        tracker.see(cuts.look(&frame.picture, Joint::Next));
        let limits = tracker.follow(&depth, frame.size, MODE);
        // how far above what was nearest before
        let nearest = show(&[own.hi as f32], limits)[0];
        shown.push(show(&depth[place..=place], limits)[0] - nearest);
    }
    let settled = shown[39];
    let within = (8..40)
        .find(|&index| shown[index] > 0.9 * settled)
        .unwrap_or(40)
        - 8;
    println!("- a step in {name}: followed to nine tenths after {within} frames");
    Ok(())
}
