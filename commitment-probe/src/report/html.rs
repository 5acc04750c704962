//! A report as one page that fetches nothing.

use super::{
    numbers::{estimate, share, told},
    plot::key,
    plots::{Plots, look, plots},
    sections::{INTRODUCTION, NO_RUNS, NOTATION, TITLE, at_tau, questions, sections},
    table::{NOT_MEASURED, Section, Table, Topic, name},
};
use crate::{Report, Summary, stats::Estimate};

const STYLE: &str = include_str!("style.css");

pub(super) fn page(report: &Report) -> String {
    let Report { note, runs } = report;
    let note = note.as_ref().map_or(String::new(), |note| {
        format!("<p class=\"note\"><strong>{}</strong></p>\n", escape(note))
    });
    let sections = if runs.is_empty() { vec![] } else { sections(runs) };
    let contents = match &runs[..] {
        [] => paragraph(NO_RUNS),
        _ => cards(runs) + &paragraph(NOTATION) + &links(&sections),
    };
    let names: Vec<_> = runs.iter().enumerate().map(|(i, run)| name(i, run)).collect();
    let of = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
    let body: String = sections.iter().map(|section| section_of(section, runs)).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{TITLE}{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n\
         <h1>{TITLE}</h1>\n{}{note}{contents}</header>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escape(&of),
        paragraph(INTRODUCTION),
    )
}

/// The key figures of each run.
fn cards(runs: &[Summary]) -> String {
    let cards = runs.iter().enumerate().map(|(i, run)| {
        let rate = at_tau(run).and_then(|threshold| threshold.rate);
        let figures = [
            ("Hallucination rate", estimate(run.hallucination_rate)),
            ("Wrong-winner confidence", estimate(run.confidence.hallucinations)),
            ("Concentration, failures", estimate(run.concentration.failures)),
            ("Concentration, right answers", estimate(run.concentration.right)),
            ("Questions", questions(run)),
        ];
        let figures = figures.map(|(what, figure)| {
            format!("<div><dt>{what}</dt><dd>{}</dd></div>\n", cell(&figure))
        });
        format!(
            "<li>\n<p class=\"run\">{}{}</p>\n<p class=\"headline\"><strong>{}</strong> {}<br>of \
             hallucinations are commitment failures</p>\n<dl>\n{}</dl>\n</li>\n",
            key(look(i)),
            escape(&name(i, run)),
            told(rate, |rate| share(rate.value)),
            told_interval(rate),
            figures.concat(),
        )
    });
    format!("<ul class=\"cards\">\n{}</ul>\n", cards.collect::<String>())
}

fn told_interval(rate: Option<Estimate>) -> String {
    rate.map_or(String::new(), |rate| {
        format!("<span class=\"range\">[{}, {}]</span>", share(rate.low), share(rate.high))
    })
}

/// The table of contents.
fn links(sections: &[Section]) -> String {
    let link = |section: &Section| {
        format!("<li><a href=\"#{}\">{}</a></li>\n", anchor(section.topic), section.title)
    };
    let links: String = sections.iter().map(link).collect();
    format!("<nav aria-label=\"Contents\">\n<ol>\n{links}</ol>\n</nav>\n")
}

fn anchor(topic: Topic) -> &'static str {
    match topic {
        Topic::Overview => "overview",
        Topic::Thresholds => "thresholds",
        Topic::Concentration => "concentration",
        Topic::Confidence => "confidence",
        Topic::SecondToken => "second-token",
        Topic::Detectors => "detectors",
        Topic::Calibration => "calibration",
        Topic::Decoders => "decoders",
        Topic::Temperature => "temperature",
    }
}

/// The first table's definition, the pictures, the tables.
fn section_of(section: &Section, runs: &[Summary]) -> String {
    let (id, title) = (anchor(section.topic), section.title);
    let plots = plots(section.topic, runs);
    // A picture alone stands beside its table, where there is room for both.
    let beside = runs.len() <= 3 && plots.as_ref().is_some_and(|plots| plots.figures.len() == 1);
    let plots = plots.map_or(String::new(), |plots| plots_of(&plots));
    let mut tables = String::new();
    for (place, table) in section.tables.iter().enumerate() {
        tables += &if place > 0 { paragraph(&table.text) } else { String::new() };
        tables += &table_of(table);
    }
    let text = section.tables.first().map_or(String::new(), |table| paragraph(&table.text));
    format!(
        "<section id=\"{id}\" aria-labelledby=\"{id}-title\">\n<h2 id=\"{id}-title\">{title}</h2>\n\
         {text}<div class=\"{}\">\n{plots}<div class=\"tables\">\n{tables}</div>\n</div>\n</section>\n",
        if beside { "beside" } else { "above" },
    )
}

