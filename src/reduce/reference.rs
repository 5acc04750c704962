//! The oracle: the result by its definition, in `f64`, one row at a time.
//!
//! It is slow, short, and shares nothing with the fast paths, which are tested against it; use it
//! to test your own. Feed it the logits *as rounded* to the dtype that the fast path reads.
//!
//! ```
//! use concept_mass::{ConceptMap, reference};
//!
//! let map = ConceptMap::builder(4).concept("right", [1, 3])?.build()?;
//! let logits = [0.4f64, 0.3, 0.05, 0.25].map(f64::ln);
//! let row = reference::reduce(&map, &logits);
//! assert_eq!((row.winner, row.representative, row.greedy), (Some(0), Some(1), Some(0)));
//! assert!((row.mass - 0.55).abs() < 1e-12);
//! # Ok::<(), concept_mass::Error>(())
//! ```

use super::Status;
use crate::ConceptMap;

/// The [`Row`](crate::Row) in full precision; without a winner, all ids are `None` and all
/// numbers NaN.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each field is the one of the same name of Row")]
pub struct ReferenceRow {
    pub winner: Option<u32>,
    pub representative: Option<u32>,
    pub greedy: Option<u32>,
    pub runner_up: Option<u32>,
    pub status: Status,
    pub mass: f64,
    pub representative_prob: f64,
    pub greedy_prob: f64,
    pub runner_up_mass: f64,
    pub log_z: f64,
    pub token_entropy: f64,
    pub concept_entropy: f64,
}

/// What [`DeviceMap::reduce`](crate::DeviceMap::reduce) should find in a row.
///
/// # Panics
///
/// If there is not one logit for every token of the map.
pub fn reduce(map: &ConceptMap, logits: &[f64]) -> ReferenceRow {
    assert_eq!(logits.len(), map.vocab_size(), "one logit for every token");
    let status = status(logits);
    let probabilities = softmax(logits);
    let masses = masses(map, logits);
    let ok = status.is_ok();
    let number = |x: f64| if ok { x } else { f64::NAN };
    let mut winner = None;
    let mut runner_up = None;
    let mut representative = None;
    if ok {
        winner = first_largest(&masses);
        let mut others = masses.clone();
        winner.into_iter().for_each(|w| others[w] = 0.0);
        runner_up = first_largest(&others).filter(|&c| others[c] > 0.0);
        let allies = |t: usize| map.concept_of(t as u32) == winner.map(|w| w as u32);
        let of_winner: Vec<f64> =
            (0..logits.len()).map(|t| if allies(t) { probabilities[t] } else { -1.0 }).collect();
        representative = first_largest(&of_winner);
    }
    let greedy = first_largest(logits).filter(|_| ok);
    let id = |i: Option<usize>| i.map(|i| i as u32);
    ReferenceRow {
        winner: id(winner),
        representative: id(representative),
        greedy: id(greedy),
        runner_up: id(runner_up),
        status,
        mass: number(winner.map_or(0.0, |c| masses[c])),
        representative_prob: number(representative.map_or(0.0, |t| probabilities[t])),
        greedy_prob: number(greedy.map_or(0.0, |t| probabilities[t])),
        runner_up_mass: number(runner_up.map_or(0.0, |c| masses[c])),
        log_z: number(log_sum_exp(logits)),
        token_entropy: number(entropy(&probabilities)),
        concept_entropy: number(entropy(&masses)),
    }
}

/// What [`DeviceMap::masses`](crate::DeviceMap::masses) should give for a row.
pub fn masses(map: &ConceptMap, logits: &[f64]) -> Vec<f64> {
    let mut masses = vec![0.0; map.num_concepts()];
    for (token, p) in softmax(logits).into_iter().enumerate() {
        masses[map.concept_ids()[token] as usize] += p;
    }
    masses
}

/// What [`DeviceMap::pool`](crate::DeviceMap::pool) should give for a row.
pub fn pool(map: &ConceptMap, logits: &[f64]) -> Vec<f64> {
    if !status(logits).is_ok() {
        return vec![f64::NAN; logits.len()];
    }
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut pooled = vec![f64::NEG_INFINITY; logits.len()];
    for concept in 0..map.num_concepts() as u32 {
        let tokens = map.tokens(concept).expect("a concept of the map");
        let members: Vec<f64> = tokens.iter().map(|&t| logits[t as usize] - max).collect();
        let representative = tokens[first_largest(&members).expect("at least one member")];
        pooled[representative as usize] = log_sum_exp(&members);
    }
    pooled
}

/// What [`DeviceTokenSets::measure`](crate::reduce::DeviceTokenSets::measure) should give for one probe in a row:
/// mass and concentration.
pub fn probe(tokens: &[u32], logits: &[f64]) -> (f64, f64) {
    let probabilities = softmax(logits);
    let members = tokens.iter().map(|&t| probabilities[t as usize]);
    let mass: f64 = members.clone().sum();
    (mass, members.fold(0.0, f64::max) / mass)
}

fn status(logits: &[f64]) -> Status {
    let when = |condition: bool, status| if condition { status } else { Status::OK };
    when(logits.iter().any(|x| x.is_nan()), Status::NAN)
        .union(when(logits.contains(&f64::INFINITY), Status::POS_INF))
        .union(when(logits.iter().all(|&x| x == f64::NEG_INFINITY), Status::ALL_NEG_INF))
}

/// NaN if the logits hold a NaN or `+inf`, or are all `-inf`.
fn softmax(logits: &[f64]) -> Vec<f64> {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exps: Vec<f64> = logits.iter().map(|x| (x - max).exp()).collect();
    let sum: f64 = exps.iter().sum();
    exps.into_iter().map(|e| e / sum).collect()
}

fn log_sum_exp(logits: &[f64]) -> f64 {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if max == f64::NEG_INFINITY {
        return max;
    }
    max + logits.iter().map(|x| (x - max).exp()).sum::<f64>().ln()
}

/// `−Σ p ln p`, where 0 ln 0 is 0.
fn entropy(probabilities: &[f64]) -> f64 {
    -probabilities.iter().filter(|&&p| p != 0.0).map(|p| p * p.ln()).sum::<f64>()
}

/// The first place of the largest value.
fn first_largest(values: &[f64]) -> Option<usize> {
    (0..values.len()).reduce(|best, i| if values[i] > values[best] { i } else { best })
}
