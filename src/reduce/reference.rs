//! The oracle: the result by its definition, in `f64`, one row at a time.
//!
//! It is slow, short, and shares nothing with the fast paths, which are tested against it; use it
//! to test your own. Feed it the logits *as rounded* to the dtype that the fast path reads.
//!
//! Every function fails with [`ReduceError::LogitsWidth`] unless there is one logit for every
//! token, and with [`ReduceError::BadRow`], as row 0, for a row that has no winner.
//!
//! ```
//! use concept_mass::{ConceptMap, reference};
//!
//! let map = ConceptMap::builder(4).concept("right", [1, 3])?.build()?;
//! let logits = [0.4f64, 0.3, 0.05, 0.25].map(f64::ln);
//! let row = reference::reduce(&map, &logits)?;
//! assert_eq!((row.winner, row.representative, row.greedy), (0, 1, 0));
//! assert!((row.mass - 0.55).abs() < 1e-12);
//!
//! let bad = reference::reduce(&map, &[0.0, f64::NAN, 0.0, 0.0]).unwrap_err();
//! assert_eq!(bad.to_string(), "row 0 of the logits has no winner: it holds NaN");
//! # Ok::<(), concept_mass::Error>(())
//! ```

use super::{BadRow, BadRowReason, ReduceError};
use crate::{ConceptMap, TokenSets};

/// The [`Row`](crate::Row) in full precision.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each field is the one of the same name of Row")]
pub struct ReferenceRow {
    pub winner: u32,
    pub representative: u32,
    pub greedy: u32,
    pub mass: f64,
    pub representative_prob: f64,
    pub greedy_prob: f64,
    pub log_z: f64,
    pub runner_up: Option<ReferenceRunnerUp>,
    pub token_entropy: f64,
    pub concept_entropy: f64,
}

/// The [`RunnerUp`](crate::reduce::RunnerUp) in full precision: a concept of a probability above 0.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs, reason = "each field is the one of the same name of RunnerUp")]
#[non_exhaustive]
pub struct ReferenceRunnerUp {
    pub concept: u32,
    pub mass: f64,
}

/// The [`SetMass`](crate::reduce::SetMass) in full precision.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs, reason = "each field is the one of the same name of SetMass")]
#[non_exhaustive]
pub struct ReferenceSetMass {
    pub mass: f64,
    pub concentration: Option<f64>,
}

/// What [`DeviceMap::reduce`](crate::DeviceMap::reduce) should find in a row.
///
/// # Errors
///
/// [`ReduceError::LogitsWidth`], [`ReduceError::BadRow`].
pub fn reduce(map: &ConceptMap, logits: &[f64]) -> Result<ReferenceRow, ReduceError> {
    let probabilities = probabilities(map.vocab_size(), logits)?;
    let masses = masses(map, logits)?;
    let winner = first_largest(&masses);
    let mut others = masses.clone();
    others[winner] = 0.0;
    let second = first_largest(&others);
    let runner_up = ReferenceRunnerUp { concept: second as u32, mass: others[second] };
    let allies = |t: usize| map.concept_ids()[t] as usize == winner;
    let of_winner: Vec<f64> =
        (0..logits.len()).map(|t| if allies(t) { probabilities[t] } else { -1.0 }).collect();
    let representative = first_largest(&of_winner);
    let greedy = first_largest(logits);
    Ok(ReferenceRow {
        winner: winner as u32,
        representative: representative as u32,
        greedy: greedy as u32,
        mass: masses[winner],
        representative_prob: probabilities[representative],
        greedy_prob: probabilities[greedy],
        log_z: log_sum_exp(logits),
        runner_up: (runner_up.mass > 0.0).then_some(runner_up),
        token_entropy: entropy(&probabilities),
        concept_entropy: entropy(&masses),
    })
}

/// What [`DeviceMap::masses`](crate::DeviceMap::masses) should give for a row: the mass of every
/// concept.
///
/// # Errors
///
/// [`ReduceError::LogitsWidth`], [`ReduceError::BadRow`].
pub fn masses(map: &ConceptMap, logits: &[f64]) -> Result<Vec<f64>, ReduceError> {
    let mut masses = vec![0.0; map.num_concepts()];
    let probabilities = probabilities(map.vocab_size(), logits)?;
    for (p, &concept) in probabilities.into_iter().zip(map.concept_ids()) {
        masses[concept as usize] += p;
    }
    Ok(masses)
}

