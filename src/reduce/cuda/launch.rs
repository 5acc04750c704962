//! The kernels' launches: for each kernel one function, which takes the memory that the kernel
//! works on as what it is.
//!
//! They are safe to call. What a kernel relies on is in the types (a map's tables are only made by
//! [`MapTables::new`], and checked logits only by `Logits::check`) or is asserted, so that nobody
//! can make a kernel leave its memory.

use super::batch::{Batch, Summed};
use super::found::Found;
use super::gpu::Output;
use super::loans::Loans;
use super::memory::Buffer;
use super::tables::{MapTables, SetTable, SetTables};
use crate::reduce::ReduceError;
use crate::reduce::abi::{
    DecideArgs, DrawArgs, MassesArgs, MeasureArgs, PackedDecision, PackedRow, PoolArgs, RowsArgs,
    SumsArgs, SurveyArgs, THREADS, TILE, TOKENS_PER_BLOCK, WARP, WARPS, WeighArgs,
};

/// A row in the words of its buffer.
pub(super) const ROW_WORDS: usize = size_of::<PackedRow>() / size_of::<u32>();

/// A decision in the words of its buffer.
pub(super) const DECISION_WORDS: usize = size_of::<PackedDecision>() / size_of::<u32>();

/// Finds the sums over each row.
pub(super) fn sums<'a>(batch: &'a Batch<'a>) -> Result<Summed<'a>, ReduceError> {
    let Batch { logits, scratch, .. } = *batch;
    // SAFETY: the batch holds all that there is, and has a partial result for each tile.
    unsafe { batch.run(SumsArgs { logits, scratch }, batch.tile_blocks(), 1)? };
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
    unsafe { batch.run(arguments, batch.tile_blocks() + map.large.blocks, 1) }
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
    unsafe { batch.run(arguments, batch.tile_blocks() + map.large.blocks, 1)? };
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

/// The blocks of [`rows`].
fn rows_blocks(map: &MapTables) -> u32 {
    set_blocks(&map.sets).max(1)
}

/// What [`rows`] takes for a row.
pub(super) fn rows_partials(map: &MapTables) -> u32 {
    rows_blocks(map) * WARPS
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
    let blocks = rows_blocks(map);
    let rows_per_block = batch.rows_per_block(blocks);
    let mut loans = batch.loans(&map.buffer);
    let arguments = RowsArgs {
        logits: batch.logits,
        partials: after,
        totals: batch.scratch.totals,
        tickets: batch.scratch.tickets,
        sets: loans.sets(&map.sets),
        concept_of: loans.read(map.concept_of),
        surveyed: surveyed.cast(),
        surveyed_per_row: surveyed_per_row.into(),
        tiles_at: before_tiles(map, vocab_size).into(),
        rows: loans.found(found).1.cast(),
        rows_per_block,
    };
    // SAFETY: the tables are one map's, for the logits' vocabulary; `found` has a place for each row;
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
    let mut loans = batch.loans(&map.buffer);
    let arguments = MassesArgs {
        logits: batch.logits,
        totals: batch.scratch.totals,
        sets: loans.sets(&map.sets),
        concept_of: loans.read(map.concept_of),
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
    let mut loans = batch.loans(&map.buffer);
    let arguments = PoolArgs {
        logits: batch.logits,
        totals: batch.scratch.totals,
        sets: loans.sets(&map.sets),
        concept_of: loans.read(map.concept_of),
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
    let mut loans = batch.loans(&sets.buffer);
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
    temperature: f64,
    noise: &mut Buffer<u64>,
    tokens: &mut Output<u32>,
) -> Result<(), ReduceError> {
    batch.check_map(map);
    let per_row = draw_partials(map, batch.logits.vocab_size);
    assert!(per_row <= batch.partials);
    assert!(noise.len() > batch.rows() && tokens.len() >= batch.rows());
    // Beyond these bounds every weight is 0 or 1 in f32.
    let root = (1.0 / temperature).sqrt().clamp(1e-37, 1e37) as f32;
    // A token drawn by its probability is of a concept drawn by its mass.
    let needs_masses = temperature != 1.0 && map.sets.by_block > 0;
    if needs_masses {
        weigh(batch, map, root)?;
    }
    let mut loans = batch.loans(&map.buffer);
    let arguments = DrawArgs {
        logits: batch.logits,
        sets: loans.sets(&map.sets),
        pooled: if needs_masses { loans.read(map.pooled) } else { std::ptr::null() },
        members_of: loans.read(map.members_of),
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
    let loans = batch.loans(&map.buffer);
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

/// The parts of a row in a draw, as `Layout` in kernels/parts.cuh has them.
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
