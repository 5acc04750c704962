use std::path::PathBuf;

use candle_core::{DType, Shape};

#[cfg(feature = "tokenizers")]
use super::{Beginning, SharedToken};
use crate::error::file_or;
#[cfg(feature = "tokenizers")]
use crate::error::listed;
use crate::map::{FileProblem, MapError};

/// Why a source cannot be used, or gives no map.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A file of aliases cannot be read, or is not a list of aliases.
    #[error(
        "cannot use {} as aliases, which must look like \
         {{\"Concept\": [\"form\", \"another form\"]}}",
        file_or(path, "the text")
    )]
    AliasFile {
        /// The file; `None` if the aliases came from a string.
        path: Option<PathBuf>,
        /// What is wrong, and with which field.
        #[source]
        problem: FileProblem,
    },

    /// A concept has no forms.
    #[error("concept {concept:?} has no forms: give at least one way to spell it")]
    NoForms {
        /// The concept's name.
        concept: String,
    },

    /// A concept has more than 65,536 forms.
    #[cfg(feature = "tokenizers")]
    #[error(
        "concept {concept:?} has more than {max} forms: leave some out", max = super::MAX_FORMS
    )]
    TooManyForms {
        /// The concept's name.
        concept: String,
    },

    /// A form has no visible character.
    #[error("form {index} of concept {concept:?} has no visible character: remove it")]
    EmptyForm {
        /// The concept's name.
        concept: String,
        /// The form's place in the concept's list, from 0.
        index: usize,
    },

    /// None of a concept's forms has a first token that the model could emit.
    #[cfg(feature = "tokenizers")]
    #[error(
        "no form of concept {concept:?} can begin an answer ({}): give other forms, or end the \
         prompt elsewhere", listed(forms, |(form, why)| format!("{form:?} is {why}"))
    )]
    NoBeginning {
        /// The concept's name.
        concept: String,
        /// Its forms, with the space before them if there is one, and what is wrong with each.
        forms: Vec<(String, Beginning)>,
    },

    /// Tokens begin forms of two concepts or more, under
    /// [`OnConflict::Refuse`](crate::map::OnConflict::Refuse).
    #[cfg(feature = "tokenizers")]
    #[error(
        "{}: drop forms, choose OnConflict::LeaveOut or OnConflict::First, or use token sets, which \
         may overlap",
        listed(shared, SharedToken::to_string)
    )]
    SharedTokens {
        /// The tokens, and the forms that begin with each.
        shared: Vec<SharedToken>,
    },

    /// The tokenizer cannot be loaded or set up.
    #[cfg(feature = "tokenizers")]
    #[error(
        "cannot use {}: a tokenizer.json of Hugging Face is needed",
        file_or(path, "the tokenizer")
    )]
    Tokenizer {
        /// The file; `None` if the tokenizer was passed in.
        path: Option<PathBuf>,
        /// The error of the tokenizers library.
        source: tokenizers::Error,
    },

    /// The tokenizer has tokens beyond the width of the logits.
    #[cfg(feature = "tokenizers")]
    #[error(
        "cannot use {}: it has {known} tokens, with ids up to {id}, but the logits have \
         {vocab_size} columns; take the tokenizer and the width from the same model",
        file_or(path, "the tokenizer")
    )]
    TokenizerTooLarge {
        /// The file; `None` if the tokenizer was passed in.
        path: Option<PathBuf>,
        /// The number of its tokens.
        known: usize,
        /// Its highest token id.
        id: u32,
        /// The number of columns of the logits.
        vocab_size: usize,
    },

    /// A vocabulary has fewer tokens than the map that it is used with.
    #[cfg(feature = "tokenizers")]
    #[error(
        "a vocabulary of {tokens} tokens does not cover a map of {vocab_size}: build both for the \
         width of the model's logits, padding included"
    )]
    VocabularyTokens {
        /// The number of tokens in the vocabulary.
        tokens: usize,
        /// The number of tokens in the map.
        vocab_size: usize,
    },

    /// The tokenizer fails to encode a text.
    #[cfg(feature = "tokenizers")]
    #[error("the tokenizer cannot encode {text:?}: change the text, or use another tokenizer")]
    Encode {
        /// The text.
        text: String,
        /// The error of the tokenizers library.
        source: tokenizers::Error,
    },

    /// The tokenizer fails to decode some tokens.
    #[cfg(feature = "tokenizers")]
    #[error(
        "the tokenizer cannot decode tokens {}: use the tokenizer of the model that emitted them",
        listed(tokens, u32::to_string)
    )]
    Decode {
        /// The tokens.
        tokens: Vec<u32>,
        /// The error of the tokenizers library.
        source: tokenizers::Error,
    },

    /// A [`Judge`](super::Judge) failed, or returned groups that are not valid.
    #[cfg(feature = "tokenizers")]
    #[error("the judge failed; put right what the cause of this error names, and ask again")]
    Judge {
        /// The judge's own error, or what is wrong with its groups.
        source: super::JudgeError,
    },

    /// An embedding is not a matrix, is empty, or is too large.
    #[error(
        "an embedding must have shape [V, D], a row for each token, with V from 1 to {max_rows} and \
         D from 1 to {max_columns}, got {shape:?}",
        max_rows = crate::map::MAX_VOCAB_SIZE, max_columns = super::embedding::MAX_COLUMNS
    )]
    EmbeddingShape {
        /// The shape of the tensor.
        shape: Shape,
    },

    /// An embedding has a dtype that cosines cannot be computed from.
    #[error(
        "an embedding must be of dtype f32, f16, bf16 or f64, got {got:?}: dequantise it first"
    )]
    EmbeddingDType {
        /// The dtype of the tensor.
        got: DType,
    },

    /// An embedding has fewer rows than the map has tokens.
    #[error(
        "an embedding of {rows} rows does not cover a map of {vocab_size} tokens: take the \
         embedding, or the output layer, of the model that the logits come from"
    )]
    EmbeddingRows {
        /// The number of rows of the matrix.
        rows: usize,
        /// The number of tokens in the map.
        vocab_size: usize,
    },

    /// The rows of so many tokens do not fit into memory.
    #[error(
        "{tokens} rows of {columns} columns do not fit into memory: group fewer tokens at a time"
    )]
    EmbeddingMemory {
        /// The number of tokens or phrases.
        tokens: usize,
        /// The number of columns of the embedding.
        columns: usize,
    },

    /// Too many tokens lie close to one another to be grouped with reasonable effort.
    #[error(
        "{tokens} of the tokens are too close to one another to be grouped at threshold \
         {threshold}: raise the threshold, or choose fewer tokens"
    )]
    TooManyNeighbours {
        /// The number of tokens that are linked by close pairs.
        tokens: usize,
        /// The threshold.
        threshold: f32,
    },

    /// A threshold is not a cosine.
    #[error("threshold is {value}, but must be a cosine, from -1 to 1")]
    Threshold {
        /// The threshold.
        value: f32,
    },

    /// An error of the map.
    #[error(transparent)]
    Map(#[from] MapError),

    /// An error of candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
