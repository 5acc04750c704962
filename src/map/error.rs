use std::{fmt, path::PathBuf};

use crate::error::{file_or, listed};

/// Why a map or token sets cannot be built, read, saved or combined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// The vocabulary is empty, or larger than [`MAX_VOCAB_SIZE`](super::MAX_VOCAB_SIZE).
    #[error(
        "vocab_size is {vocab_size}, but must be from 1 to {max}: use the width of the model's \
         logits", max = super::MAX_VOCAB_SIZE
    )]
    VocabularySize {
        /// The size that was asked for.
        vocab_size: usize,
    },

    /// A token id is not below the vocabulary size.
    #[error(
        "token {token} of {concept} is out of range: the vocabulary has {vocab_size} tokens, \
         with ids 0 to {last}; take the ids, and that size, the width of the logits, from one model",
        last = vocab_size.saturating_sub(1)
    )]
    TokenOutOfRange {
        /// The offending token id.
        token: u32,
        /// What holds the token, for people: `concept "Moscow"`, `set "right"`.
        concept: String,
        /// The size of the vocabulary.
        vocab_size: usize,
    },

    /// Two concepts claim the same token, but a map is a partition.
    #[error(
        "token {token} is claimed by {first} and by {second}, but a token belongs to one concept: \
         drop it from one of them, or use TokenSets, which may overlap"
    )]
    TokenInTwoConcepts {
        /// The offending token id.
        token: u32,
        /// The concept that claimed it first, for people.
        first: String,
        /// The concept that claimed it again, for people.
        second: String,
    },

    /// A concept or a token set has no tokens.
    #[error("{concept} has no tokens: give it at least one, or leave it out")]
    EmptyConcept {
        /// The concept or set, for people: `concept "Moscow"`, `set "right"`.
        concept: String,
    },

    /// Two concepts of one map, or two of the token sets, have the same name.
    #[error(
        "the name {name:?} is used twice, but names must be unique: merge the two or rename one"
    )]
    DuplicateName {
        /// The name.
        name: String,
    },

    /// A dense `concept_ids[V]` holds an id that is not below `V`.
    #[error(
        "token {token} has concept id {concept}, but {vocab_size} tokens make at most \
         {vocab_size} concepts, with ids 0 to {last}: number the concepts without gaps",
        last = vocab_size.saturating_sub(1)
    )]
    ConceptOutOfRange {
        /// The token whose entry is wrong.
        token: u32,
        /// The concept id in that entry.
        concept: u32,
        /// The size of the vocabulary.
        vocab_size: usize,
    },

    /// A map file cannot be read, or is not a map file.
    #[error("cannot use {} as a concept map", file_or(path, "the text"))]
    File {
        /// The file; `None` if the map came from a string.
        path: Option<PathBuf>,
        /// What is wrong, and with which field.
        #[source]
        problem: FileProblem,
    },

    /// A map cannot be written to a file.
    #[error(
        "cannot write the concept map to {}: choose a file in a folder that exists and may be \
         written to", path.display()
    )]
    Save {
        /// The file.
        path: PathBuf,
        /// The error of the file system.
        source: std::io::Error,
    },

    /// A concept of the lower map would join two concepts of the upper one, under
    /// [`OnConflict::Refuse`](super::OnConflict::Refuse).
    #[error(
        "tokens {} are one concept of the lower map, but in the upper map they belong to {first} \
         and to {second}: choose OnConflict::LeaveOut or OnConflict::First",
        listed(tokens, u32::to_string)
    )]
    ConceptsMeet {
        /// The tokens of the lower map's concept.
        tokens: Vec<u32>,
        /// The first concept of the upper map that shares a token or the name with it, for people.
        first: String,
        /// The second one.
        second: String,
    },

    /// Two maps to be combined are for vocabularies of different sizes.
    #[error(
        "a map for {upper} tokens cannot be laid over a map for {lower}: build both for the width \
         of the model's logits, padding included"
    )]
    Width {
        /// The upper map's vocabulary size.
        upper: usize,
        /// The lower map's vocabulary size.
        lower: usize,
    },
}

/// What is wrong with a JSON file; the cause within [`MapError::File`] and
/// [`SourceError::AliasFile`](crate::source::SourceError::AliasFile).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// The file could not be read.
    #[error("the file cannot be read; check that it exists and may be read")]
    Io(#[from] std::io::Error),

    /// The text is not JSON, or a field is missing, unknown, or of the wrong type.
    #[error("{} cannot be read", Field(field))]
    Field {
        /// The path of the field, as in `concepts[3].tokens[0]`; `.` is the whole document.
        field: String,
        /// The parser's error.
        source: serde_json::Error,
    },

    /// The document is not a map file.
    #[error(
        "field format: expected {expected:?}, got {got:?}; use a file that ConceptMap::save wrote",
        expected = super::file::FORMAT
    )]
    Format {
        /// The value of the field `format`.
        got: String,
    },

    /// The document has a version that this crate does not know.
    #[error(
        "field version: this version of concept-mass reads version {known}, got {got}; update the \
         crate or write the map again", known = super::file::VERSION
    )]
    Version {
        /// The value of the field `version`.
        got: u64,
    },

    /// The fields are well formed, but their values are not valid.
    #[error("{} is not valid", Field(field))]
    Content {
        /// The path of the field, as in `concepts[3]`.
        field: String,
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A field's path within a sentence.
struct Field<'a>(&'a str);

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "." => f.write_str("the document"),
            path => write!(f, "field {path}"),
        }
    }
}
