//! The tables of a report, and what each of them means.

mod measures;

use std::fmt::Display;

use super::{
    numbers::{count, estimate, number, number_of, p_value, rank_sum, setting, share, told},
    table::{Section, Table, Topic, keys, sorted},
};
use crate::{ByOutcome, Decoder, Difference, Outcome, Summary, Threshold, stats::Estimate};

pub(super) const TITLE: &str = "Commitment failures";

/// What a reader must know first.
pub(super) const INTRODUCTION: &str = "Does a model that answers wrongly know better? The P-mass \
    of the right concept is the probability, at the first step of the answer, of all tokens that \
    begin an acceptable form of the right answer. A commitment failure is a wrong greedy answer \
    although that P-mass is τ or more ([Yeom et al., 2026](https://arxiv.org/abs/2605.22007)).";

pub(super) const NOTATION: &str = "Shares and probabilities are from 0 to 1, entropies in nats. \
    Brackets hold 95 % bootstrap intervals. A dash, –, stands where there is no data.";

pub(super) const NO_RUNS: &str = "There are no runs in this report.";

/// Everything that is shown of the runs.
pub(super) fn sections(runs: &[Summary]) -> Vec<Section> {
    let section = |topic, title, tables| Section { topic, title, tables };
    vec![
        section(Topic::Overview, "Overview", vec![overview(runs)]),
        section(Topic::Thresholds, "Thresholds", vec![thresholds(runs)]),
        section(Topic::Concentration, "Concentration", vec![concentration(runs), matched(runs)]),
        section(Topic::Confidence, "Confidence", vec![confidence(runs)]),
        section(Topic::SecondToken, "Second token and phrases", vec![second_token(runs)]),
        section(Topic::Detectors, "Detectors", vec![measures::detectors(runs)]),
        section(
            Topic::Calibration,
            "Calibration",
            vec![measures::calibration(runs), measures::bins(runs)],
        ),
        section(Topic::Decoders, "Decoders", vec![measures::decoders(runs)]),
        section(
            Topic::Temperature,
            "Temperature",
            vec![measures::curve(runs), measures::sampled(runs)],
        ),
    ]
}

/// The label of a decoder or a detector, marked if it knows the answers.
pub(super) fn labelled(label: &impl Display, knows_the_answer: bool) -> String {
    format!("{label}{}", if knows_the_answer { "†" } else { "" })
}

/// What [`labelled`] marks.
const KNOWS: &str = " † Uses the acceptable forms of the right answer: bounds what could be gained, \
    and cannot be used where the answer is unknown.";

/// The number of an outcome, if there is one.
pub(super) fn of(numbers: &ByOutcome, outcome: Outcome) -> Option<Estimate> {
    numbers.get(&outcome).copied().flatten()
}

/// The commitment failures at the run's own threshold.
pub(super) fn at_tau(run: &Summary) -> Option<&Threshold> {
    at(run, run.tau)
}

fn at(run: &Summary, tau: f64) -> Option<&Threshold> {
    run.thresholds.iter().find(|threshold| threshold.tau == tau)
}

/// How many questions were asked, and out of how many if the run is not finished.
pub(super) fn questions(run: &Summary) -> String {
    let asked = count(run.samples);
    if run.samples < run.planned { format!("{asked} of {}", count(run.planned)) } else { asked }
}

fn overview(runs: &[Summary]) -> Table {
    let text = "Each question is answered greedily. A hallucination is an answer that is not an \
        acceptable form of the right one; wrong-winner confidence is the mean probability of its \
        first token. ECE by tokens is the expected calibration error of the probability of the \
        first token, see Calibration.";
    let mut table = Table::of_runs("Key figures", text, &["Measure"], runs);
    table.each(&["Questions"], runs, questions);
    table.each(&["Hallucinations"], runs, |run| count(run.hallucinations));
    table.each(&["Hallucination rate"], runs, |run| estimate(run.hallucination_rate));
    table.each(&["Threshold τ"], runs, |run| setting(run.tau));
    table
        .each(&["Commitment failures at τ"], runs, |run| told(at_tau(run), |t| count(t.failures)));
    table.each(&["Their share of hallucinations"], runs, |run| {
        estimate(at_tau(run).and_then(|threshold| threshold.rate))
    });
    table.each(&["Wrong-winner confidence"], runs, |run| {
        estimate(of(&run.confidence, Outcome::Hallucination))
    });
    table.each(&["ECE by tokens"], runs, |run| {
        told(run.calibration.get(&Decoder::Greedy).and_then(|c| c.ece), share)
    });
    table
}

