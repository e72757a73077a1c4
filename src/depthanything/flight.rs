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

use super::job::{Job, pack};
use super::packing::Packer;
use super::worker::Landed;
use crate::depth_meta::DepthMeta;
use crate::engine::shared::Shared;
use crate::error::Error;
use crate::sync::lock;

/// A frame under way, with all that it needs.
pub(super) struct InFlightFrame {
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
    start: Option<Sender<InFlightFrame>>,
    finished: Receiver<InFlightFrame>,
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
        let (start, sent) = channel::<InFlightFrame>();
        let (to_write, received) = channel::<InFlightFrame>();
        let (done, finished) = channel::<InFlightFrame>();
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let waiting = Arc::new(AtomicUsize::new(0));
        let (taken, told) = (Arc::clone(&waiting), hears.clone());
        let infer = thread("depth-network").spawn(move || {
            for mut in_flight in sent {
                taken.fetch_sub(1, Ordering::AcqRel);
                if let Some(told) = &told {
                    told.tell();
                }
                run(&mut network, &mut in_flight);
                if to_write.send(in_flight).is_err() {
                    return;
                }
            }
        })?;
        let write = thread("depth-packing").spawn(move || {
            for mut in_flight in received {
                write(&packer, &mut in_flight);
                if done.send(in_flight).is_err() {
                    return;
                }
                if let Some(hears) = &hears {
                    hears.tell();
                }
            }
        })?;
        Ok(Self {
            start: Some(start),
            finished,
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
    pub(super) fn send(&mut self, in_flight: InFlightFrame) -> Result<(), Error> {
        let start = self.start.as_ref().ok_or_else(crashed)?;
        self.waiting.fetch_add(1, Ordering::AcqRel);
        start.send(in_flight).map_err(|_| crashed())?;
        self.count += 1;
        Ok(())
    }

    /// The frame that is next in order; `None` where there is none, or none yet and not worth waiting for.
    ///
    /// # Errors
    /// When a thread has panicked.
    pub(super) fn next(&mut self, wait: bool) -> Result<Option<InFlightFrame>, Error> {
        if self.count == 0 {
            return Ok(None);
        }
        let in_flight = if wait {
            self.finished.recv().map_err(|_| crashed()).map(Some)
        } else {
            match self.finished.try_recv() {
                Ok(in_flight) => Ok(Some(in_flight)),
                Err(std::sync::mpsc::TryRecvError::Empty) => return Ok(None),
                Err(std::sync::mpsc::TryRecvError::Disconnected) => Err(crashed()),
            }
        };
        match &in_flight {
            Ok(_) => self.count -= 1,
            // what was under way is lost
            Err(_) => self.count = 0,
        }
        in_flight
    }

    /// All that are under way, in order.
    ///
    /// # Errors
    /// When a thread has panicked.
    pub(super) fn all(&mut self) -> Result<VecDeque<InFlightFrame>, Error> {
        let mut all = VecDeque::with_capacity(self.count);
        while let Some(in_flight) = self.next(true)? {
            all.push_back(in_flight);
        }
        Ok(all)
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

fn run(network: &mut Shared, in_flight: &mut InFlightFrame) {
    let job = &mut in_flight.job;
    if job.repeated {
        return;
    }
    match network.run(&mut job.request, in_flight.due) {
        Ok(Some(timing)) => job.timing = Some(timing),
        Ok(None) => in_flight.outcome = Outcome::Interrupted,
        Err(error) => in_flight.outcome = Outcome::Failed(error),
    }
}

fn write(packer: &Mutex<Packer>, in_flight: &mut InFlightFrame) {
    if !matches!(in_flight.outcome, Outcome::None) {
        return;
    }
    let Some(depth_frame) = in_flight.depth_frame.get_mut() else {
        in_flight.outcome = Outcome::Failed(Error::Frame {
            reason: "the depth buffer is not its own".into(),
        });
        return;
    };
    // nobody else takes this lock while frames are under way
    let packed = pack(
        &mut lock(packer),
        &mut in_flight.job,
        depth_frame,
        &in_flight.depth_info,
    );
    in_flight.outcome = match packed {
        Ok((meta, invalid)) => Outcome::Depth(meta, invalid),
        Err(error) => Outcome::Failed(error),
    };
}
