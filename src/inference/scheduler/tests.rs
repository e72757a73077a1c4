use std::collections::HashMap;

use super::*;
use crate::inference::backend::{Description, Images};

const TIMEOUT: Duration = Duration::from_secs(60);
const SIZE: Size = Size::new(2, 1);
const OTHER: Size = Size::new(4, 1);

/// What the networks of a test are doing.
#[derive(Default)]
struct Watch {
    /// Runs wait until this is opened.
    closed: AtomicBool,
    running: AtomicUsize,
    /// Values of the first pixel of each image, for each run.
    runs: Mutex<Vec<Vec<f32>>>,
    sizes: Mutex<HashMap<Size, Readiness>>,
}

impl Preparation for Watch {
    fn prepare(self: Arc<Self>, size: Size) -> Readiness {
        let sizes = lock(&self.sizes);
        sizes.get(&size).cloned().unwrap_or(Readiness::Ready)
    }
}

struct Stub(Description, Arc<Watch>);

impl Network for Stub {
    fn description(&self) -> &Description {
        &self.0
    }

    fn run(&mut self, images: Images<'_>, depth: &mut DepthMaps) -> Result<(), Error> {
        self.1.running.fetch_add(1, Ordering::SeqCst);
        until(|| !self.1.closed.load(Ordering::SeqCst));
        let each = images.values.chunks_exact(3 * images.size.area());
        lock(&self.1.runs).push(each.map(|image| image[0]).collect());
        depth.size = images.size;
        depth.batch = images.batch;
        depth.values = vec![0.0; images.batch * images.size.area()];
        self.1.running.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }

    fn preparation(&self) -> Option<Arc<dyn Preparation>> {
        Some(Arc::clone(&self.1) as Arc<dyn Preparation>)
    }
}

