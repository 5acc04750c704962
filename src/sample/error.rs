use crate::{reduce::ReduceError, source::SourceError};

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
