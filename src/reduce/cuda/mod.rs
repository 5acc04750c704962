//! The reduction on CUDA: what kernels/ does, launched.
//!
//! | operation | launches |
//! | --- | --- |
//! | decide | `decide` |
//! | reduce | `survey`, then `rows` |
//! | masses, pool, measure | `sums`, then the operation's own |
//! | sample | `weigh`, if masses are needed; `draw` |
//! | a step of a batch server, sample by a set of maps | `prepare`, `collect`, `settle` |
//! | see | `see` |
//!
//! These copy nothing from or to the host and do not wait for the device, so that all of them can be
//! captured into a CUDA graph; except `see`, which counts the host's tokens. Maps that come and go
//! (`maps.rs`) and requests (`slots.rs`) are changed by copies in the order of the stream.
//! docs/THREADS.md says what orders operations of several threads, and what a graph owns; `memory.rs`,
//! `workspace.rs` and `capture.rs` say how.
//!
//! All `unsafe` of the CUDA path is in this folder: memory is taken unset (`gpu.rs`), kernels trust
//! their parameters (`batch.rs`, `launch.rs`, `step.rs`, `slots.rs`), the scratch memory holds what they
//! leave (`workspace.rs`), and the driver is called where cudarc has no safe call (`kernels.rs`,
//! `memory.rs`, `capture.rs`, `noise.rs`, `slots.rs`).

mod batch;
mod capture;
mod found;
mod gpu;
mod kernels;
mod launch;
mod loans;
mod maps;
mod memory;
mod noise;
mod sections;
mod slots;
mod sparse;
mod step;
mod tables;
mod workspace;

use std::sync::Arc;

use candle_core::Tensor;

pub(crate) use candle_core::cuda_backend::CudaDevice;

pub(crate) use found::DeviceRows;
pub(crate) use maps::DeviceMaps;
pub(crate) use noise::NoiseState;
pub(crate) use slots::DeviceSlots;
pub(crate) use step::{sample_each, step};
pub(crate) use tables::{MapTables, SetTables};

use self::batch::Batch;
use self::found::Found;
use self::gpu::Gpu;
use self::launch::{DECISION_WORDS, ROW_WORDS};
use self::workspace::Lane;
use super::ReduceError;
use super::logits::Logits;
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

/// Finds the rows.
pub(crate) fn reduce(map: &MapTables, logits: &Logits) -> Result<DeviceRows, ReduceError> {
    let gpu = &map.gpu;
    let (lane, storage) = (Lane::of(gpu)?, logits.storage());
    let partials = launch::decide_partials(map, logits.width() as u32) + launch::rows_partials(map);
    let batch = Batch::new(gpu, &lane, logits, &storage, partials)?;
    let mut found = Found::new(batch.turn(), logits.rows(), ROW_WORDS)?;
    let surveyed = launch::survey(&batch, map, &mut found)?;
    launch::rows(&surveyed, map, &mut found)?;
    Ok(DeviceRows::new(gpu, batch.turn(), found))
}

/// Finds what is decided.
pub(crate) fn decide(map: &MapTables, logits: &Logits) -> Result<DeviceRows, ReduceError> {
    let gpu = &map.gpu;
    let (lane, storage) = (Lane::of(gpu)?, logits.storage());
    let partials = launch::decide_partials(map, logits.width() as u32);
    let batch = Batch::new(gpu, &lane, logits, &storage, partials)?;
    let mut found = Found::new(batch.turn(), logits.rows(), DECISION_WORDS)?;
    launch::decide(&batch, map, &mut found)?;
    Ok(DeviceRows::new(gpu, batch.turn(), found))
}

/// The mass of every concept, `f32`.
pub(crate) fn masses(map: &MapTables, logits: &Logits) -> Result<Tensor, ReduceError> {
    let gpu = &map.gpu;
    let mut masses = gpu.alloc(logits.rows() * map.num_concepts)?;
    let (lane, storage) = (Lane::of(gpu)?, logits.storage());
    let batch = Batch::new(gpu, &lane, logits, &storage, 0)?;
    launch::masses(&launch::sums(&batch)?, map, &mut masses)?;
    Ok(gpu.tensor(masses, logits.shape_of(map.num_concepts)))
}

/// The pooled logits, `f32`.
pub(crate) fn pool(map: &MapTables, logits: &Logits) -> Result<Tensor, ReduceError> {
    let gpu = &map.gpu;
    let mut pooled = gpu.alloc(logits.rows() * logits.width())?;
    let (lane, storage) = (Lane::of(gpu)?, logits.storage());
    let batch = Batch::new(gpu, &lane, logits, &storage, 0)?;
    launch::pool(&launch::sums(&batch)?, map, &mut pooled)?;
    Ok(gpu.tensor(pooled, logits.shape_of(logits.width())))
}

/// Mass and concentration of every set, `f32`.
pub(crate) fn measure(sets: &SetTables, logits: &Logits) -> Result<(Tensor, Tensor), ReduceError> {
    let gpu = &sets.gpu;
    let numbers = logits.rows() * sets.num_sets;
    let mut masses = gpu.alloc(numbers)?;
    let mut concentrations = gpu.alloc(numbers)?;
    let (lane, storage) = (Lane::of(gpu)?, logits.storage());
    let batch = Batch::new(gpu, &lane, logits, &storage, 0)?;
    launch::measure(&launch::sums(&batch)?, sets, &mut masses, &mut concentrations)?;
    let shape = logits.shape_of(sets.num_sets);
    Ok((gpu.tensor(masses, shape.clone()), gpu.tensor(concentrations, shape)))
}

/// A token for each row, of a concept drawn by its mass to the power `1 / temperature`.
pub(crate) fn sample(
    map: &MapTables,
    logits: &Logits,
    temperature: f64,
    noise: &mut NoiseState,
) -> Result<Tensor, ReduceError> {
    let gpu = &map.gpu;
    let mut tokens = gpu.alloc(logits.rows())?;
    let (lane, storage) = (Lane::of(gpu)?, logits.storage());
    let partials = launch::draw_partials(map, logits.width() as u32);
    let batch = Batch::new(gpu, &lane, logits, &storage, partials)?;
    let noise = noise.of_rows(batch.turn(), logits.rows())?;
    launch::draw(&batch, map, temperature, noise, &mut tokens)?;
    Ok(gpu.tensor(tokens, logits.rows()))
}
