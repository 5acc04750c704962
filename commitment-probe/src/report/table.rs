//! What a report says, before it is put in any form: Markdown and HTML show the very same.

use crate::Summary;

/// What stands in the place of a table without rows.
pub(super) const NOT_MEASURED: &str = "Nothing of this was measured.";

/// What a part of a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    Overview,
    Thresholds,
    Concentration,
    Confidence,
    SecondToken,
    Detectors,
    Calibration,
    Decoders,
    Temperature,
}

/// A part of a report. Texts of this crate may hold links, as `[label](address)`; whatever comes
/// from outside is in the header and the cells of a table, where nothing is markup.
pub(super) struct Section {
    pub topic: Topic,
    pub title: &'static str,
    pub tables: Vec<Table>,
}

pub(super) struct Table {
    pub title: String,
    /// The definition of what the cells hold.
    pub text: String,
    pub head: Vec<String>,
    /// The columns at the left that name a row.
    pub labels: usize,
    /// An empty first label is the one above.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(title: &str, text: &str, labels: &[&str], columns: &[&str]) -> Self {
        let head = labels.iter().chain(columns).map(|&name| name.into()).collect();
        Self {
            title: title.into(),
            text: text.into(),
            head,
            labels: labels.len(),
            rows: Vec::new(),
        }
    }

    /// A table with a column for each run.
    pub fn of_runs(title: &str, text: &str, labels: &[&str], runs: &[Summary]) -> Self {
        let names: Vec<_> = (0..).zip(runs).map(|(i, run)| name(i, run)).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        Self::new(title, text, labels, &names)
    }

    /// Of rows with the same first label, where there are two, the first alone keeps it.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut cells: Vec<_> = cells.into_iter().map(|cell| one_line(&cell)).collect();
        let above = self.rows.iter().rev().find(|row| !row[0].is_empty());
        if self.labels > 1 && above.is_some_and(|above| above[0] == cells[0]) {
            cells[0].clear();
        }
        self.rows.push(cells);
    }

    /// A row with a cell for each run.
    pub fn each(&mut self, labels: &[&str], runs: &[Summary], cell: impl Fn(&Summary) -> String) {
        self.row(labels.iter().map(|&label| label.into()).chain(runs.iter().map(cell)));
    }

    /// A row for each run, all under one label; with the cells of those that have something.
    pub fn under<T>(
        &mut self,
        label: &str,
        runs: &[Summary],
        find: impl Fn(&Summary) -> Option<T>,
        cells: impl Fn(&T) -> Vec<String>,
    ) {
        for (i, run) in runs.iter().enumerate() {
            if let Some(found) = find(run) {
                self.row([label.to_owned(), name(i, run)].into_iter().chain(cells(&found)));
            }
        }
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
