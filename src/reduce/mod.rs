//! The operations on logits: the vote on every row, masses, pooled logits, draws.
//!
//! [`ConceptMap::to_device`] turns a map into a [`DeviceMap`], which holds the tables that the
//! operations need beside the logits:
//!
//! | operation | result | shape |
//! | --- | --- | --- |
//! | [`decide`](DeviceMap::decide) | winner, tokens, their probabilities: a [`Decision`] | `B` rows |
//! | [`reduce`](DeviceMap::reduce) | the same, runner-up and entropies: a [`Row`] | `B` rows |
//! | [`sample`](DeviceMap::sample) | a token, of a concept drawn at random by its mass | `[B]` |
//! | [`masses`](DeviceMap::masses) | the mass of every concept | `[B, C]` |
//! | [`pool`](DeviceMap::pool) | logits in which concepts stand for their tokens | `[B, V]` |
//! | [`DeviceTokenSets::measure`] | mass and concentration of named sets | `[B, S]` |
//!
//! All take logits `[V]` or `[B, V]` in `f32`, `f16` or `bf16`, contiguous or not, and accumulate
//! in `f32` or better. They are deterministic, and a row's result does not depend on the batch (but
//! [`sample`](DeviceMap::sample) draws by the row's place in it).
//!
//! A [`MapSet`] holds many maps, of which each row of a batch has its own.
//!
//! A row that holds a NaN or `+inf`, or nothing but `-inf`, has no winner, and spoils no other row.
//! On the host it is a [`BadRow`], which says why; in tensors on the device it is NaN throughout,
//! and [`NO_TOKEN`] among tokens.
//!
//! Logits may be on any device that candle has. The crate reduces them where they are on the CPU,
//! and with the feature `cuda` on CUDA devices; elsewhere it copies them to the host, as candle's
//! own sampler does ([`DeviceMap::runs_on_device`]).
//!
//! On a CUDA device, results are not there when a call returns: [`threads`] says what is in order.

#[cfg(feature = "cuda")]
mod abi;
pub(crate) mod backend;
mod bad_row;
pub(crate) mod cpu;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;
#[cfg(not(feature = "cuda"))]
#[path = "cuda_stub.rs"]
pub(crate) mod cuda;
mod error;
pub(crate) mod logits;
mod map_set;
mod noise;
pub(crate) mod numbers;
#[cfg(feature = "cuda")]
mod packed;
mod reduction;
pub(crate) mod requests;
mod row;
mod token_sets;

pub mod reference;

#[doc = include_str!("../../docs/THREADS.md")]
pub mod threads {}

use candle_core::{Device, Tensor};

pub use bad_row::{BadRow, BadRowReason};
pub use error::ReduceError;
pub use map_set::{MapId, MapSet, NO_MAP};
pub use noise::Noise;
pub(crate) use noise::advance;
pub use reduction::{Decisions, Reduction};
pub use row::{Decision, Row, RunnerUp};
pub use token_sets::{DeviceTokenSets, SetMass, SetMasses};

use self::backend::MapBackend;
use self::logits::Logits;
use crate::ConceptMap;

/// What a tensor of tokens holds for a row that has no winner: an id that no vocabulary has.
pub const NO_TOKEN: u32 = u32::MAX;

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
    backend: MapBackend,
}

impl std::fmt::Debug for DeviceMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { map, device, .. } = self;
        f.debug_struct("DeviceMap").field("map", map).field("device", device).finish()
    }
}

impl ConceptMap {
    /// Puts the map on a device, any that candle has: derives what the operations need there,
    /// `O(V log V)`, and on a CUDA device uploads it and waits for that. Do this once, not at every
    /// step.
    ///
    /// Between threads, streams and graphs: [`threads`].
    ///
    /// # Errors
    ///
    /// [`ReduceError::DeviceFailed`].
    pub fn to_device(&self, device: &Device) -> Result<DeviceMap, ReduceError> {
        let backend = MapBackend::new(self, device)?;
        Ok(DeviceMap { map: self.clone(), device: device.clone(), backend })
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

    /// Whether logits are reduced where they are: true on the CPU, and where there are kernels for
    /// the device. Elsewhere every operation copies them to the host, and its result back.
    ///
    /// ```
    /// # use candle_core::Device;
    /// let map = concept_mass::ConceptMap::singletons(3)?;
    /// assert!(map.to_device(&Device::Cpu)?.runs_on_device());
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn runs_on_device(&self) -> bool {
        self.backend.is_at(&self.device)
    }

    /// Finds the winning concept of every row, and everything else that is in a [`Row`].
    ///
    /// `logits` is `[V]` or `[B, V]`, `B` ≥ 0, in `f32`, `f16` or `bf16`; an untransposed view of
    /// any offset and row stride is read where it is. `-inf` is probability 0.
    ///
    /// Takes `O(B · V)` time. On a CUDA device, that is two launches; nothing waits for them until
    /// [`Reduction::rows`] is asked for. On the CPU, half a million logits or more are shared among
    /// rayon's threads: the rows, and the parts of a row that is as long by itself if there are fewer
    /// rows than threads.
    ///
    /// Between threads, streams and graphs: [`threads`].
    ///
    /// # Errors
    ///
    /// [`ReduceError::LogitsRank`], [`ReduceError::LogitsWidth`], [`ReduceError::LogitsDType`],
    /// [`ReduceError::LogitsDevice`]; on a CUDA device also [`ReduceError::DeviceFailed`]. A row that
    /// has no winner is no error here, but one of [`Reduction::rows`].
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::ConceptMap;
    /// # let device = Device::Cpu;
    /// let map = ConceptMap::singletons(3)?.to_device(&device)?;
    /// let row = map.reduce(&Tensor::new(&[0f32, 1., 0.], &device)?)?.rows()?[0]?;
    /// assert_eq!(row.representative, 1);
    /// assert!((row.log_z - (2.0 + 1f32.exp()).ln()).abs() < 1e-6);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn reduce(&self, logits: &Tensor) -> Result<Reduction, ReduceError> {
        Ok(Reduction(self.backend.reduce(&self.map, &self.check(logits)?)?))
    }

