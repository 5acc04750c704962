//! What answers are worth by other measures: detectors, calibration, decoders.

use super::{
    super::{
        numbers::{count, estimate, setting, share, told},
        table::{Table, keys, union},
    },
    KNOWS, labelled, of,
};
use crate::{Detector, Outcome, Summary, stats::Calibration};

/// What a label does not say.
const ABOUT: [(Detector, &str); 4] = [
    (
        Detector::PTrue,
        " P(True) is what the model says when it is asked whether its own answer is true \
            ([Kadavath et al., 2022](https://arxiv.org/abs/2207.05221)), without examples.",
    ),
    (
        Detector::SemanticEntropy,
        " Semantic entropy is that over clusters of sampled answers that a judge of entailment \
            makes ([Farquhar et al., 2024](https://doi.org/10.1038/s41586-024-07421-0)).",
    ),
    (
        Detector::LexicalClusterEntropy,
        " Lexical-cluster entropy has no judge: answers that contain one form, or are equal, are a \
            cluster.",
    ),
    (Detector::PMass, " P-mass is the oracle, since it knows the forms."),
];

pub(super) fn detectors(runs: &[Summary]) -> Table {
    let detectors = keys(runs, |run| run.detectors.keys().collect());
    let mut text =
        "The area under the ROC curve (AUROC) of a score that should tell wrong answers \
        from right ones: the probability that a wrong answer has the higher score. 1 is perfect, \
        .5 is chance; there is no threshold. The model is sure of its wrong token in a commitment failure, so detectors \
        that rely on uncertainty have their ceiling there."
            .to_owned();
    for (detector, what) in ABOUT {
        text += if detectors.contains(&detector) { what } else { "" };
    }
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
