//! Every temperature and all logits work in every mode, with and without pooling.

use candle_core::Tensor;
use concept_mass::sample::{SampleError, TopKPooling};
use concept_mass::source::Embedding;
use concept_mass::{ConceptMap, ConceptSampler, Sampling, reference};

use super::{modes, weighing};
use crate::common::{device, probability_is};

const TEMPERATURES: [f64; 12] =
    [5e-324, 1e-300, 1e-39, 1e-38, 1e-7, 0.3, 1.0, 1.7, 1e3, 1e39, 1e46, f64::MAX];

const NINF: f32 = f32::NEG_INFINITY;

fn rows() -> Vec<[f32; 4]> {
    let mut rows = vec![
        [1.0, 2.0, 2.5, 0.5],
        [NINF, 0.0, NINF, NINF],
        [1e-40, 0.0, -1e-40, 1e-45],
        [f32::MAX, f32::MIN, 0.0, NINF],
        [3e38, 3e38, -3e38, 0.0],
        [f32::MIN, f32::MIN, f32::MIN, -3.4e38],
        [1e4, -1e4, 0.0, 9999.0],
    ];
    for offset in [0.0, 700.0, -700.0, 3e7, -3e7, 1e30, -1e30, 3e38, f32::MAX, f32::MIN] {
        rows.push([offset; 4]);
        rows.push([offset, NINF, offset, offset]);
        rows.push([offset, offset - 2.0, offset + 2.0, offset]);
    }
    rows
}

fn maps() -> Vec<ConceptMap> {
    let of = |ids: [u32; 4]| ConceptMap::from_concept_ids(ids.to_vec()).unwrap();
    vec![of([0, 1, 2, 3]), of([3, 2, 1, 0]), of([0, 0, 1, 0]), of([1, 0, 0, 1]), of([0; 4])]
}

/// The pooled logits by definition, as f32 holds them.
fn pooled(map: &ConceptMap, row: [f32; 4]) -> Vec<f64> {
    let exact = reference::pool(map, &row.map(f64::from)).unwrap();
    exact.into_iter().map(|logit| f64::from(logit as f32)).collect()
}

