//! Requests of every kind, and what each samples alone.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use concept_mass::sample::{
    BatchSampler, Distribution, Emission, Penalties, RowSampler, RowState, Sampled, SampledBatch,
    TokenMask, sample_batch_masked,
};
use concept_mass::{ConceptMap, MapId, MapSet};
use rand::{Rng, rngs::StdRng};

use crate::common::chain::{self, Request};
use crate::common::*;

pub const V: usize = 1501;
pub const WORDS: usize = V.div_ceil(32);
/// How many steps the logits of a request are for.
pub const STEPS: usize = 5;

/// A request, its map, and the logits of its steps.
pub struct Served {
    pub request: Request,
    pub map: Option<ConceptMap>,
    pub logits: Vec<Vec<f32>>,
}

impl Served {
    pub fn new(request: Request, rng: &mut StdRng) -> Self {
        let partition = PARTITIONS[rng.random_range(0..PARTITIONS.len())];
        let map = rng.random_bool(0.8).then(|| partition.map(V, rng));
        let profile = [Profile::Peaked, Profile::NoiseWithinATenth, Profile::Ties];
        let logits = (0..STEPS).map(|step| profile[step % 3].row(V, rng)).collect();
        Self { request, map, logits }
    }

    pub fn start_state(&self) -> RowState {
        chain::state(0, &self.request.seen)
    }

    /// Words that allow everything, or what the request's mask does.
    pub fn words(&self) -> Vec<u32> {
        self.request.mask.clone().unwrap_or_else(|| vec![u32::MAX; WORDS])
    }

    /// What the request samples alone, and what it remembers after each step.
    pub fn alone(&self) -> (Vec<Sampled>, Vec<RowState>) {
        let params = self.request.params();
        let mut row = match &self.map {
            Some(map) => RowSampler::new(params, map.to_device(&device()).unwrap()).unwrap(),
            None => RowSampler::by_token(params, V).unwrap(),
        };
        row.restore(self.start_state()).unwrap();
        let words = self.words();
        let mask = TokenMask::new(&words, WORDS).unwrap();
        let step = |logits: &Vec<f32>| {
            let logits = Tensor::new(vec![logits.clone()], &device()).unwrap();
            let rows = std::slice::from_mut(&mut row);
            let sampled = sample_batch_masked(&logits, rows, mask).unwrap().remove(0).unwrap();
            (sampled, row.state().clone())
        };
        self.logits.iter().map(step).unzip()
    }
}

/// Requests with each parameter alone and with all of them, each with a seed of its own.
pub fn requests(rng: &mut StdRng) -> Vec<Served> {
    let penalties = Penalties { repetition: 1.2, presence: 0.1, frequency: 0.3 };
    let (raw, after) = (Some((5, Distribution::Raw)), Some((20, Distribution::Final)));
    let by_share = Emission::ByShare;
    let mask = Some((0..WORDS).map(|_| rng.random()).collect());
    let at = Request::at;
    let requests = [
        at(0.0),
        Request { penalties, log_probs: raw, ..at(0.0) },
        Request { emission: by_share, mask: mask.clone(), ..at(0.0) },
        at(1.0),
        Request { emission: by_share, ..at(1.0) },
        Request { log_probs: after, mask: mask.clone(), ..at(0.8) },
        Request { top_k: Some(40), penalties, ..at(0.8) },
        Request { top_p: 0.9, emission: by_share, ..at(0.8) },
        Request { min_p: 0.05, pooling: false, ..at(1.3) },
        Request {
            top_k: Some(100),
            top_p: 0.95,
            min_p: 0.02,
            penalties,
            bias: BTreeMap::from([(5, 2.0), (6, f32::NEG_INFINITY)]),
            seen: (0..300).map(|token| (token * 7 % V as u32, 1 + token % 3)).collect(),
            log_probs: raw,
            mask,
            ..at(0.7)
        },
    ];
    let seeded = |(seed, request)| Served::new(Request { seed, ..request }, rng);
    (100..).zip(requests).map(seeded).collect()
}

/// A sampler that holds the maps of these requests.
pub fn sampler(served: &[Served], slots: usize) -> (BatchSampler, Vec<Option<MapId>>) {
    let mut maps = MapSet::new(V, 50, &device()).unwrap();
    let ids = served.iter().map(|served| Some(maps.insert(served.map.as_ref()?).unwrap()));
    let ids = ids.collect();
    (BatchSampler::new(maps, slots).unwrap(), ids)
}

/// One step of some requests, each at a step of its own, in these slots.
pub fn step(
    sampler: &mut BatchSampler,
    rows: &[(&Served, usize, usize)],
    has_mask: bool,
) -> SampledBatch {
    let logits = rows.iter().map(|&(served, _, step)| served.logits[step].clone());
    let logits = Layout::Contiguous.tensor(&logits.collect::<Vec<_>>(), V, DType::F32).unwrap();
    let slots: Vec<usize> = rows.iter().map(|&(_, slot, _)| slot).collect();
    let slots = sampler.slots(&slots).unwrap();
    let words: Vec<u32> = rows.iter().flat_map(|(served, ..)| served.words()).collect();
    let mask = Tensor::from_vec(words, (rows.len(), WORDS), &Device::Cpu).unwrap();
    let mask = mask.to_device(&device()).unwrap();
    sampler.sample(&logits, &slots, has_mask.then_some(&mask)).unwrap()
}
