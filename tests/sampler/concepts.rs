//! What is drawn: concepts by their masses.

use concept_mass::{ConceptSampler, Sampling};

use super::split_vote;
use crate::common::device;

/// Each takes an emulated CUDA device milliseconds.
const DRAWS: usize = if cfg!(feature = "cuda") { 1000 } else { 20_000 };

/// Four standard deviations of so many draws, at most.
const NOISE: f64 = if cfg!(feature = "cuda") { 0.064 } else { 0.015 };

/// How often each token is drawn.
fn frequencies(sampling: Sampling) -> [f64; 5] {
    let (map, logits) = split_vote();
    let map = map.to_device(&device()).unwrap();
    let mut sampler = ConceptSampler::from_sampling(5, sampling, map).unwrap();
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
            let mut s = ConceptSampler::from_sampling(seed, sampling.clone(), map.clone()).unwrap();
            (0..40).map(|_| s.sample(&logits).unwrap()).collect()
        };
        assert_eq!(sequence(1), sequence(1));
        assert_ne!(sequence(1), sequence(2));
    }
}

#[test]
fn the_trace_holds_every_vote_once() {
    let (map, logits) = split_vote();
    let map = map.to_device(&device()).unwrap();
    let vote = map.reduce(&logits).unwrap().rows().unwrap()[0].unwrap();
    for sampling in [Sampling::ArgMax, Sampling::All { temperature: 1.0 }] {
        let sampler = ConceptSampler::from_sampling(8, sampling, map.clone()).unwrap();
        let mut sampler = sampler.with_trace();
        (0..3).for_each(|_| assert!(sampler.sample(&logits).unwrap() < 5));
        assert_eq!(sampler.take_trace(), [vote; 3]);
        assert!(sampler.take_trace().is_empty());
    }
    let mut untraced = ConceptSampler::from_sampling(8, Sampling::ArgMax, map).unwrap();
    untraced.sample(&logits).unwrap();
    assert!(untraced.take_trace().is_empty());
}
