//! The weights that [`crate::ConceptSampler::sample_f`] gives to its caller: for ordinary logits,
//! those of candle's sampler, operation by operation.

use candle_core::{D, Device, Tensor};

/// The largest logit of a row, unless there is none or the row holds a NaN or `+inf`.
pub(super) fn maximum(row: &[f32]) -> Option<f32> {
    let is_nan = row.iter().any(|logit| logit.is_nan());
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (max.is_finite() && !is_nan).then_some(max)
}

/// The probabilities of logits with this maximum at a temperature: those of candle's sampler to the
/// bit, where candle has enough digits for them.
pub(super) fn probabilities(
    row: &[f32],
    max: f32,
    temperature: f64,
) -> candle_core::Result<Vec<f32>> {
    /// Below it, rounding a scaled logit changes a weight by less than 1e-4.
    const MAX_SCALED: f32 = 1024.0;
    let inverse = (1.0 / temperature) as f32;
    let top = max * inverse;
    let exponents: Vec<f32> = if inverse.is_normal() && top.abs() <= MAX_SCALED {
        row.iter().map(|logit| logit * inverse - top).collect()
    } else {
        // Relative to the maximum first, and in f64, whose range holds any quotient that matters.
        let exponent = |&logit: &f32| (f64::from(logit - max) / temperature) as f32;
        row.iter().map(exponent).collect()
    };
    let exp = Tensor::from_vec(exponents, row.len(), &Device::Cpu)?.exp()?;
    exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)?.to_vec1()
}

/// Whether there is anything to draw by these weights; what is wrong if not.
pub(super) fn check(weights: &[f32]) -> Result<(), String> {
    let unfit = |weight: &f32| !(0.0..=f32::MAX).contains(weight);
    if let Some(token) = weights.iter().position(unfit) {
        let weight = weights[token];
        return Err(format!("token {token} has weight {weight}; it must be 0 or more, and finite"));
    }
    match weights.iter().sum::<f32>() {
        0.0 => Err("all weights are 0; at least one must be above".to_owned()),
        f32::INFINITY => Err("the weights add up to more than f32 can hold".to_owned()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_relative_to_the_maximum() {
        let ninf = f32::NEG_INFINITY;
        for offset in [0.0, 30.0, 3e7, 1e30, 3e38, f32::MIN] {
            for temperature in [1e-300, 1e-39, 0.7, 1.0, 1e46, 1e300] {
                let got = probabilities(&[offset, ninf, offset], offset, temperature).unwrap();
                assert_eq!(got, [0.5, 0.0, 0.5], "{offset} {temperature}");
            }
        }
        let got = probabilities(&[3e7, 3e7 - 2.0], 3e7, 2.0).unwrap();
        assert!((got[0] - 0.731_058_6).abs() < 1e-6, "{got:?}");
    }
}