/// The probabilities by definition.
fn probabilities(pooled: &[f64], temperature: f64) -> Vec<f64> {
    let max = pooled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = pooled.iter().map(|l| ((l - max) / temperature).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// The tokens that stand for concepts, in the order of preference.
fn order(map: &ConceptMap, pooled: &[f64]) -> Vec<u32> {
    let mut tokens: Vec<u32> = (0..4).filter(|&t| pooled[t as usize] > f64::NEG_INFINITY).collect();
    let concept = |t: u32| map.concept_of(t);
    tokens.sort_by(|&a, &b| {
        let by_mass = pooled[b as usize].total_cmp(&pooled[a as usize]);
        by_mass.then(concept(a).cmp(&concept(b))).then(a.cmp(&b))
    });
    tokens
}

/// Calls `each` with all maps, rows and temperatures.
fn sweep(each: impl Fn(&ConceptMap, [f32; 4], f64)) {
    for map in maps() {
        // Of pooled concepts that are as good as equal, either may win.
        let pools = map.num_concepts() < 4;
        for row in rows().into_iter().filter(|row| !(pools && row.contains(&1e-40))) {
            TEMPERATURES.iter().for_each(|&temperature| each(&map, row, temperature));
        }
    }
}

#[test]
fn weights_are_masses_to_the_power_of_the_inverse_temperature() {
    sweep(|map, row, temperature| {
        let want = probabilities(&pooled(map, row), temperature);
        let logits = Tensor::new(&row, &device()).unwrap();
        for sampling in weighing(temperature) {
            let context = format!("{sampling:?} {row:?} {:?}", map.concept_ids());
            let map = map.to_device(&device()).unwrap();
            let mut sampler = ConceptSampler::from_sampling(1, sampling, map).unwrap();
            let mut got = Vec::new();
            sampler.sample_f(&logits, |weights| got = weights.to_vec()).expect(&context);
            for (&got, &want) in got.iter().zip(&want) {
                // An f32 temperature or logit may be off by its last bit.
                let is_right = probability_is(got, want) || temperature < 1e-30;
                assert!(is_right, "{context}: {got:?}, not {want:?}");
            }
        }
    });
}

#[test]
fn every_mode_draws_what_it_may() {
    sweep(|map, row, temperature| {
        let pooled = pooled(map, row);
        let order = order(map, &pooled);
        let want = probabilities(&pooled, temperature);
        let logits = Tensor::new(&row, &device()).unwrap();
        let on_device = map.to_device(&device()).unwrap();
        for sampling in modes(temperature) {
            let context = format!("{sampling:?} {row:?} {:?}", map.concept_ids());
            let first = match sampling {
                Sampling::ArgMax => 1,
                Sampling::TopK { k, .. } | Sampling::TopKThenTopP { k, .. } => k,
                _ => 4,
            };
            let allowed = &order[..first.min(order.len())];
            let sampler = ConceptSampler::from_sampling(1, sampling, on_device.clone());
            let mut sampler = sampler.unwrap();
            for _ in 0..10 {
                let token = sampler.sample(&logits).expect(&context);
                assert!(allowed.contains(&token), "{context}: {token}, not of {allowed:?}");
                let share = want[token as usize];
                assert!(share > 1e-12 || temperature < 1e-30, "{context}: {token} has {share}");
            }
        }
    });
}

#[test]
fn cold_is_the_decision_and_hot_is_even() {
    // The mass of three is .55, .6 or .75 of all.
    for row in [[0.25f32, 0.1, 0.45, 0.2].map(f32::ln), [0.2, 0.2, 0.4, 0.2].map(f32::ln), [3e7; 4]]
    {
        let map = ConceptMap::builder(4).concept("three", [0, 1, 3]).unwrap().build().unwrap();
        let map = map.to_device(&device()).unwrap();
        let logits = Tensor::new(&row, &device()).unwrap();
        let decision = map.decide(&logits).unwrap().tokens().unwrap().to_vec1::<u32>().unwrap()[0];
        for sampling in [1e-300, 1e-39, 1e-3].into_iter().flat_map(modes) {
            let mut sampler = ConceptSampler::from_sampling(1, sampling, map.clone()).unwrap();
            for _ in 0..20 {
                assert_eq!(sampler.sample(&logits).unwrap(), decision, "{:?}", sampler.sampling());
            }
        }
        for sampling in [1e46, 1e300].into_iter().flat_map(modes).filter(|m| *m != Sampling::ArgMax)
        {
            // Half of all is not enough for TopP, nor .7 of it for TopKThenTopP.
            let mut sampler = ConceptSampler::from_sampling(1, sampling, map.clone()).unwrap();
            let drawn = (0..400).filter(|_| sampler.sample(&logits).unwrap() == decision).count();
            assert!((140..260).contains(&drawn), "{:?}: {drawn}", sampler.sampling());
        }
    }
}

#[test]
fn three_of_four_equal_logits_have_three_quarters_at_any_offset() {
    let map = ConceptMap::builder(4).concept("three", [0, 1, 3]).unwrap().build().unwrap();
    let map = map.to_device(&device()).unwrap();
    for offset in [0.0, 3e7, 1e30, 3e38, f32::MIN] {
        let logits = Tensor::new(&[offset; 4], &device()).unwrap();
        let all = Sampling::All { temperature: 1.0 };
        let mut sampler = ConceptSampler::from_sampling(1, all, map.clone()).unwrap();
        let mut seen = Vec::new();
        sampler.sample_f(&logits, |weights| seen = weights.to_vec()).unwrap();
        assert!((seen[0] - 0.75).abs() < 1e-6 && (seen[2] - 0.25).abs() < 1e-6, "{seen:?}");
    }
}

#[test]
fn top_k_keeps_the_likeliest_though_heat_makes_their_weights_equal() {
    let logits: Vec<f32> = (0..100).map(|t| (t * 37 % 100) as f32).collect();
    let likeliest = (0..100).find(|&t| logits[t as usize] == 99.0).unwrap();
    let logits = Tensor::new(logits, &device()).unwrap();
    let map = ConceptMap::singletons(100).unwrap().to_device(&device()).unwrap();
    for temperature in [1e12, 1e46, f64::MAX] {
        for sampling in [
            Sampling::TopK { k: 1, temperature },
            Sampling::TopP { p: 1e-300, temperature },
            Sampling::TopKThenTopP { k: 50, p: 1e-9, temperature },
        ] {
            let mut sampler = ConceptSampler::from_sampling(1, sampling, map.clone()).unwrap();
            assert_eq!(sampler.sample(&logits).unwrap(), likeliest, "{:?}", sampler.sampling());
        }
    }
}

#[test]
fn weights_beyond_all_bounds_are_an_error_in_every_mode() {
    let map = ConceptMap::builder(4).concept("two", [0, 1]).unwrap().build().unwrap();
    let map = map.to_device(&device()).unwrap();
    let logits = Tensor::new(&[0f32, 1.0, 2.0, 3.0], &device()).unwrap();
    let unfit = [
        ([0.0; 4], "0"),
        ([-0.0; 4], "0"),
        ([1.0, f32::INFINITY, 1.0, 1.0], "inf"),
        ([f32::MAX, 1.0, f32::MAX, 1.0], "f32"),
        ([3e38, 1.0, 0.0, 3e38], "f32"),
        ([1.0, 1.0, 1.0, f32::NAN], "NaN"),
        ([1.0, -1e-45, 1.0, 1.0], "-0.0000"),
        ([1.0, NINF, 1.0, 1.0], "-inf"),
    ];
    for sampling in weighing(1.0) {
        let sampler = || ConceptSampler::from_sampling(3, sampling.clone(), map.clone()).unwrap();
        let mut unbroken = sampler();
        let mut broken = sampler();
        for (weights, problem) in unfit {
            let error = broken.sample_f(&logits, |w| w.copy_from_slice(&weights)).unwrap_err();
            assert!(matches!(error, SampleError::Weights { row: 0, .. }), "{error}");
            assert!(error.to_string().contains(problem), "{error}");
            assert_eq!(broken.sample(&logits).unwrap(), unbroken.sample(&logits).unwrap());
        }
        // Legal, however small or large.
        for weight in [f32::from_bits(1), f32::MIN_POSITIVE, f32::MAX] {
            let only = |weights: &mut [f32]| weights.copy_from_slice(&[0.0, weight, 0.0, 0.0]);
            for _ in 0..20 {
                assert_eq!(broken.sample_f(&logits, only).unwrap(), 1);
            }
        }
    }
}

#[test]
fn pooling_by_step_has_the_masses_of_a_map_at_any_offset() {
    let rows_of = [[1f32, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]];
    let embedding = Embedding::new(&Tensor::new(&rows_of, &device()).unwrap()).unwrap();
    let pooling = TopKPooling { k: 4, threshold: 0.9 };
    let pooled = ConceptMap::from_concept_ids(vec![0, 0, 1, 0]).unwrap();
    let alone = ConceptMap::singletons(4).unwrap().to_device(&device()).unwrap();
    for row in rows().into_iter().filter(|row| !row.contains(&1e-40)) {
        let order = order(&pooled, &self::pooled(&pooled, row));
        let logits = Tensor::new(&row, &device()).unwrap();
        for temperature in TEMPERATURES {
            let want = probabilities(&self::pooled(&pooled, row), temperature);
            for sampling in modes(temperature) {
                let context = format!("{sampling:?} {row:?}");
                let sampler = ConceptSampler::from_sampling(1, sampling, alone.clone()).unwrap();
                let mut sampler = sampler.with_top_k_pooling(pooling, embedding.clone()).unwrap();
                for _ in 0..5 {
                    let mut seen = want.iter().map(|&p| p as f32).collect();
                    let copy = |weights: &mut [f32]| seen = weights.to_vec();
                    let token = sampler.sample_f(&logits, copy).expect(&context);
                    assert!(order.contains(&token), "{context}: {token}");
                    let mut pairs = seen.iter().zip(&want);
                    let is_right = pairs.all(|(&got, &want)| probability_is(got, want));
                    assert!(is_right || temperature < 1e-30, "{context}: {seen:?}, not {want:?}");
                }
            }
        }
    }
}
