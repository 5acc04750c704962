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

    /// The prompts of one batch have different lengths.
    #[error(
        "the prompts of one batch must be equally long, but have {first} and {other} tokens; \
         measure them in separate batches"
    )]
    UnequalPrompts {
        /// The tokens of the first prompt.
        first: usize,
        /// The tokens of the first prompt of another length.
        other: usize,
    },

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

    /// An error of a map, a kernel or a vote.
    #[error(transparent)]
    ConceptMass(#[from] concept_mass::Error),

    /// An error of candle or of a model.
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
/// assert_eq!(error.source().unwrap().to_string(), "record 1 is not a question");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuestionProblem {
    /// The file could not be read.
    #[error("it cannot be read")]
    Io(#[from] std::io::Error),

    /// The file is compressed.
    #[error("it is compressed; decompress it first, with gunzip for example")]
    Compressed,

    /// One of a file's records is not JSON, or its fields are missing or of another type.
    #[error("record {number} is not a question")]
    Record {
        /// Its number in the file, from 1.
        number: usize,
        /// The error of the parser.
        source: serde_json::Error,
    },

    /// One of a file's questions cannot be asked.
    #[error("question {question} cannot be asked")]
    Question {
        /// Its number in the file, from 1.
        question: String,
        /// What is wrong with it.
        #[source]
        problem: UnfitQuestion,
    },
}

/// Why a question cannot be asked, or cannot be found in a file's record.
///
/// ```
/// use commitment_probe::{Question, UnfitQuestion};
///
/// let error = Question::new("a", " ", vec!["b".into()], Default::default()).unwrap_err();
/// assert_eq!(error, UnfitQuestion::NoText);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnfitQuestion {
    /// Its text is blank: nothing in it is visible.
    #[error("it has no text")]
    NoText,

    /// It has no acceptable form of an answer, or only blank ones.
    #[error("it has no answers")]
    NoAnswers,

    /// Another answer has no forms, or only blank ones.
    #[error("{name:?}, one of its others, has no forms")]
    NoForms {
        /// The name of that answer.
        name: String,
    },

    /// The answer is also one of the others.
    #[error("{name:?} is the answer, and one of its others")]
    AnswerAmongOthers {
        /// The usual form of the answer.
        name: String,
    },

    /// Another question of the list has its id.
    #[error("its id {id:?} is taken; ids must be unique")]
    TakenId {
        /// The id.
        id: String,
    },

    /// Its fields are those of no known layout.
    #[error(
        "its layout is not known; write a line for each question, like \
         {{\"id\": \"1\", \"question\": \"…\", \"answers\": [\"a form\", \"another\"]}}"
    )]
    UnknownLayout,

    /// A field of its layout is missing.
    #[error("it has no {field}")]
    NoField {
        /// The field.
        field: &'static str,
    },

    /// A short answer of Natural Questions points out of its document.
    #[error("a short answer is of words {start} to {end}, of {words}")]
    ShortAnswer {
        /// Its first word.
        start: usize,
        /// The word after its last.
        end: usize,
        /// The words of the document.
        words: usize,
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
