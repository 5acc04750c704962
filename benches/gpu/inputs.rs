//! What the rivals work on, and how each is run.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use candle_core::cuda_backend::cudarc::driver::{CudaGraph, sys};
use candle_core::{Device, Result, Tensor};
use concept_mass::reduce::{Decisions, DeviceTokenSets, Reduction};
use concept_mass::{ConceptMap, DeviceMap, Noise, TokenSets};

use super::case::{Case, cases};
use super::kernels::{self, Kernels};
use super::rival::Rival;
use crate::common::candle_chain;
use crate::row::typical_rows;
use crate::samplers::{Samplers, candle_probs};

/// So many rows differ; a batch repeats them, from memory of its own.
pub const DISTINCT_ROWS: usize = 16;

/// Of all draws.
pub const SEED: u64 = 7;

/// The device, and what the bench has on it.
pub struct Gpu {
    pub device: Device,
    pub kernels: Kernels,
    pub samplers: Samplers,
}

impl Gpu {
    pub fn open() -> anyhow::Result<Rc<Self>> {
        let (device, cuda) = kernels::open()?;
        let rows = cases().iter().map(|case| case.batch).max().unwrap_or(1);
        let kernels = Kernels::load(&cuda, rows)?;
        kernels.be_busy(1)?;
        Ok(Rc::new(Self { samplers: Samplers::load(&cuda)?, device, kernels }))
    }
}

/// What the rivals work on at one point.
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
    /// The pooled concepts as a collection of sets.
    pub(super) token_sets: DeviceTokenSets,
    noise: RefCell<Noise>,
    pub(super) host_map: DeviceMap,
    /// A decision on the first set, recorded, and what its replays write.
    recorded: Option<(CudaGraph, Decisions)>,
}

impl Inputs {
    pub fn new(case: Case, gpu: &Rc<Gpu>, quick: bool) -> anyhow::Result<Self> {
        let sets = case.sets(gpu.kernels.l2_bytes()?);
        let sets = if quick { sets.min(2) } else { sets };
        let rows = typical_rows(DISTINCT_ROWS, case.vocab_size, case.p_max, case.dtype)?;
        let on_device = rows.to_device(&gpu.device)?;
        let set = |set: usize| {
            let places = (set * case.batch..).take(case.batch).map(|i| (i % DISTINCT_ROWS) as u32);
            on_device.index_select(&Tensor::from_iter(places, &gpu.device)?, 0)
        };
        let map = case.map.of(case.vocab_size);
        let mut inputs = Inputs {
            gpu: gpu.clone(),
            case,
            sets: (0..sets).map(set).collect::<Result<_>>()?,
            next_set: Cell::new(0),
            rows,
            concept_ids: Tensor::new(map.concept_ids(), &gpu.device)?,
            token_sets: pooled(&map)?.to_device(&gpu.device)?,
            noise: RefCell::new(Noise::new(SEED, &gpu.device)?),
            host_map: map.to_device(&Device::Cpu)?,
            map: map.to_device(&gpu.device)?,
            recorded: None,
        };
        if inputs.rivals().any(|rival| rival == Rival::Replay) {
            inputs.recorded = Some(inputs.record()?);
        }
        Ok(inputs)
    }

    /// What is measured at this point, on this device.
    pub fn rivals(&self) -> impl Iterator<Item = Rival> {
        self.case.rivals().filter(|rival| match rival {
            Rival::Sampler(way, _) => self.gpu.samplers.has(*way),
            _ => true,
        })
    }

    /// Gives one rival the next set of logits. The device has not answered when this returns; the
    /// host has.
    pub fn run(&self, rival: Rival) -> anyhow::Result<()> {
        let set = self.next_set.replace((self.next_set.get() + 1) % self.sets.len());
        let logits = &self.sets[set];
        match rival {
            Rival::Decide => drop(self.map.decide(logits)?),
            Rival::Replay => drop(self.replay()?),
            Rival::Reduce => drop(self.map.reduce(logits)?),
            Rival::Masses => drop(self.map.masses(logits)?),
            Rival::Pool => drop(self.map.pool(logits)?),
            Rival::Measure => drop(self.token_sets.measure(logits)?),
            Rival::Sample => drop(self.sample(logits, 1.0)?),
            Rival::SampleCold => drop(self.sample(logits, 0.7)?),
            Rival::Floor => drop(self.gpu.kernels.read_all(logits)?),
            Rival::Argmax => drop(self.gpu.kernels.argmax(logits)?),
            Rival::CandleChain => drop(self.candle_chain(logits)?),
            Rival::Host => drop(self.on_host(logits)?),
            Rival::Sampler(way, filter) => {
                drop(self.gpu.samplers.sample(way, logits, filter, SEED)?);
            }
            Rival::CandleProbs => drop(candle_probs(logits)?),
        }
        Ok(())
    }

    pub(super) fn candle_chain(&self, logits: &Tensor) -> Result<Tensor> {
        candle_chain(logits, &self.concept_ids, self.map.map().num_concepts())
    }

    pub(super) fn on_host(&self, logits: &Tensor) -> anyhow::Result<Reduction> {
        Ok(self.host_map.reduce(&logits.to_device(&Device::Cpu)?)?)
    }

    fn sample(&self, logits: &Tensor, temperature: f64) -> anyhow::Result<Tensor> {
        Ok(self.map.sample(logits, temperature, &mut self.noise.borrow_mut())?)
    }

    fn record(&self) -> anyhow::Result<(CudaGraph, Decisions)> {
        let stream = self.gpu.device.as_cuda_device()?.cuda_stream();
        stream.begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)?;
        let decided = self.map.decide(&self.sets[0]);
        let flags = sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
        let graph = stream.end_capture(flags)?;
        Ok((graph.expect("a launch was recorded"), decided?))
    }

    pub(super) fn replay(&self) -> anyhow::Result<&Decisions> {
        let (graph, decided) = self.recorded.as_ref().expect("what is measured was recorded");
        graph.launch()?;
        Ok(decided)
    }
}

fn pooled(map: &ConceptMap) -> anyhow::Result<TokenSets> {
    let mut sets = TokenSets::builder(map.vocab_size());
    for concept in 0..map.num_concepts() as u32 {
        if let Some(tokens @ [_, _, ..]) = map.tokens(concept) {
            sets = sets.set(concept.to_string(), tokens.iter().copied())?;
        }
    }
    Ok(sets.build()?)
}
