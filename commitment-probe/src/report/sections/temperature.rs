//! What changes at other temperatures.

use super::super::{
    numbers::{Cell, count, estimate, share, told},
    table::{Table, keys, sorted},
};
use crate::{SampledShares, Summary};

pub(super) fn curve(runs: &[Summary]) -> Table {
    let text = "The mean P-mass of the right concept when the logits are divided by the \
        temperature.";
    let mut table = Table::of_runs("P-mass by temperature", text, &["", "Temperature"], runs);
    let temperatures =
        sorted(runs, |run| run.temperature.curve.iter().map(|at| at.temperature).collect());
    let outcomes =
        keys(runs, |run| run.temperature.curve.iter().flat_map(|at| at.mass.keys()).collect());
    for outcome in outcomes {
        for &temperature in &temperatures {
            table.each(&[&outcome.to_string(), &temperature.to_string()], runs, |run| {
                let at = run.temperature.curve.iter().find(|at| at.temperature == temperature);
                told(at.and_then(|at| at.mass.get(&outcome).copied().flatten()), share)
            });
        }
    }
    table
}

pub(super) fn sampled(runs: &[Summary]) -> Table {
    let text = "Answers sampled at a temperature, by the outcome of the greedy answer: the share \
        of samples that are right, of questions whose largest cluster of samples is right, and of \
        questions with at least one right sample. The entropy is that over clusters of one meaning \
        ([Kuhn et al., 2023](https://arxiv.org/abs/2302.09664)), which a judge of entailment makes, \
        or, without one, the wording: answers that contain one form, or are equal once normalised.";
    let columns = [
        "Temperature",
        "Samples",
        "Clusters by",
        "Right samples",
        "Right majority",
        "Any right",
        "Entropy over clusters",
    ];
    let mut table = Table::new("Sampled answers", text, &["Greedy answer", "Run"], &columns);
    let outcomes = keys(runs, |run| {
        run.temperature.sampled.iter().flat_map(|sampled| sampled.shares.keys()).collect()
    });
    for outcome in outcomes {
        let find = |run: &Summary| {
            let sampled = run.temperature.sampled.as_ref()?;
            let clusters = if sampled.judged { "judge" } else { "wording" };
            let settings =
                [sampled.temperature.to_string(), count(sampled.samples), clusters.to_owned()];
            Some((settings, sampled.shares.get(&outcome)?.clone()))
        };
        table.under(&outcome.to_string(), runs, find, |(settings, shares)| {
            let SampledShares { answers, majority, any, entropy } = *shares;
            let shares = [answers, majority, any, entropy].map(estimate);
            settings.clone().map(Cell::from).into_iter().chain(shares).collect()
        });
    }
    table
}
