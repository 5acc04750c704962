//! Rows in rows: what data sets and tools wrap their questions in.

use super::{
    Layout, QuestionProblem, UnfitQuestion, read,
    row::Row,
    value::{MAX_DEPTH, Value},
};

/// Fields that hold lists of rows: of the viewer's answers and of TriviaQA, SQuAD and MRQA.
const LISTS: [&str; 4] = ["rows", "data", "paragraphs", "qas"];

/// One of these is in every row that holds a question.
const TEXTS: [&str; 4] = ["question", "problem", "input", "utterance"];

/// Where a row is, and what is known about it from there.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    /// How a person would find it in the file.
    pub text: String,
    /// The layout of all rows of this place.
    pub layout: Option<Layout>,
    /// The number that lm-evaluation-harness gave it.
    pub id: Option<String>,
    /// The fields that were cut short.
    pub cut: Vec<String>,
    /// How many rows it is in.
    pub depth: usize,
}

impl Place {
    /// A record of a file, by its number, from 1.
    pub(super) fn record(number: usize) -> Self {
        Self { text: number.to_string(), ..Self::default() }
    }

    fn item(&self, i: usize, list: &str) -> Self {
        let text = match self.depth {
            0 => format!("{} of {list}", i + 1),
            _ => format!("{} of {list} of {}", i + 1, self.text),
        };
        let layout = if list == "qas" { Some(Layout::Squad) } else { self.layout };
        Self { text, layout, depth: self.depth + 1, ..self.clone() }
    }

    /// An error in this place.
    pub(super) fn wrong(&self, problem: UnfitQuestion) -> QuestionProblem {
        QuestionProblem::Question { question: self.text.clone(), problem }
    }
}

/// Gives `sink` each row that is in no other row, in `row` or itself.
pub(super) fn expand(
    row: Row,
    place: Place,
    sink: &mut dyn FnMut(Row, Place) -> Result<(), QuestionProblem>,
) -> Result<(), QuestionProblem> {
    let wrong = |problem| place.wrong(problem);
    if place.depth > MAX_DEPTH {
        return Err(wrong(UnfitQuestion::unknown_layout(row.names())));
    }
    // The viewer's, which numbers rows; and a sample of lm-evaluation-harness.
    for (wrapper, marks) in [("row", ["rowidx", "truncatedcells"]), ("doc", ["docid", "arguments"])]
    {
        let is_wrapped = marks.iter().any(|mark| row.has(mark));
        let Some(inner) = row.row(wrapper).map_err(wrong)?.filter(|_| is_wrapped) else { continue };
        let mut inside = Place { depth: place.depth + 1, ..place.clone() };
        inside.id = row.text("docid").map_err(wrong)?.or(inside.id);
        if let Some(Value::List(cut)) = row.get("truncatedcells").map_err(wrong)? {
            inside.cut.extend(cut.into_iter().filter_map(|name| name.into_text().ok()));
        }
        return expand(inner, inside, sink);
    }
    if read::layout(&row).is_some() {
        return match columns(&row).map_err(wrong)? {
            Some(rows) => rows
                .into_iter()
                .enumerate()
                .try_for_each(|(i, row)| sink(row, place.item(i, "the columns"))),
            None => sink(row, place),
        };
    }
    for list in LISTS {
        let Some(rows) = row.rows(list).map_err(wrong)? else { continue };
        let list = row.written(list);
        for (i, inner) in rows.enumerate() {
            let place = place.item(i, list);
            expand(inner.map_err(|problem| place.wrong(problem))?, place, sink)?;
        }
        return Ok(());
    }
    // What MRQA's files begin with.
    if row.names().eq(["header"]) {
        return Ok(());
    }
    sink(row, place)
}

/// The rows of a data set that is written by columns: each field is a list, or an object whose
/// names are the rows' numbers, as pandas writes it. None if `row` is a row.
fn columns(row: &Row) -> Result<Option<Vec<Row>>, UnfitQuestion> {
    let Some(text) = TEXTS.into_iter().find(|name| row.is_nested(name)) else { return Ok(None) };
    let Some(texts) = row.get(text)?.filter(|value| value.field("text").is_none()) else {
        return Ok(None);
    };
    let length = items(texts).map_or(0, |items| items.len());
    let mut rows: Vec<Vec<(String, Value)>> = Vec::new();
    rows.resize_with(length, Vec::new);
    for name in row.names() {
        let Some(values) = row.get(&super::value::plain(name))?.and_then(items) else { continue };
        if values.len() != length {
            let problem = format!("it has {} rows, and {text} has {length}", values.len());
            return Err(UnfitQuestion::field(name, problem));
        }
        for (row, value) in rows.iter_mut().zip(values) {
            row.push((name.to_owned(), value));
        }
    }
    Ok(Some(rows.into_iter().map(Row::of).collect()))
}

fn items(column: Value) -> Option<Vec<Value>> {
    match column {
        Value::List(items) => Some(items),
        Value::Map(items) => Some(items.into_iter().map(|(_, item)| item).collect()),
        _ => None,
    }
}
