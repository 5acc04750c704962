//! The mass of every concept, and of every set of tokens.

use super::Tables;
use super::gather::{ForEachMass, MassOf, Members};
use super::logit::Logit;
use super::maps::MapOnHost;
use super::pass::{Pass, likeliest};
use super::rows::{self, Operation, Rows};
use super::scale::Scale;
use super::simd::Isa;
use super::stream::{BLOCK, WriteWeights};
use crate::reduce::ReduceError;
use crate::reduce::logits::{Logits, zeros};
use crate::reduce::row::at_most_1;
use crate::{ConceptMap, TokenSets};

/// The mass of every concept in every row, `[B, C]`; NaN in rows without a normaliser.
pub(crate) fn masses(
    map: &ConceptMap,
    tables: &Tables,
    logits: &Logits,
) -> Result<Vec<f32>, ReduceError> {
    let mut out = zeros(logits.rows(), map.num_concepts())?;
    rows::run(Masses { map, tables, out: &mut out }, logits)?;
    Ok(out)
}

/// The masses of the concepts that each row names, `[B, K]`, under the row's own map: to the bit what
/// [`masses`] gives. NaN for a concept that the map does not have, and in rows without a map or a
/// normaliser.
pub(crate) fn chosen_masses(
    maps: &[Option<MapOnHost<'_>>],
    concepts: &[u32],
    width: usize,
    logits: &Logits,
) -> Result<Vec<f32>, ReduceError> {
    let mut out = zeros(logits.rows(), width)?;
    if width > 0 {
        rows::run(ChosenMasses { maps, concepts, width, out: &mut out }, logits)?;
    }
    Ok(out)
}

/// As many maps as rows, and `width` concepts for each, at least one.
struct ChosenMasses<'a> {
    maps: &'a [Option<MapOnHost<'a>>],
    concepts: &'a [u32],
    width: usize,
    out: &'a mut [f32],
}

impl Operation for ChosenMasses<'_> {
    type Output = ();

    fn run<I: Isa, T: Logit>(self, isa: I, rows: Rows<'_, T>) {
        let Self { maps, concepts, width, out } = self;
        let out = out.chunks_mut(width).zip(concepts.chunks(width)).zip(maps);
        rows.for_each(out, |row, ((out, concepts), map)| {
            let Some((map, tables)) = *map else { return out.fill(f32::NAN) };
            let mut all = vec![0.0; map.num_concepts()];
            write_masses(Pass { isa, row, split: false }, map, tables, &mut all);
            for (mass, &concept) in out.iter_mut().zip(concepts) {
                *mass = all.get(concept as usize).copied().unwrap_or(f32::NAN);
            }
        });
    }
}

struct Masses<'a> {
    map: &'a ConceptMap,
    tables: &'a Tables,
    out: &'a mut [f32],
}

impl Operation for Masses<'_> {
    type Output = ();

    fn run<I: Isa, T: Logit>(self, isa: I, rows: Rows<'_, T>) {
        let Self { map, tables, out } = self;
        rows.for_each(out.chunks_mut(map.num_concepts()), |row, out| {
            write_masses(Pass { isa, row, split: false }, map, tables, out);
        });
    }
}

fn write_masses<I: Isa, T: Logit>(
    pass: Pass<'_, I, T>,
    map: &ConceptMap,
    tables: &Tables,
    out: &mut [f32],
) {
    let Pass { isa, row, .. } = pass;
    let Ok(z) = pass.normaliser() else {
        return out.fill(f32::NAN);
    };
    if !tables.gather.covers_vocabulary() {
        // Right for singletons; the places of pooled concepts are overwritten below.
        let mut weights = [0.0; BLOCK];
        for (block, concepts) in row.chunks(BLOCK).zip(map.concept_ids().chunks(BLOCK)) {
            let weights = &mut weights[..block.len()];
            isa.vectorize(WriteWeights { block, scale: z.scale, weights });
            for (&weight, &concept) in weights.iter().zip(concepts) {
                out[concept as usize] = z.mass(weight.into());
            }
        }
    }
    let members = Members { row, scale: z.scale, map, table: &tables.gather };
    let each = |concept: u32, weight: f32| out[concept as usize] = z.mass(weight.into());
    isa.vectorize(ForEachMass(members, each));
}

/// Below it, relative to the row's maximum, a logit's weight is so small that those of its set may
/// have vanished.
const FAINT: f32 = -40.0;

/// Every set's mass and concentration in every row, both `[B, S]`; NaN in rows without a
/// normaliser, and for the concentration of no mass.
pub(crate) fn measure(
    sets: &TokenSets,
    logits: &Logits,
) -> Result<(Vec<f32>, Vec<f32>), ReduceError> {
    let mut masses = zeros(logits.rows(), sets.len())?;
    let mut concentrations = zeros(logits.rows(), sets.len())?;
    if !sets.is_empty() {
        let (masses, concentrations) = (&mut masses[..], &mut concentrations[..]);
        rows::run(Measure { sets, masses, concentrations }, logits)?;
    }
    Ok((masses, concentrations))
}

/// There is at least one set.
struct Measure<'a> {
    sets: &'a TokenSets,
    masses: &'a mut [f32],
    concentrations: &'a mut [f32],
}

impl Operation for Measure<'_> {
    type Output = ();

    fn run<I: Isa, T: Logit>(self, isa: I, rows: Rows<'_, T>) {
        let Self { sets, masses, concentrations } = self;
        let out = masses.chunks_mut(sets.len()).zip(concentrations.chunks_mut(sets.len()));
        rows.for_each(out, |row, (masses, concentrations)| {
            measure_row(Pass { isa, row, split: false }, sets, masses, concentrations);
        });
    }
}

fn measure_row<I: Isa, T: Logit>(
    pass: Pass<'_, I, T>,
    sets: &TokenSets,
    masses: &mut [f32],
    concentrations: &mut [f32],
) {
    let Pass { isa, row, .. } = pass;
    let Ok(z) = pass.normaliser() else {
        masses.fill(f32::NAN);
        return concentrations.fill(f32::NAN);
    };
    for (i, (mass, concentration)) in masses.iter_mut().zip(concentrations).enumerate() {
        let tokens = sets.tokens(i).expect("there are as many masses as sets");
        *mass = z.mass(isa.vectorize(MassOf { row, scale: z.scale, tokens }));
        *concentration = if *mass > 0.0 {
            let likeliest: f32 = row[likeliest(row, tokens) as usize].into();
            if z.scale.relative(likeliest) < FAINT {
                share_of_likeliest(row, tokens, likeliest)
            } else {
                at_most_1(z.probability(likeliest) / *mass)
            }
        } else {
            f32::NAN
        };
    }
}

/// The share of a set's likeliest token, from what the set itself holds: on the row's scale, the
/// weights of a faint set have few digits left or none, and which of them is up to the processor.
fn share_of_likeliest<T: Logit>(row: &[T], tokens: &[u32], likeliest: f32) -> f32 {
    let Some(own) = Scale::of(likeliest) else { return f32::NAN };
    let weights = tokens.iter().map(|&t| own.weight(row[t as usize].into()));
    (1.0 / weights.sum::<f64>()) as f32
}
