//! What can go wrong in measuring.

use std::path::PathBuf;

use candle_core::Shape;

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
    /// A list of questions is not one.
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

    /// An option that nothing can be measured with.
    #[error("{option} = {value} cannot be used: {requirement}")]
    ProbeOption {
        /// The name of the option.
        option: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        requirement: &'static str,
    },

    /// A prompt without a token.
    #[error("the prompt is empty: give the tokens that the answer is to follow")]
    EmptyPrompt,

    /// A prompt and an answer that the model cannot read together.
    #[error(
        "the prompt has {prompt} tokens and an answer may have {answer}, but the model reads no more \
         than {context}; shorten the prompt, or lower max_tokens"
    )]
    TooLong {
        /// The tokens of the prompt.
        prompt: usize,
        /// The most tokens of an answer.
        answer: usize,
        /// The most tokens that the model reads.
        context: usize,
    },

    /// The prompts of one batch have different lengths.
    #[error(
        "questions of one batch need prompts of one length, got {first} tokens and {other}; measure \
         them in different batches"
    )]
    UnequalPrompts {
        /// The tokens of the first prompt.
        first: usize,
        /// The tokens of the first prompt of another length.
        other: usize,
    },

    /// Logits of another shape than `[N, V]`.
    #[error(
        "for {sequences} sequences and {vocab_size} tokens the model gave logits of shape {got:?}, \
         not [{sequences}, {vocab_size}]; take model and tokenizer from one source"
    )]
    ModelOutput {
        /// The sequences that the model was given.
        sequences: usize,
        /// The width of the logits.
        vocab_size: usize,
        /// The shape of the model's logits.
        got: Shape,
    },

    /// What the kernels or the sources of maps complain of.
    #[error(transparent)]
    ConceptMass(#[from] concept_mass::Error),

    /// What candle or a model complains of.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// What is wrong with a list of questions.
///
/// ```
/// use std::error::Error;
/// use commitment_probe::Question;
///
/// let error = Question::parse(r#"{"id": 1"#).unwrap_err();
/// assert_eq!(error.source().unwrap().to_string(), "record 1 is no question");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuestionProblem {
    /// The file could not be read.
    #[error("it cannot be read")]
    Io(#[from] std::io::Error),

    /// The file is compressed.
    #[error("it is compressed; decompress it first, as with gunzip")]
    Compressed,

    /// One of a file's records is not JSON, or its fields are missing or of another type.
    #[error("record {number} is no question")]
    Record {
        /// Its number in the file, from 1.
        number: usize,
        /// What the parser says of it.
        source: serde_json::Error,
    },

    /// One of a file's questions cannot be asked.
    #[error("question {question}: {problem}")]
    Question {
        /// Its number in the file, from 1.
        question: String,
        /// What is wrong with it.
        problem: String,
    },
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
