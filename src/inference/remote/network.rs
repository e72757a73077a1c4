//! A network that servers run.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Notify;

use super::form::Form;
#[cfg(unix)]
use super::local::Local;
use super::pool::{Destination, Pool};
use crate::error::Error;
use crate::inference::backend::{
    Cancellation, Connection, DepthMaps, Description, Images, Network, Outage, ServerListener,
    ServerStatistics,
};
use crate::model::InputSize;

/// Threads that carry bytes: one is enough for two servers.
const MOST_THREADS: usize = 4;

/// Servers are told in this time that a region is not used any more.
#[cfg(unix)]
const FAREWELL: std::time::Duration = std::time::Duration::from_millis(100);

/// The threads that carry bytes. They are not waited for in the end.
pub(super) struct Threads(Option<Runtime>);

impl Threads {
    /// For so many servers.
    ///
    /// # Errors
    /// When the system has none left.
    pub(super) fn start(servers: usize) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(servers.div_ceil(2).clamp(1, MOST_THREADS))
            .max_blocking_threads(MOST_THREADS)
            .thread_name("depth-servers")
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    pub(super) fn handle(&self) -> Option<Handle> {
        self.0.as_ref().map(|runtime| runtime.handle().clone())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// What all slots have in common.
pub(super) struct Remote {
    /// Dropped with the last slot.
    pub(super) _threads: Threads,
    pub(super) handle: Handle,
    pub(super) pool: Arc<Pool>,
    pub(super) form: Form,
    /// Whether the servers share memory with this process.
    pub(super) shares_memory: bool,
    pub(super) description: Description,
}

/// A slot: a request at a time.
pub(super) struct RemoteNetwork {
    remote: Arc<Remote>,
    cancel: Arc<CancelRun>,
    /// The last that was sent.
    tensor: Bytes,
    #[cfg(unix)]
    local: Option<Local>,
}

impl RemoteNetwork {
    pub(super) fn new(remote: &Arc<Remote>) -> Self {
        Self {
            #[cfg(unix)]
            local: remote
                .shares_memory
                .then(|| Local::new(remote.pool.count())),
            remote: Arc::clone(remote),
            cancel: Arc::default(),
            tensor: Bytes::new(),
        }
    }

    /// A run by shared memory; `None`: there is none.
    #[cfg(unix)]
    fn run_local(
        &mut self,
        images: Images<'_>,
        depth: &mut DepthMaps,
    ) -> Option<Result<(), Error>> {
        let Remote {
            handle, pool, form, ..
        } = &*self.remote;
        let local = self.local.as_mut()?;
        let run = self
            .cancel
            .or_cancelled(local.run(pool, form, images, depth));
        let Some(result) = handle.block_on(run) else {
            // a server may still write to it
            local.retire(pool);
            return Some(Err(cancelled(images)));
        };
        if result.is_none() {
            self.local = None;
        }
        result
    }
}

#[cfg(unix)]
impl Drop for RemoteNetwork {
    fn drop(&mut self) {
        if let Some(local) = self.local.as_mut().filter(|local| local.is_used()) {
            let told = local.retire(&self.remote.pool);
            // the threads that tell the servers may end with this, and do not wait for themselves
            if Handle::try_current().is_err() {
                self.remote.handle.block_on(async {
                    let all = async {
                        for one in told {
                            let _ = one.await;
                        }
                    };
                    let _ = tokio::time::timeout(FAREWELL, all).await;
                });
            }
        }
    }
}

/// Ends a request.
#[derive(Default)]
struct CancelRun {
    cancelled: AtomicBool,
    changed: Notify,
}

impl CancelRun {
    /// What comes of `work`; `None`: it was cancelled before.
    async fn or_cancelled<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let cancelled = async {
            loop {
                let changed = self.changed.notified();
                if self.cancelled.load(Ordering::Acquire) {
                    return;
                }
                changed.await;
            }
        };
        tokio::select! {
            biased;
            () = cancelled => None,
            result = work => Some(result),
        }
    }
}

impl Cancellation for CancelRun {
    fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    fn reset(&self) {
        self.cancelled.store(false, Ordering::Release);
    }
}

impl Network for RemoteNetwork {
    fn description(&self) -> &Description {
        &self.remote.description
    }

    fn run(&mut self, images: Images<'_>, depth: &mut DepthMaps) -> Result<(), Error> {
        check(&self.remote.description, images)?;
        #[cfg(unix)]
        if let Some(result) = self.run_local(images, depth) {
            return result;
        }
        let Remote {
            handle, pool, form, ..
        } = &*self.remote;
        let tensor = form.tensor(images, std::mem::take(&mut self.tensor))?;
        self.tensor = tensor.clone();
        let call = form.call(images, tensor);
        let call = async |_: Destination<'_>| Ok(call.clone());
        let accept = |answer: &_| form.depth(answer, images);
        let request = pool.infer((images.size, images.batch), call, accept);
        let answer = handle.block_on(self.cancel.or_cancelled(request));
        let (output, size) = answer.unwrap_or_else(|| Err(cancelled(images)))?;
        output.read(size, images.batch, depth)
    }

    fn connection(&self) -> Option<Arc<dyn Connection>> {
        Some(Arc::new(Servers(Arc::downgrade(&self.remote))))
    }

    fn cancellation(&self) -> Option<Arc<dyn Cancellation>> {
        Some(Arc::clone(&self.cancel) as _)
    }
}

fn cancelled(images: Images<'_>) -> Error {
    Error::Inference {
        size: images.size.to_string(),
        reason: "nobody waits for it any more".to_owned(),
    }
}

/// Whether `images` are what was promised.
///
/// # Errors
/// [`Error::Inference`].
fn check(description: &Description, images: Images<'_>) -> Result<(), Error> {
    let wrong = |reason: String| {
        Err(Error::Inference {
            size: images.size.to_string(),
            reason,
        })
    };
    let expected = images.size.area().checked_mul(3 * images.batch);
    if images.batch == 0 || expected != Some(images.values.len()) {
        return wrong(format!(
            "{} values for {} images",
            images.values.len(),
            images.batch
        ));
    }
    match description.input_size {
        InputSize::Fixed(size) if size != images.size => {
            wrong(format!("the model takes {size} only"))
        }
        _ => Ok(()),
    }
}

/// The servers, as the element sees them. It does not keep them.
struct Servers(Weak<Remote>);

impl Connection for Servers {
    fn statistics(&self) -> ServerStatistics {
        let remote = self.0.upgrade();
        remote.map_or_else(ServerStatistics::default, |remote| remote.pool.statistics())
    }

    fn outage(&self) -> Option<Outage> {
        self.0.upgrade()?.pool.outage()
    }

    fn listen(&self, listener: Weak<ServerListener>) {
        if let Some(remote) = self.0.upgrade() {
            remote.pool.listen(listener);
        }
    }
}
