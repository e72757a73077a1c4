//! A program that ends while a pipeline plays: nothing computes any more once libraries' destructors are run.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Registered before everything else, its function is called after what other libraries have registered, their
/// destructors included. Then it watches for a second whether anything still computes.
const WATCH: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
static double used(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}
static void watch(void) {
    double before = used();
    sleep(1);
    fprintf(stderr, "computed for %.0f ms after the end\n", 1e3 * (used() - before));
}
__attribute__((constructor)) static void begin(void) { atexit(watch); }
"#;

/// Plays, waits for depth frames and ends without a word to the pipeline.
const HOST: &str = r#"
#include <gst/gst.h>
#include <stdlib.h>
int main(int count, char **arguments) {
    gst_init(&count, &arguments);
    GstElement *pipeline = gst_parse_launch(arguments[1], NULL);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    gint64 position = 0;
    for (int i = 0; i < 1200 && position < 100 * GST_MSECOND; i++) {
        g_usleep(100000);
        if (!gst_element_query_position(pipeline, GST_FORMAT_TIME, &position))
            position = 0;
    }
    g_usleep(150000);
    exit(position > 0 ? 0 : 3);
}
"#;

/// Ends so many milliseconds after it has begun to play.
const HASTY: &str = r#"
#include <gst/gst.h>
#include <stdlib.h>
int main(int count, char **arguments) {
    gst_init(&count, &arguments);
    GstElement *pipeline = gst_parse_launch(arguments[2], NULL);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    g_usleep(1000 * atoi(arguments[1]));
    exit(0);
}
"#;

/// As [`HOST`], and the one that ends is one that was forked off.
const FORKING: &str = r#"
#include <gst/gst.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int count, char **arguments) {
    gst_init(&count, &arguments);
    GstElement *pipeline = gst_parse_launch(arguments[1], NULL);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    gint64 position = 0;
    for (int i = 0; i < 1200 && position < 100 * GST_MSECOND; i++) {
        g_usleep(100000);
        if (!gst_element_query_position(pipeline, GST_FORMAT_TIME, &position))
            position = 0;
    }
    pid_t child = fork();
    if (child == 0)
        exit(7);
    int status = 0;
    for (int i = 0; i < 300; i++) {
        if (waitpid(child, &status, WNOHANG) == child)
            exit(WIFEXITED(status) ? WEXITSTATUS(status) : 4);
        g_usleep(100000);
    }
    kill(child, SIGKILL);
    exit(5);
}
"#;

const PYTHON: &str = r#"
import sys, time, gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst
Gst.init(None)
pipeline = Gst.parse_launch(sys.argv[1])
pipeline.set_state(Gst.State.PLAYING)
for _ in range(1200):
    time.sleep(0.1)
    told, position = pipeline.query_position(Gst.Format.TIME)
    if told and position >= 100 * Gst.MSECOND:
        time.sleep(0.15)
        sys.exit(0)
sys.exit(3)
"#;

fn compile(source: &str, to: &Path, arguments: &[String]) {
    let file = to.with_extension("c");
    std::fs::write(&file, source).expect("source");
    let status = Command::new("cc")
        .arg(&file)
        .arg("-o")
        .arg(to)
        .args(arguments)
        .status();
    assert!(status.expect("cc, which linking Rust needs too").success());
}

fn plugin() -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    test.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("libgstdepthanything.so"))
        .find(|file| file.exists())
        .expect("the plugin, which `cargo test` builds")
}

/// `program`, in C, with GStreamer.
fn host(program: &str, folder: &Path) -> PathBuf {
    let flags = Command::new("pkg-config")
        .args(["--cflags", "--libs", "gstreamer-1.0"])
        .output()
        .expect("pkg-config, which building needs too");
    let flags: Vec<String> = String::from_utf8_lossy(&flags.stdout)
        .split_whitespace()
        .map(ToOwned::to_owned)
        .collect();
    let host = folder.join("host");
    compile(program, &host, &flags);
    host
}

