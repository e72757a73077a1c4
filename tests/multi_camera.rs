//! The example `multi_camera`: cameras come and go, and what happens to one is nothing to the others.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(common::example("multi_camera"));
    if std::env::var_os("ORT_DYLIB_PATH").is_none() {
        let runtime = common::runtime_library("onnxruntime").expect("an ONNX Runtime, by ./check");
        command.env("ORT_DYLIB_PATH", runtime);
    }
    command
        // no other plugin of this name
        .env("GST_PLUGIN_PATH", "")
        // what the C library keeps of freed memory settles sooner
        .env("MALLOC_ARENA_MAX", "2")
        .args(["--set", "resolution=56", "--set", "min-resolution=0"])
        .args(["--size", "96x56", "--report", "0.5"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A run that is ended, as by Ctrl-C, when `enough` of what it has said.
fn run_until(arguments: &[&str], enough: impl Fn(&str, &Child) -> bool) -> (Output, String) {
    let mut child = command(arguments).spawn().expect("it runs");
    let said = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let mut readers = Vec::new();
    let streams: [Box<dyn Read + Send>; 2] = [
        Box::new(child.stdout.take().expect("a pipe")),
        Box::new(child.stderr.take().expect("a pipe")),
    ];
    for stream in streams {
        let said = said.clone();
        readers.push(std::thread::spawn(move || {
            use std::io::BufRead;
            for line in std::io::BufReader::new(stream)
                .lines()
                .map_while(Result::ok)
            {
                *said.lock().expect("said") += &format!("{line}\n");
            }
        }));
    }
    let end = Instant::now() + common::TIMEOUT;
    loop {
        let text = said.lock().expect("said").clone();
        if enough(&text, &child) {
            break;
        }
        if child.try_wait().expect("its state").is_some() || Instant::now() > end {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let pid = libc::pid_t::try_from(child.id()).expect("a process");
    // SAFETY: a signal to a child that has not been waited for
    unsafe { libc::kill(pid, libc::SIGINT) };
    let output = child.wait_with_output().expect("its end");
    for reader in readers {
        reader.join().expect("read");
    }
    let text = said.lock().expect("said").clone();
    (output, text)
}

/// How often `word` is in `text`.
fn count(text: &str, word: &str) -> usize {
    text.matches(word).count()
}

const STEADY: &str =
    "steady=videotestsrc is-live=true ! video/x-raw,width=96,height=56,framerate=10/1";

#[test]
fn a_camera_that_ends_or_fails_comes_back_and_the_others_go_on() {
    let ends = "ends=videotestsrc is-live=true num-buffers=8 ! video/x-raw,width=96,height=56,framerate=10/1";
    let fails = "fails=videotestsrc is-live=true ! video/x-raw,width=96,height=56,framerate=10/1 \
                 ! identity error-after=8";
    let silent = "silent=appsrc is-live=true caps=video/x-raw,format=RGB,width=96,height=56,framerate=10/1 \
                  ! identity";
    let (output, said) = run_until(
        &[
            STEADY,
            ends,
            fails,
            silent,
            "--retry",
            "0.1",
            "--retry-max",
            "0.4",
            "--timeout",
            "2",
            "--sink",
            "fakesink",
        ],
        |said, _| {
            ["ends: lost: ", "fails: lost: "]
                .iter()
                .all(|words| count(said, words) >= 3)
                && count(said, "silent: lost: no frame for 2") >= 1
        },
    );
    assert!(output.status.success(), "{said}");
    for (name, reason) in [
        ("ends", "its stream ended"),
        ("fails", "Failed after iterations as requested"),
    ] {
        let lost = format!("{name}: lost: ");
        let lines: Vec<_> = said
            .lines()
            .filter(|line| line.starts_with(&lost))
            .collect();
        assert!(lines.len() >= 3, "{name}: {said}");
        assert!(lines.iter().all(|line| line.contains(reason)), "{lines:?}");
    }
    assert_eq!(count(&said, "steady: connected"), 1, "{said}");
    assert_eq!(count(&said, "steady: lost"), 0, "{said}");
    // and it gave depth after the first loss of another
    let later = &said[said.find("ends: lost").expect("a loss")..];
    let gives = |line: &str| {
        let rest = line.strip_prefix("steady: ")?;
        rest.split_once(" of ")?.0.parse::<f64>().ok()
    };
    assert!(
        later.lines().filter_map(gives).any(|fps| fps > 1.0),
        "{said}"
    );
}

/// Frames of a file: time stamps and samples.
fn recorded(path: &Path) -> Vec<(Option<gst::ClockTime>, Vec<u16>)> {
    let path = path.to_str().expect("a path in UTF-8");
    common::samples(&format!(
        "filesrc location=\"{path}\" ! matroskademux ! avdec_ffv1 ! video/x-raw,format=GRAY16_LE ! appsink name=out"
    ))
    .iter()
    .map(|sample| {
        let pts = sample.buffer().and_then(|buffer| buffer.pts());
        (pts, common::depth(sample))
    })
    .collect()
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|it| it == extension))
        .collect();
    files.sort();
    files
}

#[test]
fn depth_is_recorded_in_whole_segments_that_say_what_they_mean() {
    common::init();
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().to_str().expect("a path in UTF-8");
    let camera = folder.path().join("door");
    let ball = "door=videotestsrc is-live=true pattern=ball num-buffers=40 \
                ! video/x-raw,format=RGB,width=96,height=56,framerate=10/1";
    let (output, said) = run_until(
        &[
            ball,
            "--no-mosaic",
            "--record",
            out,
            "--segment",
            "1",
            "--retry",
            "0.2",
            "--set",
            "range=frame",
        ],
        |said, _| count(said, "door: connected") >= 2 && files(&camera, "mkv").len() >= 6,
    );
    assert!(output.status.success(), "{said}");
    let segments = files(&camera, "mkv");
    assert!(segments.len() >= 6, "{segments:?}\n{said}");
    let mut total = 0;
    for segment in &segments {
        let frames = recorded(segment);
        let table = fs::read_to_string(segment.with_extension("csv")).expect("a table");
        let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split(',').collect()).collect();
        assert_eq!(
            rows[0],
            [
                "time", "captured", "scale", "offset", "unit", "scene", "repeated", "model"
            ]
        );
        assert_eq!(rows.len() - 1, frames.len(), "{}", segment.display());
        for ((pts, depth), row) in frames.iter().zip(&rows[1..]) {
            // Matroska counts milliseconds
            let (found, told) = (
                pts.expect("a time").seconds_f64(),
                row[0].parse::<f64>().expect("a time"),
            );
            assert!((found - told).abs() < 0.002, "{found} {told}");
            assert!(row[1].starts_with("20") && row[1].ends_with('Z'), "{row:?}");
            assert!(row[2].parse::<f64>().expect("a scale") > 0.0);
            assert_eq!((row[4], row[7]), ("inverse-depth", "\"builtin\""));
            // all 16 bits, over the whole range
            assert_eq!(depth.len(), 96 * 56);
            let (least, most) = (depth.iter().min(), depth.iter().max());
            assert!(
                least < Some(&2000) && most > Some(&63000),
                "{least:?} {most:?}"
            );
            assert!(depth.iter().any(|sample| sample % 257 != 0));
        }
        total += frames.len();
    }
    // of sixty or so; a busy machine drops some
    assert!(total >= 20, "{total} frames in {}", segments.len());
}

#[test]
fn old_recordings_are_deleted() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().to_str().expect("a path in UTF-8");
    let camera = folder.path().join("steady");
    fs::create_dir(&camera).expect("a folder");
    let old = camera.join("2020-01-01T00-00-00Z.mkv");
    fs::write(&old, "").expect("written");
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(7200);
    fs::File::open(&old)
        .and_then(|file| file.set_modified(long_ago))
        .expect("made old");
    let (output, said) = run_until(
        &[STEADY, "--no-mosaic", "--record", out, "--keep", "1"],
        |_, _| files(&camera, "csv").len() == 1,
    );
    assert!(output.status.success(), "{said}");
    assert!(!old.exists(), "{said}");
    assert_eq!(files(&camera, "mkv").len(), 1, "{said}");
}

