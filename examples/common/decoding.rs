//! What is wrong with a file that can't be decoded, in words that name it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use gst::prelude::*;

/// Looks whether there is something to read.
///
/// # Errors
/// A sentence: nothing there, a folder, empty, not to be read.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    let name = path.display();
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => Err(format!("{name} is a folder, not a file")),
        Ok(there) if there.is_file() && there.len() == 0 => Err(format!("{name} is empty")),
        Ok(_) => File::open(path)
            .map(|_| ())
            .map_err(|error| format!("can't read {name}: {error}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("there is no file {name}"))
        }
        Err(error) => Err(format!("can't read {name}: {error}")),
    }
}

/// Hears what a pipeline says that decodes a file.
pub(crate) struct Decoding {
    file: String,
    /// What GStreamer lacks to decode it.
    missing: Vec<String>,
}

impl Decoding {
    pub(crate) fn of(file: &Path) -> Self {
        Self {
            file: file.display().to_string(),
            missing: Vec::new(),
        }
    }

    /// To be shown each message of the bus, in order. Gives an error in words.
    pub(crate) fn hear(&mut self, message: &gst::MessageRef) -> Option<String> {
        match message.view() {
            gst::MessageView::Element(element) => {
                let lacking = element.structure().filter(|it| {
                    let detail = it.get::<gst::Caps>("detail").ok();
                    let kind = detail.as_ref().and_then(|caps| caps.structure(0));
                    // depth is made without the sound
                    it.name() == "missing-plugin"
                        && !kind.is_some_and(|kind| kind.name().starts_with("audio/"))
                });
                if let Some(name) = lacking.and_then(|it| it.get::<String>("name").ok()) {
                    self.missing.push(name);
                }
                None
            }
            gst::MessageView::Error(error) => Some(self.in_words(error)),
            _ => None,
        }
    }

    fn in_words(&self, error: &gst::message::Error) -> String {
        let glib = error.error();
        let words = glib.message();
        if !error.src().is_some_and(decodes) {
            return words.to_owned();
        }
        let (file, stream) = (&self.file, glib.kind::<gst::StreamError>());
        let debug = error.debug().unwrap_or_default();
        // what a demultiplexer says when nobody wants what it has
        let unwanted = stream == Some(gst::StreamError::Failed) && debug.contains("not-linked");
        let undecoded = unwanted
            || glib.kind::<gst::CoreError>() == Some(gst::CoreError::MissingPlugin)
            || matches!(
                stream,
                Some(gst::StreamError::CodecNotFound | gst::StreamError::WrongType)
            );
        let is_encrypted = |name: &String| ["x-cenc", "x-cbcs"].iter().any(|it| name.contains(it));
        if undecoded && self.missing.iter().any(is_encrypted) {
            return format!("can't decode {file}: it is encrypted");
        }
        if undecoded && !self.missing.is_empty() {
            return format!(
                "can't decode {file}: GStreamer has no {} here; more of them are in gstreamer1.0-libav, \
                 gstreamer1.0-plugins-bad and gstreamer1.0-plugins-ugly",
                self.missing.join(", no ")
            );
        }
        if let Some(kind) = picture_in_a_container(Path::new(file)) {
            return format!(
                "can't decode {file}: it is {kind}, which GStreamer does not decode here; make a JPEG or PNG of it first"
            );
        }
        // what decodebin says, when it is faster than the decoder, of one that ended without a frame
        let frameless = debug.contains("all streams without buffers");
        let words = match words.trim_end_matches('.') {
            _ if unwanted => "there is no video in it",
            _ if frameless => "no valid frames found before its end",
            words => words,
        };
        let hint = match stream {
            _ if frameless => "; is it whole?",
            // a demultiplexer that finds no head, a parser that finds no frame
            Some(gst::StreamError::Demux | gst::StreamError::Decode) => "; is it whole?",
            Some(gst::StreamError::TypeNotFound) => "; is it a video or a picture?",
            _ => "",
        };
        let mut letters = words.chars();
        let first = letters.next();
        // the sentence goes on, but a name stays one
        match first.filter(|_| !words.starts_with("GStreamer")) {
            Some(first) => format!(
                "can't decode {file}: {}{}{hint}",
                first.to_lowercase(),
                letters.as_str()
            ),
            None => format!("can't decode {file}: {words}{hint}"),
        }
    }
}

/// Phones' kinds of pictures, which look like MP4 without anything to play.
fn picture_in_a_container(file: &Path) -> Option<&'static str> {
    let mut head = [0; 12];
    File::open(file).ok()?.read_exact(&mut head).ok()?;
    match head.split_at(4).1 {
        b"ftypavif" | b"ftypavis" => Some("an AVIF picture"),
        b"ftypheic" | b"ftypheix" | b"ftyphevc" | b"ftyphevx" | b"ftypmif1" | b"ftypmsf1" => {
            Some("a HEIC picture")
        }
        _ => None,
    }
}

/// Whether this is the pipeline itself, or reads and decodes.
fn decodes(element: &gst::Object) -> bool {
    let is = |object: &gst::Object| {
        object.is::<gst::Pipeline>() && object.parent().is_none()
            || object
                .downcast_ref::<gst::Element>()
                .and_then(gst::Element::factory)
                .is_some_and(|factory| {
                    matches!(factory.name().as_str(), "filesrc" | "decodebin" | "appsrc")
                })
    };
    if is(element) {
        return true;
    }
    let mut parent = element.parent();
    while let Some(object) = parent {
        if !object.is::<gst::Pipeline>() && is(&object) {
            return true;
        }
        parent = object.parent();
    }
    false
}
