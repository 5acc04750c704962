use std::f32::consts::LOG2_E;

use super::simd::{self, Isa};

/// What a row's logits are measured against: a logit's *weight* is `2^q`, where
/// `q = (logit − maximum) · log2 e`, so that the row's largest has weight 1.
///
/// The maximum is subtracted first, which is exact for all logits that matter; one fused
/// multiply-add instead would be faster, but its constant `maximum · log2 e` is off by more than
/// any tolerance once logits are in the millions.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    max: f32,
}

impl Scale {
    /// The scale of a row with this maximum, unless it is NaN or infinite.
    pub(crate) fn of(max: f32) -> Option<Self> {
        max.is_finite().then_some(Self { max })
    }

    /// The row's maximum.
    pub(crate) fn max(self) -> f32 {
        self.max
    }

    /// The maximum in powers of two as `f32` holds it, and the factor by which weights that are measured
    /// against it, all alike, are too small. None for a maximum so large that the product with
    /// `log2 e` would lose digits that matter, where a processor rounds it before the subtraction.
    pub(crate) fn zero(self) -> Option<(f32, f64)> {
        let zero = self.max * LOG2_E;
        let rest = f64::from(self.max) * f64::from(LOG2_E) - f64::from(zero);
        (self.max.abs() < 128.0).then(|| (zero, (-rest).exp2()))
    }

    /// `q`, at least -160, and `2^q`, of sixteen logits.
    #[inline(always)]
    pub(crate) fn weights<I: Isa>(self, isa: I, logits: I::F32s) -> (I::F32s, I::F32s) {
        simd::exp2(isa, isa.mul(self.relatives(isa, logits), isa.splat(LOG2_E)))
    }

    /// A logit relative to the maximum.
    pub(crate) fn relative(self, logit: f32) -> f32 {
        logit - self.max
    }

    /// Sixteen logits relative to the maximum.
    #[inline(always)]
    pub(crate) fn relatives<I: Isa>(self, isa: I, logits: I::F32s) -> I::F32s {
        isa.sub(logits, isa.splat(self.max))
    }

    /// The weight of one logit.
    pub(crate) fn weight(self, logit: f32) -> f64 {
        (f64::from(logit) - f64::from(self.max)).exp()
    }

    /// `ln Σ exp(logit)` over logits with this sum of weights.
    pub(crate) fn log_sum_exp(self, weight: f64) -> f64 {
        f64::from(self.max) + weight.ln()
    }
}
