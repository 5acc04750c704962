//! Cases: answers of every kind, with the tokens that competed.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    numbers::{NOTHING, count, setting, share},
    samples::{anchor, forms, mass},
    table::{Table, name, one_line, visible},
};
use crate::{Cases, Kind, Report, Sample};

/// How many answers of each kind there are.
pub(super) fn counts(report: &Report) -> Table {
    let text = "Every answer that is not right is of one kind. Strict failure: the P-mass is τ or \
        more, and the winner (the first token of the greedy answer) is not the right concept's own. \
        Winner begins the right answer: the P-mass is τ or more, the winner is the right concept's \
        own and says something, and the answer went on otherwise. Goes wrong later: the winner at \
        the informative step is right, while the P-mass is below τ, or the tokens before it say \
        nothing. Winner says nothing: and what follows it is not right either. The others are as \
        their names say. Wrong answers are counted here whether they are localised or not, and the \
        headline's rates are of the localised ones alone: so there may be more strict failures here \
        than the headline counts.";
    let runs = &report.runs[..report.runs.len().min(report.evidence.len())];
    let mut table = Table::of_runs("Kinds of answers", text, &["Kind"], runs);
    for kind in Kind::ALL {
        let number = |cases: Option<&Cases>| count(cases.map_or(0, |cases| cases.number)).into();
        let cells = report.evidence.iter().take(runs.len()).map(|of| number(of.cases.get(kind)));
        table.row(&[&kind.to_string()], cells.collect());
    }
    table
}

/// The cases of one run.
#[derive(Serialize)]
pub(super) struct RunCases {
    name: String,
    kinds: Vec<KindCases>,
}

/// Those of one kind.
#[derive(Serialize)]
struct KindCases {
    label: String,
    /// How many there are, and how many of them are shown.
    number: String,
    shown: String,
    /// The address of all of them on the other page.
    address: String,
    /// The first is open.
    open: bool,
    cases: Vec<Case>,
}

#[derive(Serialize)]
struct Case {
    id: String,
    /// What its question is called in the page.
    anchor: String,
    address: String,
    question: String,
    said: String,
    verdict: String,
    /// The forms, and how many more there are.
    forms: String,
    /// Of how many tokens, too; a dash if it is not measured.
    mass: String,
    /// The mass at the informative step and what won there, where that is another step.
    informative: Option<(String, String)>,
    note: Option<String>,
    tokens: Vec<Bar>,
}

/// A competing token.
#[derive(Serialize)]
struct Bar {
    text: String,
    probability: String,
    /// In per cent of 1.
    width: String,
    right: bool,
    own: bool,
    winner: bool,
}

/// The cases that the report's evidence names, of the runs whose samples are at hand.
pub(super) fn cases(report: &Report, samples: &[&[Sample]]) -> Vec<RunCases> {
    let all = report.runs.iter().zip(&report.evidence).zip(samples).enumerate();
    let mut open = true;
    let of_run = |(i, ((run, evidence), samples)): (usize, ((_, &crate::Evidence), &&[Sample]))| {
        let places: HashMap<&str, usize> =
            samples.iter().enumerate().map(|(place, sample)| (sample.id.as_str(), place)).collect();
        let kinds = evidence.cases.iter().filter(|(_, cases)| cases.number > 0);
        let of_kind = |(kind, of): (&Kind, &Cases)| {
            let found = of.shown.iter().filter_map(|id| places.get(id.as_str()));
            let cases: Vec<Case> =
                found.map(|&place| Case::new(i, place, &samples[place])).collect();
            KindCases {
                label: kind.to_string(),
                number: count(of.number),
                shown: count(cases.len()),
                address: format!("#run={i}&kind={}", *kind as usize),
                open: std::mem::take(&mut open),
                cases,
            }
        };
        RunCases { name: name(i, run), kinds: kinds.map(of_kind).collect() }
    };
    all.map(of_run).collect()
}

impl Case {
    fn new(run: usize, place: usize, sample: &Sample) -> Self {
        let first = &sample.first;
        let informative = &sample.informative;
        let there = share(informative.mass());
        // Where the first step says something, there is seldom more to say; and of what is not
        // measured, nothing.
        let measured = mass(sample);
        let says_more = |mass: f64| sample.says_nothing() || there != share(mass);
        let differs = measured.is_some_and(says_more);
        let bar = |token: &crate::Competing| Bar {
            text: visible(&token.text),
            probability: probability(token.probability.into()),
            width: format!("{:.1}", f64::from(token.probability).clamp(0.0, 1.0) * 100.0),
            right: token.begins_answer,
            own: token.is_own,
            winner: token.token == first.token,
        };
        Self {
            id: one_line(&sample.id),
            anchor: format!("case-{}", anchor(run, place)),
            address: format!("#{}", anchor(run, place)),
            question: one_line(&sample.question),
            said: told(&sample.answer),
            verdict: sample.verdict.to_string(),
            forms: forms(sample),
            mass: told_mass(measured, first.firsts),
            informative: differs.then(|| (there, told(&informative.winner))),
            note: sample.note.as_deref().map(one_line),
            tokens: first.tokens.iter().map(bar).collect(),
        }
    }
}

/// The P-mass, and of how many tokens it is.
fn told_mass(mass: Option<f64>, tokens: usize) -> String {
    mass.map_or_else(
        || NOTHING.to_owned(),
        |mass| format!("{} of {} tokens", share(mass), count(tokens)),
    )
}

/// What was said, or that nothing was.
fn told(text: &str) -> String {
    let text = one_line(text);
    if text.is_empty() { "(nothing)".into() } else { text }
}

/// A probability with two places, or that it is less than they show.
pub(super) fn probability(value: f64) -> String {
    if value > 0.0 && value < 0.005 { format!("< {}", setting(0.01)) } else { share(value) }
}
