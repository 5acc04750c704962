//! A step of a batch server: a token for each row, by the request in its slot.
//!
//! The launches are the same whatever the requests ask for, so that a graph that has captured a step serves
//! whoever is in the slots when it is launched.

use std::ptr;
use std::sync::Arc;

use candle_core::{Storage, Tensor};
use cudarc::driver::{DevicePtr, SyncOnDrop};

use super::batch::Batch;
use super::found::{DeviceRows, Found};
use super::gpu::Gpu;
use super::maps::DeviceMaps;
use super::noise::NoiseState;
use super::slots::DeviceSlots;
use super::sparse::EMPTY;
use super::workspace::Lane;
use crate::reduce::ReduceError;
use crate::reduce::abi::{
    CollectArgs, KEY_BLOCKS, LISTED_BY_WARP, Listed, MAX_BY_THREAD, MapView, PackedSampled,
    PrepareArgs, SET_BLOCKS, SET_WARPS, SettleArgs, SlotParams, StepArgs, StepWork, Sums, TILE,
    WARP,
};
use crate::reduce::logits::Logits;
use crate::reduce::requests::SlotRequest;

/// A sampled row in the words of its buffer.
const SAMPLED_WORDS: usize = size_of::<PackedSampled>() / size_of::<u32>();

/// Samples from every row, by the request in its slot. The tensors are on the device of the logits:
/// `slot_of_row` is `u32` `[B]`, `mask` is `u32` `[B, words]`.
pub(crate) fn step(
    maps: &DeviceMaps,
    slots: &mut DeviceSlots,
    logits: &Logits,
    slot_of_row: &Tensor,
    mask: Option<&Tensor>,
) -> Result<DeviceRows, ReduceError> {
    assert_eq!(logits.width(), slots.vocab_size, "another vocabulary");
    let gpu = &slots.gpu;
    let (lane, storage) = (Lane::of(gpu)?, logits.storage());
    let work = Work::new(logits.width() as u32);
    let batch = Batch::new(gpu, &lane, logits, &storage, work.per_row)?;
    let of_row = slot_of_row.contiguous()?;
    let of_row_storage = of_row.storage_and_layout().0;
    let numbers = Numbers::new(gpu, &of_row, &of_row_storage)?;
    assert_eq!(of_row.dims(), [logits.rows()], "a slot for each row");
    let mask = mask.map(gapless).transpose()?;
    let mask_storage = mask.as_ref().map(|mask| mask.storage_and_layout().0);
    let masks = match (&mask, &mask_storage) {
        (Some(mask), Some(storage)) => Some(Numbers::new(gpu, mask, storage)?),
        _ => None,
    };
    assert!(
        mask.as_ref().is_none_or(|mask| mask.dims()[0] == logits.rows()),
        "a mask for each row"
    );
    slots.lend(batch.turn())?;
    let arguments = StepArgs {
        num_slots: slots.params.len() as u32,
        slot_of_row: numbers.address,
        slots: slots.params.address() as *const SlotParams,
        steps: slots.steps.address() as *mut u64,
        seen: slots.seen.address() as *mut u32,
        counts: slots.counts.address() as *mut u32,
        mask: masks.as_ref().map_or(ptr::null(), |masks| masks.address),
        mask_stride: mask.as_ref().map_or(0, |mask| mask.stride()[0] as u64),
        mask_words: mask.as_ref().map_or(0, |mask| mask.dims()[1] as u32),
        ..rows_of(&batch, &work, maps)?
    };
    // SAFETY: the slots are of the logits' vocabulary, and their memory is lent; the tensors have a number,
    // or a mask, for each row, and are borrowed until the launches are made.
    unsafe { launch(gpu, &batch, arguments) }
}

/// Draws from every row, under the map at its place, as [`super::sample`] does under one map.
/// `map_of_row` is `u32` `[B]`, on the device of the logits.
pub(crate) fn sample_each(
    maps: &DeviceMaps,
    logits: &Logits,
    map_of_row: &Tensor,
    temperature: f64,
    noise: &mut NoiseState,
) -> Result<Tensor, ReduceError> {
    let gpu = &maps.gpu;
    let (lane, storage) = (Lane::of(gpu)?, logits.storage());
    let work = Work::new(logits.width() as u32);
    let batch = Batch::new(gpu, &lane, logits, &storage, work.per_row)?;
    let of_row = map_of_row.contiguous()?;
    let of_row_storage = of_row.storage_and_layout().0;
    let numbers = Numbers::new(gpu, &of_row, &of_row_storage)?;
    assert_eq!(of_row.dims(), [logits.rows()], "a place for each row");
    let noise = noise.of_rows(batch.turn(), logits.rows())?;
    batch.turn().lend(noise.memory());
    let arguments = StepArgs {
        map_of_row: numbers.address,
        noise: noise.address() as *mut u64,
        shared: SlotRequest::at(temperature).params(EMPTY),
        ..rows_of(&batch, &work, maps)?
    };
    // SAFETY: the places are borrowed, and the noise is lent; it has a step for each row.
    unsafe { launch(gpu, &batch, arguments)? }.tokens()
}

