//! The masses of pooled concepts: members are gathered from the row, sixteen concepts abreast.
//!
//! A concept's members lie scattered over the row, and most concepts have only a few, so summing
//! one concept at a time would spend the vector unit on horizontal sums. Instead, concepts of
//! equal size are taken sixteen at a time, as a *slice*: lane `i` belongs to the slice's concept
//! `i`, and the slice's slot `j` lists the `j`-th member of each of the sixteen (this is the
//! sliced ELLPACK format of sparse matrices, without its padding).
//!
//! ```text
//! for each slice:
//!     mass[0..16] = 0
//!     for each slot:
//!         q    = (row[tokens of the slot] - row maximum) · log2 e
//!         mass = mass + 2^q                  lane by lane
//!         u    = u + q · 2^q
//!     s = s + mass;  a = a + mass · log2(mass);  offer the masses for first and second place
//! ```
//!
//! Slices of a size follow each other in the order of their concepts' first members, so that the
//! first slots walk through the row and only the others jump. Concepts that fill no slice (fewer
//! than sixteen of a size, too large for one, or with token 0, which [`Slots`] refuse) are
//! *listed*, and summed one at a time with the lanes along their members.
//!
//! Where the map pools most of the vocabulary, singletons get slices as well, and the table
//! *covers* the vocabulary: the sums over the pooled tokens are then the sums over all of them,
//! and the row need not be streamed a second time.

use std::ops::Range;

use super::logit::Logit;
use super::scale::Scale;
use super::simd::{self, Isa, Job, LANES, Picker, Slots};
use super::top::{Candidate, Top2};
use crate::ConceptMap;

/// The most members of a concept in a slice. A lane adds them one after the other in `f32`, so
/// this bounds its rounding error to 64 half-ulps.
const MAX_WIDTH: usize = 64;

/// The lanes' sums go on to `f64` after this many slots, again to bound their rounding error.
const FLUSH_SLOTS: usize = 128;

/// Slices in a unit of work: some microseconds' worth.
const UNIT_SLICES: usize = 512;

/// Listed concepts in a unit of work.
const UNIT_LISTED: usize = 64;

/// Where the members of the pooled concepts lie, in the order in which they are summed.
pub(crate) struct GatherTable {
    covers_vocabulary: bool,
    units: Vec<Unit>,
    /// Slices' members: `width` slots to a slice.
    slots: Slots,
    /// Slices' concepts.
    lanes: Vec<[u32; LANES]>,
    /// Concepts that are in no slice.
    listed: Vec<u32>,
}

/// A piece of the table that one thread works through; fixed by the map alone, so that the
/// result does not depend on how many threads there are.
enum Unit {
    Slices(Slices),
    /// A part of `listed`.
    Listed(Range<usize>),
}

/// Slices of one size, one after the other.
struct Slices {
    width: usize,
    /// Their part of `slots`.
    slots: Range<usize>,
    /// Their part of `lanes`.
    lanes: Range<usize>,
}

impl GatherTable {
    pub(crate) fn new(map: &ConceptMap) -> Self {
        let stats = map.stats();
        // Gathering a token costs about three times streaming it.
        let covers_vocabulary = 3 * stats.pooled_tokens > 2 * stats.vocab_size;
        let least = if covers_vocabulary { 1 } else { 2 };
        let mut table = Self {
            covers_vocabulary,
            units: Vec::new(),
            slots: Slots::default(),
            lanes: Vec::new(),
            listed: Vec::new(),
        };
        let mut by_width = vec![Vec::new(); MAX_WIDTH + 1];
        for (concept, tokens) in (0..).zip(map.iter()).filter(|(_, t)| t.len() >= least) {
            match by_width.get_mut(tokens.len()) {
                Some(of_width) if tokens[0] != 0 => of_width.push((concept, tokens)),
                _ => table.listed.push(concept),
            }
        }
        for mut of_width in by_width {
            of_width.sort_unstable_by_key(|(_, tokens)| tokens[0]);
            let (slices, rest) = of_width.as_chunks::<LANES>();
            slices.chunks(UNIT_SLICES).for_each(|slices| table.push_slices(slices));
            table.listed.extend(rest.iter().map(|&(concept, _)| concept));
        }
        for start in (0..table.listed.len()).step_by(UNIT_LISTED) {
            let end = table.listed.len().min(start + UNIT_LISTED);
            table.units.push(Unit::Listed(start..end));
        }
        table
    }

