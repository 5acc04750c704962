//! What is drawn, by chi-square: concepts by the weights that are left, tokens by their shares.

use std::collections::BTreeMap;

use candle_core::Tensor;
use concept_mass::sample::{Emission, Penalties, RowSampler, TokenMask, sample_batch_masked};
use concept_mass::{ConceptMap, DeviceMap};
use rand::Rng;

use super::sample_one;
use crate::common::chain::{Chain, Request};
use crate::common::chi_square::{LEAST_P, p_value, upper_tail};
use crate::common::*;

const V: usize = 60;

/// Rows with a seed of their own, and how many tokens each draws.
const ROWS: usize = if cfg!(feature = "cuda") { 500 } else { 4000 };
const STEPS: usize = if cfg!(feature = "cuda") { 4 } else { 10 };

/// SciPy's `chi2.isf`.
#[test]
fn the_tail_of_the_distribution_is_known() {
    for (x, freedom, want) in [
        (3.841458820694124, 1, 0.05),
        (18.307038053275146, 10, 0.05),
        (23.209251158954356, 10, 0.01),
        (124.34211340400407, 100, 0.05),
        (15.136705226623606, 1, 1e-4),
    ] {
        let got = upper_tail(x, freedom);
        assert!((got - want).abs() < 1e-9, "{x} {freedom}: {got}, not {want}");
    }
    assert!(p_value(&[48, 52], &[1.0, 1.0]) > 0.5);
    assert!(p_value(&[30, 70], &[1.0, 1.0]) < LEAST_P);
    // Faint cells are one: 9 where 9 are expected.
    assert!(p_value(&[91, 3, 3, 3], &[0.91, 0.03, 0.03, 0.03]) > 0.9);
}

fn maps() -> Vec<DeviceMap> {
    let mut rng = rng(1);
    [Partition::Singletons, Partition::Sparse, Partition::Dense, Partition::Shuffled]
        .map(|partition| partition.map(V, &mut rng).to_device(&device()).unwrap())
        .to_vec()
}

/// Some tokens apart, so that nothing is as good as equal.
fn logits() -> Vec<f32> {
    let mut rng = rng(2);
    (0..V).map(|_| rng.random_range(-2.5..2.5)).collect()
}

/// Every filter, alone and with the others, at several temperatures.
fn requests() -> Vec<Request> {
    let mut requests = Vec::new();
    for temperature in [0.4, 0.8, 1.0, 1.7] {
        let at = || Request::at(temperature);
        requests.push(at());
        requests.push(Request { top_k: Some(7), ..at() });
        requests.push(Request { top_p: 0.6, ..at() });
        requests.push(Request { min_p: 0.2, ..at() });
        requests.push(Request { top_k: Some(30), top_p: 0.9, min_p: 0.02, ..at() });
        requests.push(Request {
            top_k: Some(25),
            top_p: 0.95,
            penalties: Penalties { repetition: 1.3, presence: 0.2, frequency: 0.4 },
            seen: (0..20).map(|token| (token * 3, 1 + token % 3)).collect(),
            bias: BTreeMap::from([(7, 1.5), (8, -1.0), (9, f32::NEG_INFINITY)]),
            mask: Some(vec![0xF0FF_FFFF, 0x00FF_FFFE]),
            ..at()
        });
        requests.push(Request { pooling: false, min_p: 0.05, ..at() });
    }
    requests
}

/// How often each token is drawn by rows that have what they saw put back at every step.
fn counts(map: &DeviceMap, request: &Request) -> Vec<u64> {
    let row = Tensor::new(logits(), &device()).unwrap();
    let logits = row.broadcast_as((ROWS, V)).unwrap();
    let all = vec![u32::MAX; V.div_ceil(32)];
    let words = request.mask.as_ref().unwrap_or(&all);
    let of_rows = vec![Some(0); ROWS];
    let mask = TokenMask::new(words, words.len()).unwrap().of_rows(&of_rows);
    let mut counts = vec![0; V];
    for step in 0..STEPS {
        let row = |seed| Request { seed, ..request.clone() }.row(map, step as u64);
        let mut rows: Vec<RowSampler> = (0..ROWS as u64).map(row).collect();
        for sampled in sample_batch_masked(&logits, &mut rows, mask).unwrap() {
            counts[sampled.unwrap().token as usize] += 1;
        }
    }
    counts
}

#[test]
fn tokens_are_drawn_by_the_weights_that_are_left() {
    let exact: Vec<f64> = logits().into_iter().map(f64::from).collect();
    let mut least = (1.0, String::new());
    let mut tests = 0;
    for map in maps() {
        for request in requests() {
            for emission in [Emission::Representative, Emission::ByShare] {
                let request = Request { emission, ..request.clone() };
                let want = Chain::of(map.map(), &exact, &request).unwrap().probs();
                let counts = counts(&map, &request);
                if let Some(only) = want.iter().position(|&prob| prob == 1.0) {
                    assert_eq!(counts[only], (ROWS * STEPS) as u64, "{request:?}");
                    continue;
                }
                let p = p_value(&counts, &want);
                assert!(p > LEAST_P, "{p}: {request:?} {:?}", map.map().concept_ids());
                tests += 1;
                if p < least.0 {
                    least = (p, format!("{request:?}"));
                }
            }
        }
    }
    println!("the least p of {tests}: {} for {}", least.0, least.1);
}

/// Of one row, what follows what: 16 pairs of four tokens.
#[test]
fn the_draws_of_one_row_know_nothing_of_each_other() {
    let map = ConceptMap::singletons(4).unwrap().to_device(&device()).unwrap();
    let request = Request { seed: 3, ..Request::at(1.0) };
    let mut row = request.row(&map, 0);
    let mut draw = || sample_one(&[0.0; 4], &mut row).unwrap().token as usize;
    let mut counts = [0; 16];
    for _ in 0..ROWS * STEPS / 2 {
        counts[4 * draw() + draw()] += 1;
    }
    assert!(p_value(&counts, &[1.0; 16]) > LEAST_P, "{counts:?}");
}

/// And of neighbouring seeds, as servers give them.
#[test]
fn the_draws_of_neighbouring_seeds_know_nothing_of_each_other() {
    let map = ConceptMap::singletons(4).unwrap().to_device(&device()).unwrap();
    let rows = ROWS * STEPS / 2;
    let mut samplers: Vec<RowSampler> = (0..2 * rows as u64)
        .map(|seed| Request { seed, ..Request::at(1.0) }.row(&map, 0))
        .collect();
    let zeros = vec![&[0f32; 4][..]; 2 * rows];
    let sampled = super::sample_rows(&zeros, &mut samplers);
    let tokens: Vec<usize> = sampled.into_iter().map(|s| s.unwrap().token as usize).collect();
    let mut counts = [0; 16];
    tokens.chunks(2).for_each(|pair| counts[4 * pair[0] + pair[1]] += 1);
    assert!(p_value(&counts, &[1.0; 16]) > LEAST_P, "{counts:?}");
}
