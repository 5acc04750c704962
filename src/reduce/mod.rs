//! Logits and a map in, one [`Row`] each out.
//!
//! [`ConceptMap::to_device`] turns a map into a [`DeviceMap`], which holds the tables that the
//! reduction needs beside the logits, and has its operations:
//!
//! | operation | result | shape |
//! | --- | --- | --- |
//! | [`reduce`](DeviceMap::reduce) | winner, runner-up, tokens, masses, entropies | `B` rows |
//! | [`decide`](DeviceMap::decide) | the same, but for the concept entropy | `B` rows |
//! | [`sample`](DeviceMap::sample) | a token, of a concept drawn at random by its mass | `[B]` |
//! | [`masses`](DeviceMap::masses) | the mass of every concept | `[B, C]` |
//! | [`pool`](DeviceMap::pool) | logits in which concepts stand for their tokens | `[B, V]` |
//! | [`DeviceTokenSets::measure`] | mass and concentration of named sets | `[B, P]` |
//!
//! All take logits `[V]` or `[B, V]` in `f32`, `f16` or `bf16`, contiguous or not, and accumulate
//! in `f32` or better. They are deterministic, and a row's result does not depend on the batch.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod error;
mod logits;
mod noise;
mod row;
mod token_sets;

pub mod reference;

use std::sync::Arc;

use candle_core::{Device, Tensor};

pub use error::ReduceError;
pub use noise::Noise;
pub use row::{Row, Status};
pub use token_sets::{DeviceTokenSets, SetMasses};

use self::cpu::tensor as on_cpu;
#[cfg(feature = "cuda")]
use self::cuda as on_cuda;
use self::logits::Logits;
use crate::ConceptMap;

/// A [`ConceptMap`] on a device, ready to reduce logits there; cheap to clone.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use concept_mass::ConceptMap;
///
/// let device = Device::Cpu;
/// let map = ConceptMap::builder(5).concept("cat", [1, 3])?.build()?.to_device(&device)?;
/// let logits = Tensor::new(&[[2f32, 1.5, 0., 1.5, -1.], [0., 0., 9., 0., 0.]], &device)?;
/// assert_eq!(map.reduce(&logits)?.tokens()?.to_vec1::<u32>()?, [1, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct DeviceMap {
    map: ConceptMap,
    device: Device,
    tables: Tables,
}

/// What a map's operations need beside the logits.
#[derive(Clone)]
enum Tables {
    Cpu(Arc<cpu::Tables>),
    #[cfg(feature = "cuda")]
    Cuda(Arc<cuda::MapTables>),
}

impl std::fmt::Debug for DeviceMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { map, device, .. } = self;
        f.debug_struct("DeviceMap").field("map", map).field("device", device).finish()
    }
}

impl ConceptMap {
    /// Puts the map on a device: derives what the reduction needs there, `O(V log V)`, and on a
    /// CUDA device uploads it and waits for that. Do this once, not at every step.
    ///
    /// # Errors
    ///
    /// [`ReduceError::UnsupportedDevice`] for a CUDA device without the feature `cuda`, and for any
    /// other kind of device; [`ReduceError::DeviceFailed`].
    pub fn to_device(&self, device: &Device) -> Result<DeviceMap, ReduceError> {
        let tables = match device {
            Device::Cpu => Tables::Cpu(Arc::new(cpu::Tables::new(self))),
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => Tables::Cuda(on_cuda::upload_map(self, device)?),
            device => return Err(ReduceError::UnsupportedDevice { device: device.location() }),
        };
        Ok(DeviceMap { map: self.clone(), device: device.clone(), tables })
    }
}

impl DeviceMap {
    /// The map itself.
    pub fn map(&self) -> &ConceptMap {
        &self.map
    }

