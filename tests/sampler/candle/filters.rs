//! Where candle draws in an order that it leaves to chance, or with noise that has no seed: the same
//! tokens are left, and drawn with the same probabilities.

use std::collections::BTreeSet;

use candle_core::{DType, Tensor};
use concept_mass::Sampling;
use rand::{SeedableRng, rngs::StdRng};

use super::boundaries::{left, softmax};
use super::{Pair, candles_probs, on_cpu};
use crate::common::chi_square::{LEAST_P, p_value};
use crate::common::device;
use crate::sampler::random_logits;

const V: usize = 80;
const DRAWS: usize = if cfg!(feature = "cuda") { 800 } else { 20_000 };

/// Checks what both draw against exact weights; but not candle's noise, which has no seed.
fn compare(sampling: Sampling, logits: &Tensor, temperature: f64) {
    let exact = left(&sampling, &softmax(&on_cpu(logits), temperature));
    let mut pair = Pair::new(&sampling, V, 5);
    let count = |draw: &mut dyn FnMut() -> u32| {
        let mut counts = vec![0; V];
        (0..DRAWS).for_each(|_| counts[draw() as usize] += 1);
        counts
    };
    let mut all = vec![("ours", count(&mut || pair.ours.sample(logits).unwrap()))];
    if !matches!(sampling, Sampling::GumbelSoftmax { .. }) {
        let logits = on_cpu(logits);
        all.push(("candle's", count(&mut || pair.theirs.sample(&logits).unwrap())));
    }
    for (who, counts) in all {
        // It panics for what is not left.
        let p = p_value(&counts, &exact);
        assert!(p > LEAST_P, "{who}, {sampling:?}: {p}");
        let met = counts.iter().filter(|&&n| n > 0).count();
        let faint = exact.iter().filter(|&&p| p > 0.0 && p * (DRAWS as f64) < 20.0).count();
        let left = exact.iter().filter(|&&p| p > 0.0).count();
        assert!(met + faint >= left, "{who}, {sampling:?}: {met} of {left} met");
    }
}

#[test]
fn top_k_leaves_what_candle_leaves_and_draws_it_as_often() {
    let mut rng = StdRng::seed_from_u64(6);
    for (k, temperature) in [(2, 1.0), (10, 0.7), (40, 1.7), (V, 1.0), (usize::MAX, 0.5)] {
        compare(Sampling::TopK { k, temperature }, &random_logits(V, &mut rng), temperature);
    }
}

#[test]
fn top_k_then_top_p_leaves_what_candle_leaves_and_draws_it_as_often() {
    let mut rng = StdRng::seed_from_u64(7);
    // A share of all, which the k may not hold: then, and for a p of 0 or 1, all k are left.
    for (k, p, temperature) in
        [(10, 0.3, 1.0), (10, 0.999, 1.0), (40, 0.8, 0.7), (20, 0.0, 1.2), (20, 1.0, 1.2)]
    {
        let sampling = Sampling::TopKThenTopP { k, p, temperature };
        compare(sampling, &random_logits(V, &mut rng), temperature);
    }
}

#[test]
fn gumbel_noise_draws_what_candles_noise_draws() {
    let mut rng = StdRng::seed_from_u64(8);
    for temperature in [0.5, 1.0, 1.7] {
        let logits = (random_logits(V, &mut rng) * 0.7).unwrap();
        compare(Sampling::GumbelSoftmax { temperature }, &logits, temperature);
    }
}

/// By the f32 probabilities that candle sorts: of equal ones it keeps any, we the first.
#[test]
fn the_kept_are_candles_largest_and_of_equal_ones_the_first() {
    let mut rng = StdRng::seed_from_u64(9);
    for k in [1, 2, 5, 17] {
        // In steps of a quarter, so that there are ties at the edge.
        let logits = (random_logits(V, &mut rng) * 4.0).unwrap().round().unwrap();
        let logits = (logits / 4.0).unwrap().to_dtype(DType::BF16).unwrap();
        let probs = candles_probs(&logits, 2.0);
        let mut order: Vec<usize> = (0..V).collect();
        order.sort_by(|&a, &b| probs[b].total_cmp(&probs[a]));
        let want: BTreeSet<u32> = order[..k].iter().map(|&token| token as u32).collect();
        let sampling = Sampling::TopK { k, temperature: 2.0 };
        let mut pair = Pair::new(&sampling, V, 10);
        let draws = if device().is_cuda() { 300 } else { 2000 };
        let drawn = (0..draws).map(|_| pair.ours.sample(&logits).unwrap());
        assert_eq!(drawn.collect::<BTreeSet<_>>(), want, "{k}");
    }
}
