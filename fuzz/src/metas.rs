//! Metas that lie, on frames for `depthcolorize`.

use std::error::Error;

use crate::Target;
use crate::random::Random;

pub(crate) struct Metas {
    harness: gst_check::Harness,
    sent: u64,
}

impl Metas {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let mut harness = gst_check::Harness::new_parse("depthcolorize near=0.5 far=3");
        harness.set_src_caps_str("video/x-raw,format=GRAY16_LE,width=16,height=8,framerate=30/1");
        harness.set_sink_caps_str("video/x-raw,format=RGB");
        harness.play();
        Ok(Self { harness, sent: 0 })
    }
}

impl Target for Metas {
    fn run(&mut self, random: &mut Random) -> &'static str {
        let mut buffer = gst::Buffer::from_mut_slice(vec![random.next() as u8; 16 * 8 * 2]);
        {
            let buffer = buffer.make_mut();
            buffer.set_pts(gst::ClockTime::from_mseconds(self.sent));
            let Ok(mut meta) = gst::meta::CustomMeta::add(buffer, "GstDepthMeta") else {
                return "no meta";
            };
            let structure = meta.mut_structure();
            for field in [
                "scale",
                "offset",
                "unit",
                "network-width",
                "network-height",
                "repeated",
                "filtered",
                "scene",
                "model",
                "other",
            ] {
                match random.below(7) {
                    0 => structure.set(field, random.odd_float()),
                    1 => structure.set(field, random.odd_number()),
                    2 => structure.set(field, random.odd_number() as i32),
                    3 => structure.set(field, random.odd_number() as u32),
                    4 => structure.set(field, random.once_in(2)),
                    5 => structure.set(
                        field,
                        random.one_of(["metre", "inverse-depth", "", "\u{1b}[2J"]),
                    ),
                    _ => structure.remove_field(field),
                }
            }
            // as it should be, but for the numbers
            if random.once_in(2) {
                structure.set("scale", random.odd_float());
                structure.set("offset", random.odd_float());
                structure.set("unit", random.one_of(["metre", "inverse-depth"]));
                structure.set("network-width", random.odd_number() as u32);
                structure.set("network-height", random.odd_number() as u32);
                structure.set("repeated", false);
                structure.set("filtered", false);
                structure.set("scene", random.next() as u32);
                structure.set("model", "m".repeat(random.below(3000)));
            }
            let _ = gstdepthanything::depth_meta::DepthMeta::read(buffer);
        }
        self.sent += 1;
        match self.harness.push_and_pull(buffer) {
            Ok(_) => "coloured",
            Err(_) => "refused",
        }
    }
}