/// What a process holds: open files, threads.
fn held(child: &Child) -> Option<(usize, usize)> {
    let count = |what: &str| {
        Some(
            fs::read_dir(format!("/proc/{}/{what}", child.id()))
                .ok()?
                .count(),
        )
    };
    Some((count("fd")?, count("task")?))
}

/// Resident memory in MB.
fn resident(child: &Child) -> Option<usize> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1024)
}

#[test]
fn cameras_that_come_and_go_leave_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().to_str().expect("a path in UTF-8");
    let goes = "goes=videotestsrc is-live=true num-buffers=2 ! video/x-raw,width=96,height=56,framerate=50/1";
    let measured = std::cell::RefCell::new(Vec::new());
    let (output, said) = run_until(
        &[
            STEADY,
            goes,
            "--retry",
            "0.02",
            "--retry-max",
            "0.02",
            "--sink",
            "fakesink",
            "--record",
            out,
        ],
        |said, child| {
            // while the one that goes is away, or on its way: the least of some looks is compared
            let lost = count(said, "goes: connected");
            if lost >= 15 {
                measured
                    .borrow_mut()
                    .extend(held(child).zip(resident(child)).map(|held| (lost, held)));
            }
            lost >= 50
        },
    );
    assert!(output.status.success(), "{said}");
    let measured = measured.into_inner();
    let least = |from: usize, to: usize| {
        let range = measured
            .iter()
            .filter(|(lost, _)| (from..to).contains(lost));
        let held: Vec<_> = range.map(|(_, held)| *held).collect();
        let least =
            |of: fn(&((usize, usize), usize)) -> usize| held.iter().map(of).min().expect("a look");
        (least(|it| it.0.0), least(|it| it.0.1), least(|it| it.1))
    };
    let (early, late) = (least(15, 25), least(40, 99));
    assert!(
        late.0 <= early.0 && late.1 <= early.1,
        "files, threads: {early:?} {late:?}\n{said}"
    );
    assert!(late.2 <= early.2 + 15, "MB: {early:?} {late:?}");
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port()
}

