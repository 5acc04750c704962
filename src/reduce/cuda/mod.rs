//! The reduction on CUDA: what kernels/ does, launched.
//!
//! | operation | launches |
//! | --- | --- |
//! | decide | `decide` |
//! | reduce | `decide`, and `entropy` if the map pools anything |
//! | masses, pool, probe, draw | `decide` for the rows' sums alone, then the operation's own |
//!
//! Nothing is copied from or to the host, nothing waits for the device, and the only memory taken
//! is that of the result; so all of it can be recorded in a CUDA graph, once the thread has done
//! the same before and its workspace has the size.
//!
//! All `unsafe` of the CUDA path is in this folder: memory is taken unset (`gpu.rs`), launches trust
//! their parameters (`launch.rs`, and each launch here), and `Params` is a kernel's argument
//! (`params.rs`).

mod gpu;
mod launch;
mod noise;
mod params;
mod tables;
mod workspace;

use std::sync::Arc;

use candle_core::Tensor;

pub(crate) use candle_core::cuda_backend::CudaDevice;

pub(crate) use noise::NoiseState;
pub(crate) use tables::{MapTables, SetTables};

use self::gpu::{Gpu, Kernel, THREADS, WARPS};
use self::launch::Launch;
use self::params::Sets;
use self::tables::SetTable;
use super::logits::Logits;
use super::packed::PackedRow;
use super::{BadRow, Decision, ReduceError, Row};
use crate::{ConceptMap, TokenSets};

/// `TILE` of kernels/tile.cuh: the logits that one element of `partials` is of.
const TILE: usize = 1024;
/// `PER_BLOCK` of kernels/gather.cu: the tokens that a block streams.
const TOKENS_PER_BLOCK: usize = 4096;
/// A row in units of `u32`.
const ROW_WORDS: usize = size_of::<PackedRow>() / size_of::<u32>();

pub(crate) fn upload_map(
    map: &ConceptMap,
    device: &CudaDevice,
) -> Result<Arc<MapTables>, ReduceError> {
    Ok(Arc::new(MapTables::new(Gpu::of(device)?, map)?))
}

pub(crate) fn upload_sets(
    sets: &TokenSets,
    device: &CudaDevice,
) -> Result<Arc<SetTables>, ReduceError> {
    Ok(Arc::new(SetTables::new(Gpu::of(device)?, sets)?))
}

/// The rows of a batch, and their tokens, which are what most callers want.
#[derive(Debug, Clone)]
pub(crate) struct DeviceRows {
    /// `u32` `[12 B]`.
    rows: Tensor,
    /// `u32` `[B]`.
    tokens: Tensor,
}

impl DeviceRows {
    pub(crate) fn len(&self) -> usize {
        self.tokens.elem_count()
    }

    pub(crate) fn tokens(&self) -> Tensor {
        self.tokens.clone()
    }

    /// The rows; they must have been found with their concept entropy.
    pub(crate) fn rows(&self) -> Result<Vec<Result<Row, BadRow>>, ReduceError> {
        self.unpacked(PackedRow::row)
    }

    pub(crate) fn decisions(&self) -> Result<Vec<Result<Decision, BadRow>>, ReduceError> {
        self.unpacked(PackedRow::decision)
    }

    fn unpacked<T>(&self, unpack: impl Fn(&PackedRow, usize) -> T) -> Result<Vec<T>, ReduceError> {
        let words = self.rows.to_vec1::<u32>()?;
        let rows: &[PackedRow] = bytemuck::cast_slice(&words);
        Ok(rows.iter().enumerate().map(|(i, row)| unpack(row, i)).collect())
    }
}

/// Finds the rows; their concept entropy only if `entropy` is asked for.
pub(crate) fn reduce(
    tables: &MapTables,
    logits: &Logits,
    entropy: bool,
) -> Result<DeviceRows, ReduceError> {
    let MapTables { gpu, sets, .. } = tables;
    let len = logits.rows();
    let blocks = gather_blocks(sets, 0);
    let mut rows = gpu.alloc::<u32>(len * ROW_WORDS)?;
    let mut tokens = gpu.alloc::<u32>(len)?;
    let storage = logits.storage();
    let mut launch = Launch::new(gpu, logits, &storage, partials(logits, blocks))?;
    launch.params.rows = launch.write(&mut rows);
    launch.params.tokens = launch.write(&mut tokens);
    use_map(&mut launch, tables);
    // SAFETY: `rows` and `tokens` have a place for each row, and `tables` are of a map for the
    // logits' vocabulary.
    unsafe { launch.run(Kernel::Decide, decide_blocks(logits))? };
    if entropy && !sets.is_empty() {
        // SAFETY: the same, and the rows are written by now.
        unsafe { launch.run(Kernel::Entropy, blocks)? };
    }
    drop(launch);
    Ok(DeviceRows { rows: gpu.tensor(rows, len * ROW_WORDS), tokens: gpu.tensor(tokens, len) })
}

