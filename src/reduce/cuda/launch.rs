//! The kernels' launches: for each kernel one function, which takes the memory that the kernel
//! works on as what it is.
//!
//! They are safe to call. What a kernel relies on is in the types (a map's tables are only made by
//! [`MapTables::new`], and checked logits only by [`Logits::check`]) or is asserted, so that nobody
//! can make a kernel leave its memory.

use std::ffi::c_void;
use std::sync::Arc;

use candle_core::{CudaStorage, DType, Device, Storage};
use cudarc::driver::{
    CudaStream, DevicePtr, DevicePtrMut, DeviceRepr, LaunchConfig, PushKernelArg, SyncOnDrop,
};
use half::{bf16, f16};

use super::gpu::{Gpu, Output};
use super::memory::Buffer;
use super::tables::{LargeTable, MapTables, SetTable, SetTables};
use super::workspace::{Lane, Turn};
use crate::reduce::ReduceError;
use crate::reduce::abi::{
    Arguments, DecideArgs, DrawArgs, LargeSets, LogitsView, MAX_ROWS_PER_BLOCK, MassesArgs,
    MeasureArgs, PackedDecision, PackedRow, PoolArgs, RowsArgs, Scratch, Sets, SumsArgs,
    SurveyArgs, THREADS, TILE, TOKENS_PER_BLOCK, WARP, WARPS, WeighArgs,
};
use crate::reduce::logits::Logits;

/// What the second dimension of a grid can count; `batch_row` in kernels/row.cuh goes on in the
/// third.
const MAX_GRID_Y: u32 = 65_535;

/// A row in the words of its buffer.
pub(super) const ROW_WORDS: usize = size_of::<PackedRow>() / size_of::<u32>();

/// A decision in the words of its buffer.
pub(super) const DECISION_WORDS: usize = size_of::<PackedDecision>() / size_of::<u32>();

/// The one parameter of a kernel.
#[repr(transparent)]
struct Parameter<A>(A);

// SAFETY: an `A` is one of the structs of kernels/abi.rs, which hold numbers and addresses only, and
// nvcc has checked that it lays them out as rustc does.
unsafe impl<A: Arguments> DeviceRepr for Parameter<A> {}

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
        lane: &'a Lane,
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
    unsafe fn run<A: Arguments>(
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
        let config = LaunchConfig {
            grid_dim: (blocks, in_y, groups.div_ceil(in_y)),
            block_dim: (THREADS, 1, 1),
            shared_mem_bytes: 0,
        };
        self.turn.keep()?;
        let function = self.gpu.function(A::KERNEL, self.dtype)?;
        let mut launch = self.gpu.stream.launch_builder(function);
        let parameter = Parameter(arguments);
        launch.arg(&parameter);
        // SAFETY: kernels/abi.rs says that this kernel takes one `A`; the caller answers for what
        // is in it. The logits are borrowed by the batch, and the scratch memory is this operation's
        // until its launches are in the stream.
        let launched = unsafe { launch.launch(config) };
        self.turn.try_to("launch a kernel", launched).map(drop)
    }

    /// The blocks of the kernels in decide.cu: a tile for each warp.
    fn tile_blocks(&self) -> u32 {
        self.logits.vocab_size.div_ceil(TILE).div_ceil(WARPS)
    }

    /// How many rows shall share what a block reads of the map, if a row takes so many blocks: as many as
    /// leave enough blocks to fill a large GPU. No result depends on it.
    fn rows_per_block(&self, blocks: u32) -> u32 {
        const ENOUGH: u32 = 2048;
        (blocks.saturating_mul(self.logits.batch) / ENOUGH).clamp(1, MAX_ROWS_PER_BLOCK)
    }

    /// Borrows for one launch.
    fn loans<'b>(&'b self) -> Loans<'b> {
        Loans { stream: &self.gpu.stream, turn: &self.turn, borrowed: Vec::new() }
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
    unsafe { batch.run(SumsArgs { logits, scratch }, batch.tile_blocks(), 1)? };
    Ok(Summed(batch))
}

