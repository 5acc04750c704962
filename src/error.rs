use std::path::PathBuf;

use candle_core::{DType, DeviceLocation, Shape};

use crate::reduce::Status;
#[cfg(feature = "tokenizers")]
use crate::{Beginning, SharedToken};

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
        problem: FileProblem,
    },

    /// A list of aliases is not one.
    #[error(
        "{}: {problem}; aliases are an object like {{\"Concept\": [\"form\", \"another form\"]}}",
        path.as_deref().map_or("aliases".into(), |p| p.display().to_string())
    )]
    AliasFile {
        /// The file, if the aliases came from one.
        path: Option<PathBuf>,
        /// What is wrong, and with which field.
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
    /// [`OnConflict::Refuse`](crate::OnConflict::Refuse).
    #[cfg(feature = "tokenizers")]
    #[error(
        "{}; drop forms, choose OnConflict::LeaveOut or First, or use probes, which may overlap",
        listed(shared, SharedToken::to_string)
    )]
    SharedTokens {
        /// The tokens, and who claims them.
        shared: Vec<SharedToken>,
    },

    /// A concept of the lower map that would join two of the upper one, under
    /// [`OnConflict::Refuse`](crate::OnConflict::Refuse).
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
    MapWidth {
        /// The upper map's vocabulary size.
        upper: usize,
        /// The lower map's.
        lower: usize,
    },

    /// A tokenizer that cannot be used.
    #[cfg(feature = "tokenizers")]
    #[error(
        "cannot use {}, which must be a Hugging Face tokenizer: {source}",
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
    #[error("the tokenizer cannot encode {text:?}: {source}")]
    Encode {
        /// The text.
        text: String,
        /// What the tokenizers library says.
        source: tokenizers::Error,
    },

    /// Tokens that the tokenizer fails over.
    #[cfg(feature = "tokenizers")]
    #[error("the tokenizer cannot decode: {source}")]
    Decode {
        /// What the tokenizers library says.
        source: tokenizers::Error,
    },

    /// A [`Judge`](crate::Judge) that failed, or whose groups are none.
    #[cfg(feature = "tokenizers")]
    #[error("the judge failed: {source}")]
    Judge {
        /// What it says, or what is wrong with its groups.
        source: crate::JudgeError,
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

    /// A phrase without a token.
    #[error("a phrase of concept {concept:?} has no tokens: a phrase needs at least one")]
    EmptyPhrase {
        /// The concept's name.
        concept: String,
    },

    /// The same phrase for two concepts.
    #[error(
        "the phrase of tokens {tokens:?} is said to mean {first:?} and {second:?}; give it to one of \
         them"
    )]
    PhraseInTwoConcepts {
        /// The phrase.
        tokens: Vec<u32>,
        /// The concept that it was given to first.
        first: String,
        /// The concept that it was given to again.
        second: String,
    },

    /// A token that ends an answer, within a phrase.
    #[error(
        "token {token} is in a phrase of concept {concept:?}, and ends an answer; leave it out of \
         the phrase, or of the ends"
    )]
    EndInPhrase {
        /// The token.
        token: u32,
        /// The concept's name.
        concept: String,
    },

    /// A trie without a phrase.
    #[error("there are no phrases to vote on; add at least one")]
    NoPhrases,

    /// A prompt without a token.
    #[error("the prompt has no tokens; a model needs at least one, such as its `<s>`")]
    EmptyPrompt,

    /// A prompt and a phrase that are more than the model reads.
    #[error(
        "the prompt has {prompt} tokens and the longest phrase {phrase}, but the model reads no \
         more than {context}; shorten the prompt"
    )]
    PhraseTooLong {
        /// The tokens of the prompt.
        prompt: usize,
        /// The tokens of the longest phrase.
        phrase: usize,
        /// The most that the model reads.
        context: usize,
    },

    /// Logits of another shape than was asked for.
    #[error(
        "the model must give logits of shape {expected:?}, a row for each sequence, got {got:?}"
    )]
    ModelOutput {
        /// The sequences, and the vocabulary of the phrases.
        expected: (usize, usize),
        /// The shape of the tensor given.
        got: Shape,
    },

    /// Logits after a part of a phrase from which nothing can be told.
    #[error(
        "the model's logits after the prompt and tokens {after:?} hold a NaN or +inf, or nothing \
         but -inf"
    )]
    PhraseLogits {
        /// The tokens of the phrase so far.
        after: Vec<u32>,
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

/// What is wrong with a file; part of [`Error::MapFile`], [`Error::AliasFile`] and others.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileProblem {
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

/// The first few of `things`, described.
fn listed<T>(things: &[T], describe: impl Fn(&T) -> String) -> String {
    const FEW: usize = 4;
    let few: Vec<_> = things.iter().take(FEW).map(describe).collect();
    match things.len().saturating_sub(FEW) {
        0 => few.join(", "),
        more => format!("{}, and {more} more", few.join(", ")),
    }
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(error) => error,
            error => Self::wrap(error),
        }
    }
}
