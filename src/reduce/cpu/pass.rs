//! The passes over one row, and what follows from their sums; see the head of the folder.

use std::f64::consts::LN_2;

use rayon::prelude::*;

use super::Tables;
use super::gather::{ConceptSums, Members, SumUnit, TokenSums};
use super::logit::Logit;
use super::scale::Scale;
use super::search::Search;
use super::simd::Isa;
use super::singletons::{self, Singleton};
use super::stream::{self, BLOCK, BlockMax, SumBlock, WeightOfBlock, first_maximum};
use super::top::Candidate;
use crate::ConceptMap;
use crate::reduce::{BadRowReason, Decision, Row, RunnerUp};

/// Blocks that a thread takes at a time: some microseconds' worth.
const BLOCKS_PER_TASK: usize = 8;

/// One row, and how to work on it.
#[derive(Clone, Copy)]
pub(crate) struct Pass<'a, I, T> {
    pub(crate) isa: I,
    pub(crate) row: &'a [T],
    /// Whether threads share the row.
    pub(crate) split: bool,
}

/// A row's normaliser: what its probabilities are measured against.
#[derive(Clone, Copy)]
pub(crate) struct Normaliser {
    pub(crate) scale: Scale,
    /// The sum of all tokens' weights.
    s: f64,
}

impl Normaliser {
    /// The probability of a token, from its logit.
    pub(crate) fn probability(self, logit: f32) -> f32 {
        self.mass(self.scale.weight(logit))
    }

    /// The probability of tokens, from the sum of their weights.
    pub(crate) fn mass(self, weight: f64) -> f32 {
        // The two sums are rounded differently, so that all of the mass may seem a little more.
        let share = weight / self.s;
        (if share > 1.0 { 1.0 } else { share }) as f32
    }
}

