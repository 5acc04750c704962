//! The key of every concept of a table: the logarithm of its mass relative to the row's likeliest
//! token.
//!
//! ```text
//! key = ln Σ exp(logit - row maximum)
//!     = (likeliest logit - row maximum) + ln Σ exp(logit - likeliest logit)
//! ```
//!
//! The second form keeps its digits however faint a concept is: a high temperature may raise it. The
//! first is cheaper, and as good above 1e-30.

use std::f32::consts::{LN_2, LOG2_E};

use crate::ConceptMap;
use crate::reduce::cpu::gather::MassOfConcept;
use crate::reduce::cpu::pass::likeliest;
use crate::reduce::cpu::scale::Scale;
use crate::reduce::cpu::search::Search;
use crate::reduce::cpu::simd::{self, Isa, Job, LANES, Picker};
use crate::reduce::cpu::table::{GatherTable, Unit, Where};

/// Sums of weights below it are formed again, relative to the concept's own likeliest token: it is
/// still far above the least number that has all its digits.
const FAINT: f32 = 1e-30;

/// A row without NaN, its maximum, and what pools it.
#[derive(Clone, Copy)]
pub(super) struct Pooled<'a> {
    pub(super) row: &'a [f32],
    pub(super) max: f32,
    pub(super) map: &'a ConceptMap,
    pub(super) table: &'a GatherTable,
}

impl Pooled<'_> {
    /// Writes the keys of the concepts of some units, each at its place in the table, of which
    /// `keys` begins at `first`.
    pub(super) fn write<I: Isa>(
        &self,
        isa: I,
        units: std::ops::Range<usize>,
        first: usize,
        keys: &mut [f32],
    ) {
        for unit in &self.table.units[units] {
            let places = unit.concepts.start - first..unit.concepts.end - first;
            match unit.members {
                Where::Slices { width, slot } => {
                    let keys = &mut keys[places];
                    isa.vectorize(WriteKeys { pooled: *self, unit, width, slot, keys });
                }
                Where::Listed => {
                    let concepts = &self.table.concepts[unit.concepts.clone()];
                    for (&concept, key) in concepts.iter().zip(&mut keys[places]) {
                        *key = self.key_of(isa, self.map.tokens(concept).unwrap_or_default());
                    }
                }
            }
        }
    }

    /// The keys of up to sixteen small concepts.
    pub(super) fn keys_of<I: Isa>(
        &self,
        search: Search<'_, I, f32>,
        concepts: &[u32],
    ) -> [f32; LANES] {
        let masses = search.masses(concepts);
        let mut keys = search.isa.vectorize(LnOf(masses));
        for ((&concept, key), mass) in concepts.iter().zip(&mut keys).zip(masses) {
            if mass < FAINT {
                *key = self.key_of(search.isa, self.map.tokens(concept).unwrap_or_default());
            }
        }
        keys
    }

    /// The key of a concept with these tokens, at least one.
    pub(super) fn key_of<I: Isa>(&self, isa: I, tokens: &[u32]) -> f32 {
        let likeliest = self.row[likeliest(self.row, tokens) as usize];
        let above = likeliest - self.max;
        let mass = |max| {
            let scale = Scale::of(max)?;
            Some(isa.vectorize(MassOfConcept { row: self.row, scale, tokens }))
        };
        match (tokens, mass(self.max)) {
            ([_], _) => above,
            (_, Some(mass)) if mass >= FAINT => isa.vectorize(LnOf([mass; LANES]))[0],
            // Masked, if it has no finite logit.
            _ => mass(likeliest).map_or(f32::NEG_INFINITY, |mass| {
                isa.vectorize(FaintKeys { masses: [mass; LANES], above: [above; LANES] })[0]
            }),
        }
    }
}

/// The logarithms of sums of weights.
struct LnOf([f32; LANES]);

impl Job for LnOf {
    type Output = [f32; LANES];

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> [f32; LANES] {
        isa.to_array(ln(isa, isa.max(isa.load(&self.0), isa.splat(FAINT))))
    }
}

/// The keys of faint concepts: from their masses relative to their likeliest tokens, and those
/// relative to the row's.
struct FaintKeys {
    masses: [f32; LANES],
    above: [f32; LANES],
}