    /// Finds the winning concept of every row: what a decode loop needs, and no more.
    ///
    /// Only the entropy over concepts, in [`reduce`](Self::reduce), needs the mass of every
    /// concept. Without it, a CUDA device takes one launch, and time that hardly depends on the
    /// map. On the CPU this saves nothing.
    ///
    /// Between threads, streams and graphs: [`threads`].
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
    /// let decisions = map.decide(&Tensor::new(&[0f32, 0.5, 0.], &device)?)?;
    /// assert_eq!(decisions.tokens()?.to_vec1::<u32>()?, [0]);
    /// let decision = decisions.rows()?[0]?;
    /// assert_eq!((decision.winner, decision.greedy), (0, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn decide(&self, logits: &Tensor) -> Result<Decisions, ReduceError> {
        Ok(Decisions(self.backend.decide(&self.map, &self.check(logits)?)?))
    }

    /// Draws a concept for every row by its mass to the power `1 / temperature`, and gives its
    /// representative: `u32` `[B]`, on the device of the logits; [`NO_TOKEN`] for a row that has
    /// no winner.
    ///
    /// A row takes one uniform number, a function of `noise`'s seed, the row's place in the batch, and the
    /// number of tokens that were drawn in that place before. It is the same on all devices; so a draw
    /// from a CUDA graph differs at each replay, as it should. The concept on which the number falls is
    /// drawn, in the order that docs/SAMPLING.md has. A row that has no winner draws no token.
    ///
    /// Takes `O(B · V)` time; on a CUDA device one launch at temperature 1, or if
    /// the map pools nothing, and two otherwise.
    ///
    /// Between threads, streams and graphs: [`threads`].
    ///
    /// # Errors
    ///
    /// As for [`reduce`](Self::reduce); [`ReduceError::Temperature`] if the temperature is not
    /// above 0 and finite; [`ReduceError::NoiseDevice`]. A call that fails does not count: `noise`
    /// stays as it was.
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
        let temperature = positive(temperature)?;
        noise.check(&self.device)?;
        self.backend.sample(&self.map, &logits, temperature, noise)
    }

    /// The probability of every concept, `f32`: `[C]` for logits `[V]`, `[B, C]` for `[B, V]`.
    ///
    /// A row of masses adds up to 1, except that a row of logits that has no winner gives NaN
    /// throughout.
    ///
    /// Between threads, streams and graphs: [`threads`].
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
        self.backend.masses(&self.map, &self.check(logits)?)
    }

    /// Logits in which every concept stands at one place, relative to the row's maximum; `f32`, in
    /// the logits' own shape.
    ///
    /// A concept's representative (its likeliest token) holds `ln Σ exp(logit - maximum)` over the
    /// concept, and its allies hold `-inf`; a token that is alone in its concept holds
    /// `logit - maximum`. The maximum is that of the row of `logits`. So the softmax of the result
    /// is the masses, each at the place of the token that stands for it, and any sampler can
    /// follow. A row that has no winner gives NaN throughout.
    ///
    /// The result is relative because `f32` cannot hold the absolute logit of a concept as exactly
    /// as its mass: beside a logit of 3e7 there are no digits left for the logarithm of a sum. Add
    /// the maximum of the row if you need absolute logits.
    ///
    /// Between threads, streams and graphs: [`threads`].
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
        self.backend.pool(&self.map, &self.check(logits)?)
    }

    /// Whether there are kernels for the map's device, which is not the host then.
    pub(crate) fn has_kernels(&self) -> bool {
        self.backend.has_kernels()
    }

    /// What a row's tokens mean, for sampling on the host.
    pub(crate) fn concepts_on_host(&self) -> cpu::sample::Concepts<'_> {
        cpu::sample::Concepts::of(&self.map, self.backend.tables_on_host(&self.map))
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