impl<I: Isa, T: Logit> Pass<'_, I, T> {
    pub(crate) fn reduce(self, map: &ConceptMap, tables: &Tables) -> Result<Row, BadRowReason> {
        let (maxima, max) = self.maxima();
        let Some(scale) = Scale::of(max) else {
            return Err(reason(self.row));
        };
        let members = Members { row: self.row, scale, map, table: &tables.gather };
        let units = tables.gather.units();
        let concepts = self
            .in_order(units, 1, |unit| self.isa.vectorize(SumUnit::<_, true>(members, unit)))
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
            return Err(reason(self.row));
        }
        let z = Normaliser { scale, s: tokens.s };
        let mut top = concepts.top;
        if !tables.gather.covers_vocabulary() {
            let Self { isa, row, .. } = self;
            let two = singletons::likeliest_two(isa, row, &maxima, map, &tables.singletons);
            let mut bound = f32::INFINITY;
            let mut above = f32::INFINITY;
            for Singleton { logit, concept } in two {
                // Logits closer than weights can tell apart still have the order of argmax.
                let limit = if logit < above { bound.next_down() } else { bound };
                let mass = limit.min(scale.weight(logit) as f32);
                top.offer(Candidate { mass, concept });
                (bound, above) = (mass, logit);
            }
        }
        let bits = z.s.log2();
        let token_entropy = at_least_0(LN_2 * (bits - tokens.u / z.s)) as f32;
        let concept_entropy = at_least_0(LN_2 * (bits - a / z.s)) as f32;
        let Decision {
            winner,
            representative,
            greedy,
            mass,
            representative_prob,
            greedy_prob,
            log_z,
        } = self.decision(map, &maxima, z, top.first);
        Ok(Row {
            winner,
            representative,
            greedy,
            mass,
            representative_prob,
            greedy_prob,
            log_z,
            runner_up: top
                .second()
                .map(|second| (second.concept, z.mass(second.mass.into())))
                .filter(|&(_, mass)| mass > 0.0)
                .map(|(concept, mass)| RunnerUp { concept, mass }),
            token_entropy,
            concept_entropy: if concept_entropy > token_entropy {
                token_entropy
            } else {
                concept_entropy
            },
        })
    }

    /// The decision alone: the normaliser, and the masses of the concepts that may win.
    pub(crate) fn decide(
        self,
        map: &ConceptMap,
        tables: &Tables,
    ) -> Result<Decision, BadRowReason> {
        let Self { isa, row, .. } = self;
        let (maxima, max) = self.maxima();
        let Some(scale) = Scale::of(max) else {
            return Err(reason(self.row));
        };
        let (winner, s) = Search { isa, row, maxima: &maxima, scale, map, tables }.winner();
        let z = match s {
            Some(s) if s.is_nan() => return Err(reason(self.row)),
            Some(s) => Normaliser { scale, s },
            None => self.normaliser_below(max)?,
        };
        Ok(self.decision(map, &maxima, z, winner))
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
        let blocks = self.row.len().div_ceil(BLOCK);
        self.in_order(blocks, BLOCKS_PER_TASK, |i| work(stream::block(self.row, i)))
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
    pub(crate) fn normaliser(self) -> Result<Normaliser, BadRowReason> {
        self.normaliser_below(self.maxima().1)
    }

    /// [`normaliser`](Self::normaliser), given the row's maximum.
    fn normaliser_below(self, max: f32) -> Result<Normaliser, BadRowReason> {
        let Some(scale) = Scale::of(max) else {
            return Err(reason(self.row));
        };
        let weigh = |block: &[T]| self.isa.vectorize(WeightOfBlock { block, scale });
        let s: f64 = self.blocks(weigh).into_iter().sum();
        if s.is_nan() { Err(reason(self.row)) } else { Ok(Normaliser { scale, s }) }
    }

    /// What is decided for a row with this normaliser, whose maxima are known, and this winner.
    fn decision(
        self,
        map: &ConceptMap,
        maxima: &[f32],
        z: Normaliser,
        winner: Candidate,
    ) -> Decision {
        let Self { isa, row, .. } = self;
        let max = z.scale.max();
        let greedy = first_maximum(isa, row, maxima, max).expect("a row has its maximum") as u32;
        let representative = self.representative(map, winner.concept, greedy);
        let representative_prob = z.probability(row[representative as usize].into());
        let mass = z.mass(winner.mass.into());
        Decision {
            winner: winner.concept,
            representative,
            greedy,
            mass: if mass < representative_prob { representative_prob } else { mass },
            representative_prob,
            greedy_prob: z.probability(max),
            log_z: z.scale.log_sum_exp(z.s) as f32,
        }
    }

    /// The likeliest token of `concept`, given the likeliest of all.
    fn representative(self, map: &ConceptMap, concept: u32, greedy: u32) -> u32 {
        if map.concept_of(greedy) == Some(concept) {
            return greedy;
        }
        likeliest(self.row, map.tokens(concept).expect("a winner is a concept of the map"))
    }
}

/// `entropy`, or 0 if rounding has made it less. A NaN stays one, where `f64::max` would make it 0.
fn at_least_0(entropy: f64) -> f64 {
    if entropy > 0.0 || entropy.is_nan() { entropy } else { 0.0 }
}

/// Why a row has no winner.
pub(crate) fn reason<T: Logit>(row: &[T]) -> BadRowReason {
    let any = |is: fn(f32) -> bool| row.iter().any(|&logit| is(logit.into()));
    BadRowReason::of(any(f32::is_nan), any(|logit| logit == f32::INFINITY))
}

/// The first of `tokens` with the largest logit.
pub(crate) fn likeliest<T: Logit>(row: &[T], tokens: &[u32]) -> u32 {
    let logit = |t: u32| -> f32 { row[t as usize].into() };
    let better = |best: u32, t: u32| if logit(t) > logit(best) { t } else { best };
    tokens.iter().copied().reduce(better).expect("a concept has at least one token")
}
