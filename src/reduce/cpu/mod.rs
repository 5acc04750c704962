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
mod maps;
mod masses;
mod pass;
mod philox;
mod pool;
mod rows;
pub(crate) mod sample;
mod scale;
mod search;
mod simd;
mod singletons;
mod stream;
mod table;
mod top;

use std::iter::repeat;

use rayon::prelude::*;

pub(crate) use maps::{MapOnHost, Maps};
pub(crate) use masses::{chosen_masses, masses, measure};
pub(crate) use philox::{NO_ROW, accept_uniform, uniform};
pub(crate) use pool::pool;

use self::logit::Logit;
use self::pass::Pass;
use self::rows::{Operation, Rows};
use self::simd::{Isa, LANES};
use self::singletons::SingletonTable;
use self::table::{GatherTable, MAX_SMALL};
use super::logits::{Logits, room};
use super::{BadRow, BadRowReason, Decision, NO_TOKEN, ReduceError, Row};
use crate::ConceptMap;

/// What the CPU path derives from a map, once.
pub(crate) struct Tables {
    gather: GatherTable,
    singletons: SingletonTable,
    /// How many tokens the concept of each token has; 255 for more.
    sizes: Vec<u8>,
    /// Sixteen tokens to an element, whether each is of a small pooled concept.
    small: Vec<u16>,
    /// Whether every token is a concept of its own, with the token's id.
    ids_are_tokens: bool,
}

impl Tables {
    pub(crate) fn new(map: &ConceptMap) -> Self {
        let ids_are_tokens = (0..).zip(map.concept_ids()).all(|(token, &id)| token == id);
        let (gather, singletons) = (GatherTable::new(map), SingletonTable::new(map));
        let size = |&concept: &u32| map.tokens(concept).map_or(0, <[u32]>::len);
        let size = |concept| u8::try_from(size(concept)).unwrap_or(u8::MAX);
        let sizes: Vec<u8> = map.concept_ids().iter().map(size).collect();
        let is_small = |&size: &u8| (2..=MAX_SMALL).contains(&usize::from(size));
        let small = sizes.chunks(LANES).map(|sizes| lanes_of(sizes.iter().map(is_small))).collect();
        Self { gather, singletons, sizes, small, ids_are_tokens }
    }
}

/// A bit for each of up to sixteen lanes.
fn lanes_of(lanes: impl Iterator<Item = bool>) -> u16 {
    lanes.enumerate().fold(0, |bits, (lane, is_set)| bits | u16::from(is_set) << lane)
}

/// Reduces every row.
pub(crate) fn reduce(
    maps: Maps<'_>,
    logits: &Logits,
) -> Result<Vec<Result<Row, BadRow>>, ReduceError> {
    // Collecting would abort the process where there is not enough memory.
    room::<Result<Row, BadRow>>(logits.rows(), 1)?;
    rows::run(Reduce { maps }, logits)
}

/// Decides every row.
pub(crate) fn decide(
    maps: Maps<'_>,
    logits: &Logits,
) -> Result<Vec<Result<Decision, BadRow>>, ReduceError> {
    room::<Result<Decision, BadRow>>(logits.rows(), 1)?;
    rows::run(Decide { maps }, logits)
}

/// Draws a token for every row, by a uniform number of the seed and of the row's step: of the concept on
/// which it falls, the representative. [`NO_TOKEN`] for a row that has no winner.
pub(crate) fn draw(
    maps: Maps<'_>,
    logits: &Logits,
    temperature: f64,
    (seed, steps): (u64, &[u64]),
) -> Result<Vec<u32>, ReduceError> {
    // A row that is new has been at 0.
    let steps = steps.iter().copied().chain(repeat(0));
    let request = |(row, step): (usize, u64)| {
        let (map, tables) = maps.of(row).ok()?;
        Some(sample::Request {
            row,
            concepts: sample::Concepts::of(map, tables),
            adjust: sample::Adjust::NONE,
            temperature,
            filter: sample::Filter::NONE,
            by_share: false,
            uniform: uniform(seed, step, row as u32),
            log_probs: None,
        })
    };
    let mut requests = room(logits.rows(), 1)?;
    room::<Result<sample::Drawn, sample::Undrawn>>(logits.rows(), 1)?;
    let mut tokens = room(logits.rows(), 1)?;
    requests.extend((0..logits.rows()).zip(steps).filter_map(request));
    tokens.resize(logits.rows(), NO_TOKEN);
    let drawn = sample::sample_rows(&requests, logits)?;
    for (request, drawn) in requests.iter().zip(drawn) {
        tokens[request.row] = drawn.map_or(NO_TOKEN, |drawn| drawn.token);
    }
    Ok(tokens)
}

#[derive(Clone, Copy)]
struct Reduce<'a> {
    maps: Maps<'a>,
}

impl Operation for Reduce<'_> {
    type Output = Vec<Result<Row, BadRow>>;

    fn run<I: Isa, T: Logit>(self, isa: I, rows: Rows<'_, T>) -> Self::Output {
        each_row(isa, rows, self.maps, Pass::reduce)
    }
}

#[derive(Clone, Copy)]
struct Decide<'a> {
    maps: Maps<'a>,
}

impl Operation for Decide<'_> {
    type Output = Vec<Result<Decision, BadRow>>;

    fn run<I: Isa, T: Logit>(self, isa: I, rows: Rows<'_, T>) -> Self::Output {
        each_row(isa, rows, self.maps, Pass::decide)
    }
}

/// What `find` finds in every row by its map; threads share the rows, or if there are fewer, each row.
fn each_row<'a, I: Isa, T: Logit, R: Send>(
    isa: I,
    rows: Rows<'a, T>,
    maps: Maps<'_>,
    find: impl Fn(Pass<'a, I, T>, &ConceptMap, &Tables) -> Result<R, BadRowReason> + Sync + Send,
) -> Vec<Result<R, BadRow>> {
    let split = rows.is_each_worth_a_fork() && rows.len() < rayon::current_num_threads();
    let each = |i| {
        let pass = Pass { isa, row: rows.get(i), split };
        let found = maps.of(i).and_then(|(map, tables)| find(pass, map, tables));
        found.map_err(|reason| BadRow { row: i, reason })
    };
    if rows.are_worth_a_fork() {
        (0..rows.len()).into_par_iter().map(each).collect()
    } else {
        (0..rows.len()).map(each).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::rows::OnRows;
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
            let exact: Vec<f64> = row.iter().map(|&x| x.into()).collect();
            let want = reference::reduce(&map, &exact).unwrap();
            let reduce = Reduce { maps: Maps::Shared(&map, &tables) };
            for (isa, got) in simd::on_every_isa(OnRows::of_one(reduce, &row)) {
                let got = got[0].unwrap();
                assert_eq!(got.winner, want.winner, "{isa}");
                assert_eq!(got.representative, want.representative, "{isa}");
                assert_eq!(got.greedy, want.greedy, "{isa}");
                let (second, wanted) = (got.runner_up.unwrap(), want.runner_up.unwrap());
                assert_eq!(second.concept, wanted.concept, "{isa}");
                for (got, want) in [
                    (got.mass, want.mass),
                    (second.mass, wanted.mass),
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
