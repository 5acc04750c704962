//! Kernels and their parameters, on their way to the device.

use std::sync::Arc;

use candle_core::{CudaStorage, DType, Device, Storage};
use cudarc::driver::{DevicePtr, DevicePtrMut, LaunchConfig, PushKernelArg, SyncOnDrop};
use half::{bf16, f16};

use super::gpu::{Gpu, Kernel, THREADS};
use super::params::{Address, Params};
use super::workspace;
use crate::reduce::ReduceError;
use crate::reduce::logits::Logits;

/// What the second dimension of a grid can count; `batch_row` in kernels/row.cuh goes on in the
/// third.
const MOST_ROWS: u32 = 65_535;

/// One or more launches over the same logits, and the memory that their parameters point to, which
/// is borrowed until they are on their way. (Where cudarc keeps account of several streams, that
/// borrowing also waits for writers, and tells readers.)
pub(super) struct Launch<'a> {
    gpu: &'a Gpu,
    dtype: DType,
    pub(super) params: Params,
    borrowed: Vec<SyncOnDrop<'a>>,
}

impl<'a> Launch<'a> {
    /// `storage` must be that of `logits`; `partials` is the number of partial results that a row
    /// may need.
    pub(super) fn new(
        gpu: &'a Arc<Gpu>,
        logits: &Logits,
        storage: &'a Storage,
        partials: usize,
    ) -> Result<Self, ReduceError> {
        let rows = logits.rows();
        let scratch = workspace::of_thread(gpu, rows * (partials + 1), rows + 1)?;
        let params = Params {
            partials: scratch.sums,
            totals: scratch.sums + (rows * partials * size_of::<[f32; 4]>()) as u64,
            tickets: scratch.tickets,
            batch: rows as u32,
            vocab_size: logits.width() as u32,
            row_stride: logits.row_stride() as u64,
            ..Params::default()
        };
        let mut launch = Self { gpu, dtype: logits.dtype(), params, borrowed: Vec::new() };
        let Storage::Cuda(storage) = storage else {
            return Err(logits.not_at(Device::Cuda(gpu.device.clone()).location()));
        };
        let first = launch.first_logit(storage)?;
        launch.params.logits =
            first + (logits.start_offset() * launch.dtype.size_in_bytes()) as u64;
        Ok(launch)
    }

    fn first_logit(&mut self, storage: &'a CudaStorage) -> Result<Address, ReduceError> {
        Ok(match self.dtype {
            DType::F32 => self.read(storage.as_cuda_slice::<f32>()?),
            DType::F16 => self.read(storage.as_cuda_slice::<f16>()?),
            DType::BF16 => self.read(storage.as_cuda_slice::<bf16>()?),
            got => return Err(ReduceError::LogitsDType { got }),
        })
    }

    /// The address of memory that is only read.
    pub(super) fn read<T>(&mut self, memory: &'a impl DevicePtr<T>) -> Address {
        let (address, borrowed) = memory.device_ptr(&self.gpu.stream);
        self.borrowed.push(borrowed);
        address
    }

    /// The address of memory that is written.
    pub(super) fn write<T>(&mut self, memory: &'a mut impl DevicePtrMut<T>) -> Address {
        let (address, borrowed) = memory.device_ptr_mut(&self.gpu.stream);
        self.borrowed.push(borrowed);
        address
    }

    /// Leaves the sums of every row where the kernels of gather.cu look for them.
    pub(super) fn run_sums(&mut self, blocks_per_row: u32) -> Result<(), ReduceError> {
        debug_assert_eq!(self.params.rows, 0, "more is asked for than the sums");
        // SAFETY: without `rows` the kernel needs the logits and the workspace alone, which are
        // there from the start.
        unsafe { self.run(Kernel::Decide, blocks_per_row) }
    }

    /// Launches `kernel` over all rows, `blocks_per_row` blocks each.
    ///
    /// # Safety
    ///
    /// What `kernel` uses of [`params`](Self::params) must be addresses that [`read`](Self::read)
    /// and [`write`](Self::write) of this launch gave, of memory as large as kernels/params.cuh
    /// says for the `batch`, `vocab_size`, `width` and `sets` in it; the sets must hold tokens
    /// below `vocab_size`, and `concept_of` and `rank_of` belong to them; and
    /// `blocks_per_row` must be what `kernel` expects, and not above the number of partial results.
    pub(super) unsafe fn run(
        &mut self,
        kernel: Kernel,
        blocks_per_row: u32,
    ) -> Result<(), ReduceError> {
        if self.params.batch == 0 || blocks_per_row == 0 {
            return Ok(());
        }
        let rows = self.params.batch.min(MOST_ROWS);
        let config = LaunchConfig {
            grid_dim: (blocks_per_row, rows, self.params.batch.div_ceil(rows)),
            block_dim: (THREADS, 1, 1),
            shared_mem_bytes: 0,
        };
        let function = self.gpu.function(kernel, self.dtype)?;
        let mut launch = self.gpu.stream.launch_builder(function);
        launch.arg(&self.params);
        // SAFETY: every kernel takes one `Params`; the caller answers for what is in it. The
        // workspace is this thread's, and all that the thread does on the device is in order.
        let launched = unsafe { launch.launch(config) };
        self.gpu.try_to("launch a kernel", launched).map(|_| ())
    }
}
