//! What stands in the place of the module `cuda` without the feature: types that have no values,
//! so that callers need no `cfg` and the compiler drops their code.

use std::sync::Arc;

use candle_core::Tensor;

use super::logits::Logits;
use super::requests::{SlotRequest, SlotRow, SlotState};
use super::{BadRow, Decision, ReduceError, Row};
use crate::{ConceptMap, TokenSets};

/// A device with kernels.
pub(crate) enum CudaDevice {}

/// A map on such a device.
pub(crate) enum MapTables {}

/// Token sets on such a device.
pub(crate) enum SetTables {}

/// Noise on such a device.
pub(crate) enum NoiseState {}

/// Rows on such a device.
#[derive(Debug, Clone)]
pub(crate) enum DeviceRows {}

/// Maps that come and go, on such a device.
pub(crate) enum DeviceMaps {}

/// Requests on such a device.
pub(crate) enum DeviceSlots {}

pub(crate) fn upload_map(
    _: &ConceptMap,
    device: &CudaDevice,
) -> Result<Arc<MapTables>, ReduceError> {
    match *device {}
}

pub(crate) fn upload_sets(
    _: &TokenSets,
    device: &CudaDevice,
) -> Result<Arc<SetTables>, ReduceError> {
    match *device {}
}

pub(crate) fn reduce(tables: &MapTables, _: &Logits) -> Result<DeviceRows, ReduceError> {
    match *tables {}
}

pub(crate) fn decide(tables: &MapTables, _: &Logits) -> Result<DeviceRows, ReduceError> {
    match *tables {}
}

pub(crate) fn masses(tables: &MapTables, _: &Logits) -> Result<Tensor, ReduceError> {
    match *tables {}
}

pub(crate) fn pool(tables: &MapTables, _: &Logits) -> Result<Tensor, ReduceError> {
    match *tables {}
}

pub(crate) fn sample(
    tables: &MapTables,
    _: &Logits,
    _temperature: f64,
    _: &mut NoiseState,
) -> Result<Tensor, ReduceError> {
    match *tables {}
}

pub(crate) fn measure(tables: &SetTables, _: &Logits) -> Result<(Tensor, Tensor), ReduceError> {
    match *tables {}
}

pub(crate) fn sample_each(
    maps: &DeviceMaps,
    _: &Logits,
    _map_of_row: &Tensor,
    _temperature: f64,
    _: &mut NoiseState,
) -> Result<Tensor, ReduceError> {
    match *maps {}
}

pub(crate) fn step(
    maps: &DeviceMaps,
    _: &mut DeviceSlots,
    _: &Logits,
    _slot_of_row: &Tensor,
    _mask: Option<&Tensor>,
) -> Result<DeviceRows, ReduceError> {
    match *maps {}
}

impl DeviceMaps {
    pub(crate) fn new(
        _vocab_size: usize,
        _capacity: usize,
        device: &CudaDevice,
    ) -> Result<Self, ReduceError> {
        match *device {}
    }

    pub(crate) fn check_host_may_help(&self) -> Result<(), ReduceError> {
        match *self {}
    }

    pub(crate) fn insert(
        &mut self,
        _place: u32,
        _: &ConceptMap,
        _generation: u64,
    ) -> Result<(), ReduceError> {
        match *self {}
    }

    pub(crate) fn remove(&mut self, _place: u32) -> Result<(), ReduceError> {
        match *self {}
    }
}

impl DeviceSlots {
    pub(crate) fn new(
        _slots: usize,
        _vocab_size: usize,
        device: &CudaDevice,
    ) -> Result<Self, ReduceError> {
        match *device {}
    }

    pub(crate) fn start(
        &mut self,
        _slot: usize,
        _: &SlotRequest<'_>,
        _: &SlotState,
    ) -> Result<(), ReduceError> {
        match *self {}
    }

    pub(crate) fn check_host_may_help(&self) -> Result<(), ReduceError> {
        match *self {}
    }

    pub(crate) fn restore(&mut self, _slot: usize, _: &SlotState) -> Result<(), ReduceError> {
        match *self {}
    }

    pub(crate) fn update(&mut self, _slot: usize, _: &SlotRequest<'_>) -> Result<(), ReduceError> {
        match *self {}
    }

    pub(crate) fn see(&mut self, _slot: usize, _seen: &[(u32, u32)]) -> Result<(), ReduceError> {
        match *self {}
    }

    pub(crate) fn end(&mut self, _slot: usize) -> Result<(), ReduceError> {
        match *self {}
    }

    pub(crate) fn state(&self, _slot: usize) -> Result<SlotState, ReduceError> {
        match *self {}
    }
}

impl NoiseState {
    pub(crate) fn new(
        _seed: u64,
        _steps: &[u64],
        device: &CudaDevice,
    ) -> Result<Self, ReduceError> {
        match *device {}
    }
}

impl DeviceRows {
    pub(crate) fn len(&self) -> usize {
        match *self {}
    }

    pub(crate) fn tokens(&self) -> Result<Tensor, ReduceError> {
        match *self {}
    }

    pub(crate) fn rows(&self) -> Result<Vec<Result<Row, BadRow>>, ReduceError> {
        match *self {}
    }

    pub(crate) fn sampled(&self) -> Result<Vec<SlotRow>, ReduceError> {
        match *self {}
    }

    pub(crate) fn decisions(&self) -> Result<Vec<Result<Decision, BadRow>>, ReduceError> {
        match *self {}
    }
}
