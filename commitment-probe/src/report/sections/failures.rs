//! Commitment failures, and what chance gives.

use std::{cmp::Reverse, collections::BTreeMap};

use super::super::{
    numbers::{Cell, NOTHING, count, difference, estimate, setting},
    table::{Table, sorted, visible},
    warnings::{may_be_chance, withheld},
};
use crate::{Failures, Rate, Rates, Summary, Threshold};

/// One of the two rates, at one of the two steps.
pub(in super::super) struct Kind {
    pub label: &'static str,
    informative: bool,
    strict: bool,
}

pub(in super::super) const RATES: [Kind; 4] = [
    Kind { label: "Paper's rate, first step", informative: false, strict: false },
    Kind { label: "Strict rate, first step", informative: false, strict: true },
    Kind { label: "Paper's rate, informative step", informative: true, strict: false },
    Kind { label: "Strict rate, informative step", informative: true, strict: true },
];

impl Kind {
    /// The rate of this kind, of those at the first and at the informative step.
    pub fn of<'a>(&self, first: &'a Rates, informative: &'a Rates) -> &'a Rate {
        let rates = if self.informative { informative } else { first };
        if self.strict { &rates.strict } else { &rates.paper }
    }
}

/// The sign of an excess that may be 0, and what it means.
pub(super) const SHORT: &str = "‡";
pub(super) const CHANCE: &str =
    "‡ marks an excess whose interval includes 0: chance may have given the rate.";

/// The sign of a run whose headline is withheld, and what it means.
const WITHHELD: &str = "§";
const FEW_LOCALISED: &str = " § marks rates of a run that has no headline, since too few of its \
    answers are localised: they are those of a selection.";

/// The most uninformative tokens that are listed.
const TOKENS: usize = 40;

pub(super) fn tables(runs: &[Summary]) -> Vec<Table> {
    let localised = "The paper's rate is the share of wrong answers whose P-mass is τ or more; the \
        strict rate counts those of them whose winner begins no form. In the difference, the \
        winner begins the right answer and the phrase goes wrong later, or it says nothing, as \
        \"The\". The informative step passes over such tokens: its mass is that of all forms, each \
        cut after its first informative token, and its winner is the greedy answer, cut likewise. \
        The null exchanges each question's forms for those of up to 10 others that share none with \
        it; other questions may be easier to exclude than the likely wrong answers, so it is a \
        lower bound of what chance gives. ";
    let localised = format!("{localised}{CHANCE}{}", selection(runs));
    let all = "The same of all wrong answers, also of those that are not decided at their first \
        token, where a P-mass says little.";
    vec![
        rates("Among localised answers", &localised, runs, true, |run| &run.failures),
        rates("Among all answers", all, runs, false, |run| &run.all_failures),
        conditional(runs),
        uninformative(runs),
    ]
}

/// The explanation of § if there is one.
fn selection(runs: &[Summary]) -> &'static str {
    if runs.iter().any(|run| withheld(run).is_some()) { FEW_LOCALISED } else { "" }
}

fn rates(
    title: &str,
    text: &str,
    runs: &[Summary],
    localised: bool,
    of: impl Fn(&Summary) -> &Failures,
) -> Table {
    let columns = ["Wrong answers", "Failures", "Rate", "Null", "Excess"];
    let mut table = Table::new(title, text, &["Rate", "Run"], &columns);
    for kind in RATES {
        let find = |run: &Summary| {
            let failures = of(run);
            let rate = kind.of(&failures.first, &failures.informative).clone();
            Some((failures.wrong, rate, localised && withheld(run).is_some()))
        };
        table.under(kind.label, runs, find, |(wrong, rate, selected)| {
            let [share, null, excess] = cells(rate, *selected);
            vec![count(*wrong).into(), count(rate.failures).into(), share, null, excess]
        });
    }
    table
}

/// A rate, its null and its excess, with their warnings.
fn cells(rate: &Rate, selected: bool) -> [Cell; 3] {
    [
        estimate(rate.rate).flagged(WITHHELD, selected),
        estimate(rate.null),
        difference(rate.excess).flagged(SHORT, may_be_chance(rate)),
    ]
}

