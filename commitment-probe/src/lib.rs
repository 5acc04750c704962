//! Commitment failures: how often does a model know the answer, and say another?
//!
//! Yeom et al. (2026, <https://arxiv.org/abs/2605.22007>) call a wrong greedy answer a *commitment
//! failure* if the right concept has a P-mass of τ = 0.2 or more: enough of the first token's
//! probability, but split over several spellings. This crate measures commitment failures, and
//! related quantities, of any [`LanguageModel`]; the program `commitment-probe` does so for models
//! in files.
//!
//! ```text
//! Question ─▶ Prober ─▶ Sample ─┐
//! Question ─▶ Prober ─▶ Sample ─┼─▶ Summary of a run ─┬─▶ Report: Markdown, JSON, HTML
//! …                             ┘   Summary of another┘
//! ```
//!
//! - A [`Question`] comes with the acceptable forms of its answer; [`Questions::load`] reads lists
//!   of questions in the layouts of the usual data sets.
//! - A [`LanguageModel`] is what the probe asks of a model; [`InProcess`] answers by logits.
//! - The [`Prober`] puts questions to a model and returns a [`Sample`] for each: what wins, the
//!   P-mass of the right concept and its concentration at two steps, the same with the forms of
//!   other questions, entropies, the decisions of other decoders, and sampled answers.
//! - A [`Scorer`] decides what is right.
//! - A [`Summary`] aggregates the samples of a run, by the functions of [`stats`]; a [`Comparison`]
//!   holds two runs against each other.
//! - [`HiddenStates`] are what the model had in its blocks when it was to answer; [`Hidden`] says what
//!   they know.
//! - A [`Report`] shows several runs side by side, with the [`Evidence`] of each: how it was made,
//!   and cases of every [`Kind`].
//!
//! Results are keyed by [`Decoder`], [`Detector`], [`Kind`], [`Outcome`], [`Scorer`] and
//! [`Verdict`], and files carry the version of their layout, a [`Schema`].
//!
//! Every quantity is defined in `docs/MEASURES.md` of the repository.

mod comparison;
mod error;
mod evidence;
#[macro_use]
mod keys;
mod hidden;
mod in_process;
mod line;
mod measure;
mod model;
mod prefix_cache;
mod question;
mod report;
mod sample;
mod schema;
mod scorer;
pub mod stats;
mod stops;
mod summarise;
mod summary;

pub use comparison::{Compared, Comparison, Paired, Trends};
pub use error::{Error, Result};
pub use evidence::{Cases, Evidence};
pub use hidden::{
    Area, Blocks, Chosen, Contrast, Contrasted, FOLDS, Grouping, Hidden, HiddenError, HiddenState,
    HiddenStates, HiddenWriter, Place, Predictors, WhyNot, mean_embedding, read_states,
};
pub use in_process::{InProcess, LogitsModel};
pub use keys::{Decoder, Detector, Kind, Outcome, Verdict};
pub use measure::{Asked, Doubt, Grade, Grader, Plan, ProbeOptions, Prober, TEMPERATURES, doubt};
pub use model::{Continued, LanguageModel, Sampling, Start, States, Step, Until};
pub use prefix_cache::PrefixCache;
pub use question::{Layout, Question, QuestionProblem, Questions, UnfitQuestion};
pub use report::{Pages, Report};
pub use sample::{
    AtTemperature, COMPETING, Competing, Decision, Exchanged, FirstStep, Informative, LaterStep,
    Sample, Sampled, SampledAnswer, Sequence, Vote,
};
pub use schema::Schema;
pub use scorer::{
    Accepted, Scorer, begins_with, contained, is_match, is_not_attempted, normalise_answer,
    num_words, words,
};
pub use stops::Stops;
pub use summary::{
    ByOutcome, Concentration, DecoderSummary, Entropies, Entropy, Failures, Later, MassAt, Matched,
    Member, Pair, Rate, Rates, SampledShares, SampledSummary, Summary, Temperature, Threshold,
};
