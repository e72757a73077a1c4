//! The folder that recipes are tried in.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::{self, samples};
use crate::recipe::Block;

/// Frames of `video.mp4`.
pub(crate) const FRAMES: usize = 6;

/// A folder with a photo, a video, this project's examples and the plugin under test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        common::init();
        let folder = Self(tempfile::tempdir().expect("a folder"));
        let photo =
            "videotestsrc num-buffers=1 pattern=smpte ! video/x-raw,width=320,height=180 ! jpegenc";
        folder.make(&format!("{photo} ! filesink location=photo.jpg"));
        // motion JPEG in QuickTime needs nothing but the good plugins
        let video = format!(
            "videotestsrc num-buffers={FRAMES} pattern=ball ! video/x-raw,width=320,height=180,framerate=25/1"
        );
        folder.make(&format!(
            "{video} ! jpegenc ! qtmux ! filesink location=video.mp4"
        ));

        std::fs::create_dir(folder.path("plugin")).expect("a folder");
        let plugin = std::env::current_exe()
            .ok()
            .and_then(|test| Some(test.parent()?.join("libgstdepthanything.so")))
            .filter(|plugin| plugin.exists())
            .expect("the plugin beside the test");
        folder.link(&plugin, "plugin/libgstdepthanything.so");
        for name in ["examples", ".runtime"] {
            folder.link(&common::root().join(name), name);
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn link(&self, original: &Path, name: &str) {
        std::os::unix::fs::symlink(original, self.path(name)).expect("a link");
    }

    fn make(&self, description: &str) {
        let here = format!("location={}/", self.0.path().display());
        let description = description.replace("location=", &here);
        common::Pipeline::new(&description)
            .run()
            .expect("it is made");
    }

    /// Starts what the block says.
    pub(crate) fn start(&self, block: &Block) -> Running {
        for model in block.models() {
            let kind = if model.contains("metric") {
                "metric-indoor.onnx"
            } else {
                "pixel-values.onnx"
            };
            std::fs::copy(common::model(kind), self.path(model)).expect("a copy");
        }
        let runtime = common::runtime_library("onnxruntime");
        let file = || tempfile::NamedTempFile::new_in(self.0.path()).expect("a file");
        let (log, errors) = (file(), file());
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", &block.stand_ins()])
            .current_dir(self.0.path())
            .env("GST_PLUGIN_PATH", self.path("plugin"))
            .env("GST_REGISTRY", self.path("registry.bin"))
            .stdin(Stdio::null())
            .stdout(log.reopen().expect("the file"))
            .stderr(errors.reopen().expect("the file"))
            .process_group(0);
        if let (None, Some(runtime)) = (std::env::var_os("ORT_DYLIB_PATH"), runtime) {
            command.env("ORT_DYLIB_PATH", runtime);
        }
        Running {
            child: command.spawn().expect("bash"),
            log,
            errors,
        }
    }

    /// One block after the other; then the files that they say they write are looked at. Gives what each printed.
    pub(crate) fn run_in_turn(
        &self,
        blocks: &[Block],
        timeout: Duration,
    ) -> Result<Vec<(String, String)>, String> {
        let mut told = Vec::new();
        for block in blocks {
            if let Some(missing) = block.missing() {
                eprintln!("left out, {missing}: {}", block.text());
                continue;
            }
            let output = self.start(block).wait(timeout);
            let output = output.map_err(|error| format!("{}\n{error}", block.text()))?;
            self.check_files(block)?;
            told.push((block.text().to_owned(), output));
        }
        Ok(told)
    }

    /// All blocks side by side, in the order given, until the first is done.
    pub(crate) fn run_at_once(
        &self,
        blocks: &[Block],
        timeout: Duration,
    ) -> Result<Vec<(String, String)>, String> {
        let (first, others) = blocks.split_first().ok_or("no blocks")?;
        let running = self.start(first);
        let others: Vec<_> = others
            .iter()
            .map(|block| {
                // as long as it takes to go to the next terminal
                sleep(Duration::from_secs(1));
                self.start(block)
            })
            .collect();
        let output = running.wait(timeout);
        drop(others);
        let output = output.map_err(|error| format!("{}\n{error}", first.text()))?;
        self.check_files(first)?;
        Ok(vec![(first.text().to_owned(), output)])
    }

    fn check_files(&self, block: &Block) -> Result<(), String> {
        for (file, command) in block.writes() {
            let path = self.path(file);
            let in_colour = command.contains("depthcolorize");
            let checked = match path.extension().and_then(|e| e.to_str()) {
                Some("png") => check_picture(&path, in_colour),
                Some("mkv") => check_video(&path, command.contains("avenc_ffv1")),
                _ => Err("a file of a kind that is not checked".into()),
            };
            checked.map_err(|error| format!("{command}\n{file}: {error}"))?;
        }
        for file in block.renders() {
            let frames = samples(&format!(
                "filesrc location={} ! decodebin ! appsink name=out",
                self.path(file).display()
            ));
            if frames.is_empty() {
                return Err(format!("{file}: no frames"));
            }
        }
        Ok(())
    }
}

fn check_picture(path: &Path, in_colour: bool) -> Result<(), String> {
    let picture = image::open(path).map_err(|error| error.to_string())?;
    if in_colour {
        return match picture.color().has_color() {
            true => Ok(()),
            false => Err(format!("{:?} is no colour", picture.color())),
        };
    }
    let image::DynamicImage::ImageLuma16(picture) = picture else {
        return Err(format!("{:?} is not 16-bit grey", picture.color()));
    };
    let samples = picture.pixels().map(|pixel| pixel.0[0]);
    let (lowest, highest) = (samples.clone().min(), samples.max());
    match lowest < highest {
        true => Ok(()),
        false => Err(format!("flat, {lowest:?}")),
    }
}

fn check_video(path: &Path, lossless: bool) -> Result<(), String> {
    let frames = samples(&format!(
        "filesrc location={} ! decodebin ! appsink name=out",
        path.display()
    ));
    if frames.len() != FRAMES {
        return Err(format!("{} frames, not {FRAMES}", frames.len()));
    }
    let caps = frames[0].caps().ok_or("no caps")?;
    let format = caps.structure(0).and_then(|s| s.get::<&str>("format").ok());
    if lossless && !format.is_some_and(|format| format.starts_with("GRAY16")) {
        return Err(format!("{format:?}, not 16-bit grey"));
    }
    Ok(())
}

/// A started block; killed with all its children when dropped.
pub(crate) struct Running {
    child: Child,
    log: tempfile::NamedTempFile,
    errors: tempfile::NamedTempFile,
}

impl Running {
    /// What it printed, or why it failed.
    pub(crate) fn wait(mut self, timeout: Duration) -> Result<String, String> {
        let end = Instant::now() + timeout;
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if Instant::now() < end => sleep(Duration::from_millis(20)),
                _ => break None,
            }
        };
        let told = std::fs::read_to_string(self.log.path()).unwrap_or_default();
        let errors = std::fs::read_to_string(self.errors.path()).unwrap_or_default();
        match status {
            Some(status) if status.success() => Ok(told),
            Some(status) => Err(format!("{status}\n{told}\n{errors}")),
            None => Err(format!("nothing after {timeout:?}\n{told}\n{errors}")),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // it leads a process group of its own
            let group = format!("-{}", self.child.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        }
        let _ = self.child.wait();
    }
}