fn conditional(runs: &[Summary]) -> Table {
    let text = "The mean probability, in wrong answers, of a token that goes on with a form or \
        begins one, after the greedy answer's own uninformative beginning. This is no rate, and \
        makes none: it is conditional on what the model has said, and to condition is to select.";
    let mut table = Table::of_runs("Conditional mass", text, &["Wrong answers"], runs);
    table.each(&["Localised"], runs, |run| estimate(run.failures.conditional_mass));
    table.each(&["All"], runs, |run| estimate(run.all_failures.conditional_mass));
    table
}

fn uninformative(runs: &[Summary]) -> Table {
    let text = "The tokens that the informative step passed over, and in how many questions: \
        blanks and signs without a letter, digit or symbol, articles, digits (numbers are compared \
        whole), parts of a character, and what begins a form of at least 5 % of the other \
        questions. ␣ is a space.";
    let mut table = Table::of_runs("Uninformative tokens", text, &["Token"], runs);
    let mut totals = BTreeMap::<&str, usize>::new();
    for (token, &questions) in runs.iter().flat_map(|run| &run.uninformative) {
        let total = totals.entry(token).or_default();
        *total = total.saturating_add(questions);
    }
    let mut tokens: Vec<_> = totals.into_iter().collect();
    tokens.sort_by_key(|&(_, total)| Reverse(total));
    let rest = tokens.split_off(tokens.len().min(TOKENS));
    for (token, _) in tokens {
        table.each(&[&visible(token)], runs, |run| {
            run.uninformative.get(token).map_or_else(|| NOTHING.into(), |&n| count(n))
        });
    }
    if !rest.is_empty() {
        table.each(&[&format!("and {} more tokens", count(rest.len()))], runs, |run| {
            let met = rest.iter().filter(|(token, _)| run.uninformative.contains_key(*token));
            format!("{} tokens", count(met.count()))
        });
    }
    table
}

pub(super) fn thresholds(runs: &[Summary]) -> Vec<Table> {
    let first = "The rates of localised answers at the first step, at other thresholds. The \
        threshold is a choice: a finding should hold at all of them, and stay above its null. "
        .to_owned()
        + CHANCE
        + selection(runs);
    let informative = "The same at the informative step.";
    vec![
        by_threshold("At the first step", &first, runs, |t| &t.first),
        by_threshold("At the informative step", informative, runs, |t| &t.informative),
    ]
}

fn by_threshold(
    title: &str,
    text: &str,
    runs: &[Summary],
    step: impl Fn(&Threshold) -> &Rates,
) -> Table {
    let columns = [
        "Paper's failures",
        "Paper's rate",
        "Its null",
        "Its excess",
        "Strict failures",
        "Strict rate",
        "Its null",
        "Its excess",
    ];
    let mut table = Table::new(title, text, &["τ", "Run"], &columns);
    for tau in sorted(runs, |run| run.thresholds.iter().map(|t| t.tau).collect()) {
        let find = |run: &Summary| {
            let threshold = run.thresholds.iter().find(|threshold| threshold.tau == tau)?;
            Some((step(threshold).clone(), withheld(run).is_some()))
        };
        table.under(&setting(tau), runs, find, |(Rates { paper, strict }, selected)| {
            let of = |rate: &Rate| {
                let number = Cell::from(count(rate.failures));
                [number].into_iter().chain(cells(rate, *selected))
            };
            of(paper).chain(of(strict)).collect()
        });
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_of_a_token_can_be_seen() {
        for (token, seen) in [
            (" the", "␣the"),
            ("  ", "␣␣"),
            ("\n", "\\n"),
            ("\t\"", "\\t\""),
            ("\u{a0}", "\\u{a0}"),
            ("\u{200b}", "\\u{200b}"),
            ("\u{2028}", "\\u{2028}"),
            ("—", "—"),
            ("é", "é"),
            ("", "(empty)"),
        ] {
            assert_eq!(visible(token), seen);
        }
    }
}
