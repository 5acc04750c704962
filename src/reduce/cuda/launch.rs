//! The kernels' launches: for each kernel one function, which takes the memory that the kernel
//! works on as what it is.
//!
//! They are safe to call. What a kernel relies on is in the types (a map's tables are only made by
//! [`MapTables::new`], and checked logits only by [`Logits::check`]) or is asserted, so that nobody
//! can make a kernel leave its memory.

use std::ffi::c_void;
use std::sync::Arc;

use candle_core::{CudaStorage, DType, Device, Storage};
use cudarc::driver::{CudaStream, DevicePtr, DevicePtrMut, SyncOnDrop, result};
use half::{bf16, f16};

use super::found::Found;
use super::gpu::{Gpu, Output};
use super::memory::Buffer;
use super::sections::Section;
use super::tables::{LargeTable, MapTables, SetTable, SetTables};
use super::workspace::{Lane, Turn};
use crate::reduce::ReduceError;
use crate::reduce::abi::{
    Arguments, DecideArgs, LargeSets, LogitsView, MassesArgs, MeasureArgs, PackedDecision,
    PackedRow, PoolArgs, RowsArgs, SampleArgs, Scratch, Sets, SumsArgs, SurveyArgs, THREADS, TILE,
    TOKENS_PER_BLOCK, WARPS,
};
use crate::reduce::logits::Logits;

/// What the second dimension of a grid can count; `batch_row` in kernels/row.cuh goes on in the
/// third.
const MAX_GRID_Y: u32 = 65_535;

/// A row in the words of its buffer.
pub(super) const ROW_WORDS: usize = size_of::<PackedRow>() / size_of::<u32>();

/// A decision in the words of its buffer.
pub(super) const DECISION_WORDS: usize = size_of::<PackedDecision>() / size_of::<u32>();

/// The logits of one operation, and the memory in which its launches leave things for each other.
pub(super) struct Batch<'a> {
    gpu: &'a Gpu,
    dtype: DType,
    logits: LogitsView,
    scratch: Scratch,
    /// How many elements of `scratch.partials` each row has.
    partials: u32,
    turn: Turn<'a>,
    /// Held until the launches are on their way.
    _logits: SyncOnDrop<'a>,
}

/// A batch whose kernel `sums` or `survey` has been launched, so that every later launch finds
/// `scratch.totals`.
pub(super) struct Summed<'a>(&'a Batch<'a>);

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

    fn rows(&self) -> usize {
        self.logits.batch as usize
    }

    /// Launches a kernel over all rows, with so many blocks each.
    ///
    /// # Safety
    ///
    /// The pointers in `arguments` are of memory on the batch's device, which is not freed before
    /// the launch is in the stream, and as large as kernels/abi.rs says for the batch, the
    /// vocabulary and the sets in `arguments`; `logits` and `scratch` are the batch's. The sets
    /// hold tokens of the vocabulary only, and `concept_of` and `members_of` belong to them.
    /// `blocks_per_row` is what the kernel divides its work by.
    unsafe fn run<A: Arguments>(
        &self,
        arguments: A,
        blocks_per_row: u32,
    ) -> Result<(), ReduceError> {
        assert!(blocks_per_row <= self.partials, "each block may leave a partial result");
        let batch = self.logits.batch;
        if batch == 0 || blocks_per_row == 0 {
            return Ok(());
        }
        let rows = batch.min(MAX_GRID_Y);
        self.turn.keep()?;
        let function = self.gpu.function(A::KERNEL, self.dtype)?;
        let mut parameters = [(&raw const arguments).cast_mut().cast::<c_void>()];
        let stream = &self.gpu.stream;
        // Not by cudarc's builder, which asks the driver for the context once more.
        let launched = stream.context().check_err().and_then(|()| {
            // SAFETY: kernels/abi.rs says that this kernel takes one `A`, and nvcc has checked that
            // it lays it out as rustc does; the caller answers for what is in it. The logits are
            // borrowed by the batch, and the scratch memory is this operation's until its launches
            // are in the stream. The turn has made the context this thread's.
            unsafe {
                let (function, stream) = (function.cu_function(), stream.cu_stream());
                let blocks = (blocks_per_row, rows, batch.div_ceil(rows));
                result::launch_kernel(function, blocks, (THREADS, 1, 1), 0, stream, &mut parameters)
            }
        });
        self.turn.try_to("launch a kernel", launched)
    }

    /// The blocks of the kernels in decide.cu: a tile for each warp.
    fn tile_blocks(&self) -> u32 {
        self.logits.vocab_size.div_ceil(TILE).div_ceil(WARPS)
    }

    /// Borrows for one launch, which reads these `tables`.
    fn loans<'b>(&'b self, tables: &'b Buffer<u32>) -> Loans<'b> {
        self.turn.lend(tables.memory());
        Loans { stream: &self.gpu.stream, turn: &self.turn, tables, borrowed: Vec::new() }
    }

    /// The operation that the launches make up.
    pub(super) fn turn(&self) -> &Turn<'a> {
        &self.turn
    }

    fn check_map(&self, map: &MapTables) {
        assert_eq!(map.concept_of.len(), self.logits.vocab_size as usize, "another vocabulary");
    }
}

