//! Sizes that there is memory for: within `memory-limit`, and without one within what the machine has left.

use super::plan::{Asked, Plan};
use super::{Level, resident};
use crate::error::{Error, Setting};
use crate::geometry::Size;
use crate::inference::backend::{Description, InputSize, MemoryDomain};

/// What a network may take of the memory that the machine has left. The rest is for frames, and for everybody else.
const SHARE: f64 = 0.9;
/// What is predicted before it was measured may be so many times too little: the file of a 4-bit model looks like that of
/// a much smaller one.
const DOUBT: u64 = 4;

/// A network that may be shared, and what it takes of memory.
pub(in crate::inference) trait MemoryUse {
    /// What it is and where it runs.
    fn description(&self) -> &Description;

    /// Bytes that it takes, weights included, when it runs at so many tokens: predicted, and where it has run at that size
    /// measured.
    fn at(&self, tokens: usize) -> u64;

    /// Bytes that it has taken by now, if it has given none back.
    fn held(&self) -> u64;

    /// The largest size, in tokens, at which its memory has been measured.
    fn largest_measured(&self) -> usize;

    /// Whether it has run at this size.
    fn is_warm(&self, size: Size) -> bool;

    /// It takes no more images of others along than there are so many bytes for; `None`: no limit.
    fn limit(&self, bytes: Option<u64>);
}

/// Bytes that the network may take, and who says so.
#[derive(Debug, Clone, Copy)]
enum Limit {
    Property(u64),
    Machine(u64),
}

/// There was no memory for the size that was wanted.
pub(in crate::inference) struct Shortage {
    /// What is to be said of it.
    pub(in crate::inference) warning: Option<Error>,
}

impl Limit {
    fn bytes(self) -> u64 {
        match self {
            Self::Property(bytes) | Self::Machine(bytes) => bytes,
        }
    }

    /// Not even the smallest size fits.
    fn too_low(self, model: &str, smallest: Level, takes: u64) -> Error {
        let (has, takes, size) = (megabytes(self.bytes()), megabytes(takes), smallest.size);
        let which = "the smallest size that min-resolution allows";
        match self {
            Self::Property(_) => Error::Setting {
                setting: Setting::MemoryLimit,
                reason: format!(
                    "{has} MB are too few: {model} takes {takes} MB at {size}, {which}. \
                     Raise the limit, lower min-resolution, or use a smaller model"
                ),
            },
            Self::Machine(_) => Error::Setting {
                setting: Setting::MinResolution,
                reason: format!(
                    "this machine has {has} MB left for inference, and {model} takes {takes} MB at {size}, {which}. \
                     Lower min-resolution, use a smaller model, or set memory-limit to what you know to be there"
                ),
            },
        }
    }

    /// A smaller size than `wanted` is taken. Who has set a limit has asked for that.
    fn shortage(self, wanted: Level, takes: u64) -> Shortage {
        let warning = match self {
            Self::Property(_) => None,
            Self::Machine(has) => Some(Error::OutOfMemory {
                size: wanted.size.to_string(),
                reason: format!(
                    "it would take about {} MB, and this machine has {} MB left for it",
                    megabytes(takes),
                    megabytes(has)
                ),
            }),
        };
        Shortage { warning }
    }
}

fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}

/// What a stream's network may take, and what follows from it for the sizes of the present plan.
pub(in crate::inference) struct Memory {
    /// Bytes that the network may take; `None`: any number.
    most: Option<u64>,
    /// Tells how many bytes the machine has left.
    available: fn() -> Option<u64>,
    limit: Option<Limit>,
    /// The largest size, in tokens, that was measured when the plan was limited.
    measured: usize,
}

impl Memory {
    pub(in crate::inference) fn new(most: Option<u64>, available: fn() -> Option<u64>) -> Self {
        Self {
            most,
            available,
            limit: None,
            measured: 0,
        }
    }

    /// What there is for the network; `None`: nobody knows.
    fn room(&self, network: &dyn MemoryUse) -> Option<Limit> {
        if let Some(bytes) = self.most {
            return Some(Limit::Property(bytes));
        }
        if network.description().memory == MemoryDomain::Device {
            return None;
        }
        // what it holds already is not left any more, but its own
        let own = network.held().min(resident().unwrap_or(u64::MAX));
        let left = (self.available)()? as f64 * SHARE;
        Some(Limit::Machine(own.saturating_add(left as u64)))
    }

    /// What the network may take when it runs at the sizes of `plan`, and its batches in any case. `None`: there is enough
    /// without a doubt, or nothing to be done about it.
    fn limit_for(&self, network: &dyn MemoryUse, plan: &Plan) -> Option<Limit> {
        let room = self.room(network);
        network.limit(room.map(Limit::bytes));
        let limit = match room? {
            Limit::Machine(bytes) => bytes,
            property @ Limit::Property(_) => return Some(property),
        };
        if network.description().input_size != InputSize::Any {
            return None;
        }
        let most = plan.levels().last()?.tokens;
        let measured = most <= network.largest_measured();
        let doubt = if measured { 1 } else { DOUBT };
        let takes = network.at(most).saturating_mul(doubt);
        (takes > limit).then_some(Limit::Machine(limit))
    }

