//! What can be made of an answer: detectors, calibration, decoders, temperature.

use super::super::{
    numbers::{count, estimate, setting, share, told},
    table::{Table, sorted, union},
};
use crate::{CalibrationOf, MassAt, SampledShares, Summary};

pub(super) fn detectors(runs: &[Summary]) -> Table {
    let text = "The area under the ROC curve (AUROC) of a score that is to tell wrong answers from \
        right ones: the probability that a wrong answer has the higher score. 1 is perfect, .5 is \
        chance. A commitment failure is sure of its wrong token, so that a detector by uncertainty \
        has its ceiling there. The entropy by aliases knows the forms of the right answer.";
    let labels = ["Score", "Run"];
    let columns = ["All hallucinations", "Commitment failures", "Other hallucinations"];
    let mut table = Table::new("AUROC against right answers", text, &labels, &columns);
    for name in union(runs, |run| run.detectors.iter().map(|d| d.name.as_str()).collect()) {
        let find = |run: &Summary| run.detectors.iter().find(|d| d.name == name).cloned();
        table.under(name, runs, find, |detector| {
            [detector.hallucinations, detector.failures, detector.others].map(estimate).into()
        });
    }
    table
}

/// What confidences are in.
pub(in super::super) fn kinds(runs: &[Summary]) -> Vec<&str> {
    union(runs, |run| run.calibration.iter().map(|c| c.name.as_str()).collect())
}

pub(in super::super) fn of_kind<'a>(run: &'a Summary, kind: &str) -> Option<&'a CalibrationOf> {
    run.calibration.iter().find(|calibration| calibration.name == kind)
}

pub(super) fn calibration(runs: &[Summary]) -> Table {
    let text = "The expected calibration error (ECE; [Guo et al., \
        2017](https://arxiv.org/abs/1706.04599)): how far the share of right answers is from the \
        confidence, in the mean over all answers, by bins. 0 is perfect. The confidence is that in \
        the first token, in the concept that wins where tokens are counted by their meaning, or in \
        the whole answer that wins; right is what would have been said then.";
    let mut table = Table::of_runs("ECE", text, &["Confidence in"], runs);
    for kind in kinds(runs) {
        table.each(&[kind], runs, |run| {
            told(of_kind(run, kind).and_then(|c| c.calibration.ece), share)
        });
    }
    table
}

pub(super) fn bins(runs: &[Summary]) -> Table {
    let text = "Each bin as: mean confidence → share of right answers (number of answers).";
    let mut table = Table::of_runs("Reliability", text, &["Confidence in", "Bin"], runs);
    for kind in kinds(runs) {
        let of = |run: &Summary| of_kind(run, kind).map_or(vec![], |c| c.calibration.bins.clone());
        let mut edges = union(runs, |run| of(run).iter().map(|bin| (bin.low, bin.high)).collect());
        edges.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        for edge in edges {
            let range = format!("{} to {}", setting(edge.0), setting(edge.1));
            table.each(&[kind, &range], runs, |run| {
                let bin = of(run).into_iter().find(|bin| (bin.low, bin.high) == edge);
                told(bin.filter(|bin| bin.n > 0), |bin| {
                    let (sure, right) = (told(bin.confidence, share), told(bin.accuracy, share));
                    format!("{sure} → {right} ({})", count(bin.n))
                })
            });
        }
    }
    table
}

/// Marks a decoder that knows the answers.
pub(in super::super) const KNOWS: &str = "†";

pub(super) fn decoders(runs: &[Summary]) -> Table {
    let mut text = "What other decoders would have answered: how many of their answers are right, \
        how many hallucinations they recover (answer rightly), and how many right answers they \
        break."
        .to_owned();
    if runs.iter().flat_map(|run| &run.decoders).any(|decoder| decoder.knows_answers) {
        text += " † This decoder knows the acceptable forms of the right answer: it bounds what \
            could be gained, and cannot be had where the answer is not known.";
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
    let keys = |run: &Summary| -> Vec<(String, bool)> {
        run.decoders.iter().map(|d| (d.name.clone(), d.knows_answers)).collect()
    };
    for (name, knows) in union(runs, keys) {
        let find = |run: &Summary| {
            run.decoders.iter().find(|d| d.name == name && d.knows_answers == knows).cloned()
        };
        let label = format!("{name}{}", if knows { KNOWS } else { "" });
        table.under(&label, runs, find, |decoder| {
            vec![
                estimate(decoder.right),
                count(decoder.recovered),
                estimate(decoder.recovered_hallucinations),
                estimate(decoder.recovered_failures),
                count(decoder.broken),
                estimate(decoder.broken_rate),
            ]
        });
    }
    table
}

pub(super) fn curve(runs: &[Summary]) -> Table {
    let text = "The mean P-mass of the right concept where the logits are divided by the \
        temperature.";
    let mut table = Table::of_runs("P-mass by temperature", text, &["", "Temperature"], runs);
    let temperatures =
        sorted(runs, |run| run.temperature.curve.iter().map(|at| at.temperature).collect());
    for (label, of) in masses() {
        for &temperature in &temperatures {
            let labels = [label, &temperature.to_string()];
            table.each(&labels, runs, |run| {
                let at = run.temperature.curve.iter().find(|at| at.temperature == temperature);
                told(at.and_then(of), share)
            });
        }
    }
    table
}

type MassOf = fn(&MassAt) -> Option<f64>;

/// The groups of answers whose P-mass is followed.
pub(in super::super) fn masses() -> [(&'static str, MassOf); 3] {
    [
        ("Commitment failures", |at| at.failures),
        ("Other hallucinations", |at| at.others),
        ("Right answers", |at| at.right),
    ]
}

pub(super) fn sampled(runs: &[Summary]) -> Table {
    let text = "Answers drawn at a temperature, by what the greedy answer is: the share of the \
        draws that are right, of the questions whose largest cluster of draws is right, and of \
        those with any right draw. Semantic entropy is the entropy over clusters of one meaning \
        ([Kuhn et al., 2023](https://arxiv.org/abs/2302.09664); [Farquhar et al., \
        2024](https://doi.org/10.1038/s41586-024-07421-0)); answers are one cluster here if they \
        are equal after normalisation, unless a judge was used.";
    let labels = ["Greedy answer", "Run"];
    let columns =
        ["Temperature", "Draws", "Right draws", "Right majority", "Any right", "Semantic entropy"];
    let mut table = Table::new("Sampled answers", text, &labels, &columns);
    for (label, of) in ["Any", "Commitment failure", "Other hallucination", "Right"].iter().zip(0..)
    {
        let find = |run: &Summary| run.temperature.sampled.clone();
        table.under(label, runs, find, |sampled| {
            let groups = [&sampled.all, &sampled.failures, &sampled.others, &sampled.right];
            let SampledShares { answers, majority, any, semantic_entropy } = *groups[of];
            let shares = [answers, majority, any, semantic_entropy].map(estimate);
            let drawn = [sampled.temperature.to_string(), count(sampled.draws)];
            drawn.into_iter().chain(shares).collect()
        });
    }
    table
}