/// Finds the sums over each row.
pub(super) fn sums<'a>(batch: &'a Batch<'a>) -> Result<Summed<'a>, ReduceError> {
    let Batch { logits, scratch, .. } = *batch;
    // SAFETY: the batch holds all that there is, and has a partial result for each tile.
    unsafe { batch.run(SumsArgs { logits, scratch }, batch.tile_blocks())? };
    Ok(Summed(batch))
}

/// Decides every row of the batch: [`DECISION_WORDS`] for each, and a token.
pub(super) fn decide(
    batch: &Batch<'_>,
    map: &MapTables,
    found: &mut Found,
) -> Result<(), ReduceError> {
    assert_eq!(found.layout.row_words, DECISION_WORDS);
    let mut loans = batch.loans(&map.buffer);
    let arguments = decide_args(batch, map, &mut loans, found);
    // SAFETY: `decide_args` says why.
    unsafe { batch.run(arguments, batch.tile_blocks() + map.large.blocks) }
}

/// Decides every row of the batch, and finds the sums over it: [`ROW_WORDS`] for each, of which the
/// first are the decision's, and a token.
pub(super) fn survey<'a>(
    batch: &'a Batch<'a>,
    map: &MapTables,
    found: &mut Found,
) -> Result<Summed<'a>, ReduceError> {
    assert_eq!(found.layout.row_words, ROW_WORDS);
    let mut loans = batch.loans(&map.buffer);
    let decide = decide_args(batch, map, &mut loans, found);
    let arguments = SurveyArgs { decide, totals: batch.scratch.totals };
    // SAFETY: `decide_args` says why; the scratch memory has totals for each row.
    unsafe { batch.run(arguments, batch.tile_blocks() + map.large.blocks)? };
    Ok(Summed(batch))
}

/// The tables are one map's, for the logits' vocabulary; `found` has a place for each row; the
/// scratch memory has [`decide_partials`] for each row; and all are borrowed until the launch is
/// made.
fn decide_args<'a>(
    batch: &Batch<'_>,
    map: &'a MapTables,
    loans: &mut Loans<'a>,
    found: &'a mut Found,
) -> DecideArgs {
    batch.check_map(map);
    let per_row = decide_partials(map, batch.logits.vocab_size);
    assert!(per_row <= batch.partials && found.layout.len == batch.rows());
    let row_words = found.layout.row_words;
    let (tokens, rows) = loans.found(found);
    DecideArgs {
        logits: batch.logits,
        large: loans.large(&map.large),
        concept_of: loans.read(map.concept_of),
        members_of: loans.read(map.members_of),
        partials: batch.scratch.partials.cast(),
        partials_per_row: per_row.into(),
        tickets: batch.scratch.tickets,
        reach: map.reach,
        num_concepts: map.num_concepts as u32,
        decisions: rows.cast(),
        decision_stride: (row_words / 4) as u64,
        tokens,
    }
}

/// What `RowScratch` in kernels/decide.cu takes for a row at most.
pub(super) fn decide_partials(map: &MapTables, vocab_size: u32) -> u32 {
    before_tiles(map, vocab_size) + vocab_size.div_ceil(TILE)
}

