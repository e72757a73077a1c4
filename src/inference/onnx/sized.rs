//! One network a size, for compilers that want each size of its own.
//!
//! A size is compiled on another thread when it is asked for; the others go on running meanwhile. One is compiled at a
//! time, the one that was asked for last first: a slider that is moved asks for many that nobody wants any more a moment
//! later. The thread ends when there is nothing to compile, and at the latest with the compilation that is under way when
//! the network goes.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use crate::error::Error;
use crate::geometry::Size;
use crate::inference::backend::{
    Cancellation, DepthMaps, Description, Images, Network, Preparation, Readiness,
};
use crate::inference::under_way::UnderWay;
use crate::panics::caught;
use crate::sync::lock;

/// Makes the network of a size. Takes as long as it takes.
pub(super) type Compile = dyn Fn(Size) -> Result<Box<dyn Network>, Error> + Send + Sync;

/// Sizes that are kept; the one that was not used for longest goes first.
const MOST_SIZES: usize = 4;
/// Sizes that are to be compiled; the one that was not asked for for longest goes first.
const MOST_WANTED: usize = 4;

/// A network made of one for each size.
pub(super) struct SizedNetwork {
    description: Description,
    sizes: Arc<Sizes>,
}

struct Sizes {
    compile: Box<Compile>,
    slots: Mutex<Slots>,
    /// Rings when a size is compiled, and when a run is cancelled.
    changed: Condvar,
}

#[derive(Default)]
struct Slots {
    by_size: HashMap<Size, Slot>,
    /// Counts uses.
    clock: u64,
    /// A thread compiles.
    compiles: bool,
    /// The network is gone.
    closed: bool,
    /// The run that is under way is to end.
    cancelled: bool,
    /// What ends it where it is in the network of its size.
    running: Option<Arc<dyn Cancellation>>,
    /// The size that a run waits for.
    awaited: Option<Size>,
}

enum Slot {
    /// Asked for first and, by the count of uses, last.
    Wanted {
        since: Instant,
        asked: u64,
    },
    Compiling(Instant),
    Ready {
        network: Box<dyn Network>,
        used: u64,
    },
    Running,
    Failed(Error),
}

impl SizedNetwork {
    pub(super) fn description_mut(&mut self) -> &mut Description {
        &mut self.description
    }

    /// What `description` says, with `first` for the size that is there already.
    pub(super) fn new(
        description: Description,
        first: (Size, Box<dyn Network>),
        compile: Box<Compile>,
    ) -> Self {
        let (size, network) = first;
        let slot = Slot::Ready { network, used: 0 };
        Self {
            description,
            sizes: Arc::new(Sizes {
                compile,
                slots: Mutex::new(Slots {
                    by_size: HashMap::from([(size, slot)]),
                    ..Slots::default()
                }),
                changed: Condvar::new(),
            }),
        }
    }
}

impl Drop for SizedNetwork {
    fn drop(&mut self) {
        let mut slots = lock(&self.sizes.slots);
        slots.closed = true;
        let gone = std::mem::take(&mut slots.by_size);
        drop(slots);
        self.sizes.changed.notify_all();
        drop(gone);
    }
}

impl Network for SizedNetwork {
    fn description(&self) -> &Description {
        &self.description
    }

    fn run(&mut self, images: Images<'_>, depth: &mut DepthMaps) -> Result<(), Error> {
        let mut network = self.sizes.take(images.size)?;
        let result = network.run(images, depth);
        self.sizes.put_back(images.size, network);
        result
    }

    fn preparation(&self) -> Option<Arc<dyn Preparation>> {
        Some(Arc::clone(&self.sizes) as Arc<dyn Preparation>)
    }

    fn cancellation(&self) -> Option<Arc<dyn Cancellation>> {
        Some(Arc::clone(&self.sizes) as Arc<dyn Cancellation>)
    }
}

impl Sizes {
    /// The network of `size`, to be put back. Waits for its compilation, which begins here at the latest.
    fn take(self: &Arc<Self>, size: Size) -> Result<Box<dyn Network>, Error> {
        let mut slots = lock(&self.slots);
        slots.awaited = Some(size);
        let taken = loop {
            if slots.cancelled {
                break Err(cancelled(size));
            }
            match slots.by_size.get_mut(&size) {
                None => {
                    drop(slots);
                    self.want(size);
                    slots = lock(&self.slots);
                }
                Some(slot @ Slot::Ready { .. }) => {
                    if let Slot::Ready { network, .. } = std::mem::replace(slot, Slot::Running) {
                        slots.running = network.cancellation();
                        break Ok(network);
                    }
                }
                Some(Slot::Failed(error)) => break Err(error.clone()),
                Some(Slot::Wanted { .. } | Slot::Compiling(_) | Slot::Running) => {
                    let wait = self.changed.wait(slots);
                    slots = wait.unwrap_or_else(PoisonError::into_inner);
                }
            }
        };
        slots.awaited = None;
        taken
    }

