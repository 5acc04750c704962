use std::path::PathBuf;

use candle_core::{DType, DeviceLocation, Shape};

use crate::reduce::Status;

/// `Result` with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong: each variant says what was wrong, with which value, and what to
/// do about it.
///
/// Converts into [`candle_core::Error`], so that `?` works inside a candle model or loop.
///
/// ```
/// use concept_mass::{ConceptMap, Error};
///
/// let error = ConceptMap::builder(10).concept("too far", [3, 10]).unwrap_err();
/// assert!(matches!(error, Error::TokenOutOfRange { token: 10, vocab_size: 10, .. }));
/// println!("{error}");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A vocabulary of no tokens, or of more than [`MAX_VOCAB_SIZE`](crate::MAX_VOCAB_SIZE).
    #[error(
        "a vocabulary of {vocab_size} tokens cannot be mapped: the size must be from 1 to {max}",
        max = crate::MAX_VOCAB_SIZE
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
    #[error("{}: {problem}", path.as_deref().map_or("concept map".into(), |p| p.display().to_string()))]
    MapFile {
        /// The file, if the map came from one.
        path: Option<PathBuf>,
        /// What is wrong, and with which field.
        problem: MapFileProblem,
    },

    /// Logits of a rank other than 1 or 2.
    #[error("logits must have shape [V] or [B, V], got {shape:?}; select the last position first")]
    LogitsRank {
        /// The shape of the tensor given.
        shape: Shape,
    },

    /// Logits for a vocabulary of another size than the map's.
    #[error(
        "logits have {got} columns, but the map is for a vocabulary of {expected} tokens; build \
         the map for the width of the model's output, padding included"
    )]
    LogitsWidth {
        /// The map's vocabulary size.
        expected: usize,
        /// The logits' last dimension.
        got: usize,
    },

    /// Logits of a dtype that is not reduced.
    #[error("logits of dtype {got:?} are not supported: convert to F32, F16 or BF16 first")]
    LogitsDType {
        /// The dtype of the tensor given.
        got: DType,
    },

    /// Logits on another device than the map.
    #[error(
        "logits are on {got:?}, but the map is on {expected:?}; call to_device(logits.device()) \
         on the map, once"
    )]
    LogitsDevice {
        /// Where the map is.
        expected: DeviceLocation,
        /// Where the logits are.
        got: DeviceLocation,
    },

    /// A device that this build cannot reduce on.
    #[error(
        "maps cannot be used on {device:?}: this build reduces on {}",
        if cfg!(feature = "cuda") { "the CPU and on CUDA devices" }
        else { "the CPU only; for CUDA devices, build with the feature `cuda`" }
    )]
    UnsupportedDevice {
        /// The device asked for.
        device: DeviceLocation,
    },

    /// A CUDA device did not do what it was asked to.
    ///
    /// After a fault in a kernel, of whomever, every call on the device fails.
    #[error("{device:?} failed to {action}: {source}")]
    DeviceFailed {
        /// The device.
        device: DeviceLocation,
        /// What was asked of it.
        action: &'static str,
        /// What the driver says.
        source: Box<candle_core::Error>,
    },

    /// A CUDA graph is being captured, and an operation needs more memory than this thread has
    /// set aside on the device so far.
    #[error(
        "this thread has not worked on so many logits on this device before, and memory cannot be \
         set aside while a CUDA graph is captured; do the same once before the capture"
    )]
    CaptureBeforeUse,

    /// Noise on another device than the map.
    #[error(
        "the noise is on {got:?}, but the map is on {expected:?}; make the noise with \
         Noise::new(seed, map.device())"
    )]
    NoiseDevice {
        /// Where the map is.
        expected: DeviceLocation,
        /// Where the noise is.
        got: DeviceLocation,
    },

    /// A row of logits that has no winner.
    #[error("row {row} of the logits has no winner: it {status}")]
    BadRow {
        /// The row's index in the batch.
        row: usize,
        /// What the row holds.
        status: Status,
    },

    /// Logits of several rows where one was asked for.
    #[error("logits hold {rows} rows, but one token was asked for; use sample_batch")]
    NotOneRow {
        /// The number of rows.
        rows: usize,
    },

    /// A sampling parameter outside its range.
    #[error("{parameter} = {value} is out of range: {requirement}")]
    SamplingParameter {
        /// The parameter's name.
        parameter: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        requirement: &'static str,
    },

    /// Weights that cannot be sampled from: after the caller's own change of them, one is
    /// negative or no number, or all are zero.
    #[error("row {row} cannot be sampled: {problem}")]
    Weights {
        /// The row's index in the batch.
        row: usize,
        /// What is wrong with the weights.
        problem: String,
    },

    /// An error of candle's own.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// What is wrong with a map file; part of [`Error::MapFile`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapFileProblem {
    /// The file could not be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),

    /// The text is not JSON, or its fields are missing, unknown, or of another type.
    #[error("field {field}: {source}")]
    Field {
        /// The path of the field, as in `concepts[3].tokens[0]`; `.` is the whole document.
        field: String,
        /// What the parser says of it.
        source: serde_json::Error,
    },

    /// The document is something else.
    #[error("field format: expected {expected:?}, got {got:?}", expected = crate::concept::FORMAT)]
    Format {
        /// The `format` that the document names.
        got: String,
    },

    /// The document is of a version that this crate does not know.
    #[error(
        "field version: {got} is unknown to this version of the crate, which reads {known}; \
         update it", known = crate::concept::VERSION
    )]
    Version {
        /// The version that the document names.
        got: u64,
    },

    /// The fields are well formed, but what they say is no map.
    #[error("field {field}: {source}")]
    Content {
        /// The path of the field.
        field: String,
        /// The reason.
        source: Box<Error>,
    },
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(error) => error,
            error => Self::wrap(error),
        }
    }
}
