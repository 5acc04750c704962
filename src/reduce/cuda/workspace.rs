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
use std::ptr::null_mut;
use std::sync::{Arc, Weak};

use candle_core::cuda_backend::DeviceId;
use cudarc::driver::DeviceRepr;

use super::gpu::{Buffer, Gpu};
use crate::reduce::ReduceError;
use crate::reduce::abi::{Scratch, Sums};

// SAFETY: it holds numbers only, and nvcc has checked that it lays them out as rustc does.
unsafe impl DeviceRepr for Sums {}

/// The workspace of one thread on one device.
struct Workspace {
    /// The workspace is of no use without it; but for a CUDA graph that outlives it.
    gpu: Weak<Gpu>,
    sums: Part<Sums>,
    tickets: Part<u32>,
}

/// Memory that grows without freeing what it has outgrown.
struct Part<T> {
    buffers: Vec<Buffer<T>>,
    /// Of the last.
    address: *mut T,
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
        let mut larger = alloc(len.max(2 * now))?;
        self.address = gpu.address(&mut larger);
        self.buffers.push(larger);
        Ok(())
    }
}

impl Workspace {
    fn new(gpu: &Arc<Gpu>) -> Self {
        let sums = Part { buffers: Vec::new(), address: null_mut() };
        let tickets = Part { buffers: Vec::new(), address: null_mut() };
        Self { gpu: Arc::downgrade(gpu), sums, tickets }
    }
}

/// This thread's workspace for the device, with room for a batch of so many rows, and for so many
/// partial results in each.
pub(super) fn of_thread(
    gpu: &Arc<Gpu>,
    rows: usize,
    partials: usize,
) -> Result<Scratch, ReduceError> {
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
        workspace.sums.reserve(gpu, rows * (partials + 1), |len| gpu.alloc(len))?;
        workspace.tickets.reserve(gpu, rows, |len| gpu.alloc_zeros(len))?;
        let partials_end = workspace.sums.address.wrapping_add(rows * partials);
        Ok(Scratch {
            partials: workspace.sums.address,
            totals: partials_end,
            tickets: workspace.tickets.address,
        })
    })
}
