//! Real servers, where `scripts/kserve-servers install` has put them; left out in words where not.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::common::{self, Pipeline, depth, difference, samples};
use crate::{all, remote, times, video};

/// A server that runs until this is dropped.
struct Running {
    child: Child,
    port: u16,
}

impl Running {
    /// `None`: it is not installed.
    fn start(name: &str, models: &[&str]) -> Option<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        Self::start_at(port, name, models)
    }

    fn start_at(port: u16, name: &str, models: &[&str]) -> Option<Self> {
        let servers =
            std::env::var_os("SERVERS").map_or_else(|| common::root().join(".servers"), Into::into);
        if !servers.join(name).join("installed").exists() {
            eprintln!("left out: no {name}; scripts/kserve-servers install {name}");
            return None;
        }
        let models = models.iter().map(|model| format!("--load-model={model}"));
        let mut running = Self {
            child: Command::new(common::root().join("scripts/kserve-servers"))
                .args(["run", name, &port.to_string()])
                .args(models)
                .env("SERVERS", servers)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("it starts"),
            port,
        };
        let end = Instant::now() + Duration::from_secs(60);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "{name} does not listen");
            let ended = running.child.try_wait().expect("a state");
            assert!(ended.is_none(), "{name}: {ended:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(running)
    }

    fn signal(&self, signal: i32) {
        // SAFETY: a signal to a process of ours
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }

    fn element(&self, properties: &str) -> String {
        let address = format!("127.0.0.1:{}", self.port);
        format!(
            "{} server-timeout=20000000000 {properties}",
            remote(&address)
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(libc::SIGCONT);
        self.signal(libc::SIGTERM);
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn frames(resolution: u32, element: &str) -> Vec<Vec<u16>> {
    let pipeline = format!(
        "videotestsrc num-buffers=2 pattern=smpte ! video/x-raw,width=320,height=240,framerate=30/1 \
         ! depthanything resolution={resolution} {element} ! appsink name=out sync=false"
    );
    samples(&pipeline).iter().map(depth).collect()
}

/// Depth of the built-in model there is what it is here.
fn is_equal(name: &str, models: &[&str], tolerance: f64) {
    let Some(server) = Running::start(name, models) else {
        return;
    };
    for resolution in [252, 518] {
        let here = frames(resolution, "execution-provider=cpu range=frame");
        for model in models {
            let there = frames(
                resolution,
                &server.element(&format!("server-model={model}")),
            );
            assert_eq!(there.len(), here.len());
            for (here, there) in here.iter().zip(&there) {
                let difference = difference(here, there);
                eprintln!("{name} {model} at {resolution}: {difference:.2e} of the range");
                assert!(
                    difference < tolerance,
                    "{name} {model} at {resolution}: {difference}"
                );
            }
        }
    }
}

/// A step of half precision, at the top of its range.
const HALF: f64 = 1.0 / 2048.0;

#[test]
fn triton_gives_the_depth_that_is_given_here() {
    is_equal("triton", &["depth", "depth16"], HALF);
}

#[test]
fn mlserver_gives_the_depth_that_is_given_here() {
    is_equal("mlserver", &["depth"], HALF);
}

#[test]
fn kserve_gives_the_depth_that_is_given_here() {
    is_equal("kserve", &["depth"], HALF);
}

#[test]
fn a_triton_that_is_stopped_and_goes_on_loses_no_frame() {
    let Some(server) = Running::start("triton", &["red"]) else {
        return;
    };
    let element = server
        .element("server-model=red in-flight=2")
        .replace("=20000000000", "=400000000");
    let pipeline = Pipeline::new(&video(120, &element));
    let times = std::thread::scope(|scope| {
        times(&pipeline, |frame| {
            if frame == 30 {
                server.signal(libc::SIGSTOP);
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_secs(1));
                    server.signal(libc::SIGCONT);
                });
            }
        })
    });
    assert_eq!(times, all(120));
}

