//! Threads that frames go through in order, whatever a frame is.

mod stages;
mod worker;

pub(crate) use stages::{Crashed, Stages};
pub(crate) use worker::{Arrival, Depth, Finished, Handler, Worker};