/// The part of the arguments that does not depend on what is asked for.
fn rows_of(batch: &Batch<'_>, work: &Work, maps: &DeviceMaps) -> Result<StepArgs, ReduceError> {
    assert_eq!(batch.logits.vocab_size as usize, maps.vocab_size, "another vocabulary");
    batch.turn().follow_users(maps.directory.memory())?;
    Ok(StepArgs {
        logits: batch.logits,
        maps: maps.directory.address() as *const MapView,
        num_maps: maps.directory.len() as u32,
        num_slots: 0,
        slot_of_row: ptr::null(),
        map_of_row: ptr::null(),
        noise: ptr::null_mut(),
        shared: SlotRequest::at(1.0).params(EMPTY),
        slots: ptr::null(),
        steps: ptr::null_mut(),
        seen: ptr::null_mut(),
        counts: ptr::null_mut(),
        mask: ptr::null(),
        mask_stride: 0,
        mask_words: 0,
        parts_per_row: work.parts,
        work: batch.scratch.partials,
        work_per_row: work.per_row.into(),
        tickets: batch.scratch.tickets,
        sampled: ptr::null_mut(),
        tokens: ptr::null_mut(),
    })
}

/// The launches of a step, and what they find.
///
/// # Safety
///
/// What `arguments` name besides what [`rows_of`] gives is as large as kernels/abi.rs says, and not freed
/// before the launches are in the stream.
unsafe fn launch(
    gpu: &Arc<Gpu>,
    batch: &Batch<'_>,
    arguments: StepArgs,
) -> Result<DeviceRows, ReduceError> {
    let mut found = Found::new(batch.turn(), batch.rows(), SAMPLED_WORDS)?;
    let mut loans = batch.loans_alone();
    let (tokens, sampled) = loans.found(&mut found);
    let step = StepArgs { sampled: sampled.cast(), tokens, ..arguments };
    // A warp takes several tiles where there are enough for all multiprocessors anyway: what comes before
    // them is the same for all. No result depends on it.
    const ENOUGH: u32 = 1024;
    let per_warp = (batch.tile_blocks() * batch.logits.batch / ENOUGH).clamp(1, 4);
    let tiles = batch.tile_blocks().div_ceil(per_warp);
    // SAFETY: the caller answers for what is not from `rows_of`; the directory's memory is lent, and the
    // scratch memory is as large as `Work` says; `found` has a place for each row.
    unsafe {
        batch.run(PrepareArgs { step }, tiles, 1)?;
        batch.run(CollectArgs { step }, tiles + SET_BLOCKS, 1)?;
        batch.run(SettleArgs { step }, KEY_BLOCKS + SET_BLOCKS, 1)?;
    }
    drop(loans);
    Ok(DeviceRows::new(gpu, batch.turn(), found))
}

/// What the launches of a step leave for each other about a row: how many `Sums` its tiles and sets have,
/// and how many all of it takes.
struct Work {
    parts: u32,
    per_row: u32,
}

impl Work {
    /// For any map of the vocabulary, since a graph may be launched with maps that it does not know.
    fn new(vocab_size: u32) -> Self {
        let tiles = vocab_size.div_ceil(TILE);
        let small_sets = (vocab_size / 2).div_ceil(WARP);
        let larger_sets = vocab_size / (MAX_BY_THREAD + 1);
        let parts = tiles + small_sets + larger_sets + 1;
        let warps = (tiles + SET_WARPS) as usize;
        let keys = vocab_size + vocab_size / 2;
        let bytes = size_of::<StepWork>()
            + parts as usize * size_of::<Sums>()
            + warps * (LISTED_BY_WARP as usize * size_of::<Listed>() + size_of::<u32>())
            + keys as usize * size_of::<f32>();
        Self { parts, per_row: bytes.div_ceil(size_of::<Sums>()) as u32 }
    }
}

/// Numbers of a tensor, as a kernel reads them.
struct Numbers<'a> {
    address: *const u32,
    /// Held until the launches are on their way.
    _borrowed: SyncOnDrop<'a>,
}

impl<'a> Numbers<'a> {
    fn new(gpu: &'a Gpu, tensor: &Tensor, storage: &'a Storage) -> Result<Self, ReduceError> {
        let Storage::Cuda(storage) = storage else {
            let device = tensor.device().location();
            let expected = candle_core::Device::Cuda(gpu.device.clone()).location();
            return Err(ReduceError::LogitsDevice { expected, got: device });
        };
        let (first, borrowed) = storage.as_cuda_slice::<u32>()?.device_ptr(&gpu.stream);
        let first = first + (tensor.layout().start_offset() * size_of::<u32>()) as u64;
        Ok(Self { address: first as *const u32, _borrowed: borrowed })
    }
}

/// A mask whose words lie one after the other in each row.
fn gapless(mask: &Tensor) -> Result<Tensor, ReduceError> {
    match mask.stride() {
        [_, 1] => Ok(mask.clone()),
        _ => Ok(mask.contiguous()?),
    }
}