    /// Adds slices: sixteen concepts each with their tokens, all of one size.
    fn push_slices(&mut self, slices: &[[(u32, &[u32]); LANES]]) {
        let (first_slot, first_lane) = (self.slots.len(), self.lanes.len());
        let width = slices[0][0].1.len();
        for slice in slices {
            self.lanes.push(slice.map(|(concept, _)| concept));
            for slot in 0..width {
                self.slots.push(slice.map(|(_, tokens)| tokens[slot]));
            }
        }
        let (slots, lanes) = (first_slot..self.slots.len(), first_lane..self.lanes.len());
        self.units.push(Unit::Slices(Slices { width, slots, lanes }));
    }

    /// Whether every token is in the table, singletons included.
    pub(crate) fn covers_vocabulary(&self) -> bool {
        self.covers_vocabulary
    }

    /// The number of units of work.
    pub(crate) fn units(&self) -> usize {
        self.units.len()
    }
}

/// Sums over the concepts of some units; `q` and `2^q` are those of [`Scale`].
#[derive(Clone, Copy, Default)]
pub(crate) struct ConceptSums {
    /// `Σ 2^q` over the tokens.
    pub(crate) s: f64,
    /// `Σ q · 2^q` over the tokens.
    pub(crate) u: f64,
    /// `Σ mass · log2 mass` over the concepts, where a mass is `Σ 2^q` over its tokens.
    pub(crate) a: f64,
    /// The two largest masses.
    pub(crate) top: Top2,
}

impl ConceptSums {
    pub(crate) fn merge(self, other: Self) -> Self {
        Self {
            s: self.s + other.s,
            u: self.u + other.u,
            a: self.a + other.a,
            top: self.top.merge(other.top),
        }
    }
}

/// What the jobs below work on: one row, its scale, and where its members lie.
pub(crate) struct Members<'a, T> {
    pub(crate) row: &'a [T],
    pub(crate) scale: Scale,
    pub(crate) map: &'a ConceptMap,
    pub(crate) table: &'a GatherTable,
}

impl<T> Clone for Members<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Members<'_, T> {}

impl<T: Logit> Members<'_, T> {
    fn listed(&self, range: &Range<usize>) -> impl Iterator<Item = (u32, &[u32])> {
        let concepts = self.table.listed[range.clone()].iter();
        concepts.map(|&c| (c, self.map.tokens(c).unwrap_or_default()))
    }
}

/// Sums unit `self.1` of the table.
pub(crate) struct SumUnit<'a, T>(pub(crate) Members<'a, T>, pub(crate) usize);

impl<T: Logit> Job for SumUnit<'_, T> {
    type Output = ConceptSums;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> ConceptSums {
        let Self(members, unit) = self;
        match &members.table.units[unit] {
            Unit::Slices(slices) => match slices.width {
                // The commonest widths are compiled each for itself.
                1 => SliceSums::new(isa, members).of::<1>(slices),
                2 => SliceSums::new(isa, members).of::<2>(slices),
                3 => SliceSums::new(isa, members).of::<3>(slices),
                4 => SliceSums::new(isa, members).of::<4>(slices),
                _ => SliceSums::new(isa, members).of::<0>(slices),
            },
            Unit::Listed(range) => {
                let mut sums = ConceptSums::default();
                for (concept, tokens) in members.listed(range) {
                    let TokenSums { s, u } = sum_tokens(isa, members.row, members.scale, tokens);
                    let a = match tokens.len() {
                        1 => u,
                        _ => s * s.max(f64::MIN_POSITIVE).log2(),
                    };
                    let mut top = Top2::default();
                    top.offer(Candidate { mass: s as f32, concept });
                    sums = sums.merge(ConceptSums { s, u, a, top });
                }
                sums
            }
        }
    }
}

/// The sums over slices, on their way: in lanes first, then in `f64`.
struct SliceSums<'a, I: Isa, T> {
    isa: I,
    members: Members<'a, T>,
    picker: Picker<'a, T>,
    s: I::F32s,
    u: I::F32s,
    a: I::F32s,
    threshold: I::F32s,
    total: ConceptSums,
    /// How many slots the lanes may still take.
    slots_left: usize,
}

impl<'a, I: Isa, T: Logit> SliceSums<'a, I, T> {
    #[inline(always)]
    fn new(isa: I, members: Members<'a, T>) -> Self {
        let zero = isa.splat(0.0);
        let total = ConceptSums::default();
        Self {
            isa,
            members,
            picker: members.table.slots.of(members.row),
            s: zero,
            u: zero,
            a: zero,
            threshold: isa.splat(total.top.threshold()),
            total,
            slots_left: FLUSH_SLOTS,
        }
    }

