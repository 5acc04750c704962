//! The same of requests in the slots of a server.

use candle_core::Tensor;
use concept_mass::sample::BatchSampler;
use concept_mass::{DeviceMap, MapSet};
use rand::{Rng, rngs::StdRng, seq::SliceRandom};

use super::witness::{Check, Draws};
use crate::common::chain::{Request, state};
use crate::common::device;
use crate::common::philox::Steps;

/// As [`super::witness::check`], each draw by a request in a slot of its own.
pub fn check(
    map: &DeviceMap,
    rows: impl Fn(usize) -> Tensor,
    request: &Request,
    steps: &Steps,
    rng: &mut StdRng,
) -> Result<Vec<Check>, String> {
    let draws = Draws::new(map, &rows, request, steps, rng);
    let mut maps = MapSet::new(map.map().vocab_size(), 3, &device()).unwrap();
    // At any place of the set.
    for _ in 0..rng.random_range(0..3) {
        maps.insert(&concept_mass::ConceptMap::singletons(map.map().vocab_size()).unwrap())
            .unwrap();
    }
    let id = maps.insert(map.map()).unwrap();
    let mut slots: Vec<usize> = (0..draws.steps.len()).collect();
    slots.shuffle(rng);
    let mut sampler = BatchSampler::new(maps, slots.len()).unwrap();
    for (&slot, &(step, _)) in slots.iter().zip(&draws.steps) {
        sampler.start(slot, request.params(), Some(id), state(step, &request.seen)).unwrap();
    }
    let mask = request
        .mask
        .as_ref()
        .map(|words| Tensor::new(vec![words.clone(); slots.len()], &device()).unwrap());
    let slot_of_row = sampler.slots(&slots).unwrap();
    let sampled = sampler.sample(&rows(slots.len()), &slot_of_row, mask.as_ref());
    let sampled = sampled.and_then(|sampled| sampled.rows()).map_err(|error| error.to_string())?;
    for (i, (&slot, sampled)) in slots.iter().zip(&sampled).enumerate() {
        let mut seen = request.seen.clone();
        if let Ok(sampled) = sampled {
            *seen.entry(sampled.token).or_default() += 1;
        }
        let want = state(draws.steps[i].0 + u64::from(sampled.is_ok()), &seen);
        let got = sampler.state(slot).unwrap();
        if got != want {
            return Err(format!("{sampled:?} leaves {got:?}, not {want:?}"));
        }
    }
    draws.judge(sampled)
}
