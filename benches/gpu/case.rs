//! The points of the benchmark, their inputs, and the rivals.

use std::cell::Cell;
use std::rc::Rc;

use candle_core::{DType, Device, Result, Tensor};
use concept_mass::{DeviceMap, reduce::Reduction};

use super::kernels::{self, Kernels};
use crate::common::{Pooling, candle_chain, model_like_logits};

pub const BATCHES: [usize; 4] = [1, 8, 64, 256];

/// So many rows differ; a batch repeats them, from memory of its own.
pub const DISTINCT_ROWS: usize = 16;

/// All input sets together are at most so large, unless two are larger.
const MOST_BYTES: usize = 512 << 20;

/// The device, and what the bench has on it.
pub struct Gpu {
    pub device: Device,
    pub kernels: Kernels,
}

impl Gpu {
    pub fn open() -> Result<Rc<Self>> {
        let (device, cuda) = kernels::open()?;
        let kernels = Kernels::load(&cuda, BATCHES[BATCHES.len() - 1])?;
        kernels.be_busy(1)?;
        Ok(Rc::new(Self { device, kernels }))
    }
}

/// One point of the benchmark.
#[derive(Clone, Copy)]
pub struct Case {
    pub vocab_size: usize,
    pub batch: usize,
    pub dtype: DType,
    pub pooling: Pooling,
}

/// What answers a question about logits, or the floor under all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rival {
    /// [`DeviceMap::decide`].
    Decide,
    /// [`DeviceMap::reduce`].
    Reduce,
    /// [`DeviceMap::masses`].
    Masses,
    /// [`DeviceMap::pool`].
    Pool,
    /// Reads all logits, and does nothing with them.
    Floor,
    /// Plain argmax over tokens, by a kernel that does nothing else.
    Argmax,
    /// candle: softmax → index_add into concepts → argmax.
    CandleChain,
    /// The copy to the host, and the reduction there. Measured by the host's clock.
    Host,
}

pub const RIVALS: [Rival; 8] = [
    Rival::Decide,
    Rival::Reduce,
    Rival::Masses,
    Rival::Pool,
    Rival::Floor,
    Rival::Argmax,
    Rival::CandleChain,
    Rival::Host,
];

impl Rival {
    pub fn name(self) -> &'static str {
        match self {
            Rival::Decide => "decide",
            Rival::Reduce => "reduce",
            Rival::Masses => "masses",
            Rival::Pool => "pool",
            Rival::Floor => "floor",
            Rival::Argmax => "argmax",
            Rival::CandleChain => "candle chain",
            Rival::Host => "copy + CPU",
        }
    }
}

impl Case {
    /// As in `131072/b64/bf16/sparse`.
    pub fn name(&self) -> String {
        let Self { vocab_size, batch, dtype, pooling } = self;
        format!("{vocab_size}/b{batch}/{}/{pooling:?}", dtype.as_str()).to_lowercase()
    }

    /// The bytes of the logits of one call.
    pub fn bytes(&self) -> usize {
        self.batch * self.vocab_size * self.dtype.size_in_bytes()
    }

    /// Input sets that, taken in turn, are never in the second-level cache when it is their turn
    /// again.
    fn sets(&self, l2_bytes: usize) -> usize {
        let most = (MOST_BYTES / self.bytes()).max(2);
        (2 * l2_bytes / self.bytes() + 1).clamp(2, most)
    }

    pub fn inputs(&self, gpu: &Rc<Gpu>, quick: bool) -> anyhow::Result<Inputs> {
        let sets = if quick { 2 } else { self.sets(gpu.kernels.l2_bytes()?) };
        let rows = model_like_logits(DISTINCT_ROWS, self.vocab_size, self.dtype)?;
        let on_device = rows.to_device(&gpu.device)?;
        let set = |set: usize| {
            let places = (set * self.batch..).take(self.batch).map(|i| (i % DISTINCT_ROWS) as u32);
            on_device.index_select(&Tensor::from_iter(places, &gpu.device)?, 0)
        };
        let sets = (0..sets).map(set).collect::<Result<_>>()?;
        let map = self.pooling.map(self.vocab_size);
        Ok(Inputs {
            gpu: gpu.clone(),
            case: *self,
            sets,
            next_set: Cell::new(0),
            rows,
            concept_ids: Tensor::new(map.concept_ids(), &gpu.device)?,
            host_map: map.to_device(&Device::Cpu)?,
            map: map.to_device(&gpu.device)?,
        })
    }
}

/// What the rivals work on.
pub struct Inputs {
    pub(super) gpu: Rc<Gpu>,
    pub(super) case: Case,
    /// Logits `[B, V]`, each in memory of its own: candle would copy all of it to the host.
    pub(super) sets: Vec<Tensor>,
    next_set: Cell<usize>,
    /// The distinct rows, on the host. With the sets one after the other, row `i` of them is row
    /// `i mod DISTINCT_ROWS` here.
    pub(super) rows: Tensor,
    concept_ids: Tensor,
    pub(super) map: DeviceMap,
    host_map: DeviceMap,
}

impl Inputs {
    /// Gives one rival the next set of logits. The device has not answered when this returns; the
    /// host has.
    pub fn run(&self, rival: Rival) -> anyhow::Result<()> {
        let set = self.next_set.replace((self.next_set.get() + 1) % self.sets.len());
        let logits = &self.sets[set];
        match rival {
            Rival::Decide => drop(self.map.decide(logits)?),
            Rival::Reduce => drop(self.map.reduce(logits)?),
            Rival::Masses => drop(self.map.masses(logits)?),
            Rival::Pool => drop(self.map.pool(logits)?),
            Rival::Floor => drop(self.gpu.kernels.read_all(logits)?),
            Rival::Argmax => drop(self.gpu.kernels.argmax(logits)?),
            Rival::CandleChain => drop(self.candle_chain(logits)?),
            Rival::Host => drop(self.on_host(logits)?),
        }
        Ok(())
    }

    pub(super) fn candle_chain(&self, logits: &Tensor) -> Result<Tensor> {
        candle_chain(logits, &self.concept_ids, self.map.map().num_concepts())
    }

    pub(super) fn on_host(&self, logits: &Tensor) -> anyhow::Result<Reduction> {
        Ok(self.host_map.reduce(&logits.to_device(&Device::Cpu)?)?)
    }
}
