//! A slot: one run of a network at a time, of one request or of a batch.

use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Request;
use crate::error::Error;
use crate::inference::backend::{DepthMaps, Images, Network};
use crate::inference::planner::GivenBack;
use crate::inference::under_way::UnderWay;
use crate::panics::caught;

/// A network with the buffers of its batches.
pub(super) struct Slot {
    pub(super) network: ManuallyDrop<Box<dyn Network>>,
    tensor: Vec<f32>,
    depth: DepthMaps,
    /// Dropped last.
    _memory: GivenBack,
}

impl Drop for Slot {
    fn drop(&mut self) {
        // at the end of the process what it would be closed by may be gone
        if let Ok(_under_way) = UnderWay::enter() {
            // SAFETY: nobody uses it after this, and this happens once
            unsafe { ManuallyDrop::drop(&mut self.network) };
        }
    }
}

impl Slot {
    pub(super) fn new(network: Box<dyn Network>) -> Self {
        Self {
            network: ManuallyDrop::new(network),
            tensor: Vec::new(),
            depth: DepthMaps::default(),
            _memory: GivenBack,
        }
    }

    /// Runs all of `requests`, together where that works. Gives what became of them, up to where it was cancelled.
    pub(super) fn run_all(
        &mut self,
        requests: &mut [Request],
        cancelled: &AtomicBool,
    ) -> Vec<Result<(), Error>> {
        // what has not run is told so
        let Ok(_under_way) = UnderWay::enter() else {
            return Vec::new();
        };
        if requests.len() > 1 && self.run_together(requests).is_ok() {
            return vec![Ok(()); requests.len()];
        }
        // whose fault it is shows when they run alone
        let mut results = Vec::with_capacity(requests.len());
        for request in requests {
            if cancelled.load(Ordering::Acquire) {
                break;
            }
            let images = Images {
                values: &request.tensor,
                batch: 1,
                size: request.size,
            };
            let result = caught(|| self.network.run(images, &mut request.depth));
            match result {
                Ok(result) => results.push(result),
                Err(_) => break,
            }
        }
        results
    }

    fn run_together(&mut self, requests: &mut [Request]) -> Result<(), Error> {
        let size = requests
            .first()
            .map(|request| request.size)
            .unwrap_or_default();
        self.tensor.clear();
        for request in requests.iter() {
            self.tensor.extend_from_slice(&request.tensor);
        }
        let images = Images {
            values: &self.tensor,
            batch: requests.len(),
            size,
        };
        self.network.run(images, &mut self.depth)?;
        let area = self.depth.size.area();
        if area == 0 || self.depth.values.len() != requests.len() * area {
            return Err(Error::Inference {
                size: size.to_string(),
                reason: format!(
                    "{} values came back for {} images",
                    self.depth.values.len(),
                    requests.len()
                ),
            });
        }
        for (request, map) in requests
            .iter_mut()
            .zip(self.depth.values.chunks_exact(area))
        {
            request.depth.values.clear();
            request.depth.values.extend_from_slice(map);
            request.depth.size = self.depth.size;
            request.depth.batch = 1;
        }
        Ok(())
    }
}
