//! What is told of sizes that have to be compiled before the network runs at them.

use std::time::{Duration, Instant};

use crate::geometry::Size;
use crate::inference::backend::Readiness;

/// Hears of compilations, on the thread of the stream.
pub(crate) type Tell = dyn Fn(Compilation) + Send;

/// News of a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compilation {
    pub(crate) size: Size,
    pub(crate) is_done: bool,
    /// Since it began.
    pub(crate) elapsed: Duration,
}

/// Tells of each compilation twice: when the stream first finds it under way, and when it is done.
#[derive(Default)]
pub(super) struct Watch {
    tell: Option<Box<Tell>>,
    /// What was told of, and when it began.
    under_way: Option<(Size, Instant)>,
}

impl Watch {
    pub(super) fn new(tell: Box<Tell>) -> Self {
        Self {
            tell: Some(tell),
            under_way: None,
        }
    }

    /// The stream wants `size`, which is so far. What fails is told by the error of the run.
    pub(super) fn observe(&mut self, size: Size, readiness: &Readiness) {
        let known = self.under_way.filter(|&(known, _)| known == size);
        let news = match (readiness, known) {
            (Readiness::Preparing(elapsed), None) => {
                let now = Instant::now();
                self.under_way = Some((size, now.checked_sub(*elapsed).unwrap_or(now)));
                Some((false, *elapsed))
            }
            (Readiness::Preparing(_), Some(_)) => None,
            (Readiness::Ready, known) => {
                self.under_way = None;
                known.map(|(_, since)| (true, since.elapsed()))
            }
            (Readiness::Failed(_), _) => {
                self.under_way = None;
                None
            }
        };
        if let (Some((is_done, elapsed)), Some(tell)) = (news, &self.tell) {
            tell(Compilation {
                size,
                is_done,
                elapsed,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::error::Error;

    #[test]
    fn each_compilation_is_told_of_when_it_begins_and_when_it_is_done() {
        let (sender, told) = mpsc::channel();
        let mut watch = Watch::new(Box::new(move |news: Compilation| {
            sender.send((news.size.width, news.is_done)).unwrap();
        }));
        let size = |side| Size::new(side, side);
        let preparing = || Readiness::Preparing(Duration::from_secs(3));
        // what is ready at once is no news
        watch.observe(size(14), &Readiness::Ready);
        for _ in 0..3 {
            watch.observe(size(28), &preparing());
        }
        watch.observe(size(28), &Readiness::Ready);
        watch.observe(size(28), &Readiness::Ready);
        // another size is wanted before the first is done
        watch.observe(size(42), &preparing());
        watch.observe(size(56), &preparing());
        watch.observe(size(56), &Readiness::Ready);
        // what fails is never done
        watch.observe(size(70), &preparing());
        let failed = Readiness::Failed(Error::Inference {
            size: "70×70".into(),
            reason: "no".into(),
        });
        watch.observe(size(70), &failed);
        watch.observe(size(70), &Readiness::Ready);
        let told: Vec<_> = told.try_iter().collect();
        assert_eq!(
            told,
            [
                (28, false),
                (28, true),
                (42, false),
                (56, false),
                (56, true),
                (70, false)
            ]
        );
    }

    #[test]
    fn time_counts_from_the_beginning() {
        let (sender, told) = mpsc::channel();
        let mut watch = Watch::new(Box::new(move |news: Compilation| {
            sender.send(news.elapsed).unwrap();
        }));
        let begun = Duration::from_millis(1500);
        watch.observe(Size::new(14, 14), &Readiness::Preparing(begun));
        watch.observe(Size::new(14, 14), &Readiness::Ready);
        let told: Vec<_> = told.try_iter().collect();
        assert_eq!(told[0], begun);
        assert!(told[1] >= begun, "{told:?}");
    }
}
