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
mod scale;
mod simd;
mod singletons;
mod stream;
mod top;

use std::f64::consts::LN_2;

use rayon::prelude::*;

pub(crate) use logit::Logit;

use self::gather::{ConceptSums, ForEachMass, GatherTable, MassOf, Members, SumUnit, TokenSums};
use self::scale::Scale;
use self::simd::{Isa, Job, dispatch};
use self::singletons::SingletonTable;
use self::stream::{BLOCK, BlockMax, FirstAtLeast, SumBlock, WriteWeights};
use self::top::Candidate;
use super::logits::Rows;
use crate::concept::{ConceptMap, ProbeSet};
use crate::reduce::{Row, Status};

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

/// One row, and how to work on it.
#[derive(Clone, Copy)]
struct Pass<'a, I, T> {
    isa: I,
    row: &'a [T],
    /// Whether threads share the row.
    split: bool,
}

/// A row's normaliser: what its probabilities are measured against.
#[derive(Clone, Copy)]
struct Normaliser {
    scale: Scale,
    /// The sum of all tokens' weights.
    s: f64,
}

impl Normaliser {
    /// The probability of a token, from its logit.
    fn probability(self, logit: f32) -> f32 {
        self.mass(self.scale.weight(logit))
    }

    /// The probability of tokens, from the sum of their weights.
    fn mass(self, weight: f64) -> f32 {
        // The two sums are rounded differently, so that all of the mass may seem a little more.
        (weight / self.s).min(1.0) as f32
    }
}

impl<I: Isa, T: Logit> Pass<'_, I, T> {
    fn reduce(self, map: &ConceptMap, tables: &Tables) -> Row {
        let (maxima, max) = self.maxima();
        let Some(scale) = Scale::of(max) else {
            return Row::bad(self.reason());
        };
        let members = Members { row: self.row, scale, map, table: &tables.gather };
        let units = tables.gather.units();
        let concepts = self
            .in_order(units, 1, |unit| self.isa.vectorize(SumUnit(members, unit)))
            .into_iter()
            .fold(ConceptSums::default(), ConceptSums::merge);
        // `a` still lacks the singletons, and they have as much of `u`.
        let (tokens, a) = if tables.gather.covers_vocabulary() {
            (TokenSums { s: concepts.s, u: concepts.u }, concepts.a)
        } else {
            let tokens = self.sums(scale);
            (tokens, tokens.u - concepts.u + concepts.a)
        };
        if tokens.s.is_nan() {
            return Row::bad(self.reason());
        }
        let z = Normaliser { scale, s: tokens.s };
        let mut top = concepts.top;
        if !tables.gather.covers_vocabulary() {
            let Self { isa, row, .. } = self;
            let two = singletons::likeliest_two(isa, row, &maxima, map, &tables.singletons);
            for singleton in two {
                let mass = scale.weight(singleton.logit) as f32;
                top.offer(Candidate { mass, concept: singleton.concept });
            }
        }
        let greedy = self.first_maximum(&maxima, max);
        let (winner, runner_up) = (top.first, top.second);
        let representative = self.representative(map, winner.concept, greedy);
        let representative_prob = z.probability(self.row[representative as usize].into());
        let bits = z.s.log2();
        let token_entropy = (LN_2 * (bits - tokens.u / z.s)).max(0.0) as f32;
        let concept_entropy = (LN_2 * (bits - a / z.s)).max(0.0) as f32;
        Row {
            winner: winner.concept,
            representative,
            greedy,
            runner_up: runner_up.concept,
            status: Status::OK,
            mass: z.mass(winner.mass.into()).max(representative_prob),
            representative_prob,
            greedy_prob: z.probability(max),
            runner_up_mass: z.mass(runner_up.mass.into()),
            log_z: scale.log_sum_exp(z.s) as f32,
            token_entropy,
            concept_entropy: concept_entropy.min(token_entropy),
        }
    }

    /// `work(0), work(1) … work(n - 1)`; a thread takes `at_least` so many at a time.
    fn in_order<R: Send>(
        self,
        n: usize,
        at_least: usize,
        work: impl Fn(usize) -> R + Sync + Send,
    ) -> Vec<R> {
        if self.split {
            (0..n).into_par_iter().with_min_len(at_least).map(work).collect()
        } else {
            (0..n).map(work).collect()
        }
    }

    /// [`in_order`](Self::in_order) for every block of the row.
    fn blocks<R: Send>(self, work: impl Fn(&[T]) -> R + Sync + Send) -> Vec<R> {
        let block = |i: usize| &self.row[i * BLOCK..self.row.len().min((i + 1) * BLOCK)];
        self.in_order(self.row.len().div_ceil(BLOCK), BLOCKS_PER_TASK, |i| work(block(i)))
    }

    /// The largest logit of every block, and of the row; unspecified if the row holds a NaN.
    fn maxima(self) -> (Vec<f32>, f32) {
        let maxima = self.blocks(|block| self.isa.vectorize(BlockMax(block)));
        let max = maxima.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        (maxima, max)
    }

    fn sums(self, scale: Scale) -> TokenSums {
        self.blocks(|block| self.isa.vectorize(SumBlock { block, scale }))
            .into_iter()
            .fold(TokenSums::default(), TokenSums::merge)
    }

    /// The row's normaliser, or why it has none.
    fn normaliser(self) -> Result<Normaliser, Status> {
        let (_, max) = self.maxima();
        let Some(scale) = Scale::of(max) else {
            return Err(self.reason());
        };
        let s = self.sums(scale).s;
        if s.is_nan() { Err(self.reason()) } else { Ok(Normaliser { scale, s }) }
    }

    /// Why the row's normaliser is no number.
    fn reason(self) -> Status {
        let mut status = Status::OK;
        let mut all_neg_inf = true;
        for &logit in self.row {
            let logit: f32 = logit.into();
            all_neg_inf &= logit == f32::NEG_INFINITY;
            if logit.is_nan() {
                status = status.union(Status::NAN);
            } else if logit == f32::INFINITY {
                status = status.union(Status::POS_INF);
            }
        }
        if all_neg_inf { Status::ALL_NEG_INF } else { status }
    }

    /// The lowest token whose logit is the row's maximum.
    fn first_maximum(self, maxima: &[f32], max: f32) -> u32 {
        let block = maxima.iter().position(|&m| m == max).expect("one of them is the maximum");
        let start = block * BLOCK;
        let end = self.row.len().min(start + BLOCK);
        let place = self.isa.vectorize(FirstAtLeast(&self.row[start..end], max));
        (start + place.expect("the block holds its maximum")) as u32
    }

    /// The likeliest token of `concept`, given the likeliest of all.
    fn representative(self, map: &ConceptMap, concept: u32, greedy: u32) -> u32 {
        if map.concept_of(greedy) == Some(concept) {
            return greedy;
        }
        likeliest(self.row, map.tokens(concept).expect("a winner is a concept of the map"))
    }
}

