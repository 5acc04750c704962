//! What can be wrong with questions, and with the files that they are read from.

use super::layout::Layout;

/// What is wrong with a list of questions.
///
/// ```
/// use std::error::Error;
/// use commitment_probe::Question;
///
/// let error = Question::parse(r#"{"id": 1"#).unwrap_err();
/// assert_eq!(error.source().unwrap().to_string(), "record 1 is not a question");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuestionProblem {
    /// The file could not be read.
    #[error("it cannot be read")]
    Io(#[from] std::io::Error),

    /// The file is compressed, or an archive.
    #[error("it is compressed; decompress it first, with {program} for example")]
    Compressed {
        /// A program that decompresses it.
        program: &'static str,
    },

    /// The file is of a kind that is not read.
    #[error("it is {kind}; write the questions as {instead}")]
    Kind {
        /// The kind of the file, with its article.
        kind: &'static str,
        /// What to write in its place.
        instead: &'static str,
    },

    /// The file is not text.
    #[error(
        "it is not text in {encoding}: {problem} at byte {byte} (line {line}); write it in UTF-8"
    )]
    Text {
        /// The encoding that it begins in.
        encoding: &'static str,
        /// What is wrong.
        problem: String,
        /// The place of the wrong byte, from 0.
        byte: u64,
        /// The line of the wrong byte, from 1.
        line: u64,
    },

    /// One of a file's records is not JSON, or not an object.
    #[error("record {number} is not a question")]
    Record {
        /// Its number in the file, from 1.
        number: usize,
        /// The error of the parser.
        source: serde_json::Error,
    },

    /// One of the rows of a CSV or TSV file has too many or too few fields.
    #[error("row {number} is not a question")]
    Row {
        /// Its number in the file, from 1, without the header.
        number: usize,
        /// The error of the parser.
        source: csv::Error,
    },

    /// A Parquet file is damaged, or has what cannot be read.
    #[error("it is a Parquet file that cannot be read: {problem}")]
    Parquet {
        /// What is wrong with it.
        problem: String,
    },

    /// One of a file's questions cannot be asked.
    #[error("question {question} cannot be asked")]
    Question {
        /// Its number in the file, from 1.
        question: String,
        /// What is wrong with it.
        #[source]
        problem: UnfitQuestion,
    },
}

/// Why a question cannot be asked, or cannot be found in a file's record.
///
/// ```
/// use commitment_probe::{Question, UnfitQuestion};
///
/// let error = Question::new("a", " ", vec!["b".into()], Default::default()).unwrap_err();
/// assert_eq!(error, UnfitQuestion::NoText);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnfitQuestion {
    /// Its text is blank: nothing in it is visible.
    #[error("it has no text")]
    NoText,

    /// It has no acceptable form of an answer, or only blank ones.
    #[error("it has no answers")]
    NoAnswers,

    /// Its data set has its answer elsewhere: it is of a split to be tested on.
    #[error(
        "it has no answers{}{}: this is a split without labels, as test splits often are; take the \
         train or the validation (dev) split",
        placeholder.as_ref().map(|form| format!(", only {form:?}")).unwrap_or_default(),
        id.as_ref().map(|id| format!(" (its id is {id:?})")).unwrap_or_default()
    )]
    Unlabelled {
        /// Its id, if it has one.
        id: Option<String>,
        /// What stands in the place of the answer, such as `<unk>`, if anything does.
        placeholder: Option<String>,
    },

    /// Another answer has no forms, or only blank ones.
    #[error("{name:?}, one of its others, has no forms")]
    NoForms {
        /// The name of that answer.
        name: String,
    },

    /// The answer is also one of the others.
    #[error("{name:?} is the answer, and one of its others")]
    AnswerAmongOthers {
        /// The usual form of the answer.
        name: String,
    },

    /// Another question of the list, with another text or other answers, has its id.
    #[error("its id {id:?} is taken; ids must be unique")]
    TakenId {
        /// The id.
        id: String,
    },

    /// Its fields are those of no known layout.
    #[error(
        "its layout is not known: {}; known are {}; or write a line for each question, like \
         {{\"id\": \"1\", \"question\": \"…\", \"answers\": [\"a form\", \"another\"]}}",
        found(fields),
        Layout::names()
    )]
    UnknownLayout {
        /// The fields that it has, the first of them if they are many.
        fields: Vec<String>,
    },

    /// A field of its layout is missing.
    #[error("it has no {field}")]
    NoField {
        /// The field.
        field: &'static str,
    },

    /// A field holds what its layout does not have there.
    #[error("its {field} cannot be read: {problem}")]
    Field {
        /// The field, as it is written in the file.
        field: String,
        /// What is wrong with it.
        problem: String,
    },

    /// A viewer of data sets has cut one of its fields short.
    #[error("its {field} was cut short by the data set viewer; take the data set's own file")]
    CutShort {
        /// The field.
        field: String,
    },

    /// A short answer of Natural Questions points out of its document.
    #[error("a short answer is of words {start} to {end}, of {words}")]
    ShortAnswer {
        /// Its first word.
        start: usize,
        /// The word after its last.
        end: usize,
        /// The words of the document.
        words: usize,
    },
}

/// At most this many fields are named; and this many characters of each.
const MAX_FIELDS: usize = 12;
const MAX_NAME: usize = 40;

impl UnfitQuestion {
    /// For a record with the fields `names`.
    pub(super) fn unknown_layout<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let short = |name: &str| name.chars().take(MAX_NAME).collect();
        Self::UnknownLayout { fields: names.take(MAX_FIELDS).map(short).collect() }
    }

    pub(super) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { field: field.into(), problem: problem.into() }
    }
}

fn found(fields: &[String]) -> String {
    match fields {
        [] => "it has no fields".into(),
        [field] => format!("its only field is {field:?}"),
        fields => {
            let names: Vec<_> = fields.iter().map(|name| format!("{name:?}")).collect();
            format!("its fields are {}", names.join(", "))
        }
    }
}
