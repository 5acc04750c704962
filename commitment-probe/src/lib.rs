//! Commitment failures: how often does a model know the answer, and say another?
//!
//! Yeom et al. (2026, <https://arxiv.org/abs/2605.22007>) call a wrong greedy answer a *commitment
//! failure* if the right concept has a P-mass of τ = 0.2 or more: enough of the first token's
//! probability, but split over several spellings. This module measures that, and what surrounds
//! it, on any [`NextLogits`](concept_mass::phrase::NextLogits); the program `commitment-probe` does it for models
//! in files.
//!
//! ```text
//! Question ─▶ Prober ─▶ Sample ─┐
//! Question ─▶ Prober ─▶ Sample ─┼─▶ Summary of a run ─┬─▶ Report: Markdown, JSON, HTML
//! …                             ┘   Summary of another┘
//! ```
//!
//! - A [`Question`] comes with the forms in which it may be answered; [`Question::load`] reads
//!   lists of them, TriviaQA's and Natural Questions' among them.
//! - The [`Prober`] asks a model, and gives a [`Sample`] for each question: what wins, the P-mass
//!   of the right concept and its concentration, entropies, what other ways of counting would have
//!   said, and answers sampled at a temperature.
//! - A [`Summary`] is what the samples of a run come to, by the functions of [`stats`].
//! - A [`Report`] shows several runs side by side.
//!
//! # Definitions
//!
//! Those of the paper as far as it states them, and ours:
//!
//! | quantity | definition |
//! | --- | --- |
//! | hallucination | the greedy answer [matches](is_match) no acceptable form |
//! | P-mass | the probability of all tokens that begin an acceptable form after the prompt, as [`Aliases::after`](concept_mass::source::Aliases::after) finds them; forms may share tokens with other answers |
//! | commitment failure | a hallucination with a P-mass of τ or more |
//! | concentration | the share of the P-mass that its likeliest token has |
//! | wrong-winner confidence | the probability of the first token of a hallucination |
//! | second-token entropy | the entropy after the greedy first token; where the first two tokens are a valid prefix (of an acceptable form, or all of one and an end), and where they are not |
//! | phrase mass | the probability of all acceptable forms, whole and ended, with or without a full stop; forms whose first token has less than 10⁻⁴ are left out |
//! | decision by aliases | the argmax over concepts, where the right answer is one, each other answer that is named is one, and every other token is its own; a token that begins two is its own |
//! | decision by spelling, by embedding | the same without knowing any answer: tokens that are [one word](concept_mass::source::Spelling), or those of the likeliest whose rows in the model's [embedding](concept_mass::source::Embedding) point the same way |
//! | decision by phrases | the largest mass of a whole answer: the right one, those that are named, and the greedy one |
//! | semantic entropy | over the clusters of sampled answers, by their counts: the discrete estimate of Farquhar et al. (2024); answers are one cluster if they are equal once [normalised](normalise_answer), or if a [judge](Prober::with_judge), as a model of entailment, says so |
//!
//! Decisions by aliases and by phrases know what is right. They say what counting meanings could
//! gain at the most, not what a decoder can do on questions whose answers nobody knows.

mod answer;
mod error;
mod keys;
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