/// The mass of every concept, `f32`.
pub(crate) fn masses(tables: &MapTables, logits: &Logits) -> Result<Tensor, ReduceError> {
    per_concept(tables, logits, Kernel::Masses, tables.concepts)
}

/// The pooled logits, `f32`.
pub(crate) fn pool(tables: &MapTables, logits: &Logits) -> Result<Tensor, ReduceError> {
    per_concept(tables, logits, Kernel::Pool, logits.width())
}

fn per_concept(
    tables: &MapTables,
    logits: &Logits,
    kernel: Kernel,
    width: usize,
) -> Result<Tensor, ReduceError> {
    let gpu = &tables.gpu;
    let blocks = gather_blocks(&tables.sets, logits.width());
    let mut out = gpu.alloc::<f32>(logits.rows() * width)?;
    let storage = logits.storage();
    let mut launch = Launch::new(gpu, logits, &storage, partials(logits, blocks))?;
    launch.run_sums(decide_blocks(logits))?;
    launch.params.out = launch.write(&mut out);
    launch.params.width = width as u32;
    use_map(&mut launch, tables);
    // SAFETY: `out` has a place for each concept, or token, of each row, and `tables` are of a map
    // for the logits' vocabulary.
    unsafe { launch.run(kernel, blocks)? };
    drop(launch);
    Ok(gpu.tensor(out, logits.shape_of(width)))
}

/// Mass and concentration of every probe, `f32`.
pub(crate) fn measure(
    tables: &SetTables,
    logits: &Logits,
) -> Result<(Tensor, Tensor), ReduceError> {
    let SetTables { gpu, sets, sets } = tables;
    let blocks = gather_blocks(sets, 0);
    let mut masses = gpu.alloc::<f32>(logits.rows() * sets)?;
    let mut concentrations = gpu.alloc::<f32>(logits.rows() * sets)?;
    let storage = logits.storage();
    let mut launch = Launch::new(gpu, logits, &storage, partials(logits, blocks))?;
    launch.run_sums(decide_blocks(logits))?;
    launch.params.out = launch.write(&mut masses);
    launch.params.concentrations = launch.write(&mut concentrations);
    launch.params.width = *sets as u32;
    use_sets(&mut launch, sets);
    // SAFETY: both outputs have a place for each probe of each row, and the sets are for the
    // logits' vocabulary.
    unsafe { launch.run(Kernel::Probe, blocks)? };
    drop(launch);
    let shape = logits.shape_of(*sets);
    Ok((gpu.tensor(masses, shape.clone()), gpu.tensor(concentrations, shape)))
}

/// A token for each row, of a concept drawn by its mass to the power `inverse_temperature`.
pub(crate) fn draw(
    tables: &MapTables,
    logits: &Logits,
    inverse_temperature: f32,
    noise: &mut NoiseState,
) -> Result<Tensor, ReduceError> {
    let gpu = &tables.gpu;
    let blocks = gather_blocks(&tables.sets, logits.width());
    let mut tokens = gpu.alloc::<u32>(logits.rows())?;
    let storage = logits.storage();
    let mut launch = Launch::new(gpu, logits, &storage, partials(logits, blocks))?;
    launch.run_sums(decide_blocks(logits))?;
    launch.params.tokens = launch.write(&mut tokens);
    launch.params.noise = launch.write(noise.state());
    launch.params.inverse_temperature = inverse_temperature;
    use_map(&mut launch, tables);
    // SAFETY: `tokens` has a place for each row, the noise is a seed and an offset, and `tables`
    // are of a map for the logits' vocabulary.
    unsafe { launch.run(Kernel::Draw, blocks)? };
    drop(launch);
    Ok(gpu.tensor(tokens, logits.rows()))
}

/// The blocks of decide.cu for one row: a tile for each warp.
fn decide_blocks(logits: &Logits) -> u32 {
    (logits.width().div_ceil(TILE) as u32).div_ceil(WARPS)
}

/// The blocks of a kernel of gather.cu for one row, with so many tokens to be streamed.
fn gather_blocks(sets: &SetTable, tokens: usize) -> u32 {
    sets.blocks(WARPS, THREADS) + tokens.div_ceil(TOKENS_PER_BLOCK) as u32
}

/// The partial results of one row: one for each tile of decide.cu, for each block of gather.cu.
fn partials(logits: &Logits, gather_blocks: u32) -> usize {
    logits.width().div_ceil(TILE).max(gather_blocks as usize)
}

fn use_map<'a>(launch: &mut Launch<'a>, tables: &'a MapTables) {
    launch.params.concept_of = launch.read(&tables.concept_of);
    launch.params.rank_of = launch.read(&tables.rank_of);
    use_sets(launch, &tables.sets);
}

fn use_sets<'a>(launch: &mut Launch<'a>, sets: &'a SetTable) {
    launch.params.sets = Sets {
        starts: launch.read(&sets.starts),
        members: launch.read(&sets.members),
        ids: launch.read(&sets.ids),
        ..sets.counts
    };
}