/// A server that is ended when it goes out of scope.
struct Server(Child);

impl Server {
    fn start(python: &str, port: u16) -> Self {
        let mut child = Command::new(python)
            .arg(common::root().join("tests/rtsp_server.py"))
            .arg(port.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python");
        let mut ready = [0; 5];
        let stdout = child.stdout.as_mut().expect("a pipe");
        stdout.read_exact(&mut ready).expect("it is ready");
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_rtsp_camera_is_found_again_and_its_password_is_not_told() {
    let imports = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer";
    let Some(python) = common::python(imports) else {
        return;
    };
    let port = free_port();
    let camera = format!("door=rtsp://admin:secret@127.0.0.1:{port}/camera");
    // it is not there yet
    let server = std::cell::RefCell::new(None);
    let phase = std::cell::Cell::new(0);
    let (output, said) = run_until(
        &[
            &camera,
            STEADY,
            "--retry",
            "0.2",
            "--retry-max",
            "0.4",
            "--timeout",
            "3",
            "--no-mosaic",
        ],
        |said, _| {
            let (lost, connected) = (count(said, "door: lost"), count(said, "door: connected"));
            match phase.get() {
                0 if lost >= 1 => {
                    *server.borrow_mut() = Some(Server::start(python, port));
                    phase.set(1);
                }
                1 if connected >= 1 => {
                    *server.borrow_mut() = None;
                    phase.set(2);
                }
                2 if said.rfind("door: lost") > said.rfind("door: connected") => {
                    *server.borrow_mut() = Some(Server::start(python, port));
                    phase.set(3);
                }
                3 if connected >= 2 => return true,
                _ => {}
            }
            false
        },
    );
    assert!(output.status.success(), "{said}");
    assert!(
        phase.get() == 3 && count(&said, "door: connected") >= 2,
        "{said}"
    );
    assert_eq!(count(&said, "steady: lost"), 0, "{said}");
    assert!(!said.contains("secret"), "{said}");
}

/// What the server answers to a request.
fn ask(port: u16, request: &str) -> Option<String> {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    write!(stream, "{request}").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn figures_are_served_for_prometheus() {
    let port = free_port();
    let ends = "ends=videotestsrc is-live=true num-buffers=3 ! video/x-raw,width=96,height=56,framerate=10/1";
    let told = std::cell::RefCell::new(String::new());
    let (output, said) = run_until(
        &[
            STEADY,
            ends,
            "--retry",
            "0.2",
            "--no-mosaic",
            "--metrics",
            &port.to_string(),
        ],
        |said, _| {
            if count(said, "ends: connected") < 2 || count(said, "steady: connected") < 1 {
                return false;
            }
            // one that says nothing holds up nobody for long
            let _silent = std::net::TcpStream::connect(("127.0.0.1", port));
            let get = |path: &str| ask(port, &format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n"));
            *told.borrow_mut() = get("/metrics").unwrap_or_default();
            assert!(get("/").is_some_and(|it| it.starts_with("HTTP/1.1 404")));
            assert!(ask(port, "nonsense\r\n\r\n").is_some_and(|it| it.contains(" 404 ")));
            true
        },
    );
    assert!(output.status.success(), "{said}");
    let told = told.into_inner();
    assert!(told.starts_with("HTTP/1.1 200 OK\r\n"), "{told}");
    assert!(told.ends_with("# EOF\n"), "{told}");
    let value = |line: &str| -> f64 {
        let line = format!("depthanything_camera_{line} ");
        let found = told.lines().find_map(|it| it.strip_prefix(&line));
        let found = found.unwrap_or_else(|| panic!("{line}: {told}"));
        found.parse().expect("a number")
    };
    assert_eq!(value("connected{camera=\"steady\"}"), 1.0);
    assert_eq!(value("losses_total{camera=\"steady\"}"), 0.0);
    assert!(value("losses_total{camera=\"ends\"}") >= 1.0);
    assert!(value("connections_total{camera=\"ends\"}") >= 2.0);
    assert!(
        value("frames_total{camera=\"steady\"}") >= value("depth_frames_total{camera=\"steady\"}")
    );
    assert!(value("last_frame_age_seconds{camera=\"steady\"}") < 5.0);
    let median = value("inference_seconds{camera=\"steady\",quantile=\"0.5\"}");
    assert!(median > 0.0 && median < 5.0, "{median}");
    assert_eq!(value("network_height{camera=\"steady\"}"), 56.0);
    for name in ["dropped", "missing", "repeated"] {
        assert!(value(&format!("{name}_frames{{camera=\"steady\"}}")) < 1e6);
    }
    let age = value("depth_age_seconds{camera=\"steady\"}");
    assert!(age > 0.0 && age < 5.0, "{age}");
    let late = value("depth_late_seconds{camera=\"steady\"}");
    assert!(late <= age, "{late}, {age}");
    let rate = value("depth_frames_per_second{camera=\"steady\"}");
    assert!(rate < 100.0, "{rate}");
}

#[test]
fn cameras_may_be_in_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("cameras");
    let (_, piece) = STEADY.split_once('=').expect("a name");
    fs::write(&list, format!("# ours\n\n  door={piece}\nyard={piece}\n")).expect("written");
    let list = list.to_str().expect("a path in UTF-8");
    let (output, said) = run_until(&[STEADY, "--no-mosaic", "--cameras", list], |said, _| {
        ["steady", "door", "yard"]
            .iter()
            .all(|name| said.contains(&format!("{name}: connected")))
    });
    assert!(output.status.success(), "{said}");
    assert!(
        ["steady", "door", "yard"]
            .iter()
            .all(|name| said.contains(name)),
        "{said}"
    );
}

#[test]
fn files_end_and_may_begin_again() {
    common::init();
    let folder = tempfile::tempdir().expect("a folder");
    let film = folder.path().join("film.mov");
    common::Pipeline::new(&format!(
        "videotestsrc num-buffers=4 ! video/x-raw,width=96,height=56,framerate=10/1 ! jpegenc ! qtmux \
         ! filesink location={}",
        film.display()
    ))
    .run()
    .expect("a film");
    let film = film.to_str().expect("a path in UTF-8");
    let result = command(&[film, "--no-mosaic"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&result.stderr);
    assert!(result.status.success(), "{said}");
    assert!(said.contains("camera0: at its end"), "{said}");

    let (output, said) = run_until(&[film, "--no-mosaic", "--loop"], |said, _| {
        count(said, "connected") >= 3
    });
    assert!(output.status.success(), "{said}");
    assert_eq!(count(&said, "lost"), 0, "{said}");
}

#[test]
fn what_can_not_be_is_said() {
    for (arguments, words) in [
        (&["missing.mp4"][..], &["missing.mp4"][..]),
        (&["a=test", "a=test"], &["called a"]),
        (&["--cameras", "missing.list"], &["missing.list"]),
        (
            &["test", "--set", "model-file=missing.onnx", "--no-mosaic"],
            &["camera0", "missing.onnx"],
        ),
        (
            &["test", "--set", "range=nonsense", "--no-mosaic"],
            &["nonsense", "smooth", "frame"],
        ),
        (
            &["test", "--set", "resolution=7", "--no-mosaic"],
            &["resolution", "14", "4200"],
        ),
        (
            &["test", "--set", "nonsense=7", "--no-mosaic"],
            &["nonsense", "resolution"],
        ),
        (&["test", "--sink", "nonsense"], &["nonsense"]),
        (&["videotestsrc ! nonsense", "--no-mosaic"], &["nonsense"]),
        (&["test", "--segment", "0"], &["--segment", "seconds"]),
    ] {
        let result = command(arguments).output().expect("it runs");
        let said = String::from_utf8_lossy(&result.stderr);
        assert!(!result.status.success(), "{arguments:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{arguments:?}: {word}: {said}");
        }
    }
}
