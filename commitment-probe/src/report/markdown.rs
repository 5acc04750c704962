//! A report as Markdown, which is legible as plain text.

use super::{
    sections::{INTRODUCTION, NO_RUNS, NOTATION, TITLE, sections},
    table::{NOT_MEASURED, Table, Warning, one_line},
};
use crate::Report;

/// Text is wrapped at this many characters.
const WIDTH: usize = 100;

pub(super) fn page(report: &Report) -> String {
    let Report { note, runs, .. } = report;
    let mut page = format!("# {TITLE}\n\n{}\n", wrapped(INTRODUCTION));
    if let Some(note) = note {
        // On one line: what follows a line break may be a heading, or a table.
        page += &format!("\n{}\n", wrapped(&format!("**{}**", escape(&one_line(note)))));
    }
    if runs.is_empty() {
        return format!("{page}\n{NO_RUNS}\n");
    }
    page += &format!("\n{}\n", wrapped(NOTATION));
    for section in sections(report) {
        page += &format!("\n## {}\n", section.title);
        page += &warned(&section.warnings);
        for table in &section.tables {
            if section.tables.len() > 1 {
                page += &format!("\n### {}\n", table.title);
            }
            page += &format!("\n{}\n\n{}", wrapped(&table.text), aligned(table));
        }
    }
    page
}

/// The warnings as a list.
fn warned(warnings: &[Warning]) -> String {
    let item = |Warning { of, text }: &Warning| {
        wrapped(&format!("- **{}**: {}", escape(&one_line(of)), escape(&one_line(text)))) + "\n"
    };
    let list: String = warnings.iter().map(item).collect();
    if list.is_empty() { list } else { format!("\nWarnings:\n\n{list}") }
}

/// The table with columns of one width from top to bottom; numbers are at the right. The first
/// label of a group of rows is written once.
fn aligned(table: &Table) -> String {
    if table.rows.is_empty() {
        return format!("{NOT_MEASURED}\n");
    }
    let named = table.labels.len();
    let head = table.labels.iter().chain(&table.columns).map(|text| escape(text)).collect();
    let mut lines: Vec<Vec<String>> = vec![head];
    for group in table.groups() {
        for (place, row) in group.iter().enumerate() {
            let labels = row.labels.iter().enumerate().map(|(column, label)| {
                let repeated = named > 1 && column == 0 && place > 0;
                if repeated { String::new() } else { escape(label) }
            });
            lines.push(labels.chain(row.cells.iter().map(|c| escape(&c.to_string()))).collect());
        }
    }
    let mut widths = vec![3; lines.iter().map(Vec::len).max().unwrap_or(0)];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }

    let mut text = String::new();
    for (i, line) in lines.iter().enumerate() {
        for (column, (cell, &width)) in line.iter().zip(&widths).enumerate() {
            text += &if column < named {
                format!("| {cell:<width$} ")
            } else {
                format!("| {cell:>width$} ")
            };
        }
        text += "|\n";
        if i == 0 {
            for (column, width) in widths.iter().enumerate() {
                let end = if column < named { "-" } else { ":" };
                text += &format!("| {}{end} ", "-".repeat(width - 1));
            }
            text += "|\n";
        }
    }
    text
}

/// The text in lines of at most [`WIDTH`] characters, unless a word that would be markup at the
/// beginning of a line makes one longer.
fn wrapped(text: &str) -> String {
    let (mut lines, mut length) = (String::new(), 0);
    for word in text.split(' ') {
        let word_length = word.chars().count();
        let fits = length + 1 + word_length <= WIDTH || begins_block(word);
        lines += if lines.is_empty() {
            ""
        } else if fits {
            " "
        } else {
            "\n"
        };
        length = if fits { length + 1 } else { 0 } + word_length;
        lines += word;
    }
    lines
}

/// Whether a line that begins with this word may be a heading, a quotation, a rule or an item of a
/// list.
fn begins_block(word: &str) -> bool {
    let number = word.strip_suffix(['.', ')']);
    word.starts_with(['#', '>', '-', '+', '='])
        || number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A cell in which nothing is markup. An underscore within a word never is.
fn escape(cell: &str) -> String {
    let characters: Vec<_> = cell.chars().collect();
    let in_word = |place: usize| {
        let neighbour = |at: Option<usize>| at.and_then(|at| characters.get(at));
        [place.checked_sub(1), Some(place + 1)]
            .map(neighbour)
            .iter()
            .all(|c| c.is_some_and(|c| c.is_alphanumeric()))
    };
    let mut text = String::new();
    for (place, &character) in characters.iter().enumerate() {
        let markup = match character {
            '\\' | '|' | '*' | '`' | '~' | '&' => true,
            // "< 0.001" and "[.38, .56]" are not markup.
            '<' => characters.get(place + 1).is_some_and(|&next| next != ' '),
            '[' => cell.contains("](") || cell.contains("]["),
            '_' => !in_word(place),
            _ => false,
        };
        text.extend(markup.then_some('\\').into_iter().chain([character]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new("", "", &["Score"], &["Run", "of all"]);
        let cells = |texts: [&str; 2]| texts.map(|text| String::from(text).into()).into();
        table.row(&["entropy"], cells(["–", ".5"]));
        table.row(&["a|b"], cells([".47 [.38, .56]", "1"]));
        let expected = "\
| Score   |            Run | of all |
| ------- | -------------: | -----: |
| entropy |              – |     .5 |
| a\\|b    | .47 [.38, .56] |      1 |
";
        assert_eq!(aligned(&table), expected);
    }

    #[test]
    fn names_are_no_markup() {
        assert_eq!(escape("qwen2.5_7b"), "qwen2.5_7b");
        assert_eq!(escape("_a_ *b* <i> [x](y)"), r"\_a\_ \*b\* \<i> \[x](y)");
        assert_eq!([escape("< 0.001"), escape(".4 [.3, .5]")], ["< 0.001", ".4 [.3, .5]"]);
    }

    #[test]
    fn lines_are_wrapped_between_words() {
        let text = wrapped("word ".repeat(40).trim_end());
        assert!(text.lines().count() == 2 && text.lines().all(|line| line.len() <= WIDTH));
        assert_eq!(text.replace('\n', " "), "word ".repeat(40).trim_end());
    }

    #[test]
    fn no_line_begins_with_markup_once_it_is_wrapped() {
        for markup in ["#", "##", ">", "-", "+", "=", "---", "1.", "2)"] {
            for words in 0..WIDTH {
                let text = wrapped(&format!("{}{markup} x", "w ".repeat(words)));
                let begins = text.lines().skip(1).any(|line| line.starts_with(markup));
                assert!(!begins, "{markup} after {words}: {text}");
            }
        }
    }
}