    fn put_back(&self, size: Size, network: Box<dyn Network>) {
        let mut slots = lock(&self.slots);
        if let Some(running) = slots.running.take()
            && slots.cancelled
        {
            running.reset();
        }
        slots.clock += 1;
        let used = slots.clock;
        slots.by_size.insert(size, Slot::Ready { network, used });
        self.changed.notify_all();
    }

    /// `size` is to be compiled, unless that has been done or has begun.
    fn want(self: &Arc<Self>, size: Size) {
        let mut slots = lock(&self.slots);
        slots.clock += 1;
        let clock = slots.clock;
        match slots.by_size.get_mut(&size) {
            Some(Slot::Wanted { asked, .. }) => {
                *asked = clock;
                return;
            }
            Some(_) => return,
            None => {}
        }
        slots.forget_the_unwanted();
        let wanted = Slot::Wanted {
            since: Instant::now(),
            asked: clock,
        };
        slots.by_size.insert(size, wanted);
        if slots.compiles {
            return;
        }
        slots.compiles = true;
        drop(slots);
        let sizes = Arc::clone(self);
        let thread = std::thread::Builder::new()
            .name("depth-compiling".to_owned())
            .spawn(move || sizes.compile_what_is_wanted());
        if let Err(error) = thread {
            let mut slots = lock(&self.slots);
            slots.compiles = false;
            let failed = Slot::Failed(Error::Inference {
                size: size.to_string(),
                reason: format!("no thread to compile it on: {error}"),
            });
            slots.by_size.insert(size, failed);
            self.changed.notify_all();
        }
    }

    fn compile_what_is_wanted(&self) {
        loop {
            let (size, dropped) = {
                let mut slots = lock(&self.slots);
                let Some(size) = slots.next().filter(|_| !slots.closed) else {
                    slots.compiles = false;
                    return;
                };
                let dropped = slots.make_room();
                let since = match slots.by_size.get(&size) {
                    Some(Slot::Wanted { since, .. }) => *since,
                    _ => Instant::now(),
                };
                slots.by_size.insert(size, Slot::Compiling(since));
                (size, dropped)
            };
            // to let an engine go takes time
            drop(dropped);
            let failed = |reason| {
                Slot::Failed(Error::Inference {
                    size: size.to_string(),
                    reason,
                })
            };
            let slot = match UnderWay::enter() {
                Ok(_under_way) => match caught(|| (self.compile)(size)) {
                    Ok(Ok(network)) => Slot::Ready { network, used: 0 },
                    Ok(Err(error)) => Slot::Failed(error),
                    Err(words) => failed(format!(
                        "this plugin has failed while it compiled ({words}); please report that"
                    )),
                },
                Err(_) => failed("the program is ending".to_owned()),
            };
            let mut slots = lock(&self.slots);
            if slots.closed {
                slots.compiles = false;
                drop(slots);
                // the last word of a network that is gone
                drop(slot);
                return;
            }
            slots.by_size.insert(size, slot);
            drop(slots);
            self.changed.notify_all();
        }
    }
}

fn cancelled(size: Size) -> Error {
    Error::Inference {
        size: size.to_string(),
        reason: "nobody waits for it any more".to_owned(),
    }
}

impl Slots {
    /// What to compile next: what a run waits for, else what was asked for last.
    fn next(&self) -> Option<Size> {
        let wanted = self.by_size.iter().filter_map(|(&size, slot)| match slot {
            Slot::Wanted { asked, .. } => Some((Some(size) == self.awaited, *asked, size)),
            _ => None,
        });
        wanted
            .max_by_key(|&(awaited, asked, _)| (awaited, asked))
            .map(|(_, _, size)| size)
    }

