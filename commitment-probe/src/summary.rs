use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::stats::{Calibration, Estimate, RankTest};
use crate::{Decoder, Detector, Outcome};

/// A number for each of some outcomes; `None` where no sample has the outcome.
pub type ByOutcome<T = Option<Estimate>> = BTreeMap<Outcome, T>;

/// What the samples of one run come to.
///
/// A number that no sample contributes to is `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The run's name.
    pub name: String,
    /// The questions that were asked.
    pub samples: usize,
    /// The questions that the run is to ask; more than `samples` while it is not finished.
    pub planned: usize,
    /// The hallucinations: greedy answers that are not acceptable.
    pub hallucinations: usize,
    /// Their share of all answers.
    pub hallucination_rate: Option<Estimate>,
    /// The least P-mass of a commitment failure, except in `thresholds`.
    pub tau: f64,
    /// Commitment failures at every threshold, and their share of the hallucinations.
    pub thresholds: Vec<Threshold>,
    /// How the vote for the right concept is split.
    pub concentration: Concentration,
    /// The mean probability of the greedy token, by outcome. That of hallucinations is the
    /// wrong-winner confidence.
    pub confidence: ByOutcome,
    /// The second token, and phrases that go wrong after a right beginning.
    pub second_token: SecondToken,
    /// How well each score tells wrong answers from right ones: the area under the ROC curve of
    /// each kind of wrong answers against right ones.
    pub detectors: BTreeMap<Detector, ByOutcome>,
    /// Whether the answers of a decoder are right as often as it is sure of them.
    pub calibration: BTreeMap<Decoder, Calibration>,
    /// What other decoders than the greedy one would have changed.
    pub decoders: BTreeMap<Decoder, DecoderSummary>,
    /// What changes at other temperatures.
    pub temperature: Temperature,
}

/// Commitment failures at one threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// The least P-mass.
    pub tau: f64,
    /// Their number.
    pub failures: usize,
    /// Their share of the hallucinations.
    pub rate: Option<Estimate>,
}

/// The concentration of the right concept in commitment failures and in right answers, among the
/// samples whose P-mass is the threshold or more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Concentration {
    /// Its mean in failures.
    pub failures: Option<Estimate>,
    /// Its mean in right answers.
    pub right: Option<Estimate>,
    /// Right answers less failures: Cohen's d, and a rank test.
    pub difference: Difference,
    /// The same of pairs of a failure and a right answer with nearly the same P-mass.
    pub matched: Matched,
}

/// How far two groups are apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Cohen's d: the difference of the means in pooled standard deviations.
    pub cohens_d: Option<f64>,
    /// Mann and Whitney's rank test, two-sided.
    pub rank_test: Option<RankTest>,
}

/// Failures and right answers paired by their P-mass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matched {
    /// The most by which the P-masses of a pair may differ.
    pub caliper: f64,
    /// The number of pairs.
    pub pairs: usize,
    /// The mean concentration of their failures.
    pub failures: Option<Estimate>,
    /// The mean concentration of their right answers.
    pub right: Option<Estimate>,
    /// Right answers less failures.
    pub difference: Difference,
}

/// What happens after the first token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecondToken {
    /// The mean entropy of the second token where the first two are a valid prefix.
    pub valid: Option<Estimate>,
    /// The same where they are not.
    pub invalid: Option<Estimate>,
    /// Hallucinations whose first token begins an acceptable form: the phrase went wrong later.
    pub phrase_failures: usize,
    /// Their share of the hallucinations.
    pub phrase_failure_rate: Option<Estimate>,
    /// The mean phrase mass of the right concept, by outcome.
    pub phrase_mass: ByOutcome,
}

/// What one decoder would have changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecoderSummary {
    /// The share of its answers that are acceptable, by the outcome of the greedy answer: that of
    /// hallucinations is the share that it recovers.
    pub right: ByOutcome,
    /// The hallucinations that it answers rightly.
    pub recovered: usize,
    /// The right answers that it would break.
    pub broken: usize,
    /// Their share of all right answers.
    pub broken_rate: Option<Estimate>,
}

/// What changes with the temperature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Temperature {
    /// The mean P-mass of the right concept at each temperature.
    pub curve: Vec<MassAt>,
    /// Sampled answers, if there are any.
    pub sampled: Option<SampledSummary>,
}

/// The right concept at one temperature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MassAt {
    /// The temperature.
    pub temperature: f64,
    /// Its mean P-mass, by outcome.
    pub mass: ByOutcome<Option<f64>>,
}

/// Answers sampled at a temperature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampledSummary {
    /// The temperature.
    pub temperature: f64,
    /// The answers that were sampled for each question.
    pub samples: usize,
    /// What they come to, by the outcome of the greedy answer.
    pub shares: ByOutcome<SampledShares>,
}

/// How many sampled answers are acceptable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampledShares {
    /// The share of the answers.
    pub answers: Option<Estimate>,
    /// The share of the questions whose largest cluster is acceptable.
    pub majority: Option<Estimate>,
    /// The share of the questions with at least one acceptable answer.
    pub any: Option<Estimate>,
    /// The mean semantic entropy.
    pub semantic_entropy: Option<Estimate>,
}
