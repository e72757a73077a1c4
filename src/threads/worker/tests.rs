use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use super::*;

type Arrival = super::Arrival<gst::Buffer>;
type Depth = super::Depth<gst::Buffer>;
type Worker = super::Worker<gst::Buffer, gst::FlowError>;

const TIMEOUT: Duration = Duration::from_secs(60);
const ROOM: Room = Room {
    frames: 4,
    holds_up: false,
};

/// A network and a sink that wait until they are let go on.
#[derive(Default)]
struct Stub {
    /// The network, and the sink, take their time.
    network_waits: AtomicBool,
    sink_waits: AtomicBool,
    /// The sink waits for its time, not because it is slow.
    early: AtomicBool,
    /// Late are frames that others wait behind.
    late: AtomicBool,
    /// Times of frames that the network began with, that were dropped, and that were pushed.
    begun: Mutex<Vec<i64>>,
    dropped: Mutex<Vec<i64>>,
    pushed: Mutex<Vec<i64>>,
    /// The frame of this time fails, or panics.
    fails: Mutex<Option<i64>>,
    panics: Mutex<Option<i64>>,
    told: Mutex<Vec<String>>,
    /// So many frames under way are given by `collect` only.
    keeps: AtomicUsize,
    kept: Mutex<VecDeque<Depth>>,
}

fn wait_while(flag: &AtomicBool) {
    until(|| !flag.load(Ordering::SeqCst));
}

