//! Sampling on the CPU: one token of one row.
//!
//! ```text
//! logits   penalties, bias, mask: a copy of the row, only if there are any        (adjust.rs)
//! maxima   of every block, and of the row                                         (maxima.rs)
//! greedy   the first maximum; under a map, the winner                         (../search.rs)
//! draw     the keys of the pooled concepts, ln of their masses                      (keys.rs)
//!          the sum of all weights, block by block, and the place where the
//!          uniform number falls                                                    (weigh.rs)
//! filters  the few concepts that may be left, found by their tokens, without
//!          the sum where it is not needed                                     (candidates.rs)
//!          the last of them that is, by selection               (select.rs, quickselect.rs)
//!          and the draw from those, as from all
//! ```
//!
//! Nothing is sorted but a handful, and no exponential is computed of what a filter leaves out, if
//! the filter does not ask for the sum of all weights.

mod adjust;
mod candidates;
mod draw;
mod each;
mod keys;
mod left;
mod log_probs;
mod maxima;
mod quickselect;
mod row;
mod select;
mod sources;
mod verify;
mod weigh;

use std::cell::RefCell;

pub(crate) use self::adjust::Adjust;
use self::candidates::Candidates;
use self::draw::{AskedOfLeft, Draw, Memory};
use self::each::{Each, OfRows};
use self::quickselect::Buffers;
pub(crate) use self::row::by_share;
use self::row::sample_row;
pub(crate) use self::verify::{Left, Proposal, Verdict, left_of_rows, verify_rows};
use self::weigh::{Itself, Piece};
use super::Tables;
use super::logit::Logit;
use super::pass::reason;
use super::rows::{self, Operation, Rows};
use super::simd::{Isa, WithIsa, with_best_isa};
use crate::ConceptMap;
use crate::reduce::logits::{Logits, zeros};
use crate::reduce::{BadRowReason, ReduceError};

/// What is asked of one row.
pub(crate) struct Request<'a> {
    /// Its index among the logits.
    pub(crate) row: usize,
    pub(crate) concepts: Concepts<'a>,
    pub(crate) adjust: Adjust<'a>,
    /// 0 for the likeliest concept.
    pub(crate) temperature: f64,
    pub(crate) filter: Filter,
    /// Whether a concept's token is chosen by its share, not for being the likeliest.
    pub(crate) by_share: bool,
    /// From 0 to below 1.
    pub(crate) uniform: f64,
    pub(crate) log_probs: Option<AskedLogProbs>,
}

/// What a row's tokens mean.
#[derive(Clone, Copy)]
pub(crate) enum Concepts<'a> {
    /// Each is a concept of its own, with this id, or its own.
    Tokens(Option<&'a [u32]>),
    Pooled(&'a ConceptMap, &'a Tables),
}

impl<'a> Concepts<'a> {
    /// The concepts of a map.
    pub(crate) fn of(map: &'a ConceptMap, tables: &'a Tables) -> Self {
        match map.num_concepts() == map.vocab_size() {
            true if tables.ids_are_tokens => Self::Tokens(None),
            true => Self::Tokens(Some(map.concept_ids())),
            false => Self::Pooled(map, tables),
        }
    }

    /// The concept of a token.
    fn of_token(self, token: u32) -> u32 {
        match self {
            Self::Tokens(None) => token,
            Self::Tokens(Some(ids)) => ids[token as usize],
            Self::Pooled(map, _) => map.concept_ids()[token as usize],
        }
    }

    /// How many there are in a vocabulary of so many tokens.
    fn count(self, vocab_size: usize) -> usize {
        match self {
            Self::Tokens(_) => vocab_size,
            Self::Pooled(map, _) => map.num_concepts(),
        }
    }
}

/// Which concepts are left to draw from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Filter {
    /// So many; at least 1.
    pub(crate) k: Option<usize>,
    /// The fewest that hold a share below 1 of the weight.
    pub(crate) p: Option<TopP>,
    /// Those with this share of the largest weight; 0 for all.
    pub(crate) min_p: f64,
}

/// The fewest concepts that hold the share `p`, below 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TopP {
    pub(crate) p: f64,
    /// Whether it is a share of all weight, as candle has it, and not of what `k` left.
    pub(crate) of_all: bool,
}

impl Filter {
    /// Leaves everything.
    pub(crate) const NONE: Self = Self { k: None, p: None, min_p: 0.0 };

    /// The same filter of so many concepts: to leave as many, or more, is to leave all.
    fn of(self, count: usize) -> Self {
        let k = self.k.filter(|&k| k < count);
        // What is left of all is all.
        let p = self.p.map(|p| TopP { of_all: p.of_all || k.is_none(), ..p });
        Self { k, p, ..self }
    }

    /// Whether the sum of all weights has to be known.
    fn needs_total(self) -> bool {
        match self.p {
            Some(p) => p.of_all || self.k.is_none(),
            None => self == Self::NONE,
        }
    }
}

/// Log-probabilities that are asked for.
#[derive(Clone, Copy)]
pub(crate) struct AskedLogProbs {
    pub(crate) n: usize,
    /// Whether they are of the row as it was given, not of what was drawn from.
    pub(crate) raw: bool,
}

