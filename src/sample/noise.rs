use candle_core::Tensor;

use crate::{DeviceMap, Noise, sample::SampleError};

/// The noise of a sampler, which only a draw that is kept moves on.
#[derive(Debug)]
pub(super) struct SeededNoise {
    seed: u64,
    /// How many draws were kept.
    draws: u64,
    /// The noise after them; made when it is needed.
    noise: Option<Noise>,
}

impl SeededNoise {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, draws: 0, noise: None }
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
            None => Noise::after(self.draws, self.seed, map.device())?,
        };
        let tokens = map.sample(logits, temperature, &mut noise)?.to_vec1()?;
        Ok((tokens, noise))
    }

    pub(super) fn keep(&mut self, noise: Noise) {
        self.draws = self.draws.wrapping_add(1);
        self.noise = Some(noise);
    }
}
