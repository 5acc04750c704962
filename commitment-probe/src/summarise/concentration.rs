//! How the vote for the right concept is split, in failures and in right answers that are alike.

use super::{Members, Outcomes};
use crate::Outcome;
use crate::sample::Sample;
use crate::stats;
use crate::summary::{Concentration, Matched, Member, Pair};

/// The largest difference of the masses of a failure and a right answer that are paired.
const CALIPER: f64 = 0.05;

/// Masses are decimals, such as .55 and .5, whose difference is a little more than .05.
pub(crate) const ROUNDED_UP: f64 = CALIPER + 1e-9;

/// Where the vote is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// At the first token.
    First,
    /// At the first that says something.
    Informative,
}

impl Step {
    fn mass(self, sample: &Sample) -> f64 {
        match self {
            Self::First => sample.mass(),
            Self::Informative => sample.informative.mass(),
        }
    }

    fn concentration(self, sample: &Sample) -> Option<f64> {
        match self {
            Self::First => sample.first.concentration,
            Self::Informative => sample.informative.concentration,
        }
        .map(f64::from)
    }

    /// How many tokens or cuts the vote is split over at most.
    fn ways(self, sample: &Sample) -> usize {
        match self {
            Self::First => sample.first.firsts,
            Self::Informative => sample.informative.cuts,
        }
    }

    fn own_token_won(self, sample: &Sample) -> bool {
        match self {
            Self::First => sample.first.is_own,
            Self::Informative => sample.informative.winner_is_right,
        }
    }

    fn member(self, sample: &Sample) -> Member {
        Member {
            id: sample.id.clone(),
            mass: self.mass(sample),
            // Only those that have one are paired.
            concentration: self.concentration(sample).unwrap_or_default(),
        }
    }
}

pub(super) fn concentration(groups: &Outcomes, step: Step) -> Concentration {
    let enough = |outcome: Outcome| {
        groups.of(outcome).filter(|sample| {
            step.mass(sample) >= groups.tau
                && step.concentration(sample).is_some_and(f64::is_finite)
        })
    };
    let (failures, right) = (enough(Outcome::Hallucination), enough(Outcome::Right));
    let mean = |of: &Members| of.mean(|sample| step.concentration(sample));
    Concentration {
        failures: mean(&failures),
        strict: mean(&failures.filter(|sample| !step.own_token_won(sample))),
        right: mean(&right),
        matched: matched(&failures, &right, step),
    }
}

fn matched(failures: &Members, right: &Members, step: Step) -> Matched {
    let masses =
        |of: &Members| -> Vec<f64> { of.samples.iter().map(|sample| step.mass(sample)).collect() };
    let ways = |of: &Members| -> Vec<usize> {
        of.samples.iter().map(|sample| step.ways(sample)).collect()
    };
    let places = stats::matched_within(
        &masses(failures),
        &masses(right),
        &ways(failures),
        &ways(right),
        ROUNDED_UP,
    );
    let pairs: Vec<Pair> = places
        .iter()
        .map(|&(i, j)| Pair {
            failure: step.member(failures.samples[i]),
            right: step.member(right.samples[j]),
            strict: !step.own_token_won(failures.samples[i]),
        })
        .collect();
    let of = |side: fn(&Pair) -> f64| pairs.iter().map(side).collect::<Vec<f64>>();
    // The group of a pair is that of its failure.
    let labels = failures
        .labels()
        .map(|labels| places.iter().map(|&(i, _)| labels[i]).collect::<Vec<usize>>());
    let mean = |values: &[f64]| stats::mean_of(values, labels.as_deref());
    let differences = of(|pair| pair.right.concentration - pair.failure.concentration);
    let mut paired = vec![false; failures.len()];
    places.iter().for_each(|&(i, _)| paired[i] = true);
    let alone: Vec<bool> = paired.iter().map(|paired| !paired).collect();
    Matched {
        caliper: CALIPER,
        unmatched: stats::share_of(&alone, failures.labels()),
        failures: mean(&of(|pair| pair.failure.concentration)),
        right: mean(&of(|pair| pair.right.concentration)),
        difference: mean(&differences),
        test: stats::wilcoxon_of(&differences, labels.as_deref()),
        pairs,
    }
}
