//! Where the members of a map's concepts lie, for the loops of [`super::gather`]; its head says what
//! slices are.

use std::ops::Range;

use super::simd::{LANES, Slots};
use super::stream::BLOCK;
use crate::ConceptMap;

/// The most members of a concept in a slice. A lane adds them one after the other in `f32`, so
/// this bounds its rounding error to 64 half-ulps.
pub(super) const MAX_WIDTH: usize = 64;

/// Slices in a unit of work: some microseconds' worth.
const UNIT_SLICES: usize = 512;

/// Listed concepts in a unit of work.
const UNIT_LISTED: usize = 64;

/// The most tokens of a *small* concept. Which small concepts can win is seen from their likeliest
/// tokens, so that a search looks for those; larger ones are few, and are summed whatever they hold.
pub(crate) const MAX_SMALL: usize = 8;

/// Where the members of the pooled concepts lie, in the order in which they are summed: by the
/// number of their tokens, those of one size by their lowest token.
pub(crate) struct GatherTable {
    covers_vocabulary: bool,
    pub(super) units: Vec<Unit>,
    /// The first unit of concepts that are not small.
    large: usize,
    /// The most tokens of a small concept.
    largest_small: usize,
    /// Slices' members: `width` slots to a slice.
    pub(super) slots: Slots,
    /// The concepts, in the table's order.
    pub(super) concepts: Vec<u32>,
    /// The lowest of every block of them.
    lowest_in_block: Vec<u32>,
}

/// A piece of the table that one thread works through; fixed by the map alone, so that the
/// result does not depend on how many threads there are.
pub(super) struct Unit {
    /// Its part of `concepts`.
    pub(super) concepts: Range<usize>,
    pub(super) members: Where,
}

/// Where the members of a unit's concepts are.
pub(super) enum Where {
    /// In slices of one size: in `width` slots each, from this one on.
    Slices { width: usize, slot: usize },
    /// In the map alone.
    Listed,
}

impl GatherTable {
    pub(crate) fn new(map: &ConceptMap) -> Self {
        let stats = map.stats();
        // Gathering a token costs about three times streaming it.
        let covers_vocabulary = 3 * stats.pooled_tokens > 2 * stats.vocab_size;
        let least = if covers_vocabulary { 1 } else { 2 };
        let mut concepts: Vec<(u32, &[u32])> =
            (0..).zip(map.iter()).filter(|(_, tokens)| tokens.len() >= least).collect();
        concepts.sort_unstable_by_key(|(_, tokens)| (tokens.len(), tokens[0]));
        let mut table = Self {
            covers_vocabulary,
            units: Vec::new(),
            large: 0,
            largest_small: 0,
            slots: Slots::default(),
            concepts: concepts.iter().map(|&(concept, _)| concept).collect(),
            lowest_in_block: Vec::new(),
        };
        let lowest = |block: &[u32]| block.iter().copied().min().unwrap_or(u32::MAX);
        table.lowest_in_block = table.concepts.chunks(BLOCK).map(lowest).collect();
        for of_width in concepts.chunk_by(|(_, a), (_, b)| a.len() == b.len()) {
            table.push(of_width);
            if of_width[0].1.len() <= MAX_SMALL {
                table.large = table.units.len();
                table.largest_small = of_width[0].1.len();
            }
        }
        table
    }

    /// Adds the units of concepts of one size.
    fn push(&mut self, concepts: &[(u32, &[u32])]) {
        let width = concepts[0].1.len();
        // Slots refuse token 0, which is the lowest of all.
        let has_token_0 = usize::from(concepts[0].1[0] == 0);
        let (first, others) = concepts.split_at(has_token_0);
        let (slices, rest) = others.as_chunks::<LANES>();
        if width > MAX_WIDTH || slices.is_empty() {
            return self.push_listed(concepts.len());
        }
        self.push_listed(first.len());
        for slices in slices.chunks(UNIT_SLICES) {
            let slot = self.slots.len();
            for slice in slices {
                for slot in 0..width {
                    self.slots.push(slice.map(|(_, tokens)| tokens[slot]));
                }
            }
            self.push_unit(slices.len() * LANES, Where::Slices { width, slot });
        }
        self.push_listed(rest.len());
    }

    /// Adds units of so many concepts that are in no slice.
    fn push_listed(&mut self, len: usize) {
        for start in (0..len).step_by(UNIT_LISTED) {
            self.push_unit(UNIT_LISTED.min(len - start), Where::Listed);
        }
    }

    /// Adds a unit of so many of the next concepts.
    fn push_unit(&mut self, len: usize, members: Where) {
        let start = self.units.last().map_or(0, |unit| unit.concepts.end);
        self.units.push(Unit { concepts: start..start + len, members });
    }

    /// Whether every token is in the table, singletons included.
    pub(crate) fn covers_vocabulary(&self) -> bool {
        self.covers_vocabulary
    }

    /// The number of units of work.
    pub(crate) fn units(&self) -> usize {
        self.units.len()
    }

    /// The most tokens of a small concept; 0 if there is none.
    pub(crate) fn largest_small(&self) -> usize {
        self.largest_small
    }

    /// The units of concepts that are not small.
    pub(crate) fn large_units(&self) -> Range<usize> {
        self.large..self.units.len()
    }

    /// The place in the table of the first concept that is not small.
    pub(crate) fn first_large(&self) -> usize {
        self.units.get(self.large).map_or(self.concepts.len(), |unit| unit.concepts.start)
    }

    /// The lowest of every block of [`concepts`](Self::concepts).
    pub(crate) fn lowest_in_block(&self) -> &[u32] {
        &self.lowest_in_block
    }

    /// The concepts, in the table's order.
    pub(crate) fn concepts(&self) -> &[u32] {
        &self.concepts
    }
}
