use candle_core::Tensor;

use super::backend::SampledRows;
use crate::sample::{SampleError, Sampled};

/// What a [`BatchSampler`](super::BatchSampler) sampled from the rows of a batch, still on the device.
///
/// ```
/// # use candle_core::{Device, Tensor};
/// # use concept_mass::sample::{BatchSampler, RowState, SamplingParams};
/// # use concept_mass::{MapSet, reduce::NO_TOKEN};
/// # let mut sampler = BatchSampler::new(MapSet::new(3, 9, &Device::Cpu)?, 8)?;
/// sampler.start(0, SamplingParams::greedy(), None, RowState::default())?;
/// sampler.start(1, SamplingParams::greedy(), None, RowState::default())?;
/// let logits = Tensor::new(&[[0f32, 0.5, 0.], [0., f32::NAN, 0.]], &Device::Cpu)?;
/// let sampled = sampler.sample(&logits, &sampler.slots(&[0, 1])?, None)?;
/// assert_eq!(sampled.tokens()?.to_vec1::<u32>()?, [1, NO_TOKEN]);
/// let rows = sampled.rows()?;
/// assert!(rows[0].is_ok() && rows[1].is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SampledBatch(pub(super) SampledRows);

impl SampledBatch {
    /// `B`: the number of rows.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tokens to emit, `u32` `[B]`, on the device of the logits: what the model reads next. A row
    /// that failed has [`NO_TOKEN`](crate::reduce::NO_TOKEN).
    ///
    /// # Errors
    ///
    /// [`SampleError::Reduce`] and [`SampleError::Candle`], of the device.
    pub fn tokens(&self) -> Result<Tensor, SampleError> {
        self.0.tokens()
    }

    /// What was sampled, copied to the host, which waits for it; an error for each row that failed.
    ///
    /// # Errors
    ///
    /// As for [`tokens`](Self::tokens).
    pub fn rows(&self) -> Result<Vec<Result<Sampled, SampleError>>, SampleError> {
        let rows = self.0.rows()?.into_iter().enumerate();
        Ok(rows.map(|(i, row)| row.map_err(|failure| SampleError::of_row(i, failure))).collect())
    }
}
