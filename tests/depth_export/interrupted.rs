//! Signals, kills, damage and a second process: what is finished is whole, and the same command goes on.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::common::{TIMEOUT, depth, samples};
use super::{FILM, command, export, rows, said};

/// Slow enough to be stopped in the middle.
const SLOW: [&str; 4] = ["--set", "resolution=336", "--range", "frame"];

/// Starts an export and waits until it has written down `count` frames.
fn started(out: &Path, journal: &Path, more: &[&str], count: usize) -> Child {
    let mut child = command(Path::new(FILM), out, more)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("it runs");
    let begun = Instant::now();
    while !journal.exists() || rows(journal).len() < count {
        assert!(begun.elapsed() < TIMEOUT, "no {count} frames");
        assert!(child.try_wait().expect("its state").is_none(), "it ended");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

fn signal(child: &Child, signal: libc::c_int) {
    let id = i32::try_from(child.id()).expect("a process id");
    // SAFETY: kill takes any numbers.
    assert_eq!(unsafe { libc::kill(id, signal) }, 0);
}

#[test]
fn sigint_and_sigterm_leave_whole_frames() {
    let whole = tempfile::tempdir().expect("a folder");
    assert!(
        export(Path::new(FILM), whole.path(), &SLOW)
            .status
            .success()
    );
    let complete = fs::read_to_string(whole.path().join("frames.csv")).expect("a journal");
    for (number, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = folder.path().join("frames.csv");
        let child = started(folder.path(), &journal, &SLOW, 3);
        signal(&child, number);
        let ended = child.wait_with_output().expect("it ends");
        assert_eq!(ended.status.code(), Some(code), "{}", said(&ended));
        let done = rows(&journal).len();
        assert!((3..48).contains(&done), "{done}");
        for row in rows(&journal) {
            let file = folder.path().join(format!("depth_{:0>6}.png", row[0]));
            image::open(file).expect("a whole picture");
        }
        let parts = fs::read_dir(folder.path())
            .expect("a folder")
            .filter(|entry| {
                let name = entry.as_ref().expect("an entry").file_name();
                name.to_string_lossy().ends_with(".part")
            });
        assert_eq!(parts.count(), 0);
        let again = export(Path::new(FILM), folder.path(), &SLOW);
        assert!(again.status.success(), "{}", said(&again));
        assert_eq!(fs::read_to_string(&journal).expect("a journal"), complete);
        for number in 0..48 {
            let name = format!("depth_{number:06}.png");
            let of = |folder: &Path| fs::read(folder.join(&name)).expect("a picture");
            assert!(of(folder.path()) == of(whole.path()), "{name}");
        }
    }
}

/// A film too: it plays as far as it was made, and goes on.
#[test]
fn an_interrupted_film_plays_and_goes_on() {
    let frames = |film: &Path| {
        samples(&format!(
            "filesrc location={} ! matroskademux ! avdec_ffv1 ! appsink name=out",
            film.display()
        ))
    };
    let folder = tempfile::tempdir().expect("a folder");
    let whole = folder.path().join("whole.mkv");
    let more = [&["--format", "ffv1"][..], &SLOW].concat();
    let result = export(Path::new(FILM), &whole, &more);
    assert!(result.status.success(), "{}", said(&result));
    let whole_frames = frames(&whole);
    assert_eq!(whole_frames.len(), 48);

    let film = folder.path().join("depth.mkv");
    let (journal, unfinished) = (
        folder.path().join("depth.mkv.csv"),
        folder.path().join("depth.mkv.part"),
    );
    for (number, code) in [
        (libc::SIGTERM, Some(143)),
        (libc::SIGINT, Some(130)),
        (libc::SIGKILL, None),
    ] {
        let before = if journal.exists() {
            rows(&journal).len()
        } else {
            0
        };
        let child = started(&film, &journal, &more, before + 2);
        signal(&child, number);
        let ended = child.wait_with_output().expect("it ends");
        assert_eq!(ended.status.code(), code, "{}", said(&ended));
        let done = rows(&journal).len();
        assert!(done > before && done < 48, "{done}");
        assert!(!film.exists());
        let written = frames(&unfinished);
        if code.is_some() {
            assert_eq!(written.len(), done);
        }
        assert!(written.len() >= done);
        for (written, whole) in written.iter().zip(&whole_frames) {
            assert!(depth(written) == depth(whole));
        }
    }
    let result = export(Path::new(FILM), &film, &more);
    assert!(result.status.success(), "{}", said(&result));
    assert!(!unfinished.exists());
    assert!(fs::read(&film).expect("a film") == fs::read(&whole).expect("a film"));
}

#[test]
fn two_do_not_write_to_one_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = folder.path().join("frames.csv");
    let first = started(folder.path(), &journal, &SLOW, 2);
    let second = export(Path::new(FILM), folder.path(), &SLOW);
    assert_eq!(second.status.code(), Some(1), "{}", said(&second));
    assert!(said(&second).contains("another depth_export is writing"));
    let first = first.wait_with_output().expect("it ends");
    assert!(first.status.success(), "{}", said(&first));
    let numbers: Vec<_> = rows(&journal)
        .into_iter()
        .map(|row| row[0].clone())
        .collect();
    let expected: Vec<_> = (0..48).map(|number| number.to_string()).collect();
    assert_eq!(numbers, expected);
}

/// What a power cut or a cleaning user leaves: files that are not what the journal says.
#[test]
fn what_is_no_longer_whole_is_made_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let more = ["--range", "frame", "--frames", "0-19"];
    let result = export(Path::new(FILM), folder.path(), &more);
    assert!(result.status.success(), "{}", said(&result));
    let file = |number: u32| folder.path().join(format!("depth_{number:06}.png"));
    let read = || {
        (0..20)
            .map(|number| fs::read(file(number)).expect("a picture"))
            .collect::<Vec<_>>()
    };
    let journal = fs::read(folder.path().join("frames.csv")).expect("a journal");
    let before = read();
    fs::write(file(7), &before[7][..100]).expect("written");
    fs::remove_file(file(12)).expect("removed");
    let result = export(Path::new(FILM), folder.path(), &more);
    assert!(result.status.success(), "{}", said(&result));
    assert!(
        said(&result).contains("frame 7 is not on the disk"),
        "{}",
        said(&result)
    );
    assert!(read() == before);
    assert!(fs::read(folder.path().join("frames.csv")).expect("a journal") == journal);
    // a damaged line, and rubbish behind it
    let text = String::from_utf8_lossy(&journal);
    let cut = text.match_indices('\n').nth(9).expect("lines").0 + 1;
    let mut damaged = journal[..cut].to_vec();
    damaged.extend(b"8,1,\xff\xfe\0\0,,\n9,0,0,0,0,inverse-depth,0,0,0,,1\n");
    fs::write(folder.path().join("frames.csv"), damaged).expect("written");
    let result = export(Path::new(FILM), folder.path(), &more);
    assert!(result.status.success(), "{}", said(&result));
    assert!(fs::read(folder.path().join("frames.csv")).expect("a journal") == journal);
    // and what is not ours is left alone
    fs::write(folder.path().join("frames.csv"), "name,price\nbread,3\n").expect("written");
    let result = export(Path::new(FILM), folder.path(), &more);
    assert_eq!(result.status.code(), Some(2), "{}", said(&result));
    let left = fs::read_to_string(folder.path().join("frames.csv")).expect("a table");
    assert_eq!(left, "name,price\nbread,3\n");
}