    /// Makes room for one more that is wanted: of those that nobody waits for, the one goes that was not asked for for
    /// longest. Who still wants it asks again.
    fn forget_the_unwanted(&mut self) {
        let awaited = self.awaited;
        let wanted = || {
            self.by_size.iter().filter_map(|(&size, slot)| match slot {
                Slot::Wanted { asked, .. } if Some(size) != awaited => Some((*asked, size)),
                _ => None,
            })
        };
        if wanted().count() >= MOST_WANTED
            && let Some((_, size)) = wanted().min_by_key(|&(asked, _)| asked)
        {
            self.by_size.remove(&size);
        }
    }

    /// Lets the size go that was not used for longest, if there are many, and what failed.
    fn make_room(&mut self) -> Option<Slot> {
        let age = |slot: &Slot| match slot {
            Slot::Failed(_) => Some(0),
            Slot::Ready { used, .. } => Some(1 + used),
            Slot::Wanted { .. } | Slot::Compiling(_) | Slot::Running => None,
        };
        let kept = self
            .by_size
            .values()
            .filter(|slot| !matches!(slot, Slot::Wanted { .. } | Slot::Compiling(_)));
        if kept.count() < MOST_SIZES {
            return None;
        }
        let oldest = self
            .by_size
            .iter()
            .filter_map(|(&size, slot)| Some((age(slot)?, size)))
            .min_by_key(|&(age, _)| age)?
            .1;
        self.by_size.remove(&oldest)
    }
}

impl Preparation for Sizes {
    fn prepare(self: Arc<Self>, size: Size) -> Readiness {
        self.want(size);
        match lock(&self.slots).by_size.get(&size) {
            Some(Slot::Ready { .. } | Slot::Running) => Readiness::Ready,
            Some(Slot::Failed(error)) => Readiness::Failed(error.clone()),
            Some(Slot::Compiling(since) | Slot::Wanted { since, .. }) => {
                Readiness::Preparing(since.elapsed())
            }
            None => Readiness::Preparing(std::time::Duration::ZERO),
        }
    }
}

impl Cancellation for Sizes {
    fn cancel(&self) {
        let mut slots = lock(&self.slots);
        slots.cancelled = true;
        if let Some(running) = &slots.running {
            running.cancel();
        }
        drop(slots);
        self.changed.notify_all();
    }

    fn reset(&self) {
        lock(&self.slots).cancelled = false;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    fn description() -> Description {
        Description {
            batch: Some(1),
            precision: "fp16".to_owned(),
            ..Description::of_any_size("stub")
        }
    }

    /// Takes its own size only, as a compiled engine does.
    struct Stub(Size);

    impl Network for Stub {
        fn description(&self) -> &Description {
            unreachable!("nobody asks")
        }

        fn run(&mut self, images: Images<'_>, depth: &mut DepthMaps) -> Result<(), Error> {
            assert_eq!(images.size, self.0);
            depth.size = images.size;
            Ok(())
        }
    }

    fn size(side: u32) -> Size {
        Size::new(side, side)
    }

    fn run(network: &mut SizedNetwork, side: u32) -> Result<Size, Error> {
        let mut depth = DepthMaps::default();
        let images = Images {
            values: &[],
            batch: 1,
            size: size(side),
        };
        network.run(images, &mut depth).map(|()| depth.size)
    }

    fn network(
        compile: impl Fn(Size) -> Result<Box<dyn Network>, Error> + Send + Sync + 'static,
    ) -> SizedNetwork {
        let first = (size(14), Box::new(Stub(size(14))) as Box<dyn Network>);
        SizedNetwork::new(description(), first, Box::new(compile))
    }

    #[test]
    fn a_size_is_compiled_while_another_runs() {
        let gate = Arc::new(AtomicBool::new(false));
        let open = Arc::clone(&gate);
        let mut network = network(move |size| {
            while !open.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(Box::new(Stub(size)))
        });
        let preparation = network.preparation().expect("sizes");
        let prepare = |side| Arc::clone(&preparation).prepare(size(side));
        assert!(matches!(prepare(14), Readiness::Ready));
        assert!(matches!(prepare(28), Readiness::Preparing(_)));
        for _ in 0..10 {
            assert_eq!(run(&mut network, 14).expect("runs"), size(14));
        }
        assert!(matches!(prepare(28), Readiness::Preparing(_)));
        gate.store(true, Ordering::SeqCst);
        // who does not ask before waits
        assert_eq!(run(&mut network, 28).expect("runs"), size(28));
        assert!(matches!(prepare(28), Readiness::Ready));
    }

    #[test]
    fn a_size_that_fails_is_told_and_the_others_run() {
        let mut network = network(|size| {
            Err(Error::Inference {
                size: size.to_string(),
                reason: "no".to_owned(),
            })
        });
        for _ in 0..2 {
            let error = run(&mut network, 28).expect_err("no engine");
            assert!(error.to_string().contains("28×28"), "{error}");
        }
        let preparation = network.preparation().expect("sizes");
        assert!(matches!(
            preparation.prepare(size(28)),
            Readiness::Failed(_)
        ));
        assert!(run(&mut network, 14).is_ok());
    }

    #[test]
    fn old_sizes_go() {
        let compiled = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&compiled);
        let mut network = network(move |size| {
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(Box::new(Stub(size)))
        });
        for side in [28, 42, 56, 70, 28, 70] {
            run(&mut network, side).expect("runs");
        }
        assert_eq!(compiled.load(Ordering::SeqCst), 4);
        // 14 was the oldest
        run(&mut network, 14).expect("runs");
        assert_eq!(compiled.load(Ordering::SeqCst), 5);
    }

