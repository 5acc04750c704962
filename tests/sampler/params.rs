//! All that a request of a batch may ask, asked of a sampler with candle's generator.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use concept_mass::sample::{
    Distribution, Emission, Penalties, SampleError, Sampled, TokenMask, TopKPooling,
};
use concept_mass::source::Embedding;
use concept_mass::{ConceptMap, ConceptSampler, DeviceMap, Sampling};
use rand::{RngCore, SeedableRng, rngs::StdRng};

use crate::common::chain::{Chain, Request};
use crate::common::{Partition, device, in_f64, rng};
use crate::sampler::random_logits;

const V: usize = 111;
const DRAWS: usize = if cfg!(feature = "cuda") { 10 } else { 60 };

fn maps() -> Vec<DeviceMap> {
    let mut rng = rng(1);
    [Partition::Singletons, Partition::Dense, Partition::Shuffled]
        .map(|partition| partition.map(V, &mut rng).to_device(&device()).unwrap())
        .to_vec()
}

fn requests() -> Vec<Request> {
    let penalties = Penalties { repetition: 1.3, presence: 0.2, frequency: 0.1 };
    let seen: BTreeMap<u32, u32> = (0..40).map(|token| (token * 2, 1 + token % 3)).collect();
    let by_share = Emission::ByShare;
    let requests = vec![
        Request::at(0.0),
        Request { penalties, seen: seen.clone(), ..Request::at(0.0) },
        Request { emission: by_share, ..Request::at(0.0) },
        Request::at(1.0),
        Request { emission: by_share, ..Request::at(0.7) },
        Request { top_k: Some(9), penalties, seen: seen.clone(), ..Request::at(0.9) },
        Request { min_p: 0.05, pooling: false, ..Request::at(1.3) },
        Request {
            top_k: Some(30),
            top_p: 0.9,
            min_p: 0.01,
            penalties,
            seen,
            bias: BTreeMap::from([(3, 1.5), (4, f32::NEG_INFINITY)]),
            mask: Some(vec![0x7FFF_FFF7, u32::MAX, 0xFFFF_FF0F, 0x0000_FFFF]),
            emission: by_share,
            log_probs: Some((20, Distribution::Final)),
            ..Request::at(1.1)
        },
    ];
    (5..).zip(requests).map(|(seed, request)| Request { seed, ..request }).collect()
}

/// The number of candle's generator.
fn uniform(rng: &mut StdRng) -> f64 {
    f64::from(rng.next_u32() >> 9) / f64::from(1 << 23)
}

/// Some draws on changing logits, each against the chain with what was seen until then; how many were
/// within rounding of another.
fn check(mut sampler: ConceptSampler, request: &Request, map: &DeviceMap) -> usize {
    let mut logits_rng = StdRng::seed_from_u64(9);
    let mut numbers = StdRng::seed_from_u64(request.seed);
    let mut request = request.clone();
    for (&token, &n) in &request.seen {
        sampler.see(&vec![token; n as usize]).unwrap();
    }
    let draws = request.temperature > 0.0 || request.emission == Emission::ByShare;
    let mut open = 0;
    for _ in 0..DRAWS {
        let logits = random_logits(V, &mut logits_rng);
        let exact = in_f64(&logits.unsqueeze(0).unwrap()).remove(0);
        let mask = request.mask.as_ref().map(|words| TokenMask::new(words, words.len()).unwrap());
        let sampled = sampler.sample_detailed(&logits, mask).unwrap();
        let chain = Chain::of(map.map(), &exact, &request).unwrap();
        let uniform = if draws { uniform(&mut numbers) } else { 0.0 };
        let may = chain.drawn(&chain.stretches(), uniform);
        let is_it = may.iter().any(|d| (d.concept, d.token) == (sampled.concept, sampled.token));
        assert!(is_it, "{sampled:?} at {uniform}, not {may:?}: {request:?}");
        assert_eq!(chain.wrong_log_probs(&exact, &sampled), None, "{sampled:?}");
        open += usize::from(may.len() > 1);
        *request.seen.entry(sampled.token).or_default() += 1;
    }
    open
}

#[test]
fn a_sampler_with_parameters_draws_what_the_chain_draws() {
    let mut open = 0;
    for map in maps() {
        for request in requests() {
            let sampler = ConceptSampler::from_params(request.params(), map.clone()).unwrap();
            open += check(sampler, &request, &map);
        }
    }
    assert!(open < DRAWS / 10, "{open} within rounding");
}

