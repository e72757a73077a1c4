//! Several frames under way: while one is read, another is in the network and a third is laid on its depth frame.
//!
//! Two threads, one for the network and one for the way out, and frames that go through them one after the other: what
//! comes out is in the order of what went in.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use gst_video::VideoInfo;

use super::packing::Packer;
use super::stream::{Job, pack};
use super::worker::Landed;
use crate::depth_meta::DepthMeta;
use crate::engine::shared::Shared;
use crate::error::Error;
use crate::sync::lock;

/// A frame under way, with all that it needs.
pub(super) struct Passenger {
    pub(super) job: Job,
    /// Kept, in case that it has to be read again.
    pub(super) frame: gst::Buffer,
    pub(super) depth_frame: gst::Buffer,
    pub(super) depth_info: Arc<VideoInfo>,
    pub(super) due: Instant,
    pub(super) outcome: Outcome,
}

/// How far it has come.
pub(super) enum Outcome {
    /// On its way.
    None,
    /// Its depth frame is done; how many of its values are NaN or infinite.
    Depth(DepthMeta, u64),
    /// Somebody flushes or stops.
    Interrupted,
    /// The network, or the way out, has failed.
    Failed(Error),
}

/// The threads, and how many frames are with them.
pub(super) struct Flight {
    /// Dropped first, which ends the threads.
    start: Option<Sender<Passenger>>,
    landed: Receiver<Passenger>,
    threads: Vec<JoinHandle<()>>,
    count: usize,
    /// Of these, those that the network's thread has not taken yet.
    waiting: Arc<AtomicUsize>,
}

impl Flight {
    /// `hears` is told of each frame that is done, or that the network begins with.
    ///
    /// # Errors
    /// When the system has no threads left.
    pub(super) fn new(
        mut network: Shared,
        packer: Arc<Mutex<Packer>>,
        hears: Option<Landed>,
    ) -> std::io::Result<Self> {
        let (start, boarded) = channel::<Passenger>();
        let (onwards, to_pack) = channel::<Passenger>();
        let (done, landed) = channel::<Passenger>();
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let waiting = Arc::new(AtomicUsize::new(0));
        let (taken, told) = (Arc::clone(&waiting), hears.clone());
        let infer = thread("depth-network").spawn(move || {
            for mut passenger in boarded {
                taken.fetch_sub(1, Ordering::AcqRel);
                if let Some(told) = &told {
                    told.tell();
                }
                run(&mut network, &mut passenger);
                if onwards.send(passenger).is_err() {
                    return;
                }
            }
        })?;
        let write = thread("depth-packing").spawn(move || {
            for mut passenger in to_pack {
                land(&packer, &mut passenger);
                if done.send(passenger).is_err() {
                    return;
                }
                if let Some(hears) = &hears {
                    hears.tell();
                }
            }
        })?;
        Ok(Self {
            start: Some(start),
            landed,
            threads: vec![infer, write],
            count: 0,
            waiting,
        })
    }

    /// Frames under way.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether a frame waits for the network's thread.
    pub(super) fn network_is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// Sends a frame off.
    pub(super) fn send(&mut self, passenger: Passenger) -> Result<(), Error> {
        let start = self.start.as_ref().ok_or_else(crashed)?;
        self.waiting.fetch_add(1, Ordering::AcqRel);
        start.send(passenger).map_err(|_| crashed())?;
        self.count += 1;
        Ok(())
    }

    /// The frame that is next in order; `None` where there is none, or none yet and not worth waiting for.
    ///
    /// # Errors
    /// When a thread has panicked.
    pub(super) fn next(&mut self, wait: bool) -> Result<Option<Passenger>, Error> {
        if self.count == 0 {
            return Ok(None);
        }
        let passenger = if wait {
            self.landed.recv().map_err(|_| crashed()).map(Some)
        } else {
            match self.landed.try_recv() {
                Ok(passenger) => Ok(Some(passenger)),
                Err(std::sync::mpsc::TryRecvError::Empty) => return Ok(None),
                Err(std::sync::mpsc::TryRecvError::Disconnected) => Err(crashed()),
            }
        };
        match &passenger {
            Ok(_) => self.count -= 1,
            // what was under way is lost
            Err(_) => self.count = 0,
        }
        passenger
    }

    /// All that are under way, in order.
    ///
    /// # Errors
    /// When a thread has panicked.
    pub(super) fn all(&mut self) -> Result<VecDeque<Passenger>, Error> {
        let mut passengers = VecDeque::with_capacity(self.count);
        while let Some(passenger) = self.next(true)? {
            passengers.push_back(passenger);
        }
        Ok(passengers)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.start = None;
        for thread in self.threads.drain(..) {
            // a panic has been told already, and is no reason for another
            let _ = thread.join();
        }
    }
}

fn crashed() -> Error {
    Error::Inference {
        size: "this size".into(),
        reason: "a thread of the element has panicked; restart it, and please report this".into(),
    }
}

fn run(network: &mut Shared, passenger: &mut Passenger) {
    let job = &mut passenger.job;
    if job.repeated {
        return;
    }
    match network.run(&mut job.request, passenger.due) {
        Ok(Some(timing)) => job.timing = Some(timing),
        Ok(None) => passenger.outcome = Outcome::Interrupted,
        Err(error) => passenger.outcome = Outcome::Failed(error),
    }
}

fn land(packer: &Mutex<Packer>, passenger: &mut Passenger) {
    if !matches!(passenger.outcome, Outcome::None) {
        return;
    }
    let Some(depth_frame) = passenger.depth_frame.get_mut() else {
        passenger.outcome = Outcome::Failed(Error::Frame {
            reason: "the depth buffer is not its own".into(),
        });
        return;
    };
    // nobody else takes this lock while frames are under way
    let packed = pack(
        &mut lock(packer),
        &mut passenger.job,
        depth_frame,
        &passenger.depth_info,
    );
    passenger.outcome = match packed {
        Ok((meta, invalid)) => Outcome::Depth(meta, invalid),
        Err(error) => Outcome::Failed(error),
    };
}
