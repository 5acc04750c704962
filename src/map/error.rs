use std::path::PathBuf;

use crate::error::listed;

/// Why a map or token sets cannot be built, read, saved or laid over one another.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// A vocabulary of no tokens, or of more than [`MAX_VOCAB_SIZE`](super::MAX_VOCAB_SIZE).
    #[error(
        "a vocabulary of {vocab_size} tokens cannot be mapped: the size must be from 1 to {max}",
        max = super::MAX_VOCAB_SIZE
    )]
    VocabularySize {
        /// The size that was asked for.
        vocab_size: usize,
    },

    /// A concept or probe names a token that the vocabulary does not have.
    #[error(
        "token {token} of {concept} is out of range: the vocabulary has {vocab_size} tokens, \
         ids 0 to {last}", last = vocab_size - 1
    )]
    TokenOutOfRange {
        /// The offending token id.
        token: u32,
        /// The concept or probe that claims it, as a person would call it.
        concept: String,
        /// The size of the vocabulary.
        vocab_size: usize,
    },

    /// A token is claimed by two concepts; a map is a partition.
    #[error(
        "token {token} is claimed by {first} and by {second}: a token begins one meaning only; \
         drop it from one of them, or use a ProbeSet, whose members may overlap"
    )]
    TokenInTwoConcepts {
        /// The offending token id.
        token: u32,
        /// The concept that claimed it first.
        first: String,
        /// The concept that claimed it again.
        second: String,
    },

    /// A concept or probe without a token.
    #[error("{concept} has no tokens: a concept needs at least one")]
    EmptyConcept {
        /// The concept or probe, as a person would call it.
        concept: String,
    },

    /// Two concepts of one map, or two probes of one set, have the same name.
    #[error(
        "the name {name:?} is used twice: names identify concepts; merge the two or rename one"
    )]
    DuplicateName {
        /// The name.
        name: String,
    },

    /// A dense `concept_ids[V]` holds an id that cannot be the id of a concept.
    #[error(
        "token {token} has concept id {concept}, but {vocab_size} tokens make at most {vocab_size} \
         concepts, ids 0 to {last}; number the concepts without gaps", last = vocab_size - 1
    )]
    ConceptOutOfRange {
        /// The token whose entry is wrong.
        token: u32,
        /// The concept id that it holds.
        concept: u32,
        /// The size of the vocabulary.
        vocab_size: usize,
    },

    /// A map file is not one, or not one that this version reads.
    #[error("cannot use {} as a concept map", path.as_deref().map_or("the text".into(), |p| p.display().to_string()))]
    File {
        /// The file, if the map came from one.
        path: Option<PathBuf>,
        /// What is wrong, and with which field.
        #[source]
        problem: FileProblem,
    },

    /// A concept of the lower map that would join two of the upper one, under
    /// [`OnConflict::Refuse`](crate::map::OnConflict::Refuse).
    #[error(
        "tokens {} are one concept of the lower map, but belong to {first} and to {second}; choose \
         OnConflict::LeaveOut or First",
        listed(tokens, u32::to_string)
    )]
    ConceptsMeet {
        /// The concept of the lower map.
        tokens: Vec<u32>,
        /// A concept of the upper map that it shares a token or the name with.
        first: String,
        /// Another one.
        second: String,
    },

    /// Two maps that are to become one are for vocabularies of different sizes.
    #[error(
        "a map for {upper} tokens cannot be laid over one for {lower}; build both for the width of \
         the model's output, padding included"
    )]
    Width {
        /// The upper map's vocabulary size.
        upper: usize,
        /// The lower map's.
        lower: usize,
    },
}

/// What is wrong with a file; part of [`MapError::File`], [`SourceError::AliasFile`](crate::source::SourceError::AliasFile) and others.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// The file could not be read or written.
    #[error("it cannot be read or written")]
    Io(#[from] std::io::Error),

    /// The text is not JSON, or its fields are missing, unknown, or of another type.
    #[error("field {field} cannot be read")]
    Field {
        /// The path of the field, as in `concepts[3].tokens[0]`; `.` is the whole document.
        field: String,
        /// What the parser says of it.
        source: serde_json::Error,
    },

    /// The document is something else.
    #[error("field format: expected {expected:?}, got {got:?}", expected = super::file::FORMAT)]
    Format {
        /// The `format` that the document names.
        got: String,
    },

    /// The document is of a version that this crate does not know.
    #[error(
        "field version: {got} is unknown to this version of the crate, which reads {known}; \
         update it", known = super::file::VERSION
    )]
    Version {
        /// The version that the document names.
        got: u64,
    },

    /// The fields are well formed, but what they say is no map.
    #[error("field {field} cannot be used")]
    Content {
        /// The path of the field.
        field: String,
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
