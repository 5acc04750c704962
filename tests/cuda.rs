//! What only a CUDA device can get wrong: sizes, threads, noise. (Graphs are in cuda_graphs.rs.)
#![cfg(feature = "cuda")]

mod common;

use candle_core::{DType, Device, DeviceLocation, Tensor};
use common::*;
use concept_mass::reduce::{BadRow, NO_TOKEN, ReduceError};
use concept_mass::{ConceptMap, ConceptSampler, DeviceMap, Noise, Row, Sampling};

mod cuda {
    mod threads;
}

fn words(rows: &[Result<Row, BadRow>]) -> Vec<u32> {
    all_bits_of(rows)
}

fn logits(profile: Profile, batch: usize, vocab_size: usize, seed: u64) -> Tensor {
    let mut rng = rng(seed);
    let rows: Vec<_> = (0..batch).map(|_| profile.row(vocab_size, &mut rng)).collect();
    Layout::Contiguous.tensor(&rows, vocab_size, DType::BF16).unwrap()
}

/// A map, logits, and all that is found in them, as bits.
fn everything(map: &DeviceMap, logits: &Tensor) -> Vec<u32> {
    let mut noise = Noise::new(5, map.device()).unwrap();
    let mut bits = words(&map.reduce(logits).unwrap().rows().unwrap());
    bits.extend(map.decide(logits).unwrap().tokens().unwrap().to_vec1::<u32>().unwrap());
    bits.extend(map.sample(logits, 0.8, &mut noise).unwrap().to_vec1::<u32>().unwrap());
    for floats in [map.masses(logits).unwrap(), map.pool(logits).unwrap()] {
        let floats = floats.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        bits.extend(floats.into_iter().map(f32::to_bits));
    }
    bits
}

// Sizes.

#[test]
fn a_million_tokens() {
    let vocab_size = 1 << 20;
    let mut rng = rng(1);
    for partition in [Partition::Sparse, Partition::Dense] {
        let map = partition.map(vocab_size, &mut rng);
        let logits = logits(Profile::Peaked, 1, vocab_size, 2);
        let row = map.to_device(&device()).unwrap().reduce(&logits).unwrap().rows().unwrap()[0];
        let exact = &in_f64(&logits)[0];
        let wrong = differences(&map, &row, exact);
        assert!(wrong.is_empty(), "{partition:?}: {wrong:?}");
    }
}

/// More than the second dimension of a grid could count.
#[test]
fn seventy_thousand_rows() {
    let map = ConceptMap::builder(3).unnamed([0, 2]).unwrap().build().unwrap();
    let map = map.to_device(&device()).unwrap();
    let rows: Vec<f32> = (0..70_000).flat_map(|i| [0.0, 1.0, (i % 5) as f32]).collect();
    let logits = Tensor::from_vec(rows, (70_000, 3), &device()).unwrap();
    let tokens = map.decide(&logits).unwrap().tokens().unwrap().to_vec1::<u32>().unwrap();
    let want = |i: usize| if i.is_multiple_of(5) { 1 } else { 2 };
    assert!(tokens.iter().enumerate().all(|(i, &token)| token == want(i)));
}

/// One row seen many times: rows may even lie upon each other.
#[test]
fn a_broadcast_row() {
    let map = Partition::Dense.map(5000, &mut rng(3)).to_device(&device()).unwrap();
    let one = logits(Profile::Peaked, 1, 5000, 3);
    let many = one.broadcast_as((9, 5000)).unwrap();
    let want = map.reduce(&one).unwrap().rows().unwrap();
    let rows = map.reduce(&many).unwrap().rows().unwrap();
    assert!(rows.len() == 9 && rows.iter().all(|row| words(&[*row]) == words(&want)));
}

#[test]
fn a_map_on_one_device_refuses_logits_of_another() {
    let map = ConceptMap::singletons(4).unwrap();
    let zeros = |device: &Device| Tensor::zeros(4, DType::F32, device).unwrap();
    let other = Device::new_cuda(0).unwrap();
    for (on, logits) in [
        (device(), zeros(&Device::Cpu)),
        (Device::Cpu, zeros(&device())),
        (device(), zeros(&other)),
    ] {
        let error = map.to_device(&on).unwrap().reduce(&logits).unwrap_err();
        assert!(matches!(error, ReduceError::LogitsDevice { .. }), "{error}");
    }
    let mut noise = Noise::new(1, &Device::Cpu).unwrap();
    let on_cuda = map.to_device(&device()).unwrap();
    let error = on_cuda.sample(&zeros(&device()), 1.0, &mut noise).unwrap_err();
    assert!(matches!(error, ReduceError::NoiseDevice { got: DeviceLocation::Cpu, .. }), "{error}");
}

/// Tokens are a view of a larger tensor, which candle's operations must not see.
#[test]
fn tokens_are_a_tensor_as_any_other() {
    let map = Partition::Dense.map(500, &mut rng(3)).to_device(&device()).unwrap();
    for batch in [0, 1, 3, 4, 5] {
        let rows = logits(Profile::Peaked, 5, 500, 4).narrow(0, 0, batch).unwrap();
        let decisions = map.decide(&rows).unwrap();
        let tokens = decisions.tokens().unwrap();
        assert!(tokens.is_contiguous() && tokens.dims() == [batch]);
        let on_host = tokens.to_vec1::<u32>().unwrap();
        let rows = decisions.rows().unwrap();
        let of_rows: Vec<_> = rows.iter().map(|row| row.unwrap().representative).collect();
        assert_eq!(on_host, of_rows);
        if batch > 0 {
            let column = tokens.reshape((batch, 1)).unwrap().to_vec2::<u32>().unwrap().concat();
            let numbers = Tensor::arange(0u32, 500, &device()).unwrap();
            let selected = numbers.index_select(&tokens, 0).unwrap().to_vec1::<u32>().unwrap();
            assert!(column == on_host && selected == on_host);
        }
    }
}