#[test]
fn a_triton_that_is_killed_and_comes_back_loses_no_frame() {
    let Some(server) = Running::start("triton", &["red"]) else {
        return;
    };
    let element = server.element("server-model=red in-flight=2");
    let pipeline = Pipeline::new(&video(90, &element));
    let times = std::thread::scope(|scope| {
        let mut again = None;
        let times = times(&pipeline, |frame| {
            if frame == 30 {
                again = Some(scope.spawn(|| {
                    server.signal(libc::SIGKILL);
                    std::thread::sleep(Duration::from_millis(200));
                    Running::start_at(server.port, "triton", &["red"])
                }));
            }
        });
        drop(again.map(std::thread::ScopedJoinHandle::join));
        times
    });
    assert_eq!(times, all(90));
}

/// Regions of shared memory that are a process's.
fn regions(process: u32) -> usize {
    let prefix = format!("depthanything-{process}-");
    let entries = std::fs::read_dir("/dev/shm").expect("shared memory");
    let names = entries.flatten().map(|entry| entry.file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with(&prefix))
        .count()
}

#[test]
fn shared_memory_is_used_and_given_back() {
    let Some(server) = Running::start("triton", &["red"]) else {
        return;
    };
    // what is killed leaves its region behind
    let folder = tempfile::tempdir().unwrap();
    let element = server.element("server-model=red");
    let endless = format!(
        "videotestsrc ! video/x-raw,width=64,height=48 ! depthanything resolution=126 {element} ! fakesink"
    );
    let mut crashes = common::with_plugin("gst-launch-1.0", folder.path())
        .args(endless.split(' '))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while regions(crashes.id()) == 0 {
        assert!(Instant::now() < end, "it makes no region");
        std::thread::sleep(Duration::from_millis(20));
    }
    crashes.kill().unwrap();
    crashes.wait().unwrap();
    assert!(regions(crashes.id()) > 0);
    for (memory, used) in [("off", false), ("auto", true)] {
        let element = server.element(&format!("server-model=red server-shared-memory={memory}"));
        let pipeline = Pipeline::new(&video(100, &element));
        let sink = pipeline.appsink("out");
        pipeline.play();
        sink.pull_sample().unwrap();
        assert_eq!(regions(std::process::id()) > 0, used, "{memory}");
        assert_eq!(regions(crashes.id()) == 0, used, "{memory}");
        pipeline.0.set_state(gst::State::Null).unwrap();
        assert_eq!(regions(std::process::id()), 0);
    }
}

/// What the way to a server and back costs.
#[test]
#[ignore = "a measurement: --ignored --nocapture, in a release build"]
fn costs() {
    let Some(server) = Running::start("triton", &["red", "red16"]) else {
        return;
    };
    for resolution in [252, 518] {
        for (model, memory) in [
            ("red", "off"),
            ("red16", "off"),
            ("red", "auto"),
            ("red16", "auto"),
        ] {
            let element = server.element(&format!(
                "server-model={model} server-shared-memory={memory}"
            ));
            let pipeline = Pipeline::new(&format!(
                "videotestsrc num-buffers=300 ! video/x-raw,width=1920,height=1080,framerate=30/1 \
                 ! depthanything name=depth resolution={resolution} {element} ! fakesink"
            ));
            pipeline.run().unwrap();
            let cpu = cpu("depth-") / 300;
            let stats: gst::Structure = pipeline.element("depth").property("stats");
            let ms = |name: &str| stats.get::<u64>(name).unwrap() as f64 / 1e6;
            eprintln!(
                "{resolution} {model} shared memory {memory}: round trip {:.2} ms, with conversion of the tensors {:.2} ms; \
                 {:.2} ms of this process's CPU for both",
                ms("server-round-trip-p50"),
                ms("inference-time-p50"),
                cpu.as_secs_f64() * 1e3,
            );
        }
    }
}

/// What the threads of this process whose names begin so have computed.
fn cpu(name: &str) -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("this process");
    let nanoseconds = tasks.flatten().filter_map(|task| {
        let comm = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let times = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        let spent: u64 = times.split(' ').next()?.parse().ok()?;
        comm.starts_with(name).then_some(spent)
    });
    Duration::from_nanos(nanoseconds.sum())
}
