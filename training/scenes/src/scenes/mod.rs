//! The kinds of scenes, one file per family.

pub mod city;
pub mod closeup;
pub mod common;
pub mod detail;
pub mod everyday;
pub mod interior;
pub mod natural;
pub mod nature;
pub mod people;
pub mod still;
pub mod street;
pub mod wall;

use crate::objects::Maker;
use crate::scene::Scene;

/// A kind of scene.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name on the command line.
    pub name: &'static str,
    /// How often it comes, against the others.
    pub weight: f32,
    /// Puts one together.
    pub make: fn(&mut Maker),
    /// Things may be so near that hardly anything else is seen.
    pub close: bool,
}

const fn kind(name: &'static str, weight: f32, make: fn(&mut Maker), close: bool) -> Kind {
    Kind {
        name,
        weight,
        make,
        close,
    }
}

/// All kinds; the place in the list is the id in the stream, so new ones go to the end.
pub const KINDS: &[Kind] = &[
    kind("street", 5.0, street::street, false),
    kind("road-above", 4.0, street::road_above, false),
    kind("room", 8.0, interior::room, false),
    kind("field", 4.0, nature::field, false),
    kind("forest", 3.0, nature::forest, false),
    kind("hills", 2.0, nature::hills, false),
    kind("waterside", 3.0, nature::waterside, false),
    kind("under-water", 1.0, nature::under_water, false),
    kind("table", 4.0, closeup::table_top, true),
    kind("flower", 2.0, closeup::flowers, true),
    kind("animal", 4.0, closeup::animal, true),
    kind("clutter", 1.5, closeup::clutter, false),
    kind("portrait", 5.0, people::portrait, true),
    kind("crowd", 4.0, people::crowd, false),
    kind("stairs", 1.5, street::stairs, false),
    kind("wall", 2.0, wall::wall, false),
    kind("bridge", 1.0, street::bridge, false),
    kind("lattice", 2.0, detail::lattice, true),
    kind("machine", 1.0, detail::machine, true),
    kind("night-street", 3.0, street::night_street, false),
    kind("drive", 3.0, city::drive, false),
    kind("rooftops", 1.5, city::rooftops, false),
    kind("arcade", 2.0, city::arcade, false),
    kind("bust", 3.0, people::bust, true),
    kind("hand", 1.0, still::hand, true),
    kind("thing", 3.0, still::thing, true),
    kind("heap", 1.0, still::heap, true),
    kind("picture", 1.0, still::picture, true),
    kind("foliage", 2.0, nature::foliage, true),
    kind("flying", 1.0, still::flying, false),
    kind("rocks", 1.5, nature::rocks, false),
    // only where a mix names them: streams without one stay what they are
    kind("within-reach", 0.0, everyday::within_reach, false),
    kind("parked", 0.0, everyday::parked, false),
    kind("passage", 0.0, everyday::passage, false),
];

/// How often each kind comes if nothing else is asked for.
#[must_use]
pub fn usual() -> Vec<f32> {
    KINDS.iter().map(|k| k.weight).collect()
}

/// The id of a kind by its name.
#[must_use]
pub fn find(name: &str) -> Option<usize> {
    KINDS.iter().position(|k| k.name == name)
}

/// Puts a scene of a kind together; it may be degenerate.
#[must_use]
pub fn make(kind: usize, rng: crate::rng::Rng) -> Scene {
    finish(kind, Maker::new(rng))
}

/// As [`make`], without little pictures on walls: for those pictures themselves.
#[must_use]
pub fn make_plain(kind: usize, rng: crate::rng::Rng) -> Scene {
    let mut m = Maker::new(rng);
    m.pictures = false;
    finish(kind, m)
}

fn finish(kind: usize, mut m: Maker) -> Scene {
    (KINDS[kind].make)(&mut m);
    if m.r.chance(0.08) {
        common::foreground(&mut m);
    }
    common::drop_what_holds_the_camera(&mut m.s);
    // the sample film and the detail scenes keep their geometry
    if !KINDS[kind].close && !matches!(KINDS[kind].name, "drive" | "lattice" | "under-water") {
        natural::litter(&mut m);
    }
    natural::surfaces(&mut m);
    natural::bounce(&mut m);
    m.s
}
