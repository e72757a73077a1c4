//! Streams at a network that is not one: whose turn it is, and that nobody's work is lost or mixed up.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;
use std::time::Duration;

use super::*;
use crate::inference::backend::{Cancellation, DepthMaps, Images};

const SIZE: Size = Size::new(2, 1);
/// First value of an image that the network fails on.
const POISON: f32 = -1.0;

/// Doubles the first channel, slowly, and notes what it was given.
struct Doubler {
    description: Description,
    time: Duration,
    running: AtomicBool,
    runs: Arc<Mutex<Vec<Vec<f32>>>>,
}

fn doubler(time: Duration) -> (Shared, Arc<Mutex<Vec<Vec<f32>>>>) {
    let runs = Arc::<Mutex<Vec<Vec<f32>>>>::default();
    let network = Doubler {
        description: Description {
            patch: 1,
            provider: String::new(),
            precision: String::new(),
            ..Description::of_any_size("doubler")
        },
        time,
        running: AtomicBool::new(false),
        runs: Arc::clone(&runs),
    };
    (Shared::alone(Box::new(network)), runs)
}

impl Network for Doubler {
    fn description(&self) -> &Description {
        &self.description
    }

    fn run(&mut self, images: Images<'_>, depth: &mut DepthMaps) -> Result<(), Error> {
        assert!(!self.running.swap(true, Ordering::SeqCst), "two at a time");
        thread::sleep(self.time);
        let area = images.size.area();
        assert_eq!(images.values.len(), images.batch * 3 * area);
        let image = |index: usize| &images.values[3 * area * index..][..area];
        lock(&self.runs).push((0..images.batch).map(|index| image(index)[0]).collect());
        depth.values.clear();
        let mut poisoned = false;
        for index in 0..images.batch {
            poisoned |= image(index)[0] == POISON;
            depth
                .values
                .extend(image(index).iter().map(|value| 2.0 * value));
        }
        depth.batch = images.batch;
        depth.size = images.size;
        assert!(self.running.swap(false, Ordering::SeqCst));
        if poisoned {
            return Err(Error::Inference {
                size: images.size.to_string(),
                reason: "poison".into(),
            });
        }
        Ok(())
    }
}

fn work(value: f32) -> Request {
    Request {
        tensor: vec![value; 3 * SIZE.area()],
        size: SIZE,
        depth: DepthMaps::default(),
    }
}

fn batches(most: usize, wait: Duration, shared: &Shared) -> Shared {
    let mut another = shared.another();
    another.batching = Batching { most, wait };
    another
}

fn soon(millis: u64) -> Instant {
    Instant::now() + Duration::from_millis(millis)
}

