//! Ties: larger weight, then lowest concept, then lowest token; in every mode.

use std::collections::BTreeSet;

use candle_core::{DType, Device, Tensor};
use concept_mass::sample::TopKPooling;
use concept_mass::source::Embedding;
use concept_mass::{ConceptMap, ConceptSampler, DeviceMap, Sampling};

use crate::common::device;

const SIZES: [usize; 3] = [17, 50, 151_936];

/// Three tokens have the same bf16 logit above all others.
const TIED: [usize; 3] = [7, 9, 16];

fn logits(vocab_size: usize) -> Tensor {
    let mut logits: Vec<f32> = (0..vocab_size).map(|t| (t % 7) as f32 * 0.125 - 9.0).collect();
    TIED.iter().for_each(|&t| logits[t] = 3.0);
    Tensor::new(logits, &device()).unwrap().to_dtype(DType::BF16).unwrap()
}

/// Maps of all tokens alone; and the three tied ones in the order of preference.
fn maps(vocab_size: usize) -> [(DeviceMap, [u32; 3]); 2] {
    let on_device = |map: ConceptMap| map.to_device(&device()).unwrap();
    let reversed = (0..vocab_size as u32).rev().collect();
    [
        (on_device(ConceptMap::singletons(vocab_size).unwrap()), [7, 9, 16]),
        (on_device(ConceptMap::from_concept_ids(reversed).unwrap()), [16, 9, 7]),
    ]
}

#[test]
fn every_mode_that_leaves_one_leaves_the_same() {
    for vocab_size in SIZES {
        let logits = logits(vocab_size);
        for (map, order) in maps(vocab_size) {
            for temperature in [1e-300, 0.5, 1.0, 1e46] {
                for sampling in [
                    Sampling::ArgMax,
                    Sampling::GumbelSoftmax { temperature: 0.0 },
                    Sampling::TopK { k: 1, temperature },
                    Sampling::TopP { p: 1e-9, temperature },
                    Sampling::TopKThenTopP { k: 1, p: 0.9, temperature },
                    Sampling::TopKThenTopP { k: 2, p: 1e-9, temperature },
                    Sampling::TopKThenTopP { k: vocab_size, p: 1e-9, temperature },
                ] {
                    let sampler = ConceptSampler::from_sampling(1, sampling, map.clone());
                    let mut sampler = sampler.unwrap();
                    let token = sampler.sample(&logits).unwrap();
                    assert_eq!(token, order[0], "{vocab_size} {:?}", sampler.sampling());
                }
            }
        }
    }
}

#[test]
fn the_edge_keeps_the_same_of_the_tied() {
    for vocab_size in SIZES {
        let logits = logits(vocab_size);
        for (map, order) in maps(vocab_size) {
            let temperature = 0.1;
            for sampling in [
                Sampling::TopK { k: 2, temperature },
                Sampling::TopP { p: 0.6, temperature },
                Sampling::TopKThenTopP { k: 2, p: 0.9, temperature },
                Sampling::TopKThenTopP { k: 3, p: 0.6, temperature },
            ] {
                let mut sampler = ConceptSampler::from_sampling(1, sampling, map.clone()).unwrap();
                let drawn: BTreeSet<u32> =
                    (0..20).map(|_| sampler.sample(&logits).unwrap()).collect();
                let two = order[..2].iter().copied().collect();
                assert_eq!(drawn, two, "{vocab_size} {:?}", sampler.sampling());
            }
        }
    }
}

#[test]
fn pooled_concepts_tie_with_tokens_by_their_ids() {
    // Concept 0 is {2, 3}, and has as much mass as 0 and as 1, concepts 2 and 1.
    let map = ConceptMap::from_concept_ids(vec![2, 1, 0, 0]).unwrap();
    let map = map.to_device(&device()).unwrap();
    let half = -std::f32::consts::LN_2;
    let logits = Tensor::new(&[0f32, 0.0, half, half], &device()).unwrap();
    for sampling in [
        Sampling::ArgMax,
        Sampling::TopK { k: 1, temperature: 1.0 },
        Sampling::TopP { p: 0.1, temperature: 1.0 },
        Sampling::TopKThenTopP { k: 1, p: 0.1, temperature: 1.0 },
    ] {
        let mut sampler = ConceptSampler::from_sampling(1, sampling, map.clone()).unwrap();
        assert_eq!(sampler.sample(&logits).unwrap(), 2, "{:?}", sampler.sampling());
    }
}

#[test]
fn a_step_pools_the_first_of_the_tied_and_emits_the_first() {
    for vocab_size in SIZES {
        let logits = logits(vocab_size);
        // All rows have one direction, or none has that of another tied one.
        let of = |tied: [f32; 3]| {
            let mut rows = vec![[1f32, 0.0]; vocab_size];
            TIED.iter().zip(tied).for_each(|(&t, angle)| rows[t] = [angle.cos(), angle.sin()]);
            let matrix = Tensor::from_vec(rows.concat(), (vocab_size, 2), &Device::Cpu).unwrap();
            Embedding::new(&matrix.to_device(&device()).unwrap())
        };
        for (map, order) in maps(vocab_size) {
            for angles in [[0.0; 3], [0.0, 2.0, 4.0]] {
                for (k, sampling) in [
                    (2, Sampling::ArgMax),
                    (3, Sampling::ArgMax),
                    (2, Sampling::TopK { k: 1, temperature: 1.0 }),
                    (3, Sampling::TopP { p: 1e-9, temperature: 1.0 }),
                    (2, Sampling::TopKThenTopP { k: 2, p: 1e-9, temperature: 1.0 }),
                ] {
                    let sampler = ConceptSampler::from_sampling(1, sampling, map.clone()).unwrap();
                    let pooling = TopKPooling { k, threshold: 0.9 };
                    let mut sampler =
                        sampler.with_top_k_pooling(pooling, of(angles).unwrap()).unwrap();
                    let token = sampler.sample(&logits).unwrap();
                    assert_eq!(token, order[0], "{vocab_size} {k} {:?}", sampler.sampling());
                }
            }
        }
    }
}
