//! Work that is captured into a CUDA graph: what the graph owns, and what it keeps alive.

use std::any::Any;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::{Arc, Mutex};

use cudarc::driver::DriverError;
use cudarc::driver::sys::{
    self, CUgraph, CUgraphNode, CUresult, CUstream, CUstreamCaptureMode, CUstreamCaptureStatus,
};

use super::memory::{Allocation, lock};

unsafe extern "C" {
    // All drivers since CUDA 11.3 have it; cudarc declares it for the toolkits of CUDA 11 and 12,
    // whose headers had it.
    fn cuStreamGetCaptureInfo_v2(
        stream: CUstream,
        status: *mut CUstreamCaptureStatus,
        id: *mut u64,
        graph: *mut CUgraph,
        dependencies: *mut *const CUgraphNode,
        num_dependencies: *mut usize,
    ) -> CUresult;
}

/// A capture under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capture {
    /// No other of the process has it.
    pub(super) id: u64,
    /// The graph that it makes; null if it has become invalid.
    graph: CUgraph,
}

impl Capture {
    /// That of the stream, if it is captured. The stream's context must be this thread's.
    pub(super) fn of(stream: CUstream) -> Result<Option<Self>, DriverError> {
        let mut status = CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE;
        let (mut id, mut graph) = (0, null_mut());
        // SAFETY: the stream is alive, and what is not asked for may be null.
        unsafe {
            let info = (&mut status, &mut id, &mut graph);
            cuStreamGetCaptureInfo_v2(stream, info.0, info.1, info.2, null_mut(), null_mut())
                .result()?;
        }
        let captured = status != CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE;
        Ok(captured.then_some(Self { id, graph }))
    }

    /// Keeps the memory for as long as the graph, what is instantiated from it, or a launch of that
    /// is there.
    pub(super) fn keep(&self, memory: Vec<Arc<Allocation>>) -> Result<(), DriverError> {
        let kept = Box::into_raw(Box::new(memory)).cast::<c_void>();
        let mut object = null_mut();
        let alone = sys::CUuserObject_flags::CU_USER_OBJECT_NO_DESTRUCTOR_SYNC as u32;
        let moved = sys::CUuserObjectRetain_flags::CU_GRAPH_USER_OBJECT_MOVE as u32;
        // SAFETY: `give_up` takes what `kept` points to, once: either the driver calls it, when the
        // last reference to the object is gone, or this does, when there is no object.
        unsafe {
            let created = sys::cuUserObjectCreate(&mut object, kept, Some(give_up), 1, alone);
            if let Err(error) = created.result() {
                give_up(kept);
                return Err(error);
            }
            let retained = sys::cuGraphRetainUserObject(self.graph, object, 1, moved).result();
            if retained.is_err() {
                sys::cuUserObjectRelease(object, 1).result()?;
            }
            retained
        }
    }
}

/// The destructor of what a graph has kept. It must not call CUDA, so that it leaves the memory to
/// the next operation.
unsafe extern "C" fn give_up(kept: *mut c_void) {
    // SAFETY: it is the box of `Capture::keep`, which nobody else has.
    drop_later(unsafe { Box::from_raw(kept.cast::<Vec<Arc<Allocation>>>()) });
}

static LATER: Mutex<Vec<Box<dyn Any + Send>>> = Mutex::new(Vec::new());

/// Leaves something that cannot be dropped here to the next operation, of any thread on any device.
pub(super) fn drop_later(thing: Box<dyn Any + Send>) {
    lock(&LATER).push(thing);
}

/// Drops what was left.
pub(super) fn drop_now() {
    let things = std::mem::take(&mut *lock(&LATER));
    drop(things); // which may leave some of it once more
}

/// Makes calls that a capture on any stream, of this thread or another, would forbid this thread, such
/// as those that take memory; none of them may concern a stream that is captured.
pub(super) fn relaxed<T>(calls: impl FnOnce() -> Result<T, DriverError>) -> Result<T, DriverError> {
    struct Restored(CUstreamCaptureMode);
    impl Drop for Restored {
        fn drop(&mut self) {
            // It is a mode that the driver has given, and nothing else can be wrong.
            let _ = exchange_mode(self.0);
        }
    }
    let _restored = Restored(exchange_mode(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED)?);
    calls()
}

/// Sets this thread's capture mode, and returns what it was.
fn exchange_mode(mut mode: CUstreamCaptureMode) -> Result<CUstreamCaptureMode, DriverError> {
    // SAFETY: it reads and writes the mode, which is borrowed for the call, and no other memory.
    unsafe { sys::cuThreadExchangeStreamCaptureMode(&mut mode) }.result()?;
    Ok(mode)
}
