//! What a SOURCE on the command line means.

use std::path::{Path, PathBuf};

use gst::prelude::*;

use crate::link_video::link_video;

/// A camera, by its name and where its frames come from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Source {
    /// Names the camera in every message, on the picture and in the recordings' folder.
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// Where frames come from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// A moving ball; the number chooses how it moves.
    Test(usize),
    /// A video device of this machine.
    Device(String),
    /// Whatever GStreamer has a source for: `rtsp://…`, `http://…`.
    Uri(String),
    /// A file.
    File(PathBuf),
    /// A piece of pipeline that ends in video.
    Pipeline(String),
}

impl Source {
    /// Reads `[NAME=]SOURCE`, the command line's `index`-th.
    pub(crate) fn parse(text: &str, index: usize) -> Self {
        let is_name = |name: &str| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|it| it.is_alphanumeric() || matches!(it, '-' | '_'))
        };
        let (name, rest) = match text.split_once('=') {
            Some((name, rest)) if is_name(name) => (name.to_owned(), rest),
            _ => (format!("camera{index}"), text),
        };
        let kind = match rest {
            "test" => Kind::Test(index),
            piece if piece.contains('!') => Kind::Pipeline(piece.to_owned()),
            device if device.starts_with("/dev/") => Kind::Device(device.to_owned()),
            uri if uri.contains("://") => Kind::Uri(uri.to_owned()),
            file => Kind::File(PathBuf::from(file)),
        };
        Self { name, kind }
    }

    /// Whether it gives frames at their time whatever happens to them.
    pub(crate) fn is_live(&self) -> bool {
        !matches!(self.kind, Kind::File(_))
    }

    /// The file, where it is one: it has an end, and to reach it is no fault.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.kind {
            Kind::File(path) => Some(path),
            _ => None,
        }
    }

    /// The elements of GStreamer that it takes for certain, with the Debian packages that hold them.
    pub(crate) fn needs(&self) -> &'static [(&'static str, &'static str)] {
        match &self.kind {
            Kind::Device(_) => &[("v4l2src", "gstreamer1.0-plugins-good")],
            Kind::Uri(uri) if uri.starts_with("rtsp") => {
                &[("rtspsrc", "gstreamer1.0-plugins-good")]
            }
            _ => &[],
        }
    }

    /// The piece of pipeline that ends in the element `input`, which is to follow.
    pub(crate) fn description(&self) -> String {
        // a film may have been taken with a phone held upright
        const UPRIGHT: &str = "videoconvert name=video ! videoflip video-direction=auto ! input.";
        match &self.kind {
            Kind::Test(index) => format!(
                "videotestsrc is-live=true pattern=ball motion={} \
                 ! video/x-raw,width=640,height=360,framerate=10/1 ! input.",
                ["wavy", "sweep", "hsweep"][index % 3]
            ),
            Kind::Device(_) => "v4l2src name=source ! decodebin ! input.".to_owned(),
            Kind::Uri(_) => format!("uridecodebin name=decoder {UPRIGHT}"),
            Kind::File(_) => format!("filesrc name=source ! decodebin name=decoder {UPRIGHT}"),
            Kind::Pipeline(piece) => format!("{piece} ! input."),
        }
    }

    /// Sets up what [`Source::description`] made.
    ///
    /// # Errors
    /// When it lacks an element.
    pub(crate) fn prepare(
        &self,
        pipeline: &gst::Pipeline,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let element = |name: &str| pipeline.by_name(name).ok_or(format!("no element {name}"));
        match &self.kind {
            Kind::Test(_) | Kind::Pipeline(_) => {}
            Kind::Device(device) => element("source")?.set_property("device", device),
            Kind::File(path) => element("source")?.set_property("location", path),
            Kind::Uri(uri) => {
                let decoder = element("decoder")?;
                decoder.set_property("uri", uri);
                decoder.connect("source-setup", false, |values| {
                    let source: gst::Element = values.get(1)?.get().ok()?;
                    // of rtspsrc, whose two seconds are for films
                    if source.find_property("latency").is_some() {
                        source.set_property_from_str("latency", "200");
                    }
                    None
                });
            }
        }
        if let (Some(decoder), Some(video)) =
            (pipeline.by_name("decoder"), pipeline.by_name("video"))
        {
            link_video(pipeline, &decoder, &video)?;
        }
        Ok(())
    }

    /// `text` without the user name and password that the camera's address may hold.
    pub(crate) fn redact(&self, text: &str) -> String {
        let Kind::Uri(uri) = &self.kind else {
            return text.to_owned();
        };
        let secret = uri
            .split_once("://")
            .map(|(_, rest)| rest.split('/').next().unwrap_or_default())
            .and_then(|authority| authority.rsplit_once('@'))
            .map(|(secret, _)| secret)
            .filter(|secret| !secret.is_empty());
        match secret {
            Some(secret) => text.replace(secret, "…"),
            None => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart() {
        for (text, name, kind) in [
            ("test", "camera3", Kind::Test(3)),
            (
                "door=rtsp://10.0.0.7/live?a=b",
                "door",
                Kind::Uri("rtsp://10.0.0.7/live?a=b".into()),
            ),
            (
                "rtsp://10.0.0.7/live?a=b",
                "camera3",
                Kind::Uri("rtsp://10.0.0.7/live?a=b".into()),
            ),
            ("/dev/video0", "camera3", Kind::Device("/dev/video0".into())),
            ("a=b.mp4", "a", Kind::File("b.mp4".into())),
            ("./a=b.mp4", "camera3", Kind::File("./a=b.mp4".into())),
            (
                "yard=videotestsrc is-live=true ! videoscale",
                "yard",
                Kind::Pipeline("videotestsrc is-live=true ! videoscale".into()),
            ),
            (
                "videotestsrc is-live=true ! videoscale",
                "camera3",
                Kind::Pipeline("videotestsrc is-live=true ! videoscale".into()),
            ),
        ] {
            let expected = Source {
                name: name.into(),
                kind,
            };
            assert_eq!(Source::parse(text, 3), expected);
        }
    }

    #[test]
    fn passwords_are_not_told() {
        let source = Source::parse("rtsp://admin:a@b@10.0.0.7/live", 0);
        let told = source.redact("can't open rtsp://admin:a@b@10.0.0.7/live");
        assert_eq!(told, "can't open rtsp://…@10.0.0.7/live");
        let source = Source::parse("rtsp://10.0.0.7/a@b", 0);
        assert_eq!(source.redact("rtsp://10.0.0.7/a@b"), "rtsp://10.0.0.7/a@b");
    }
}