    #[test]
    fn a_compiler_that_panics_fails_its_size_and_no_other() {
        let mut network = network(|size| {
            assert!(size.width != 28, "the compiler's own fault");
            Ok(Box::new(Stub(size)))
        });
        let error = run(&mut network, 28).expect_err("no engine");
        assert!(error.to_string().contains("28×28"), "{error}");
        assert_eq!(run(&mut network, 42).expect("runs"), size(42));
        assert_eq!(run(&mut network, 14).expect("runs"), size(14));
    }

    /// A compiler that waits until it is let go, what it was asked to compile, and how many of it were at it at a time.
    #[derive(Default)]
    struct Slow {
        go: AtomicBool,
        asked: Mutex<Vec<u32>>,
        threads: AtomicUsize,
        most: AtomicUsize,
    }

    fn slow() -> (SizedNetwork, Arc<Slow>) {
        let slow = Arc::new(Slow::default());
        let compiler = Arc::clone(&slow);
        let network = network(move |size| {
            let threads = compiler.threads.fetch_add(1, Ordering::SeqCst) + 1;
            compiler.most.fetch_max(threads, Ordering::SeqCst);
            lock(&compiler.asked).push(size.width);
            while !compiler.go.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            compiler.threads.fetch_sub(1, Ordering::SeqCst);
            Ok(Box::new(Stub(size)))
        });
        (network, slow)
    }

    fn until(condition: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !condition() {
            assert!(Instant::now() < end, "it never comes");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_slider_compiles_what_it_stops_at_and_one_at_a_time() {
        let (mut network, slow) = slow();
        let preparation = network.preparation().expect("sizes");
        let prepare = |side| Arc::clone(&preparation).prepare(size(side));
        for step in 0..200 {
            assert!(matches!(prepare(28 + 14 * step), Readiness::Preparing(_)));
        }
        until(|| !lock(&slow.asked).is_empty());
        slow.go.store(true, Ordering::SeqCst);
        until(|| matches!(prepare(28 + 14 * 199), Readiness::Ready));
        assert!(run(&mut network, 28 + 14 * 199).is_ok());
        let asked = lock(&slow.asked).clone();
        assert!(asked.len() <= 2 + MOST_WANTED, "{asked:?}");
        assert!(
            asked[..2].contains(&(28 + 14 * 199)),
            "the last one first: {asked:?}"
        );
        assert_eq!(slow.most.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_network_that_goes_leaves_at_most_what_is_under_way() {
        let (network, slow) = slow();
        let preparation = network.preparation().expect("sizes");
        for step in 0..4 {
            Arc::clone(&preparation).prepare(size(28 + 14 * step));
        }
        until(|| lock(&slow.asked).len() == 1);
        drop(network);
        let sizes = Arc::downgrade(&preparation);
        drop(preparation);
        slow.go.store(true, Ordering::SeqCst);
        // and that lets go of everything
        until(|| sizes.upgrade().is_none());
        assert_eq!(lock(&slow.asked).len(), 1);
    }

    #[test]
    fn a_wait_for_a_size_can_be_cancelled() {
        let (mut network, slow) = slow();
        let cancellation = network.cancellation().expect("it can");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| run(&mut network, 28));
            until(|| lock(&slow.asked).len() == 1);
            cancellation.cancel();
            assert!(waiting.join().expect("no panic").is_err());
        });
        cancellation.reset();
        slow.go.store(true, Ordering::SeqCst);
        assert_eq!(run(&mut network, 28).expect("runs"), size(28));
    }
}