/// What of it lies before the tiles' sums.
fn before_tiles(map: &MapTables, vocab_size: u32) -> u32 {
    vocab_size.div_ceil(TILE) + map.large.blocks * WARPS
}

/// What [`rows`] takes for a row.
pub(super) fn rows_partials(map: &MapTables) -> u32 {
    gather_blocks(&map.sets, 0).max(1)
}

/// Adds to the rows that [`survey`] has written what their decisions lack.
pub(super) fn rows(
    Summed(batch): &Summed<'_>,
    map: &MapTables,
    found: &mut Found,
) -> Result<(), ReduceError> {
    batch.check_map(map);
    let vocab_size = batch.logits.vocab_size;
    let surveyed_per_row = decide_partials(map, vocab_size);
    assert!(found.layout.len == batch.rows() && found.layout.row_words == ROW_WORDS);
    assert!(surveyed_per_row + rows_partials(map) <= batch.partials);
    let surveyed = batch.scratch.partials;
    let after = surveyed.wrapping_add(batch.rows() * surveyed_per_row as usize);
    let mut loans = batch.loans(&map.buffer);
    let arguments = RowsArgs {
        logits: batch.logits,
        scratch: Scratch { partials: after, ..batch.scratch },
        sets: loans.sets(&map.sets),
        concept_of: loans.read(map.concept_of),
        surveyed: surveyed.cast(),
        surveyed_per_row: surveyed_per_row.into(),
        tiles_at: before_tiles(map, vocab_size).into(),
        rows: loans.found(found).1.cast(),
    };
    // SAFETY: the tables are one map's, for the logits' vocabulary; `found` has a place for each row;
    // what was surveyed lies before what this launch leaves; and all are borrowed until the launch
    // is made.
    unsafe { batch.run(arguments, rows_partials(map)) }
}

/// Writes the mass of every concept, `[B, C]`.
pub(super) fn masses(
    Summed(batch): &Summed<'_>,
    map: &MapTables,
    masses: &mut Output<f32>,
) -> Result<(), ReduceError> {
    batch.check_map(map);
    assert!(masses.len() >= batch.rows() * map.num_concepts);
    let mut loans = batch.loans(&map.buffer);
    let arguments = MassesArgs {
        logits: batch.logits,
        scratch: batch.scratch,
        sets: loans.sets(&map.sets),
        concept_of: loans.read(map.concept_of),
        masses: loans.write(masses),
        num_concepts: map.num_concepts as u64,
    };
    // SAFETY: the tables are one map's, for the logits' vocabulary; the output has a place for each
    // of its concepts in each row; and all are borrowed until the launch is made.
    unsafe { batch.run(arguments, gather_blocks(&map.sets, batch.logits.vocab_size)) }
}

/// Writes the pooled logits, `[B, V]`.
pub(super) fn pool(
    Summed(batch): &Summed<'_>,
    map: &MapTables,
    pooled: &mut Output<f32>,
) -> Result<(), ReduceError> {
    batch.check_map(map);
    let vocab_size = batch.logits.vocab_size;
    assert!(pooled.len() >= batch.rows() * vocab_size as usize);
    let mut loans = batch.loans(&map.buffer);
    let arguments = PoolArgs {
        logits: batch.logits,
        scratch: batch.scratch,
        sets: loans.sets(&map.sets),
        concept_of: loans.read(map.concept_of),
        pooled: loans.write(pooled),
    };
    // SAFETY: the tables are one map's, for the logits' vocabulary; the output has a place for each
    // token of it in each row; and all are borrowed until the launch is made.
    unsafe { batch.run(arguments, gather_blocks(&map.sets, vocab_size)) }
}