impl Job for FaintKeys {
    type Output = [f32; LANES];

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> [f32; LANES] {
        isa.to_array(faint_keys(isa, isa.load(&self.masses), isa.load(&self.above)))
    }
}

#[inline(always)]
fn faint_keys<I: Isa>(isa: I, masses: I::F32s, above: I::F32s) -> I::F32s {
    // A concept all of whose tokens are masked has a mass of 0; any other at least 1.
    let has_mass = isa.ge(masses, isa.splat(0.5));
    let key = isa.add(ln(isa, isa.max(masses, isa.splat(1.0))), above);
    isa.select(has_mass, key, isa.splat(f32::NEG_INFINITY))
}

/// The natural logarithm of normal positive numbers.
#[inline(always)]
fn ln<I: Isa>(isa: I, x: I::F32s) -> I::F32s {
    isa.mul(simd::log2(isa, x), isa.splat(LN_2))
}

/// Writes the keys of a unit of slices.
struct WriteKeys<'a, 'b> {
    pooled: Pooled<'a>,
    unit: &'a Unit,
    width: usize,
    slot: usize,
    keys: &'b mut [f32],
}

impl Job for WriteKeys<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        match self.width {
            1 => self.of::<1, _>(isa),
            2 => self.of::<2, _>(isa),
            3 => self.of::<3, _>(isa),
            4 => self.of::<4, _>(isa),
            _ => self.of::<0, _>(isa),
        }
    }
}

impl WriteKeys<'_, '_> {
    /// `WIDTH` is the number of slots of a slice, or 0 for any.
    #[inline(always)]
    fn of<const WIDTH: usize, I: Isa>(self, isa: I) {
        let width = if WIDTH == 0 { self.width } else { WIDTH };
        let picker: Picker<'_, f32> = self.pooled.table.slots.of(self.pooled.row);
        let max = isa.splat(self.pooled.max);
        debug_assert_eq!(self.unit.concepts.len(), self.keys.len());
        let (slices, _) = self.keys.as_chunks_mut::<LANES>();
        for (i, keys) in slices.iter_mut().enumerate() {
            let slots = self.slot + i * width..self.slot + (i + 1) * width;
            if WIDTH == 1 {
                // Its mass is that of its token.
                *keys = isa.to_array(isa.sub(isa.load(&picker.pick(slots.start)), max));
                continue;
            }
            let mut sum = isa.splat(0.0);
            for slot in slots.clone() {
                sum = isa.add(sum, exp(isa, isa.load(&picker.pick(slot)), max));
            }
            *keys = match isa.ge(sum, isa.splat(FAINT)) {
                u16::MAX => isa.to_array(ln(isa, sum)),
                // In each lane by its own mass, so that equal concepts have equal keys.
                is_plain => {
                    let plain = ln(isa, isa.max(sum, isa.splat(FAINT)));
                    let faint = keys_of_faint(isa, &picker, slots, max);
                    isa.to_array(isa.select(is_plain, plain, faint))
                }
            };
        }
    }
}

/// `exp(logit - max)`.
#[inline(always)]
fn exp<I: Isa>(isa: I, logits: I::F32s, max: I::F32s) -> I::F32s {
    simd::exp2(isa, isa.mul(isa.sub(logits, max), isa.splat(LOG2_E))).1
}

/// The keys of a slice whose concepts are so faint that their weights, relative to the row's maximum,
/// have lost digits or vanished: relative to each concept's own likeliest token.
#[inline(always)]
fn keys_of_faint<I: Isa>(
    isa: I,
    picker: &Picker<'_, f32>,
    slots: std::ops::Range<usize>,
    max: I::F32s,
) -> I::F32s {
    let mut likeliest = isa.splat(f32::MIN);
    for slot in slots.clone() {
        likeliest = isa.max(likeliest, isa.load(&picker.pick(slot)));
    }
    let mut sum = isa.splat(0.0);
    for slot in slots {
        sum = isa.add(sum, exp(isa, isa.load(&picker.pick(slot)), likeliest));
    }
    faint_keys(isa, sum, isa.sub(likeliest, max))
}