// Noise.

#[test]
fn the_cpu_draws_the_same_from_the_same_seed() {
    let vocab_size = 5000;
    for partition in PARTITIONS {
        let map = partition.map(vocab_size, &mut rng(10));
        let logits = logits(Profile::Peaked, 40, vocab_size, 11);
        let draws = |device: &Device, temperature| {
            let mut noise = Noise::new(0x1234_5678_9abc_def0, device).unwrap();
            let map = map.to_device(device).unwrap();
            let logits = logits.to_device(device).unwrap();
            let draw =
                |_| map.sample(&logits, temperature, &mut noise).unwrap().to_vec1::<u32>().unwrap();
            (0..3).flat_map(draw).collect::<Vec<_>>()
        };
        // At 1 tokens are drawn; from 0.05 downwards it is cold for CUDA.
        for temperature in [1.0, 0.9, 3.0, 0.051, 0.05, 0.049] {
            let (cpu, cuda) = (draws(&Device::Cpu, temperature), draws(&device(), temperature));
            // Their sums differ in the last bits, so that a number near a boundary may go either way.
            let differ = cpu.iter().zip(&cuda).filter(|(a, b)| a != b).count();
            assert!(differ <= 1, "{partition:?} at {temperature}: {differ} of {}", cpu.len());
        }
    }
}

/// So many tokens that are each far less likely than the one pooled concept, that they are drawn in their
/// thousands together.
#[test]
fn what_is_faint_alone_is_drawn_together() {
    let vocab_size = 131_072;
    let map = ConceptMap::builder(vocab_size).unnamed([0, 1]).unwrap().build().unwrap();
    let mut row = vec![-0.6f32; vocab_size];
    (row[0], row[1]) = (0.0, f32::NEG_INFINITY);
    let temperature = 0.05;
    let others = (vocab_size - 2) as f64 * (-0.6f64 / temperature).exp();
    let want = others / (1.0 + others);
    for device in [Device::Cpu, device()] {
        let map = map.to_device(&device).unwrap();
        let logits = Tensor::from_slice(&row, (1, vocab_size), &device).unwrap();
        let logits = logits.broadcast_as((100, vocab_size)).unwrap();
        let mut noise = Noise::new(3, &device).unwrap();
        let drawn = map.sample(&logits, temperature, &mut noise).unwrap().to_vec1::<u32>().unwrap();
        let share = drawn.iter().filter(|&&token| token > 1).count() as f64 / 100.0;
        // Five standard deviations.
        assert!((share - want).abs() < 0.25, "{share}, not {want}");
    }
}

#[test]
fn draws_follow_the_masses_and_the_temperature() {
    let probabilities = [0.24f32, 0.13, 0.12, 0.31, 0.2];
    let map = ConceptMap::builder(5).unnamed([0, 1, 2]).unwrap().build().unwrap();
    let map = map.to_device(&device()).unwrap();
    let batch = 20_000;
    let row = Tensor::new(&probabilities.map(f32::ln), &device()).unwrap();
    let logits = row.broadcast_as((batch, 5)).unwrap();
    for temperature in [1.0, 0.5] {
        let mut noise = Noise::new(12, &device()).unwrap();
        let drawn = map.sample(&logits, temperature, &mut noise).unwrap().to_vec1::<u32>().unwrap();
        let weights = [0.49, 0.0, 0.0, 0.31, 0.2].map(|p: f64| p.powf(1.0 / temperature));
        for (token, weight) in (0..).zip(weights) {
            let want = weight / weights.iter().sum::<f64>();
            let got = drawn.iter().filter(|&&t| t == token).count() as f64 / batch as f64;
            // Five standard deviations.
            let deviation = (want * (1.0 - want) / batch as f64).sqrt();
            assert!((got - want).abs() <= 5.0 * deviation, "{token} at {temperature}: {got}");
        }
    }
}

#[test]
fn rows_that_cannot_be_drawn_from_say_so() {
    let map = ConceptMap::builder(3).unnamed([0, 2]).unwrap().build().unwrap();
    let map = map.to_device(&device()).unwrap();
    let inf = f32::INFINITY;
    let rows = [[0f32, 1.0, f32::NAN], [-inf; 3], [0.0, inf, 0.0], [-inf, -3.0, -inf]];
    let logits = Tensor::new(&rows, &device()).unwrap();
    let mut noise = Noise::new(1, &device()).unwrap();
    let drawn = map.sample(&logits, 1.0, &mut noise).unwrap().to_vec1::<u32>().unwrap();
    assert_eq!(drawn, [NO_TOKEN, NO_TOKEN, NO_TOKEN, 1]);
    let sampling = Sampling::GumbelSoftmax { temperature: 1.0 };
    let mut sampler = ConceptSampler::from_sampling(1, sampling, map).unwrap();
    let mut sample = |row| sampler.sample(&logits.get(row).unwrap());
    let error = sample(0).unwrap_err();
    assert_eq!(sample(3).unwrap(), 1);
    assert_eq!(error.to_string(), "row 0 of the logits has no winner: it holds NaN");
}
