//! Samples: the same for the same seed, sound for each kind, whole after the stream.

use depth_scenes::sample::{Sample, Wanted, sample};
use depth_scenes::scenes::KINDS;
use depth_scenes::stream::{read_record, stream};
use std::hash::{DefaultHasher, Hash, Hasher};

fn wanted(kind: Option<usize>) -> Wanted {
    Wanted {
        seed: 42,
        sizes: vec![(64, 48), (48, 64)],
        kind,
        weights: depth_scenes::scenes::usual(),
        clean: false,
    }
}

fn hash(s: &Sample) -> u64 {
    let mut h = DefaultHasher::new();
    s.rgb.hash(&mut h);
    for d in &s.inverse_depth {
        d.to_bits().hash(&mut h);
    }
    h.finish()
}

#[test]
fn a_sample_depends_on_seed_and_index_alone() {
    let w = wanted(None);
    let first: Vec<u64> = (0..6).map(|i| hash(&sample(&w, i))).collect();
    let again: Vec<u64> = (0..6).rev().map(|i| hash(&sample(&w, i))).collect();
    assert!(
        first.iter().eq(again.iter().rev()),
        "in whatever order they are asked for"
    );
    let other = Wanted { seed: 43, ..w };
    assert_ne!(
        first[0],
        hash(&sample(&other, 0)),
        "another seed gives another picture"
    );
}

#[test]
fn a_mix_says_which_kinds_come_and_how_often() {
    let mut weights = vec![0.0; KINDS.len()];
    let (often, seldom) = (3, 7);
    weights[often] = 3.0;
    weights[seldom] = 1.0;
    let w = Wanted {
        weights,
        ..wanted(None)
    };
    let kinds: Vec<usize> = (0..40).map(|i| sample(&w, i).kind).collect();
    let count = |kind| kinds.iter().filter(|k| **k == kind).count();
    assert_eq!(count(often) + count(seldom), 40, "no other kind");
    assert!((20..38).contains(&count(often)), "three in four: {kinds:?}");
}

#[test]
fn each_kind_gives_sound_samples() {
    for (id, kind) in KINDS.iter().enumerate() {
        let mut spread = 0;
        for index in 0..4 {
            let s = sample(&wanted(Some(id)), index);
            assert_eq!(s.kind, id);
            assert_eq!(s.rgb.len(), s.width * s.height * 3);
            assert_eq!(s.inverse_depth.len(), s.width * s.height);
            assert!(
                s.inverse_depth.iter().all(|d| d.is_finite() && *d >= 0.0),
                "{}: depth is a number",
                kind.name
            );
            let seen = s.inverse_depth.iter().filter(|d| **d > 0.0).count();
            assert!(
                seen * 10 > s.inverse_depth.len(),
                "{} {index}: more than a tenth is not sky",
                kind.name
            );
            let mut sorted = s.inverse_depth.clone();
            sorted.sort_by(f32::total_cmp);
            let at = |q: usize| sorted[sorted.len() * q / 100];
            spread += usize::from(at(95) > at(5) * 1.2);
            let bright = s.rgb.iter().copied().max().unwrap_or(0);
            assert!(
                bright > 30,
                "{} {index}: the picture is not black",
                kind.name
            );
        }
        assert!(spread >= 3, "{}: near and far differ", kind.name);
    }
}

#[test]
fn records_come_back_as_they_went() {
    let w = wanted(None);
    let mut bytes = Vec::new();
    stream(&mut bytes, &w, 7, Some(3)).expect("memory takes all");
    let mut from = bytes.as_slice();
    for index in 7..10 {
        let s = read_record(&mut from)
            .expect("a record")
            .expect("three of them");
        let direct = sample(&w, index);
        assert_eq!(
            (s.width, s.height, s.kind, s.index),
            (direct.width, direct.height, direct.kind, index)
        );
        assert_eq!(hash(&s), hash(&direct));
    }
    assert!(
        read_record(&mut from)
            .expect("the end is no error")
            .is_none()
    );
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    struct Gone;
    impl std::io::Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    assert!(stream(&mut Gone, &wanted(None), 0, None).is_ok());
}

#[test]
fn a_clean_sample_has_the_same_depth() {
    let noisy = wanted(None);
    let clean = Wanted {
        clean: true,
        ..noisy.clone()
    };
    let (a, b) = (sample(&noisy, 3), sample(&clean, 3));
    assert_eq!(a.inverse_depth, b.inverse_depth);
}
