//! The questions of a file, whatever its format.

use std::{
    collections::HashMap,
    fs::File,
    hash::{BuildHasher as _, RandomState},
    io::{BufReader, Read, Seek as _},
    path::Path,
};

use super::{
    Layout, Question, QuestionProblem, UnfitQuestion, columns, json,
    nest::{Place, expand},
    read::{Found, read},
    row::Row,
    table::Table,
    text::Text,
};
use crate::{Error, Result};

/// So much of a file shows its format.
const START: usize = 1 << 16;

/// First bytes of files that are decompressed first.
const COMPRESSED: [(&[u8], &str); 5] = [
    (&[0x1F, 0x8B], "gunzip"),
    (&[0x28, 0xB5, 0x2F, 0xFD], "unzstd"),
    (b"BZh", "bunzip2"),
    (&[0xFD, b'7', b'z', b'X', b'Z', 0], "unxz"),
    (b"PK\x03\x04", "unzip"),
];

/// First bytes of other files that are not read, what they are, and what to write instead.
const KINDS: [(&[u8], &str, &str); 3] = [
    (b"ARROW1", "an Arrow file", "Parquet or JSON lines"),
    (&[0xFF, 0xFF, 0xFF, 0xFF], "an Arrow stream", "Parquet or JSON lines"),
    (&[0xFF, 0xFE, 0, 0], "text in UTF-32", "text in UTF-8"),
];

/// The questions of a file, and what was left out of it.
///
/// The format is recognised by the content of the file, whatever its name:
///
/// | format | rows |
/// | --- | --- |
/// | JSON | objects one after another, by lines or not; or in arrays; or, by columns, one object of lists |
/// | CSV, TSV | a header, and then a row a line; separated by commas, tabs or semicolons; lists are in JSON, or as Python or NumPy print them |
/// | Parquet | uncompressed, or by Snappy, Zstandard or gzip |
/// | the viewer of the Hugging Face Hub | `{"rows": [{"row": {…}, "truncated_cells": []}, …]}` |
/// | samples of lm-evaluation-harness | `{"doc_id", "doc": {…}, …}`; the doc is a row of one of the layouts |
///
/// Text is UTF-8 or, with a byte order mark or without, UTF-16. [`Layout`] has the fields of rows.
/// Numbers, as ids or answers, are read as they are written. A question without an id has its
/// number in the file.
///
/// Memory is used for the questions, and for one record at a time: of a file that is one object,
/// such as TriviaQA's, for all of it.
///
/// ```
/// use commitment_probe::{Layout, Questions};
///
/// let file = "problem,answer\nWho wrote Emma?,Jane Austen\nWho wrote Emma?,Jane Austen\n";
/// let questions = Questions::parse(file.as_bytes())?;
/// assert_eq!(questions.questions[0].answers(), ["Jane Austen"]);
/// assert_eq!((questions.layout, questions.duplicates), (Some(Layout::SimpleQa), 1));
/// # Ok::<(), commitment_probe::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Questions {
    /// The questions, in the order of the file; each has an id of its own.
    pub questions: Vec<Question>,
    /// How many rows are left out because an earlier one is the same.
    pub duplicates: usize,
    /// How many rows are left out because they have no answer, as their layout allows: no short
    /// answer in Natural Questions, what is impossible to answer in SQuAD, and what is to be tested
    /// on in TriviaQA, if other rows have answers.
    pub unanswered: usize,
    /// The layout of the first row; none if there is no row.
    pub layout: Option<Layout>,
}

impl Questions {
    /// Reads the questions of a file.
    ///
    /// # Errors
    ///
    /// [`Error::QuestionFile`] with the path, and the number of the offending question: also if the
    /// file is of a split without labels, or of another layout than those of [`Layout`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let in_file = |problem| Error::QuestionFile { path: Some(path.to_owned()), problem };
        Self::of_file(path).map_err(in_file)
    }

    /// Reads the questions of a file that is in memory.
    ///
    /// # Errors
    ///
    /// Those of [`load`](Self::load), without a path.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let questions = match bytes {
            [start @ .., _] if start.starts_with(columns::MAGIC) => {
                collect(|sink| columns::read_bytes(bytes, sink))
            }
            bytes => {
                let start = bytes.get(..START).unwrap_or(bytes);
                check_kind(start).and_then(|()| collect(|sink| of_text(bytes, start, sink)))
            }
        };
        questions.map_err(|problem| Error::QuestionFile { path: None, problem })
    }

    fn of_file(path: &Path) -> Result<Self, QuestionProblem> {
        let mut file = File::open(path)?;
        let mut start = Vec::new();
        file.by_ref().take(START as u64).read_to_end(&mut start)?;
        check_kind(&start)?;
        if start.starts_with(columns::MAGIC) {
            file.rewind()?;
            return collect(|sink| columns::read_file(file, sink));
        }
        collect(|sink| of_text(start.as_slice().chain(file), &start, sink))
    }
}