fn with_plugin<'a>(host: &'a mut Command, folder: &Path, runtime: &str) -> &'a mut Command {
    let library = common::runtime_library(runtime)
        .unwrap_or_else(|| panic!("ONNX Runtime in .runtime/{runtime}: ./check installs it"));
    let plugins = folder.join("plugins");
    let _ = std::fs::create_dir(&plugins);
    let _ = std::os::unix::fs::symlink(plugin(), plugins.join("libgstdepthanything.so"));
    host.env("ORT_DYLIB_PATH", library)
        .env("GST_PLUGIN_PATH", plugins)
        .env("GST_REGISTRY", folder.join("registry.bin"))
        // plugins are looked at in this process: another one would be watched, too
        .env("GST_REGISTRY_FORK", "no")
        .env("XDG_CACHE_HOME", folder.join("cache"))
}

fn ends(mut host: Command, folder: &Path, runtime: &str, element: &str) {
    let watch = folder.join("watch.so");
    compile(WATCH, &watch, &["-shared".into(), "-fPIC".into()]);
    let output: Output = with_plugin(&mut host, folder, runtime)
        .arg(format!("videotestsrc ! {element} ! fakesink"))
        .env("LD_PRELOAD", watch)
        .output()
        .expect("the program runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {told}", output.status);
    let computed: u32 = told
        .lines()
        .find_map(|line| {
            line.strip_prefix("computed for ")?
                .split(' ')
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or_else(|| panic!("{told}"));
    // OpenVINO went on for a hundred on a busy machine, into what had been destroyed; now it is two at most
    assert!(computed < 30, "{element}: {told}");
}

fn runtimes() -> Vec<(&'static str, &'static str)> {
    let mut runtimes = vec![("onnxruntime", "depthanything execution-provider=cpu")];
    if cfg!(target_arch = "x86_64") {
        runtimes.push(("openvino", "depthanything execution-provider=openvino"));
        runtimes.push((
            "openvino",
            "depthanything execution-provider=openvino resolution=126 in-flight=2",
        ));
    }
    runtimes
}

#[test]
fn a_c_program_that_exits_while_playing() {
    let folder = tempfile::tempdir().expect("folder");
    let host = host(HOST, folder.path());
    for (runtime, element) in runtimes() {
        ends(Command::new(&host), folder.path(), runtime, element);
    }
}

#[test]
fn a_child_of_a_playing_process_ends() {
    let folder = tempfile::tempdir().expect("folder");
    let host = host(FORKING, folder.path());
    for (runtime, element) in &runtimes()[..2.min(runtimes().len())] {
        let output = with_plugin(&mut Command::new(&host), folder.path(), runtime)
            .arg(format!("videotestsrc ! {element} ! fakesink"))
            .output()
            .expect("the program runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(7), "{element}: {told}");
    }
}

/// As when the file that is to be played is no video.
#[test]
fn a_program_that_exits_while_the_model_is_loaded() {
    let folder = tempfile::tempdir().expect("folder");
    let host = host(HASTY, folder.path());
    for (runtime, element) in &runtimes()[..2.min(runtimes().len())] {
        for milliseconds in (0..300).step_by(20) {
            let mut host = Command::new(&host);
            let output = with_plugin(&mut host, folder.path(), runtime)
                .arg(milliseconds.to_string())
                .arg(format!("videotestsrc ! {element} ! fakesink"))
                .output()
                .expect("the program runs");
            assert!(
                output.status.success(),
                "{element}, {milliseconds} ms: {} {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}

#[test]
fn a_python_that_ends_while_playing() {
    let folder = tempfile::tempdir().expect("folder");
    let python = ["/usr/bin/python3", "python3"]
        .into_iter()
        .find(|name| {
            let imports =
                "import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst";
            let output = Command::new(name).args(["-c", imports]).output();
            output.is_ok_and(|output| output.status.success())
        })
        .expect("a python3 with GStreamer's bindings: ./check installs it");
    for (runtime, element) in runtimes() {
        let mut host = Command::new(python);
        host.args(["-c", PYTHON]);
        ends(host, folder.path(), runtime, element);
    }
}
