//! Scratch memory, the tickets by which the last block of a row is found, and whose they are.
//!
//! Launches that share scratch memory must not overlap, and must find every ticket 0, as each
//! kernel leaves it. So:
//!
//! - Each stream has scratch memory of its own ([`Lane`]). That is the candle device's, or each
//!   thread's where the device stands for CUDA's per-thread default streams. A lane is locked until
//!   all launches of an operation are in the stream, so that no other thread's come between.
//! - While the stream is captured, scratch memory is the graph's: made, zeroed and freed by nodes of
//!   it. No other graph and no other operation ever has it, and launches of one executable graph
//!   never overlap. Nothing remains of a capture that is given up.
//! - The memory of a result that nobody has any more goes back to its lane, for the next one.
//! - If any call of an operation fails, the lane's scratch memory is given up for new, zeroed
//!   memory, whatever has run until then. (After a fault in a kernel the driver refuses all that
//!   follows, so that nothing can be computed with what it has left.)

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::thread;

use candle_core::DType;
use candle_core::cuda_backend::DeviceId;
use cudarc::driver::sys::{CUdeviceptr, CUstream};
use cudarc::driver::{DeviceRepr, DriverError, result};

use super::capture::{self, Capture};
use super::found::Words;
use super::gpu::Gpu;
use super::memory::{self, Allocation, Aside, Buffer, Used, lock};
use crate::reduce::ReduceError;
use crate::reduce::abi::{Arguments, Scratch, Sums, THREADS};

// SAFETY: it holds numbers only, and nvcc has checked that it lays them out as rustc does.
unsafe impl DeviceRepr for Sums {}

/// What belongs to a stream that is given operations.
pub(super) struct Lane {
    used: Arc<Used>,
    aside: Arc<Aside>,
    workspace: Mutex<Workspace>,
    /// The memory of a result that is gone, for the next one of its size.
    spare: Mutex<Option<Words>>,
}

/// A thread's lanes, and whose they are.
type Lanes = HashMap<DeviceId, (Weak<Gpu>, Arc<Lane>)>;

#[derive(Default)]
struct Workspace {
    sums: Option<Buffer<Sums>>,
    /// All 0 between operations.
    tickets: Option<Buffer<u32>>,
}

impl Lane {
    fn new(aside: &Arc<Aside>, of_thread: bool) -> Result<Self, DriverError> {
        let thread = of_thread.then(|| thread::current().id());
        let used = Arc::new(Used::new(aside.context(), thread)?);
        let (workspace, spare) = (Mutex::default(), Mutex::default());
        Ok(Self { used, aside: aside.clone(), workspace, spare })
    }

    /// That of the stream to which this thread gives work for the device.
    pub(super) fn of(gpu: &Arc<Gpu>) -> Result<Arc<Self>, ReduceError> {
        capture::drop_now();
        gpu.try_to("make an event", Self::find(gpu))
    }

    fn find(gpu: &Arc<Gpu>) -> Result<Arc<Self>, DriverError> {
        thread_local! {
            static LANES: RefCell<Lanes> = RefCell::default();
        }
        if !gpu.has_streams_of_threads() {
            let mut lane = lock(&gpu.lane);
            if let Some(lane) = &*lane {
                return Ok(lane.clone());
            }
            return Ok(lane.insert(Arc::new(Self::new(&gpu.aside, false)?)).clone());
        }
        LANES.with_borrow_mut(|lanes| {
            let id = gpu.device.id();
            if let Some((owner, lane)) = lanes.get(&id)
                && std::ptr::eq(owner.as_ptr(), Arc::as_ptr(gpu))
            {
                return Ok(lane.clone());
            }
            lanes.retain(|_, (owner, _)| owner.strong_count() > 0);
            let lane = Arc::new(Self::new(&gpu.aside, true)?);
            lanes.insert(id, (Arc::downgrade(gpu), lane.clone()));
            Ok(lane)
        })
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.aside.settle(&self.used);
        if let Some(spare) = lock(&self.spare).take() {
            self.aside.free_result(spare, &self.used);
        }
    }
}

impl Workspace {
    fn reserve(&mut self, lane: &Lane, stream: CUstream, rows: usize, sums: usize) -> Made {
        if self.sums.as_ref().is_none_or(|now| now.len() < sums) {
            self.sums = Some(lane.buffer(sums, stream)?);
        }
        if self.tickets.as_ref().is_none_or(|now| now.len() < rows) {
            let tickets = lane.buffer(rows, stream)?;
            zero(tickets.address(), tickets.bytes(), stream)?;
            self.tickets = Some(tickets);
        }
        let (sums, tickets) = (self.sums.as_ref(), self.tickets.as_ref());
        let sums = sums.expect("they were reserved").address();
        Ok((sums, tickets.expect("they were reserved").address()))
    }
}

