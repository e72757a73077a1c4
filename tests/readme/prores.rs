//! The command for ProRes in `docs/compositing.md` gives back the samples.

use std::path::Path;
use std::process::Command;

use crate::recipe;

const WIDTH: usize = 320;
const HEIGHT: usize = 180;

/// Ramps both ways, from one end of the range to the other: what compression leaves alone.
fn ramps() -> Vec<u16> {
    (0..WIDTH * HEIGHT)
        .map(|i| {
            let (x, y) = (i % WIDTH, i / WIDTH);
            let share = (x as f64 / (WIDTH - 1) as f64 + y as f64 / (HEIGHT - 1) as f64) / 2.0;
            (share * 65535.0).round() as u16
        })
        .collect()
}

fn ffmpeg(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("ffmpeg runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    output.stdout
}

#[test]
fn samples_come_back_from_prores() {
    if !recipe::has_ffmpeg() {
        eprintln!("left out: no ffmpeg");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let samples = ramps();
    let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    std::fs::write(folder.path().join("ramps.gray"), bytes.repeat(3)).expect("written");
    let size = format!("{WIDTH}x{HEIGHT}");
    #[rustfmt::skip]
    let video = [
        "-f", "rawvideo", "-pix_fmt", "gray16le", "-s", &size, "-i", "ramps.gray", "-c:v", "ffv1", "depth.mkv",
    ];
    ffmpeg(folder.path(), &video);

    // the page's own words
    let page = crate::page("docs/compositing.md");
    let command = page
        .split("\nffmpeg -v error ")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("a command");
    let command = command.replace("\\\n", " ");
    ffmpeg(
        folder.path(),
        &command.split_whitespace().collect::<Vec<_>>(),
    );

    // levels as they are in the file: no scaler has a part in it
    let read = ffmpeg(
        folder.path(),
        &[
            "-i",
            "depth.mov",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "yuv444p12le",
            "-",
        ],
    );
    let levels: Vec<f64> = read
        .as_chunks::<2>()
        .0
        .iter()
        .take(WIDTH * HEIGHT)
        .map(|bytes| f64::from(u16::from_le_bytes(*bytes)) / 4.0)
        .collect();
    let (mut sum, mut off, mut most) = (0.0, 0.0, 0.0_f64);
    for (level, sample) in levels.iter().zip(&samples) {
        let difference = level - (64.0 + 876.0 * f64::from(*sample) / 65535.0);
        sum += difference;
        off += difference.abs();
        most = most.max(difference.abs());
    }
    let count = levels.len() as f64;
    assert!(
        (sum / count).abs() < 0.1,
        "too bright by {} levels",
        sum / count
    );
    assert!(
        off / count < 0.5 && most < 2.0,
        "off by {}, at most {most}",
        off / count
    );
    let range = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0", "-show_entries"])
        .args(["stream=color_range,color_space", "depth.mov"])
        .current_dir(folder.path())
        .output()
        .expect("ffprobe runs");
    assert_eq!(String::from_utf8_lossy(&range.stdout).trim(), "tv,bt709");
}
