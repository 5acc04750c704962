//! The reduction on CUDA: what kernels/ does, launched.
//!
//! | operation | launches |
//! | --- | --- |
//! | decide | `decide` |
//! | reduce | `decide`, and `entropy` if the map pools anything |
//! | masses, pool, measure, sample | `sums`, then the operation's own |
//!
//! Nothing is copied from or to the host, nothing waits for the device, and the only memory taken
//! is that of the result; so all of it can be recorded in a CUDA graph, once the thread has done
//! the same before and its workspace has the size.
//!
//! All `unsafe` of the CUDA path is in this folder: memory is taken unset (`gpu.rs`), kernels trust
//! their parameters (`launch.rs`), and the scratch memory holds what they leave (`workspace.rs`).

mod gpu;
mod launch;
mod noise;
mod tables;
mod workspace;

use std::sync::Arc;

use candle_core::Tensor;

pub(crate) use candle_core::cuda_backend::CudaDevice;

pub(crate) use noise::NoiseState;
pub(crate) use tables::{MapTables, SetTables};

use self::gpu::Gpu;
use self::launch::{Batch, ROW_WORDS};
use super::logits::Logits;
use super::packed::PackedRow;
use super::{BadRow, Decision, ReduceError, Row};
use crate::{ConceptMap, TokenSets};

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
    /// `u32`: a [`PackedRow`] for each row.
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
    map: &MapTables,
    logits: &Logits,
    entropy: bool,
) -> Result<DeviceRows, ReduceError> {
    let gpu = &map.gpu;
    let len = logits.rows();
    let mut rows = gpu.alloc(len * ROW_WORDS)?;
    let mut tokens = gpu.alloc(len)?;
    let storage = logits.storage();
    let batch = Batch::new(gpu, logits, &storage, &map.sets, false)?;
    let summed = launch::decide(&batch, map, &mut rows, &mut tokens)?;
    if entropy && !map.sets.is_empty() {
        launch::entropy(&summed, map, &mut rows)?;
    }
    Ok(DeviceRows { rows: gpu.tensor(rows, len * ROW_WORDS), tokens: gpu.tensor(tokens, len) })
}

/// The mass of every concept, `f32`.
pub(crate) fn masses(map: &MapTables, logits: &Logits) -> Result<Tensor, ReduceError> {
    let gpu = &map.gpu;
    let mut masses = gpu.alloc(logits.rows() * map.num_concepts)?;
    let storage = logits.storage();
    let batch = Batch::new(gpu, logits, &storage, &map.sets, true)?;
    launch::masses(&launch::sums(&batch)?, map, &mut masses)?;
    Ok(gpu.tensor(masses, logits.shape_of(map.num_concepts)))
}

/// The pooled logits, `f32`.
pub(crate) fn pool(map: &MapTables, logits: &Logits) -> Result<Tensor, ReduceError> {
    let gpu = &map.gpu;
    let mut pooled = gpu.alloc(logits.rows() * logits.width())?;
    let storage = logits.storage();
    let batch = Batch::new(gpu, logits, &storage, &map.sets, true)?;
    launch::pool(&launch::sums(&batch)?, map, &mut pooled)?;
    Ok(gpu.tensor(pooled, logits.shape_of(logits.width())))
}

/// Mass and concentration of every set, `f32`.
pub(crate) fn measure(sets: &SetTables, logits: &Logits) -> Result<(Tensor, Tensor), ReduceError> {
    let gpu = &sets.gpu;
    let numbers = logits.rows() * sets.num_sets;
    let mut masses = gpu.alloc(numbers)?;
    let mut concentrations = gpu.alloc(numbers)?;
    let storage = logits.storage();
    let batch = Batch::new(gpu, logits, &storage, &sets.sets, false)?;
    launch::measure(&launch::sums(&batch)?, sets, &mut masses, &mut concentrations)?;
    let shape = logits.shape_of(sets.num_sets);
    Ok((gpu.tensor(masses, shape.clone()), gpu.tensor(concentrations, shape)))
}

/// A token for each row, of a concept drawn by its mass to the power `inverse_temperature`.
pub(crate) fn sample(
    map: &MapTables,
    logits: &Logits,
    inverse_temperature: f64,
    noise: &mut NoiseState,
) -> Result<Tensor, ReduceError> {
    let gpu = &map.gpu;
    let mut tokens = gpu.alloc(logits.rows())?;
    let storage = logits.storage();
    let batch = Batch::new(gpu, logits, &storage, &map.sets, true)?;
    let summed = launch::sums(&batch)?;
    let noise = noise.of_rows(logits.rows())?;
    launch::sample(&summed, map, inverse_temperature, noise, &mut tokens)?;
    Ok(gpu.tensor(tokens, logits.rows()))
}
