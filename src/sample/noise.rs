use candle_core::Tensor;

use crate::{DeviceMap, Noise, reduce::advance, sample::SampleError};

/// The noise of a sampler, which only a draw that is kept moves on.
#[derive(Debug)]
pub(super) struct SeededNoise {
    seed: u64,
    /// How many tokens of each row were kept.
    steps: Vec<u64>,
    /// The noise after them; made when it is needed.
    noise: Option<Noise>,
}

impl SeededNoise {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, steps: Vec::new(), noise: None }
    }

    /// A token for every row, and the noise after this draw. Unless that is [kept](Self::keep), the
    /// next draw is from the same noise as this one.
    pub(super) fn draw(
        &mut self,
        map: &DeviceMap,
        logits: &Tensor,
        temperature: f64,
    ) -> Result<(Vec<u32>, Noise), SampleError> {
        let mut noise = match self.noise.take() {
            Some(noise) => noise,
            None => Noise::after(&self.steps, self.seed, map.device())?,
        };
        match map.sample(logits, temperature, &mut noise) {
            Ok(tokens) => Ok((tokens.to_vec1()?, noise)),
            Err(unfit) => {
                self.noise = Some(noise);
                Err(unfit.into())
            }
        }
    }

    pub(super) fn keep(&mut self, tokens: &[u32], noise: Noise) {
        advance(&mut self.steps, tokens);
        self.noise = Some(noise);
    }
}
