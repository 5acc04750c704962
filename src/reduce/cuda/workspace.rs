//! Scratch memory, and the tickets by which the last block of a row is found.
//!
//! Launches that share it must not overlap. Two threads may share a candle device, and then work on
//! two streams (CUDA's per-thread default streams), or on one: so each thread has its own, for each
//! device. All that one thread gives to one device is done in order.
//!
//! A workspace grows, and what it has outgrown is kept until the thread ends, since a CUDA graph
//! may have recorded it. Each size is at least twice the one before, so that is not much.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use candle_core::cuda_backend::DeviceId;

use super::gpu::{Buffer, Gpu};
use super::params::Address;
use crate::reduce::ReduceError;

/// Where the workspace is.
#[derive(Clone, Copy)]
pub(super) struct Addresses {
    /// Of `struct Sums`, see kernels/params.cuh.
    pub(super) sums: Address,
    /// All 0 between launches.
    pub(super) tickets: Address,
}

/// The workspace of one thread on one device.
struct Workspace {
    /// The workspace is of no use without it; but for a CUDA graph that outlives it.
    gpu: Weak<Gpu>,
    sums: Part<[f32; 4]>,
    tickets: Part<u32>,
}

/// Memory that grows without freeing what it has outgrown.
struct Part<T> {
    buffers: Vec<Buffer<T>>,
    address: Address,
}

impl<T> Part<T> {
    /// Makes room for `len` values, by `alloc` if need be.
    fn reserve(
        &mut self,
        gpu: &Gpu,
        len: usize,
        alloc: impl FnOnce(usize) -> Result<Buffer<T>, ReduceError>,
    ) -> Result<(), ReduceError> {
        let now = self.buffers.last().map_or(0, Buffer::len);
        if len <= now {
            return Ok(());
        }
        if gpu.is_capturing() {
            return Err(ReduceError::CaptureBeforeUse);
        }
        let larger = alloc(len.max(2 * now))?;
        self.address = gpu.address(&larger);
        self.buffers.push(larger);
        Ok(())
    }
}

impl Workspace {
    fn new(gpu: &Arc<Gpu>) -> Self {
        let sums = Part { buffers: Vec::new(), address: 0 };
        let tickets = Part { buffers: Vec::new(), address: 0 };
        Self { gpu: Arc::downgrade(gpu), sums, tickets }
    }
}

/// This thread's workspace for the device, with room for so many sums and tickets.
pub(super) fn of_thread(
    gpu: &Arc<Gpu>,
    sums: usize,
    tickets: usize,
) -> Result<Addresses, ReduceError> {
    thread_local! {
        static WORKSPACES: RefCell<HashMap<DeviceId, Workspace>> = RefCell::default();
    }
    WORKSPACES.with_borrow_mut(|workspaces| {
        let id = gpu.device.id();
        if !workspaces.contains_key(&id) {
            workspaces.retain(|_, workspace| workspace.gpu.strong_count() > 0);
        }
        let workspace = workspaces.entry(id).or_insert_with(|| Workspace::new(gpu));
        workspace.gpu = Arc::downgrade(gpu);
        workspace.sums.reserve(gpu, sums, |len| gpu.alloc(len))?;
        workspace.tickets.reserve(gpu, tickets, |len| gpu.alloc_zeros(len))?;
        let (sums, tickets) = (workspace.sums.address, workspace.tickets.address);
        Ok(Addresses { sums, tickets })
    })
}
