//! Weights of concepts, and a choice among them: what candle's sampler does, operation by operation,
//! so that the same logits and the same seed give the same token.

use crate::sample::SampleError;
use candle_core::{D, Tensor};
use rand::distr::{Distribution, weighted::WeightedIndex};
use rand::rngs::StdRng;

/// Probabilities at a temperature, by the very operations of candle's sampler, so that the same
/// logits give the same bits.
pub(super) fn softmax(logits: &Tensor, temperature: f64) -> Result<Vec<f32>, SampleError> {
    let logits = (logits / temperature)?;
    let exp = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?)?.exp()?;
    Ok(exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)?.to_vec1()?)
}

/// A place, drawn by weight; or what is wrong with the weights.
pub(super) fn multinomial(weights: &[f32], rng: &mut StdRng) -> Result<usize, String> {
    let distribution = WeightedIndex::new(weights).map_err(|e| e.to_string())?;
    Ok(distribution.sample(rng))
}

/// The `k` largest weights, in candle's order, and their places; all if there are no more.
pub(super) fn top_k(weights: Vec<f32>, k: usize) -> Result<(Vec<usize>, Vec<f32>), SampleError> {
    if k == 0 {
        let requirement = "at least one concept must be left to choose from";
        return Err(SampleError::Parameter { parameter: "k", value: 0.0, requirement });
    }
    let mut places: Vec<usize> = (0..weights.len()).collect();
    if k >= weights.len() {
        return Ok((places, weights));
    }
    places.select_nth_unstable_by(k, |&i, &j| weights[j].total_cmp(&weights[i]));
    places.truncate(k);
    let largest = places.iter().map(|&i| weights[i]).collect();
    Ok((places, largest))
}

/// Leaves the largest weights that together reach `p`, and sets the others to 0; leaves `all`
/// that there is if `p` is that much or more, or nothing.
pub(super) fn top_p(weights: &mut [f32], p: f64, all: f32) -> Result<(), SampleError> {
    if p.is_nan() {
        let requirement = "it must be a number, from 0 to 1 to make a difference";
        return Err(SampleError::Parameter { parameter: "p", value: p, requirement });
    }
    let p = p as f32;
    if p <= 0.0 || p >= all {
        return Ok(());
    }
    let mut places: Vec<usize> = (0..weights.len()).collect();
    places.sort_by(|&i, &j| weights[j].total_cmp(&weights[i]));
    let mut sum = 0.0;
    for i in places {
        if sum >= p {
            weights[i] = 0.0;
        } else {
            sum += weights[i];
        }
    }
    Ok(())
}
