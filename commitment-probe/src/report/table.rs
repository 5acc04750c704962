//! What a report says, before it is put in any form: Markdown and HTML show the same.

use std::collections::BTreeSet;

use serde::Serialize;

use super::numbers::Cell;
use crate::Summary;

/// What stands in place of a table without rows.
pub(super) const NOT_MEASURED: &str = "Not measured.";

/// What a part of a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    Overview,
    Settings,
    Failures,
    Cases,
    Thresholds,
    Comparisons,
    Concentration,
    Confidence,
    Later,
    Detectors,
    Hidden,
    Calibration,
    Decoders,
    Temperature,
}

impl Topic {
    /// Its id on the page.
    pub fn anchor(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Settings => "settings",
            Self::Failures => "failures",
            Self::Cases => "cases",
            Self::Thresholds => "thresholds",
            Self::Comparisons => "comparisons",
            Self::Concentration => "concentration",
            Self::Confidence => "confidence",
            Self::Later => "later-tokens",
            Self::Detectors => "detectors",
            Self::Hidden => "hidden-states",
            Self::Calibration => "calibration",
            Self::Decoders => "decoders",
            Self::Temperature => "temperature",
        }
    }
}

/// A part of a report. Texts of this crate may hold links, as `[label](address)`; whatever comes
/// from outside is in a warning, or in the header and the cells of a table, where nothing is markup.
pub(super) struct Section {
    pub topic: Topic,
    pub title: &'static str,
    /// They come before anything else.
    pub warnings: Vec<Warning>,
    pub tables: Vec<Table>,
    /// Tables that a page folds, and that Markdown leaves out.
    pub folded: Vec<Table>,
}

/// Why a number may mislead. Nothing in it is markup.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Warning {
    /// What it is about: a run, or a pair of runs.
    pub of: String,
    pub text: String,
}

pub(super) struct Table {
    pub title: String,
    /// The definition of what the cells hold.
    pub text: String,
    /// The headings of the columns at the left, which name a row; may be empty.
    pub labels: Vec<String>,
    /// The headings of the others.
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub labels: Vec<String>,
    pub cells: Vec<Cell>,
}

impl Table {
    pub fn new<C: ToString>(title: &str, text: &str, labels: &[&str], columns: &[C]) -> Self {
        Self {
            title: title.into(),
            text: text.into(),
            labels: labels.iter().map(|&label| label.into()).collect(),
            columns: columns.iter().map(ToString::to_string).collect(),
            rows: Vec::new(),
        }
    }

    /// A table with a column for each run.
    pub fn of_runs(title: &str, text: &str, labels: &[&str], runs: &[Summary]) -> Self {
        let names: Vec<_> = (0..).zip(runs).map(|(i, run)| name(i, run)).collect();
        Self::new(title, text, labels, &names)
    }

    pub fn row(&mut self, labels: &[&str], cells: Vec<Cell>) {
        let labels = labels.iter().map(|label| one_line(label)).collect();
        self.rows.push(Row { labels, cells });
    }

    /// A row with a cell for each run.
    pub fn each<C: Into<Cell>>(
        &mut self,
        labels: &[&str],
        runs: &[Summary],
        cell: impl Fn(&Summary) -> C,
    ) {
        self.row(labels, runs.iter().map(|run| cell(run).into()).collect());
    }

    /// A row for each run that has something to show, all under one label.
    pub fn under<'a, T>(
        &mut self,
        label: &str,
        runs: &'a [Summary],
        find: impl Fn(&'a Summary) -> Option<T>,
        cells: impl Fn(&T) -> Vec<Cell>,
    ) {
        for (i, run) in runs.iter().enumerate() {
            if let Some(found) = find(run) {
                self.row(&[label, &name(i, run)], cells(&found));
            }
        }
    }

    /// The rows, in groups of one first label where there are two labels; else in one group.
    pub fn groups(&self) -> Vec<&[Row]> {
        let together = |a: &Row, b: &Row| self.labels.len() < 2 || a.labels[..1] == b.labels[..1];
        self.rows.chunk_by(together).collect()
    }
}

/// What run `i` is called.
pub(super) fn name(i: usize, run: &Summary) -> String {
    let name = one_line(&run.name);
    if name.is_empty() { format!("run {}", i + 1) } else { name }
}

/// The text with a single space wherever it has white space.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A token in which every character can be seen.
pub(super) fn visible(token: &str) -> String {
    let seen = |c: char| match c {
        ' ' => "␣".to_owned(),
        '"' | '\'' | '\\' => c.to_string(),
        _ if c.is_whitespace() => c.escape_default().to_string(),
        _ => c.escape_debug().to_string(),
    };
    if token.is_empty() { "(empty)".into() } else { token.chars().map(seen).collect() }
}

/// The keys that any run has, in their order.
pub(super) fn keys<'a, K: Ord + Copy + 'a>(
    runs: &'a [Summary],
    of: impl Fn(&'a Summary) -> Vec<&'a K>,
) -> BTreeSet<K> {
    runs.iter().flat_map(of).copied().collect()
}

/// What the runs have, each once, in the order in which they first name it.
pub(super) fn union<'a, T: PartialEq>(
    runs: &'a [Summary],
    of: impl Fn(&'a Summary) -> Vec<T>,
) -> Vec<T> {
    let mut all = Vec::new();
    for item in runs.iter().flat_map(of) {
        if !all.contains(&item) {
            all.push(item);
        }
    }
    all
}

/// The same of numbers, in ascending order.
pub(super) fn sorted(runs: &[Summary], of: impl Fn(&Summary) -> Vec<f64>) -> Vec<f64> {
    let mut all = union(runs, of);
    all.sort_by(f64::total_cmp);
    all
}