/// Writes the mass and the concentration of every set, both `[B, S]`.
pub(super) fn measure(
    Summed(batch): &Summed<'_>,
    sets: &SetTables,
    masses: &mut Output<f32>,
    concentrations: &mut Output<f32>,
) -> Result<(), ReduceError> {
    assert_eq!(sets.vocab_size, batch.logits.vocab_size as usize, "another vocabulary");
    let numbers = batch.rows() * sets.num_sets;
    assert!(masses.len() >= numbers && concentrations.len() >= numbers);
    let mut loans = batch.loans(&sets.buffer);
    let arguments = MeasureArgs {
        logits: batch.logits,
        scratch: batch.scratch,
        sets: loans.sets(&sets.sets),
        masses: loans.write(masses),
        concentrations: loans.write(concentrations),
        num_sets: sets.num_sets as u64,
    };
    // SAFETY: the sets are of the logits' vocabulary; both outputs have a place for each of them
    // in each row; and all are borrowed until the launch is made.
    unsafe { batch.run(arguments, gather_blocks(&sets.sets, 0)) }
}

/// Draws a token for each row, `[B]`, and moves the `noise` of those that have one on: a seed, and a
/// step for each row.
pub(super) fn sample(
    Summed(batch): &Summed<'_>,
    map: &MapTables,
    inverse_temperature: f64,
    noise: &mut Buffer<u64>,
    tokens: &mut Output<u32>,
) -> Result<(), ReduceError> {
    batch.check_map(map);
    assert!(noise.len() > batch.rows() && tokens.len() >= batch.rows());
    let mut loans = batch.loans(&map.buffer);
    let arguments = SampleArgs {
        logits: batch.logits,
        scratch: batch.scratch,
        sets: loans.sets(&map.sets),
        concept_of: loans.read(map.concept_of),
        noise: loans.update(noise),
        tokens: loans.write(tokens),
        inverse_temperature,
    };
    // SAFETY: the tables are one map's, for the logits' vocabulary; there are a seed, and a
    // step and a token for each row; and all are borrowed until the launch is made.
    unsafe { batch.run(arguments, gather_blocks(&map.sets, batch.logits.vocab_size)) }
}

/// The blocks of a kernel of gather.cu for one row, each of which may leave a partial result: those
/// for the sets, as `share` there counts them, and those for so many tokens that are streamed.
pub(super) fn gather_blocks(sets: &SetTable, streamed: u32) -> u32 {
    sets.by_block
        + (sets.by_warp - sets.by_block).div_ceil(WARPS)
        + (sets.by_thread - sets.by_warp).div_ceil(THREADS)
        + streamed.div_ceil(TOKENS_PER_BLOCK)
}

/// Memory that is borrowed for a launch. (Where cudarc keeps account of several streams, borrowing
/// an output also waits for those who have used it, and tells those who will.)
struct Loans<'a> {
    stream: &'a Arc<CudaStream>,
    turn: &'a Turn<'a>,
    tables: &'a Buffer<u32>,
    borrowed: Vec<SyncOnDrop<'a>>,
}

impl<'a> Loans<'a> {
    /// A table that the kernel reads.
    fn read(&self, table: Section) -> *const u32 {
        table.address(self.tables) as *const u32
    }

    /// Memory that the kernel reads and writes.
    fn update<T>(&mut self, memory: &'a mut Buffer<T>) -> *mut T {
        self.turn.lend(memory.memory());
        memory.address() as *mut T
    }

    /// Memory that the kernel writes.
    fn write<T>(&mut self, memory: &'a mut Output<T>) -> *mut T {
        let (address, borrowed) = memory.device_ptr_mut(self.stream);
        self.borrowed.push(borrowed);
        address as *mut T
    }

    /// Where the kernel writes tokens, and where it writes rows.
    fn found(&mut self, found: &'a mut Found) -> (*mut u32, *mut u32) {
        let rows_at = found.layout.rows_at();
        let tokens = self.write(&mut found.memory.output);
        (tokens, tokens.wrapping_add(rows_at))
    }

    fn large(&self, large: &LargeTable) -> LargeSets {
        let [by_4, by_8, by_16, by_warp] = large.ends;
        LargeSets {
            ids: self.read(large.ids),
            members: self.read(large.members),
            huge_ends: self.read(large.huge_ends),
            by_4,
            by_8,
            by_16,
            by_warp,
            blocks: large.blocks,
        }
    }

    fn sets(&self, sets: &SetTable) -> Sets {
        Sets {
            starts: self.read(sets.starts),
            members: self.read(sets.members),
            ids: self.read(sets.ids),
            by_block: sets.by_block,
            by_warp: sets.by_warp,
            by_thread: sets.by_thread,
        }
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
