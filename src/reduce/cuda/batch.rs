//! The logits of one operation, and the launch of a kernel over them.

use std::ffi::c_void;
use std::sync::Arc;

use candle_core::{CudaStorage, DType, Device, Storage};
use cudarc::driver::{CudaStream, DevicePtr, SyncOnDrop};
use half::{bf16, f16};

use super::gpu::Gpu;
use super::loans::Loans;
use super::memory::Buffer;
use super::tables::MapTables;
use super::workspace::{Lane, Turn};
use crate::reduce::ReduceError;
use crate::reduce::abi::{Arguments, LogitsView, MAX_ROWS_PER_BLOCK, Scratch, TILE, WARPS};
use crate::reduce::logits::Logits;

/// What the second dimension of a grid can count; `batch_row` in kernels/row.cuh goes on in the
/// third.
const MAX_GRID_Y: u32 = 65_535;

/// The logits of one operation, and the memory in which its launches leave things for each other.
pub(super) struct Batch<'a> {
    gpu: &'a Gpu,
    dtype: DType,
    pub(super) logits: LogitsView,
    pub(super) scratch: Scratch,
    /// How many elements of `scratch.partials` each row has.
    pub(super) partials: u32,
    turn: Turn<'a>,
    /// Held until the launches are on their way.
    _logits: SyncOnDrop<'a>,
}

/// A batch whose kernel `sums` or `survey` has been launched, so that every later launch finds
/// `scratch.totals`.
pub(super) struct Summed<'a>(pub(super) &'a Batch<'a>);

impl<'a> Batch<'a> {
    /// `lane` is the stream's to which this thread gives work, `storage` that of `logits`. Each row
    /// gets `partials`, and at least one for each tile.
    pub(super) fn new(
        gpu: &'a Arc<Gpu>,
        lane: &'a Arc<Lane>,
        logits: &Logits,
        storage: &'a Storage,
        partials: u32,
    ) -> Result<Self, ReduceError> {
        let Storage::Cuda(storage) = storage else {
            return Err(logits.not_at(Device::Cuda(gpu.device.clone()).location()));
        };
        let mut turn = Turn::new(gpu, lane)?;
        let dtype = logits.dtype();
        let (first, borrowed) = first_logit(storage, dtype, &gpu.stream)?;
        let first = first + (logits.start_offset() * dtype.size_in_bytes()) as u64;
        let (rows, vocab_size) = (logits.rows(), logits.width() as u32);
        let partials = vocab_size.div_ceil(TILE).max(partials);
        Ok(Self {
            gpu,
            dtype,
            logits: LogitsView {
                first: first as *const c_void,
                row_stride: logits.row_stride() as u64,
                batch: rows as u32,
                vocab_size,
            },
            scratch: turn.scratch(rows, partials as usize)?,
            partials,
            turn,
            _logits: borrowed,
        })
    }

    pub(super) fn rows(&self) -> usize {
        self.logits.batch as usize
    }

    /// Launches a kernel with so many blocks for each row, or for each group of rows if its blocks work
    /// on several.
    ///
    /// # Safety
    ///
    /// The pointers in `arguments` are of memory on the batch's device, which is not freed before
    /// the launch is in the stream, and as large as kernels/abi.rs says for the batch, the
    /// vocabulary and the sets in `arguments`; `logits` and `scratch` are the batch's. The sets
    /// hold tokens of the vocabulary only, and `concept_of` and `members_of` belong to them.
    /// `blocks` is what the kernel divides its work by, and `rows_per_block` what `arguments` say.
    pub(super) unsafe fn run<A: Arguments>(
        &self,
        arguments: A,
        blocks: u32,
        rows_per_block: u32,
    ) -> Result<(), ReduceError> {
        let groups = self.logits.batch.div_ceil(rows_per_block);
        if groups == 0 || blocks == 0 {
            return Ok(());
        }
        let in_y = groups.min(MAX_GRID_Y);
        // SAFETY: the caller answers for what is in the arguments. The logits are borrowed by the batch,
        // and the scratch memory is this operation's until its launches are in the stream.
        unsafe { self.turn.launch(arguments, self.dtype, (blocks, in_y, groups.div_ceil(in_y))) }
    }

    /// The blocks of the kernels in decide.cu: a tile for each warp.
    pub(super) fn tile_blocks(&self) -> u32 {
        self.logits.vocab_size.div_ceil(TILE).div_ceil(WARPS)
    }

    /// How many rows shall share what a block reads of the map, if a row takes so many blocks: as many as
    /// leave enough blocks to fill a large GPU. No result depends on it.
    pub(super) fn rows_per_block(&self, blocks: u32) -> u32 {
        const ENOUGH: u32 = 2048;
        (blocks.saturating_mul(self.logits.batch) / ENOUGH).clamp(1, MAX_ROWS_PER_BLOCK)
    }

    /// Borrows for one launch, which reads these `tables`.
    pub(super) fn loans<'b>(&'b self, tables: &'b Buffer<u32>) -> Loans<'b> {
        Loans::new(&self.gpu.stream, &self.turn, Some(tables))
    }

    /// Borrows for launches that read no tables.
    pub(super) fn loans_alone(&self) -> Loans<'_> {
        Loans::new(&self.gpu.stream, &self.turn, None)
    }

    /// The operation that the launches make up.
    pub(super) fn turn(&self) -> &Turn<'a> {
        &self.turn
    }

    pub(super) fn check_map(&self, map: &MapTables) {
        assert_eq!(map.concept_of.len(), self.logits.vocab_size as usize, "another vocabulary");
    }
}

/// The address of the storage's first logit.
fn first_logit<'a>(
    storage: &'a CudaStorage,
    dtype: DType,
    stream: &'a Arc<CudaStream>,
) -> Result<(u64, SyncOnDrop<'a>), ReduceError> {
    Ok(match dtype {
        DType::F32 => storage.as_cuda_slice::<f32>()?.device_ptr(stream),
        DType::F16 => storage.as_cuda_slice::<f16>()?.device_ptr(stream),
        DType::BF16 => storage.as_cuda_slice::<bf16>()?.device_ptr(stream),
        got => return Err(ReduceError::LogitsDType { got }),
    })
}
