use candle_core::{Device, Tensor};

use super::cpu::tensor as on_cpu;
#[cfg(feature = "cuda")]
use super::cuda as on_cuda;
use super::logits::Logits;
use crate::TokenSets;
use crate::reduce::ReduceError;

/// A [`TokenSets`] on a device, ready to measure logits there; cheap to clone.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use concept_mass::TokenSets;
///
/// let sets = TokenSets::builder(4)
///     .set("right", [1, 3])?
///     .set("odd or zero", [0, 1, 3])?
///     .build()?
///     .to_device(&Device::Cpu)?;
/// let probabilities = Tensor::new(&[0.4f32, 0.3, 0.05, 0.25], &Device::Cpu)?;
/// let measured = sets.measure(&probabilities.log()?)?;
///
/// let masses = measured.masses.to_vec1::<f32>()?;
/// assert!((masses[0] - 0.55).abs() < 1e-6 && (masses[1] - 0.95).abs() < 1e-6);
/// let concentrations = measured.concentrations.to_vec1::<f32>()?;
/// assert!((concentrations[1] - 0.4 / 0.95).abs() < 1e-6);
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Clone)]
pub struct DeviceTokenSets {
    sets: TokenSets,
    device: Device,
    tables: Tables,
}

/// What measuring needs beside the logits.
#[derive(Clone)]
enum Tables {
    Cpu,
    #[cfg(feature = "cuda")]
    Cuda(std::sync::Arc<on_cuda::SetTables>),
}

impl std::fmt::Debug for DeviceTokenSets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sets, device, .. } = self;
        f.debug_struct("DeviceTokenSets").field("sets", sets).field("device", device).finish()
    }
}

/// What [`DeviceTokenSets::measure`] measured: two tensors of shape `[P]` for logits `[V]`, `[B, P]`
/// for `[B, V]`, both `f32` on the device of the logits.
#[derive(Debug, Clone)]
pub struct SetMasses {
    /// The probability of each set: the sum over its tokens; the paper's P-mass, if the set
    /// is the right answer.
    pub masses: Tensor,
    /// The share that each set's likeliest token has of its mass, in `(0, 1]`; NaN if the mass
    /// is 0.
    pub concentrations: Tensor,
}

impl TokenSets {
    /// Puts the sets on a device, once, not at every step.
    ///
    /// # Errors
    ///
    /// As for [`ConceptMap::to_device`](crate::ConceptMap::to_device).
    pub fn to_device(&self, device: &Device) -> Result<DeviceTokenSets, ReduceError> {
        let tables = match device {
            Device::Cpu => Tables::Cpu,
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => Tables::Cuda(on_cuda::upload_sets(self, device)?),
            device => return Err(ReduceError::UnsupportedDevice { device: device.location() }),
        };
        Ok(DeviceTokenSets { sets: self.clone(), device: device.clone(), tables })
    }
}

impl DeviceTokenSets {
    /// The sets themselves.
    pub fn sets(&self) -> &TokenSets {
        &self.sets
    }

    /// Measures every set in every row, in `O(B · (V + tokens of the sets))`.
    ///
    /// `logits` are as for [`DeviceMap::reduce`](crate::DeviceMap::reduce). A row without a winner
    /// (see [`Row::status`](crate::Row::status)) gives NaN throughout.
    ///
    /// # Errors
    ///
    /// As for [`DeviceMap::reduce`](crate::DeviceMap::reduce).
    pub fn measure(&self, logits: &Tensor) -> Result<SetMasses, ReduceError> {
        let logits = Logits::check(logits, self.sets.vocab_size(), &self.device)?;
        let (masses, concentrations) = match &self.tables {
            Tables::Cpu => on_cpu::measure(&self.sets, &logits)?,
            #[cfg(feature = "cuda")]
            Tables::Cuda(tables) => on_cuda::measure(tables, &logits)?,
        };
        Ok(SetMasses { masses, concentrations })
    }
}