/// Blocks that a thread takes at a time: some microseconds' worth.
const BLOCKS_PER_TASK: usize = 8;

/// The first of `tokens` with the largest logit.
fn likeliest<T: Logit>(row: &[T], tokens: &[u32]) -> u32 {
    let logit = |t: u32| -> f32 { row[t as usize].into() };
    let better = |best: u32, t: u32| if logit(t) > logit(best) { t } else { best };
    tokens.iter().copied().reduce(better).expect("a concept has at least one token")
}

/// Writes the mass of every concept of every row, `[B, C]`; NaN in rows without a normaliser.
pub(crate) fn masses<T: Logit>(
    map: &ConceptMap,
    tables: &Tables,
    rows: Rows<'_, T>,
    out: &mut [f32],
) {
    for_each_row(rows, out.chunks_mut(map.concepts()), |row, out| {
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
            *out = logit.into();
        }
        let members = Members { row, scale: z.scale, map, table: &tables.gather };
        let each = |concept: u32, weight: f32| {
            let tokens = map.tokens(concept).expect("the table holds concepts of the map");
            if tokens.len() > 1 {
                let representative = likeliest(row, tokens);
                let logit = log_sum_exp(row, tokens, representative, z.scale, weight);
                for &token in tokens {
                    out[token as usize] = f32::NEG_INFINITY;
                }
                out[representative as usize] = logit;
            }
        };
        isa.vectorize(ForEachMass(members, each));
    }
}

/// `ln Σ exp(logit)` over tokens whose weights add up to `weight` on the row's scale.
fn log_sum_exp<T: Logit>(
    row: &[T],
    tokens: &[u32],
    representative: u32,
    scale: Scale,
    weight: f32,
) -> f32 {
    /// Below it, members' weights may have vanished: it is still far above the least f32.
    const FAINT: f32 = 1e-20;
    if weight >= FAINT {
        return scale.log_sum_exp(weight.into()) as f32;
    }
    // The probability is as good as 0, but a temperature may raise it: so on a scale of its own.
    match Scale::of(row[representative as usize].into()) {
        None => f32::NEG_INFINITY,
        Some(own) => {
            let weights = tokens.iter().map(|&t| own.weight(row[t as usize].into()));
            own.log_sum_exp(weights.sum()) as f32
        }
    }
}

/// Writes every probe's mass and concentration in every row, both `[B, P]`; NaN in rows without
/// a normaliser, and for the concentration of no mass.
pub(crate) fn probe<T: Logit>(
    probes: &ProbeSet,
    rows: Rows<'_, T>,
    masses: &mut [f32],
    concentrations: &mut [f32],
) {
    if probes.is_empty() {
        return;
    }
    let masses = masses.chunks_mut(probes.len());
    let work = masses.zip(concentrations.chunks_mut(probes.len()));
    for_each_row(rows, work, |row, (masses, concentrations)| {
        dispatch(RowProbe { probes, row, masses, concentrations });
    });
}

struct RowProbe<'a, T> {
    probes: &'a ProbeSet,
    row: &'a [T],
    masses: &'a mut [f32],
    concentrations: &'a mut [f32],
}

impl<T: Logit> Job for RowProbe<'_, T> {
    type Output = ();

    fn run<I: Isa>(self, isa: I) {
        let Self { probes, row, masses, concentrations } = self;
        let Ok(z) = (Pass { isa, row, split: false }).normaliser() else {
            masses.fill(f32::NAN);
            return concentrations.fill(f32::NAN);
        };
        for (i, (mass, concentration)) in masses.iter_mut().zip(concentrations).enumerate() {
            let tokens = probes.tokens(i).expect("one place for each probe");
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
