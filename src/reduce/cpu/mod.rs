//! The reduction on the CPU.
//!
//! One row takes three passes over data that the first brings into the cache:
//!
//! ```text
//! maxima   the largest logit of every block, and so of the row               (stream.rs)
//! sums     s = Σ 2^q and u = Σ q·2^q over all tokens, where
//!          q = (logit - maximum) · log2 e                         (scale.rs, stream.rs)
//! masses   for every pooled concept Σ 2^q over its tokens, the best two,
//!          and a = Σ mass · log2 mass                                        (gather.rs)
//!          the best two singletons, found by way of the maxima          (singletons.rs)
//! ```
//!
//! from which, with `log2` entropies turned into nats by `ln 2`,
//!
//! ```text
//! log Z            = maximum + ln s
//! token entropy    = ln 2 · (log2 s - u / s)
//! concept entropy  = ln 2 · (log2 s - a / s), the singletons' share of a being that of u
//! ```
//!
//! If the table covers the vocabulary, the pass over the masses yields the sums as well, and the
//! second is left out. A `+inf`, or a row of nothing but `-inf`, shows in the maximum, and a NaN
//! anywhere makes `s` a NaN: there is no other test on the way, and the reason is looked for
//! afterwards.
//!
//! Blocks and the table's units are fixed stretches of the work, and their results are merged in
//! order, so neither the number of threads nor the batch changes a bit of the result.

mod gather;
mod logit;
mod noise;
mod pass;
mod scale;
mod simd;
mod singletons;
mod stream;
pub(crate) mod tensor;
mod top;

use rayon::prelude::*;

pub(crate) use logit::Logit;

use self::gather::{ForEachMass, GatherTable, MassOf, Members};
use self::pass::{Pass, likeliest};
use self::scale::Scale;
use self::simd::{Isa, Job, dispatch};
use self::singletons::SingletonTable;
use self::stream::{BLOCK, WriteWeights};
use super::logits::Rows;
use crate::reduce::Row;
use crate::{ConceptMap, TokenSets};

/// What the CPU path derives from a map, once.
pub(crate) struct Tables {
    gather: GatherTable,
    singletons: SingletonTable,
}

impl Tables {
    pub(crate) fn new(map: &ConceptMap) -> Self {
        Self { gather: GatherTable::new(map), singletons: SingletonTable::new(map) }
    }
}

/// Reduces every row.
pub(crate) fn reduce<T: Logit>(map: &ConceptMap, tables: &Tables, rows: Rows<'_, T>) -> Vec<Row> {
    dispatch(ReduceRows { map, tables, rows })
}

#[derive(Clone, Copy)]
struct ReduceRows<'a, T: Copy> {
    map: &'a ConceptMap,
    tables: &'a Tables,
    rows: Rows<'a, T>,
}

impl<T: Logit> Job for ReduceRows<'_, T> {
    type Output = Vec<Row>;

    fn run<I: Isa>(self, isa: I) -> Vec<Row> {
        let Self { map, tables, rows } = self;
        let split = rows.width() >= WORTH_A_FORK && rows.len() < rayon::current_num_threads();
        let reduce = |i| Pass { isa, row: rows.get(i), split }.reduce(map, tables);
        if rows.len() * rows.width() >= WORTH_A_FORK {
            (0..rows.len()).into_par_iter().map(reduce).collect()
        } else {
            (0..rows.len()).map(reduce).collect()
        }
    }
}

/// The least number of logits to share among threads. To wake them and wait for them takes some
/// 30 µs, time in which one thread streams through a hundred thousand logits.
const WORTH_A_FORK: usize = 1 << 19;

/// Writes the mass of every concept of every row, `[B, C]`; NaN in rows without a normaliser.
pub(crate) fn masses<T: Logit>(
    map: &ConceptMap,
    tables: &Tables,
    rows: Rows<'_, T>,
    out: &mut [f32],
) {
    for_each_row(rows, out.chunks_mut(map.num_concepts()), |row, out| {
        dispatch(RowMasses { map, tables, row, out });
    });
}

/// Does `each` for every row's `work`, on several threads if the rows are worth it.
fn for_each_row<T: Logit, W: Send>(
    rows: Rows<'_, T>,
    work: impl Iterator<Item = W>,
    each: impl Fn(&[T], W) + Sync + Send,
) {
    if rows.len() * rows.width() >= WORTH_A_FORK {
        let work: Vec<W> = work.collect();
        work.into_par_iter().enumerate().for_each(|(i, work)| each(rows.get(i), work));
    } else {
        work.enumerate().for_each(|(i, work)| each(rows.get(i), work));
    }
}

struct RowMasses<'a, T> {
    map: &'a ConceptMap,
    tables: &'a Tables,
    row: &'a [T],
    out: &'a mut [f32],
}

impl<T: Logit> Job for RowMasses<'_, T> {
    type Output = ();

    fn run<I: Isa>(self, isa: I) {
        let Self { map, tables, row, out } = self;
        let Ok(z) = (Pass { isa, row, split: false }).normaliser() else {
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
}

/// Writes every row's pooled logits, `[B, V]`; NaN in rows without a normaliser.
pub(crate) fn pool<T: Logit>(
    map: &ConceptMap,
    tables: &Tables,
    rows: Rows<'_, T>,
    out: &mut [f32],
) {
    for_each_row(rows, out.chunks_mut(map.vocab_size()), |row, out| {
        dispatch(RowPool { map, tables, row, out });
    });
}

struct RowPool<'a, T> {
    map: &'a ConceptMap,
    tables: &'a Tables,
    row: &'a [T],
    out: &'a mut [f32],
}

