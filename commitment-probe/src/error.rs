//! What can go wrong in measuring.

use std::path::PathBuf;

use candle_core::Shape;

use crate::question::QuestionProblem;

/// `Result` with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why questions cannot be read, or a model cannot be measured.
///
/// ```
/// use commitment_probe::{Error, Question};
///
/// let error = Question::parse(r#"{"id": "a", "question": "?", "answers": []}"#).unwrap_err();
/// assert!(matches!(error, Error::QuestionFile { path: None, .. }));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A list of questions that cannot be read.
    #[error(
        "cannot use {} as questions",
        path.as_deref().map_or("the text".into(), |p| p.display().to_string())
    )]
    QuestionFile {
        /// The file, if the questions came from one.
        path: Option<PathBuf>,
        /// What is wrong, and with which question.
        #[source]
        problem: QuestionProblem,
    },

    /// An option out of range.
    #[error("{option} = {value} cannot be used: {requirement}")]
    ProbeOption {
        /// The name of the option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        requirement: &'static str,
    },

    /// A token that is to end answers, and is not in the vocabulary.
    #[error(
        "end token {token} is out of range: the vocabulary has {vocab_size} tokens; take model and \
         tokenizer from one source"
    )]
    EndToken {
        /// The id of the token.
        token: u32,
        /// The size of the vocabulary.
        vocab_size: usize,
    },

    /// A prompt without a token.
    #[error("the prompt has no tokens; give at least one for the answer to follow")]
    EmptyPrompt,

    /// A prompt and an answer that the model cannot read together.
    #[error(
        "the prompt has {prompt} tokens and an answer may have {answer}, but the model reads no more \
         than {context}; shorten the prompt or lower max_tokens"
    )]
    TooLong {
        /// The tokens of the prompt.
        prompt: usize,
        /// The maximum number of tokens of an answer.
        answer: usize,
        /// The maximum number of tokens that the model reads.
        context: usize,
    },

    /// A vocabulary of another size than the model's.
    #[error(
        "the vocabulary has {vocabulary} tokens, but the model {model}; take model and tokenizer \
         from one source"
    )]
    VocabSize {
        /// The size of the vocabulary.
        vocabulary: usize,
        /// The number of tokens that the model knows.
        model: usize,
    },

    /// A model that left out a part of what it was asked.
    #[error("the model answered only a part of what it was asked ({asked}); ask it again")]
    ShortAnswer {
        /// The method of [`LanguageModel`](crate::LanguageModel).
        asked: &'static str,
    },

    /// An error of a model that is not in this process.
    #[error("the model failed")]
    Model(#[source] Box<dyn std::error::Error + Send + Sync>),

    /// A question that is not in the plan.
    #[error("the plan has {questions} questions, and no place {place}")]
    NotPlanned {
        /// The place that was asked for.
        place: usize,
        /// The number of questions in the plan.
        questions: usize,
    },

    /// A grader is to decide what is right, and there is none.
    #[error("the scorer is a grader, but none was given; see Prober::with_grader")]
    NoGrader,

    /// An error of a grader.
    #[error("the grader failed")]
    Grader(#[source] Box<dyn std::error::Error + Send + Sync>),

    /// An error in making a prompt.
    #[error("cannot make the prompt that asks whether an answer is true")]
    Prompt(#[source] Box<dyn std::error::Error + Send + Sync>),

    /// Logits of another shape than `[N, V]`.
    #[error(
        "the model returned logits of shape {got:?} for {sequences} sequences, not [{sequences}, \
         {vocab_size}]; take model and tokenizer from one source"
    )]
    ModelOutput {
        /// The sequences that the model was given.
        sequences: usize,
        /// The width of the logits.
        vocab_size: usize,
        /// The shape of the model's logits.
        got: Shape,
    },

    /// Hidden states that cannot be had, or stored.
    #[error(transparent)]
    Hidden(#[from] crate::HiddenError),

    /// An error of a map, a kernel or a vote.
    #[error(transparent)]
    ConceptMass(#[from] concept_mass::Error),

    /// An error of candle or of a model.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// The core has an error for each of its modules; here they are one.
macro_rules! from_modules {
    ($($error:ty),*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::ConceptMass(error.into())
            }
        }
    )*};
}

from_modules!(
    concept_mass::map::MapError,
    concept_mass::source::SourceError,
    concept_mass::reduce::ReduceError,
    concept_mass::phrase::PhraseError
);
