//! The runs of a frame: one that says what is large, and those at a higher resolution, if it has any.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::backend::DepthMaps;
use super::shared::{Request, Shared, Ticket, Timing};
use crate::detail::{Fusion, Map, Tile, Tiles};
use crate::error::Error;
use crate::geometry::Size;

/// Tiles of a frame that are at the scheduler at a time, at least, for whoever runs several at once. More where batches take
/// more.
const AHEAD: usize = 4;
/// And at most: each holds a tile.
const MOST_AHEAD: usize = 65;

/// What a frame's runs for detail need, with buffers that are used again.
#[derive(Default)]
pub(crate) struct Detailed {
    /// `None`: it has none.
    tiles: Option<Arc<Tiles>>,
    /// `[3, height, width]` of the whole picture that is cut into tiles.
    tensor: Vec<f32>,
    /// Its depth.
    map: Vec<f32>,
    fusion: Fusion,
    spare: Vec<Request>,
    /// There was no memory for them.
    failure: Option<Error>,
}

impl Detailed {
    /// Which tiles there are; `None`: no runs.
    pub(crate) fn set(&mut self, tiles: Option<Arc<Tiles>>) {
        if tiles != self.tiles {
            // of another size
            *self = Self::default();
        }
        self.tiles = tiles;
        self.failure = None;
    }

    /// No runs for this frame after all.
    pub(crate) fn give_up(&mut self) {
        self.set(None);
    }

    /// Size of the picture that is cut into tiles; `None`: none is.
    pub(crate) fn whole(&self) -> Option<Size> {
        self.tiles.as_ref().map(|tiles| tiles.whole())
    }

    /// Why they were given up, if for want of memory.
    pub(crate) fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    fn fail(&mut self, error: Error) {
        self.give_up();
        self.failure = Some(error);
    }

    /// Has `write` fill the tensor of the whole picture. Without memory for it there are no runs.
    ///
    /// # Errors
    /// That of `write`.
    pub(crate) fn read(
        &mut self,
        write: impl FnOnce(&mut [f32]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(whole) = self.whole() else {
            return Ok(());
        };
        let length = 3 * whole.area();
        let more = length.saturating_sub(self.tensor.len());
        if let Err(error) = self.tensor.try_reserve_exact(more) {
            self.fail(Error::OutOfMemory {
                size: whole.to_string(),
                reason: error.to_string(),
            });
            return Ok(());
        }
        self.tensor.resize(length, 0.0);
        write(&mut self.tensor)
    }

    /// Lays the depth of a tile on that of the first run.
    fn add(
        &mut self,
        tiles: &Tiles,
        tile: Tile,
        depth: &DepthMaps,
        first: &DepthMaps,
    ) -> Result<(), Error> {
        let map = Map::new(&depth.values, depth.size)?;
        let first = Map::new(&first.values, first.size)?;
        self.fusion.add(tiles, tile, map, first, &mut self.map)
    }

    /// The request for a tile.
    fn request(&mut self, tiles: &Tiles, tile: Tile) -> Request {
        let mut request = self.spare.pop().unwrap_or_default();
        request.size = tiles.size();
        tiles.cut(tile, &self.tensor, &mut request.tensor);
        request
    }
}

/// When a frame's runs are due, and how long they are waited for.
pub(crate) struct Turn {
    /// The first run, if it has been submitted before.
    pub(crate) first: Option<Ticket>,
    /// When the frame's depth is due.
    pub(crate) due: Instant,
    /// See [`Shared::wait`].
    pub(crate) patient: bool,
}

/// Takes a frame through the network, `request` and its runs for detail if it has any: its depth map is all of them then.
/// `None`: interrupted. Without memory for detail, the first run is all.
///
/// # Errors
/// As [`Shared::run`].
pub(crate) fn run(
    network: &Shared,
    request: &mut Request,
    detailed: &mut Detailed,
    turn: Turn,
) -> Result<Option<Timing>, Error> {
    let Turn {
        first,
        due,
        patient,
    } = turn;
    let first = first.unwrap_or_else(|| network.submit(std::mem::take(request), due));
    let Some(tiles) = detailed.tiles.clone() else {
        let completed = network.wait(first, patient);
        *request = completed.request;
        return completed.result;
    };
    let together = network.runs_together().saturating_mul(network.slots());
    let mut queue = Queue {
        ahead: together.saturating_add(1).clamp(AHEAD, MOST_AHEAD),
        to_come: tiles.iter(),
        under_way: VecDeque::new(),
    };
    queue.fill(network, &tiles, detailed, due);
    let first = network.wait(first, patient);
    *request = first.request;
    let Some(mut timing) = first.result? else {
        return Ok(None);
    };
    let mut fuse = || {
        Fusion::begin(&tiles, &mut detailed.map)?;
        while let Some((tile, ticket)) = queue.under_way.pop_front() {
            let done = network.wait(ticket, patient);
            let Some(took) = done.result? else {
                return Ok(false);
            };
            let images = u32::try_from(took.batch.max(1)).unwrap_or(u32::MAX);
            timing.inference += took.inference / images;
            // others run meanwhile
            queue.fill(network, &tiles, detailed, due);
            detailed.add(&tiles, tile, &done.request.depth, &request.depth)?;
            detailed.spare.push(done.request);
        }
        Ok(true)
    };
    match fuse() {
        Ok(true) => {
            let depth = &mut request.depth;
            std::mem::swap(&mut depth.values, &mut detailed.map);
            depth.size = tiles.whole();
            Ok(Some(timing))
        }
        Ok(false) => Ok(None),
        Err(error @ Error::OutOfMemory { .. }) => {
            detailed.fail(error);
            Ok(Some(timing))
        }
        Err(error) => Err(error),
    }
}

/// The tiles of a frame on their way through the network, in order.
struct Queue<T> {
    /// As many as are under way at a time.
    ahead: usize,
    to_come: T,
    under_way: VecDeque<(Tile, Ticket)>,
}

impl<T: Iterator<Item = Tile>> Queue<T> {
    /// Gives tiles to the scheduler until as many are under way as may be.
    fn fill(&mut self, network: &Shared, tiles: &Tiles, detailed: &mut Detailed, due: Instant) {
        while self.under_way.len() < self.ahead
            && let Some(tile) = self.to_come.next()
        {
            let request = detailed.request(tiles, tile);
            let ticket = network.submit(request, due);
            self.under_way.push_back((tile, ticket));
        }
    }
}
