//! Where candle's sampler is as good as exact.
//!
//! Candle draws with rand's `WeightedIndex`: the token is the first whose cumulative probability, a
//! running sum in `f32`, exceeds a uniform number times the sum of all. By an exact sum it would be
//! another token if the number is between the two sums. So each boundary between two tokens has a
//! neighbourhood in which candle is right by chance only; outside of all of them, there is one right
//! token.

use candle_core::Tensor;
use concept_mass::Sampling;
use rand::{RngCore, SeedableRng, rngs::StdRng};

/// How far from exact our own sums may be, as a share of all: blocks of 2,048 weights are summed up in
/// f32, in 64 lanes.
const OWN: f64 = 2e-7;

/// Of a row that is filtered by a sum as good as equal to what the filter asks for, nothing is sure.
const ALL: (f64, f64) = (-1.0, 2.0);

/// The number that rand's `Uniform<f32>` makes of the next word.
pub fn uniform(rng: &mut StdRng) -> f64 {
    f64::from(rng.next_u32() >> 9) / f64::from(1 << 23)
}

pub fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// The boundaries of a row's tokens.
pub struct Boundaries {
    /// The exact cumulative probabilities.
    exact: Vec<f64>,
    /// Where candle may be right or wrong, in ascending order, and apart from each other.
    doubtful: Vec<(f64, f64)>,
    /// Whether candle's filter leaves exactly the right tokens.
    pub is_left_exactly: bool,
}

impl Boundaries {
    /// For weights in the order of the tokens: candle's, and exact ones.
    pub fn of(sampling: &Sampling, candles: &[f32], exact: &[f64]) -> Self {
        let candles = candles_left(sampling, candles);
        let (exact, edge) = left_with_edge(sampling, exact);
        let is_left_exactly = candles.iter().zip(&exact).all(|(a, b)| (*a > 0.0) == (*b > 0.0));
        let sum: f64 = exact.iter().sum();
        let sum_in_f32 = f64::from(candles.iter().sum::<f32>());
        let (mut running, mut exactly) = (0f32, 0.0);
        let mut cumulative = Vec::with_capacity(exact.len());
        let mut doubtful = Vec::with_capacity(exact.len());
        for (&candles, exact) in candles.iter().zip(exact) {
            running += candles;
            exactly += exact;
            let (theirs, ours) = (f64::from(running) / sum_in_f32, exactly / sum);
            cumulative.push(ours);
            // The product with the uniform number is rounded, too.
            let away = (theirs - ours).abs() + theirs * f64::from(f32::EPSILON) + OWN;
            doubtful.push((ours - away, ours + away));
        }
        doubtful.pop();
        if edge < OWN {
            doubtful = vec![ALL];
        }
        doubtful.sort_by(|a, b| a.0.total_cmp(&b.0));
        doubtful.dedup_by(|next, last| {
            let overlap = next.0 <= last.1;
            if overlap {
                last.1 = last.1.max(next.1);
            }
            overlap
        });
        Self { exact: cumulative, doubtful, is_left_exactly }
    }

    /// The token that a uniform number draws, unless it is doubtful.
    pub fn token(&self, uniform: f64) -> Option<u32> {
        let at = self.doubtful.partition_point(|(_, end)| *end < uniform);
        let is_clear = self.doubtful.get(at).is_none_or(|(start, _)| uniform < *start);
        is_clear.then(|| self.exact.partition_point(|&sum| sum <= uniform) as u32)
    }
}

/// The exact softmax of a row of logits at a temperature.
pub fn softmax(logits: &Tensor, temperature: f64) -> Vec<f64> {
    let logits: Vec<f32> = logits.to_dtype(candle_core::DType::F32).unwrap().to_vec1().unwrap();
    let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let weights = logits.iter().map(|&logit| ((f64::from(logit) - max) / temperature).exp());
    let weights: Vec<f64> = weights.collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// The places of weights, the largest first, and of equal ones the first.
fn descending<T: PartialOrd>(weights: &[T]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..weights.len()).collect();
    places.sort_by(|&a, &b| weights[b].partial_cmp(&weights[a]).expect("no NaN"));
    places
}

/// What candle's filter leaves of its probabilities; the others are 0.
fn candles_left(sampling: &Sampling, probs: &[f32]) -> Vec<f32> {
    let mut left = probs.to_vec();
    if let Sampling::TopP { p, .. } = *sampling
        && p > 0.0
        && p < 1.0
    {
        let mut sum = 0f32;
        for place in descending(probs) {
            if sum >= p as f32 {
                left[place] = 0.0;
            } else {
                sum += left[place];
            }
        }
    }
    left
}

/// What filters leave of exact probabilities; the others are 0.
pub fn left(sampling: &Sampling, probs: &[f64]) -> Vec<f64> {
    left_with_edge(sampling, probs).0
}

/// The same, and how far from the least share that is asked for the nearest sum is.
fn left_with_edge(sampling: &Sampling, probs: &[f64]) -> (Vec<f64>, f64) {
    let (k, p) = match *sampling {
        Sampling::TopK { k, .. } => (k, 1.0),
        Sampling::TopP { p, .. } => (usize::MAX, p),
        Sampling::TopKThenTopP { k, p, .. } => (k, p),
        _ => (usize::MAX, 1.0),
    };
    let leaves_all = p == 0.0 || p == 1.0;
    let mut left = vec![0.0; probs.len()];
    let (mut sum, mut edge) = (0.0, f64::INFINITY);
    for place in descending(probs).into_iter().take(k) {
        if sum < p || leaves_all {
            left[place] = probs[place];
            sum += probs[place];
        }
        if !leaves_all {
            edge = (sum - p).abs().min(edge);
        }
    }
    (left, edge)
}
