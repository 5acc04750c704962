//! The tables of a report, and what each of them means.

mod comparisons;
mod concentration;
mod failures;
mod hidden;
mod later;
mod measures;
mod overview;
mod temperature;

use std::fmt::Display;

pub(super) use failures::RATES;
pub(super) use hidden::shown as shown_states;
pub(super) use overview::questions;

use super::{
    cases, settings,
    table::{Section, Topic},
    warnings::{pair_warnings, warnings},
};
use crate::{ByOutcome, Outcome, Report, stats::Estimate};

pub(super) const TITLE: &str = "Commitment failures";

/// What a reader must know first.
pub(super) const INTRODUCTION: &str = "Does a model that answers wrongly know better? The P-mass \
    of the right concept is the probability, at the first step of the answer, of all tokens that \
    begin an acceptable form of the right answer. A commitment failure is a wrong greedy answer \
    although that P-mass is τ or more ([Yeom et al., 2026](https://arxiv.org/abs/2605.22007)). \
    The paper's rate is their share of wrong answers; the strict rate counts those of them whose \
    first token begins no acceptable form. Neither shows that the model knows the answer. Beside \
    each stands its null: the same rate with the forms of other questions, \
    at least what chance gives.";

pub(super) const NOTATION: &str = "Shares and probabilities are from 0 to 1, entropies in nats. \
    Brackets hold 95 % intervals, and the letter after them names the method: W is Wilson's score \
    interval of a share, B the BCa bootstrap, N Newcombe's interval of an AUROC, C the \
    bootstrap over groups of questions. ×1.8 is a design effect: the variance under the groups is \
    1.8 times that of independent questions. ° marks a number of fewer than 30 values. A dash, –, \
    stands where there is no data. No interval contains what the choice of questions, prompt and \
    scorer adds.";

pub(super) const NO_RUNS: &str = "There are no runs in this report.";

/// Everything that is shown of the runs.
pub(super) fn sections(report: &Report) -> Vec<Section> {
    let Report { runs, comparisons, trends, .. } = report;
    let section =
        |topic, title, tables| Section { topic, title, warnings: vec![], tables, folded: vec![] };
    let mut sections = vec![Section {
        warnings: warnings(runs),
        ..section(Topic::Overview, "Overview", overview::tables(runs))
    }];
    let has_evidence = !report.evidence.is_empty();
    if has_evidence {
        let tables = vec![settings::first(report)];
        sections.push(Section {
            folded: vec![settings::all(report)],
            ..section(Topic::Settings, "How the runs were made", tables)
        });
    }
    sections.push(section(
        Topic::Failures,
        "Failures and what chance gives",
        failures::tables(runs),
    ));
    if has_evidence {
        sections.push(section(Topic::Cases, "Cases", vec![cases::counts(report)]));
    }
    sections.push(section(Topic::Thresholds, "Thresholds", failures::thresholds(runs)));
    if !comparisons.is_empty() || trends.is_some() {
        let tables = comparisons::tables(report);
        sections.push(Section {
            warnings: pair_warnings(comparisons),
            ..section(Topic::Comparisons, "Comparisons", tables)
        });
    }
    sections.extend([
        section(Topic::Concentration, "Concentration", concentration::tables(runs)),
        section(Topic::Confidence, "Confidence", vec![later::confidence(runs)]),
        section(Topic::Later, "Later tokens and phrases", vec![later::later(runs)]),
        section(Topic::Detectors, "Detectors", vec![measures::detectors(runs)]),
    ]);
    if hidden::has_any(runs) {
        sections.push(Section {
            warnings: hidden::warnings(runs),
            ..section(Topic::Hidden, "What hidden states know", hidden::tables(runs))
        });
    }
    sections.extend([
        section(
            Topic::Calibration,
            "Calibration",
            vec![measures::calibration(runs), measures::bins(runs)],
        ),
        section(Topic::Decoders, "Decoders", vec![measures::decoders(runs)]),
        section(
            Topic::Temperature,
            "Temperature",
            vec![temperature::curve(runs), temperature::sampled(runs)],
        ),
    ]);
    sections
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