/// What [`DeviceMap::pool`](crate::DeviceMap::pool) should give for a row: pooled logits, relative
/// to the row's maximum.
///
/// # Errors
///
/// [`ReduceError::LogitsWidth`], [`ReduceError::BadRow`].
pub fn pool(map: &ConceptMap, logits: &[f64]) -> Result<Vec<f64>, ReduceError> {
    check(map.vocab_size(), logits)?;
    let max = logits[first_largest(logits)];
    let mut pooled = vec![f64::NEG_INFINITY; logits.len()];
    for tokens in map.iter() {
        let members: Vec<f64> = tokens.iter().map(|&t| logits[t as usize] - max).collect();
        let representative = tokens[first_largest(&members)];
        pooled[representative as usize] = log_sum_exp(&members);
    }
    Ok(pooled)
}

/// What [`DeviceTokenSets::measure`](crate::reduce::DeviceTokenSets::measure) should give for a
/// row: mass and concentration of every set.
///
/// # Errors
///
/// [`ReduceError::LogitsWidth`], [`ReduceError::BadRow`].
///
/// ```
/// use concept_mass::{TokenSets, reference};
///
/// let sets = TokenSets::builder(3).set("ends", [0, 2])?.build()?;
/// let measured = reference::measure(&sets, &[0.5f64, 0.25, 0.25].map(f64::ln))?;
/// assert!((measured[0].mass - 0.75).abs() < 1e-12);
/// assert!((measured[0].concentration.unwrap() - 0.5 / 0.75).abs() < 1e-12);
/// # Ok::<(), concept_mass::Error>(())
/// ```
pub fn measure(sets: &TokenSets, logits: &[f64]) -> Result<Vec<ReferenceSetMass>, ReduceError> {
    let probabilities = probabilities(sets.vocab_size(), logits)?;
    let tokens = (0..sets.len()).map(|set| sets.tokens(set).unwrap_or_default());
    let measured = tokens.map(|tokens| {
        let members = tokens.iter().map(|&t| probabilities[t as usize]);
        let mass: f64 = members.clone().sum();
        let concentration = (mass > 0.0).then(|| members.fold(0.0, f64::max) / mass);
        ReferenceSetMass { mass, concentration }
    });
    Ok(measured.collect())
}

/// Fails unless there is a logit for every token, and the row has a winner.
fn check(vocab_size: usize, logits: &[f64]) -> Result<(), ReduceError> {
    if logits.len() != vocab_size {
        return Err(ReduceError::LogitsWidth { expected: vocab_size, got: logits.len() });
    }
    let nan = logits.iter().any(|x| x.is_nan());
    let pos_inf = logits.contains(&f64::INFINITY);
    if nan || pos_inf || logits.iter().all(|&x| x == f64::NEG_INFINITY) {
        return Err(BadRow { row: 0, reason: BadRowReason::of(nan, pos_inf) }.into());
    }
    Ok(())
}

/// The softmax.
fn probabilities(vocab_size: usize, logits: &[f64]) -> Result<Vec<f64>, ReduceError> {
    check(vocab_size, logits)?;
    let max = logits[first_largest(logits)];
    let exps: Vec<f64> = logits.iter().map(|x| (x - max).exp()).collect();
    let sum: f64 = exps.iter().sum();
    Ok(exps.into_iter().map(|e| e / sum).collect())
}

fn log_sum_exp(logits: &[f64]) -> f64 {
    let max = logits[first_largest(logits)];
    if max == f64::NEG_INFINITY {
        return max;
    }
    max + logits.iter().map(|x| (x - max).exp()).sum::<f64>().ln()
}

/// `−Σ p ln p`, where 0 ln 0 is 0.
fn entropy(probabilities: &[f64]) -> f64 {
    -probabilities.iter().filter(|&&p| p != 0.0).map(|p| p * p.ln()).sum::<f64>()
}

/// The first place of the largest of `values`: at least one, and no NaN.
fn first_largest(values: &[f64]) -> usize {
    (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}
