use candle_core::Device;

use super::backend::NoiseBackend;
use super::{NO_TOKEN, ReduceError};

/// The random numbers of [`DeviceMap::sample`](crate::DeviceMap::sample), which are counted, not
/// stored: a seed, and for each place in a batch a step, which is how many tokens were drawn there.
///
/// Steps belong to places, not to requests: none is set back when a place serves another request, and
/// two `Noise`s of one seed draw with the same numbers. Where requests come and go, or must have the
/// same tokens alone, use [`sample_batch`](crate::sample::sample_batch).
///
/// Where there are kernels for the device, all of it lives there, and rows count their tokens
/// themselves. The same seed gives the same numbers on every device. (Logits that differ in their last
/// bits, or probabilities that do, may still decide differently where a number falls within rounding of
/// the boundary between two concepts.)
///
/// ```
/// use candle_core::{Device, Tensor};
/// use concept_mass::{ConceptMap, Noise};
///
/// let map = ConceptMap::singletons(100)?.to_device(&Device::Cpu)?;
/// let logits = Tensor::zeros(100, candle_core::DType::F32, &Device::Cpu)?;
/// let draw = |noise: &mut Noise| map.sample(&logits, 1.0, noise)?.to_vec1::<u32>();
///
/// let (mut noise, mut same) = (Noise::new(7, &Device::Cpu)?, Noise::new(7, &Device::Cpu)?);
/// let first = draw(&mut noise)?;
/// assert_eq!(first, draw(&mut same)?);
/// assert_ne!(first, draw(&mut noise)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Noise {
    device: Device,
    pub(super) state: NoiseBackend,
}

impl Noise {
    /// Noise for the device of a map.
    ///
    /// Between threads, streams and graphs: [`threads`](crate::reduce::threads).
    ///
    /// # Errors
    ///
    /// As for [`ConceptMap::to_device`](crate::ConceptMap::to_device).
    pub fn new(seed: u64, device: &Device) -> Result<Self, ReduceError> {
        Self::after(&[], seed, device)
    }

    /// The noise of a seed after these steps of the first rows, and none of the others.
    pub(crate) fn after(steps: &[u64], seed: u64, device: &Device) -> Result<Self, ReduceError> {
        Ok(Self { device: device.clone(), state: NoiseBackend::new(seed, steps, device)? })
    }

    /// Fails unless the noise is for `device`.
    pub(super) fn check(&self, device: &Device) -> Result<(), ReduceError> {
        if self.device.same_device(device) { Ok(()) } else { Err(self.not_at(device)) }
    }

    /// The error of noise that is not for `device`.
    pub(super) fn not_at(&self, device: &Device) -> ReduceError {
        let (expected, got) = (device.location(), self.device.location());
        ReduceError::NoiseDevice { expected, got }
    }
}

/// Moves on the step of each row that has a token; a row that is new has been at 0.
pub(crate) fn advance(steps: &mut Vec<u64>, tokens: &[u32]) {
    if steps.len() < tokens.len() {
        steps.resize(tokens.len(), 0);
    }
    for (step, &token) in steps.iter_mut().zip(tokens) {
        *step = step.wrapping_add(u64::from(token != NO_TOKEN));
    }
}

impl std::fmt::Debug for Noise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Noise").field("device", &self.device).finish_non_exhaustive()
    }
}
