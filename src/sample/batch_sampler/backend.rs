//! Where requests are remembered and sampled: the one place of the sampler that tells devices apart.
//!
//! What comes here has been checked: slots are in range, and started where that is needed; parameters,
//! states and tokens fit the vocabulary; tensors fit each other.

use candle_core::{Device, Tensor};

use super::host::HostSlots;
use super::verify::Drafted;
use super::{Slot, Step, Verified};
use crate::reduce::NO_TOKEN;
use crate::reduce::logits::room;
use crate::sample::error::Failure;
use crate::sample::{RowState, SampleError, Sampled};

/// What the requests in the slots remember, and whatever else sampling them takes.
pub(super) enum SlotsBackend {
    Host(HostSlots),
}

impl SlotsBackend {
    pub(super) fn new(
        _slots: usize,
        _vocab_size: usize,
        _device: &Device,
    ) -> Result<Self, SampleError> {
        Ok(Self::Host(HostSlots::default()))
    }

    /// Puts a request into a slot, whether another is there or not.
    pub(super) fn start(
        &mut self,
        slot: usize,
        _request: &Slot,
        state: RowState,
    ) -> Result<(), SampleError> {
        match self {
            Self::Host(slots) => slots.start(slot, state),
        }
        Ok(())
    }

    /// The request in a slot has other parameters, or another map.
    pub(super) fn update(&mut self, _slot: usize, _request: &Slot) -> Result<(), SampleError> {
        match self {
            Self::Host(_) => Ok(()), // which is told at every step
        }
    }

    pub(super) fn see(&mut self, slot: usize, tokens: &[u32]) -> Result<(), SampleError> {
        match self {
            Self::Host(slots) => slots.see(slot, tokens),
        }
        Ok(())
    }

    pub(super) fn state(&self, slot: usize) -> Result<RowState, SampleError> {
        match self {
            Self::Host(slots) => Ok(slots.state(slot)),
        }
    }

    pub(super) fn end(&mut self, slot: usize) -> Result<(), SampleError> {
        match self {
            Self::Host(slots) => slots.start(slot, RowState::default()),
        }
        Ok(())
    }

    pub(super) fn sample(&mut self, step: &Step<'_>) -> Result<SampledRows, SampleError> {
        match self {
            Self::Host(slots) => {
                Ok(SampledRows::Host(slots.sample(step)?, step.logits.device().clone()))
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
        }
    }
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

/// What was sampled from the rows of a batch, wherever that is.
#[derive(Debug, Clone)]
pub(super) enum SampledRows {
    /// The rows, and the device of the logits.
    Host(Vec<Result<Sampled, Failure>>, Device),
}

impl SampledRows {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Host(rows, _) => rows.len(),
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
        }
    }

    pub(super) fn rows(&self) -> Result<Vec<Result<Sampled, Failure>>, SampleError> {
        match self {
            Self::Host(rows, _) => Ok(rows.clone()),
        }
    }
}
