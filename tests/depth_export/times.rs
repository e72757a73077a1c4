//! When a frame is shown, and what timecode it has, is what the source says.

use std::path::Path;
use std::process::Command;

use super::sources::film;
use super::{export, rows, said};

/// What `ffprobe` says, which comes with FFmpeg.
fn probed(film: &Path, what: &[&str]) -> Vec<String> {
    let said = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v"])
        .args(what)
        .args(["-of", "default=nokey=1:noprint_wrappers=1"])
        .arg(film)
        .output()
        .expect("ffprobe, which ./check installs");
    let text = String::from_utf8(said.stdout).expect("text");
    text.lines().map(str::to_owned).collect()
}

fn frame_times(film: &Path) -> Vec<f64> {
    let times = probed(film, &["-show_entries", "frame=pts_time"]);
    times
        .iter()
        .map(|time| time.parse().expect("a time"))
        .collect()
}

fn timecode(film: &Path) -> String {
    let tags = "stream_tags=timecode:format_tags=timecode";
    let tags = probed(film, &["-show_entries", tags]);
    tags.first().cloned().unwrap_or_default()
}

#[test]
fn times_and_timecodes_are_the_sources() {
    let folder = tempfile::tempdir().expect("a folder");
    let pictures = "testsrc2=size=128x72:rate=24:duration=2";
    let x264 = "-c:v libx264 -preset ultrafast -bf 3 -pix_fmt yuv420p";
    let vary = "-vf setpts='if(lt(N,20),N/24,N/12-0.8333)/TB' -fps_mode vfr";
    let cases = [
        ("b-frames.mp4", x264.to_owned(), ""),
        ("b-frames.mkv", x264.to_owned(), ""),
        ("vary.mp4", format!("{vary} {x264}"), ""),
        ("later.mp4", format!("{x264} -output_ts_offset 5"), ""),
        ("later.mkv", format!("{x264} -output_ts_offset 5"), ""),
        (
            "code.mov",
            format!("{x264} -timecode 01:00:00:00"),
            "01:00:00:00",
        ),
        (
            "code.mp4",
            format!("{x264} -timecode 09:59:59:20"),
            "09:59:59:20",
        ),
        (
            "code.mkv",
            format!("{x264} -timecode 01:00:00:00"),
            "01:00:00:00",
        ),
        (
            "drop.mov",
            format!("{x264} -r 30000/1001 -timecode 00:00:59;20"),
            "00:00:59;20",
        ),
    ];
    for (name, options, code) in cases {
        let source = film(&folder.path().join(name), pictures, &options);
        let expected = frame_times(&source);
        let out = folder.path().join(format!("depth of {name}.mkv"));
        let more = [
            "--format",
            "ffv1",
            "--range",
            "frame",
            "--set",
            "resolution=28",
        ];
        let result = export(&source, &out, &more);
        assert!(result.status.success(), "{name}: {}", said(&result));
        let mut table = out.clone().into_os_string();
        table.push(".csv");
        let rows = rows(Path::new(&table));
        assert_eq!(rows.len(), expected.len(), "{name}");
        for ((row, expected), written) in rows.iter().zip(&expected).zip(frame_times(&out)) {
            let time = row[1].parse::<f64>().expect("a time") * 1e-9;
            // ffprobe prints microseconds
            assert!(
                (time - expected).abs() < 2e-6,
                "{name}: {time} for {expected}"
            );
            assert!(
                (written - expected).abs() < 2e-6,
                "{name}: {written} for {expected}"
            );
        }
        assert_eq!(timecode(&out), code, "{name}");
        assert_eq!(rows[0][9], code, "{name}");
        let tenth = match code {
            "" => "",
            "01:00:00:00" => "01:00:00:10",
            "09:59:59:20" => "10:00:00:06",
            _ => "00:01:00;02",
        };
        assert_eq!(rows[10][9], tenth, "{name}");

        // what was written is read the same way
        if !code.is_empty() {
            let frames = folder.path().join(format!("{name} again"));
            let more = [
                "--range",
                "frame",
                "--set",
                "resolution=28",
                "--frames",
                "10-12",
            ];
            let result = export(&out, &frames, &more);
            assert!(result.status.success(), "{name}: {}", said(&result));
            assert_eq!(
                super::rows(&frames.join("frames.csv"))[0][9],
                tenth,
                "{name}"
            );
        }
    }
}
