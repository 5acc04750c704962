//! Where requests are remembered and sampled: the one place of the sampler that tells devices apart.
//!
//! What comes here has been checked: slots are in range, and started where that is needed; parameters,
//! states and tokens fit the vocabulary; tensors fit each other.

use candle_core::{Device, Tensor};

use super::host::HostSlots;
use super::verify::Drafted;
use super::{Slot, Step, Verified};
use crate::ConceptMap;
use crate::reduce::backend::with_kernels;
use crate::reduce::cpu::sample::Undrawn;
use crate::reduce::logits::room;
use crate::reduce::numbers::numbers_on_host;
use crate::reduce::requests::{SampledRow, SlotRequest, SlotRow, SlotState, UnsampledRow};
use crate::reduce::{MapSet, NO_TOKEN, cuda};
use crate::sample::error::Failure;
use crate::sample::{Emission, Penalties, RowState, SampleError, Sampled};

/// What the requests in the slots remember, and whatever else sampling them takes.
pub(super) enum SlotsBackend {
    Host(HostSlots),
    Cuda(cuda::DeviceSlots),
}

impl SlotsBackend {
    pub(super) fn new(
        slots: usize,
        vocab_size: usize,
        device: &Device,
    ) -> Result<Self, SampleError> {
        Ok(match with_kernels(device) {
            Some(device) => Self::Cuda(cuda::DeviceSlots::new(slots, vocab_size, device)?),
            None => Self::Host(HostSlots::default()),
        })
    }

    /// Whether there are kernels for the sampler's device.
    pub(super) fn has_kernels(&self) -> bool {
        matches!(self, Self::Cuda(_))
    }

    /// Puts a request into a slot, whether another is there or not.
    pub(super) fn start(
        &mut self,
        slot: usize,
        request: &Slot,
        maps: &MapSet,
        state: RowState,
    ) -> Result<(), SampleError> {
        match self {
            Self::Host(slots) => slots.start(slot, state),
            Self::Cuda(slots) => {
                slots.start(slot, &request.for_device(maps), &for_device(&state))?;
            }
        }
        Ok(())
    }

    /// The request in a slot has other parameters, or another map.
    pub(super) fn update(
        &mut self,
        slot: usize,
        request: &Slot,
        maps: &MapSet,
    ) -> Result<(), SampleError> {
        match self {
            Self::Host(_) => Ok(()), // which is told at every step
            Self::Cuda(slots) => Ok(slots.update(slot, &request.for_device(maps))?),
        }
    }

    pub(super) fn see(&mut self, slot: usize, tokens: &[u32]) -> Result<(), SampleError> {
        match self {
            Self::Host(slots) => slots.see(slot, tokens),
            Self::Cuda(slots) => {
                let once = RowState::new(0, tokens.iter().map(|&token| (token, 1)));
                slots.see(slot, once.seen())?;
            }
        }
        Ok(())
    }

    pub(super) fn state(&self, slot: usize) -> Result<RowState, SampleError> {
        match self {
            Self::Host(slots) => Ok(slots.state(slot)),
            Self::Cuda(slots) => {
                let SlotState { step, seen } = slots.state(slot)?;
                Ok(RowState::new(step, seen))
            }
        }
    }

    pub(super) fn end(&mut self, slot: usize) -> Result<(), SampleError> {
        match self {
            Self::Host(slots) => slots.start(slot, RowState::default()),
            Self::Cuda(slots) => slots.end(slot)?,
        }
        Ok(())
    }

    pub(super) fn sample(&mut self, step: &Step<'_>) -> Result<SampledRows, SampleError> {
        match self {
            Self::Host(slots) => {
                Ok(SampledRows::Host(slots.sample(step)?, step.logits.device().clone()))
            }
            // There are no kernels for log-probabilities.
            Self::Cuda(slots) if step.has(|slot| slot.params.log_probs().is_some()) => {
                let sampled = by_host(slots, step, |on_host| on_host.sample(step))?;
                Ok(SampledRows::Host(sampled, step.logits.device().clone()))
            }
            Self::Cuda(slots) => {
                let maps = step.maps.on_device().expect("the set is on the sampler's device");
                let rows = cuda::step(maps, slots, step.logits, step.slot_of_row, step.mask)?;
                Ok(SampledRows::Cuda(rows, step.num_slots))
            }
        }
    }

    pub(super) fn verify(
        &mut self,
        step: &Step<'_>,
        drafted: &Drafted<'_>,
    ) -> Result<VerifiedRows, SampleError> {
        match self {
            Self::Host(slots) => {
                let rows = slots.verify(step, drafted)?;
                Ok(VerifiedRows::Host(rows, drafted.len + 1, step.logits.device().clone()))
            }
            // Nor are there for drafts.
            Self::Cuda(slots) => {
                let rows = by_host(slots, step, |on_host| on_host.verify(step, drafted))?;
                Ok(VerifiedRows::Host(rows, drafted.len + 1, step.logits.device().clone()))
            }
        }
    }
}

/// What is done on the host, with the states of the requests that have rows, which go back to the device.
fn by_host<R>(
    slots: &mut cuda::DeviceSlots,
    step: &Step<'_>,
    operation: impl FnOnce(&mut HostSlots) -> Result<R, SampleError>,
) -> Result<R, SampleError> {
    slots.check_host_may_help()?;
    let mut named = numbers_on_host(step.slot_of_row)?;
    named.retain(|&slot| matches!(step.slots.get(slot as usize), Some(Some(_))));
    named.sort_unstable();
    named.dedup();
    let mut on_host = HostSlots::default();
    for &slot in &named {
        let SlotState { step, seen } = slots.state(slot as usize)?;
        on_host.start(slot as usize, RowState::new(step, seen));
    }
    let result = operation(&mut on_host)?;
    for &slot in &named {
        let state = on_host.state(slot as usize);
        slots.restore(slot as usize, &for_device(&state))?;
    }
    Ok(result)
}

