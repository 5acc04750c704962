//! The kernels of benches/kernels/rivals.cu.

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::{
    CudaEvent, CudaFunction, CudaSlice, CudaStream, DevicePtr, LaunchConfig, PushKernelArg, sys,
};
use candle_core::cuda_backend::{CudaDevice, WrapErr};
use candle_core::{DType, Device, Result, Storage, Tensor};
use half::bf16;

const PTX: &str = include_str!(concat!(env!("OUT_DIR"), "/rivals.ptx"));

#[path = "../kernels/shape.rs"]
mod shape;

use shape::{PER_THREAD, THREADS};

/// The bytes of a load.
const VECTOR: usize = 16;

/// Enough blocks of `read_all` for all the threads that a multiprocessor holds.
const BLOCKS_PER_MULTIPROCESSOR: usize = 2048 / THREADS;

/// The device that is measured, and the bench's own kernels on it.
pub struct Kernels {
    stream: Arc<CudaStream>,
    read_all: CudaFunction,
    argmax_f32: CudaFunction,
    argmax_bf16: CudaFunction,
    busy: CudaFunction,
    /// One for each row, all 0 between launches.
    tickets: CudaSlice<u32>,
}

impl Kernels {
    /// For batches of so many rows at most.
    pub fn load(device: &CudaDevice, rows: usize) -> Result<Self> {
        let load = |name: &str| {
            let function = device.get_or_load_custom_func(name, "concept-mass rivals", PTX)?;
            Ok::<_, candle_core::Error>(function.into_cuda_function())
        };
        let stream = device.cuda_stream();
        Ok(Self {
            read_all: load("read_all")?,
            argmax_f32: load("argmax_f32")?,
            argmax_bf16: load("argmax_bf16")?,
            busy: load("busy")?,
            tickets: stream.alloc_zeros(rows).w()?,
            stream,
        })
    }

    pub fn device_name(&self) -> Result<String> {
        self.stream.context().name().w()
    }

    /// An emulated device answers right, in no time that means anything.
    pub fn is_emulated(&self) -> Result<bool> {
        Ok(self.device_name()?.starts_with("Emulated"))
    }

    pub fn l2_bytes(&self) -> Result<usize> {
        self.attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)
    }

    /// Reads all of the logits, and gives sums of their 32-bit words whose total is that of all.
    pub fn read_all(&self, logits: &Tensor) -> Result<CudaSlice<u32>> {
        let multiprocessors =
            self.attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
        let vectors = bytes(logits) / VECTOR;
        let blocks = vectors.div_ceil(THREADS).min(multiprocessors * BLOCKS_PER_MULTIPROCESSOR);
        // SAFETY: each block of the kernel writes its sum before anything reads it.
        let mut sums = unsafe { self.stream.alloc::<u32>(blocks) }.w()?;
        let (storage, layout) = logits.storage_and_layout();
        let address = self.address(&storage, layout.start_offset(), logits.dtype());
        let count = vectors as u64;
        let mut launch = self.stream.launch_builder(&self.read_all);
        launch.arg(&address).arg(&count).arg(&mut sums);
        // SAFETY: `vectors` vectors are at the address, which sixteen divides, and `sums` has a
        // place for each block.
        unsafe { launch.launch(config(blocks)) }.w()?;
        Ok(sums)
    }

    /// The likeliest token of each row.
    pub fn argmax(&self, logits: &Tensor) -> Result<CudaSlice<u32>> {
        let (rows, width) = logits.dims2()?;
        let row_bytes = width * logits.dtype().size_in_bytes();
        assert!(row_bytes.is_multiple_of(VECTOR) && rows <= self.tickets.len(), "no such case");
        let vectors = (row_bytes / VECTOR) as u32;
        let chunks = vectors.div_ceil((THREADS * PER_THREAD) as u32);
        let blocks = rows * chunks as usize;
        // SAFETY: the kernel writes both before it reads `keys`, and before anything reads `tokens`.
        let mut keys = unsafe { self.stream.alloc::<u64>(blocks) }.w()?;
        // SAFETY: see above.
        let mut tokens = unsafe { self.stream.alloc::<u32>(rows) }.w()?;
        let (storage, layout) = logits.storage_and_layout();
        let address = self.address(&storage, layout.start_offset(), logits.dtype());
        let function = match logits.dtype() {
            DType::F32 => &self.argmax_f32,
            _ => &self.argmax_bf16,
        };
        let mut launch = self.stream.launch_builder(function);
        launch.arg(&address).arg(&vectors).arg(&chunks);
        launch.arg(&mut keys).arg(&self.tickets).arg(&mut tokens);
        // SAFETY: `rows` rows of `vectors` vectors are at the address, which sixteen divides;
        // `keys` has a place for each block, `tokens` and `tickets` for each row; and all launches
        // that share the tickets are on one stream.
        unsafe { launch.launch(config(blocks)) }.w()?;
        Ok(tokens)
    }

    pub fn read(&self, words: &CudaSlice<u32>) -> Result<Vec<u32>> {
        let words = self.stream.clone_dtoh(words).w()?;
        self.wait()?;
        Ok(words)
    }

    pub fn wait(&self) -> Result<()> {
        self.stream.synchronize().w()
    }

    /// Keeps the device from all that is queued after it for so long.
    pub fn be_busy(&self, nanoseconds: u64) -> Result<()> {
        let mut launch = self.stream.launch_builder(&self.busy);
        launch.arg(&nanoseconds);
        let config =
            LaunchConfig { grid_dim: (1, 1, 1), block_dim: (1, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: the kernel touches no memory.
        unsafe { launch.launch(config) }.w().map(|_| ())
    }

    /// A point in the order of what the device is given.
    pub fn mark(&self) -> Result<CudaEvent> {
        let flags = sys::CUevent_flags::CU_EVENT_DEFAULT;
        self.stream.record_event(Some(flags)).w()
    }

    fn attribute(&self, attribute: sys::CUdevice_attribute) -> Result<usize> {
        Ok(self.stream.context().attribute(attribute).w()? as usize)
    }

    /// The address of an element. Nothing has to be told who reads it: all work is on one stream.
    fn address(&self, storage: &Storage, element: usize, dtype: DType) -> u64 {
        let Storage::Cuda(storage) = storage else { panic!("the logits are on the device") };
        let first = match dtype {
            DType::F32 => storage.as_cuda_slice::<f32>().map(|s| s.device_ptr(&self.stream).0),
            _ => storage.as_cuda_slice::<bf16>().map(|s| s.device_ptr(&self.stream).0),
        };
        first.expect("logits in f32 or bf16") + (element * dtype.size_in_bytes()) as u64
    }
}

fn bytes(logits: &Tensor) -> usize {
    logits.elem_count() * logits.dtype().size_in_bytes()
}

fn config(blocks: usize) -> LaunchConfig {
    LaunchConfig {
        grid_dim: (blocks as u32, 1, 1),
        block_dim: (THREADS as u32, 1, 1),
        shared_mem_bytes: 0,
    }
}

/// The device to measure, with a stream of its own and nothing that keeps account of it: the
/// events by which cudarc orders several streams would be timed too.
pub fn open() -> Result<(Device, CudaDevice)> {
    let device = Device::new_cuda_with_stream(0)?;
    let cuda = device.as_cuda_device()?.clone();
    // SAFETY: everything here is on this one stream.
    unsafe { cuda.disable_event_tracking() };
    Ok((device, cuda))
}
