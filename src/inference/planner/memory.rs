//! What a network needs in memory at a size: predicted from its tokens, corrected by what was measured.

/// Bytes for each token that ViT-S needs in a run, measured on ONNX Runtime's CPU provider; more for larger networks.
const PER_TOKEN: f64 = 82_000.0;
/// Bytes of the file that these are of.
const FILE: f64 = 99e6;
/// Copies of the attention scores that a run holds at a time where attention is not fused.
const SCORE_COPIES: f64 = 3.7;
/// Attention heads of ViT-S.
const HEADS: f64 = 6.0;
/// Weights in memory over weights in the file, before anything was measured.
const LOADED: f64 = 1.6;
/// Bytes for each pixel of a network that runs elsewhere: the image as numbers, as bytes, and as it is sent; its depth as it
/// comes, as bytes, and as numbers.
const PER_PIXEL_ELSEWHERE: f64 = 3.0 * 12.0 + 3.0 * 4.0;
/// What is measured beyond so many times what is predicted, and this many bytes, was taken by somebody else meanwhile.
const CREDIBLE: (f64, f64) = (3.0, 64e6);
/// Predictions beyond what was measured are given this much more.
const MARGIN: f64 = 1.05;
/// Sizes that are remembered at most.
const MOST_MEASURED: usize = 64;

/// How the need for memory grows with the size, for one network on this machine.
#[derive(Debug, Clone)]
pub struct MemoryModel {
    /// With no run in it.
    loaded: f64,
    per_token: f64,
    per_pair: f64,
    /// Tokens of a size, and what runs up to it have taken beyond `loaded`; growing.
    measured: Vec<(usize, f64)>,
    /// Tokens of the largest size that has been run at in this process; 0: none.
    ran: usize,
}

impl MemoryModel {
    /// For a network whose file has so many bytes. `fused`: its attention holds no scores. `loaded`: bytes that loading
    /// it has taken, where that could be measured.
    pub fn new(file: u64, fused: bool, loaded: Option<u64>) -> Self {
        let file = file as f64;
        // width, and with it the number of heads, goes with the root of the weights
        let width = (file / FILE).sqrt();
        Self {
            loaded: loaded
                .map_or(LOADED * file, |bytes| bytes as f64)
                .max(file / 2.0),
            per_token: PER_TOKEN * width,
            per_pair: if fused {
                0.0
            } else {
                SCORE_COPIES * HEADS * width * 4.0
            },
            measured: Vec::new(),
            ran: 0,
        }
    }

    /// For a network that runs elsewhere, whose patches have such sides: an image and its depth are kept here a few times, as
    /// numbers and as they go over the wire.
    pub fn without_weights(patch: u32) -> Self {
        let pixels = f64::from(patch) * f64::from(patch);
        Self {
            loaded: 0.0,
            per_token: pixels * PER_PIXEL_ELSEWHERE,
            per_pair: 0.0,
            measured: Vec::new(),
            ran: 0,
        }
    }

    fn run(&self, tokens: usize) -> f64 {
        let tokens = tokens as f64;
        tokens * (self.per_token + self.per_pair * tokens)
    }

    /// Bytes that the network takes, weights included, when it runs at `tokens`.
    pub fn predict(&self, tokens: usize) -> u64 {
        let run = match (self.measured.first(), self.measured.last()) {
            (Some(&(smallest, need)), _) if tokens <= smallest => need,
            (Some(first), Some(last)) if tokens > last.0 => {
                let (from, to) = (self.run(first.0), self.run(last.0));
                let slope = if to > from {
                    ((last.1 - first.1) / (to - from)).clamp(0.3, 4.0)
                } else {
                    1.0
                };
                last.1 + MARGIN * slope * (self.run(tokens) - to)
            }
            (Some(_), Some(_)) => {
                let above = self.measured.partition_point(|&(size, _)| size < tokens);
                let ((t0, need0), (t1, need1)) = (self.measured[above - 1], self.measured[above]);
                let share = (tokens - t0) as f64 / (t1 - t0) as f64;
                need0 + share * (need1 - need0)
            }
            _ => MARGIN * self.run(tokens),
        };
        (self.loaded + run) as u64
    }

    /// How many images of `tokens` each may run together within so many bytes: at least one, which is not asked here.
    pub fn batch_within(&self, tokens: usize, bytes: u64) -> usize {
        let one = self.predict(tokens) as f64;
        let each = MARGIN * (one - self.loaded).max(1.0);
        // negative where one is too much already: 0
        1 + ((bytes as f64 - one) / each) as usize
    }

    /// The first run at `tokens` has made the process grow by so many bytes. True: that is news.
    pub fn observe(&mut self, tokens: usize, grown: u64) -> bool {
        if tokens <= self.ran {
            return false;
        }
        let expected = self.run(tokens) - self.run(self.ran);
        let grown = (grown as f64).min(CREDIBLE.0 * expected + CREDIBLE.1);
        let need = self.taken() + grown;
        self.ran = tokens;
        let place = self.measured.partition_point(|&(size, _)| size < tokens);
        let before = self.measured.clone();
        match self.measured.get_mut(place) {
            // what somebody else took meanwhile makes one of the two too large
            Some((size, known)) if *size == tokens => *known = known.min(need),
            _ => self.measured.insert(place, (tokens, need)),
        }
        let mut least: f64 = 0.0;
        for (_, need) in &mut self.measured {
            least = least.max(*need);
            *need = least;
        }
        self.measured != before
    }

    /// What has been measured: tokens, and the bytes that runs up to them take beyond the loaded network.
    pub fn measured(&self) -> Vec<(usize, u64)> {
        let all = self.measured.iter().rev().take(MOST_MEASURED).rev();
        all.map(|&(tokens, need)| (tokens, need as u64)).collect()
    }

