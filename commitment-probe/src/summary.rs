use serde::{Deserialize, Serialize};

use super::stats::{Calibration, Estimate, RankTest};

/// What the samples of one run come to.
///
/// Whatever cannot be told, since nothing is there to tell it from, is `None`.
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
    /// The threshold of a commitment failure wherever none is named.
    pub tau: f64,
    /// Commitment failures at every threshold, and their share of the hallucinations.
    pub thresholds: Vec<Threshold>,
    /// How the vote for the right concept is split.
    pub concentration: Concentration,
    /// How sure the model is of the token that wins.
    pub confidence: Confidence,
    /// The second token, and phrases that go wrong after a right beginning.
    pub second_token: SecondToken,
    /// How well hallucinations can be told by what the model shows.
    pub detectors: Vec<Detector>,
    /// Whether answers are right as often as the model is sure of them.
    pub calibration: Vec<CalibrationOf>,
    /// What other decoders would have said.
    pub decoders: Vec<DecoderSummary>,
    /// What becomes of it at other temperatures.
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

/// The mean probability of the token that won the first step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Confidence {
    /// In hallucinations: wrong-winner confidence.
    pub hallucinations: Option<Estimate>,
    /// In commitment failures.
    pub failures: Option<Estimate>,
    /// In right answers.
    pub right: Option<Estimate>,
}

/// What the second token tells.
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
    /// The mean phrase mass of the right concept in commitment failures.
    pub phrase_mass_failures: Option<Estimate>,
    /// The mean phrase mass of the right concept in right answers.
    pub phrase_mass_right: Option<Estimate>,
}

/// The area under the ROC curve of one score as a detector of wrong answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detector {
    /// The score.
    pub name: String,
    /// All hallucinations against right answers.
    pub hallucinations: Option<Estimate>,
    /// Commitment failures alone against right answers: the ceiling.
    pub failures: Option<Estimate>,
    /// The other hallucinations against right answers.
    pub others: Option<Estimate>,
}

/// The calibration of one kind of confidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationOf {
    /// What the confidence is in.
    pub name: String,
    /// The bins, and the expected calibration error.
    #[serde(flatten)]
    pub calibration: Calibration,
}

/// What one decoder would have changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecoderSummary {
    /// The decoder.
    pub name: String,
    /// Whether it knows what may be answered: then it bounds what could be done, no more.
    pub knows_answers: bool,
    /// The share of its answers that are acceptable.
    pub right: Option<Estimate>,
    /// The hallucinations that it answers rightly.
    pub recovered: usize,
    /// Their share of all hallucinations.
    pub recovered_hallucinations: Option<Estimate>,
    /// The share of commitment failures that it answers rightly.
    pub recovered_failures: Option<Estimate>,
    /// The right answers that it would spoil.
    pub broken: usize,
    /// Their share of all right answers.
    pub broken_rate: Option<Estimate>,
}

/// What temperature does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Temperature {
    /// The mean P-mass of the right concept at each temperature.
    pub curve: Vec<MassAt>,
    /// What sampled answers come to, if there are any.
    pub sampled: Option<SampledSummary>,
}

/// The right concept at one temperature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MassAt {
    /// The temperature.
    pub temperature: f64,
    /// Its mean P-mass in commitment failures.
    pub failures: Option<f64>,
    /// In the other hallucinations.
    pub others: Option<f64>,
    /// In right answers.
    pub right: Option<f64>,
}

/// Answers sampled at a temperature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampledSummary {
    /// The temperature.
    pub temperature: f64,
    /// The answers that were drawn for each question.
    pub draws: usize,
    /// In all questions.
    pub all: SampledShares,
    /// In those whose greedy answer is a commitment failure.
    pub failures: SampledShares,
    /// In those whose greedy answer is another hallucination.
    pub others: SampledShares,
    /// In those whose greedy answer is right.
    pub right: SampledShares,
}

/// How many sampled answers are acceptable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampledShares {
    /// The share of the answers.
    pub answers: Option<Estimate>,
    /// The share of the questions whose largest cluster is acceptable.
    pub majority: Option<Estimate>,
    /// The share of the questions one of whose answers is.
    pub any: Option<Estimate>,
    /// The mean semantic entropy.
    pub semantic_entropy: Option<Estimate>,
}