fn until(done: impl Fn() -> bool) {
    let end = Instant::now() + TIMEOUT;
    while !done() {
        assert!(Instant::now() < end, "nothing happens");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn scheduler(slots: usize) -> (Scheduler, Arc<Watch>) {
    let description = Description {
        patch: 1,
        ..Description::of_any_size("stub")
    };
    let watch = Arc::<Watch>::default();
    let networks = (0..slots)
        .map(|_| Box::new(Stub(description.clone(), Arc::clone(&watch))) as Box<dyn Network>)
        .collect();
    let clients = Arc::new(AtomicUsize::new(1));
    (Scheduler::new(networks, clients, None), watch)
}

fn request(value: f32, size: Size) -> Request {
    Request {
        tensor: vec![value; 3 * size.area()],
        size,
        depth: DepthMaps::default(),
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(10)
}

fn ran(completed: Completed) -> bool {
    matches!(completed.result, Ok(Some(_)))
}

#[test]
fn as_many_run_at_once_as_there_are_slots() {
    let (scheduler, watch) = scheduler(3);
    watch.closed.store(true, Ordering::SeqCst);
    let client = Arc::<Client>::default();
    let submit =
        |value| scheduler.submit(&client, request(value, SIZE), soon(), Batching::default());
    let tickets: Vec<_> = [1.0, 2.0, 3.0, 4.0].map(submit).into();
    until(|| watch.running.load(Ordering::SeqCst) == 3);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(watch.running.load(Ordering::SeqCst), 3);
    assert!(tickets.iter().all(|ticket| !ticket.wait_until(soon())));
    watch.closed.store(false, Ordering::SeqCst);
    assert!(tickets.into_iter().all(|ticket| ran(ticket.wait())));
    let mut runs = lock(&watch.runs).concat();
    runs.sort_by(f32::total_cmp);
    assert_eq!(runs, [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn what_waits_for_its_size_holds_no_slot() {
    let (scheduler, watch) = scheduler(1);
    let preparing = Readiness::Preparing(Duration::ZERO);
    lock(&watch.sizes).insert(OTHER, preparing.clone());
    let [changes, stays] = [(); 2].map(|()| Arc::<Client>::default());
    let now = Instant::now();
    let waits = scheduler.submit(&changes, request(1.0, OTHER), now, Batching::default());
    for _ in 0..10 {
        let goes_on = scheduler.submit(&stays, request(2.0, SIZE), soon(), Batching::default());
        assert!(ran(goes_on.wait()), "the others run");
    }
    assert!(!waits.wait_until(soon()));
    lock(&watch.sizes).insert(OTHER, Readiness::Ready);
    let completed = waits.wait();
    assert_eq!(completed.request.depth.size, OTHER);
    assert!(ran(completed));
    // who waits for a size is let go at once
    lock(&watch.sizes).insert(OTHER, preparing);
    let waits = scheduler.submit(&changes, request(3.0, OTHER), now, Batching::default());
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| waits.wait());
        std::thread::sleep(Duration::from_millis(10));
        scheduler.interrupt(&changes, true);
        let completed = waits.join().expect("no panic");
        assert!(matches!(completed.result, Ok(None)));
        assert_eq!(completed.request.tensor[0], 3.0, "its buffers come back");
    });
}

#[test]
fn a_size_that_can_not_be_made_is_an_error() {
    let (scheduler, watch) = scheduler(1);
    let failed = Error::Inference {
        size: OTHER.to_string(),
        reason: "no".to_owned(),
    };
    lock(&watch.sizes).insert(OTHER, Readiness::Failed(failed));
    let client = Arc::<Client>::default();
    let fails = scheduler.submit(&client, request(1.0, OTHER), soon(), Batching::default());
    assert!(fails.wait().result.is_err());
    let runs = scheduler.submit(&client, request(1.0, SIZE), soon(), Batching::default());
    assert!(ran(runs.wait()));
}

#[test]
fn what_is_given_up_does_not_run() {
    let (scheduler, watch) = scheduler(1);
    watch.closed.store(true, Ordering::SeqCst);
    let client = Arc::<Client>::default();
    let submit =
        |value| scheduler.submit(&client, request(value, SIZE), soon(), Batching::default());
    let first = submit(1.0);
    until(|| watch.running.load(Ordering::SeqCst) == 1);
    let (given_up, last) = (submit(2.0), submit(3.0));
    drop(given_up);
    watch.closed.store(false, Ordering::SeqCst);
    assert!(ran(first.wait()) && ran(last.wait()));
    assert_eq!(*lock(&watch.runs), [[1.0], [3.0]]);
}

#[test]
fn requests_of_one_client_run_together() {
    let (scheduler, watch) = scheduler(1);
    watch.closed.store(true, Ordering::SeqCst);
    let client = Arc::<Client>::default();
    let batching = Batching {
        most: 4,
        wait: Duration::ZERO,
    };
    let submit = |value| scheduler.submit(&client, request(value, SIZE), soon(), batching);
    let first = submit(0.0);
    until(|| watch.running.load(Ordering::SeqCst) == 1);
    // the tiles of a frame
    let tiles: Vec<_> = [1.0, 2.0, 3.0, 4.0, 5.0].map(submit).into();
    watch.closed.store(false, Ordering::SeqCst);
    assert!(ran(first.wait()));
    let batches: Vec<_> = tiles
        .into_iter()
        .map(|ticket| ticket.wait().result.expect("runs").expect("not given up"))
        .map(|timing| timing.batch)
        .collect();
    assert_eq!(batches, [4, 4, 4, 4, 1]);
}

#[test]
fn a_scheduler_that_goes_lets_those_go_who_wait() {
    let (scheduler, watch) = scheduler(1);
    watch.closed.store(true, Ordering::SeqCst);
    let client = Arc::<Client>::default();
    let submit =
        |value| scheduler.submit(&client, request(value, SIZE), soon(), Batching::default());
    let (runs, waits) = (submit(1.0), submit(2.0));
    until(|| watch.running.load(Ordering::SeqCst) == 1);
    drop(scheduler);
    assert!(matches!(waits.wait().result, Ok(None)));
    watch.closed.store(false, Ordering::SeqCst);
    drop(runs);
}
