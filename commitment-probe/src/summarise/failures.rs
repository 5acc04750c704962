//! Commitment failures: the paper's rate, the strict one, and what chance gives.

use std::collections::HashMap;

use super::Members;
use crate::sample::{Exchanged, Sample};
use crate::stats::Estimate;
use crate::summary::{Failures, Rate, Rates};

/// How failures are told at one step: by the mass of the right concept, and by whether its own token
/// won.
#[derive(Clone, Copy)]
pub(super) struct Step {
    own: fn(&Sample) -> (f64, bool),
    exchanged: fn(&Exchanged) -> (f64, bool),
}

pub(super) const FIRST: Step = Step {
    own: |sample| (sample.mass(), sample.first.is_own),
    exchanged: |other| (other.masses().0, other.is_own),
};

pub(super) const INFORMATIVE: Step = Step {
    own: |sample| (sample.informative.mass(), sample.informative.winner_is_right),
    exchanged: |other| (other.masses().1, other.winner_is_right),
};

pub(super) fn failures(wrong: &Members, tau: f64) -> Failures {
    Failures {
        wrong: wrong.len(),
        first: rates(wrong, tau, FIRST),
        informative: rates(wrong, tau, INFORMATIVE),
        conditional_mass: wrong.mean(|sample| sample.informative.conditional.map(f64::from)),
    }
}

pub(super) fn rates(wrong: &Members, tau: f64, step: Step) -> Rates {
    Rates {
        paper: rate(wrong, step, |(mass, _)| mass >= tau),
        strict: rate(wrong, step, |(mass, own_token_won)| mass >= tau && !own_token_won),
    }
}

/// The share of wrong answers that are failures, by their own forms and by exchanged ones.
fn rate(wrong: &Members, step: Step, fails: impl Fn((f64, bool)) -> bool) -> Rate {
    let own = |sample: &Sample| fails((step.own)(sample));
    let null = |sample: &Sample| {
        let exchanged = &sample.exchanged;
        let failures = exchanged.iter().filter(|other| fails((step.exchanged)(other))).count();
        (!exchanged.is_empty()).then(|| failures as f64 / exchanged.len() as f64)
    };
    let excess = |sample: &Sample| Some(f64::from(u8::from(own(sample))) - null(sample)?);
    let shared = shared_variance(wrong, &null, |other| fails((step.exchanged)(other)));
    let widened = |value: &dyn Fn(&Sample) -> Option<f64>| {
        let estimate = wrong.mean(value)?;
        let values = wrong.samples.iter().filter_map(|sample| value(sample));
        let variance: f64 = values.map(|value| (value - estimate.value).powi(2)).sum();
        Some(widened(estimate, 1.0 + shared / variance))
    };
    Rate {
        failures: wrong.samples.iter().filter(|sample| own(sample)).count(),
        rate: wrong.share(own),
        null: widened(&null).map(|null| Estimate { low: null.low.max(0.0), ..null }),
        excess: widened(&excess),
    }
}

/// What the sum of the nulls varies by because one question's forms are exchanged for those of
/// several: where they pass, they pass often, and another choice of questions would have others.
///
/// It is the variance by the question that the forms are from, less what that has in common with the
/// variance by the question that was asked (the clusters in two ways of Cameron, Gelbach and Miller,
/// 2011), and at least 0.
fn shared_variance(
    wrong: &Members,
    null: &impl Fn(&Sample) -> Option<f64>,
    fails: impl Fn(&Exchanged) -> bool,
) -> f64 {
    let nulls: Vec<f64> = wrong.samples.iter().filter_map(|sample| null(sample)).collect();
    let mean = nulls.iter().sum::<f64>() / nulls.len() as f64;
    let mut from: HashMap<&str, f64> = HashMap::new();
    let mut common = 0.0;
    for sample in &wrong.samples {
        for other in &sample.exchanged {
            let part = (f64::from(u8::from(fails(other))) - mean) / sample.exchanged.len() as f64;
            *from.entry(&other.id).or_default() += part;
            common += part * part;
        }
    }
    // In an order that is always the same, as floating-point sums depend on it.
    let mut sums: Vec<f64> = from.into_values().map(|sum| sum * sum).collect();
    sums.sort_unstable_by(f64::total_cmp);
    (sums.iter().sum::<f64>() - common).max(0.0)
}

/// The estimate with an interval for so many times the variance.
fn widened(estimate: Estimate, times: f64) -> Estimate {
    let Estimate { value, low, high, .. } = estimate;
    if !(times > 1.0 && times.is_finite()) {
        return estimate;
    }
    let end = |end: f64| (value + (end - value) * times.sqrt()).clamp(-1.0, 1.0);
    Estimate { low: end(low), high: end(high), ..estimate }
}
