//! Commitment failures: how often does a model know the answer, and say another?
//!
//! Yeom et al. (2026, <https://arxiv.org/abs/2605.22007>) call a wrong greedy answer a *commitment
//! failure* if the right concept has a P-mass of τ = 0.2 or more: enough of the first token's
//! probability, but split over several spellings. This crate measures commitment failures, and
//! related quantities, of any model that implements
//! [`NextLogits`](concept_mass::phrase::NextLogits); the program `commitment-probe` does so for
//! models in files.
//!
//! ```text
//! Question ─▶ Prober ─▶ Sample ─┐
//! Question ─▶ Prober ─▶ Sample ─┼─▶ Summary of a run ─┬─▶ Report: Markdown, JSON, HTML
//! …                             ┘   Summary of another┘
//! ```
//!
//! - A [`Question`] comes with the acceptable forms of its answer; [`Question::load`] reads lists
//!   of questions, such as TriviaQA's and Natural Questions'.
//! - The [`Prober`] puts questions to a model and returns a [`Sample`] for each: what wins, the
//!   P-mass of the right concept and its concentration, entropies, the decisions of other decoders,
//!   and answers sampled at a temperature.
//! - A [`Summary`] aggregates the samples of a run, by the functions of [`stats`].
//! - A [`Report`] shows several runs side by side.
//!
//! Results are keyed by [`Decoder`], [`Detector`] and [`Outcome`], and files carry the version of
//! their layout, a [`Schema`].
//!
//! # Definitions
//!
//! Those of the paper where it states them, and ours elsewhere:
//!
//! | quantity | definition |
//! | --- | --- |
//! | hallucination | the greedy answer [matches](is_match) no acceptable form |
//! | P-mass | the probability of all tokens that begin an acceptable form after the prompt, as [`Aliases::after`](concept_mass::source::Aliases::after) finds them; forms may share tokens with other answers |
//! | commitment failure | a hallucination with a P-mass of τ or more |
//! | concentration | the share of the P-mass that its likeliest token has |
//! | wrong-winner confidence | the probability of the first token of a hallucination |
//! | second-token entropy | the entropy after the greedy first token; separately where the first two tokens are a valid prefix (the beginning of an acceptable form, or all of one and an end) and where they are not |
//! | phrase mass | the probability of all acceptable forms, complete and ended, with or without a full stop; forms whose first token has a probability below 10⁻⁴ are left out |
//! | decision by aliases | the argmax over concepts: the right answer, each other answer that is named, and every remaining token by itself; a token that begins two answers stands by itself |
//! | decision by spelling, by embedding | the same without knowing any answer: tokens that are [one word](concept_mass::source::Spelling) are a concept, or likely tokens whose rows in the model's [embedding](concept_mass::source::Embedding) point the same way |
//! | decision by phrases | the largest mass of a whole answer, among the right one, those that are named, and the greedy one |
//! | semantic entropy | the entropy over clusters of sampled answers, by their counts: the discrete estimate of Farquhar et al. (2024); answers are in one cluster if they are equal once [normalised](normalise_answer), or if a [judge](Prober::with_judge), such as a model of entailment, says so |
//!
//! Decisions by aliases and by phrases use the acceptable forms of the answer. They bound what
//! counting meanings can gain, and cannot be made where the answer is unknown.

mod answer;
mod error;
mod keys;
mod line;
mod measure;
mod question;
mod report;
mod sample;
mod schema;
pub mod stats;
mod summarise;
mod summary;

pub use answer::{is_match, normalise_answer};
pub use error::{Error, QuestionProblem, Result, UnfitQuestion};
pub use keys::{Decoder, Detector, Outcome};
pub use measure::{Asked, ProbeOptions, Prober, TEMPERATURES};
pub use question::Question;
pub use report::Report;
pub use sample::{
    AtTemperature, Decision, FirstStep, Sample, Sampled, SampledAnswer, SecondStep, Vote,
};
pub use schema::Schema;
pub use summary::{
    ByOutcome, Concentration, DecoderSummary, Difference, MassAt, Matched, SampledShares,
    SampledSummary, SecondToken, Summary, Temperature, Threshold,
};
