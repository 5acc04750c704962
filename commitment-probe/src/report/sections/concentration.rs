//! How the vote for the right concept is split.

use super::super::{
    numbers::{Cell, count, difference, estimate, number_of, p_value, rank_sum, setting, told},
    table::Table,
};
use crate::{Concentration, Matched, Summary};

type Step = fn(&Summary) -> &Concentration;

/// The two steps, and where a summary has their concentration.
const STEPS: [(&str, Step); 2] = [
    ("First step", |run| &run.concentration),
    ("Informative step", |run| &run.informative_concentration),
];

pub(super) fn tables(runs: &[Summary]) -> Vec<Table> {
    vec![groups(runs), pairs(runs)]
}

fn groups(runs: &[Summary]) -> Table {
    let text = "The concentration is the share of the P-mass that its likeliest token holds (at \
        the informative step: its likeliest cut): 1 if the right concept has one spelling, less if \
        its vote is split. It is measured where the mass is τ or more. These groups differ by \
        construction: in a strict failure a token outside the concept is likelier than each one in \
        it, so the concentration is below (1 − P-mass) / P-mass by arithmetic alone.";
    let mut table = Table::of_runs("Where the mass is τ or more", text, &["Step", ""], runs);
    for (step, of) in STEPS {
        let mut rows = |label: &str, mean: fn(&Concentration) -> Option<_>| {
            table.each(&[step, &format!("{label}, mean")], runs, |run| estimate(mean(of(run))));
            table.each(&[step, &format!("{label}, number")], runs, |run| number_of(mean(of(run))));
        };
        rows("commitment failures", |c| c.failures);
        rows("strict failures", |c| c.strict);
        rows("right answers", |c| c.right);
    }
    table
}

fn pairs(runs: &[Summary]) -> Table {
    let text = "So pairs are compared: a failure and a right answer, both with a mass of τ or \
        more, that differ in mass by at most the caliper and have equally many tokens (or cuts). \
        The difference is the mean of right less failure; W and p are Wilcoxon's signed-rank test \
        of it, two-sided, over the n pairs that differ. Pairs are alike in mass and number, not in \
        difficulty, and the bound explains a part of the difference where the mass is above one \
        half.";
    let mut table = Table::of_runs("Pairs", text, &["Step", ""], runs);
    for (step, of) in STEPS {
        let mut row = |label: &str, cell: fn(&Matched) -> Cell| {
            table.each(&[step, label], runs, |run| cell(&of(run).matched));
        };
        row("pairs", |matched| count(matched.pairs.len()).into());
        row("caliper", |matched| setting(matched.caliper).into());
        row("failures left unmatched", |matched| estimate(matched.unmatched));
        row("failures, mean", |matched| estimate(matched.failures));
        row("right answers, mean", |matched| estimate(matched.right));
        row("difference", |matched| difference(matched.difference));
        row("W", |matched| told(matched.test, |test| rank_sum(test.w)).into());
        row("n", |matched| told(matched.test, |test| count(test.n)).into());
        row("p", |matched| told(matched.test, |test| p_value(test.p)).into());
    }
    table
}
