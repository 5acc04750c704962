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
//! than sixteen of a size, too large for one, or with token 0, which slots refuse) are
//! *listed*, and summed one at a time with the lanes along their members.
//!
//! Where the map pools most of the vocabulary, singletons get slices as well, and the table
//! *covers* the vocabulary: the sums over the pooled tokens are then the sums over all of them,
//! and the row need not be streamed a second time.

use super::logit::Logit;
use super::scale::Scale;
use super::simd::{self, Isa, Job, LANES, Picker};
use super::table::{GatherTable, MAX_WIDTH, Unit, Where};
use super::top::{Candidate, Top2};
use crate::ConceptMap;

/// The lanes' sums go on to `f64` after this many slots, again to bound their rounding error.
const FLUSH_SLOTS: usize = 128;

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
    /// The concepts of a unit, and their tokens.
    fn listed(&self, unit: &Unit) -> impl Iterator<Item = (u32, &[u32])> {
        let concepts = self.table.concepts[unit.concepts.clone()].iter();
        concepts.map(|&c| (c, self.map.tokens(c).unwrap_or_default()))
    }
}

/// Sums unit `self.1` of the table; `u` and `a` only if `ENTROPIES` are wanted.
pub(crate) struct SumUnit<'a, T, const ENTROPIES: bool>(
    pub(crate) Members<'a, T>,
    pub(crate) usize,
);

impl<T: Logit, const ENTROPIES: bool> Job for SumUnit<'_, T, ENTROPIES> {
    type Output = ConceptSums;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> ConceptSums {
        let Self(members, unit) = self;
        let unit = &members.table.units[unit];
        let Where::Slices { width, slot } = unit.members else {
            return sum_listed(isa, members, unit);
        };
        let sums = SliceSums::<_, _, ENTROPIES>::new(isa, members);
        let (concepts, _) = members.table.concepts[unit.concepts.clone()].as_chunks();
        match width {
            // The commonest widths are compiled each for itself.
            1 => sums.of::<1>(width, slot, concepts),
            2 => sums.of::<2>(width, slot, concepts),
            3 => sums.of::<3>(width, slot, concepts),
            4 => sums.of::<4>(width, slot, concepts),
            _ => sums.of::<0>(width, slot, concepts),
        }
    }
}

#[inline(always)]
fn sum_listed<I: Isa, T: Logit>(isa: I, members: Members<'_, T>, unit: &Unit) -> ConceptSums {
    let mut sums = ConceptSums::default();
    for (concept, tokens) in members.listed(unit) {
        let TokenSums { s, u } = sum_tokens(isa, members.row, members.scale, tokens);
        let a = match tokens.len() {
            1 => u,
            _ => s * s.max(f64::MIN_POSITIVE).log2(),
        };
        let mass = mass_in_order(isa, members.row, members.scale, tokens).unwrap_or(s as f32);
        let mut top = Top2::default();
        top.offer(Candidate { mass, concept });
        sums = sums.merge(ConceptSums { s, u, a, top });
    }
    sums
}

/// The sums over slices, on their way: in lanes first, then in `f64`.
struct SliceSums<'a, I: Isa, T, const ENTROPIES: bool> {
    isa: I,
    members: Members<'a, T>,
    picker: Picker<'a, T>,
    s: I::F32s,
    u: I::F32s,
    a: I::F32s,
    /// What a mass must reach to matter, and the next number.
    threshold: I::F32s,
    above: I::F32s,
    total: ConceptSums,
    /// How many slots the lanes may still take.
    slots_left: usize,
}

