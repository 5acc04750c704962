//! First and second place among the concepts of one token.
//!
//! A singleton's mass is its token's probability, so their order is the order of their logits,
//! and the blocks' maxima, known from the first pass, say where to look: from the block with the
//! largest maximum downwards, until no block's maximum reaches the second place. On an ordinary
//! row that is two or three blocks.

use super::lanes_of;
use super::logit::Logit;
use super::simd::{Isa, LANES};
use super::stream::{AtLeast, BLOCK, block};
use crate::ConceptMap;

/// No concept has this id, and none has a larger one.
const NONE: u32 = u32::MAX;

/// What of this search depends on the map alone.
pub(crate) struct SingletonTable {
    /// For each block the lowest concept id of a singleton in it; [`NONE`] if it has none.
    lowest_in_block: Vec<u32>,
    /// Bit `t mod 16` of element `t / 16` says whether token `t` is a singleton.
    lanes: Vec<u16>,
    in_order: bool,
}

impl SingletonTable {
    pub(crate) fn new(map: &ConceptMap) -> Self {
        let singletons = |block: &[u32]| {
            let concepts = block.iter().copied();
            concepts.filter(|&c| is_singleton(map, c)).min().unwrap_or(NONE)
        };
        let bits = |tokens: &[u32]| lanes_of(tokens.iter().map(|&c| is_singleton(map, c)));
        Self {
            lowest_in_block: map.concept_ids().chunks(BLOCK).map(singletons).collect(),
            lanes: map.concept_ids().chunks(LANES).map(bits).collect(),
            in_order: map.concept_ids().iter().filter(|&&c| is_singleton(map, c)).is_sorted(),
        }
    }

    /// Whether the singletons' ids are in the order of their tokens.
    pub(crate) fn are_in_order(&self) -> bool {
        self.in_order
    }

    /// For each block the lowest id of a singleton, or more than any id.
    pub(crate) fn lowest_in_block(&self) -> &[u32] {
        &self.lowest_in_block
    }

    /// Sixteen tokens to an element, whether each is a singleton.
    pub(crate) fn lanes(&self) -> &[u16] {
        &self.lanes
    }
}

/// A singleton and its logit.
#[derive(Clone, Copy)]
pub(crate) struct Singleton {
    pub(crate) logit: f32,
    pub(crate) concept: u32,
}

impl Singleton {
    /// Stands below every token that is not masked.
    const NOBODY: Self = Self { logit: f32::NEG_INFINITY, concept: NONE };

    /// Whether this one's logit is larger, or as large and its concept lower.
    pub(crate) fn beats(self, other: Self) -> bool {
        self.logit > other.logit || self.logit == other.logit && self.concept < other.concept
    }
}

/// The likeliest two singletons of a row without NaN; fewer if fewer are above `-inf`.
pub(crate) fn likeliest_two<I: Isa, T: Logit>(
    isa: I,
    row: &[T],
    maxima: &[f32],
    map: &ConceptMap,
    table: &SingletonTable,
) -> impl Iterator<Item = Singleton> {
    let [mut first, mut second] = [Singleton::NOBODY; 2];
    // A block is represented by the best singleton that it could hold.
    let mut blocks: Vec<(Singleton, usize)> = (maxima.iter().zip(&table.lowest_in_block))
        .map(|(&logit, &concept)| Singleton { logit, concept })
        .zip(0..)
        .filter(|(best, _)| best.concept != NONE)
        .collect();
    while let Some(i) = best_block(&blocks) {
        let (best, i) = blocks.swap_remove(i);
        if !best.beats(second) {
            break;
        }
        isa.vectorize(AtLeast {
            block: block(row, i),
            threshold: second.logit.max(f32::MIN),
            each: |place, logit| {
                let concept = map.concept_ids()[i * BLOCK + place];
                let singleton = Singleton { logit, concept };
                if singleton.beats(second) && is_singleton(map, concept) {
                    second = singleton;
                    if second.beats(first) {
                        (first, second) = (second, first);
                    }
                }
                second.logit.max(f32::MIN)
            },
        });
    }
    [first, second].into_iter().filter(|s| s.concept != NONE)
}

/// The likeliest singleton of a row without NaN, if one is above `-inf`.
pub(crate) fn likeliest<I: Isa, T: Logit>(
    isa: I,
    row: &[T],
    maxima: &[f32],
    map: &ConceptMap,
    table: &SingletonTable,
) -> Option<Singleton> {
    let best_of = |i: usize| Singleton { logit: maxima[i], concept: table.lowest_in_block[i] };
    let mut first = Singleton::NOBODY;
    let mut search = |i: usize| {
        let threshold = first.logit.max(f32::MIN);
        let each = |place, logit| {
            let concept = map.concept_ids()[i * BLOCK + place];
            let singleton = Singleton { logit, concept };
            if singleton.beats(first) && is_singleton(map, concept) {
                first = singleton;
            }
            first.logit.max(f32::MIN)
        };
        isa.vectorize(AtLeast { block: block(row, i), threshold, each });
        first
    };
    // The most promising block first, and then those that promise more than was found.
    let with_any = || (0..maxima.len()).filter(|&i| table.lowest_in_block[i] != NONE);
    let promising = with_any().reduce(|i, j| if best_of(j).beats(best_of(i)) { j } else { i })?;
    let mut found = search(promising);
    for i in with_any().filter(|&i| i != promising) {
        if best_of(i).beats(found) {
            found = search(i);
        }
    }
    (found.concept != NONE).then_some(found)
}

fn is_singleton(map: &ConceptMap, concept: u32) -> bool {
    map.tokens(concept).is_some_and(|tokens| tokens.len() == 1)
}

fn best_block(blocks: &[(Singleton, usize)]) -> Option<usize> {
    (0..blocks.len()).reduce(|i, j| if blocks[j].0.beats(blocks[i].0) { j } else { i })
}
