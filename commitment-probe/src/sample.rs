use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::{Decoder, Kind, Outcome, Schema, Scorer, Verdict};

/// One question, and all that was measured on it: a line of a run's `samples.jsonl`.
///
/// Probabilities are those of the softmax over the vocabulary, at temperature 1 unless it is said
/// otherwise; entropies are in nats. `docs/MEASURES.md` defines every quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The version of this layout.
    pub schema: Schema,
    /// The question's id.
    pub id: String,
    /// The question.
    pub question: String,
    /// The entity that the question is about, if it has one: questions of one group are not
    /// independent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The acceptable forms of the answer, the usual one first.
    pub forms: Vec<String>,
    /// How many tokens the prompt has.
    pub prompt_tokens: usize,
    /// The greedy answer: the likeliest token at each step, up to an end, a stop or a line break.
    pub answer: String,
    /// What is said of it.
    pub verdict: Verdict,
    /// Who said so.
    pub scorer: Scorer,
    /// Whether each scorer that needs no program accepts it, and the grader, if that was asked.
    pub accepted: BTreeMap<Scorer, bool>,
    /// What is said of it where a scorer does not accept it: unmeasured, empty, not attempted, cut or
    /// wrong.
    pub otherwise: Verdict,
    /// Whether the answer is decided at its first token: a right one begins with a form, any other
    /// has at most the longest form's words and two.
    pub localised: bool,
    /// The size of the vocabulary.
    pub vocab_size: usize,
    /// The step at which the model commits itself.
    pub first: FirstStep,
    /// Steps 2 and 3, as far as the answer has them.
    pub later: Vec<LaterStep>,
    /// The same question at the informative step.
    pub informative: Informative,
    /// The same with the forms of other questions.
    pub exchanged: Vec<Exchanged>,
    /// What other decoders than the greedy one would have said.
    pub decisions: BTreeMap<Decoder, Decision>,
    /// The probability that the whole answer is an acceptable form.
    pub phrase_mass: f64,
    /// The greedy answer as a whole.
    pub sequence: Sequence,
    /// The probability that the model gives to its own answer being true, if it was asked and has an
    /// opinion.
    pub p_true: Option<f64>,
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
    /// How much likelier it is than the second token.
    pub margin: f32,
    /// Whether it begins an acceptable form.
    pub begins_answer: bool,
    /// Whether it is the right concept's own: it begins an acceptable form, or is spelt like the
    /// beginning of one.
    pub is_own: bool,
    /// How many tokens begin an acceptable form.
    pub firsts: usize,
    /// The P-mass: the probability of all tokens that begin an acceptable form.
    pub mass: f32,
    /// The share that the likeliest of these has of the P-mass; none if that is 0.
    pub concentration: Option<f32>,
    /// The entropy over tokens.
    pub token_entropy: f32,
    /// The tokens that compete: the likeliest of all, and the likeliest of those that begin an
    /// acceptable form, [`COMPETING`] of each at most. The likeliest first; of equal ones, that with
    /// the lowest id.
    pub tokens: Vec<Competing>,
}

/// At most so many tokens of each kind are listed as competing.
pub const COMPETING: usize = 5;

/// A token that competes for the first step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Competing {
    /// Its id.
    pub token: u32,
    /// How it is spelt, with the space before it.
    pub text: String,
    /// Its probability.
    pub probability: f32,
    /// Whether it begins an acceptable form.
    pub begins_answer: bool,
    /// Whether it is the right concept's own, as [`FirstStep::is_own`] is.
    pub is_own: bool,
}

/// The second or the third token of the greedy answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LaterStep {
    /// The id of the likeliest token.
    pub token: u32,
    /// The entropy over tokens; none where the model does not tell.
    pub entropy: Option<f32>,
    /// Whether the tokens before it are a valid prefix: they begin an acceptable form.
    pub valid: bool,
}

/// The right concept at the first step that says something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Informative {
    /// The probability of all forms, each cut after its first informative token.
    pub mass: f32,
    /// The share that the likeliest cut has of it; none if that is 0.
    pub concentration: Option<f32>,
    /// The number of distinct cuts.
    pub cuts: usize,
    /// The greedy answer, cut likewise.
    pub winner: String,
    /// Whether that is one of the cuts, begins with one, or is spelt like the beginning of a form.
    pub winner_is_right: bool,
    /// The P-mass after the greedy answer's uninformative beginning; none of an answer without a
    /// token.
    pub conditional: Option<f32>,
    /// The uninformative tokens that were passed over, in the forms and in the answer.
    pub passed: Vec<String>,
}