/// Decides every row of the batch: [`DECISION_WORDS`] for each in `decisions`, one in `tokens`.
pub(super) fn decide(
    batch: &Batch<'_>,
    map: &MapTables,
    decisions: &mut Output<u32>,
    tokens: &mut Output<u32>,
) -> Result<(), ReduceError> {
    assert!(decisions.len() >= batch.rows() * DECISION_WORDS);
    let mut loans = batch.loans();
    let arguments = decide_args(batch, map, &mut loans, decisions, DECISION_WORDS, tokens);
    // SAFETY: `decide_args` says why.
    unsafe { batch.run(arguments, batch.tile_blocks() + map.large.blocks, 1) }
}

/// Decides every row of the batch, and finds the sums over it: [`ROW_WORDS`] for each in `rows`, of
/// which the first are the decision's; one in `tokens`.
pub(super) fn survey<'a>(
    batch: &'a Batch<'a>,
    map: &MapTables,
    rows: &mut Output<u32>,
    tokens: &mut Output<u32>,
) -> Result<Summed<'a>, ReduceError> {
    assert!(rows.len() >= batch.rows() * ROW_WORDS);
    let mut loans = batch.loans();
    let decide = decide_args(batch, map, &mut loans, rows, ROW_WORDS, tokens);
    let arguments = SurveyArgs { decide, totals: batch.scratch.totals };
    // SAFETY: `decide_args` says why; the scratch memory has totals for each row.
    unsafe { batch.run(arguments, batch.tile_blocks() + map.large.blocks, 1)? };
    Ok(Summed(batch))
}

