use candle_core::Device;

#[cfg(feature = "cuda")]
use super::cuda::NoiseState;
use crate::reduce::ReduceError;

/// The noise of [`DeviceMap::sample`](crate::DeviceMap::sample): a seed, and how many draws there
/// were.
///
/// Both live on the device, where every draw counts itself; the same seed gives the same noise on
/// every device. (Logits that differ in their last bits, or probabilities that do, may still
/// decide differently where two concepts are as good as equal.)
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
pub struct Noise(State);

pub(super) enum State {
    Cpu {
        seed: u64,
        offset: u64,
    },
    #[cfg(feature = "cuda")]
    Cuda(NoiseState, Device),
}

impl Noise {
    /// Noise for the device of a map.
    ///
    /// # Errors
    ///
    /// As for [`ConceptMap::to_device`](crate::ConceptMap::to_device).
    pub fn new(seed: u64, device: &Device) -> Result<Self, ReduceError> {
        Self::after(0, seed, device)
    }

    /// The noise of a seed after that many draws.
    pub(crate) fn after(draws: u64, seed: u64, device: &Device) -> Result<Self, ReduceError> {
        Ok(Self(match device {
            Device::Cpu => State::Cpu { seed, offset: draws },
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => State::Cuda(NoiseState::new(seed, draws, cuda)?, device.clone()),
            device => return Err(ReduceError::UnsupportedDevice { device: device.location() }),
        }))
    }

    pub(super) fn state(&mut self) -> &mut State {
        &mut self.0
    }

    #[cfg(feature = "cuda")]
    pub(super) fn location(&self) -> candle_core::DeviceLocation {
        match &self.0 {
            State::Cpu { .. } => candle_core::DeviceLocation::Cpu,
            State::Cuda(_, device) => device.location(),
        }
    }
}

impl std::fmt::Debug for Noise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Noise").finish_non_exhaustive()
    }
}