fn plots_of(plots: &Plots) -> String {
    let legend = plots
        .legend
        .iter()
        .map(|(look, text)| format!("<li>{}<span>{}</span></li>\n", key(*look), escape(text)));
    let figures = plots.figures.iter().map(|figure| {
        let (title, svg) = (escape(&figure.title), &figure.svg);
        format!("<figure>\n<figcaption>{title}</figcaption>\n{svg}\n</figure>\n")
    });
    format!(
        "<div class=\"plots\">\n<ul class=\"legend\" aria-label=\"Legend\">\n{}</ul>\n\
         <div class=\"figures\">\n{}</div>\n</div>\n",
        legend.collect::<String>(),
        figures.collect::<String>(),
    )
}

/// A table in a box in which it can be moved where it is wider than the page.
fn table_of(table: &Table) -> String {
    let title = escape(&table.title);
    if table.rows.is_empty() {
        return format!("<p class=\"nothing\"><b>{title}.</b> {NOT_MEASURED}</p>\n");
    }
    let head = table.head.iter().enumerate().map(|(column, text)| match text.is_empty() {
        true => "<td></td>".into(),
        false if column < table.labels => heading("col", " label", text),
        false => heading("col", "", text),
    });
    let head: String = head.collect();
    let mut groups: Vec<Vec<&[String]>> = Vec::new();
    for row in &table.rows {
        match groups.last_mut() {
            Some(group) if row[0].is_empty() => group.push(row),
            _ => groups.push(vec![row]),
        }
    }
    // Where rows have two labels, the first names a group of them.
    let groups =
        groups.iter().map(|rows| format!("<tbody>\n{}</tbody>\n", group(rows, table.labels)));
    let groups = groups.collect::<String>();
    let single = if table.labels > 1 { "" } else { " class=\"single\"" };
    let groups = if table.labels > 1 { groups } else { groups.replace("</tbody>\n<tbody>\n", "") };
    format!(
        "<div class=\"box\" role=\"region\" aria-label=\"{title}\" tabindex=\"0\">\n<table{single}>\n\
         <caption>{title}</caption>\n<thead>\n<tr>{head}</tr>\n</thead>\n{groups}</table>\n</div>\n"
    )
}

fn group(rows: &[&[String]], labels: usize) -> String {
    let mut text = String::new();
    for (place, row) in rows.iter().enumerate() {
        text += "<tr>";
        for (column, content) in row.iter().enumerate() {
            text += &match (column, place) {
                (0, 0) if labels > 1 => {
                    heading(&format!("rowgroup\" rowspan=\"{}", rows.len()), "", content)
                }
                (0, _) if labels > 1 => continue,
                _ if column < labels => heading("row", "", content),
                _ => format!("<td>{}</td>", cell(content)),
            };
        }
        text += "</tr>\n";
    }
    text
}

/// The name of rows or of a column, of a width that suits its length.
fn heading(scope: &str, class: &str, name: &str) -> String {
    let width = match name.chars().count() {
        ..14 => "short",
        14..32 => "",
        _ => "long",
    };
    let class = format!("{width}{class}");
    let class = match class.trim() {
        "" => String::new(),
        class => format!(" class=\"{class}\""),
    };
    format!("<th scope=\"{scope}\"{class}>{}</th>", escape(name))
}

/// A cell, with its interval set apart.
fn cell(text: &str) -> String {
    let interval = text.strip_suffix(']').and_then(|text| text.split_once(" ["));
    let number = |c: char| c.is_ascii_digit() || ".,- ".contains(c);
    match interval {
        Some((value, interval)) if interval.chars().all(number) => {
            format!("{} <span class=\"range\">[{interval}]</span>", escape(value))
        }
        _ => escape(text),
    }
}

/// A text of this crate's own, which may hold links.
fn paragraph(text: &str) -> String {
    let mut html = String::new();
    let mut rest = text;
    while let Some((before, label, address, after)) = link(rest) {
        let (before, label, address) = (escape(before), escape(label), escape(address));
        html += &format!("{before}<a href=\"{address}\">{label}</a>");
        rest = after;
    }
    format!("<p>{html}{}</p>\n", escape(rest))
}

/// What is before the first `[label](address)`, these two, and what is after.
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
    fn links_are_made_of_own_texts_only() {
        let text = "As in [Yeom & al.](https://arxiv.org/abs/2605.22007), <τ>.";
        let html = "<p>As in <a href=\"https://arxiv.org/abs/2605.22007\">Yeom &amp; al.</a>, \
            &lt;τ&gt;.</p>\n";
        assert_eq!(paragraph(text), html);
        assert_eq!(cell("[x](y)"), "[x](y)");
    }

    #[test]
    fn intervals_are_set_apart() {
        assert_eq!(cell(".47 [.38, .56]"), ".47 <span class=\"range\">[.38, .56]</span>");
        assert_eq!(cell("a name [.of a run]"), "a name [.of a run]");
        assert_eq!(cell("<b>'\"&"), "&lt;b&gt;&#39;&quot;&amp;");
    }
}