/// Where rows go.
type Sink<'a> = &'a mut dyn FnMut(Row, Place) -> Result<(), QuestionProblem>;

fn check_kind(start: &[u8]) -> Result<(), QuestionProblem> {
    if let Some((_, program)) = COMPRESSED.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Err(QuestionProblem::Compressed { program });
    }
    match KINDS.iter().find(|(magic, ..)| start.starts_with(magic)) {
        Some((_, kind, instead)) => Err(QuestionProblem::Kind { kind, instead }),
        None => Ok(()),
    }
}

/// Reads JSON or a table.
fn of_text(reader: impl Read, start: &[u8], sink: Sink) -> Result<(), QuestionProblem> {
    let mut text = Text::new(reader, start);
    let mut first = Vec::new();
    // What cannot be read is told again when all is read.
    let _ = text.by_ref().take(START as u64).read_to_end(&mut first);
    let seen = String::from_utf8_lossy(&first);
    let is_json = seen.trim_start().starts_with(['{', '[']);
    let table = if is_json { None } else { Table::of(&seen) };
    let all = BufReader::new(first.as_slice().chain(text));
    match table {
        Some(table) => table.read(all, sink),
        None if is_json || seen.trim().is_empty() => json::read(all, sink),
        None => Err(QuestionProblem::Question {
            question: "1".to_owned(),
            problem: UnfitQuestion::unknown_layout(seen.lines().take(1)),
        }),
    }
}

fn collect(
    rows: impl FnOnce(Sink) -> Result<(), QuestionProblem>,
) -> Result<Questions, QuestionProblem> {
    let mut list = List::default();
    rows(&mut |row, place| expand(row, place, &mut |row, place| list.add(&row, &place)))?;
    match list.unlabelled {
        Some(problem) if list.found.questions.is_empty() => Err(problem),
        _ => Ok(list.found),
    }
}

/// A list of questions that grows.
#[derive(Default)]
struct List {
    found: Questions,
    /// The rows so far.
    rows: usize,
    /// The place of each id.
    ids: HashMap<String, usize>,
    /// The places of questions without an id of their own, by the hash of the rest.
    without_id: HashMap<u64, Vec<usize>>,
    hasher: RandomState,
    /// The first question whose field for the answer is missing.
    unlabelled: Option<QuestionProblem>,
}

impl List {
    fn add(&mut self, row: &Row, place: &Place) -> Result<(), QuestionProblem> {
        let wrong = |problem| place.wrong(problem);
        self.rows += 1;
        let (layout, found) = read(row, place, self.rows).map_err(wrong)?;
        self.found.layout.get_or_insert(layout);
        match found {
            Found::Question(question, is_numbered) => {
                let question = Question::try_from(question).map_err(wrong)?;
                self.push(question, is_numbered).map_err(wrong)?;
            }
            Found::Unanswered => self.found.unanswered += 1,
            Found::Unlabelled(problem) => {
                self.found.unanswered += 1;
                self.unlabelled.get_or_insert_with(|| wrong(problem));
            }
        }
        Ok(())
    }

    fn push(&mut self, question: Question, is_numbered: bool) -> Result<(), UnfitQuestion> {
        let questions = &mut self.found.questions;
        let is_same = |&place: &usize| {
            questions.get(place).is_some_and(|other| other.content() == question.content())
        };
        let hash = self.hasher.hash_one(question.content());
        let alike = self.without_id.get(&hash).into_iter().flatten();
        if is_numbered && alike.copied().any(|place| is_same(&place)) {
            self.found.duplicates += 1;
            return Ok(());
        }
        match self.ids.get(&question.id) {
            Some(place) if is_same(place) => {
                self.found.duplicates += 1;
                return Ok(());
            }
            Some(_) => return Err(UnfitQuestion::TakenId { id: question.id }),
            None => {}
        }
        if is_numbered {
            self.without_id.entry(hash).or_default().push(questions.len());
        }
        self.ids.insert(question.id.clone(), questions.len());
        questions.push(question);
        Ok(())
    }
}