/// The tables are one map's, for the logits' vocabulary; both outputs have a place for each row, of
/// `row_words` in `rows`; the scratch memory has [`decide_partials`] for each row; and all are
/// borrowed until the launch is made.
fn decide_args<'a>(
    batch: &Batch<'_>,
    map: &'a MapTables,
    loans: &mut Loans<'a>,
    rows: &'a mut Output<u32>,
    row_words: usize,
    tokens: &'a mut Output<u32>,
) -> DecideArgs {
    batch.check_map(map);
    let per_row = decide_partials(map, batch.logits.vocab_size);
    assert!(per_row <= batch.partials && tokens.len() >= batch.rows());
    DecideArgs {
        logits: batch.logits,
        large: loans.large(&map.large),
        concept_of: loans.read(&map.concept_of),
        members_of: loans.read(&map.members_of),
        partials: batch.scratch.partials.cast(),
        partials_per_row: per_row.into(),
        tickets: batch.scratch.tickets,
        reach: map.reach,
        num_concepts: map.num_concepts as u32,
        decisions: loans.write(rows).cast(),
        decision_stride: (row_words / 4) as u64,
        tokens: loans.write(tokens),
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

/// The blocks of [`rows`].
fn rows_blocks(map: &MapTables) -> u32 {
    set_blocks(&map.sets).max(1)
}

/// What [`rows`] takes for a row.
pub(super) fn rows_partials(map: &MapTables) -> u32 {
    rows_blocks(map) * WARPS
}

/// Adds to the `rows` that [`survey`] has written what their decisions lack.
pub(super) fn rows(
    Summed(batch): &Summed<'_>,
    map: &MapTables,
    rows: &mut Output<u32>,
) -> Result<(), ReduceError> {
    batch.check_map(map);
    let vocab_size = batch.logits.vocab_size;
    let surveyed_per_row = decide_partials(map, vocab_size);
    assert!(rows.len() >= batch.rows() * ROW_WORDS);
    assert!(surveyed_per_row + rows_partials(map) <= batch.partials);
    let surveyed = batch.scratch.partials;
    let after = surveyed.wrapping_add(batch.rows() * surveyed_per_row as usize);
    let blocks = rows_blocks(map);
    let rows_per_block = batch.rows_per_block(blocks);
    let mut loans = batch.loans();
    let arguments = RowsArgs {
        logits: batch.logits,
        partials: after,
        totals: batch.scratch.totals,
        tickets: batch.scratch.tickets,
        sets: loans.sets(&map.sets),
        concept_of: loans.read(&map.concept_of),
        surveyed: surveyed.cast(),
        surveyed_per_row: surveyed_per_row.into(),
        tiles_at: before_tiles(map, vocab_size).into(),
        rows: loans.write(rows).cast(),
        rows_per_block,
    };
    // SAFETY: the tables are one map's, for the logits' vocabulary; `rows` has a place for each row;
    // what was surveyed lies before what this launch leaves; and all are borrowed until the launch
    // is made.
    unsafe { batch.run(arguments, blocks, rows_per_block) }
}

/// Writes the mass of every concept, `[B, C]`.
pub(super) fn masses(
    Summed(batch): &Summed<'_>,
    map: &MapTables,
    masses: &mut Output<f32>,
) -> Result<(), ReduceError> {
    batch.check_map(map);
    assert!(masses.len() >= batch.rows() * map.num_concepts);
    let blocks = set_blocks(&map.sets) + token_blocks(batch.logits.vocab_size);
    let rows_per_block = batch.rows_per_block(blocks);
    let mut loans = batch.loans();
    let arguments = MassesArgs {
        logits: batch.logits,
        totals: batch.scratch.totals,
        sets: loans.sets(&map.sets),
        concept_of: loans.read(&map.concept_of),
        masses: loans.write(masses),
        num_concepts: map.num_concepts as u64,
        rows_per_block,
    };
    // SAFETY: the tables are one map's, for the logits' vocabulary; the output has a place for each
    // of its concepts in each row; and all are borrowed until the launch is made.
    unsafe { batch.run(arguments, blocks, rows_per_block) }
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
    let blocks = set_blocks(&map.sets) + token_blocks(vocab_size);
    let rows_per_block = batch.rows_per_block(blocks);
    let mut loans = batch.loans();
    let arguments = PoolArgs {
        logits: batch.logits,
        totals: batch.scratch.totals,
        sets: loans.sets(&map.sets),
        concept_of: loans.read(&map.concept_of),
        pooled: loans.write(pooled),
        rows_per_block,
    };
    // SAFETY: the tables are one map's, for the logits' vocabulary; the output has a place for each
    // token of it in each row; and all are borrowed until the launch is made.
    unsafe { batch.run(arguments, blocks, rows_per_block) }
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
    let blocks = set_blocks(&sets.sets);
    let rows_per_block = batch.rows_per_block(blocks);
    let mut loans = batch.loans();
    let arguments = MeasureArgs {
        logits: batch.logits,
        totals: batch.scratch.totals,
        sets: loans.sets(&sets.sets),
        masses: loans.write(masses),
        concentrations: loans.write(concentrations),
        num_sets: sets.num_sets as u64,
        rows_per_block,
    };
    // SAFETY: the sets are of the logits' vocabulary; both outputs have a place for each of them
    // in each row; and all are borrowed until the launch is made.
    unsafe { batch.run(arguments, blocks, rows_per_block) }
}

/// Draws a token for each row, `[B]`, and moves the `noise` of those that have one on: a seed, and a
/// step for each row.
pub(super) fn draw(
    batch: &Batch<'_>,
    map: &MapTables,
    inverse_temperature: f64,
    noise: &mut Buffer<u64>,
    tokens: &mut Output<u32>,
) -> Result<(), ReduceError> {
    batch.check_map(map);
    let per_row = draw_partials(map, batch.logits.vocab_size);
    assert!(per_row <= batch.partials);
    assert!(noise.len() > batch.rows() && tokens.len() >= batch.rows());
    // As far as its square is one in f32, in which a weight is 0 or 1 beyond that.
    let root = inverse_temperature.sqrt().clamp(1e-37, 1e37) as f32;
    // A token drawn by its probability is of a concept drawn by its mass.
    let needs_masses = inverse_temperature != 1.0 && map.sets.by_block > 0;
    if needs_masses {
        weigh(batch, map, root)?;
    }
    let mut loans = batch.loans();
    let arguments = DrawArgs {
        logits: batch.logits,
        sets: loans.sets(&map.sets),
        pooled: if needs_masses { loans.read(&map.pooled) } else { std::ptr::null() },
        members_of: loans.read(&map.members_of),
        partials: batch.scratch.partials,
        partials_per_row: per_row.into(),
        tickets: batch.scratch.tickets,
        noise: loans.update(noise),
        tokens: loans.write(tokens),
        root,
    };
    // SAFETY: the tables are one map's, for the logits' vocabulary; there are a seed, and a
    // step and a token for each row; and all are borrowed until the launch is made.
    unsafe { batch.run(arguments, batch.tile_blocks(), 1) }
}

/// Leaves the weights of the pooled concepts.
fn weigh(batch: &Batch<'_>, map: &MapTables, root: f32) -> Result<(), ReduceError> {
    let blocks = set_blocks(&map.sets);
    let rows_per_block = batch.rows_per_block(blocks);
    let mut loans = batch.loans();
    let arguments = WeighArgs {
        logits: batch.logits,
        sets: loans.sets(&map.sets),
        partials: batch.scratch.partials,
        partials_per_row: draw_partials(map, batch.logits.vocab_size).into(),
        root,
        rows_per_block,
    };
    // SAFETY: the tables are one map's, for the logits' vocabulary, and borrowed until the launch is
    // made; `draw` has seen that there is room for all parts of each row.
    unsafe { batch.run(arguments, blocks, rows_per_block) }
}

/// The parts of a row in a draw, as `Layout` in kernels/draw.cu has them.
pub(super) fn draw_partials(map: &MapTables, vocab_size: u32) -> u32 {
    let sets = &map.sets;
    vocab_size.div_ceil(TILE) + sets.by_thread.div_ceil(WARP) + (sets.by_block - sets.by_thread)
}

/// The blocks that gather sets, as `for_each_set` in kernels/sets.cuh counts them.
fn set_blocks(sets: &SetTable) -> u32 {
    (sets.by_block - sets.by_warp)
        + (sets.by_warp - sets.by_thread).div_ceil(WARPS)
        + sets.by_thread.div_ceil(THREADS)
}

/// The blocks that stream the tokens which are concepts of their own.
fn token_blocks(vocab_size: u32) -> u32 {
    vocab_size.div_ceil(TOKENS_PER_BLOCK)
}

/// Memory that is borrowed for a launch. (Where cudarc keeps account of several streams, borrowing
/// an output also waits for those who have used it, and tells those who will.)
struct Loans<'a> {
    stream: &'a Arc<CudaStream>,
    turn: &'a Turn<'a>,
    borrowed: Vec<SyncOnDrop<'a>>,
}

impl<'a> Loans<'a> {
    /// Memory that the kernel only reads.
    fn read<T>(&mut self, memory: &'a Buffer<T>) -> *const T {
        self.turn.lend(memory.memory());
        memory.address() as *const T
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

    fn large(&mut self, large: &'a LargeTable) -> LargeSets {
        let [by_4, by_8, by_16, by_warp] = large.ends;
        LargeSets {
            ids: self.read(&large.ids),
            members: self.read(&large.members),
            huge_ends: self.read(&large.huge_ends),
            by_4,
            by_8,
            by_16,
            by_warp,
            blocks: large.blocks,
        }
    }

    fn sets(&mut self, sets: &'a SetTable) -> Sets {
        Sets {
            starts: self.read(&sets.starts),
            members: self.read(&sets.members),
            ids: self.read(&sets.ids),
            by_thread: sets.by_thread,
            by_warp: sets.by_warp,
            by_block: sets.by_block,
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