fn thresholds(runs: &[Summary]) -> Table {
    let text = "A commitment failure is a hallucination with a P-mass of τ or more on the right \
        concept. The threshold is a choice: a finding should hold at all of them.";
    let mut table = Table::of_runs("Commitment failures by threshold", text, &["", "τ"], runs);
    let taus = sorted(runs, |run| run.thresholds.iter().map(|t| t.tau).collect());
    let mut label = "Share of hallucinations";
    for &tau in &taus {
        table.each(&[label, &setting(tau)], runs, |run| {
            estimate(at(run, tau).and_then(|threshold| threshold.rate))
        });
    }
    label = "Number";
    for &tau in &taus {
        table.each(&[label, &setting(tau)], runs, |run| {
            told(at(run, tau), |threshold| count(threshold.failures))
        });
    }
    table
}

fn concentration(runs: &[Summary]) -> Table {
    let text = "The concentration is the share of the P-mass that its likeliest token holds: 1 if \
        the right concept has one spelling, less if its vote is split. It is measured where the \
        P-mass is τ or more. The difference is that of right answers minus failures: Cohen's d in \
        pooled standard deviations, and the two-sided rank test of Mann and Whitney.";
    let mut table = Table::of_runs("Where the P-mass is τ or more", text, &["", ""], runs);
    table.each(&["Commitment failures", "number"], runs, |run| {
        number_of(run.concentration.failures)
    });
    table.each(&["Commitment failures", "mean"], runs, |run| estimate(run.concentration.failures));
    table.each(&["Right answers", "number"], runs, |run| number_of(run.concentration.right));
    table.each(&["Right answers", "mean"], runs, |run| estimate(run.concentration.right));
    difference(&mut table, runs, |run| &run.concentration.difference);
    table
}

fn matched(runs: &[Summary]) -> Table {
    let text = "The same for pairs of a failure and a right answer whose P-masses differ by at \
        most the caliper: the difference that remains is not due to the P-mass.";
    let mut table = Table::of_runs("Matched by P-mass", text, &["", ""], runs);
    table.each(&["Pairs", "number"], runs, |run| count(run.concentration.matched.pairs));
    table.each(&["Pairs", "caliper"], runs, |run| setting(run.concentration.matched.caliper));
    table.each(&["Commitment failures", "mean"], runs, |run| {
        estimate(run.concentration.matched.failures)
    });
    table.each(&["Right answers", "mean"], runs, |run| estimate(run.concentration.matched.right));
    difference(&mut table, runs, |run| &run.concentration.matched.difference);
    table
}

fn difference(table: &mut Table, runs: &[Summary], of: impl Fn(&Summary) -> &Difference) {
    table.each(&["Difference", "Cohen's d"], runs, |run| told(of(run).cohens_d, number));
    table.each(&["Difference", "U"], runs, |run| told(of(run).rank_test, |test| rank_sum(test.u)));
    table.each(&["Difference", "p"], runs, |run| told(of(run).rank_test, |test| p_value(test.p)));
}

fn confidence(runs: &[Summary]) -> Table {
    let text = "The mean probability of the token that wins the first step. In hallucinations it \
        is the wrong-winner confidence: how sure the model is of a wrong answer.";
    let mut table = Table::of_runs("Confidence of the winning token", text, &["Answers"], runs);
    for outcome in keys(runs, |run| run.confidence.keys().collect()) {
        table.each(&[&outcome.to_string()], runs, |run| estimate(of(&run.confidence, outcome)));
    }
    table
}

fn second_token(runs: &[Summary]) -> Table {
    let text = "The entropy of the second token, in nats, where the first two tokens of the greedy \
        answer begin an acceptable form, and where they do not: if it is near 0, the first token \
        has decided the phrase. A phrase that goes wrong later is a hallucination whose first token \
        begins an acceptable form, as in Adam Lambert for Adam Smith. The phrase mass is the \
        probability that the whole answer is an acceptable form.";
    let mut table = Table::of_runs("After the first token", text, &["", ""], runs);
    table.each(&["Second token's entropy", "valid beginning"], runs, |run| {
        estimate(run.second_token.valid)
    });
    table.each(&["Second token's entropy", "any other"], runs, |run| {
        estimate(run.second_token.invalid)
    });
    table.each(&["Phrases that go wrong later", "number"], runs, |run| {
        count(run.second_token.phrase_failures)
    });
    table.each(&["Phrases that go wrong later", "of hallucinations"], runs, |run| {
        estimate(run.second_token.phrase_failure_rate)
    });
    for outcome in keys(runs, |run| run.second_token.phrase_mass.keys().collect()) {
        let labels = ["Phrase mass of the right concept", &outcome.to_string().to_lowercase()];
        table.each(&labels, runs, |run| estimate(of(&run.second_token.phrase_mass, outcome)));
    }
    table
}
