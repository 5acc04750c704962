//! A report as one page that fetches nothing: `page.html.jinja`, and what it is filled with.

use minijinja::{AutoEscape, Environment, Value, escape_formatter, value::Serde};
use serde::Serialize;

use super::{
    card::Card,
    cases::{RunCases, cases},
    plot::{Figure, key},
    plots::{Plots, plots},
    sections::{INTRODUCTION, NO_RUNS, NOTATION, TITLE, sections},
    settings,
    table::{NOT_MEASURED, Row, Section, Table, Topic, Warning},
};
use crate::{Pages, Report, Sample};

pub(super) const STYLE: &str = include_str!("page.css");

/// Their names end as those of pages in HTML, so that all that is put in is escaped.
const TEMPLATES: [(&str, &str); 3] = [
    ("page.html.jinja", include_str!("page.html.jinja")),
    ("cases.html.jinja", include_str!("cases.html.jinja")),
    ("samples.html.jinja", include_str!("samples.html.jinja")),
];

/// The page, with the cases of the samples if they are at hand.
pub(super) fn page(report: &Report, samples: Option<&[&[Sample]]>) -> String {
    let sections = if report.runs.is_empty() { vec![] } else { sections(report) };
    render("page.html.jinja", Value::from(Serde(Page::new(report, &sections, samples))))
}

/// A template filled with `context`.
pub(super) fn render(template: &str, context: Value) -> String {
    let mut jinja = Environment::new();
    jinja.set_formatter(|out, state, value| match value.as_str() {
        // As minijinja does, but a slash in an address stays one.
        Some(text) if !value.is_safe() && matches!(state.auto_escape(), AutoEscape::Html) => {
            Ok(out.write_str(&escape(text))?)
        }
        _ => escape_formatter(out, state, value),
    });
    let add = |(name, source): &(&'static str, &'static str)| jinja.add_template(name, source);
    let page = TEMPLATES
        .iter()
        .try_for_each(add)
        .and_then(|()| jinja.get_template(template)?.render(context));
    // The templates are the crate's own, and what fills them is always of one shape.
    page.expect("tests render every part of the templates")
}

/// What the template is filled with.
#[derive(Serialize)]
struct Page<'a> {
    title: &'static str,
    style: &'static str,
    introduction: Vec<Piece<'static>>,
    notation: Vec<Piece<'static>>,
    no_runs: Vec<Piece<'static>>,
    not_measured: &'static str,
    note: Option<&'a str>,
    /// The address of the other page, if there is one.
    all_samples: Option<&'static str>,
    cards: Vec<Card>,
    sections: Vec<Part<'a>>,
}

#[derive(Serialize)]
struct Part<'a> {
    anchor: &'static str,
    title: &'static str,
    /// A plot alone stands beside its table, where there is room for both.
    beside: bool,
    plots: Vec<Pictures>,
    warnings: &'a [Warning],
    tables: Vec<Grid<'a>>,
    /// Tables that are folded.
    folded: Vec<Grid<'a>>,
    prompts: Vec<Prompt<'a>>,
    cases: Vec<RunCases>,
}

/// What a run's model read before its first answer.
#[derive(Serialize)]
struct Prompt<'a> {
    run: String,
    text: &'a str,
}

#[derive(Serialize)]
struct Pictures {
    legend: Vec<Entry>,
    figures: Vec<Picture>,
}

#[derive(Serialize)]
struct Entry {
    key: String,
    text: String,
}

#[derive(Serialize)]
struct Picture {
    title: String,
    svg: String,
}

#[derive(Serialize)]
struct Grid<'a> {
    title: &'a str,
    text: Vec<Piece<'a>>,
    labels: &'a [String],
    columns: &'a [String],
    groups: Vec<&'a [Row]>,
}

/// A part of a text: plain, or a link.
#[derive(Debug, PartialEq, Serialize)]
struct Piece<'a> {
    text: &'a str,
    address: Option<&'a str>,
}

