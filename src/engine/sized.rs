//! One network a size, for compilers that want each size of its own.
//!
//! A size is compiled on a thread of its own when it is asked for; the others go on running meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use super::network::{DepthMaps, Description, Images, Network, Preparation, Readiness};
use crate::error::Error;
use crate::geometry::Size;
use crate::sync::lock;

/// Makes the network of a size. Takes as long as it takes.
pub(super) type Compile = dyn Fn(Size) -> Result<Box<dyn Network>, Error> + Send + Sync;

/// Sizes that are kept; the one that was not used for longest goes first.
const MOST_SIZES: usize = 4;

/// A network made of one for each size.
pub(super) struct SizedNetwork {
    description: Description,
    sizes: Arc<Sizes>,
}

struct Sizes {
    compile: Box<Compile>,
    slots: Mutex<Slots>,
    /// Rings when a size is compiled.
    bell: Condvar,
}

#[derive(Default)]
struct Slots {
    by_size: HashMap<Size, Slot>,
    /// Counts uses.
    clock: u64,
}

enum Slot {
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
                    clock: 0,
                }),
                bell: Condvar::new(),
            }),
        }
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
}

impl Sizes {
    /// The network of `size`, to be put back. Waits for its compilation, which begins here at the latest.
    fn take(self: &Arc<Self>, size: Size) -> Result<Box<dyn Network>, Error> {
        let mut slots = lock(&self.slots);
        loop {
            match slots.by_size.get_mut(&size) {
                None => {
                    drop(slots);
                    self.begin(size);
                    slots = lock(&self.slots);
                }
                Some(slot @ Slot::Ready { .. }) => {
                    if let Slot::Ready { network, .. } = std::mem::replace(slot, Slot::Running) {
                        return Ok(network);
                    }
                }
                Some(Slot::Failed(error)) => return Err(error.clone()),
                Some(Slot::Compiling(_) | Slot::Running) => {
                    let wait = self.bell.wait(slots);
                    slots = wait.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn put_back(&self, size: Size, network: Box<dyn Network>) {
        let mut slots = lock(&self.slots);
        slots.clock += 1;
        let used = slots.clock;
        slots.by_size.insert(size, Slot::Ready { network, used });
        self.bell.notify_all();
    }

    /// Begins to compile `size` unless that has begun.
    fn begin(self: &Arc<Self>, size: Size) {
        let dropped = {
            let mut slots = lock(&self.slots);
            if slots.by_size.contains_key(&size) {
                return;
            }
            let dropped = slots.make_room();
            slots.by_size.insert(size, Slot::Compiling(Instant::now()));
            dropped
        };
        // to let an engine go takes time
        drop(dropped);
        let sizes = Arc::clone(self);
        let compile = move || {
            let slot = match (sizes.compile)(size) {
                Ok(network) => Slot::Ready { network, used: 0 },
                Err(error) => Slot::Failed(error),
            };
            lock(&sizes.slots).by_size.insert(size, slot);
            sizes.bell.notify_all();
        };
        let thread = std::thread::Builder::new()
            .name(format!("compile {size}"))
            .spawn(compile);
        if let Err(error) = thread {
            let failed = Slot::Failed(Error::Inference {
                size: size.to_string(),
                reason: format!("no thread to compile it on: {error}"),
            });
            lock(&self.slots).by_size.insert(size, failed);
        }
    }
}

impl Slots {
    /// Lets the size go that was not used for longest, if there are many, and what failed.
    fn make_room(&mut self) -> Option<Slot> {
        if self.by_size.len() < MOST_SIZES {
            return None;
        }
        let age = |slot: &Slot| match slot {
            Slot::Failed(_) => Some(0),
            Slot::Ready { used, .. } => Some(1 + used),
            Slot::Compiling(_) | Slot::Running => None,
        };
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
        self.begin(size);
        match lock(&self.slots).by_size.get(&size) {
            Some(Slot::Ready { .. } | Slot::Running) => Readiness::Ready,
            Some(Slot::Failed(error)) => Readiness::Failed(error.clone()),
            Some(Slot::Compiling(since)) => Readiness::Preparing(since.elapsed()),
            None => Readiness::Preparing(std::time::Duration::ZERO),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::model::{DepthKind, InputNormalization, InputSize};

    fn description() -> Description {
        Description {
            model: "stub".to_owned(),
            kind: DepthKind::Relative,
            kind_is_certain: true,
            normalization: InputNormalization::Imagenet,
            normalization_is_certain: true,
            interpretation: Vec::new(),
            patch: 14,
            input_size: InputSize::Any,
            batch: Some(1),
            provider: "stub".to_owned(),
            precision: "fp16".to_owned(),
            runtime: String::new(),
            placement: None,
            fused_attentions: 0,
            notes: Vec::new(),
            fallbacks: Vec::new(),
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
}
