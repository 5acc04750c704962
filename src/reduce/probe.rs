use candle_core::{Device, Tensor};

use super::cpu::{self, Logit};
use super::cpu_only;
use super::logits::{Logits, OnRows, Rows};
use crate::Result;
use crate::concept::ProbeSet;

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
#[derive(Debug, Clone)]
pub struct DeviceProbes {
    probes: ProbeSet,
    device: Device,
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
    /// [`Error::UnsupportedDevice`](crate::Error::UnsupportedDevice) for a device other than the
    /// CPU.
    pub fn to_device(&self, device: &Device) -> Result<DeviceProbes> {
        cpu_only(device)?;
        Ok(DeviceProbes { probes: self.clone(), device: device.clone() })
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
        let mut masses = vec![0f32; logits.rows() * self.probes.len()];
        let mut concentrations = masses.clone();
        logits.on_cpu(Probe {
            probes: &self.probes,
            masses: &mut masses,
            concentrations: &mut concentrations,
        })?;
        let shape = logits.shape_of(self.probes.len());
        Ok(Probed {
            masses: Tensor::from_vec(masses, shape.clone(), &self.device)?,
            concentrations: Tensor::from_vec(concentrations, shape, &self.device)?,
        })
    }
}

struct Probe<'a> {
    probes: &'a ProbeSet,
    masses: &'a mut [f32],
    concentrations: &'a mut [f32],
}

impl OnRows for Probe<'_> {
    type Output = ();
    fn run<T: Logit>(self, rows: Rows<'_, T>) {
        cpu::probe(self.probes, rows, self.masses, self.concentrations);
    }
}
