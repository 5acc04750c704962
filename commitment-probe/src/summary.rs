use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::stats::{Calibration, Estimate, SignedRankTest};
use crate::{Decoder, Detector, Hidden, Outcome, Scorer, Verdict};

/// A number for each of some outcomes; `None` where no sample has the outcome.
pub type ByOutcome<T = Option<Estimate>> = BTreeMap<Outcome, T>;

/// What the samples of one run come to. `docs/MEASURES.md` defines every quantity.
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
    /// The groups of questions, if any has one.
    pub groups: Option<usize>,
    /// How many answers have each verdict.
    pub verdicts: BTreeMap<Verdict, usize>,
    /// Who said what is right; none without samples.
    pub scorer: Option<Scorer>,
    /// The wrong answers' share of those that are right or wrong.
    pub hallucination_rate: Option<Estimate>,
    /// What that rate would be if answers that are cut at the limit were wrong.
    pub cut_as_wrong: Option<Estimate>,
    /// What that rate would be by each scorer, of all answers.
    pub by_scorer: BTreeMap<Scorer, Option<Estimate>>,
    /// The share of right and wrong answers that are localised.
    pub localised: Option<Estimate>,
    /// The share of right and wrong answers whose first token says nothing.
    pub says_nothing: Option<Estimate>,
    /// Whether so few are localised that no headline is given.
    pub withheld: bool,
    /// The least P-mass of a commitment failure, except in `thresholds`.
    pub tau: f64,
    /// Commitment failures among localised answers: the headline.
    pub failures: Failures,
    /// Commitment failures among all answers.
    pub all_failures: Failures,
    /// Commitment failures among localised answers, at every threshold.
    pub thresholds: Vec<Threshold>,
    /// The tokens that were passed over as uninformative, and in how many questions.
    pub uninformative: BTreeMap<String, usize>,
    /// How the vote for the right concept is split at the first step.
    pub concentration: Concentration,
    /// The same at the informative step.
    pub informative_concentration: Concentration,
    /// The mean probability of the greedy token, by outcome.
    pub confidence: ByOutcome,
    /// The same of wrong answers whose first token begins no acceptable form.
    pub wrong_winner_confidence: Option<Estimate>,
    /// What happens after the first token.
    pub later: Later,
    /// How well each score tells wrong answers from right ones: the area under the ROC curve of
    /// each kind of wrong answers against right ones.
    pub detectors: BTreeMap<Detector, ByOutcome>,
    /// Whether the answers of a decoder are right as often as it is sure of them.
    pub calibration: BTreeMap<Decoder, Calibration>,
    /// What other decoders than the greedy one would have changed.
    pub decoders: BTreeMap<Decoder, DecoderSummary>,
    /// What changes at other temperatures.
    pub temperature: Temperature,
    /// What hidden states know, if they were stored: see [`with_hidden`](Self::with_hidden).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Hidden>,
}

/// Commitment failures of one population, at one threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failures {
    /// The wrong answers, of which the rates are shares.
    pub wrong: usize,
    /// At the first step.
    pub first: Rates,
    /// At the informative step.
    pub informative: Rates,
    /// The mean conditional mass of wrong answers. It makes no rate: to condition is to select.
    pub conditional_mass: Option<Estimate>,
}

/// The two rates at one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Wrong answers with enough mass.
    pub paper: Rate,
    /// Those of them that a wrong token won.
    pub strict: Rate,
}

/// A rate, and what chance gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// The number of failures.
    pub failures: usize,
    /// Their share of the wrong answers.
    pub rate: Option<Estimate>,
    /// The same with the forms of other questions; over the answers with an exchange.
    pub null: Option<Estimate>,
    /// The mean of what is counted less its null, over the same.
    pub excess: Option<Estimate>,
}

/// Commitment failures at one threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// The least P-mass.
    pub tau: f64,
    /// At the first step.
    pub first: Rates,
    /// At the informative step.
    pub informative: Rates,
}

/// The concentration of the right concept among the answers whose mass is the threshold or more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Concentration {
    /// Its mean in commitment failures.
    pub failures: Option<Estimate>,
    /// Its mean in strict failures.
    pub strict: Option<Estimate>,
    /// Its mean in right answers.
    pub right: Option<Estimate>,
    /// Pairs of a failure and a right answer that are alike.
    pub matched: Matched,
}

/// Failures and right answers paired by their mass, among those of equally many tokens or cuts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matched {
    /// The most by which the masses of a pair may differ.
    pub caliper: f64,
    /// The share of the failures that have no partner.
    pub unmatched: Option<Estimate>,
    /// The mean concentration of the pairs' failures.
    pub failures: Option<Estimate>,
    /// The mean concentration of their right answers.
    pub right: Option<Estimate>,
    /// The mean of right less failure.
    pub difference: Option<Estimate>,
    /// Wilcoxon's test of these differences.
    pub test: Option<SignedRankTest>,
    /// The pairs, in the order of the failures.
    pub pairs: Vec<Pair>,
}

/// A failure and a right answer that are alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The failure.
    pub failure: Member,
    /// The right answer.
    pub right: Member,
    /// Whether a wrong token won the failure.
    pub strict: bool,
}

/// One of a pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The question's id.
    pub id: String,
    /// The mass of the right concept.
    pub mass: f64,
    /// The share that the likeliest token, or cut, has of it.
    pub concentration: f64,
}

/// What happens after the first token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Later {
    /// The entropy at step 2, of answers whose first token begins a form.
    pub second: Entropies,
    /// The entropy at step 3, of answers whose first two tokens begin a form.
    pub third: Entropies,
    /// Wrong answers whose first token begins an acceptable form: the phrase went wrong later.
    pub phrase_failures: usize,
    /// Their share of the wrong answers.
    pub phrase_failure_rate: Option<Estimate>,
    /// The mean phrase mass of the right concept, by outcome.
    pub phrase_mass: ByOutcome,
}

/// An entropy in right and in wrong answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entropies {
    /// Its mean in right answers.
    pub right: Entropy,
    /// Its mean in wrong answers.
    pub wrong: Entropy,
}

/// An entropy in two units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entropy {
    /// In nats.
    pub nats: Option<Estimate>,
    /// Divided by its largest value, the log of the vocabulary's size.
    pub share: Option<Estimate>,
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
    /// Whether a judge made the clusters.
    pub judged: bool,
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
    /// The mean entropy over clusters.
    pub entropy: Option<Estimate>,
}