fn until(done: impl Fn() -> bool) {
    let end = Instant::now() + TIMEOUT;
    while !done() {
        assert!(Instant::now() < end, "nothing happens");
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Handler<gst::Buffer, gst::FlowError> for Stub {
    fn judge(&self, _arrival: &Arrival, newer: bool) -> Judgement {
        if newer && self.late.load(Ordering::SeqCst) {
            return Judgement::Drop(Duration::from_millis(1));
        }
        Judgement::Work(Moment::default())
    }

    fn is_late(&self, _arrival: &Arrival) -> bool {
        self.late.load(Ordering::SeqCst)
    }

    fn is_early(&self, _time: Option<i64>) -> bool {
        self.early.load(Ordering::SeqCst)
    }

    fn dropped(&self, arrival: Arrival, _by: Duration) {
        lock(&self.dropped).extend(arrival.time);
    }

    fn work(&self, arrival: Arrival, _moment: Moment) -> Result<Vec<Depth>, gst::FlowError> {
        lock(&self.begun).extend(arrival.time);
        wait_while(&self.network_waits);
        assert_ne!(arrival.time, *lock(&self.panics), "it panics");
        if arrival.time == *lock(&self.fails) {
            return Err(gst::FlowError::Error);
        }
        let mut kept = lock(&self.kept);
        kept.push_back(Depth {
            bytes: arrival.frame.size(),
            buffer: arrival.frame,
            time: arrival.time,
        });
        let ready = kept.len().saturating_sub(self.keeps.load(Ordering::SeqCst));
        Ok(kept.drain(..ready).collect())
    }

    fn collect(&self, all: bool) -> Result<Vec<Depth>, gst::FlowError> {
        let mut kept = lock(&self.kept);
        let ready = if all { kept.len() } else { kept.len().min(1) };
        Ok(kept.drain(..ready).collect())
    }

    fn is_under_way(&self) -> bool {
        !lock(&self.kept).is_empty()
    }

    fn network_is_awaited(&self) -> bool {
        false
    }

    fn push(&self, depth: Depth) -> Result<(), gst::FlowError> {
        wait_while(&self.sink_waits);
        lock(&self.pushed).extend(depth.time);
        Ok(())
    }

    fn panicked(&self, words: &str) -> gst::FlowError {
        lock(&self.told).push(words.to_owned());
        gst::FlowError::Error
    }
}

fn worker() -> (Arc<Stub>, Worker) {
    gst::init().unwrap();
    let stub = Arc::new(Stub::default());
    let worker = Worker::default();
    let handler = Arc::clone(&stub);
    assert!(worker.start(|| handler));
    (stub, worker)
}

fn arrival(time: i64) -> Arrival {
    Arrival {
        frame: gst::Buffer::with_size(16).unwrap(),
        span: Span::default(),
        time: Some(time),
        came: Some(time),
    }
}

fn submit(worker: &Worker, stub: &Arc<Stub>, times: std::ops::Range<i64>) {
    for time in times {
        worker.submit(arrival(time), ROOM, stub.as_ref()).unwrap();
    }
}

#[test]
fn frames_come_out_in_order_and_none_is_lost_that_there_is_room_for() {
    let (stub, worker) = worker();
    for first in (0..400).step_by(4) {
        submit(&worker, &stub, first..first + 4);
        worker.drain().unwrap();
    }
    assert_eq!(*lock(&stub.pushed), (0..400).collect::<Vec<_>>());
    worker.stop();
}

#[test]
fn a_source_is_not_held_up_and_the_oldest_go() {
    let (stub, worker) = worker();
    stub.network_waits.store(true, Ordering::SeqCst);
    submit(&worker, &stub, 0..1);
    until(|| lock(&stub.begun).len() == 1);
    submit(&worker, &stub, 1..100);
    stub.network_waits.store(false, Ordering::SeqCst);
    worker.drain().unwrap();
    assert_eq!(*lock(&stub.pushed), [0, 96, 97, 98, 99]);
    assert_eq!(*lock(&stub.dropped), (1..96).collect::<Vec<_>>());
    worker.stop();
}

#[test]
fn a_source_that_may_lose_nothing_waits() {
    let (stub, worker) = worker();
    let room = Room {
        frames: 2,
        holds_up: true,
    };
    for time in 0..100 {
        worker.submit(arrival(time), room, stub.as_ref()).unwrap();
    }
    worker.drain().unwrap();
    assert_eq!(*lock(&stub.pushed), (0..100).collect::<Vec<_>>());
    worker.stop();
}

#[test]
fn late_frames_go_where_a_newer_one_waits() {
    let (stub, worker) = worker();
    stub.late.store(true, Ordering::SeqCst);
    stub.network_waits.store(true, Ordering::SeqCst);
    submit(&worker, &stub, 0..1);
    until(|| lock(&stub.begun).len() == 1);
    submit(&worker, &stub, 1..4);
    assert_eq!(*lock(&stub.dropped), [1, 2], "as soon as they are late");
    stub.network_waits.store(false, Ordering::SeqCst);
    worker.drain().unwrap();
    assert_eq!(*lock(&stub.pushed), [0, 3]);
    worker.stop();
}

#[test]
fn the_network_works_on_while_a_sink_waits_for_its_time_and_not_for_a_slow_one() {
    for (early, ahead) in [(true, 8), (false, DEPTHS)] {
        let (stub, worker) = worker();
        stub.sink_waits.store(true, Ordering::SeqCst);
        stub.early.store(early, Ordering::SeqCst);
        for time in 0..8 {
            submit(&worker, &stub, time..time + 1);
            std::thread::sleep(Duration::from_millis(10));
        }
        until(|| lock(&stub.begun).len() == ahead);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(lock(&stub.begun).len(), ahead);
        stub.sink_waits.store(false, Ordering::SeqCst);
        worker.drain().unwrap();
        worker.stop();
    }
}

#[test]
fn frames_under_way_come_out_when_they_are_done_and_with_a_drain() {
    let (stub, worker) = worker();
    stub.keeps.store(2, Ordering::SeqCst);
    submit(&worker, &stub, 0..3);
    until(|| lock(&stub.pushed).len() == 1);
    (worker.finished())();
    until(|| lock(&stub.pushed).len() == 2);
    worker.drain().unwrap();
    assert_eq!(*lock(&stub.pushed), [0, 1, 2]);
    worker.stop();
}

#[test]
fn an_error_is_told_once_and_the_next_frame_is_tried() {
    let (stub, worker) = worker();
    *lock(&stub.fails) = Some(1);
    submit(&worker, &stub, 0..2);
    assert_eq!(worker.drain(), Err(gst::FlowError::Error));
    let told = worker.submit(arrival(2), ROOM, stub.as_ref());
    assert_eq!(told, Err(gst::FlowError::Error));
    submit(&worker, &stub, 3..4);
    worker.drain().unwrap();
    assert_eq!(lock(&stub.pushed).last(), Some(&3));
    worker.stop();
}

#[test]
fn a_panic_is_an_error() {
    let (stub, worker) = worker();
    *lock(&stub.panics) = Some(1);
    submit(&worker, &stub, 1..2);
    assert_eq!(worker.drain(), Err(gst::FlowError::Error));
    assert!(lock(&stub.told)[0].contains("it panics"));
    worker.stop();
}

#[test]
fn a_flush_throws_away_what_waits() {
    let (stub, worker) = worker();
    stub.network_waits.store(true, Ordering::SeqCst);
    submit(&worker, &stub, 0..1);
    until(|| lock(&stub.begun).len() == 1);
    submit(&worker, &stub, 1..4);
    std::thread::scope(|scope| {
        let discards = scope.spawn(|| worker.discard());
        std::thread::sleep(Duration::from_millis(20));
        assert!(!discards.is_finished(), "it waits for the network");
        stub.network_waits.store(false, Ordering::SeqCst);
    });
    submit(&worker, &stub, 10..11);
    worker.drain().unwrap();
    let pushed = lock(&stub.pushed).clone();
    assert!(pushed == [10] || pushed == [0, 10], "{pushed:?}");
    assert!(lock(&stub.dropped).is_empty());
    worker.stop();
}

#[test]
fn it_stops_and_starts_again() {
    let (stub, worker) = worker();
    for time in 0..20 {
        submit(&worker, &stub, time..time + 1);
        worker.stop();
        let handler = Arc::clone(&stub);
        assert!(worker.start(|| handler));
    }
    submit(&worker, &stub, 20..21);
    worker.drain().unwrap();
    assert_eq!(lock(&stub.pushed).last(), Some(&20));
    worker.stop();
}