fn for_device(state: &RowState) -> SlotState {
    SlotState { step: state.step(), seen: state.seen().to_vec() }
}

/// What was verified of the rows of a batch, wherever that is.
#[derive(Debug, Clone)]
pub(super) enum VerifiedRows {
    /// The rows, how many tokens each may have at most, and the device of the logits.
    Host(Vec<Result<Verified, Failure>>, usize, Device),
}

impl VerifiedRows {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Host(rows, ..) => rows.len(),
        }
    }

    /// The tokens to emit, `[B, K + 1]`; [`NO_TOKEN`] after the last.
    pub(super) fn tokens(&self) -> Result<Tensor, SampleError> {
        match self {
            Self::Host(rows, width, device) => {
                let mut tokens = room(rows.len(), *width)?;
                for row in rows {
                    let emitted = row.as_ref().map_or(&[][..], |row| &row.tokens);
                    tokens.extend_from_slice(emitted);
                    tokens.resize(tokens.len() + width - emitted.len(), NO_TOKEN);
                }
                Ok(Tensor::from_vec(tokens, (rows.len(), *width), device)?)
            }
        }
    }

    /// How many drafted tokens of each row stand, `[B]`.
    pub(super) fn accepted(&self) -> Result<Tensor, SampleError> {
        match self {
            Self::Host(rows, _, device) => {
                let accepted =
                    |row: &Result<Verified, _>| row.as_ref().map_or(0, |row| row.accepted);
                let accepted: Vec<u32> = rows.iter().map(|row| accepted(row) as u32).collect();
                Ok(Tensor::from_vec(accepted, rows.len(), device)?)
            }
        }
    }

    pub(super) fn rows(&self) -> Result<Vec<Result<Verified, Failure>>, SampleError> {
        match self {
            Self::Host(rows, ..) => Ok(rows.clone()),
        }
    }
}

impl Slot {
    /// With a map of `maps`, if it has one.
    fn for_device(&self, maps: &MapSet) -> SlotRequest<'_> {
        let params = &self.params;
        let map = self.map.filter(|_| params.pooling()).and_then(|id| maps.get(id));
        let Penalties { repetition, presence, frequency } = params.penalties();
        SlotRequest {
            map: self.map.map(MapSet::place_of),
            pooling: params.pooling(),
            num_concepts: map.map_or(maps.vocab_size(), ConceptMap::num_concepts),
            temperature: params.temperature(),
            top_k: params.top_k(),
            top_p: params.top_p(),
            min_p: params.min_p(),
            repetition,
            presence,
            frequency,
            bias: params.bias(),
            by_share: params.emission() == Emission::ByShare,
            seed: params.seed(),
        }
    }
}

/// What was sampled from the rows of a batch, wherever that is.
#[derive(Debug, Clone)]
pub(super) enum SampledRows {
    /// The rows, and the device of the logits.
    Host(Vec<Result<Sampled, Failure>>, Device),
    /// The rows, and how many slots the sampler has.
    Cuda(cuda::DeviceRows, usize),
}

impl SampledRows {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Host(rows, _) => rows.len(),
            Self::Cuda(rows, _) => rows.len(),
        }
    }

    /// The tokens to emit; [`NO_TOKEN`] for a row that failed.
    pub(super) fn tokens(&self) -> Result<Tensor, SampleError> {
        match self {
            Self::Host(rows, device) => {
                let token =
                    |row: &Result<Sampled, _>| row.as_ref().map_or(NO_TOKEN, |row| row.token);
                let tokens: Vec<u32> = rows.iter().map(token).collect();
                Ok(Tensor::from_vec(tokens, rows.len(), device)?)
            }
            Self::Cuda(rows, _) => Ok(rows.tokens()?),
        }
    }

    pub(super) fn rows(&self) -> Result<Vec<Result<Sampled, Failure>>, SampleError> {
        match self {
            Self::Host(rows, _) => Ok(rows.clone()),
            Self::Cuda(rows, num_slots) => {
                let all = rows.sampled()?;
                let named = |&(slot, row): &SlotRow| {
                    let of_row = |SampledRow { token, concept }| Sampled::of(token, concept);
                    row.map(of_row).map_err(|why| failure(why, slot, &all, *num_slots))
                };
                Ok(all.iter().map(named).collect())
            }
        }
    }
}

/// Why a row of `slot` failed, among all rows of its batch.
fn failure(why: UnsampledRow, slot: u32, all: &[SlotRow], slots: usize) -> Failure {
    let first = || all.iter().position(|&(of, _)| of == slot).unwrap_or_default();
    let slot = slot as usize;
    match why {
        UnsampledRow::Bad(reason) => Failure::Undrawn(Undrawn::Bad(reason)),
        UnsampledRow::NothingAllowed => Failure::Undrawn(Undrawn::NothingAllowed),
        UnsampledRow::NoMap => Failure::SlotMapGone { slot },
        UnsampledRow::NoSlot if slot >= slots => Failure::SlotOutOfRange { slot, slots },
        UnsampledRow::NoSlot => Failure::SlotNotStarted { slot },
        UnsampledRow::SlotTwice => Failure::SlotTwice { slot, first: first() },
    }
}
