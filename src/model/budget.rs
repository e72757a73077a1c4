//! How much work a model file may cause before it is refused.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Error;

/// Steps that all walks over one model's graph may take together. The largest depth networks take some ten thousand;
/// a million takes less than a tenth of a second.
const MAX_STEPS: u64 = 2_000_000;
/// How often a walk looks whether it has been cancelled.
const STEPS_BETWEEN_LOOKS: u64 = 1 << 12;

/// Ends the reading of a model from another thread. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Ends what was given a clone of this, soon.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a walk ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The steps are used up.
    Steps,
    /// Somebody cancelled it.
    Cancelled,
}

/// What the walks over one model's graph may still do. Whatever follows a graph takes its steps from here: by
/// `Graph::producer` and the like, which then find nothing more, or by `Budget::spend`.
#[derive(Debug)]
pub struct Budget {
    steps: Cell<u64>,
    until_look: Cell<u64>,
    /// Bytes of files that may still be read into memory.
    memory: Cell<u64>,
    cancel: Cancel,
    stopped: Cell<Option<Stop>>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(Cancel::default())
    }
}

impl Budget {
    /// A whole one, for one model.
    pub fn new(cancel: Cancel) -> Self {
        Self {
            steps: Cell::new(MAX_STEPS),
            until_look: Cell::new(0),
            memory: Cell::new(u64::MAX),
            cancel,
            stopped: Cell::new(None),
        }
    }

    /// The same, with room for so many bytes of files.
    pub fn with_memory(self, bytes: u64) -> Self {
        self.memory.set(bytes);
        self
    }

    /// Takes room for `bytes` of a file. `false`: there is not so much.
    pub(super) fn take_memory(&self, bytes: u64) -> bool {
        let left = self.memory.get().checked_sub(bytes);
        left.inspect(|&left| self.memory.set(left)).is_some()
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Takes `steps`. `false`: there are none left, or it was cancelled, and the walk has to end.
    pub(super) fn spend(&self, steps: usize) -> bool {
        if self.stopped.get().is_some() {
            return false;
        }
        let steps = steps as u64;
        match self.steps.get().checked_sub(steps) {
            Some(left) => self.steps.set(left),
            None => self.stopped.set(Some(Stop::Steps)),
        }
        match self.until_look.get().checked_sub(steps) {
            Some(left) => self.until_look.set(left),
            None => {
                self.until_look.set(STEPS_BETWEEN_LOOKS);
                if self.cancel.is_cancelled() {
                    self.stopped.set(Some(Stop::Cancelled));
                }
            }
        }
        self.stopped.get().is_none()
    }

    /// Why a walk ended early, if one did.
    pub(super) fn stopped(&self) -> Option<Stop> {
        if self.cancel.is_cancelled() {
            return Some(Stop::Cancelled);
        }
        self.stopped.get()
    }

    /// For the model called `label`.
    ///
    /// # Errors
    /// [`Error::ModelInvalid`] when a walk used up the steps, [`Error::Cancelled`].
    pub(super) fn check(&self, label: &str) -> Result<(), Error> {
        match self.stopped() {
            None => Ok(()),
            Some(Stop::Cancelled) => Err(Error::Cancelled),
            Some(Stop::Steps) => Err(Error::ModelInvalid {
                model: label.to_owned(),
                reason: "its graph takes too many steps to follow: it was made to waste time, or is no depth network; \
                         use another file"
                    .to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_end() {
        let budget = Budget::default();
        let mut taken = 0_u64;
        while budget.spend(7) {
            taken += 7;
        }
        assert!((MAX_STEPS - 7..=MAX_STEPS).contains(&taken), "{taken}");
        assert!(!budget.spend(0), "ended is ended");
        let error = budget.check("m.onnx").unwrap_err().to_string();
        assert!(error.contains("m.onnx"), "{error}");
    }

    #[test]
    fn no_number_of_steps_overflows() {
        let budget = Budget::default();
        assert!(!budget.spend(usize::MAX));
    }

    #[test]
    fn cancelled_from_outside() {
        let cancel = Cancel::default();
        let budget = Budget::new(cancel.clone());
        assert!(budget.spend(1) && budget.check("m.onnx").is_ok());
        cancel.cancel();
        assert!(matches!(budget.check("m.onnx"), Err(Error::Cancelled)));
        let looks = (0..=STEPS_BETWEEN_LOOKS).take_while(|_| budget.spend(1));
        assert!(looks.count() as u64 <= STEPS_BETWEEN_LOOKS);
    }
}
