//! Requests that are remembered and sampled on the host.

mod verify;

use super::{Slot, Step};
use crate::reduce::MapSet;
use crate::reduce::cpu::sample::{Concepts, Request, sample_rows};
use crate::reduce::numbers::numbers_on_host;
use crate::sample::error::Failure;
use crate::sample::settings::request;
use crate::sample::{RowState, SampleError, Sampled};

/// What the request in each slot remembers, up to the highest slot that was ever started.
#[derive(Default)]
pub(super) struct HostSlots {
    states: Vec<RowState>,
}

impl HostSlots {
    pub(super) fn start(&mut self, slot: usize, state: RowState) {
        if self.states.len() <= slot {
            self.states.resize_with(slot + 1, RowState::default);
        }
        self.states[slot] = state;
    }

    pub(super) fn see(&mut self, slot: usize, tokens: &[u32]) {
        self.states[slot].count_all(tokens);
    }

    pub(super) fn state(&self, slot: usize) -> RowState {
        self.states[slot].clone()
    }

    /// A token for each row, which its slot counts, or why there is none.
    pub(super) fn sample(
        &mut self,
        step: &Step<'_>,
    ) -> Result<Vec<Result<Sampled, Failure>>, SampleError> {
        let masks = Masks::of(step)?;
        let served = served_rows(step)?;
        let ok = served
            .iter()
            .enumerate()
            .filter_map(|(row, served)| Some((row, served.as_ref().ok()?)));
        let requests: Vec<Request<'_>> = ok
            .map(|(row, served)| served.request(row, &self.states[served.index], masks.of_row(row)))
            .collect();
        let mut drawn = sample_rows(&requests, &step.logits.on_host()?)?.into_iter();
        let take = |served: Result<Served<'_>, Failure>| {
            let slot = served?.index;
            let drawn = drawn.next().expect("one for each row that has a request");
            let sampled = Sampled::from(drawn.map_err(Failure::Undrawn)?);
            self.states[slot].advance(sampled.token);
            Ok(sampled)
        };
        Ok(served.into_iter().map(take).collect())
    }
}

/// The request of each row, or why it has none: its slot is out of range, not started, or an earlier
/// row's, or the slot's map was removed.
fn served_rows<'a>(step: &Step<'a>) -> Result<Vec<Result<Served<'a>, Failure>>, SampleError> {
    let mut first_rows: Vec<Option<usize>> = vec![None; step.slots.len()];
    let served = numbers_on_host(step.slot_of_row)?.into_iter().enumerate().map(|(row, index)| {
        let index = index as usize;
        if index >= step.num_slots {
            return Err(Failure::SlotOutOfRange { slot: index, slots: step.num_slots });
        }
        let slot = step.slots.get(index).and_then(Option::as_ref);
        let slot = slot.ok_or(Failure::SlotNotStarted { slot: index })?;
        let first = *first_rows[index].get_or_insert(row);
        if first != row {
            return Err(Failure::SlotTwice { slot: index, first });
        }
        let concepts = concepts(step.maps, slot).ok_or(Failure::SlotMapGone { slot: index })?;
        Ok(Served { index, slot, concepts })
    });
    Ok(served.collect())
}

/// A request, with what its map makes of tokens.
struct Served<'a> {
    /// Of its slot.
    index: usize,
    slot: &'a Slot,
    concepts: Concepts<'a>,
}

impl<'a> Served<'a> {
    fn request(&self, row: usize, state: &'a RowState, mask: Option<&'a [u32]>) -> Request<'a> {
        request(row, &self.slot.params, self.concepts, state, mask)
    }
}

/// What the map of a request makes of tokens; none if it was removed.
fn concepts<'a>(maps: &'a MapSet, slot: &Slot) -> Option<Concepts<'a>> {
    let Some(id) = slot.map else { return Some(Concepts::Tokens(None)) };
    let (map, tables) = maps.on_host(id)?;
    Some(match slot.params.pooling {
        true => Concepts::of(map, tables),
        false => Concepts::Tokens(None),
    })
}

/// The masks of a batch.
struct Masks {
    words: Vec<u32>,
    /// 0 if there are no masks.
    words_per_row: usize,
}

impl Masks {
    fn of(step: &Step<'_>) -> Result<Self, SampleError> {
        let Some(mask) = step.mask else { return Ok(Self { words: Vec::new(), words_per_row: 0 }) };
        let words_per_row = mask.dims().last().copied().unwrap_or(0);
        Ok(Self { words: numbers_on_host(mask)?, words_per_row })
    }

    fn of_row(&self, row: usize) -> Option<&[u32]> {
        (self.words_per_row > 0)
            .then(|| &self.words[row * self.words_per_row..][..self.words_per_row])
    }
}
