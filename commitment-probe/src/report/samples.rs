//! The second page: all samples of all runs in a table that can be searched.
//!
//! The table is in a `noscript` element, so that it is read as it is where there is no JavaScript.
//! Where there is, the browser takes that element's contents for a text: `samples.js` cuts it into
//! rows, one a line, and shows some of them at a time. So thousands of rows are there once, escaped
//! once, and cost nothing before they are looked at.

use std::fmt::Write;

use minijinja::{context, value::Serde};
use serde::Serialize;

use super::{
    cases::probability,
    numbers::{NOTHING, count, share},
    page::{STYLE, escape, render},
    sections::TITLE,
    table::{name, one_line, visible},
};
use crate::{Kind, Pages, Report, Sample, Verdict};

/// So many forms of an answer are shown; a data set may list dozens.
const FORMS: usize = 3;

/// The page; without a run, it says so.
pub(super) fn page(report: &Report, samples: &[&[Sample]]) -> String {
    let runs: Vec<Run> = report
        .runs
        .iter()
        .zip(samples)
        .enumerate()
        .map(|(i, (run, samples))| Run { name: name(i, run), tau: run.tau, samples })
        .collect();
    let all = || runs.iter().flat_map(|run| run.samples.iter().map(|sample| (run.tau, sample)));
    let verdict = |verdict: Verdict| all().filter(|(_, of)| of.verdict == verdict).count();
    let kind = |kind: Kind| all().filter(|(tau, of)| of.kind(*tau) == Some(kind)).count();
    let page = context! {
        title => format!("{TITLE}: all samples"),
        report => Pages::REPORT,
        style => STYLE,
        script => include_str!("samples.js"),
        several => runs.len() > 1,
        total => count(all().count()),
        runs => Serde(choices(
            runs.iter().map(|run| (run.name.clone(), run.samples.len())))),
        verdicts => Serde(choices(
            Verdict::ALL.iter().map(|&of| (of.to_string(), verdict(of))))),
        kinds => Serde(choices(Kind::ALL.iter().map(|&of| (of.to_string(), kind(of))))),
        rows => rows(&runs),
    };
    render("samples.html.jinja", page)
}

struct Run<'a> {
    name: String,
    tau: f64,
    samples: &'a [Sample],
}

/// What rows may be chosen by.
#[derive(Serialize)]
struct Choice {
    value: usize,
    label: String,
    number: String,
}

fn choices(of: impl Iterator<Item = (String, usize)>) -> Vec<Choice> {
    of.enumerate()
        .map(|(value, (label, number))| Choice { value, label, number: count(number) })
        .collect()
}

/// The id of a row.
pub(super) fn anchor(run: usize, place: usize) -> String {
    format!("s{run}-{place}")
}

/// The forms of the right answer: the first ones, and how many more there are.
pub(super) fn forms(sample: &Sample) -> String {
    let shown: Vec<String> = sample.forms.iter().take(FORMS).map(|form| one_line(form)).collect();
    match sample.forms.len().saturating_sub(FORMS) {
        0 => shown.join(" / "),
        more => format!("{} and {} more", shown.join(" / "), count(more)),
    }
}

/// The P-mass; none if it is not measured, since no form can begin an answer after the prompt.
pub(super) fn mass(sample: &Sample) -> Option<f64> {
    (sample.verdict != Verdict::Unmeasured).then(|| sample.mass())
}

fn rows(runs: &[Run]) -> String {
    let mut rows = String::new();
    for (i, run) in runs.iter().enumerate() {
        for (place, sample) in run.samples.iter().enumerate() {
            row(&mut rows, (i, place), run, sample, runs.len() > 1);
        }
    }
    rows
}

/// One line, in which whatever comes from outside is escaped.
fn row(rows: &mut String, (i, place): (usize, usize), run: &Run, sample: &Sample, several: bool) {
    let kind = sample.kind(run.tau);
    let first = &sample.first;
    let number = |kind: Kind| (kind as usize).to_string();
    // Writing to a string does not fail.
    let _ = write!(
        rows,
        "<tr id=\"{}\" data-by=\"{i},{},{}\" data-mass=\"{}\" data-first=\"{}\">",
        anchor(i, place),
        sample.verdict as usize,
        kind.map_or_else(String::new, number),
        mass(sample).map_or_else(String::new, |_| first.mass.to_string()),
        first.probability,
    );
    let _ = write!(rows, "<th scope=\"row\">{}</th>", text(&sample.id));
    if several {
        let _ = write!(rows, "<td>{}</td>", escape(&run.name));
    }
    let is_in_f = if first.begins_answer { "yes" } else { "no" };
    let kind = kind.map_or_else(|| NOTHING.to_owned(), |kind| kind.to_string());
    let token = visible(&first.text);
    for cell in [&sample.question, &sample.answer, &forms(sample)] {
        let _ = write!(rows, "<td>{}</td>", text(cell));
    }
    for cell in [&sample.verdict.to_string(), &kind] {
        let _ = write!(rows, "<td>{cell}</td>");
    }
    let mass = mass(sample).map_or_else(|| NOTHING.to_owned(), share);
    let _ = write!(rows, "<td class=\"n\">{mass}</td><td>{}</td>", text(&token));
    let probability = probability(first.probability.into());
    let _ = writeln!(rows, "<td class=\"n\">{}</td><td>{is_in_f}</td></tr>", escape(&probability));
}

/// A text from outside on one line; a dash if there is none.
fn text(text: &str) -> String {
    let text = one_line(text);
    if text.is_empty() { NOTHING.to_owned() } else { escape(&text) }
}