impl Lane {
    /// Keeps the memory of a result that the lane's stream has made, and that nobody reads now.
    pub(super) fn take_back(&self, memory: Words) {
        let before = lock(&self.spare).replace(memory);
        if let Some(before) = before {
            self.aside.free_result(before, &self.used);
        }
    }
}

/// The addresses of sums and tickets.
type Made = Result<(CUdeviceptr, CUdeviceptr), DriverError>;

impl Lane {
    /// Memory that this lane's stream uses.
    pub(super) fn buffer<T>(&self, len: usize, stream: CUstream) -> Result<Buffer<T>, DriverError> {
        let buffer = Buffer::new(&self.aside, len, stream)?;
        buffer.memory().used_by(&self.used);
        Ok(buffer)
    }
}

fn zero(address: CUdeviceptr, bytes: usize, stream: CUstream) -> Result<(), DriverError> {
    // SAFETY: the caller has so many bytes at the address.
    unsafe { result::memset_d8_async(address, 0, bytes, stream) }
}

/// An operation that is being given to a stream, or captured from it.
pub(super) struct Turn<'a> {
    gpu: &'a Gpu,
    lane: &'a Arc<Lane>,
    capture: Option<Capture>,
    workspace: MutexGuard<'a, Workspace>,
    /// Scratch memory that is the graph's.
    of_graph: Option<CUdeviceptr>,
    /// What the graph must keep before the next launch is captured.
    lent: RefCell<Vec<Arc<Allocation>>>,
    failed: Cell<bool>,
    /// What was uploaded, which must not be freed before the operation has an end that can be waited for.
    uploaded: RefCell<Vec<Arc<Allocation>>>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(gpu: &'a Gpu, lane: &'a Arc<Lane>) -> Result<Self, ReduceError> {
        let workspace = lock(&lane.workspace);
        let capture = gpu.try_to("ask whether it is captured", gpu.capture())?;
        Ok(Self {
            gpu,
            lane,
            capture,
            workspace,
            of_graph: None,
            lent: RefCell::default(),
            failed: Cell::new(false),
            uploaded: RefCell::default(),
        })
    }

    /// Scratch memory for a batch of so many rows, and for so many partial results in each.
    pub(super) fn scratch(&mut self, rows: usize, partials: usize) -> Result<Scratch, ReduceError> {
        let stream = self.gpu.stream.cu_stream();
        let sums = rows * (partials + 1);
        let made = match self.capture {
            Some(_) => self.allocate_in_graph(rows, sums, stream),
            None => self.workspace.reserve(self.lane, stream, rows, sums),
        };
        let (sums, tickets) = self.try_to("allocate memory", made)?;
        let partials_start = sums as *mut Sums;
        Ok(Scratch {
            partials: partials_start,
            totals: partials_start.wrapping_add(rows * partials),
            tickets: tickets as *mut u32,
        })
    }

    /// Memory for the words of a result, which hold anything.
    pub(super) fn result(&self, words: usize) -> Result<Words, ReduceError> {
        let len = words.max(1);
        let is_tracked = self.gpu.stream.context().is_event_tracking();
        let fits = |spare: &mut Words| spare.output.len() == len && spare.is_tracked == is_tracked;
        // What is captured must have memory that is the graph's.
        if self.capture.is_none()
            && let Some(spare) = lock(&self.lane.spare).take_if(fits)
        {
            return Ok(spare);
        }
        Ok(Words { output: self.gpu.alloc(len)?, is_tracked })
    }

    fn allocate_in_graph(&mut self, rows: usize, sums: usize, stream: CUstream) -> Made {
        let of_sums = sums * size_of::<Sums>();
        let of_tickets = rows * size_of::<u32>();
        let context = self.gpu.stream.context();
        let address = memory::allocate(context, (of_sums + of_tickets).max(1), stream)?;
        self.of_graph = Some(address);
        let tickets = address + of_sums as u64;
        if of_tickets > 0 {
            zero(tickets, of_tickets, stream)?;
        }
        Ok((address, tickets))
    }

    /// Says that the operation uses the memory, which must be there until it has run.
    pub(super) fn lend(&self, memory: &Arc<Allocation>) {
        match self.capture {
            Some(_) => self.lent.borrow_mut().push(memory.clone()),
            None => memory.used_by(&self.lane.used),
        }
    }

    /// Gives what was lent into the graph's keeping, if there is one.
    pub(super) fn keep(&self) -> Result<(), ReduceError> {
        let lent = self.lent.take();
        match &self.capture {
            Some(capture) if !lent.is_empty() => {
                self.try_to("keep memory for a graph", capture.keep(lent))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn try_to<T>(
        &self,
        action: &'static str,
        result: Result<T, DriverError>,
    ) -> Result<T, ReduceError> {
        self.failed.set(self.failed.get() || result.is_err());
        self.gpu.try_to(action, result)
    }

    /// Launches a kernel over a grid of blocks; `dtype` is that of logits, if it has some.
    ///
    /// # Safety
    ///
    /// The arguments are what the kernel expects, and the memory that they name is not freed before the
    /// launch is in the stream.
    pub(super) unsafe fn launch<A: Arguments>(
        &self,
        arguments: A,
        dtype: DType,
        grid: (u32, u32, u32),
    ) -> Result<(), ReduceError> {
        self.keep()?;
        let function = self.gpu.function(A::KERNEL, dtype)?;
        let mut parameters = [(&raw const arguments).cast_mut().cast::<c_void>()];
        let stream = &self.gpu.stream;
        // Not by cudarc's builder, which asks the driver for the context once more.
        let launched = stream.context().check_err().and_then(|()| {
            // SAFETY: kernels/abi.rs says that this kernel takes one `A`, and nvcc has checked that
            // it lays it out as rustc does; the caller answers for what is in it. The turn has made
            // the context this thread's.
            unsafe {
                let (function, stream) = (function.cu_function(), stream.cu_stream());
                result::launch_kernel(function, grid, (THREADS, 1, 1), 0, stream, &mut parameters)
            }
        });
        self.try_to("launch a kernel", launched)
    }

    /// Fails if the stream is captured, where something else is done than a launch of a graph could
    /// repeat.
    pub(super) fn refuse_capture(&self, action: &'static str) -> Result<(), ReduceError> {
        self.gpu.refuse(self.capture, action)
    }

    /// Lets the operation follow what other streams have done to the memory, and what they do next to it
    /// follow the operation.
    pub(super) fn follow_users(&self, memory: &Arc<Allocation>) -> Result<(), ReduceError> {
        for user in memory.users() {
            let followed = self.gpu.follow(&user, self.capture);
            self.try_to("wait for another thread's stream", followed)?;
        }
        self.lend(memory);
        Ok(())
    }

    /// Copies values into memory on the device, in the order of the stream.
    pub(super) fn write<T: DeviceRepr>(
        &self,
        to: CUdeviceptr,
        values: &[T],
    ) -> Result<(), ReduceError> {
        if values.is_empty() {
            return Ok(());
        }
        // SAFETY: the callers have so much memory at the address. The values are in pageable memory:
        // the driver has read them when the call returns.
        let copied = unsafe { result::memcpy_htod_async(to, values, self.gpu.stream.cu_stream()) };
        self.try_to("copy to the device", copied)
    }

    /// Clears memory on the device, in the order of the stream.
    pub(super) fn clear(&self, at: CUdeviceptr, bytes: usize) -> Result<(), ReduceError> {
        let cleared =
            if bytes == 0 { Ok(()) } else { zero(at, bytes, self.gpu.stream.cu_stream()) };
        self.try_to("clear memory", cleared)
    }

    /// New memory with these values. It is not freed before the operation is over.
    pub(super) fn upload<T: DeviceRepr>(&self, values: &[T]) -> Result<Buffer<T>, ReduceError> {
        let made = self.lane.buffer(values.len(), self.gpu.stream.cu_stream());
        let buffer = self.try_to("allocate memory", made)?;
        self.uploaded.borrow_mut().push(buffer.memory().clone());
        self.write(buffer.address(), values)?;
        Ok(buffer)
    }

    /// The capture, if there is one.
    pub(super) fn capture(&self) -> Option<Capture> {
        self.capture
    }

    pub(super) fn lane(&self) -> &Arc<Lane> {
        self.lane
    }

    /// The point that will be after the operation.
    pub(super) fn used(&self) -> &Arc<Used> {
        &self.lane.used
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let stream = &self.gpu.stream;
        let done = match (self.capture, self.of_graph) {
            (None, _) => self.lane.used.record(stream),
            // SAFETY: nothing that is captured after the operation uses its scratch memory.
            (_, Some(address)) => unsafe { result::free_async(address, stream.cu_stream()) },
            (Some(_), None) => Ok(()),
        };
        if self.failed.get() || done.is_err() {
            *self.workspace = Workspace::default();
        }
        stream.context().record_err(done);
    }
}
