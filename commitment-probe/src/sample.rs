use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::{Decoder, Outcome, Schema};

/// One question, and all that was measured on it: a line of a run's `samples.jsonl`.
///
/// Probabilities are those of the softmax over the vocabulary, at temperature 1 unless it is said
/// otherwise; entropies are in nats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The version of this layout.
    pub schema: Schema,
    /// The question's id.
    pub id: String,
    /// The question.
    pub question: String,
    /// The greedy answer: the likeliest token at each step, up to an end or a line break.
    pub answer: String,
    /// Whether the greedy answer is acceptable; see [`is_match`](super::is_match).
    pub right: bool,
    /// The step at which the model commits itself.
    pub first: FirstStep,
    /// The step after the greedy token, unless that ended the answer.
    pub second: Option<SecondStep>,
    /// What other decoders than the greedy one would have said.
    pub decisions: BTreeMap<Decoder, Decision>,
    /// The probability that the whole answer is an acceptable form.
    pub phrase_mass: f64,
    /// The P-mass of the right concept at other temperatures.
    pub at_temperature: Vec<AtTemperature>,
    /// Answers sampled at a temperature, if any were.
    pub sampled: Option<Sampled>,
    /// What could not be measured, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The first token of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FirstStep {
    /// The id of the token that wins the argmax.
    pub token: u32,
    /// How it is spelt.
    pub text: String,
    /// Its probability.
    pub probability: f32,
    /// Whether it begins an acceptable form.
    pub begins_answer: bool,
    /// The P-mass: the probability of all tokens that begin an acceptable form.
    pub mass: f32,
    /// The share that the likeliest of these has of the P-mass; none if that is 0.
    pub concentration: Option<f32>,
    /// The entropy over tokens.
    pub token_entropy: f32,
}

/// The second token of the greedy answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecondStep {
    /// The id of the likeliest token.
    pub token: u32,
    /// The entropy over tokens.
    pub entropy: f32,
    /// Whether the first two tokens are the beginning of an acceptable form, or the whole of one
    /// and its end.
    pub valid: bool,
}

/// What a decoder would have said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The concept that wins: its name, or its tokens; none if there was nothing to choose from.
    pub concept: Option<String>,
    /// Its mass: the decoder's confidence.
    pub mass: f64,
    /// The answer: of a decoder that counts at the first step, the concept's likeliest token and
    /// what follows it greedily.
    pub answer: String,
    /// Whether that answer is acceptable.
    pub right: bool,
    /// The vote on the first token; none of a decoder that counts whole answers.
    pub vote: Option<Vote>,
}

/// How concepts share the first step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Vote {
    /// The id of the winning concept's likeliest token.
    pub token: u32,
    /// That token's share of the concept's mass.
    pub concentration: f32,
    /// The entropy over concepts.
    pub entropy: f32,
}

/// The right concept at another temperature.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AtTemperature {
    /// The logits are divided by this.
    pub temperature: f64,
    /// The P-mass then.
    pub mass: f32,
}

/// Answers sampled at a temperature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampled {
    /// The temperature of every step.
    pub temperature: f64,
    /// The answers, in the order in which they were sampled.
    pub answers: Vec<SampledAnswer>,
    /// The entropy over clusters, by their counts.
    pub semantic_entropy: f64,
}

/// A sampled answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampledAnswer {
    /// What it says.
    pub text: String,
    /// Whether that is acceptable.
    pub right: bool,
    /// The cluster of answers of one meaning that it belongs to, from 0 in order of appearance.
    pub cluster: usize,
}

impl Sample {
    /// How sure a decoder is of its answer, and whether that is acceptable; none if its decision
    /// is not in the sample.
    pub fn confidence(&self, decoder: Decoder) -> Option<(f64, bool)> {
        match decoder {
            Decoder::Greedy => Some((self.first.probability.into(), self.right)),
            other => self.decisions.get(&other).map(|decision| (decision.mass, decision.right)),
        }
    }

    /// Whether the greedy answer has this outcome, if commitment failures are those with a P-mass
    /// of `tau` or more.
    pub fn has_outcome(&self, outcome: Outcome, tau: f64) -> bool {
        match outcome {
            Outcome::All => true,
            Outcome::Hallucination => !self.right,
            Outcome::CommitmentFailure => self.is_failure(tau),
            Outcome::OtherHallucination => !self.right && !self.is_failure(tau),
            Outcome::Right => self.right,
        }
    }

    /// Whether this is a commitment failure: a wrong greedy answer, although the right concept's
    /// P-mass is `tau` or more.
    pub fn is_failure(&self, tau: f64) -> bool {
        !self.right && self.mass() >= tau
    }

    /// The P-mass of the right concept.
    ///
    /// It comes from an `f32` such as 0.2, which as an `f64` is a little more or less: the decimal
    /// that was written is what is compared with a threshold.
    pub fn mass(&self) -> f64 {
        decimal(self.first.mass)
    }
}

impl Sampled {
    /// An answer of the largest cluster, the first of it; of clusters of one size, the one that
    /// appeared first. None if there are no answers.
    pub fn majority(&self) -> Option<&SampledAnswer> {
        // By their names, which in a file may be any numbers.
        let mut sizes = HashMap::<usize, usize>::new();
        self.answers.iter().for_each(|answer| *sizes.entry(answer.cluster).or_default() += 1);
        let size = |of: &SampledAnswer| sizes[&of.cluster];
        self.answers.iter().reduce(|best, next| if size(next) > size(best) { next } else { best })
    }
}

/// The number that `value` is written as.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::NAN)
}
