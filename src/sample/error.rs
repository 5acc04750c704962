use crate::reduce::cpu::sample::Undrawn;
use crate::reduce::{BadRow, BadRowReason, ReduceError};
use crate::source::SourceError;

/// Why no token can be sampled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// Logits of several rows where one was asked for.
    #[error(
        "logits hold {rows} rows; a token is sampled from one, and from several by sample_batch"
    )]
    NotOneRow {
        /// The number of rows.
        rows: usize,
    },

    /// A sampling parameter outside its range.
    #[error("{parameter} = {value} is out of range: {requirement}")]
    Parameter {
        /// The parameter's name.
        parameter: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        requirement: &'static str,
    },

    /// A temperature for [`Sampling::ArgMax`](super::Sampling::ArgMax), which has none.
    #[error(
        "a sampler that chooses by ArgMax has no temperature to set to {temperature}: choose \
         another way with set_sampling"
    )]
    NoTemperature {
        /// The temperature that was to be set.
        temperature: f64,
    },

    /// Weights that cannot be sampled from: after the caller's own change of them, one is
    /// negative, infinite or NaN, all are zero, or their sum is beyond `f32`.
    #[error("row {row} cannot be sampled: {problem}")]
    Weights {
        /// The row's index in the batch.
        row: usize,
        /// What is wrong with the weights.
        problem: String,
    },

    /// Another number of row samplers than of rows.
    #[error("logits of {rows} rows, but {samplers} row samplers: give one for each row")]
    Rows {
        /// The rows of the logits.
        rows: usize,
        /// The row samplers.
        samplers: usize,
    },

    /// Penalties, bias and mask leave no token of a row that has any probability.
    #[error(
        "row {row} cannot be sampled: its penalties, bias and mask leave no token of any probability"
    )]
    NothingAllowed {
        /// The row's index in the batch.
        row: usize,
    },

    /// The number of words is not a multiple of those of one mask, or that is 0.
    #[error(
        "{words} words are no masks of {words_per_row} words each: a mask has one word for every \
         32 tokens, or fewer"
    )]
    MaskShape {
        /// The number of words.
        words: usize,
        /// The words of one mask.
        words_per_row: usize,
    },

    /// Masks for another number of rows.
    #[error("{masks} masks for {rows} rows: give one for each row, or say by of_rows which")]
    MaskRows {
        /// The rows of the logits.
        rows: usize,
        /// The masks, or the indices of masks.
        masks: usize,
    },

    /// A mask's index that is out of range.
    #[error("row {row} has mask {index}, but there are {masks}")]
    MaskIndex {
        /// The row's index in the batch.
        row: usize,
        /// The index of its mask.
        index: usize,
        /// The number of masks.
        masks: usize,
    },

    /// A slot that a [`BatchSampler`](super::BatchSampler) does not have.
    #[error("there is no slot {slot}: the sampler has {slots}, counted from 0")]
    SlotOutOfRange {
        /// The slot.
        slot: usize,
        /// The number of slots.
        slots: usize,
    },

    /// A slot that serves no request.
    #[error("slot {slot} serves no request: start one there first")]
    SlotNotStarted {
        /// The slot.
        slot: usize,
    },

    /// A slot that an earlier row of the same batch names: a request has one token a step.
    #[error("row {row} has slot {slot}, which row {first} of the same batch has already")]
    SlotTwice {
        /// The row's index in the batch.
        row: usize,
        /// The slot.
        slot: usize,
        /// The first row that names it.
        first: usize,
    },

    /// A slot whose map was removed from the sampler's maps.
    #[error(
        "the map of slot {slot} was removed: give the slot another by set_map, or start it anew"
    )]
    SlotMapGone {
        /// The slot.
        slot: usize,
    },

    /// A drafted token that the vocabulary does not have.
    #[error(
        "position {position} of the draft of row {row} is token {token}, which the vocabulary does \
         not have; where a draft is shorter than others, fill it with NO_TOKEN"
    )]
    DraftToken {
        /// The row's index in the batch.
        row: usize,
        /// The position in the row's draft.
        position: usize,
        /// The token.
        token: u32,
    },

    /// Logits of a draft from which nothing can have been drawn.
    #[error("the draft's logits for position {position} of row {row} are unfit: the row {reason}")]
    DraftLogits {
        /// The row's index in the batch.
        row: usize,
        /// The position in the row's draft.
        position: usize,
        /// What is wrong with them.
        reason: BadRowReason,
    },

    /// Log-probabilities of a sampler that pools each step's likeliest concepts, which are no map's.
    #[error(
        "a sampler that pools each step's likeliest concepts has no log-probabilities: leave out \
         with_log_probs, or pool by a map"
    )]
    LogProbsOfStep,

    /// A row's state whose tokens are not in ascending order, or were not seen.
    #[error(
        "a row's state must list each seen token once, in ascending order, with a count of at \
         least 1: token {token} is not listed so"
    )]
    StateOrder {
        /// The first token that is listed otherwise.
        token: u32,
    },

    /// A token that the vocabulary does not have, or a vocabulary that cannot be.
    #[error(transparent)]
    Map(#[from] crate::map::MapError),

    /// What is wrong with the source of a map.
    #[error(transparent)]
    Source(#[from] SourceError),

    /// What is wrong with the logits.
    #[error(transparent)]
    Reduce(#[from] ReduceError),

    /// An error of candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// Why a row of a [`BatchSampler`](super::BatchSampler)'s batch has no token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Failure {
    Undrawn(Undrawn),
    SlotOutOfRange { slot: usize, slots: usize },
    SlotNotStarted { slot: usize },
    SlotTwice { slot: usize, first: usize },
    SlotMapGone { slot: usize },
    DraftToken { position: usize, token: u32 },
    DraftLogits { position: usize, reason: BadRowReason },
}

impl SampleError {
    /// The error of a row that has no token.
    pub(super) fn of_row(row: usize, failure: Failure) -> Self {
        match failure {
            Failure::Undrawn(why) => Self::undrawn(row, why),
            Failure::SlotOutOfRange { slot, slots } => Self::SlotOutOfRange { slot, slots },
            Failure::SlotNotStarted { slot } => Self::SlotNotStarted { slot },
            Failure::SlotTwice { slot, first } => Self::SlotTwice { row, slot, first },
            Failure::SlotMapGone { slot } => Self::SlotMapGone { slot },
            Failure::DraftToken { position, token } => Self::DraftToken { row, position, token },
            Failure::DraftLogits { position, reason } => {
                Self::DraftLogits { row, position, reason }
            }
        }
    }

    /// The error of a row that nothing was sampled from.
    pub(super) fn undrawn(row: usize, why: Undrawn) -> Self {
        match why {
            Undrawn::Bad(reason) => ReduceError::BadRow(BadRow { row, reason }).into(),
            Undrawn::NothingAllowed => Self::NothingAllowed { row },
        }
    }
}
