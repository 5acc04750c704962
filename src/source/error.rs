use std::path::PathBuf;

use candle_core::{DType, Shape};

#[cfg(feature = "tokenizers")]
use super::{Beginning, SharedToken};
use crate::{
    error::listed,
    map::{FileProblem, MapError},
};

/// Why a source gives no map.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A list of aliases is not one.
    #[error(
        "cannot use {} as aliases, which are an object like {{\"Concept\": [\"form\", \"another form\"]}}",
        path.as_deref().map_or("the text".into(), |p| p.display().to_string())
    )]
    AliasFile {
        /// The file, if the aliases came from one.
        path: Option<PathBuf>,
        /// What is wrong, and with which field.
        #[source]
        problem: FileProblem,
    },

    /// A concept without a form.
    #[error("concept {concept:?} has no forms: give at least one in which it may be spelt")]
    NoForms {
        /// The concept's name.
        concept: String,
    },

    /// A form of nothing but white space.
    #[error("form {index} of concept {concept:?} is empty: a form is a word or more; remove it")]
    EmptyForm {
        /// The concept's name.
        concept: String,
        /// Its place among the concept's forms, from 0.
        index: usize,
    },

    /// A concept none of whose forms has a first token that the model could emit.
    #[cfg(feature = "tokenizers")]
    #[error(
        "no form of concept {concept:?} can begin an answer: {}; give other forms, or end the \
         prompt elsewhere", listed(forms, |(form, why)| format!("{form:?} is {why}"))
    )]
    NoBeginning {
        /// The concept's name.
        concept: String,
        /// Its forms, as put behind the prompt, and what is wrong with each.
        forms: Vec<(String, Beginning)>,
    },

    /// Tokens that begin forms of two concepts or more, under
    /// [`OnConflict::Refuse`](crate::map::OnConflict::Refuse).
    #[cfg(feature = "tokenizers")]
    #[error(
        "{}; drop forms, choose OnConflict::LeaveOut or First, or use probes, which may overlap",
        listed(shared, SharedToken::to_string)
    )]
    SharedTokens {
        /// The tokens, and who claims them.
        shared: Vec<SharedToken>,
    },

    /// A tokenizer that cannot be used.
    #[cfg(feature = "tokenizers")]
    #[error(
        "cannot use {}, which must be a Hugging Face tokenizer",
        path.as_deref().map_or("the tokenizer".into(), |p| p.display().to_string())
    )]
    Tokenizer {
        /// The file, if the tokenizer came from one.
        path: Option<PathBuf>,
        /// What the tokenizers library says.
        source: tokenizers::Error,
    },

    /// A tokenizer with tokens beyond the width of the logits.
    #[cfg(feature = "tokenizers")]
    #[error(
        "cannot use {}: it knows {known} tokens, one of them with id {id}, and the logits have \
         {vocab_size} columns; take both from one model",
        path.as_deref().map_or("the tokenizer".into(), |p| p.display().to_string())
    )]
    TokenizerTooLarge {
        /// The file, if the tokenizer came from one.
        path: Option<PathBuf>,
        /// The number of its tokens.
        known: usize,
        /// The id of one that has no column.
        id: u32,
        /// The columns of the logits.
        vocab_size: usize,
    },

    /// A text that the tokenizer fails over.
    #[cfg(feature = "tokenizers")]
    #[error("the tokenizer cannot encode {text:?}")]
    Encode {
        /// The text.
        text: String,
        /// What the tokenizers library says.
        source: tokenizers::Error,
    },

    /// Tokens that the tokenizer fails over.
    #[cfg(feature = "tokenizers")]
    #[error("the tokenizer cannot decode")]
    Decode {
        /// What the tokenizers library says.
        source: tokenizers::Error,
    },

    /// A [`Judge`](super::Judge) that failed, or whose groups are none.
    #[cfg(feature = "tokenizers")]
    #[error("the judge failed")]
    Judge {
        /// What it says, or what is wrong with its groups.
        source: super::JudgeError,
    },

    /// An embedding that is no matrix.
    #[error("an embedding must have shape [V, D], a row for each token, got {shape:?}")]
    EmbeddingShape {
        /// The shape of the tensor given.
        shape: Shape,
    },

    /// An embedding of whole numbers.
    #[error("an embedding must be of a floating-point dtype, got {got:?}; dequantise it first")]
    EmbeddingDType {
        /// The dtype of the tensor given.
        got: DType,
    },

    /// An embedding of fewer tokens than the map has.
    #[error(
        "an embedding of {rows} rows cannot tell of {vocab_size} tokens; take the embedding, or \
         the output layer, of the model that the logits are from"
    )]
    EmbeddingRows {
        /// The rows of the matrix.
        rows: usize,
        /// The tokens of the map.
        vocab_size: usize,
    },

    /// So many tokens lie so close to each other that they cannot be told apart with sensible
    /// effort.
    #[error(
        "of the candidates, {tokens} are too close to each other to be grouped at a threshold of \
         {threshold}; raise it, or choose fewer candidates"
    )]
    TooManyNeighbours {
        /// The number of tokens that hang together.
        tokens: usize,
        /// The threshold.
        threshold: f32,
    },

    /// A threshold that no two rows of an embedding can reach.
    #[error("threshold = {value} is out of range: it is a cosine, from -1 to 1")]
    Threshold {
        /// The threshold.
        value: f32,
    },

    /// What is wrong with the map.
    #[error(transparent)]
    Map(#[from] MapError),

    /// What candle complains of.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
