//! In and out points, numbers, image sequences, and videos that change.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::common::{depth, samples};
use super::{FILM, export, rows, said};

/// A film by FFmpeg's command line, which `./check` installs: GStreamer 1.22 writes no B-frames.
pub(super) fn film(path: &Path, input: &str, options: &str) -> PathBuf {
    let made = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-y", "-f", "lavfi", "-i", input])
        .args(options.split_whitespace())
        .arg(path)
        .output()
        .expect("ffmpeg, which ./check installs");
    assert!(made.status.success(), "{}", said(&made));
    path.to_owned()
}

fn copied(from: &Path, to: PathBuf, options: &str) -> PathBuf {
    let made = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-y", "-i"])
        .arg(from)
        .args(["-c", "copy"])
        .args(options.split_whitespace())
        .arg(&to)
        .output()
        .expect("ffmpeg, which ./check installs");
    assert!(made.status.success(), "{}", said(&made));
    to
}

/// The names of the frames in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .filter(|name| !name.ends_with(".csv"))
        .collect();
    names.sort();
    names
}

/// Films whose frames are hard to count: B-frames, open GOPs, a variable rate, transport streams, offsets, no container.
#[test]
fn frames_are_those_of_the_whole_film() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name);
    let pictures = "testsrc2=size=128x72:rate=24:duration=8";
    let x264 = "-c:v libx264 -preset ultrafast -bf 3 -g 24 -pix_fmt yuv420p";
    let open = film(
        &place("open.mp4"),
        pictures,
        &format!("{x264} -x264-params open-gop=1"),
    );
    let vary = "-vf setpts='if(lt(N,60),N/24,N/12-2.5)/TB' -fps_mode vfr";
    let films = [
        copied(&open, place("open.mkv"), ""),
        copied(&open, place("offset.mkv"), "-output_ts_offset 5"),
        copied(&open, place("offset.mp4"), "-output_ts_offset 5"),
        copied(&open, place("open.ts"), ""),
        copied(&open, place("bare.h264"), ""),
        film(&place("vary.mp4"), pictures, &format!("{vary} {x264}")),
        film(&place("mpeg2.ts"), pictures, "-c:v mpeg2video -bf 2 -g 12"),
        film(&place("old.avi"), pictures, "-c:v mpeg4 -bf 2 -g 24"),
        open,
    ];
    for film in films {
        let out = PathBuf::from(format!("{} depth", film.display()));
        let (whole, part) = (out.join("whole"), out.join("part"));
        let more = ["--range", "frame", "--resolution", "28"];
        let small = |out: &Path, frames: Option<&str>| {
            let frames = frames.map_or(vec![], |frames| vec!["--frames", frames]);
            let more = [&more[..2], &["--set", "resolution=28"], &frames].concat();
            let result = export(&film, out, &more);
            assert!(result.status.success(), "{film:?}: {}", said(&result));
        };
        small(&whole, None);
        let count = names(&whole).len();
        assert_eq!(count, 192, "{film:?}");
        small(&part, Some("100-103,150,188-"));
        let made = names(&part);
        let expected: Vec<_> = (100..104)
            .chain([150])
            .chain(188..192)
            .map(|n| format!("depth_{n:06}.png"))
            .collect();
        assert_eq!(made, expected, "{film:?}");
        for name in made {
            let of = |folder: &Path| fs::read(folder.join(&name)).expect("a picture");
            assert!(of(&part) == of(&whole), "{film:?} {name}");
        }
        let all = rows(&whole.join("frames.csv"));
        for row in rows(&part.join("frames.csv")) {
            let number: usize = row[0].parse().expect("a number");
            assert_eq!(row[..6], all[number][..6], "{film:?}");
        }
    }
}

/// The in point may be moved out: what is done is kept.
#[test]
fn more_frames_go_on_behind_those_that_are_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |frames: &str| {
        export(
            Path::new(FILM),
            folder.path(),
            &[
                "--range",
                "frame",
                "--frames",
                frames,
                "--start-number",
                "1001",
            ],
        )
    };
    assert!(run("1003-1010").status.success());
    assert_eq!(names(folder.path()).len(), 8);
    let result = run("1003-2000");
    assert!(result.status.success(), "{}", said(&result));
    assert_eq!(names(folder.path()).len(), 46);
    assert_eq!(names(folder.path())[45], "depth_001048.png");
    // of other frames it is another export
    let result = run("1001-1010");
    assert_eq!(result.status.code(), Some(2));
    assert!(
        said(&result).contains("begun with other --frames"),
        "{}",
        said(&result)
    );
}