/// Candle's modes, as far as they are the same.
#[test]
fn candles_modes_emit_by_share_where_they_are_told_to() {
    let temperature = 0.8;
    let at = Request { emission: Emission::ByShare, seed: 3, ..Request::at(temperature) };
    for (sampling, request) in [
        (Sampling::ArgMax, Request { temperature: 0.0, ..at.clone() }),
        (Sampling::All { temperature }, at.clone()),
        (Sampling::TopK { k: 12, temperature }, Request { top_k: Some(12), ..at.clone() }),
        (Sampling::TopP { p: 0.7, temperature }, Request { top_p: 0.7, ..at.clone() }),
    ] {
        for map in maps() {
            let sampler = ConceptSampler::from_sampling(3, sampling.clone(), map.clone()).unwrap();
            check(sampler.with_emission(Emission::ByShare), &request, &map);
        }
    }
}

#[test]
fn parameters_may_change_from_step_to_step() {
    let map = maps().remove(1);
    let logits = random_logits(V, &mut rng(4));
    let requests = requests();
    // What is greedy takes no number, so that the other draws are those of a sampler of their own.
    let (greedy, drawing) = (&requests[0], &requests[3]);
    let new = || ConceptSampler::from_params(drawing.params(), map.clone()).unwrap();
    let (mut changing, mut unchanged) = (new(), new());
    for _ in 0..10 {
        let want = unchanged.sample(&logits).unwrap();
        assert_eq!(changing.sample(&logits).unwrap(), want);
        changing.set_sampling(Sampling::Params(greedy.params())).unwrap();
        let likeliest = changing.sample(&logits).unwrap();
        let winner = map.decide(&logits).unwrap().tokens().unwrap().to_vec1::<u32>().unwrap();
        assert_eq!(likeliest, winner[0]);
        changing.set_sampling(Sampling::Params(drawing.params())).unwrap();
    }
}

#[test]
fn what_fails_changes_nothing() {
    let map = maps().remove(1);
    let request = &requests()[7];
    let new = || ConceptSampler::from_params(request.params(), map.clone()).unwrap().with_trace();
    let (mut disturbed, mut alone) = (new(), new());
    let sample = |sampler: &mut ConceptSampler, words: &[u32], logits: &Tensor| {
        let mask = TokenMask::new(words, words.len()).unwrap();
        sampler.sample_detailed(logits, Some(mask))
    };
    let words = request.mask.as_ref().unwrap();
    let mut logits_rng = rng(5);
    let sampled: Vec<Sampled> = (0..8)
        .map(|_| {
            let logits = random_logits(V, &mut logits_rng);
            let error = sample(&mut disturbed, &[0, 0], &logits).unwrap_err();
            assert!(matches!(error, SampleError::NothingAllowed { row: 0 }), "{error}");
            let bad = Tensor::full(f32::NAN, V, &device()).unwrap();
            sample(&mut disturbed, words, &bad).unwrap_err();
            let two = TokenMask::new(words, words.len() / 2).unwrap();
            let error = disturbed.sample_detailed(&logits, Some(two)).unwrap_err();
            assert!(matches!(error, SampleError::MaskRows { rows: 1, masks: 2 }), "{error}");
            disturbed.see(&[1, V as u32]).unwrap_err();
            let want = sample(&mut alone, words, &logits).unwrap();
            assert_eq!(sample(&mut disturbed, words, &logits).unwrap(), want);
            want
        })
        .collect();
    assert!(sampled.iter().any(|one| one.token != sampled[0].token));
    assert_eq!(disturbed.take_trace(), alone.take_trace());
}

#[test]
fn what_no_sampler_can_do_is_refused_where_it_is_asked() {
    let map = ConceptMap::singletons(4).unwrap().to_device(&device()).unwrap();
    let biased = Request { bias: BTreeMap::from([(4, 1.0)]), ..Request::at(1.0) };
    let error = ConceptSampler::from_params(biased.params(), map.clone()).unwrap_err();
    assert!(matches!(error, SampleError::Map(_)), "{error}");
    let mut plain = ConceptSampler::from_params(Request::at(1.0).params(), map.clone()).unwrap();
    let error = plain.set_sampling(Sampling::Params(biased.params())).unwrap_err();
    assert!(matches!(error, SampleError::Map(_)), "{error}");
    assert_eq!(*plain.sampling(), Sampling::Params(Request::at(1.0).params()));

    // Concepts of a step are no map's, and have no log-probabilities.
    let embedding = Tensor::zeros((4, 2), DType::F32, &device()).unwrap();
    let embedding = Embedding::new(&embedding).unwrap();
    let pooling = TopKPooling { k: 2, threshold: 0.5 };
    let asked = Request { log_probs: Some((1, Distribution::Raw)), ..Request::at(1.0) };
    let sampler = ConceptSampler::from_params(asked.params(), map).unwrap();
    let error = sampler.with_top_k_pooling(pooling, embedding.clone()).unwrap_err();
    assert!(matches!(error, SampleError::LogProbsOfStep), "{error}");
    let mut by_step = plain.with_top_k_pooling(pooling, embedding).unwrap();
    let error = by_step.set_sampling(Sampling::Params(asked.params())).unwrap_err();
    assert!(matches!(error, SampleError::LogProbsOfStep), "{error}");
}