impl<T: Logit> Job for RowPool<'_, T> {
    type Output = ();

    fn run<I: Isa>(self, isa: I) {
        let Self { map, tables, row, out } = self;
        let Ok(z) = (Pass { isa, row, split: false }).normaliser() else {
            return out.fill(f32::NAN);
        };
        for (out, &logit) in out.iter_mut().zip(row) {
            *out = z.scale.relative(logit.into());
        }
        let members = Members { row, scale: z.scale, map, table: &tables.gather };
        let each = |concept: u32, weight: f32| {
            let tokens = map.tokens(concept).expect("the table holds concepts of the map");
            if tokens.len() > 1 {
                let representative = likeliest(row, tokens);
                let log_weight = log_weight(row, tokens, representative, z.scale, weight);
                for &token in tokens {
                    out[token as usize] = f32::NEG_INFINITY;
                }
                out[representative as usize] = log_weight;
            }
        };
        isa.vectorize(ForEachMass(members, each));
    }
}

/// The logarithm of `weight`, to which the weights of tokens add up on the row's scale: their
/// `ln Σ exp(logit - maximum)`.
fn log_weight<T: Logit>(
    row: &[T],
    tokens: &[u32],
    representative: u32,
    scale: Scale,
    weight: f32,
) -> f32 {
    /// Below it, members' weights may have vanished: it is still far above the least f32.
    const FAINT: f32 = 1e-20;
    if weight >= FAINT {
        return weight.ln();
    }
    // The probability is as good as 0, but a temperature may raise it: so on a scale of its own.
    let likeliest: f32 = row[representative as usize].into();
    match Scale::of(likeliest) {
        None => f32::NEG_INFINITY,
        Some(own) => {
            let weights = tokens.iter().map(|&t| own.weight(row[t as usize].into()));
            scale.relative(likeliest) + weights.sum::<f64>().ln() as f32
        }
    }
}

/// Writes every probe's mass and concentration in every row, both `[B, P]`; NaN in rows without
/// a normaliser, and for the concentration of no mass.
pub(crate) fn measure<T: Logit>(
    sets: &TokenSets,
    rows: Rows<'_, T>,
    masses: &mut [f32],
    concentrations: &mut [f32],
) {
    if sets.is_empty() {
        return;
    }
    let masses = masses.chunks_mut(sets.len());
    let work = masses.zip(concentrations.chunks_mut(sets.len()));
    for_each_row(rows, work, |row, (masses, concentrations)| {
        dispatch(RowSets { sets, row, masses, concentrations });
    });
}

struct RowSets<'a, T> {
    sets: &'a TokenSets,
    row: &'a [T],
    masses: &'a mut [f32],
    concentrations: &'a mut [f32],
}

impl<T: Logit> Job for RowSets<'_, T> {
    type Output = ();

    fn run<I: Isa>(self, isa: I) {
        let Self { sets, row, masses, concentrations } = self;
        let Ok(z) = (Pass { isa, row, split: false }).normaliser() else {
            masses.fill(f32::NAN);
            return concentrations.fill(f32::NAN);
        };
        for (i, (mass, concentration)) in masses.iter_mut().zip(concentrations).enumerate() {
            let tokens = sets.tokens(i).expect("one place for each probe");
            let weight = isa.vectorize(MassOf { row, scale: z.scale, tokens });
            *mass = z.mass(weight);
            let likeliest = z.probability(row[likeliest(row, tokens) as usize].into());
            *concentration = (likeliest / *mass).min(1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    /// The other tests reduce on the best instruction set that there is; this one on all.
    #[test]
    fn every_instruction_set_agrees_with_the_oracle() {
        let vocab_size = if cfg!(miri) { 300 } else { 5000 };
        // Sparse: the tokens that are 3 modulo 10, in fives. Dense: all of them, in concepts of
        // every size from 1 to about 90.
        let sparse = (0..vocab_size as u32).map(|t| if t % 10 == 3 { t / 50 } else { 1000 + t });
        let dense = (0..vocab_size).map(|t| (2.0 * t as f64).sqrt() as u32);
        for ids in [sparse.collect::<Vec<u32>>(), dense.collect()] {
            let map = ConceptMap::from_concept_ids(without_gaps(&ids)).unwrap();
            let tables = Tables::new(&map);
            let row: Vec<f32> = (0..vocab_size).map(|t| ((t * 7919) % 997) as f32 / 80.0).collect();
            let want = reference::reduce(&map, &row.iter().map(|&x| x.into()).collect::<Vec<_>>());
            let rows = Rows::of_one(&row);
            for (isa, got) in simd::on_every_isa(ReduceRows { map: &map, tables: &tables, rows }) {
                let got = got[0];
                assert_eq!(Some(got.winner), want.winner, "{isa}");
                assert_eq!(Some(got.representative), want.representative, "{isa}");
                assert_eq!(Some(got.greedy), want.greedy, "{isa}");
                assert_eq!(Some(got.runner_up), want.runner_up, "{isa}");
                for (got, want) in [
                    (got.mass, want.mass),
                    (got.runner_up_mass, want.runner_up_mass),
                    (got.log_z, want.log_z),
                    (got.token_entropy, want.token_entropy),
                    (got.concept_entropy, want.concept_entropy),
                ] {
                    let error = (f64::from(got) - want).abs();
                    assert!(error < 1e-5 * want.max(1.0), "{isa}: {got} should be {want}");
                }
            }
        }
    }

    fn without_gaps(ids: &[u32]) -> Vec<u32> {
        let mut used = ids.to_vec();
        used.sort_unstable();
        used.dedup();
        ids.iter().map(|id| used.binary_search(id).unwrap() as u32).collect()
    }
}
