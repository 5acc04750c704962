//! The winning concept, without the masses of those that cannot win.
//!
//! The likeliest token's concept has at least that token's weight, which is 1 on the row's scale. A
//! concept of `n` tokens reaches it only if one of them is within `ln n` of the row's maximum. So
//! *small* concepts, of eight tokens at most, are looked for among the tokens within `ln 8` of it,
//! which on an ordinary row are a handful, in a few blocks that the maxima tell:
//!
//! ```text
//! best = the heaviest of the concepts of more than eight tokens, all of which are summed
//! for each token of a small concept of n within ln n of the maximum:
//!     add up its concept, sixteen concepts abreast, and offer the sums
//! offer the singleton with the largest logit
//! ```
//!
//! On a flat row nearly every token is that near. Where they are many, all masses are summed, slice by
//! slice, as `reduce` does it; and so they are if the map pools only few tokens.

use std::f32::consts::LN_2;

use super::Tables;
use super::gather::{ConceptSums, Members, SmallMasses, SumUnit};
use super::logit::Logit;
use super::scale::Scale;
use super::simd::{Isa, LANES};
use super::singletons::{self, Singleton};
use super::stream::{BLOCK, PlacesAtLeast, block, first_maximum};
use super::table::MAX_SMALL;
use super::top::{Candidate, Top2};
use crate::ConceptMap;

/// More tokens than these are not looked at one by one.
pub(super) const MAX_LOOKED_AT: usize = 1024;

/// By how much, in nats, the mass of a concept of `n` tokens may be above that of its likeliest one:
/// `ln n`, for 1 to [`MAX_SMALL`].
fn reach(n: usize) -> f32 {
    const LN: [f32; MAX_SMALL + 1] =
        [0.0, 0.0, LN_2, 1.098_612_3, 2.0 * LN_2, 1.609_438, 1.791_759_5, 1.945_910_1, 3.0 * LN_2];
    LN[n]
}

/// More than sums and logarithms may be rounded by, of 1 or of what is larger.
const ROUNDING: f64 = 1e-5;

/// A row without NaN, its blocks' maxima and its scale, and the map that pools it.
#[derive(Clone, Copy)]
pub(super) struct Search<'a, I, T> {
    pub(super) isa: I,
    pub(super) row: &'a [T],
    pub(super) maxima: &'a [f32],
    pub(super) scale: Scale,
    pub(super) map: &'a ConceptMap,
    pub(super) tables: &'a Tables,
}

impl<'a, I: Isa, T: Logit> Search<'a, I, T> {
    /// The concept with the largest mass; of equal ones, the lowest. And the sum of all weights, if it
    /// has been formed on the way.
    pub(super) fn winner(self) -> (Candidate, Option<f64>) {
        if self.sums_sooner() {
            return self.heaviest_of_all();
        }
        let large = self.units(self.tables.gather.large_units());
        let best = large.top.first.mass.max(self.mass_of_likeliest());
        let mut near = [0; MAX_LOOKED_AT];
        let Some(near) = self.near(best.ln(), &mut near) else {
            return self.heaviest_of_all();
        };
        let mut top = large.top;
        for concepts in near.chunks(LANES) {
            let masses = self.masses(concepts);
            for (&concept, mass) in concepts.iter().zip(masses) {
                top.offer(Candidate { mass, concept });
            }
        }
        self.offer_singletons(&mut top);
        (top.first, None)
    }

    /// The mass of the likeliest token's concept, if it is small; at least the token's own.
    fn mass_of_likeliest(self) -> f32 {
        let likeliest = first_maximum(self.isa, self.row, self.maxima, self.scale.max());
        let token = likeliest.unwrap_or(0);
        let is_small = usize::from(self.tables.sizes[token]) <= MAX_SMALL;
        let mass = is_small.then(|| self.masses(&[self.map.concept_ids()[token]])[0]);
        mass.unwrap_or(1.0).max(1.0)
    }

    /// Whether the map pools so few tokens that they are sooner summed than looked for.
    pub(super) fn sums_sooner(self) -> bool {
        self.map.stats().pooled_tokens <= self.row.len() / 8
    }

    /// The small concepts the logarithm of whose mass, relative to the row's maximum, may be `key` or
    /// more, once for each of their tokens that is near enough; none if these are more than there is
    /// room for.
    pub(super) fn near(self, key: f32, room: &mut [u32]) -> Option<&[u32]> {
        // In f64, and rounded down: an f32 has few digits beside a large maximum.
        let (max, key) = (f64::from(self.scale.max()), f64::from(key));
        let least = |n| {
            let least = max + key - f64::from(reach(n)) - ROUNDING * key.abs().max(1.0);
            (least as f32).next_down().max(f32::MIN)
        };
        let leasts: [f32; MAX_SMALL + 1] = std::array::from_fn(least);
        let threshold = leasts[self.tables.gather.largest_small()];
        let mut len = 0;
        let mut places = [0; BLOCK];
        for (i, &max) in self.maxima.iter().enumerate() {
            if max < threshold {
                continue;
            }
            let (block, lanes) = (block(self.row, i), &self.tables.small[i * BLOCK / LANES..]);
            let job = PlacesAtLeast { block, lanes, threshold, places: &mut places };
            for &place in self.isa.vectorize(job) {
                let token = i * BLOCK + usize::from(place);
                let n = usize::from(self.tables.sizes[token]);
                if self.row[token].into() >= leasts[n] {
                    *room.get_mut(len)? = self.map.concept_ids()[token];
                    len += 1;
                }
            }
        }
        Some(&room[..len])
    }

    /// The masses of up to sixteen small concepts.
    pub(super) fn masses(self, concepts: &[u32]) -> [f32; LANES] {
        let mut tokens = [&[][..]; LANES];
        for (tokens, &concept) in tokens.iter_mut().zip(concepts) {
            *tokens = self.map.tokens(concept).unwrap_or_default();
        }
        let Self { isa, row, scale, .. } = self;
        isa.vectorize(SmallMasses { row, scale, tokens })
    }

    /// The heaviest of the singletons.
    fn offer_singletons(self, top: &mut Top2) {
        let Self { isa, row, maxima, scale, map, tables } = self;
        let likeliest = singletons::likeliest(isa, row, maxima, map, &tables.singletons);
        if let Some(Singleton { logit, concept }) = likeliest {
            top.offer(Candidate { mass: scale.weight(logit) as f32, concept });
        }
    }

    /// The winner by all masses.
    fn heaviest_of_all(self) -> (Candidate, Option<f64>) {
        let ConceptSums { s, mut top, .. } = self.units(0..self.tables.gather.units());
        if self.tables.gather.covers_vocabulary() {
            return (top.first, Some(s));
        }
        self.offer_singletons(&mut top);
        (top.first, None)
    }

    /// The sums over some units of the table.
    fn units(self, units: std::ops::Range<usize>) -> ConceptSums {
        let Self { isa, row, scale, map, tables, .. } = self;
        let members = Members { row, scale, map, table: &tables.gather };
        let sums = units.map(|unit| isa.vectorize(SumUnit::<_, false>(members, unit)));
        sums.fold(ConceptSums::default(), ConceptSums::merge)
    }
}
