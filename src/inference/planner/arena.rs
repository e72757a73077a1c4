//! When to give memory back.
//!
//! ONNX Runtime's arena keeps what the largest run took, for ever: 3 GB after one visit to 1036². Shrinking it is a
//! run option, and the run after that has to ask the system for memory again. So it is shrunk when a stream has
//! settled at a smaller size, not when sizes alternate.

/// Runs at half the largest size or less after which memory goes back.
const RUNS_BEFORE_SHRINKING: u32 = 8;

/// The sizes of recent runs.
#[derive(Debug, Default)]
pub(in crate::inference) struct Arena {
    /// Pixels of the largest run since the last shrinking.
    largest: usize,
    /// Much smaller runs since the last one that was not.
    smaller: u32,
}

impl Arena {
    /// Counts a run of `area` pixels. True: shrink after it.
    pub(in crate::inference) fn count(&mut self, area: usize) -> bool {
        if area > self.largest / 2 {
            self.largest = self.largest.max(area);
            self.smaller = 0;
            return false;
        }
        self.smaller += 1;
        if self.smaller < RUNS_BEFORE_SHRINKING {
            return false;
        }
        self.largest = area;
        self.smaller = 0;
        true
    }

    /// A run found no memory: the next one gives back what this one left.
    pub(in crate::inference) fn overflowed(&mut self) {
        self.largest = usize::MAX;
        self.smaller = RUNS_BEFORE_SHRINKING;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shrinks_once_when_a_stream_has_settled_lower() {
        let mut arena = Arena::default();
        assert!(!arena.count(1000));
        let shrinks: Vec<bool> = (0..20).map(|_| arena.count(400)).collect();
        assert_eq!(shrinks.iter().filter(|&&shrink| shrink).count(), 1);
        assert!(shrinks[RUNS_BEFORE_SHRINKING as usize - 1]);
        assert!(!arena.count(1000));
        assert!((0..20).all(|_| !arena.count(600)), "not much smaller");
    }

    #[test]
    fn does_not_shrink_for_alternating_sizes() {
        let mut arena = Arena::default();
        assert!((0..50).all(|run| !arena.count(if run % 4 == 0 { 1000 } else { 100 })));
    }

    #[test]
    fn shrinks_at_once_after_an_overflow() {
        let mut arena = Arena::default();
        assert!(!arena.count(1000));
        arena.overflowed();
        assert!(arena.count(900));
        assert!(!arena.count(900));
    }
}