/// Pictures as a compositor has them: numbered from 1001, some left out, odd characters around.
#[test]
fn a_sequence_of_pictures_is_a_film() {
    let folder = tempfile::tempdir().expect("a folder");
    let pictures = folder.path().join("100%d of it");
    fs::create_dir(&pictures).expect("a folder");
    let picture = |number: u32| {
        image::RgbImage::from_fn(96, 64, |x, y| {
            image::Rgb([x as u8 * 2, y as u8 * 3, ((x + y) * (number - 1000)) as u8])
        })
    };
    for number in (1001..1009).chain([1020]) {
        let path = pictures.join(format!("shot.{number}.png"));
        picture(number).save(path).expect("written");
    }
    fs::write(pictures.join("shot.notes.png"), "not numbered").expect("written");
    let out = folder.path().join("depth");
    for pattern in ["shot.%04d.png", "shot.####.png"] {
        let _ = fs::remove_dir_all(&out);
        let more = [
            "--range",
            "frame",
            "--frames",
            "1003-1006,1008,1020-",
            "--name",
            "shot_depth.%04d",
            "--fps",
            "25",
        ];
        let result = export(&pictures.join(pattern), &out, &more);
        assert!(result.status.success(), "{}", said(&result));
        let expected: Vec<_> = [1003, 1004, 1005, 1006, 1008, 1020]
            .map(|n| format!("shot_depth.{n}.png"))
            .into();
        assert_eq!(names(&out), expected);
        let rows = rows(&out.join("frames.csv"));
        let times: Vec<_> = rows.iter().map(|row| row[1].as_str()).collect();
        assert_eq!(
            times,
            [
                "80000000",
                "120000000",
                "160000000",
                "200000000",
                "280000000",
                "760000000"
            ]
        );
        for number in [1003, 1008, 1020] {
            let single = samples(&format!(
                "filesrc location=\"{}\" ! pngdec ! videoconvert ! depthanything resolution=56 range=frame ! appsink name=out",
                pictures.join(format!("shot.{number}.png")).display()
            ));
            let made =
                image::open(out.join(format!("shot_depth.{number}.png"))).expect("a picture");
            assert!(
                made.into_luma16().into_raw() == depth(&single[0]),
                "{number}"
            );
        }
    }
    // a picture that is missing is named
    let result = export(
        &pictures.join("shot.%04d.png"),
        &folder.path().join("other"),
        &["--range", "frame", "--frames", "1007-1012"],
    );
    assert_eq!(result.status.code(), Some(2));
    assert!(
        said(&result).contains("no picture of number 1009-1012"),
        "{}",
        said(&result)
    );
}

/// A film has one size; what the video changes to is brought to it.
#[test]
fn a_video_that_changes_its_size_is_one_film() {
    let folder = tempfile::tempdir().expect("a folder");
    for number in 0..12_u32 {
        let side = if (4..8).contains(&number) { 2 } else { 1 };
        let picture = image::RgbImage::from_fn(96 * side, 64 * side, |x, y| {
            image::Rgb([
                (x / side) as u8 * 2,
                (y / side) as u8 * 3,
                (number * 9) as u8,
            ])
        });
        picture
            .save(folder.path().join(format!("{number}.png")))
            .expect("written");
    }
    let film = folder.path().join("depth.mkv");
    let pictures = folder.path().join("%d.png");
    let result = export(&pictures, &film, &["--format", "ffv1"]);
    assert!(result.status.success(), "{}", said(&result));
    let written = samples(&format!(
        "filesrc location={} ! matroskademux ! avdec_ffv1 ! appsink name=out",
        film.display()
    ));
    assert_eq!(written.len(), 12);
    for sample in &written {
        let shape = sample
            .caps()
            .and_then(|caps| caps.structure(0))
            .expect("caps");
        assert_eq!((shape.get("width"), shape.get("height")), (Ok(96), Ok(64)));
    }
    // files of their own may have any size
    let out = folder.path().join("frames");
    let result = export(&pictures, &out, &["--format", "png"]);
    assert!(result.status.success(), "{}", said(&result));
    let size = |number: u32| {
        image::image_dimensions(out.join(format!("depth_{number:06}.png"))).expect("a size")
    };
    assert_eq!(
        [size(0), size(5), size(11)],
        [(96, 64), (192, 128), (96, 64)]
    );
}
