//! Caps that nobody means, asked of both elements.

use std::error::Error;

use gst::prelude::*;

use crate::Target;
use crate::random::Random;

pub(crate) struct Offers {
    elements: Vec<gst::Element>,
}

impl Offers {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let make = |name: &str| gst::ElementFactory::make(name).build();
        Ok(Self {
            elements: vec![make("depthanything")?, make("depthcolorize")?],
        })
    }
}

impl Target for Offers {
    fn run(&mut self, random: &mut Random) -> &'static str {
        let Some(element) = random.pick(&self.elements) else {
            return "no element";
        };
        let pads = element.pads();
        let Some(pad) = random.pick(&pads) else {
            return "no pad";
        };
        let caps = offer(random);
        let answer = pad.query_caps(Some(&caps));
        assert!(answer.is_empty() || !pad.query_caps(None).is_empty());
        // only such caps can be asked about
        if !caps.is_fixed() {
            return "asked for more";
        }
        if pad.query_accept_caps(&caps) {
            "accepted"
        } else {
            "refused"
        }
    }
}

fn offer(random: &mut Random) -> gst::Caps {
    let mut caps = gst::Caps::new_empty();
    for _ in 0..=random.below(3) {
        let mut structure =
            gst::Structure::new_empty(random.one_of(["video/x-raw", "video/x-raw", "image/png"]));
        for field in ["width", "height"] {
            let [one, other] = [random.odd_number() as i32, random.odd_number() as i32];
            match random.below(5) {
                0 => structure.set(field, one),
                1 if one < other => structure.set(field, gst::IntRange::new(one, other)),
                2 => structure.set(field, gst::List::new([one, other])),
                3 => structure.set(field, 1 + random.below(5000) as i32),
                _ => {}
            }
        }
        for field in ["pixel-aspect-ratio", "framerate"] {
            let [above, below] = [random.odd_number() as i32, random.odd_number() as i32];
            // GStreamer itself takes none with these
            if random.once_in(2) && below != 0 && below != i32::MIN && above != i32::MIN {
                structure.set(field, gst::Fraction::new(above, below));
            }
        }
        for field in [
            "format",
            "colorimetry",
            "interlace-mode",
            "multiview-mode",
            "chroma-site",
        ] {
            let text = random.one_of([
                "GRAY16_LE",
                "GRAY16_BE",
                "NV12",
                "RGB",
                "I420_10LE",
                "AYUV64",
                "v210",
                "bt709",
                "bt2100-pq",
                "1:3:5:7",
                "2:99:99:99",
                "progressive",
                "interleaved",
                "mixed",
                "",
                "left",
                "\u{1b}[2J",
            ]);
            match random.below(4) {
                0 => structure.set(field, text),
                1 => structure.set(field, random.odd_number() as i32),
                _ => {}
            }
        }
        caps.get_mut()
            .map(|caps| caps.append_structure(structure))
            .unwrap_or_default();
    }
    caps
}