/// The measures of a question with the forms of another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchanged {
    /// The id of the other question.
    pub id: String,
    /// The P-mass of its forms.
    pub mass: f32,
    /// Whether the winner begins one of them, or is spelt like the beginning of one.
    pub is_own: bool,
    /// Their informative mass.
    pub informative_mass: f32,
    /// Whether the winner at the informative step is one of their cuts.
    pub winner_is_right: bool,
}

/// The greedy answer as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sequence {
    /// `ln P` of its tokens, and of the end after them if it ended.
    pub ln_probability: f64,
    /// How many tokens these are.
    pub tokens: usize,
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
    pub entropy: f64,
    /// Whether a judge made the clusters. Otherwise answers are in one cluster if they contain the
    /// same form, or are equal once normalised.
    pub judged: bool,
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
    /// Whether the greedy answer is right.
    pub fn is_right(&self) -> bool {
        self.verdict == Verdict::Right
    }

    /// Whether the greedy answer is wrong.
    pub fn is_wrong(&self) -> bool {
        self.verdict == Verdict::Wrong
    }

    /// How sure a decoder is of its answer, and whether that is acceptable; none if its decision
    /// is not in the sample.
    pub fn confidence(&self, decoder: Decoder) -> Option<(f64, bool)> {
        match decoder {
            Decoder::Greedy => Some((self.first.probability.into(), self.is_right())),
            other => self.decisions.get(&other).map(|decision| (decision.mass, decision.right)),
        }
    }

    /// What would be said of it if another scorer decided; none if that was not asked.
    pub fn verdict_by(&self, scorer: Scorer) -> Option<Verdict> {
        let accepted = *self.accepted.get(&scorer)?;
        let is_measured = self.otherwise != Verdict::Unmeasured;
        Some(if accepted && is_measured { Verdict::Right } else { self.otherwise })
    }

    /// Whether the greedy answer has this outcome, if commitment failures are those with a P-mass
    /// of `tau` or more.
    pub fn has_outcome(&self, outcome: Outcome, tau: f64) -> bool {
        match outcome {
            Outcome::All => self.verdict.is_counted(),
            Outcome::Hallucination => self.is_wrong(),
            Outcome::CommitmentFailure => self.is_failure(tau),
            Outcome::StrictFailure => self.is_strict_failure(tau),
            Outcome::OtherHallucination => self.is_wrong() && !self.is_failure(tau),
            Outcome::Right => self.is_right(),
        }
    }

    /// Whether this is a commitment failure: a wrong greedy answer, although the right concept's
    /// P-mass is `tau` or more.
    pub fn is_failure(&self, tau: f64) -> bool {
        self.is_wrong() && self.mass() >= tau
    }

    /// Whether this is a commitment failure that a wrong token won: its first token is not the right
    /// concept's own.
    pub fn is_strict_failure(&self, tau: f64) -> bool {
        self.is_failure(tau) && !self.first.is_own
    }

    /// Whether its first token says nothing, such as an article or a quote: it is one of those that
    /// the informative step passes over.
    pub fn says_nothing(&self) -> bool {
        self.informative.passed.contains(&self.first.text)
    }

    /// What kind of a case this is, if commitment failures are those with a P-mass of `tau` or more;
    /// none of a right answer.
    pub fn kind(&self, tau: f64) -> Option<Kind> {
        Some(match self.verdict {
            Verdict::Right => return None,
            Verdict::Unmeasured => Kind::Unmeasured,
            Verdict::Empty => Kind::Empty,
            Verdict::NotAttempted => Kind::NotAttempted,
            Verdict::Cut => Kind::Cut,
            Verdict::Wrong if self.is_strict_failure(tau) => Kind::StrictFailure,
            Verdict::Wrong if self.is_failure(tau) && !self.says_nothing() => Kind::BeginsRight,
            Verdict::Wrong if self.informative.winner_is_right => Kind::GoesWrongLater,
            Verdict::Wrong if self.says_nothing() => Kind::Uninformative,
            Verdict::Wrong => Kind::OtherWrong,
        })
    }

    /// The P-mass of the right concept.
    ///
    /// It comes from an `f32` such as 0.2, which as an `f64` is a little more or less: the decimal
    /// that was written is what is compared with a threshold.
    pub fn mass(&self) -> f64 {
        decimal(self.first.mass)
    }
}

impl Informative {
    /// Its mass, as [`Sample::mass`] is.
    pub fn mass(&self) -> f64 {
        decimal(self.mass)
    }
}

impl Exchanged {
    /// The P-mass and the informative mass, as [`Sample::mass`] is.
    pub fn masses(&self) -> (f64, f64) {
        (decimal(self.mass), decimal(self.informative_mass))
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
