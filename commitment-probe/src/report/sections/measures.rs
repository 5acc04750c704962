//! What answers are worth by other measures: detectors, calibration, decoders, temperature.

use super::{
    super::{
        numbers::{Cell, count, estimate, setting, share, told},
        table::{Table, keys, sorted, union},
    },
    KNOWS, labelled, of,
};
use crate::{Outcome, SampledShares, Summary, stats::Calibration};

pub(super) fn detectors(runs: &[Summary]) -> Table {
    let detectors = keys(runs, |run| run.detectors.keys().collect());
    let mut text =
        "The area under the ROC curve (AUROC) of a score that should tell wrong answers \
        from right ones: the probability that a wrong answer has the higher score. 1 is perfect, \
        .5 is chance. The model is sure of its wrong token in a commitment failure, so detectors \
        that rely on uncertainty have their ceiling there."
            .to_owned();
    if detectors.iter().any(|detector| detector.knows_the_answer()) {
        text += KNOWS;
    }
    let areas = |run: &Summary| -> Vec<Outcome> {
        run.detectors.values().flat_map(|areas| areas.keys().copied()).collect()
    };
    let mut outcomes = union(runs, areas);
    outcomes.sort();
    let mut table = Table::new("AUROC against right answers", &text, &["Score", "Run"], &outcomes);
    for detector in detectors {
        let label = labelled(&detector, detector.knows_the_answer());
        table.under(
            &label,
            runs,
            |run| run.detectors.get(&detector).cloned(),
            |areas| outcomes.iter().map(|&outcome| estimate(of(areas, outcome))).collect(),
        );
    }
    table
}

pub(super) fn calibration(runs: &[Summary]) -> Table {
    let text = "The expected calibration error (ECE; [Guo et al., \
        2017](https://arxiv.org/abs/1706.04599)): the difference between the confidence and the \
        share of right answers, by bins of confidence, averaged over all answers. 0 is perfect. \
        The confidence is the probability of the first token, of the winning concept at the first \
        step, or of the winning phrase; the answer is that of the same decoder.";
    let mut table = Table::of_runs("ECE", text, &["Confidence in"], runs);
    for decoder in keys(runs, |run| run.calibration.keys().collect()) {
        let label = labelled(&decoder, decoder.knows_the_answer());
        table.each(&[&label], runs, |run| {
            told(run.calibration.get(&decoder).and_then(|c| c.ece), share)
        });
    }
    table
}

pub(super) fn bins(runs: &[Summary]) -> Table {
    let text = "Each bin as: mean confidence → share of right answers (number of answers).";
    let mut table = Table::of_runs("Reliability", text, &["Confidence in", "Bin"], runs);
    for decoder in keys(runs, |run| run.calibration.keys().collect()) {
        let label = labelled(&decoder, decoder.knows_the_answer());
        let bins = |run: &Summary| {
            run.calibration.get(&decoder).map_or(vec![], |Calibration { bins, .. }| bins.clone())
        };
        let mut edges =
            union(runs, |run| bins(run).iter().map(|bin| (bin.low, bin.high)).collect());
        edges.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        for edge in edges {
            let range = format!("{} to {}", setting(edge.0), setting(edge.1));
            table.each(&[&label, &range], runs, |run| {
                let bin = bins(run).into_iter().find(|bin| (bin.low, bin.high) == edge);
                told(bin.filter(|bin| bin.n > 0), |bin| {
                    let (sure, right) = (told(bin.confidence, share), told(bin.accuracy, share));
                    format!("{sure} → {right} ({})", count(bin.n))
                })
            });
        }
    }
    table
}

pub(super) fn decoders(runs: &[Summary]) -> Table {
    let decoders = keys(runs, |run| run.decoders.keys().collect());
    let mut text = "What other decoders would have answered: how many of their answers are right, \
        how many hallucinations they recover (answer rightly), and how many right answers they \
        break."
        .to_owned();
    if decoders.iter().any(|decoder| decoder.knows_the_answer()) {
        text += KNOWS;
    }
    let columns = [
        "Right",
        "Recovered",
        "Of hallucinations",
        "Of commitment failures",
        "Broken",
        "Of right answers",
    ];
    let mut table = Table::new("Other decoders", &text, &["Decoder", "Run"], &columns);
    for decoder in decoders {
        let label = labelled(&decoder, decoder.knows_the_answer());
        table.under(
            &label,
            runs,
            |run| run.decoders.get(&decoder).cloned(),
            |found| {
                vec![
                    estimate(of(&found.right, Outcome::All)),
                    count(found.recovered).into(),
                    estimate(of(&found.right, Outcome::Hallucination)),
                    estimate(of(&found.right, Outcome::CommitmentFailure)),
                    count(found.broken).into(),
                    estimate(found.broken_rate),
                ]
            },
        );
    }
    table
}

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
        questions with at least one right sample. Semantic entropy is the entropy over clusters \
        of one meaning ([Kuhn et al., 2023](https://arxiv.org/abs/2302.09664); [Farquhar et al., \
        2024](https://doi.org/10.1038/s41586-024-07421-0)). Answers are in one cluster if they \
        are equal after normalisation, or if the judge says so, where one was used.";
    let columns = [
        "Temperature",
        "Samples",
        "Right samples",
        "Right majority",
        "Any right",
        "Semantic entropy",
    ];
    let mut table = Table::new("Sampled answers", text, &["Greedy answer", "Run"], &columns);
    let sampled = |run: &Summary| run.temperature.sampled.clone();
    let outcomes = keys(runs, |run| {
        run.temperature.sampled.iter().flat_map(|sampled| sampled.shares.keys()).collect()
    });
    for outcome in outcomes {
        let find = |run: &Summary| {
            let sampled = sampled(run)?;
            Some((sampled.temperature, sampled.samples, sampled.shares.get(&outcome)?.clone()))
        };
        table.under(&outcome.to_string(), runs, find, |(temperature, samples, shares)| {
            let SampledShares { answers, majority, any, semantic_entropy } = *shares;
            let shares = [answers, majority, any, semantic_entropy].map(estimate);
            let settings: [Cell; 2] = [temperature.to_string().into(), count(*samples).into()];
            settings.into_iter().chain(shares).collect()
        });
    }
    table
}
