use candle_core::{Device, Tensor};

use super::cpu::tensor as on_cpu;
#[cfg(feature = "cuda")]
use super::cuda as on_cuda;
use super::logits::Logits;
use crate::concept::ProbeSet;
use crate::{Error, Result};

/// A [`ProbeSet`] on a device, ready to measure logits there; cheap to clone.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use concept_mass::ProbeSet;
///
/// let probes = ProbeSet::builder(4)
///     .probe("right", [1, 3])?
///     .probe("odd or zero", [0, 1, 3])?
///     .build()?
///     .to_device(&Device::Cpu)?;
/// let probabilities = Tensor::new(&[0.4f32, 0.3, 0.05, 0.25], &Device::Cpu)?;
/// let probed = probes.probe(&probabilities.log()?)?;
///
/// let masses = probed.masses.to_vec1::<f32>()?;
/// assert!((masses[0] - 0.55).abs() < 1e-6 && (masses[1] - 0.95).abs() < 1e-6);
/// let concentrations = probed.concentrations.to_vec1::<f32>()?;
/// assert!((concentrations[1] - 0.4 / 0.95).abs() < 1e-6);
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Clone)]
pub struct DeviceProbes {
    probes: ProbeSet,
    device: Device,
    tables: Tables,
}

/// What probing needs beside the logits.
#[derive(Clone)]
enum Tables {
    Cpu,
    #[cfg(feature = "cuda")]
    Cuda(std::sync::Arc<on_cuda::ProbeTables>),
}

impl std::fmt::Debug for DeviceProbes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { probes, device, .. } = self;
        f.debug_struct("DeviceProbes").field("probes", probes).field("device", device).finish()
    }
}

/// What [`DeviceProbes::probe`] measured: two tensors of shape `[P]` for logits `[V]`, `[B, P]`
/// for `[B, V]`, both `f32` on the device of the logits.
#[derive(Debug, Clone)]
pub struct Probed {
    /// The probability of each probe: the sum over its tokens; the paper's P-mass, if the probe
    /// is the right answer.
    pub masses: Tensor,
    /// The share that each probe's likeliest token has of its mass, in `(0, 1]`; NaN if the mass
    /// is 0.
    pub concentrations: Tensor,
}

impl ProbeSet {
    /// Puts the probes on a device, once, not at every step.
    ///
    /// # Errors
    ///
    /// As for [`ConceptMap::to_device`](crate::ConceptMap::to_device).
    pub fn to_device(&self, device: &Device) -> Result<DeviceProbes> {
        let tables = match device {
            Device::Cpu => Tables::Cpu,
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => Tables::Cuda(on_cuda::upload_probes(self, device)?),
            device => return Err(Error::UnsupportedDevice { device: device.location() }),
        };
        Ok(DeviceProbes { probes: self.clone(), device: device.clone(), tables })
    }
}

impl DeviceProbes {
    /// The probes themselves.
    pub fn probes(&self) -> &ProbeSet {
        &self.probes
    }

    /// Measures every probe in every row, in `O(B · (V + tokens of the probes))`.
    ///
    /// `logits` are as for [`DeviceMap::reduce`](crate::DeviceMap::reduce). A row without a winner
    /// (see [`Row::status`](crate::Row::status)) gives NaN throughout.
    ///
    /// # Errors
    ///
    /// As for [`DeviceMap::reduce`](crate::DeviceMap::reduce).
    pub fn probe(&self, logits: &Tensor) -> Result<Probed> {
        let logits = Logits::check(logits, self.probes.vocab_size(), &self.device)?;
        let (masses, concentrations) = match &self.tables {
            Tables::Cpu => on_cpu::probe(&self.probes, &logits)?,
            #[cfg(feature = "cuda")]
            Tables::Cuda(tables) => on_cuda::probe(tables, &logits)?,
        };
        Ok(Probed { masses, concentrations })
    }
}
