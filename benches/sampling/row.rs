//! The rows of logits.

use candle_core::{DType, Device, Tensor};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::index};
use rayon::prelude::*;

/// The shape of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// As a language model gives it, with a largest probability of this at temperature 1.
    Typical { p_max: f64 },
    /// All logits are equal.
    Equal,
    /// Uniform noise within ± .05.
    Noise,
}

pub const SHAPES: [Shape; 5] = [
    Shape::Typical { p_max: 0.4 },
    Shape::Typical { p_max: 0.1 },
    Shape::Typical { p_max: 0.04 },
    Shape::Equal,
    Shape::Noise,
];

impl Shape {
    pub fn name(self) -> &'static str {
        match self {
            Shape::Typical { p_max: 0.4 } => "p.4",
            Shape::Typical { p_max: 0.1 } => "p.1",
            Shape::Typical { .. } => "p.04",
            Shape::Equal => "equal",
            Shape::Noise => "noise",
        }
    }

    pub fn is_flat(self) -> bool {
        !matches!(self, Shape::Typical { .. })
    }

    /// Logits `[V]`, the same ones on every run.
    pub fn logits(self, vocab_size: usize, dtype: DType) -> candle_core::Result<Tensor> {
        let mut rng = StdRng::seed_from_u64(vocab_size as u64);
        let logits = match self {
            Shape::Typical { p_max } => typical(vocab_size, p_max, &mut rng),
            Shape::Equal => vec![-3.5; vocab_size],
            Shape::Noise => (0..vocab_size).map(|_| rng.random_range(-0.05..0.05)).collect(),
        };
        Tensor::from_vec(logits, vocab_size, &Device::Cpu)?.to_dtype(dtype)
    }
}

/// Typical rows `[B, V]`, the same ones on every run, each with other tokens at other places.
#[allow(dead_code)] // Each bench uses its own part of this module.
pub fn typical_rows(
    count: usize,
    vocab_size: usize,
    p_max: f64,
    dtype: DType,
) -> candle_core::Result<Tensor> {
    let row = |seed: usize| typical(vocab_size, p_max, &mut StdRng::seed_from_u64(seed as u64));
    let rows: Vec<Vec<f32>> = (0..count).into_par_iter().map(row).collect();
    Tensor::from_vec(rows.concat(), (count, vocab_size), &Device::Cpu)?.to_dtype(dtype)
}

/// Most tokens in a bell of standard deviation 2.5, as in the other benches, and a thousand
/// candidates above it that fall off by Zipf's law: the probability of the `r`-th is the first's,
/// divided by `r^s`. The exponent `s` is solved for. docs/PERFORMANCE.md says how like real models'
/// that is.
fn typical(vocab_size: usize, p_max: f64, rng: &mut StdRng) -> Vec<f32> {
    const CANDIDATES: usize = 1000;
    const LARGEST: f64 = 18.0;
    let bell = |rng: &mut StdRng| (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0;
    let mut row: Vec<f32> = (0..vocab_size).map(|_| 2.5 * bell(rng)).collect();
    let places = index::sample(rng, vocab_size, CANDIDATES).into_vec();
    for &place in &places {
        row[place] = f32::NEG_INFINITY;
    }
    // Relative to the largest, as all the sums here.
    let of_bell: f64 = row.iter().map(|&logit| (f64::from(logit) - LARGEST).exp()).sum();
    let largest_probability = |exponent: f64| {
        let of_candidates: f64 = (1..=CANDIDATES).map(|rank| (rank as f64).powf(-exponent)).sum();
        1.0 / (of_candidates + of_bell)
    };
    let exponent = solve(largest_probability, p_max);
    for (rank, place) in (1..).zip(places) {
        row[place] = (LARGEST - exponent * f64::from(rank).ln()) as f32;
    }
    row
}

/// Where between 0 and 10 an increasing function has this value.
fn solve(increasing: impl Fn(f64) -> f64, value: f64) -> f64 {
    let (mut low, mut high) = (0.0, 10.0);
    assert!(increasing(low) < value && value < increasing(high), "a row can have {value}");
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if increasing(middle) < value { low = middle } else { high = middle }
    }
    low
}