/// What was sampled from a row.
#[derive(Debug)]
pub(crate) struct Drawn {
    pub(crate) token: u32,
    pub(crate) concept: u32,
    pub(crate) log_probs: Option<DrawnLogProbs>,
}

/// The log-probabilities that were asked for.
#[derive(Debug)]
pub(crate) struct DrawnLogProbs {
    pub(crate) concept: f32,
    /// Of the row as it was given.
    pub(crate) token: f32,
    /// Concepts, their likeliest tokens and log-probabilities, likeliest first.
    pub(crate) likeliest: Vec<(u32, u32, f32)>,
}

/// Why nothing was sampled from a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Undrawn {
    Bad(BadRowReason),
    /// The changes leave no token with any probability.
    NothingAllowed,
}

/// Samples once for every request, from the row that it names.
pub(crate) fn sample_rows(
    requests: &[Request<'_>],
    logits: &Logits,
) -> Result<Vec<Result<Drawn, Undrawn>>, ReduceError> {
    let row = |request: &Request<'_>| request.row;
    rows::run(OfRows { of: requests, row, each: SampleRow }, logits)
}

struct SampleRow;

impl Each<Request<'_>> for SampleRow {
    type Output = Drawn;

    fn of<I: Isa, T: Logit>(
        &self,
        isa: I,
        row: &[T],
        request: &Request<'_>,
        scratch: &mut Scratch,
    ) -> Result<Drawn, Undrawn> {
        sample_row(isa, row, request, scratch)
    }
}

/// A place of some weights, which are from 0 on and have a finite sum, and what is left of `uniform`;
/// `ids` break ties. None if there is no weight at all.
pub(crate) fn choose(
    weights: &[f32],
    ids: Option<&[u32]>,
    filter: Filter,
    uniform: f64,
) -> Option<(usize, f64)> {
    with_best_isa(Choose { weights, ids, filter, uniform })
}

struct Choose<'a> {
    weights: &'a [f32],
    ids: Option<&'a [u32]>,
    filter: Filter,
    uniform: f64,
}

impl WithIsa for Choose<'_> {
    type Output = Option<(usize, f64)>;

    fn run<I: Isa>(self, isa: I) -> Self::Output {
        let Self { weights, ids, filter, uniform } = self;
        let draw = Draw {
            isa,
            law: Itself(weights.iter().copied().fold(0.0, f32::max)),
            pieces: &[Piece::of_keys(weights)],
            first_item: 0,
            concept_of: |token: u32| ids.map_or(token, |ids| ids[token as usize]),
            in_order: if ids.is_none() { u32::MAX } else { 0 },
            asked: AskedOfLeft::Nothing,
        };
        SCRATCH.with_borrow_mut(|scratch| {
            let drawn = draw.run(filter, uniform, &mut scratch.found.memory())?;
            Some((drawn.item as usize, drawn.rest))
        })
    }
}

/// The only row of `logits` as it is after all changes, in `f32`, or why there is nothing to sample.
pub(crate) fn adjusted_row(
    adjust: &Adjust<'_>,
    logits: &Logits,
) -> Result<Result<Vec<f32>, Undrawn>, ReduceError> {
    rows::run(WriteAdjusted { adjust, out: zeros(1, logits.width())? }, logits)
}

struct WriteAdjusted<'a> {
    adjust: &'a Adjust<'a>,
    out: Vec<f32>,
}

impl Operation for WriteAdjusted<'_> {
    type Output = Result<Vec<f32>, Undrawn>;

    fn run<I: Isa, T: Logit>(mut self, isa: I, rows: Rows<'_, T>) -> Self::Output {
        self.adjust.write(isa, rows.get(0), &mut self.out).map_err(Undrawn::Bad)?;
        match self.out.iter().copied().fold(f32::NEG_INFINITY, f32::max) {
            f32::NEG_INFINITY => Err(Undrawn::NothingAllowed),
            f32::INFINITY => Err(Undrawn::Bad(reason(&self.out))),
            _ => Ok(self.out),
        }
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Memory that a thread keeps from row to row.
#[derive(Default)]
struct Scratch {
    /// The row after all changes, or widened.
    row: Vec<f32>,
    /// The blocks' maxima.
    maxima: Vec<f32>,
    found: Found,
}

/// What is found of a row that has its maxima.
#[derive(Default)]
struct Found {
    /// Keys of the concepts of the table.
    keys: Vec<f32>,
    /// The maxima of their blocks.
    key_maxima: Vec<f32>,
    sums: Vec<f64>,
    candidates: Candidates,
    buffers: Buffers,
    /// A bit for every concept, all 0 between rows.
    is_listed: Vec<u64>,
    /// What a filter has left: concepts and keys.
    left: Vec<(u32, f32)>,
}

impl Found {
    fn memory(&mut self) -> Memory<'_> {
        self.keys_and_memory().1
    }

    /// The keys and their blocks' maxima; and the memory for a draw from them.
    fn keys_and_memory(&mut self) -> ((&[f32], &[f32]), Memory<'_>) {
        let Self { keys, key_maxima, sums, candidates, buffers, left, .. } = self;
        ((keys, key_maxima), Memory { sums, candidates, buffers, left })
    }
}
