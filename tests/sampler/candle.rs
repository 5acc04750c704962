//! Without pooling, the sampler is candle's own.

use candle_core::{DType, Device, Tensor};
use candle_transformers::generation::{self, LogitsProcessor};
use concept_mass::{ConceptMap, ConceptSampler, Sampling};
use half::bf16;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

use super::random_logits;
use crate::common::device;

fn candles(sampling: &Sampling) -> generation::Sampling {
    match *sampling {
        Sampling::ArgMax => generation::Sampling::ArgMax,
        Sampling::All { temperature } => generation::Sampling::All { temperature },
        Sampling::TopK { k, temperature } => generation::Sampling::TopK { k, temperature },
        Sampling::TopP { p, temperature } => generation::Sampling::TopP { p, temperature },
        Sampling::TopKThenTopP { k, p, temperature } => {
            generation::Sampling::TopKThenTopP { k, p, temperature }
        }
        Sampling::GumbelSoftmax { temperature } => {
            generation::Sampling::GumbelSoftmax { temperature }
        }
        _ => unreachable!("candle has no such way to choose: {sampling:?}"),
    }
}

/// No two are equal in any dtype, nor do two have equal weights: candle leaves ties to chance.
fn distinct_logits(vocab_size: usize, rng: &mut StdRng) -> Tensor {
    let octaves = bf16::from_f32(2f32.powi(-11)).to_bits()..bf16::from_f32(4.0).to_bits();
    let mut logits: Vec<f32> = octaves.map(|bits| bf16::from_bits(bits).into()).collect();
    logits.extend(logits.clone().iter().map(|logit| -logit));
    logits.shuffle(rng);
    Tensor::new(&logits[..vocab_size], &device()).unwrap()
}

/// Where candle's argmax has the lowest of equal tokens; on a CUDA device it has any of them.
fn on_cpu(logits: &Tensor) -> Tensor {
    logits.to_device(&Device::Cpu).unwrap()
}

#[test]
fn without_pooling_the_tokens_are_candles_own() {
    let mut rng = StdRng::seed_from_u64(1);
    for vocab_size in [1, 7, 100, 3000] {
        let map = ConceptMap::singletons(vocab_size).unwrap().to_device(&device()).unwrap();
        let mut settings = vec![Sampling::ArgMax, Sampling::GumbelSoftmax { temperature: 0.0 }];
        for temperature in [0.3, 1.0, 1.7] {
            settings.push(Sampling::All { temperature });
            for k in [1, 5, 50, 5000] {
                settings.push(Sampling::TopK { k, temperature });
                for p in [0.1, 0.5, 0.95] {
                    settings.push(Sampling::TopKThenTopP { k, p, temperature });
                }
            }
            for p in [0.0, 0.1, 0.5, 0.95, 1.0] {
                settings.push(Sampling::TopP { p, temperature });
            }
        }
        for sampling in settings {
            let seed = rng.random();
            let mut ours =
                ConceptSampler::from_sampling(seed, sampling.clone(), map.clone()).unwrap();
            let mut theirs = LogitsProcessor::from_sampling(seed, candles(&sampling));
            for step in 0..20 {
                let logits = distinct_logits(vocab_size, &mut rng);
                let logits = match step % 4 {
                    0 => logits,
                    1 => logits.to_dtype(DType::BF16).unwrap(),
                    2 => logits.to_dtype(DType::F64).unwrap(),
                    _ => logits.to_dtype(DType::F16).unwrap(),
                };
                assert_eq!(
                    ours.sample(&logits).unwrap(),
                    theirs.sample(&on_cpu(&logits)).unwrap(),
                    "{vocab_size} {sampling:?} step {step}"
                );
            }
        }
    }
}

#[test]
fn new_reads_its_options_as_candle_does() {
    let mut rng = StdRng::seed_from_u64(2);
    let map = ConceptMap::singletons(500).unwrap().to_device(&device()).unwrap();
    for temperature in [None, Some(0.0), Some(1e-8), Some(0.7)] {
        for top_p in [None, Some(0.4)] {
            let mut ours = ConceptSampler::new(9, temperature, top_p, map.clone()).unwrap();
            let mut theirs = LogitsProcessor::new(9, temperature, top_p);
            for _ in 0..20 {
                let logits = random_logits(500, &mut rng);
                let theirs = theirs.sample(&on_cpu(&logits)).unwrap();
                assert_eq!(ours.sample(&logits).unwrap(), theirs);
            }
        }
    }
}

#[test]
fn sample_f_gives_its_change_to_the_same_probabilities_as_candle() {
    let mut rng = StdRng::seed_from_u64(3);
    let map = ConceptMap::singletons(200).unwrap().to_device(&device()).unwrap();
    let sampling = Sampling::TopP { p: 0.9, temperature: 0.8 };
    let mut ours = ConceptSampler::from_sampling(4, sampling.clone(), map).unwrap();
    let mut theirs = LogitsProcessor::from_sampling(4, candles(&sampling));
    for _ in 0..50 {
        let logits = random_logits(200, &mut rng);
        let (mut seen, mut expected) = (Vec::new(), Vec::new());
        let halve = |p: &mut [f32]| p[..100].iter_mut().for_each(|p| *p /= 2.0);
        let token = ours
            .sample_f(&logits, |p| {
                seen = p.to_vec();
                halve(p)
            })
            .unwrap();
        let candles = theirs
            .sample_f(&on_cpu(&logits), |p| {
                expected = p.to_vec();
                halve(p)
            })
            .unwrap();
        assert_eq!(token, candles);
        if device().is_cuda() {
            assert!(seen.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-6 * b));
        } else {
            assert_eq!(seen, expected);
        }
    }
}