/// Runs `works` (value, deadline in ms) on a stream each, all waiting while another stream's work runs.
fn after_a_long_one(
    shared: &Shared,
    works: &[(f32, u64)],
    batching: Batching,
) -> Vec<Result<Option<Timing>, Error>> {
    let begin = Instant::now();
    thread::scope(|scope| {
        let first = shared.another();
        scope.spawn(move || first.run(&mut work(1000.0), begin).unwrap());
        thread::sleep(Duration::from_millis(20));
        let threads: Vec<_> = works
            .iter()
            .map(|&(value, due)| {
                let stream = batches(batching.most, batching.wait, shared);
                scope.spawn(move || {
                    let mut work = work(value);
                    let result = stream.run(&mut work, begin + Duration::from_millis(due));
                    if let Ok(Some(_)) = result {
                        assert_eq!(work.depth.values, [2.0 * value; 2]);
                        assert_eq!(work.tensor[0], value, "its own buffers come back");
                    }
                    result
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

#[test]
fn the_earliest_deadline_runs_first() {
    let (shared, runs) = doubler(Duration::from_millis(60));
    let works = [(3.0, 900), (1.0, 300), (4.0, 1200), (2.0, 600)];
    let results = after_a_long_one(&shared, &works, Batching::default());
    assert!(results.iter().all(|result| matches!(result, Ok(Some(_)))));
    assert_eq!(
        *lock(&runs),
        [[1000.0], [1.0], [2.0], [3.0], [4.0]],
        "in the order of their deadlines"
    );
}

#[test]
fn what_waits_runs_together_up_to_the_smallest_limit() {
    let (shared, runs) = doubler(Duration::from_millis(60));
    let works = [(1.0, 300), (2.0, 600), (3.0, 900), (4.0, 1200)];
    let batching = Batching {
        most: 3,
        wait: Duration::ZERO,
    };
    after_a_long_one(&shared, &works, batching);
    assert_eq!(*lock(&runs), [vec![1000.0], vec![1.0, 2.0, 3.0], vec![4.0]]);
    // a stream that takes no others along is taken along by none
    let (shared, runs) = doubler(Duration::from_millis(60));
    let works = [(1.0, 300), (2.0, 600)];
    after_a_long_one(&shared, &works, Batching::default());
    assert_eq!(*lock(&runs), [[1000.0], [1.0], [2.0]]);
}

#[test]
fn no_more_run_together_than_memory_allows() {
    let (shared, runs) = doubler(Duration::from_millis(60));
    {
        // 10 MB loaded and 1 MB for the image that has been seen
        let mut memory = lock(&shared.engine.memory);
        *memory = MemoryModel::new(0, true, Some(10_000_000));
        memory.observe(1, 1_000_000);
    }
    let run = |limit| {
        lock(&runs).clear();
        let begin = Instant::now();
        thread::scope(|scope| {
            let first = shared.another();
            scope.spawn(move || first.run(&mut work(1000.0), begin).unwrap());
            thread::sleep(Duration::from_millis(20));
            for value in [1.0, 2.0, 3.0] {
                let stream = batches(3, Duration::ZERO, &shared);
                MemoryUse::limit(&stream, limit);
                let due = begin + Duration::from_millis(300 * value as u64);
                scope.spawn(move || stream.run(&mut work(value), due).unwrap());
            }
        });
        lock(&runs).iter().map(Vec::len).collect::<Vec<_>>()
    };
    assert_eq!(run(Some(12_500_000)), [1, 2, 1]);
    assert_eq!(run(Some(1)), [1, 1, 1, 1], "one always runs");
    assert_eq!(run(None), [1, 3]);
}

#[test]
fn a_batch_waits_to_fill_but_not_longer() {
    let (shared, runs) = doubler(Duration::from_millis(1));
    let wait = Duration::from_millis(400);
    let alone = batches(2, wait, &shared);
    let _other = shared.another();
    let start = Instant::now();
    let ran = alone.run(&mut work(1.0), soon(0)).unwrap().unwrap();
    assert_eq!(ran.batch, 1);
    assert!(start.elapsed() >= wait);
    lock(&runs).clear();
    let start = Instant::now();
    thread::scope(|scope| {
        for value in [1.0, 2.0] {
            let stream = batches(2, Duration::from_secs(20), &shared);
            scope.spawn(move || {
                let ran = stream.run(&mut work(value), soon(0)).unwrap().unwrap();
                assert_eq!(ran.batch, 2);
            });
        }
    });
    assert!(start.elapsed() < Duration::from_secs(10), "it was full");
    assert_eq!(lock(&runs).len(), 1);
}

#[test]
fn one_that_is_alone_does_not_wait_for_others() {
    let (shared, _) = doubler(Duration::ZERO);
    let stream = batches(8, Duration::from_secs(20), &shared);
    drop(shared);
    let start = Instant::now();
    stream.run(&mut work(1.0), soon(0)).unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn the_error_of_one_is_nobody_elses() {
    let (shared, _) = doubler(Duration::from_millis(40));
    let works = [(1.0, 300), (POISON, 600), (3.0, 900)];
    let batching = Batching {
        most: 3,
        wait: Duration::ZERO,
    };
    let results = after_a_long_one(&shared, &works, batching);
    assert!(matches!(results[0], Ok(Some(_))));
    assert!(
        matches!(&results[1], Err(Error::Inference { reason, .. }) if reason == "poison"),
        "{results:?}"
    );
    assert!(matches!(results[2], Ok(Some(_))));
}

#[test]
fn an_interrupted_wait_ends_at_once_and_leaves_the_others_alone() {
    let (shared, _) = doubler(Duration::from_millis(300));
    let waiting = shared.another();
    let interrupt = waiting.interrupt();
    thread::scope(|scope| {
        let first = shared.another();
        scope.spawn(move || assert!(first.run(&mut work(1.0), soon(0)).unwrap().is_some()));
        thread::sleep(Duration::from_millis(50));
        let start = Instant::now();
        let waits = scope.spawn(move || {
            let mut kept = work(2.0);
            let result = waiting.run(&mut kept, soon(0)).unwrap();
            assert_eq!(kept.tensor, work(2.0).tensor);
            assert!(result.is_none());
            assert!(waiting.run(&mut kept, soon(0)).unwrap().is_none());
            (start.elapsed(), waiting)
        });
        let third = shared.another();
        scope.spawn(move || assert!(third.run(&mut work(3.0), soon(900)).unwrap().is_some()));
        thread::sleep(Duration::from_millis(30));
        interrupt.set(true);
        let (elapsed, waiting) = waits.join().unwrap();
        assert!(elapsed < Duration::from_millis(200), "{elapsed:?}");
        interrupt.set(false);
        assert!(waiting.run(&mut work(4.0), soon(0)).unwrap().is_some());
    });
}

/// A network that dies in mid-run must not take the other streams with it.
#[test]
fn a_panic_in_the_network_hands_it_on() {
    struct Panics(Doubler);
    impl Network for Panics {
        fn description(&self) -> &Description {
            self.0.description()
        }
        fn run(&mut self, images: Images<'_>, depth: &mut DepthMaps) -> Result<(), Error> {
            assert!(images.values[0] != POISON, "poison");
            self.0.run(images, depth)
        }
    }
    let (_, runs) = doubler(Duration::ZERO);
    let description = Shared::description(&doubler(Duration::ZERO).0).clone();
    let shared = Shared::alone(Box::new(Panics(Doubler {
        description,
        time: Duration::from_millis(5),
        running: AtomicBool::new(false),
        runs,
    })));
    let dies = shared.another();
    let died = dies.run(&mut work(POISON), soon(0));
    assert!(matches!(died, Err(Error::Inference { .. })), "{died:?}");
    let lives = shared.another();
    assert!(lives.run(&mut work(1.0), soon(0)).unwrap().is_some());
}

#[test]
fn streams_are_counted() {
    let (shared, _) = doubler(Duration::ZERO);
    let stream_count = shared.stream_count();
    assert_eq!(stream_count.get(), 1);
    let another = shared.another();
    assert_eq!(stream_count.get(), 2);
    drop(shared);
    assert_eq!(stream_count.get(), 1);
    drop(another);
    assert_eq!(stream_count.get(), 0);
}

#[test]
fn sizes_are_warm_once_they_have_run() {
    let (shared, _) = doubler(Duration::ZERO);
    assert!(!shared.is_warm(SIZE));
    shared.run(&mut work(POISON), soon(0)).unwrap_err();
    assert!(!shared.is_warm(SIZE));
    shared.run(&mut work(1.0), soon(0)).unwrap();
    assert!(shared.another().is_warm(SIZE));
}

/// A number that depends on the one before.
fn next(random: &mut u64) -> u64 {
    *random = random
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *random >> 33
}

#[test]
fn many_streams_that_come_go_fail_and_flush() {
    let (shared, _) = doubler(Duration::from_micros(50));
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for seed in 0..16u64 {
            let (shared, done) = (&shared, &done);
            scope.spawn(move || {
                let mut random = seed;
                for _ in 0..20 {
                    let most = 1 + next(&mut random) as usize % 6;
                    let wait = Duration::from_micros(next(&mut random) % 300);
                    let stream = batches(most, wait, shared);
                    let interrupt = stream.interrupt();
                    let flushes = AtomicBool::new(true);
                    thread::scope(|scope| {
                        scope.spawn(|| {
                            while flushes.load(Ordering::Relaxed) {
                                interrupt.set(true);
                                thread::yield_now();
                                interrupt.set(false);
                                thread::sleep(Duration::from_micros(700));
                            }
                        });
                        for round in 0..40 {
                            let value = match next(&mut random) % 10 {
                                0 => POISON,
                                _ => (seed * 100 + round) as f32,
                            };
                            let mut work = work(value);
                            let due =
                                Instant::now() + Duration::from_micros(next(&mut random) % 2000);
                            match stream.run(&mut work, due) {
                                Ok(Some(ran)) => {
                                    assert!(ran.batch <= most);
                                    assert_eq!(work.depth.values, [2.0 * value; 2]);
                                }
                                // what was left in mid-run keeps the buffers
                                Ok(None) => {
                                    assert_eq!(*work.tensor.first().unwrap_or(&value), value)
                                }
                                Err(_) => assert_eq!(value, POISON),
                            }
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                        flushes.store(false, Ordering::Relaxed);
                    });
                }
            });
        }
    });
    assert_eq!(done.into_inner(), 16 * 20 * 40);
    assert_eq!(shared.stream_count().get(), 1);
}

#[test]
fn shares_are_fair_and_a_fast_stream_starves_nobody() {
    let (shared, _) = doubler(Duration::from_millis(1));
    let stop = AtomicBool::new(false);
    // the last asks for its frames to be done at once
    let counts: Vec<usize> = thread::scope(|scope| {
        let threads: Vec<_> = (0..9)
            .map(|stream| {
                let shared = shared.another();
                let stop = &stop;
                scope.spawn(move || {
                    let slack = if stream == 8 { 1 } else { 100 };
                    let mut count = 0;
                    while !stop.load(Ordering::Relaxed) {
                        shared.run(&mut work(1.0), soon(slack)).unwrap();
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(1500));
        stop.store(true, Ordering::Relaxed);
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let (least, most) = (
        *counts[..8].iter().min().unwrap() as f64,
        *counts[..8].iter().max().unwrap() as f64,
    );
    assert!(most <= 1.1 * least + 1.0, "{counts:?}");
    assert!(least > 5.0, "{counts:?}");
}

/// Runs until it is cancelled, or let go.
#[derive(Default)]
struct Endless {
    cancelled: AtomicBool,
    /// How often it was cancelled.
    count: AtomicUsize,
    go: AtomicBool,
}

impl Cancellation for Endless {
    fn cancel(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.cancelled.store(true, Ordering::SeqCst);
    }

    fn reset(&self) {
        self.cancelled.store(false, Ordering::SeqCst);
    }
}

fn endless(heeds: bool) -> (Shared, Arc<Endless>) {
    struct Runs(Doubler, Arc<Endless>, bool);
    impl Network for Runs {
        fn description(&self) -> &Description {
            self.0.description()
        }
        fn run(&mut self, images: Images<'_>, depth: &mut DepthMaps) -> Result<(), Error> {
            while !self.1.go.load(Ordering::SeqCst) {
                if self.2 && self.1.cancelled.load(Ordering::SeqCst) {
                    return Err(Error::Inference {
                        size: images.size.to_string(),
                        reason: "cancelled".into(),
                    });
                }
                thread::sleep(Duration::from_millis(1));
            }
            self.0.run(images, depth)
        }
        fn cancellation(&self) -> Option<Arc<dyn Cancellation>> {
            Some(Arc::clone(&self.1) as Arc<dyn Cancellation>)
        }
    }
    let (shared, runs) = doubler(Duration::ZERO);
    let endless = Arc::<Endless>::default();
    let network = Doubler {
        description: shared.description().clone(),
        time: Duration::ZERO,
        running: AtomicBool::new(false),
        runs,
    };
    let network = Runs(network, Arc::clone(&endless), heeds);
    (Shared::alone(Box::new(network)), endless)
}

#[test]
fn who_is_interrupted_in_mid_run_leaves_at_once_and_the_run_ends() {
    for heeds in [true, false] {
        let (shared, endless) = endless(heeds);
        let stream = shared.another();
        let interrupt = stream.interrupt();
        thread::scope(|scope| {
            let runs = scope.spawn(move || stream.run(&mut work(1.0), soon(0)).map(|_| stream));
            thread::sleep(Duration::from_millis(50));
            let start = Instant::now();
            interrupt.set(true);
            let stream = runs.join().unwrap().unwrap();
            assert!(start.elapsed() < Duration::from_millis(300), "{heeds}");
            assert_eq!(endless.count.load(Ordering::SeqCst), 1);
            drop(stream);
        });
        // what comes after is not cancelled
        endless.go.store(true, Ordering::SeqCst);
        let next = shared.another();
        let ran = next.run(&mut work(2.0), soon(0)).unwrap();
        assert!(ran.is_some(), "{heeds}");
        assert!(!endless.cancelled.load(Ordering::SeqCst));
    }
}

#[test]
fn a_run_that_another_stream_waits_for_goes_on() {
    let (shared, endless) = endless(true);
    let batching = |shared: &Shared| batches(2, Duration::from_secs(20), shared);
    let (leaves, stays) = (batching(&shared), batching(&shared));
    let interrupt = leaves.interrupt();
    thread::scope(|scope| {
        let leaves = scope.spawn(move || leaves.run(&mut work(1.0), soon(0)).unwrap());
        let stays = scope.spawn(move || {
            let mut work = work(2.0);
            let ran = stays.run(&mut work, soon(5)).unwrap();
            (ran, work.depth.values)
        });
        thread::sleep(Duration::from_millis(100));
        interrupt.set(true);
        assert!(leaves.join().unwrap().is_none());
        assert_eq!(endless.count.load(Ordering::SeqCst), 0);
        endless.go.store(true, Ordering::SeqCst);
        let (ran, depth) = stays.join().unwrap();
        assert_eq!(ran.map(|ran| ran.batch), Some(2));
        assert_eq!(depth, [4.0; 2]);
    });
}

#[test]
fn a_network_goes_when_its_last_run_is_done_though_nobody_waits() {
    let (shared, endless) = endless(false);
    let stream = shared.another();
    drop(shared);
    let interrupt = stream.interrupt();
    thread::scope(|scope| {
        let runs = scope.spawn(move || drop(stream.run(&mut work(1.0), soon(0))));
        thread::sleep(Duration::from_millis(50));
        interrupt.set(true);
        runs.join().unwrap();
    });
    assert!(Arc::strong_count(&endless) > 1);
    endless.go.store(true, Ordering::SeqCst);
    let end = soon(60_000);
    while Arc::strong_count(&endless) > 1 {
        assert!(Instant::now() < end, "the network never goes");
        thread::sleep(Duration::from_millis(5));
    }
}