    /// Takes over what [`Self::measured`] gave in another process that ran the same network in the same way. What is no such
    /// thing counts for nothing.
    #[must_use]
    pub fn with_measured(mut self, known: &[(usize, u64)]) -> Self {
        let grows = known.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1);
        let is_credible = |&(tokens, need): &(usize, u64)| {
            tokens > 0 && need as f64 <= CREDIBLE.0 * self.run(tokens) + CREDIBLE.1
        };
        if self.ran == 0 && grows && known.iter().all(is_credible) {
            let known = known.iter().take(MOST_MEASURED);
            self.measured = known.map(|&(tokens, need)| (tokens, need as f64)).collect();
        }
        self
    }

    /// What runs in this process have taken.
    fn taken(&self) -> f64 {
        let ran = self.measured.iter().find(|&&(size, _)| size == self.ran);
        ran.map_or(0.0, |&(_, need)| need)
    }

    /// Bytes that the network has taken by now, if it has given none back.
    pub fn held(&self) -> u64 {
        (self.loaded + self.taken()) as u64
    }

    /// The largest size that has been measured, in tokens.
    pub fn largest_measured(&self) -> usize {
        self.measured.last().map_or(0, |&(tokens, _)| tokens)
    }
}

/// Bytes of memory that this process holds; `None` where the system does not tell.
pub fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: asks for a number, and touches nothing
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages * u64::try_from(page).ok()?)
}

/// Gives memory that was freed back to the system, where the allocator would keep it for later.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes the allocator's own locks and touches only what is free
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Gives back what the network has held, once it is gone.
#[derive(Debug)]
pub(crate) struct GivenBack;

impl Drop for GivenBack {
    fn drop(&mut self) {
        give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: f64 = 1e6;

    #[test]
    fn predicts_what_was_measured_elsewhere() {
        // ViT-S on ONNX Runtime's CPU provider, peak memory of the process less 60 MB for Python
        let model = |fused| MemoryModel::new(99_000_000, fused, None);
        for (tokens, fused, megabytes) in [
            (2442, true, 436.0 - 60.0),
            (5476, true, 685.0 - 60.0),
            (2442, false, 918.0 - 60.0),
            (5476, false, 3350.0 - 60.0),
        ] {
            let predicted = model(fused).predict(tokens) as f64 / MB;
            let ratio = predicted / megabytes;
            assert!(
                (0.8..1.25).contains(&ratio),
                "{tokens} {fused}: {predicted} MB"
            );
        }
    }

    #[test]
    fn measurements_correct_it() {
        let mut model = MemoryModel::new(99_000_000, true, Some(150_000_000));
        // a network that takes twice as much for each token, and 20 MB whatever the size
        let need = |tokens: usize| 20e6 + 2.0 * PER_TOKEN * tokens as f64;
        model.observe(200, need(200) as u64);
        model.observe(400, (need(400) - need(200)) as u64);
        for tokens in [200, 300, 400, 1369, 5476] {
            let (predicted, truth) = (model.predict(tokens) as f64, 150e6 + need(tokens));
            assert!((0.95..1.06).contains(&(predicted / truth)), "{tokens}");
        }
        assert_eq!(model.largest_measured(), 400);
        // what somebody else took is not believed
        let mut astray = model.clone();
        astray.observe(500, 90_000_000_000);
        assert!(astray.predict(500) < 600_000_000);
        // sizes that were measured, or are smaller, teach nothing
        model.observe(300, 1_000_000_000);
        assert!(model.predict(400) < 300_000_000);
    }

    #[test]
    fn another_process_need_not_measure_again() {
        let new = || MemoryModel::new(99_000_000, true, Some(150_000_000));
        let mut model = new();
        assert!(model.observe(200, 20_000_000));
        assert!(model.observe(400, 30_000_000));
        assert!(!model.observe(300, 90_000_000), "a smaller one");
        let known = model.measured();
        assert_eq!(known, [(200, 20_000_000), (400, 50_000_000)]);
        let mut later = new().with_measured(&known);
        assert_eq!(later.largest_measured(), 400);
        for tokens in [100, 200, 300, 400, 1369] {
            assert_eq!(later.predict(tokens), model.predict(tokens));
        }
        // and has taken nothing of it yet
        assert_eq!((later.held(), model.held()), (150_000_000, 200_000_000));
        // what was too much then is put right, and what is too much now is not believed
        assert!(later.observe(400, 45_000_000));
        assert_eq!(later.measured(), [(200, 20_000_000), (400, 45_000_000)]);
        assert_eq!(later.held(), 195_000_000);
        let mut later = new().with_measured(&known);
        assert!(!later.observe(400, 60_000_000));
        // between two sizes
        let mut later = new().with_measured(&known);
        assert!(later.observe(300, 40_000_000));
        assert_eq!(later.measured().len(), 3);
        // no such thing
        for known in [
            &[(400, 50), (200, 20)][..],
            &[(200, 50), (400, 20)],
            &[(0, 5)],
            &[(200, u64::MAX)],
        ] {
            assert!(
                new().with_measured(known).measured().is_empty(),
                "{known:?}"
            );
        }
    }

    #[test]
    fn batches_stay_within_memory() {
        let mut model = MemoryModel::new(99_000_000, true, Some(150_000_000));
        model.observe(400, 40_000_000);
        for (bytes, most) in [(100, 1), (190, 1), (230, 1), (233, 2), (300, 3), (1000, 20)] {
            assert_eq!(
                model.batch_within(400, bytes * 1_000_000),
                most,
                "{bytes} MB"
            );
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_takes_some() {
        let bytes = resident().expect("Linux tells");
        assert!(bytes > 1 << 20, "{bytes}");
    }
}