    /// Where the map is, and where logits must be.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Finds the winning concept of every row, and all else that a [`Row`] tells.
    ///
    /// `logits` is `[V]` or `[B, V]`, `B` ≥ 0, in `f32`, `f16` or `bf16`; an untransposed view of
    /// any offset and row stride is read where it is. `-inf` is probability 0.
    ///
    /// Takes `O(B · V)` time. On a CUDA device, that is one launch, and another if the map pools
    /// anything; nothing waits for it until [`Reduction::rows`] is asked for. On the CPU, half a
    /// million logits or more are shared among rayon's threads: the rows, and the parts of a row
    /// that is as long by itself if there are fewer rows than threads.
    ///
    /// # Errors
    ///
    /// [`ReduceError::LogitsRank`], [`ReduceError::LogitsWidth`], [`ReduceError::LogitsDType`],
    /// [`ReduceError::LogitsDevice`]; on a CUDA device also [`ReduceError::DeviceFailed`] and
    /// [`ReduceError::CaptureBeforeUse`]. A NaN, a `+inf`, or a row of nothing but `-inf` is no error
    /// here: it is told in [`Row::status`], and other rows are right.
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::ConceptMap;
    /// # let device = Device::Cpu;
    /// let map = ConceptMap::singletons(3)?.to_device(&device)?;
    /// let row = map.reduce(&Tensor::new(&[0f32, 1., 0.], &device)?)?.rows()?[0];
    /// assert_eq!(row.representative, 1);
    /// assert!((row.log_z - (2.0 + 1f32.exp()).ln()).abs() < 1e-6);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn reduce(&self, logits: &Tensor) -> Result<Reduction, ReduceError> {
        let logits = self.check(logits)?;
        Ok(Reduction(match &self.tables {
            Tables::Cpu(tables) => Found::Cpu(on_cpu::reduce(&self.map, tables, &logits)?),
            #[cfg(feature = "cuda")]
            Tables::Cuda(tables) => Found::Cuda(on_cuda::reduce(tables, &logits, true)?),
        }))
    }

    /// [`reduce`](Self::reduce) without the concept entropy, which is NaN unless the map pools
    /// nothing.
    ///
    /// It alone needs the mass of every concept. Without it, a CUDA device takes one launch, and
    /// time that hardly depends on the map: what a decode loop wants. On the CPU this saves
    /// nothing.
    ///
    /// # Errors
    ///
    /// As for [`reduce`](Self::reduce).
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::ConceptMap;
    /// # let device = Device::Cpu;
    /// let map = ConceptMap::builder(3).concept("ends", [0, 2])?.build()?.to_device(&device)?;
    /// let row = map.decide(&Tensor::new(&[0f32, 0.5, 0.], &device)?)?.rows()?[0];
    /// assert_eq!((row.winner, row.greedy), (0, 1));
    /// assert!(row.concept_entropy.is_nan());
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn decide(&self, logits: &Tensor) -> Result<Reduction, ReduceError> {
        #[cfg(feature = "cuda")]
        if let Tables::Cuda(tables) = &self.tables {
            let rows = on_cuda::reduce(tables, &self.check(logits)?, false)?;
            return Ok(Reduction(Found::Cuda(rows)));
        }
        let mut reduction = self.reduce(logits)?;
        if let (Found::Cpu(rows), 1..) = (&mut reduction.0, self.map.stats().pooled_concepts) {
            rows.iter_mut().for_each(|row| row.concept_entropy = f32::NAN);
        }
        Ok(reduction)
    }

    /// Draws a concept for every row by its mass to the power `1 / temperature`, and gives its
    /// representative: `u32` `[B]`, on the device of the logits; [`Row::NONE`] for a row without
    /// a winner.
    ///
    /// It is the Gumbel-max trick: the largest of `ln(mass) / temperature + noise`. The noise is a
    /// function of `noise`'s seed, the number of its draws before, the row and the concept, and
    /// the same on all devices; so a draw from a CUDA graph differs at each replay, as it should.
    /// Unlike all other results, a draw depends on the row's place in the batch.
    ///
    /// Takes `O(B · V)` time; two launches on a CUDA device.
    ///
    /// # Errors
    ///
    /// As for [`reduce`](Self::reduce); [`ReduceError::Temperature`] if the temperature is not
    /// above 0 and finite; [`ReduceError::NoiseDevice`].
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::{ConceptMap, Noise};
    /// # let device = Device::Cpu;
    /// let map = ConceptMap::builder(3).concept("ends", [0, 2])?.build()?.to_device(&device)?;
    /// let mut noise = Noise::new(42, &device)?;
    /// let logits = Tensor::new(&[0f32, 0.5, 0.1], &device)?;
    /// let token = map.sample(&logits, 1.0, &mut noise)?.to_vec1::<u32>()?[0];
    /// assert!(token == 1 || token == 2); // never 0, which stands for nothing
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn sample(
        &self,
        logits: &Tensor,
        temperature: f64,
        noise: &mut Noise,
    ) -> Result<Tensor, ReduceError> {
        let logits = self.check(logits)?;
        // Colder, no noise changes anything, and scores would overflow.
        const MAX_INVERSE: f64 = 1e30;
        let inverse = (1.0 / positive(temperature)?).min(MAX_INVERSE) as f32;
        match (&self.tables, noise.state()) {
            (Tables::Cpu(tables), noise::State::Cpu { seed, offset }) => {
                let drawn = on_cpu::draw(&self.map, tables, &logits, inverse, (*seed, *offset))?;
                *offset = offset.wrapping_add(1);
                Ok(drawn)
            }
            #[cfg(feature = "cuda")]
            (Tables::Cuda(tables), noise::State::Cuda(state, device))
                if self.device.same_device(device) =>
            {
                on_cuda::draw(tables, &logits, inverse, state)
            }
            #[cfg(feature = "cuda")]
            _ => Err(ReduceError::NoiseDevice {
                expected: self.device.location(),
                got: noise.location(),
            }),
        }
    }

    /// The probability of every concept, `f32`: `[C]` for logits `[V]`, `[B, C]` for `[B, V]`.
    ///
    /// A row of masses adds up to 1, except that a row of logits without a winner (see
    /// [`Row::status`]) gives NaN throughout.
    ///
    /// # Errors
    ///
    /// As for [`reduce`](Self::reduce).
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::ConceptMap;
    /// # let device = Device::Cpu;
    /// let map = ConceptMap::builder(3).concept("ends", [0, 2])?.build()?.to_device(&device)?;
    /// let masses = map.masses(&Tensor::new(&[0f32, 0., 0.], &device)?)?;
    /// assert_eq!(masses.to_vec1::<f32>()?, [2. / 3., 1. / 3.]);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn masses(&self, logits: &Tensor) -> Result<Tensor, ReduceError> {
        let logits = self.check(logits)?;
        match &self.tables {
            Tables::Cpu(tables) => on_cpu::masses(&self.map, tables, &logits),
            #[cfg(feature = "cuda")]
            Tables::Cuda(tables) => on_cuda::masses(tables, &logits),
        }
    }

    /// Logits in which every concept stands at one place, relative to the row's maximum; `f32`, in
    /// the logits' own shape.
    ///
    /// A concept's representative (its likeliest token) holds `ln Σ exp(logit - maximum)` over the
    /// concept, and its allies hold `-inf`; a token that is alone in its concept holds
    /// `logit - maximum`. The maximum is that of the row of `logits`. So the softmax of the result
    /// is the masses, each at the place of the token that stands for it, and any sampler can
    /// follow. A row without a winner (see [`Row::status`]) is NaN throughout.
    ///
    /// The result is relative because `f32` cannot hold the absolute logit of a concept as exactly
    /// as its mass: beside a logit of 3e7 there are no digits left for the logarithm of a sum. Add
    /// the maximum of the row if you need absolute logits.
    ///
    /// # Errors
    ///
    /// As for [`reduce`](Self::reduce).
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::ConceptMap;
    /// # let device = Device::Cpu;
    /// let map = ConceptMap::builder(3).concept("ends", [0, 2])?.build()?.to_device(&device)?;
    /// let pooled = map.pool(&Tensor::new(&[0f32, 0.5, 0.], &device)?)?;
    /// let pooled = pooled.to_vec1::<f32>()?;
    /// assert!((pooled[0] - (2f32.ln() - 0.5)).abs() < 1e-6);
    /// assert_eq!(pooled[1..], [0.0, f32::NEG_INFINITY]);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn pool(&self, logits: &Tensor) -> Result<Tensor, ReduceError> {
        let logits = self.check(logits)?;
        match &self.tables {
            Tables::Cpu(tables) => on_cpu::pool(&self.map, tables, &logits),
            #[cfg(feature = "cuda")]
            Tables::Cuda(tables) => on_cuda::pool(tables, &logits),
        }
    }

    pub(crate) fn check(&self, logits: &Tensor) -> Result<Logits, ReduceError> {
        Logits::check(logits, self.map.vocab_size(), &self.device)
    }
}

