//! Recipes out of Markdown and rustdoc, and what stands in for what a test machine has not.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common;

/// A heading and what is typed below it.
pub(crate) struct Recipe {
    pub(crate) title: String,
    /// The blocks are for terminals side by side.
    pub(crate) at_once: bool,
    pub(crate) blocks: Vec<Block>,
}

/// A fenced block of shell commands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Block(String);

/// The words of a recipe whose blocks run side by side.
const AT_ONCE: &str = "in a terminal of its own";

/// The recipes: what is under each heading of level 3 of the section "Recipes".
pub(crate) fn recipes(markdown: &str) -> Vec<Recipe> {
    let section = markdown
        .split("\n## ")
        .find(|section| section.starts_with("Recipes\n"))
        .expect("a section Recipes");
    under_headings(section, "\n### ")
}

/// The same of a page in `docs/`: what is under each of its headings of level 2.
pub(crate) fn page(markdown: &str) -> Vec<Recipe> {
    under_headings(markdown, "\n## ")
}

fn under_headings(markdown: &str, heading: &str) -> Vec<Recipe> {
    markdown
        .split(heading)
        .skip(1)
        .map(|text| Recipe {
            title: text.lines().next().unwrap_or_default().to_owned(),
            at_once: text.contains(AT_ONCE),
            blocks: fenced(text, "sh"),
        })
        .filter(|recipe| !recipe.blocks.is_empty())
        .collect()
}

/// The blocks of an element's documentation: of the comment that GStreamer's own documentation is made of.
pub(crate) fn documented(source: &str) -> Vec<Block> {
    let text: Vec<_> = source
        .lines()
        .map(str::trim)
        .skip_while(|line| !line.starts_with("* SECTION:"))
        .take_while(|line| *line != "*/")
        .map(|line| line.strip_prefix("* ").unwrap_or(""))
        .collect();
    fenced(&text.join("\n"), "bash")
}

pub(crate) fn fenced(text: &str, language: &str) -> Vec<Block> {
    let mut parts = text.split("```");
    let mut blocks = Vec::new();
    parts.next();
    while let (Some(inside), _) = (parts.next(), parts.next()) {
        if let Some(commands) = inside.strip_prefix(&format!("{language}\n")) {
            blocks.push(Block::new(commands));
        }
    }
    blocks
}

impl Block {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// What this machine has not got that the block is about.
    pub(crate) fn missing(&self) -> Option<String> {
        let text = &self.0;
        if text.contains(".runtime/openvino") && common::runtime_library("openvino").is_none() {
            return Some("no ONNX Runtime in .runtime/openvino".into());
        }
        if text.contains("ffmpeg ") && !has_ffmpeg() {
            return Some("no ffmpeg".into());
        }
        if text.contains("python3 ") && python().is_none() {
            return Some("no python3 with gi, GstVideo and numpy".into());
        }
        if text.contains("ges-launch-1.0 ") && !starts("ges-launch-1.0", &["--help"]) {
            return Some("no ges-launch-1.0".into());
        }
        if text.contains("opencv.py") && !has_opencv() {
            return Some("no OpenCV with GStreamer".into());
        }
        None
    }

    /// The block with its stand-ins: no screen, no camera, the examples that `cargo test` has built, a Python that
    /// has GStreamer.
    pub(crate) fn stand_ins(&self) -> String {
        let mut text = self
            .0
            .replace("autovideosink", "fakesink")
            .replace("v4l2src", "videotestsrc is-live=true num-buffers=20");
        if let Some(python) = python() {
            text = text.replace("python3 ", &format!("{} ", python.display()));
        }
        while let Some((before, after)) = text.split_once(CARGO_RUN) {
            let (name, arguments) = after.split_once(" -- ").expect("a `--` after the name");
            text = format!("{before}{} {arguments}", example(name));
        }
        text
    }

    /// The files that the block says it writes, each with the command that writes it.
    pub(crate) fn writes(&self) -> Vec<(&str, &str)> {
        const SINK: &str = "filesink location=";
        let commands = self.0.split("gst-launch-1.0").skip(1);
        commands
            .flat_map(|command| {
                command.match_indices(SINK).filter_map(move |(at, _)| {
                    let file = command[at + SINK.len()..].split_whitespace().next()?;
                    Some((file, command))
                })
            })
            .collect()
    }

    /// The files that `ges-launch-1.0` is told to write.
    pub(crate) fn renders(&self) -> impl Iterator<Item = &str> {
        let after = |command: &'static str| self.0.split(command).skip(1);
        after("ges-launch-1.0")
            .filter_map(|command| command.split(" -o ").nth(1)?.split_whitespace().next())
    }

    /// The models that the block names.
    pub(crate) fn models(&self) -> impl Iterator<Item = &str> {
        self.0
            .split_whitespace()
            .map(|word| word.strip_prefix("model-file=").unwrap_or(word))
            .filter(|word| word.ends_with(".onnx"))
    }
}

const CARGO_RUN: &str = "cargo run --release --example ";

/// The example as `cargo test` builds it; when only this test was built, a command that builds it too.
fn example(name: &str) -> String {
    let built = std::env::current_exe()
        .ok()
        .and_then(|test| Some(test.parent()?.parent()?.join("examples").join(name)))
        .filter(|example| example.exists());
    match built {
        Some(example) => format!("'{}'", example.display()),
        None => format!(
            "cargo run --quiet --manifest-path='{}' --example {name} --",
            common::root().join("Cargo.toml").display()
        ),
    }
}

/// Whether there is FFmpeg's program, with the filter that the pages use.
pub(crate) fn has_ffmpeg() -> bool {
    Command::new("ffmpeg")
        .args(["-v", "error", "-filters"])
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(" zscale "))
}

fn starts(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Whether the Python of the recipes has an OpenCV that plays pipelines.
fn has_opencv() -> bool {
    let plays = "import re, cv2; assert re.search('GStreamer: *YES', cv2.getBuildInformation())";
    python().is_some_and(|python| starts(&python.display().to_string(), &["-c", plays]))
}

/// A Python that has GStreamer's bindings and numpy: the first on the path often has not.
fn python() -> Option<PathBuf> {
    ["python3", "/usr/bin/python3"].into_iter().find_map(|name| {
        let bindings = "import numpy, gi; gi.require_version('GstVideo', '1.0'); from gi.repository import GstVideo";
        starts(name, &["-c", bindings]).then(|| Path::new(name).to_owned())
    })
}

#[test]
fn blocks_are_found() {
    let text = "# t\n## Recipes\ntext\n### 1. one\n```sh\na\nb\n```\n```text\nno\n```\n\
                ### 2. two\nEach in a terminal of its own:\n```sh\nc\n```\n```sh\nd\n```\n## Else\n```sh\nno\n```\n";
    let recipes = recipes(text);
    let blocks: Vec<Vec<_>> = recipes
        .iter()
        .map(|recipe| recipe.blocks.iter().map(Block::text).collect())
        .collect();
    assert_eq!(blocks, [vec!["a\nb"], vec!["c", "d"]]);
    assert_eq!(
        recipes.iter().map(|r| r.at_once).collect::<Vec<_>>(),
        [false, true]
    );
}

#[test]
fn files_are_found() {
    let block = Block::new(
        "gst-launch-1.0 a ! filesink location=x.png\ngst-launch-1.0 filesrc location=no \\\n  ! filesink location=y.mkv b",
    );
    let files: Vec<_> = block.writes().into_iter().map(|(file, _)| file).collect();
    assert_eq!(files, ["x.png", "y.mkv"]);
}