impl<'a, I: Isa, T: Logit, const ENTROPIES: bool> SliceSums<'a, I, T, ENTROPIES> {
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
            above: isa.splat(total.top.threshold().next_up()),
            total,
            slots_left: FLUSH_SLOTS,
        }
    }

    /// Sums slices of `width` slots each, the first of them at `slot`. `WIDTH` is `width`, or 0 for
    /// any.
    #[inline(always)]
    fn of<const WIDTH: usize>(
        mut self,
        width: usize,
        mut slot: usize,
        slices: &[[u32; LANES]],
    ) -> ConceptSums {
        let Self { isa, members, picker, .. } = self;
        let width = if WIDTH == 0 { width } else { WIDTH };
        for concepts in slices {
            let mut mass = isa.splat(0.0);
            for slot in slot..slot + width {
                let logits = T::pick(isa, &picker, slot);
                let (q, power) = members.scale.weights(isa, logits);
                mass = isa.add(mass, power);
                if ENTROPIES {
                    self.u = isa.mul_add(q, power, self.u);
                    if WIDTH == 1 {
                        // The logarithm of this mass is known.
                        self.a = isa.mul_add(q, power, self.a);
                    }
                }
            }
            slot += width;
            self.s = isa.add(self.s, mass);
            if ENTROPIES && WIDTH != 1 {
                let positive = isa.max(mass, isa.splat(f32::MIN_POSITIVE));
                self.a = isa.mul_add(mass, simd::log2(isa, positive), self.a);
            }
            let candidates = isa.ge(mass, self.threshold);
            // On a flat row all masses tie, and most lose by their concepts.
            if candidates != 0
                && (isa.ge(mass, self.above) != 0 || self.total.top.may_tie(concepts))
            {
                self.total.top.offer_lanes(candidates, &isa.to_array(mass), concepts);
                self.threshold = isa.splat(self.total.top.threshold());
                self.above = isa.splat(self.total.top.threshold().next_up());
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
        let zero = isa.splat(0.0);
        self.total.s += f64::from(isa.sum(self.s));
        self.s = zero;
        if ENTROPIES {
            self.total.u += f64::from(isa.sum(self.u));
            self.total.a += f64::from(isa.sum(self.a));
            (self.u, self.a) = (zero, zero);
        }
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

/// The mass of a concept that would fit into a slice, its members added in their order as a slice adds
/// them: equal concepts have equal masses to the bit, whether they are in a slice or listed.
#[inline(always)]
fn mass_in_order<I: Isa, T: Logit>(isa: I, row: &[T], scale: Scale, tokens: &[u32]) -> Option<f32> {
    if tokens.len() > MAX_WIDTH {
        return None;
    }
    let mut mass = 0.0;
    for tokens in tokens.chunks(LANES) {
        let (_, power) = scale.weights(isa, T::gather(isa, row, tokens));
        isa.to_array(power)[..tokens.len()].iter().for_each(|power| mass += power);
    }
    Some(mass)
}

/// The masses of sixteen small concepts abreast, `Σ 2^q`, of any sizes from 0 on.
pub(crate) struct SmallMasses<'a, T> {
    pub(crate) row: &'a [T],
    pub(crate) scale: Scale,
    pub(crate) tokens: [&'a [u32]; LANES],
}

impl<T: Logit> Job for SmallMasses<'_, T> {
    type Output = [f32; LANES];

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> [f32; LANES] {
        let widest = self.tokens.iter().map(|tokens| tokens.len()).max().unwrap_or(0);
        let mut mass = isa.splat(0.0);
        for slot in 0..widest {
            let logits = self.tokens.map(|tokens| match tokens.get(slot) {
                Some(&token) => self.row[token as usize],
                None => T::NEG_INFINITY,
            });
            mass = isa.add(mass, self.scale.weights(isa, T::load(isa, &logits)).1);
        }
        isa.to_array(mass)
    }
}

/// The mass of one concept, to the bit that of a slice if it would fit into one.
#[inline(always)]
fn mass_of<I: Isa, T: Logit>(isa: I, row: &[T], scale: Scale, tokens: &[u32]) -> f32 {
    let any = || sum_tokens(isa, row, scale, tokens).s as f32;
    mass_in_order(isa, row, scale, tokens).unwrap_or_else(any)
}

/// The mass of one concept, `Σ 2^q`.
pub(crate) struct MassOfConcept<'a, T> {
    pub(crate) row: &'a [T],
    pub(crate) scale: Scale,
    pub(crate) tokens: &'a [u32],
}

impl<T: Logit> Job for MassOfConcept<'_, T> {
    type Output = f32;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> f32 {
        mass_of(isa, self.row, self.scale, self.tokens)
    }
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
            match unit.members {
                Where::Slices { width, slot } => {
                    let concepts = &members.table.concepts[unit.concepts.clone()];
                    for (i, concepts) in concepts.chunks(LANES).enumerate() {
                        let start = slot + i * width;
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
                Where::Listed => {
                    for (concept, tokens) in members.listed(unit) {
                        each(concept, mass_of(isa, members.row, members.scale, tokens));
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
