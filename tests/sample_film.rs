//! The built-in model against the truth, on the sample film.

mod common;

use common::{depth, samples};

/// Reproducible pairs of pixels.
struct Pairs(u64);

impl Pairs {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

#[test]
fn what_is_nearer_is_whiter() {
    let media = |name: &str| common::root().join("examples/media").join(name);
    let truth = samples(&format!(
        "filesrc location={} ! matroskademux ! avdec_ffv1 ! appsink name=out",
        media("sample-depth.mkv").display()
    ));
    let ours = samples(&format!(
        "filesrc location={} ! decodebin ! depthanything resolution=364 inference-interval=8 \
         ! video/x-raw,width=320,height=180 ! appsink name=out",
        media("sample.mkv").display()
    ));
    assert_eq!(ours.len(), 48);
    assert_eq!(truth.len(), ours.len(), "one depth frame for each frame");
    let mut pairs = Pairs(1);
    let (mut right, mut all) = (0, 0);
    for (truth, ours) in truth.iter().zip(&ours).step_by(8) {
        assert!(!common::meta(ours).repeated);
        let (truth, ours) = (depth(truth), depth(ours));
        for _ in 0..4000 {
            let (a, b) = (pairs.below(truth.len()), pairs.below(truth.len()));
            // clearly different: 15 %, and not both next to infinity
            let (near, far) = if truth[a] > truth[b] { (a, b) } else { (b, a) };
            if f64::from(truth[near]) > 1.15 * f64::from(truth[far]) + 60.0 {
                all += 1;
                right += usize::from(ours[near] > ours[far]);
            }
        }
    }
    let order = f64::from(u32::try_from(right).unwrap()) / f64::from(u32::try_from(all).unwrap());
    println!("{order:.3} of {all} pairs in the right order");
    assert!(order > 0.84, "{order}");
}