/// `temperature`, if masses can be raised to the power `1 / temperature`.
pub(crate) fn positive(temperature: f64) -> Result<f64, ReduceError> {
    if temperature > 0.0 && temperature.is_finite() {
        return Ok(temperature);
    }
    Err(ReduceError::Temperature { value: temperature })
}

/// What [`DeviceMap::reduce`] found: one [`Row`] for each row of logits, still on the device.
///
/// ```
/// # use candle_core::{Device, Tensor};
/// # use concept_mass::ConceptMap;
/// # let device = Device::Cpu;
/// # let map = ConceptMap::singletons(3)?.to_device(&device)?;
/// let reduction = map.reduce(&Tensor::new(&[[0f32, 1., 0.], [3., 1., 0.]], &device)?)?;
/// assert_eq!(reduction.len(), 2);
/// assert_eq!(reduction.tokens()?.to_vec1::<u32>()?, [1, 0]);
/// assert!(reduction.rows()?.iter().all(|row| row.status.is_ok()));
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Reduction(Found);

#[derive(Debug, Clone)]
enum Found {
    Cpu(Vec<Row>),
    #[cfg(feature = "cuda")]
    Cuda(cuda::DeviceRows),
}

impl Reduction {
    /// `B`: the number of rows; 1 for logits `[V]`.
    pub fn len(&self) -> usize {
        match &self.0 {
            Found::Cpu(rows) => rows.len(),
            #[cfg(feature = "cuda")]
            Found::Cuda(rows) => rows.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tokens to emit, `u32` `[B]`, on the device of the logits; nothing waits for them.
    ///
    /// A row without a winner has [`Row::NONE`], which no vocabulary holds.
    ///
    /// # Errors
    ///
    /// Those of candle.
    pub fn tokens(&self) -> Result<Tensor, ReduceError> {
        match &self.0 {
            Found::Cpu(rows) => {
                let tokens: Vec<u32> = rows.iter().map(|row| row.representative).collect();
                Ok(Tensor::from_vec(tokens, rows.len(), &Device::Cpu)?)
            }
            #[cfg(feature = "cuda")]
            Found::Cuda(rows) => Ok(rows.tokens()),
        }
    }

    /// The rows, copied to the host; this waits for them.
    ///
    /// # Errors
    ///
    /// Those of candle.
    pub fn rows(&self) -> Result<Vec<Row>, ReduceError> {
        match &self.0 {
            Found::Cpu(rows) => Ok(rows.clone()),
            #[cfg(feature = "cuda")]
            Found::Cuda(rows) => rows.rows(),
        }
    }
}
