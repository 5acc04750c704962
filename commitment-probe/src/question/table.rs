//! CSV and TSV, with a header; and DPR's, without.

use std::io::{self, Read};

use super::{
    Layout, QuestionProblem, UnfitQuestion, literal, nest::Place, read, row::Row, text::problem,
    value::Value,
};

/// What may stand between fields; of those that stand in a header equally often, the first.
const SEPARATORS: [u8; 3] = [b'\t', b',', b';'];

/// The columns of DPR's files, which do not name them.
const DPR: [&str; 2] = ["question", "answers"];

/// A table's separator, and whether its first line is already a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Table {
    separator: u8,
    has_header: bool,
}

impl Table {
    /// The table that `start`, the beginning of a file, shows; none if it is no table.
    pub(super) fn of(start: &str) -> Option<Self> {
        let firsts = SEPARATORS.map(|separator| (separator, first_line(start, separator)));
        let known = firsts.iter().find(|(_, names)| read::layout(&header(names)).is_some());
        if let Some(&(separator, _)) = known {
            return Some(Self { separator, has_header: true });
        }
        if let Some(&(separator, _)) = firsts.iter().find(|(_, first)| is_dpr(first)) {
            return Some(Self { separator, has_header: false });
        }
        let widest = firsts.into_iter().rev().max_by_key(|(_, names)| names.len());
        let (separator, _) = widest.filter(|(_, names)| names.len() > 1)?;
        Some(Self { separator, has_header: true })
    }

    /// Gives every row to `sink`; what is empty is null.
    pub(super) fn read(
        self,
        reader: impl Read,
        sink: &mut dyn FnMut(Row, Place) -> Result<(), QuestionProblem>,
    ) -> Result<(), QuestionProblem> {
        let Self { separator, has_header } = self;
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .has_headers(has_header)
            .from_reader(Last { reader, byte: 0 });
        let names = if has_header {
            reader.headers().map_err(|source| refused(0, source))?.clone()
        } else {
            csv::StringRecord::from(DPR.to_vec())
        };
        let header = header(&names);
        if read::layout(&header).is_none() {
            let problem = UnfitQuestion::unknown_layout(header.names());
            return Err(QuestionProblem::Question { question: "1".into(), problem });
        }
        let layout = (!has_header).then_some(Layout::Dpr);
        let mut record = csv::StringRecord::new();
        let mut open = None;
        for number in 1.. {
            let is_row = reader.read_record(&mut record);
            if !is_row.map_err(|source| refused(number, source))? {
                break;
            }
            // Only what is in quotation marks has a line break.
            let is_open = record.iter().next_back().is_some_and(|text| text.contains('\n'));
            open = is_open.then_some(number);
            let value = |text: &str| match text {
                "" => Value::Null,
                text => Value::Text(text.to_owned()),
            };
            let fields = header.names().map(str::to_owned).zip(record.iter().map(value));
            sink(Row::of(fields), Place { layout, ..Place::record(number) })?;
        }
        // Without the second mark, all that follows would be one answer.
        if let Some(number) = open.filter(|_| reader.get_ref().byte != b'"') {
            let name = names.iter().next_back().unwrap_or_default();
            let problem = UnfitQuestion::field(name, "no quotation mark ends it");
            return Err(Place::record(number).wrong(problem));
        }
        Ok(())
    }
}

/// A reader that knows the last byte that was read, other than white space.
struct Last<R> {
    reader: R,
    byte: u8,
}

impl<R: Read> Read for Last<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        let seen = buffer.get(..read).unwrap_or_default();
        self.byte = seen.trim_ascii_end().last().copied().unwrap_or(self.byte);
        Ok(read)
    }
}

/// A row of nothing but names.
fn header<'a>(names: impl IntoIterator<Item = &'a (impl AsRef<str> + ?Sized + 'a)>) -> Row {
    Row::of(names.into_iter().map(|name| (name.as_ref().trim().to_owned(), Value::Null)))
}

/// The fields of the first line of `start`.
fn first_line(start: &str, separator: u8) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.delimiter(separator).has_headers(false).from_reader(start.as_bytes());
    let mut record = csv::StringRecord::new();
    match reader.read_record(&mut record) {
        Ok(true) => record.iter().map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn is_dpr(first: &[String]) -> bool {
    let [_, answers] = first else { return false };
    matches!(literal::nested(answers), Some(Value::List(_)))
}

fn refused(number: usize, source: csv::Error) -> QuestionProblem {
    if !source.is_io_error() {
        return QuestionProblem::Row { number, source };
    }
    match source.into_kind() {
        csv::ErrorKind::Io(error) => problem(error),
        // It is one, as was asked.
        _ => QuestionProblem::Io(io::ErrorKind::Other.into()),
    }
}
