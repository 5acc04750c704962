//! Runs compared question by question.

use super::super::{
    numbers::{Cell, NOTHING, count, difference, number_of, p_value, signed, told},
    table::{Table, name},
    warnings::pair_name,
};
use crate::{Comparison, Paired, Report, Trends};

/// The sign of a pair that has a warning.
const WARNED: &str = "⚠";

pub(super) fn tables(report: &Report) -> Vec<Table> {
    let mut tables = Vec::new();
    if !report.comparisons.is_empty() {
        tables.push(pairs(&report.comparisons));
    }
    if let Some(trends) = &report.trends {
        tables.extend([slopes(trends), parameters(report, trends)]);
    }
    tables
}

fn pairs(comparisons: &[Comparison]) -> Table {
    let text = "The second run less the first, on the questions that both have: in being wrong, of \
        questions right or wrong in both; in P-mass; and in failing, of questions wrong, and localised, in both. \
        p is McNemar's test of the questions that only one of them counts: exact, or with the signs \
        of whole groups changed. ⚠ marks runs that \
        differ in more than their models, as the warnings say: then the difference is not that of \
        the models. To compare an instruct model with its base, ask the instruct model with both \
        prompts.";
    let columns = ["Questions", "Difference", "In the first alone", "In the second alone", "p"];
    let mut table = Table::new("Differences", text, &["In", "Runs"], &columns);
    let mut rows = |label: &str, cells: &dyn Fn(&Comparison) -> [Cell; 5]| {
        for pair in comparisons {
            let warned = if pair.warnings.is_empty() { "" } else { WARNED };
            table.row(&[label, &format!("{}{warned}", pair_name(pair))], cells(pair).into());
        }
    };
    rows("Being wrong", &|pair| paired(&pair.wrong));
    rows("P-mass", &|pair| {
        let nothing = || Cell::from(NOTHING.to_owned());
        [number_of(pair.mass).into(), difference(pair.mass), nothing(), nothing(), nothing()]
    });
    rows("Failing, paper's rate", &|pair| paired(&pair.failures));
    rows("Failing, strict rate", &|pair| paired(&pair.strict));
    table
}

fn paired(of: &Paired) -> [Cell; 5] {
    [
        number_of(of.difference).into(),
        difference(of.difference),
        count(of.only_first).into(),
        count(of.only_second).into(),
        told(of.p, p_value).into(),
    ]
}

fn slopes(trends: &Trends) -> Table {
    let text = "Whether a rate rises with the size of the model: the least-squares slope of the \
        rate on ln(parameters), over three sizes or more; p by permuting the runs within each \
        question.";
    let columns = ["Slope", "p", "Runs", "Permutations"];
    let mut table = Table::new("Trends with size", text, &["Rate"], &columns);
    for (label, trend) in [("Paper's rate", trends.failures), ("Strict rate", trends.strict)] {
        let cells = [
            told(trend, |trend| signed(trend.slope)),
            told(trend, |trend| p_value(trend.p)),
            told(trend, |trend| count(trend.runs)),
            told(trend, |trend| count(trend.permutations)),
        ];
        table.row(&[label], cells.map(Cell::from).into());
    }
    table
}

fn parameters(report: &Report, trends: &Trends) -> Table {
    let text = "The parameters of each run's model, where they are known.";
    let mut table = Table::new("Sizes", text, &["Run"], &["Parameters"]);
    for (i, (run, parameters)) in report.runs.iter().zip(&trends.parameters).enumerate() {
        let known = parameters.and_then(|number| usize::try_from(number).ok());
        table.row(&[&name(i, run)], vec![told(known, count).into()]);
    }
    table
}
