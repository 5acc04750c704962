//! What a run comes to, and who said what is right.

use super::super::{
    numbers::{Cell, count, difference, estimate, setting, share, told},
    table::{Table, keys},
    warnings::{may_be_chance, verdicts, withheld},
};
use super::failures::{CHANCE, SHORT};
use crate::{Decoder, Failures, Rate, Scorer, Summary, Verdict};

/// The sign of the scorer that decided.
const DECIDED: &str = "✓";

pub(super) fn tables(runs: &[Summary]) -> Vec<Table> {
    vec![key_figures(runs), verdict_counts(runs), scorers(runs)]
}

/// How many questions were asked, and out of how many if the run is not finished.
pub(in super::super) fn questions(run: &Summary) -> String {
    let asked = count(run.samples);
    if run.samples < run.planned { format!("{asked} of {}", count(run.planned)) } else { asked }
}

fn key_figures(runs: &[Summary]) -> Table {
    let text = "Each question is answered greedily. A hallucination is a wrong answer, and the \
        hallucination rate is wrong / (right + wrong). An answer is localised if it is decided at \
        its first token: a right one begins with a form, a wrong one has no more words than the \
        longest form and two. The rates are of localised answers, and are withheld if fewer than \
        80 % are localised. The informative step is the first that says something. The excess is the rate less its null, by \
        question. ";
    let text = text.to_owned() + CHANCE;
    let mut table = Table::of_runs("Key figures", &text, &["Measure"], runs);
    table.each(&["Questions"], runs, questions);
    if runs.iter().any(|run| run.groups.is_some()) {
        table.each(&["Groups of questions"], runs, |run| told(run.groups, count));
    }
    table.each(&["Scorer"], runs, |run| told(run.scorer, |scorer| scorer.to_string()));
    table.each(&["Hallucination rate"], runs, |run| estimate(run.hallucination_rate));
    if runs.iter().any(|run| verdicts(run, Verdict::Cut) > 0) {
        table.each(&["If cut answers are wrong"], runs, |run| estimate(run.cut_as_wrong));
    }
    table.each(&["Localised answers"], runs, |run| estimate(run.localised));
    table.each(&["First token says nothing"], runs, |run| estimate(run.says_nothing));
    table.each(&["Wrong answers, localised"], runs, |run| count(run.failures.wrong));
    table.each(&["Threshold τ"], runs, |run| setting(run.tau));
    rows(&mut table, "Strict rate", runs, |failures| &failures.first.strict);
    rows(&mut table, "Paper's rate", runs, |failures| &failures.first.paper);
    rows(&mut table, "Strict rate, informative step", runs, |f| &f.informative.strict);
    rows(&mut table, "Paper's rate, informative step", runs, |f| &f.informative.paper);
    table.each(&["Wrong-winner confidence"], runs, |run| estimate(run.wrong_winner_confidence));
    table.each(&["ECE by tokens"], runs, |run| {
        told(run.calibration.get(&Decoder::Greedy).and_then(|c| c.ece), share)
    });
    table
}

/// A rate of the headline, its null and its excess.
fn rows(table: &mut Table, label: &str, runs: &[Summary], of: impl Fn(&Failures) -> &Rate) {
    let cell = |run: &Summary, show: &dyn Fn(&Rate) -> Cell| match withheld(run) {
        Some(_) => String::from("withheld").into(),
        None => show(of(&run.failures)),
    };
    table.each(&[label], runs, |run| cell(run, &|rate| estimate(rate.rate)));
    table.each(&[&format!("{label}: null")], runs, |run| cell(run, &|rate| estimate(rate.null)));
    table.each(&[&format!("{label}: excess")], runs, |run| {
        cell(run, &|rate| difference(rate.excess).flagged(SHORT, may_be_chance(rate)))
    });
}

fn verdict_counts(runs: &[Summary]) -> Table {
    let text = "Each answer has the first verdict that holds: unmeasured, if no form can begin an \
        answer after the prompt; right, if the scorer accepts it; empty; not attempted, if it \
        declines; cut, if it reached the maximum number of tokens and did not end; else wrong. \
        Only right and wrong answers are in the measures below.";
    let mut table = Table::of_runs("Verdicts", text, &["Answers"], runs);
    let met = keys(runs, |run| run.verdicts.keys().collect());
    for &verdict in Verdict::ALL.iter().filter(|_| !met.is_empty()) {
        table.each(&[&verdict.to_string()], runs, |run| {
            told((!run.verdicts.is_empty()).then_some(run), |run| count(verdicts(run, verdict)))
        });
    }
    table
}

fn scorers(runs: &[Summary]) -> Table {
    let text = format!(
        "The hallucination rate of the same answers under each scorer. {DECIDED} marks the one \
         that decided. Where scorers disagree, so may all that is counted of wrong answers."
    );
    let mut table = Table::of_runs("If another scorer decided", &text, &["Scorer"], runs);
    let scorers: Vec<Scorer> =
        keys(runs, |run| run.by_scorer.keys().chain(&run.scorer).collect()).into_iter().collect();
    for scorer in scorers {
        table.each(&[&scorer.to_string()], runs, |run| {
            let decided = run.scorer == Some(scorer);
            let own = run.hallucination_rate.filter(|_| decided);
            estimate(own.or(run.by_scorer.get(&scorer).copied().flatten()))
                .flagged(DECIDED, decided)
        });
    }
    table
}