    /// `WIDTH` is the slices', or 0 for any.
    #[inline(always)]
    fn of<const WIDTH: usize>(mut self, slices: &Slices) -> ConceptSums {
        let Self { isa, members, picker, .. } = self;
        let width = if WIDTH == 0 { slices.width } else { WIDTH };
        let mut slot = slices.slots.start;
        for concepts in &members.table.lanes[slices.lanes.clone()] {
            let mut mass = isa.splat(0.0);
            for slot in slot..slot + width {
                let logits = T::pick(isa, &picker, slot);
                let (q, power) = members.scale.weights(isa, logits);
                mass = isa.add(mass, power);
                self.u = isa.mul_add(q, power, self.u);
                if WIDTH == 1 {
                    // The logarithm of this mass is known.
                    self.a = isa.mul_add(q, power, self.a);
                }
            }
            slot += width;
            self.s = isa.add(self.s, mass);
            if WIDTH != 1 {
                let positive = isa.max(mass, isa.splat(f32::MIN_POSITIVE));
                self.a = isa.mul_add(mass, simd::log2(isa, positive), self.a);
            }
            let candidates = isa.ge(mass, self.threshold);
            if candidates != 0 {
                self.total.top.offer_lanes(candidates, &isa.to_array(mass), concepts);
                self.threshold = isa.splat(self.total.top.threshold());
            }
            self.slots_left = self.slots_left.saturating_sub(width);
            if self.slots_left == 0 {
                self.flush();
            }
        }
        self.flush();
        self.total
    }

    /// Moves the lanes' sums on to `f64`.
    #[inline(always)]
    fn flush(&mut self) {
        let isa = self.isa;
        self.total.s += f64::from(isa.sum(self.s));
        self.total.u += f64::from(isa.sum(self.u));
        self.total.a += f64::from(isa.sum(self.a));
        let zero = isa.splat(0.0);
        (self.s, self.u, self.a) = (zero, zero, zero);
        self.slots_left = FLUSH_SLOTS;
    }
}

/// Sums over tokens; `q` and `2^q` are those of [`Scale`].
#[derive(Clone, Copy, Default)]
pub(crate) struct TokenSums {
    /// `Σ 2^q`.
    pub(crate) s: f64,
    /// `Σ q · 2^q`.
    pub(crate) u: f64,
}

impl TokenSums {
    pub(crate) fn merge(self, other: Self) -> Self {
        Self { s: self.s + other.s, u: self.u + other.u }
    }
}

/// Sums over the tokens of one concept.
#[inline(always)]
fn sum_tokens<I: Isa, T: Logit>(isa: I, row: &[T], scale: Scale, tokens: &[u32]) -> TokenSums {
    let mut sums = TokenSums::default();
    for block in tokens.chunks(FLUSH_SLOTS * LANES) {
        let (mut s, mut u) = (isa.splat(0.0), isa.splat(0.0));
        for tokens in block.chunks(LANES) {
            let (q, power) = scale.weights(isa, T::gather(isa, row, tokens));
            s = isa.add(s, power);
            u = isa.mul_add(q, power, u);
        }
        let block = TokenSums { s: isa.sum(s).into(), u: isa.sum(u).into() };
        sums = sums.merge(block);
    }
    sums
}

/// Calls `self.1` with every concept of the table and its mass, `Σ 2^q` over its tokens.
pub(crate) struct ForEachMass<'a, T, F>(pub(crate) Members<'a, T>, pub(crate) F);

impl<T: Logit, F: FnMut(u32, f32)> Job for ForEachMass<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self(members, mut each) = self;
        let picker = members.table.slots.of(members.row);
        for unit in &members.table.units {
            match unit {
                Unit::Slices(Slices { width, slots, lanes }) => {
                    let starts = slots.clone().step_by(*width);
                    for (start, concepts) in starts.zip(&members.table.lanes[lanes.clone()]) {
                        let mut mass = isa.splat(0.0);
                        for slot in start..start + width {
                            let logits = T::pick(isa, &picker, slot);
                            mass = isa.add(mass, members.scale.weights(isa, logits).1);
                        }
                        for (&concept, mass) in concepts.iter().zip(isa.to_array(mass)) {
                            each(concept, mass);
                        }
                    }
                }
                Unit::Listed(range) => {
                    for (concept, tokens) in members.listed(range) {
                        let sums = sum_tokens(isa, members.row, members.scale, tokens);
                        each(concept, sums.s as f32);
                    }
                }
            }
        }
    }
}

/// The mass of a set of tokens, `Σ 2^q`.
pub(crate) struct MassOf<'a, T> {
    pub(crate) row: &'a [T],
    pub(crate) scale: Scale,
    pub(crate) tokens: &'a [u32],
}

impl<T: Logit> Job for MassOf<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> f64 {
        sum_tokens(isa, self.row, self.scale, self.tokens).s
    }
}