impl<'a> Page<'a> {
    fn new(report: &'a Report, sections: &'a [Section], samples: Option<&[&[Sample]]>) -> Self {
        let runs = &report.runs;
        let part = |section: &'a Section| Part::new(section, report, samples.unwrap_or_default());
        Self {
            title: TITLE,
            style: STYLE,
            introduction: pieces(INTRODUCTION),
            notation: pieces(NOTATION),
            no_runs: pieces(NO_RUNS),
            not_measured: NOT_MEASURED,
            note: report.note.as_deref(),
            all_samples: samples.map(|_| Pages::SAMPLES),
            cards: runs.iter().enumerate().map(|(i, run)| Card::new(i, run)).collect(),
            sections: sections.iter().map(part).collect(),
        }
    }
}

impl<'a> Part<'a> {
    fn new(section: &'a Section, report: &'a Report, samples: &[&[Sample]]) -> Self {
        let runs = &report.runs;
        let plots = plots(section.topic, runs);
        let figures: usize = plots.iter().map(|plots| plots.figures.len()).sum();
        // The cards have what the overview warns of.
        let shown = section.topic != Topic::Overview;
        Self {
            anchor: section.topic.anchor(),
            title: section.title,
            beside: runs.len() <= 3 && figures == 1,
            plots: plots.into_iter().map(Pictures::new).collect(),
            warnings: if shown { &section.warnings } else { &[] },
            tables: section.tables.iter().map(Grid::new).collect(),
            folded: section.folded.iter().map(Grid::new).collect(),
            prompts: match section.topic {
                Topic::Settings => settings::prompts(report),
                _ => vec![],
            }
            .into_iter()
            .map(|(run, text)| Prompt { run, text })
            .collect(),
            cases: if section.topic == Topic::Cases { cases(report, samples) } else { vec![] },
        }
    }
}

impl Pictures {
    fn new(plots: Plots) -> Self {
        let entry = |(look, text)| Entry { key: key(look), text };
        let picture = |figure: Figure| Picture { title: figure.title, svg: figure.svg };
        Self {
            legend: plots.legend.into_iter().map(entry).collect(),
            figures: plots.figures.into_iter().map(picture).collect(),
        }
    }
}

impl<'a> Grid<'a> {
    fn new(table: &'a Table) -> Self {
        Self {
            title: &table.title,
            text: pieces(&table.text),
            labels: &table.labels,
            columns: &table.columns,
            groups: table.groups(),
        }
    }
}

/// The parts of one of this crate's own texts, in which `[text](address)` is a link.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, text, address, after)) = link(rest) {
        pieces.push(Piece { text: before, address: None });
        pieces.push(Piece { text, address: Some(address) });
        rest = after;
    }
    pieces.push(Piece { text: rest, address: None });
    pieces
}

/// What is before the first `[text](address)`, these two, and what is after.
fn link(text: &str) -> Option<(&str, &str, &str, &str)> {
    let (before, rest) = text.split_once('[')?;
    let (label, rest) = rest.split_once("](")?;
    let (address, after) = rest.split_once(')')?;
    Some((before, label, address, after))
}

/// Text in which nothing is markup, in an element or an attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_texts_are_split_at_links() {
        let text = "As in [Yeom & al.](https://arxiv.org/abs/2605.22007), <τ>.";
        let plain = |text| Piece { text, address: None };
        let link = Piece { text: "Yeom & al.", address: Some("https://arxiv.org/abs/2605.22007") };
        assert_eq!(pieces(text), [plain("As in "), link, plain(", <τ>.")]);
    }

    #[test]
    fn whatever_the_template_is_given_is_escaped() {
        let page = Report::default().with_note("<b>'\"& [x](y)").html();
        assert!(page.contains("<strong>&lt;b&gt;&#39;&quot;&amp; [x](y)</strong>"), "{page}");
    }
}
