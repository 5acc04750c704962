//! The sampler against candle's own, and against the masses that it should follow.

mod common;

use candle_core::{DType, Device, Tensor};
use candle_transformers::generation::{self, LogitsProcessor};
use common::device;
use concept_mass::reduce::{BadRow, BadRowReason, ReduceError};
use concept_mass::sample::SampleError;
use concept_mass::{ConceptMap, ConceptSampler, Sampling};
use rand::{Rng, SeedableRng, rngs::StdRng};

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
    }
}

fn random_logits(vocab_size: usize, rng: &mut StdRng) -> Tensor {
    let logits: Vec<f32> = (0..vocab_size).map(|_| rng.random_range(-4.0..4.0)).collect();
    Tensor::new(logits, &device()).unwrap()
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
            let mut ours = ConceptSampler::from_sampling(seed, sampling.clone(), map.clone());
            let mut theirs = LogitsProcessor::from_sampling(seed, candles(&sampling));
            for step in 0..20 {
                let logits = random_logits(vocab_size, &mut rng);
                let logits = match step % 3 {
                    0 => logits,
                    1 => logits.to_dtype(DType::BF16).unwrap(),
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
            let mut ours = ConceptSampler::new(9, temperature, top_p, map.clone());
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
    let mut ours = ConceptSampler::from_sampling(4, sampling.clone(), map);
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

/// A vote of .4 against .25 + .2 + .1, and .05.
fn split_vote() -> (ConceptMap, Tensor) {
    let map = ConceptMap::builder(5).concept("right", [1, 3, 4]).unwrap().build().unwrap();
    let probabilities = Tensor::new(&[0.4f32, 0.2, 0.05, 0.25, 0.1], &device()).unwrap();
    (map, probabilities.log().unwrap())
}

/// Each takes an emulated CUDA device milliseconds.
const DRAWS: usize = if cfg!(feature = "cuda") { 1000 } else { 20_000 };

/// Four standard deviations of so many draws, at most.
const NOISE: f64 = if cfg!(feature = "cuda") { 0.064 } else { 0.015 };

/// How often each token is drawn.
fn frequencies(sampling: Sampling) -> [f64; 5] {
    let (map, logits) = split_vote();
    let map = map.to_device(&device()).unwrap();
    let mut sampler = ConceptSampler::from_sampling(5, sampling, map);
    let mut counts = [0; 5];
    for _ in 0..DRAWS {
        counts[sampler.sample(&logits).unwrap() as usize] += 1;
    }
    counts.map(|n| n as f64 / DRAWS as f64)
}

fn expect(sampling: Sampling, expected: [f64; 5]) {
    let got = frequencies(sampling.clone());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() < NOISE, "{sampling:?}: {got} should be {expected}");
    }
}

#[test]
fn concepts_are_drawn_by_mass_and_their_representative_is_emitted() {
    let masses = [0.4, 0.0, 0.05, 0.55, 0.0];
    expect(Sampling::All { temperature: 1.0 }, masses);
    expect(Sampling::GumbelSoftmax { temperature: 1.0 }, masses);
    expect(Sampling::ArgMax, [0.0, 0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn the_temperature_acts_on_masses() {
    let squares = [0.16, 0.0, 0.0025, 0.3025, 0.0];
    let sum: f64 = squares.iter().sum();
    let expected = squares.map(|x| x / sum);
    expect(Sampling::All { temperature: 0.5 }, expected);
    expect(Sampling::GumbelSoftmax { temperature: 0.5 }, expected);
}

#[test]
fn top_k_and_top_p_choose_among_concepts() {
    let two = [0.4 / 0.95, 0.0, 0.0, 0.55 / 0.95, 0.0];
    expect(Sampling::TopK { k: 2, temperature: 1.0 }, two);
    expect(Sampling::TopP { p: 0.9, temperature: 1.0 }, two);
    expect(Sampling::TopKThenTopP { k: 2, p: 0.9, temperature: 1.0 }, two);
    expect(Sampling::TopP { p: 0.5, temperature: 1.0 }, [0.0, 0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn one_seed_gives_one_sequence() {
    let (map, logits) = split_vote();
    for sampling in
        [Sampling::All { temperature: 1.0 }, Sampling::GumbelSoftmax { temperature: 1.0 }]
    {
        let map = map.to_device(&device()).unwrap();
        let sequence = |seed| -> Vec<u32> {
            let mut s = ConceptSampler::from_sampling(seed, sampling.clone(), map.clone());
            (0..40).map(|_| s.sample(&logits).unwrap()).collect()
        };
        assert_eq!(sequence(1), sequence(1));
        assert_ne!(sequence(1), sequence(2));
    }
}

#[test]
fn a_batch_gives_the_tokens_of_its_rows_in_turn() {
    let mut rng = StdRng::seed_from_u64(6);
    let map = ConceptMap::builder(60).unnamed(0..20).unwrap().build().unwrap();
    let map = map.to_device(&device()).unwrap();
    let rows: Vec<Tensor> = (0..5).map(|_| random_logits(60, &mut rng)).collect();
    let batch = Tensor::stack(&rows, 0).unwrap();
    for sampling in [Sampling::ArgMax, Sampling::TopK { k: 9, temperature: 1.0 }] {
        let sampler = || ConceptSampler::from_sampling(7, sampling.clone(), map.clone());
        let mut alone = sampler();
        let tokens: Vec<u32> = rows.iter().map(|row| alone.sample(row).unwrap()).collect();
        assert_eq!(sampler().sample_batch(&batch).unwrap(), tokens);
        assert_eq!(sampler().sample_batch(&rows[0]).unwrap(), tokens[..1]);
        let none = batch.narrow(0, 0, 0).unwrap();
        assert!(sampler().sample_batch(&none).unwrap().is_empty());
    }
}

#[test]
fn the_trace_holds_every_vote_once() {
    let (map, logits) = split_vote();
    let map = map.to_device(&device()).unwrap();
    let vote = map.reduce(&logits).unwrap().rows().unwrap()[0].unwrap();
    for sampling in [Sampling::ArgMax, Sampling::All { temperature: 1.0 }] {
        let mut sampler = ConceptSampler::from_sampling(8, sampling, map.clone()).with_trace();
        sampler.sample(&logits).unwrap();
        sampler.sample_batch(&Tensor::stack(&[&logits, &logits], 0).unwrap()).unwrap();
        assert_eq!(sampler.take_trace(), [vote; 3]);
        assert!(sampler.take_trace().is_empty());
    }
    let mut untraced = ConceptSampler::from_sampling(8, Sampling::ArgMax, map);
    untraced.sample(&logits).unwrap();
    assert!(untraced.take_trace().is_empty());
}

#[test]
fn a_row_without_a_winner_is_an_error_that_names_it() {
    let map = ConceptMap::singletons(2).unwrap().to_device(&device()).unwrap();
    let logits = Tensor::new(&[[0f32, 1.], [f32::NAN, 0.]], &device()).unwrap();
    for sampling in [Sampling::ArgMax, Sampling::All { temperature: 1.0 }] {
        let mut sampler = ConceptSampler::from_sampling(1, sampling, map.clone());
        let error = sampler.sample_batch(&logits).unwrap_err();
        assert!(
            matches!(
                error,
                SampleError::Reduce(ReduceError::BadRow(BadRow {
                    row: 1,
                    reason: BadRowReason::Nan,
                    ..
                }))
            ),
            "{error}"
        );
    }
}

#[test]
fn several_rows_are_too_many_for_one_token() {
    let map = ConceptMap::singletons(2).unwrap().to_device(&device()).unwrap();
    let mut sampler = ConceptSampler::from_sampling(1, Sampling::ArgMax, map);
    for rows in [0, 2] {
        let logits = Tensor::zeros((rows, 2), DType::F32, &device()).unwrap();
        let error = sampler.sample(&logits).unwrap_err();
        assert!(matches!(error, SampleError::NotOneRow { rows: r } if r == rows), "{error}");
    }
}

#[test]
fn unfit_parameters_are_refused_by_name() {
    let (map, logits) = split_vote();
    let map = map.to_device(&device()).unwrap();
    let unfit = [
        ("temperature", Sampling::All { temperature: 0.0 }),
        ("temperature", Sampling::All { temperature: f64::NAN }),
        ("temperature", Sampling::TopK { k: 1, temperature: -1.0 }),
        ("temperature", Sampling::GumbelSoftmax { temperature: f64::INFINITY }),
        ("k", Sampling::TopK { k: 0, temperature: 1.0 }),
        ("k", Sampling::TopKThenTopP { k: 0, p: 0.5, temperature: 1.0 }),
        ("p", Sampling::TopP { p: f64::NAN, temperature: 1.0 }),
    ];
    for (name, sampling) in unfit {
        let error = ConceptSampler::from_sampling(1, sampling, map.clone()).sample(&logits);
        let Err(SampleError::Parameter { parameter, .. }) = error else {
            panic!("{name}: {error:?}")
        };
        assert_eq!(parameter, name);
    }
    let mut sampler = ConceptSampler::new(1, Some(f64::NAN), None, map.clone());
    assert!(sampler.sample(&logits).is_err(), "a NaN is no wish for the likeliest");

    let mut sampler = ConceptSampler::from_sampling(1, Sampling::All { temperature: 1.0 }, map);
    for broken in [0.0, f32::NAN, -1.0] {
        let error = sampler.sample_f(&logits, |p| p.fill(broken)).unwrap_err();
        assert!(matches!(error, SampleError::Weights { row: 0, .. }), "{error}");
    }
}
