//! The whole chain of `SamplingParams` by its definition, in `f64`: what a row may draw.
//!
//! The sampler's own arithmetic is f32, so that what it gets may be a little beside. Here every
//! number that f32 rounds is a [`Span`], from the least to the most that it may be, and all that
//! follows from spans is a span, too: whether a filter leaves a concept, where its stretch of the
//! unit interval begins and ends. What a row draws by a uniform number is then one token, or, if the
//! number is within rounding of a boundary, one of a few.
//!
//! What is allowed for, and nothing else:
//!
//! - half a unit in the last place of f32 for each operation on a logit: its penalties and its bias;
//! - a relative 2^-22 of a key, which is the logarithm of a mass relative to that of the maximum: the
//!   rounding of differences of logits, as large as they are;
//! - [`POOLED`], for the key of a pooled concept: the rounding of a sum of exponentials and of its
//!   logarithm;
//! - the same relative 2^-22 of a key over the temperature, and a few units in the last place for the
//!   exponential;
//! - [`SUMS`], for each comparison with a sum of weights, as a share of the sum.

mod concepts;
mod draw;
mod log_probs;
mod tokens;

use std::collections::BTreeMap;

use concept_mass::sample::{
    Distribution, Emission, LogProbs, Penalties, RowSampler, RowState, SamplingParams,
};
use concept_mass::{ConceptMap, DeviceMap};

/// How far from the exact one the key of a pooled concept may be.
pub const POOLED: f64 = 3e-7;

/// How far from the exact one a sum of weights may be, as a share of it.
pub const SUMS: f64 = 2e-7;

/// The relative rounding of a number that one or two operations of f32 have made, and of the next.
const RELATIVE: f64 = 1.0 / (1 << 22) as f64;

/// From the least to the most that a number may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    pub low: f64,
    pub high: f64,
}

impl Span {
    pub const ZERO: Self = Self { low: 0.0, high: 0.0 };

    pub fn holds(self, x: f64, slack: f64) -> bool {
        self.low - slack <= x && x <= self.high + slack
    }

    /// The product; neither has a sign.
    fn times(self, other: Span) -> Self {
        Self { low: self.low * other.low, high: self.high * other.high }
    }

    fn max(self, other: Span) -> Self {
        Self { low: self.low.max(other.low), high: self.high.max(other.high) }
    }

    fn exp(self) -> Self {
        Self { low: self.low.exp(), high: self.high.exp() }
    }
}

/// All that a row asks for, and what it has seen.
#[derive(Clone, Debug)]
pub struct Request {
    pub temperature: f64,
    pub top_k: Option<usize>,
    pub top_p: f64,
    pub min_p: f64,
    pub penalties: Penalties,
    pub bias: BTreeMap<u32, f32>,
    pub seen: BTreeMap<u32, u32>,
    pub mask: Option<Vec<u32>>,
    pub pooling: bool,
    pub emission: Emission,
    pub log_probs: Option<(usize, Distribution)>,
    pub seed: u64,
}

impl Request {
    /// A draw at a temperature, and nothing else.
    pub fn at(temperature: f64) -> Self {
        Self {
            temperature,
            top_k: None,
            top_p: 1.0,
            min_p: 0.0,
            penalties: Penalties::NONE,
            bias: BTreeMap::new(),
            seen: BTreeMap::new(),
            mask: None,
            pooling: true,
            emission: Emission::Representative,
            log_probs: None,
            seed: 0,
        }
    }

    pub fn params(&self) -> SamplingParams {
        let mut params = SamplingParams::at(self.temperature).unwrap();
        if let Some(k) = self.top_k {
            params = params.with_top_k(k).unwrap();
        }
        if let Some((n, of)) = self.log_probs {
            params = params.with_log_probs(LogProbs::new(n, of).unwrap());
        }
        let params = params.with_top_p(self.top_p).and_then(|params| params.with_min_p(self.min_p));
        let params = params.and_then(|params| params.with_penalties(self.penalties));
        let bias = self.bias.iter().map(|(&token, &bias)| (token, bias));
        let params = params.and_then(|params| params.with_bias(bias)).unwrap();
        params.with_pooling(self.pooling).with_emission(self.emission).with_seed(self.seed)
    }

    /// The row that asks for it, about to draw its token number `step`.
    pub fn row(&self, map: &DeviceMap, step: u64) -> RowSampler {
        let mut row = RowSampler::new(self.params(), map.clone()).unwrap();
        row.restore(state(step, &self.seen)).unwrap();
        row
    }
}

/// A row's state as it is written down.
pub fn state(step: u64, seen: &BTreeMap<u32, u32>) -> RowState {
    let seen: Vec<_> = seen.iter().collect();
    let saved = serde_json::json!({ "step": step, "seen": seen });
    serde_json::from_value(saved).expect("a state")
}

/// Why nothing can be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nothing {
    /// The logits hold a NaN or `+inf`, or nothing but `-inf`.
    BadRow,
    /// Bias and mask leave no token of any probability.
    Allowed,
}

/// What a row of logits comes to by what was asked for.
pub struct Chain {
    request: Request,
    map: ConceptMap,
    /// The logits after penalties, bias and mask.
    tokens: Vec<tokens::Logit>,
    concepts: concepts::Concepts,
    /// Of each concept, the logarithm of its weight; of greedy rows, 0.
    ln_weights: Vec<Span>,
    /// Whether the filters leave it: 1, 0, or what is between.
    is_left: Vec<Span>,
    /// Its weight, if they leave it.
    left: Vec<Span>,
}

impl Chain {
    /// Of logits as they were rounded to their dtype.
    pub fn of(map: &ConceptMap, logits: &[f64], request: &Request) -> Result<Self, Nothing> {
        let map = match request.pooling {
            true => map.clone(),
            false => ConceptMap::singletons(map.vocab_size()).unwrap(),
        };
        let bad = |x: &f64| x.is_nan() || *x == f64::INFINITY;
        let is_none = |&x: &f64| x == f64::NEG_INFINITY;
        if logits.iter().any(bad) || logits.iter().all(is_none) {
            return Err(Nothing::BadRow);
        }
        let tokens = tokens::changed(logits, request);
        if tokens.iter().all(|logit| is_none(&logit.x)) {
            return Err(Nothing::Allowed);
        }
        let concepts = concepts::Concepts::of(&map, &tokens);
        let ln_weights = concepts.ln_weights(request.temperature);
        let weights: Vec<Span> = ln_weights.iter().copied().map(Span::exp).collect();
        let is_left = concepts.left(request, &weights);
        let left = concepts::times(&weights, &is_left);
        Ok(Self { request: request.clone(), map, tokens, concepts, ln_weights, is_left, left })
    }

    /// Whether the filters leave each concept: for certain, perhaps, or not.
    pub fn is_left(&self) -> &[Span] {
        &self.is_left
    }

    /// The weights of all concepts that the filters leave; of the others, 0.
    pub fn left(&self) -> &[Span] {
        &self.left
    }
}
