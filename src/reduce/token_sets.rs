use candle_core::{Device, Tensor};

use super::backend::SetBackend;
use super::logits::Logits;
use super::{BadRow, ReduceError};
use crate::{ConceptMap, TokenSets};

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
/// let sets = measured.rows()?.remove(0)?; // an error if the row is bad
/// let odd_or_zero = sets[1];
/// assert!((odd_or_zero.concentration.unwrap() - 0.4 / 0.95).abs() < 1e-6);
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Clone)]
pub struct DeviceTokenSets {
    sets: TokenSets,
    device: Device,
    backend: SetBackend,
}

impl std::fmt::Debug for DeviceTokenSets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sets, device, .. } = self;
        f.debug_struct("DeviceTokenSets").field("sets", sets).field("device", device).finish()
    }
}

/// What [`DeviceTokenSets::measure`] measured: two tensors of shape `[S]` for logits `[V]`, `[B, S]`
/// for `[B, V]`, both `f32` on the device of the logits.
///
/// On the device, NaN stands for what there is not; [`rows`](Self::rows) has no such numbers. The
/// logits are held on to, so that it can say why a row has no winner.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SetMasses {
    /// The probability of each set: the sum over its tokens; the paper's P-mass, if the set
    /// is the right answer. NaN in a row that has no winner.
    pub masses: Tensor,
    /// The share that each set's likeliest token has of its mass, in `(0, 1]`; NaN if the mass
    /// is 0, and in a row that has no winner.
    pub concentrations: Tensor,
    logits: Tensor,
}

/// A set's share of a row; from [`SetMasses::rows`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct SetMass {
    /// The probability of the set, in `[0, 1]`.
    pub mass: f32,
    /// The share that the set's likeliest token has of it, in `(0, 1]`; `None` if it is 0.
    pub concentration: Option<f32>,
}

impl SetMasses {
    /// What was measured, copied to the host, which waits for it: the sets of each row of logits, or
    /// an error for each row that has no winner.
    ///
    /// # Errors
    ///
    /// [`ReduceError::Candle`]; where a row has no winner, or there are no sets, also those of
    /// [`DeviceMap::decide`](crate::DeviceMap::decide), which finds the reason.
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::{TokenSets, reduce::BadRowReason};
    /// let sets = TokenSets::builder(2).set("a", [1])?.build()?.to_device(&Device::Cpu)?;
    /// let logits = Tensor::new(&[[0f32, 0.], [0., f32::NAN]], &Device::Cpu)?;
    /// let rows = sets.measure(&logits)?.rows()?;
    /// assert_eq!(rows[0].as_ref().unwrap()[0].mass, 0.5);
    /// assert_eq!(rows[1].as_ref().unwrap_err().reason, BadRowReason::Nan);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn rows(&self) -> Result<Vec<Result<Vec<SetMass>, BadRow>>, ReduceError> {
        let on_host = |tensor: &Tensor| match tensor.rank() {
            1 => tensor.unsqueeze(0)?.to_vec2::<f32>(),
            _ => tensor.to_vec2::<f32>(),
        };
        let (masses, concentrations) = (on_host(&self.masses)?, on_host(&self.concentrations)?);
        // Without sets, nothing shows which rows are bad.
        let may_be_bad = |masses: &Vec<f32>| masses.is_empty() || masses[0].is_nan();
        let fit = match masses.iter().any(may_be_bad) {
            true => self.fit()?,
            false => vec![Ok(()); masses.len()],
        };
        let set = |(mass, concentration): (f32, f32)| SetMass {
            mass,
            concentration: (!concentration.is_nan()).then_some(concentration),
        };
        let sets = |(masses, concentrations): (Vec<_>, Vec<_>)| {
            masses.into_iter().zip(concentrations).map(set).collect()
        };
        let rows = fit.into_iter().zip(masses.into_iter().zip(concentrations));
        Ok(rows.map(|(fit, row)| fit.map(|()| sets(row))).collect())
    }

    /// For every row of the logits, whether it has a winner, or why not. The tensors that were
    /// measured do not tell, so it takes a decision.
    fn fit(&self) -> Result<Vec<Result<(), BadRow>>, ReduceError> {
        // What is measured has a vocabulary of a size that a map may have.
        let vocab_size = self.logits.dims().last().copied().unwrap_or_default();
        let map = ConceptMap::from_partition((0..vocab_size as u32).collect(), Vec::new());
        let decisions = map.to_device(self.logits.device())?.decide(&self.logits)?.rows()?;
        Ok(decisions.into_iter().map(|decision| decision.map(drop)).collect())
    }
}

impl TokenSets {
    /// Puts the sets on a device, once, not at every step.
    ///
    /// Between threads, streams and graphs: [`threads`](crate::reduce::threads).
    ///
    /// # Errors
    ///
    /// As for [`ConceptMap::to_device`](crate::ConceptMap::to_device).
    pub fn to_device(&self, device: &Device) -> Result<DeviceTokenSets, ReduceError> {
        let backend = SetBackend::new(self, device)?;
        Ok(DeviceTokenSets { sets: self.clone(), device: device.clone(), backend })
    }
}

impl DeviceTokenSets {
    /// The sets themselves.
    pub fn sets(&self) -> &TokenSets {
        &self.sets
    }

    /// Whether logits are measured where they are: true on the CPU, and where there are kernels
    /// for the device. Elsewhere they are copied to the host.
    pub fn runs_on_device(&self) -> bool {
        self.backend.is_at(&self.device)
    }

    /// Measures every set in every row, in `O(B · (V + tokens of the sets))`.
    ///
    /// `logits` are as for [`DeviceMap::reduce`](crate::DeviceMap::reduce). A row that has no
    /// winner gives NaN throughout.
    ///
    /// Between threads, streams and graphs: [`threads`](crate::reduce::threads).
    ///
    /// # Errors
    ///
    /// As for [`DeviceMap::reduce`](crate::DeviceMap::reduce).
    pub fn measure(&self, logits: &Tensor) -> Result<SetMasses, ReduceError> {
        let checked = Logits::check(logits, self.sets.vocab_size(), &self.device)?;
        let (masses, concentrations) = self.backend.measure(&self.sets, &checked)?;
        Ok(SetMasses { masses, concentrations, logits: logits.detach() })
    }
}
