//! Logits and a map in, one [`Row`] each out.
//!
//! [`ConceptMap::to_device`] turns a map into a [`DeviceMap`], which holds the tables that the
//! reduction needs beside the logits, and has its operations:
//!
//! | operation | result | shape |
//! | --- | --- | --- |
//! | [`reduce`](DeviceMap::reduce) | winner, runner-up, tokens, masses, entropies | `B` rows |
//! | [`masses`](DeviceMap::masses) | the mass of every concept | `[B, C]` |
//! | [`pool`](DeviceMap::pool) | logits in which concepts stand for their tokens | `[B, V]` |
//! | [`DeviceProbes::probe`] | mass and concentration of named sets | `[B, P]` |
//!
//! All take logits `[V]` or `[B, V]` in `f32`, `f16` or `bf16`, contiguous or not, and accumulate
//! in `f32` or better. They are deterministic, and a row's result does not depend on the batch.

mod cpu;
mod logits;
mod probe;
mod row;

pub mod reference;

use std::sync::Arc;

use candle_core::{Device, Tensor};

pub use probe::{DeviceProbes, Probed};
pub use row::{Row, Status};

use self::logits::{Logits, OnRows, Rows};
use crate::concept::ConceptMap;
use crate::{Error, Result};

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
    tables: Arc<cpu::Tables>,
}

impl std::fmt::Debug for DeviceMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { map, device, .. } = self;
        f.debug_struct("DeviceMap").field("map", map).field("device", device).finish()
    }
}

impl ConceptMap {
    /// Puts the map on a device: derives what the reduction needs there, `O(V log V)`. Do this
    /// once, not at every step.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedDevice`] for a device other than the CPU.
    pub fn to_device(&self, device: &Device) -> Result<DeviceMap> {
        cpu_only(device)?;
        let tables = Arc::new(cpu::Tables::new(self));
        Ok(DeviceMap { map: self.clone(), device: device.clone(), tables })
    }
}

fn cpu_only(device: &Device) -> Result<()> {
    match device {
        Device::Cpu => Ok(()),
        device => Err(Error::UnsupportedDevice { device: device.location() }),
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
    /// Takes `O(B · V)` time. On the CPU, half a million logits or more are shared among rayon's
    /// threads: the rows, and the parts of a row that is as long by itself if there are fewer
    /// rows than threads.
    ///
    /// # Errors
    ///
    /// [`Error::LogitsRank`], [`Error::LogitsWidth`], [`Error::LogitsDType`],
    /// [`Error::LogitsDevice`]. A NaN, a `+inf`, or a row of nothing but `-inf` is no error here:
    /// it is told in [`Row::status`], and other rows are right.
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
    pub fn reduce(&self, logits: &Tensor) -> Result<Reduction> {
        let logits = self.check(logits)?;
        let rows = logits.on_cpu(Reduce { map: &self.map, tables: &self.tables })?;
        Ok(Reduction { rows, device: self.device.clone() })
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
    pub fn masses(&self, logits: &Tensor) -> Result<Tensor> {
        let logits = self.check(logits)?;
        let mut masses = vec![0f32; logits.rows() * self.map.concepts()];
        let (map, tables) = (&self.map, &*self.tables);
        logits.on_cpu(Masses { map, tables, out: &mut masses })?;
        let shape = logits.shape_of(self.map.concepts());
        Ok(Tensor::from_vec(masses, shape, &self.device)?)
    }

    /// Logits in which every concept stands at one place, `f32`, in the logits' own shape.
    ///
    /// A concept's representative (its likeliest token) holds `ln Σ exp(logit)` over the concept,
    /// and its allies `-inf`; the logit of a token that is alone in its concept is kept. So the
    /// softmax of the result is the masses, each at the place of the token that stands for it,
    /// and any sampler can follow. A row without a winner (see [`Row::status`]) is NaN throughout.
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
    /// assert_eq!(pooled.to_vec1::<f32>()?, [2f32.ln(), 0.5, f32::NEG_INFINITY]);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn pool(&self, logits: &Tensor) -> Result<Tensor> {
        let logits = self.check(logits)?;
        let mut pooled = vec![0f32; logits.rows() * self.map.vocab_size()];
        let (map, tables) = (&self.map, &*self.tables);
        logits.on_cpu(Pool { map, tables, out: &mut pooled })?;
        let shape = logits.shape_of(self.map.vocab_size());
        Ok(Tensor::from_vec(pooled, shape, &self.device)?)
    }

    fn check(&self, logits: &Tensor) -> Result<Logits> {
        Logits::check(logits, self.map.vocab_size(), &self.device)
    }
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
pub struct Reduction {
    rows: Vec<Row>,
    device: Device,
}

impl Reduction {
    /// `B`: the number of rows; 1 for logits `[V]`.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The tokens to emit, `u32` `[B]`, on the device of the logits.
    ///
    /// A row without a winner has [`Row::NONE`], which no vocabulary holds.
    ///
    /// # Errors
    ///
    /// Those of candle.
    pub fn tokens(&self) -> Result<Tensor> {
        let tokens: Vec<u32> = self.rows.iter().map(|row| row.representative).collect();
        Ok(Tensor::from_vec(tokens, self.rows.len(), &self.device)?)
    }

    /// The rows, copied to the host.
    ///
    /// # Errors
    ///
    /// Those of candle.
    pub fn rows(&self) -> Result<Vec<Row>> {
        Ok(self.rows.clone())
    }
}

struct Reduce<'a> {
    map: &'a ConceptMap,
    tables: &'a cpu::Tables,
}

impl OnRows for Reduce<'_> {
    type Output = Vec<Row>;
    fn run<T: cpu::Logit>(self, rows: Rows<'_, T>) -> Vec<Row> {
        cpu::reduce(self.map, self.tables, rows)
    }
}

struct Masses<'a> {
    map: &'a ConceptMap,
    tables: &'a cpu::Tables,
    out: &'a mut [f32],
}

impl OnRows for Masses<'_> {
    type Output = ();
    fn run<T: cpu::Logit>(self, rows: Rows<'_, T>) {
        cpu::masses(self.map, self.tables, rows, self.out);
    }
}

struct Pool<'a> {
    map: &'a ConceptMap,
    tables: &'a cpu::Tables,
    out: &'a mut [f32],
}

impl OnRows for Pool<'_> {
    type Output = ();
    fn run<T: cpu::Logit>(self, rows: Rows<'_, T>) {
        cpu::pool(self.map, self.tables, rows, self.out);
    }
}
