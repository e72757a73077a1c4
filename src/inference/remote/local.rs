//! Tensors in memory that is shared with Tritons on this machine, instead of over the wire.
//!
//! A slot has a region: its front is the image, the rest the depth map. Each server maps it once, and again after it has failed,
//! as one that was started anew knows nothing of it. A region at which a request has failed is not used again: a server that
//! is late may still write to it.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;

use super::form::{Form, values};
use super::pool::{Destination, Pool};
use super::protocol::{Call, InferParameter, Method, Parameters, SharedMemory};
use super::region::{self, Region};
use super::transport::{Failure, Transport};
use crate::error::Error;
use crate::inference::backend::{DepthMaps, Images};
use crate::sync::lock;

/// Regions of a server that are looked at.
const MOST_REGIONS: usize = 1024;
/// A cache line and more: where depth begins.
const ALIGNMENT: usize = 4096;

/// What a slot has of shared memory.
pub(super) struct Local {
    region: Option<Region>,
    /// Servers that have mapped it, and in which of their epochs.
    mapped: Mutex<Vec<Option<u64>>>,
}

impl Local {
    pub(super) fn new(servers: usize) -> Self {
        Self {
            region: None,
            mapped: Mutex::new(vec![None; servers]),
        }
    }

    /// A request for `images`; `None`: there is no such memory.
    pub(super) async fn run(
        &mut self,
        pool: &Arc<Pool>,
        form: &Form,
        images: Images<'_>,
        depth: &mut DepthMaps,
    ) -> Option<Result<(), Error>> {
        let length = form.tensor_length(images);
        let from = length.next_multiple_of(ALIGNMENT);
        let room = form.depth_length(images);
        let whole = from.checked_add(room)?;
        if self
            .region
            .as_ref()
            .is_none_or(|region| region.length() < whole)
        {
            self.retire(pool);
            self.region = Region::new(whole).ok();
        }
        let region = self.region.as_mut()?;
        form.write(images, region.front(length));
        let place = |offset: usize, length: usize| -> Parameters {
            let number =
                |value: usize| InferParameter::from(i64::try_from(value).unwrap_or(i64::MAX));
            [
                (
                    "shared_memory_region".to_owned(),
                    region.name().to_owned().into(),
                ),
                ("shared_memory_offset".to_owned(), number(offset)),
                ("shared_memory_byte_size".to_owned(), number(length)),
            ]
            .into()
        };
        let request = form.request(images, place(0, length), place(from, room));
        let call = Call::infer(&request, bytes::Bytes::new(), 1 << 20);
        let (region, mapped) = (&*region, &self.mapped);
        let sent = Cell::new(0);
        let prepare = async |to: Destination<'_>| {
            sent.set(sent.get() + 1);
            let known = lock(mapped).get(to.index).copied().flatten();
            if known != Some(to.epoch) {
                register(to.transport, region.name(), region.length()).await?;
                if let Some(mapped) = lock(mapped).get_mut(to.index) {
                    *mapped = Some(to.epoch);
                }
            }
            Ok(call.clone())
        };
        let accept = |answer: &_| {
            let (element, size, length) = form.placed(answer, images)?;
            let data = region.copy(from, length).filter(|_| length <= room);
            let data = data
                .ok_or_else(|| format!("depth of {length} bytes where there is room for {room}"))?;
            Ok((element, size, data))
        };
        let answer = pool
            .infer((images.size, images.batch), prepare, accept)
            .await;
        let result = answer
            .and_then(|(element, size, data)| values(&element, &data, size, images.batch, depth));
        if result.is_err() || sent.get() > 1 {
            self.retire(pool);
        }
        Some(result)
    }

    /// Lets the region go, here and at the servers. The tasks end when those have heard.
    pub(super) fn retire(&mut self, pool: &Pool) -> Vec<JoinHandle<()>> {
        let Some(region) = self.region.take() else {
            return Vec::new();
        };
        let mut mapped = lock(&self.mapped);
        let knowing = mapped.iter_mut().enumerate();
        knowing
            .filter_map(|(index, mapped)| {
                mapped.take()?;
                pool.notify(index, unregistering(region.name()))
            })
            .collect()
    }

    /// Whether there is a region.
    pub(super) fn is_used(&self) -> bool {
        self.region.is_some()
    }
}

fn unregistering(name: &str) -> Call {
    let region = SharedMemory {
        name: name.to_owned(),
        ..SharedMemory::default()
    };
    Call::small(Method::SharedMemoryUnregister, &region)
}

/// Time for what is said of regions.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(1);

async fn register(transport: &dyn Transport, name: &str, length: usize) -> Result<(), Failure> {
    // what it may know from before
    let _ = transport.call(unregistering(name), DEADLINE).await;
    let region = SharedMemory {
        name: name.to_owned(),
        key: format!("/{name}"),
        byte_size: length as u64,
    };
    let call = Call::small(Method::SharedMemoryRegister, &region);
    transport.call(call, DEADLINE).await.map(drop)
}

/// Removes what crashed processes have left, here and at a server; whether the server can map what is made here.
pub(super) async fn try_out(transport: &dyn Transport) -> bool {
    region::clean();
    let all = Call::small(Method::SharedMemoryStatus, &SharedMemory::default());
    let Ok(known) = transport.call(all, DEADLINE).await else {
        return false;
    };
    let known = super::protocol::read::<super::protocol::SharedMemoryStatusResponse>(known);
    for name in known
        .unwrap_or_default()
        .regions
        .into_keys()
        .take(MOST_REGIONS)
    {
        if name.starts_with(region::PREFIX) && !region::exists(&name) {
            let _ = transport.call(unregistering(&name), DEADLINE).await;
        }
    }
    let Ok(region) = Region::new(ALIGNMENT) else {
        return false;
    };
    let is_mapped = register(transport, region.name(), region.length())
        .await
        .is_ok();
    let _ = transport.call(unregistering(region.name()), DEADLINE).await;
    is_mapped
}