    /// Whether so many tokens of `plan` are predicted to fit.
    pub(in crate::inference) fn allows(
        &self,
        network: &dyn MemoryUse,
        plan: &Plan,
        tokens: usize,
    ) -> bool {
        let limit = self.limit_for(network, plan);
        limit.is_none_or(|limit| network.at(tokens) <= limit.bytes())
    }

    /// Takes the sizes from `plan` that there is no memory for. `playing`: a frame waits meanwhile. `trial` runs the network
    /// at a size. Some: the plan has a smaller size now than it had.
    ///
    /// # Errors
    /// [`Error::Setting`] when there is no memory for the smallest that is allowed; says how much it takes.
    pub(in crate::inference) fn fit(
        &mut self,
        network: &dyn MemoryUse,
        plan: &mut Plan,
        asked: Asked,
        playing: bool,
        trial: &mut dyn FnMut(Size) -> Result<(), Error>,
    ) -> Result<Option<Shortage>, Error> {
        self.limit = self.limit_for(network, plan);
        let Some(limit) = self.limit else {
            return Ok(None);
        };
        let wanted = plan.level();
        // the memory of a GPU can't be measured from here, so that runs would teach nothing
        let predicts = (network.description().memory == MemoryDomain::Device)
            // and predictions reach this far
            || playing && wanted.tokens <= 2 * network.largest_measured();
        let tried = if predicts {
            None
        } else {
            Some(climb(network, plan, wanted, limit, trial)?)
        };
        let fits = match tried {
            Some(tokens) if tokens < wanted.tokens => tokens,
            // what time does not allow yet is measured on the way there
            _ => predict(network, plan, limit),
        };
        let smallest = plan.smallest_in_memory(asked);
        let takes = |level: Level| network.at(level.tokens);
        if fits < smallest.tokens {
            let model = &network.description().model;
            return Err(limit.too_low(model, smallest, takes(smallest)));
        }
        plan.limit(fits);
        self.measured = network.largest_measured();
        Ok((plan.level() != wanted).then(|| limit.shortage(wanted, takes(wanted))))
    }

    /// Keeps within the limit while sizes change: after a frame at `tokens`. True: it was too large, and `plan` has a smaller
    /// size.
    pub(in crate::inference) fn keep_within(
        &mut self,
        network: &dyn MemoryUse,
        plan: &mut Plan,
        tokens: usize,
    ) -> bool {
        let Some(limit) = self.limit else {
            return false;
        };
        let measured = network.largest_measured();
        if measured > self.measured {
            self.measured = measured;
            let size = plan.size();
            plan.limit(predict(network, plan, limit));
            return plan.size() != size;
        }
        network.at(tokens) > limit.bytes() && plan.shrink()
    }
}

/// The tokens of the largest size that is predicted to fit; 0: none is.
fn predict(network: &dyn MemoryUse, plan: &Plan, limit: Limit) -> usize {
    let mut levels = plan.levels().iter();
    let fits = levels.rfind(|level| network.at(level.tokens) <= limit.bytes());
    fits.map_or(0, |level| level.tokens)
}

/// Runs the network at growing sizes up to `wanted`, each predicted from those before. Gives the tokens of the largest
/// that fits; 0: none does.
fn climb(
    network: &dyn MemoryUse,
    plan: &Plan,
    wanted: Level,
    limit: Limit,
    trial: &mut dyn FnMut(Size) -> Result<(), Error>,
) -> Result<usize, Error> {
    let levels = plan.levels();
    let fits_by_prediction =
        |level: &Level| level.tokens <= wanted.tokens && network.at(level.tokens) <= limit.bytes();
    let known = network.largest_measured();
    let mut next = match known {
        known if levels.first().is_some_and(|least| known < least.tokens) => {
            levels.first().copied()
        }
        known => levels
            .iter()
            .copied()
            .rfind(|level| level.tokens <= known && fits_by_prediction(level)),
    };
    let mut fits = 0;
    while let Some(level) = next {
        if level.tokens > known && !network.is_warm(level.size) {
            match trial(level.size) {
                Err(Error::OutOfMemory { .. }) if fits > 0 => break,
                result => result?,
            }
        }
        if network.at(level.tokens) > limit.bytes() {
            break;
        }
        fits = level.tokens;
        // a prediction does not reach further than this
        let reach = (2 * fits).max(levels.get(1).map_or(0, |level| level.tokens));
        next = levels
            .iter()
            .copied()
            .rfind(|other| (fits + 1..=reach).contains(&other.tokens) && fits_by_prediction(other));
    }
    Ok(fits)
}
