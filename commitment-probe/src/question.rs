use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use concept_mass::source::is_blank;
use serde::{Deserialize, Serialize};

use crate::{Error, QuestionProblem, Result, UnfitQuestion};

/// The first two bytes of a compressed file, as Natural Questions is published.
const GZIP: [u8; 2] = [0x1F, 0x8B];

/// A question, and how its answer may be spelt.
///
/// Whatever it is made from, it has a text and at least one acceptable form of the answer.
///
/// ```
/// use commitment_probe::Question;
///
/// let line = r#"{"id": "capital", "question": "Capital of the UK?", "answers": ["London"]}"#;
/// let question = &Question::parse(line)?[0];
/// assert_eq!(question.answers(), ["London"]);
/// # Ok::<(), commitment_probe::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Question {
    id: String,
    question: String,
    answers: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    others: BTreeMap<String, Vec<String>>,
}

/// The fields of a question, whatever they hold.
#[derive(Deserialize)]
struct Unchecked {
    id: String,
    question: String,
    answers: Vec<String>,
    #[serde(default)]
    others: BTreeMap<String, Vec<String>>,
}

impl TryFrom<Unchecked> for Question {
    type Error = UnfitQuestion;

    fn try_from(
        Unchecked { id, question, answers, others }: Unchecked,
    ) -> Result<Self, UnfitQuestion> {
        Self::new(id, question, answers, others)
    }
}

impl Question {
    /// A question with the acceptable forms of its answer, the usual one first, and what else may
    /// be answered, by name, with the forms of each.
    ///
    /// White space around the question is removed; forms are put on one line, and duplicates and
    /// those without a visible character are dropped.
    ///
    /// # Errors
    ///
    /// [`UnfitQuestion`] if nothing is left of the question, of its answers, or of the forms of one
    /// of its others; or if its answer is among its others.
    ///
    /// ```
    /// use commitment_probe::{Question, UnfitQuestion};
    ///
    /// let who = |answers: &[&str]| {
    ///     let answers = answers.iter().map(|form| form.to_string()).collect();
    ///     Question::new("who", "Who wrote The Wealth of Nations?", answers, Default::default())
    /// };
    /// assert_eq!(who(&["Adam Smith", "Smith"])?.right(), "Adam Smith");
    /// assert_eq!(who(&[" "]), Err(UnfitQuestion::NoAnswers));
    /// # Ok::<(), UnfitQuestion>(())
    /// ```
    pub fn new(
        id: impl Into<String>,
        question: impl Into<String>,
        answers: Vec<String>,
        others: BTreeMap<String, Vec<String>>,
    ) -> Result<Self, UnfitQuestion> {
        let question = question.into().trim().to_owned();
        if is_blank(&question) {
            return Err(UnfitQuestion::NoText);
        }
        let answers = forms(answers);
        let right = answers.first().ok_or(UnfitQuestion::NoAnswers)?;
        if others.contains_key(right) {
            return Err(UnfitQuestion::AnswerAmongOthers { name: right.clone() });
        }
        let of_name = |(name, of_name)| match forms(of_name) {
            none if none.is_empty() => Err(UnfitQuestion::NoForms { name }),
            forms => Ok((name, forms)),
        };
        let others = others.into_iter().map(of_name).collect::<Result<_, _>>()?;
        Ok(Self { id: id.into(), question, answers, others })
    }

    /// Its name; unique in a list.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The text of the question; not blank.
    pub fn text(&self) -> &str {
        &self.question
    }

    /// The acceptable forms of the answer, the usual one first; at least one, each on one line, and
    /// none blank.
    pub fn answers(&self) -> &[String] {
        &self.answers
    }

    /// What else may be answered, by name, and the forms of each, of which there is at least one;
    /// may be empty.
    pub fn others(&self) -> &BTreeMap<String, Vec<String>> {
        &self.others
    }

    /// Reads the questions of a file.
    ///
    /// The file is one of these, recognised by its fields:
    ///
    /// | layout | a question |
    /// | --- | --- |
    /// | our own, JSONL | `{"id", "question", "answers": [forms…], "others": {name: [forms…], …}}`; `others` may be missing |
    /// | TriviaQA, as published | an entry of `{"Data": [{"QuestionId", "Question", "Answer": {"Value", "Aliases"}}, …]}` |
    /// | TriviaQA, JSONL | `{"question_id", "question", "answer": {"value", "aliases"}}` |
    /// | Natural Questions, open, JSONL | `{"question", "answer": [forms…]}`; its id is its number |
    /// | Natural Questions, as published, JSONL | `{"example_id", "question_text", "document_text" or "document_tokens", "annotations"}`; those without a short answer are skipped |
    ///
    /// # Errors
    ///
    /// [`Error::QuestionFile`] with the path, and the number of the offending question.
    pub fn load(path: impl AsRef<Path>) -> Result<Vec<Self>> {
        let path = path.as_ref();
        let in_file = |problem| Error::QuestionFile { path: Some(path.to_owned()), problem };
        let file = File::open(path).map_err(|e| in_file(e.into()))?;
        read(BufReader::new(file)).map_err(in_file)
    }

    /// Reads questions in any of the layouts of [`load`](Self::load).
    ///
    /// # Errors
    ///
    /// [`Error::QuestionFile`] without a path.
    pub fn parse(text: &str) -> Result<Vec<Self>> {
        read(text.as_bytes()).map_err(|problem| Error::QuestionFile { path: None, problem })
    }

    /// The name of the right concept: the usual form of the answer.
    pub fn right(&self) -> &str {
        // There is always a first: `new` refuses a question without answers.
        self.answers.first().map_or("", String::as_str)
    }

    /// All that may be answered, by name, and the forms of each; the right concept first.
    pub(super) fn concepts(&self) -> impl Iterator<Item = (&str, &[String])> {
        let others = self.others.iter().map(|(name, forms)| (name.as_str(), forms.as_slice()));
        [(self.right(), self.answers.as_slice())].into_iter().chain(others)
    }
}

fn read(mut reader: impl Read) -> Result<Vec<Question>, QuestionProblem> {
    let mut magic = Vec::new();
    reader.by_ref().take(2).read_to_end(&mut magic)?;
    if magic == GZIP {
        return Err(QuestionProblem::Compressed);
    }
    let reader = magic.as_slice().chain(reader);
    let mut questions = Vec::new();
    let mut ids = HashSet::new();
    for (i, record) in serde_json::Deserializer::from_reader(reader).into_iter().enumerate() {
        let number = i + 1;
        let record: Record = record.map_err(|source| QuestionProblem::Record { number, source })?;
        for (question, place) in record.questions(number) {
            let in_question =
                |problem| QuestionProblem::Question { question: place.clone(), problem };
            let Some(question) = question.map_err(in_question)? else { continue };
            let question = Question::try_from(question).map_err(in_question)?;
            if !ids.insert(question.id.clone()) {
                return Err(in_question(UnfitQuestion::TakenId { id: question.id }));
            }
            questions.push(question);
        }
    }
    Ok(questions)
}

/// Each on one line, none blank, none twice.
fn forms(forms: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    let on_a_line = |form: &String| form.split_whitespace().collect::<Vec<_>>().join(" ");
    let forms = forms.iter().map(on_a_line).filter(|form| !is_blank(form));
    forms.filter(|form| seen.insert(form.clone())).collect()
}

/// A value of a file in any of the layouts: each has fields that no other has.
#[derive(Deserialize)]
struct Record {
    // Our own.
    id: Option<String>,
    answers: Option<Vec<String>>,
    #[serde(default)]
    others: BTreeMap<String, Vec<String>>,
    // Its question is also that of these.
    question: Option<String>,
    question_id: Option<String>,
    answer: Option<Answer>,
    // TriviaQA, as published.
    #[serde(rename = "Data")]
    data: Option<Vec<Trivia>>,
    // Natural Questions, as published.
    example_id: Option<serde_json::Number>,
    question_text: Option<String>,
    document_text: Option<String>,
    document_tokens: Option<Vec<DocumentToken>>,
    annotations: Option<Vec<Annotation>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Forms(Vec<String>),
    Aliases {
        value: String,
        #[serde(default)]
        aliases: Vec<String>,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Trivia {
    question: String,
    question_id: String,
    /// Missing from the test set.
    answer: Option<TriviaAnswer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TriviaAnswer {
    value: String,
    #[serde(default)]
    aliases: Vec<String>,
}

#[derive(Deserialize)]
struct DocumentToken {
    token: String,
}

#[derive(Deserialize)]
struct Annotation {
    #[serde(default)]
    short_answers: Vec<Span>,
}

#[derive(Deserialize)]
struct Span {
    start_token: usize,
    end_token: usize,
}

/// A question; none if the record has no answer to look for; or what is wrong with it.
type Found = Result<Option<Unchecked>, UnfitQuestion>;

impl Record {
    /// The questions, and how a person would find each in the file.
    fn questions(self, number: usize) -> Vec<(Found, String)> {
        let Some(data) = self.data else {
            return vec![(self.question(number), number.to_string())];
        };
        let entry = |(i, entry): (usize, Trivia)| (entry.read(), format!("{} of Data", i + 1));
        data.into_iter().enumerate().map(entry).collect()
    }

    fn question(self, number: usize) -> Found {
        let Self { id, question_id, others, .. } = self;
        let found = |id: String, question: String, answers: Vec<String>| {
            Ok(Some(Unchecked { id, question, answers, others }))
        };
        match (self.question, self.answers, self.answer, self.annotations) {
            (Some(question), Some(answers), ..) => {
                found(id.ok_or(missing("id"))?, question, answers)
            }
            (Some(question), _, Some(Answer::Forms(forms)), _) => {
                found(id.unwrap_or_else(|| number.to_string()), question, forms)
            }
            (Some(question), _, Some(Answer::Aliases { value, aliases }), _) => {
                let id = question_id.or(id).ok_or(missing("question_id"))?;
                found(id, question, [vec![value], aliases].concat())
            }
            (None, None, None, Some(annotations)) => {
                let words = words(self.document_text, self.document_tokens)
                    .ok_or(missing("document_text and no document_tokens"))?;
                let answers = short_answers(&words, &annotations)?;
                if answers.is_empty() {
                    return Ok(None);
                }
                let id = self.example_id.ok_or(missing("example_id"))?.to_string();
                found(id, self.question_text.ok_or(missing("question_text"))?, answers)
            }
            _ => Err(UnfitQuestion::UnknownLayout),
        }
    }
}

fn missing(field: &'static str) -> UnfitQuestion {
    UnfitQuestion::NoField { field }
}

impl Trivia {
    fn read(self) -> Found {
        let Self { question, question_id: id, answer } = self;
        let others = BTreeMap::new();
        Ok(answer.map(|TriviaAnswer { value, aliases }| {
            let answers = [vec![value], aliases].concat();
            Unchecked { id, question, answers, others }
        }))
    }
}

/// The words of a document, to which short answers point.
fn words(text: Option<String>, tokens: Option<Vec<DocumentToken>>) -> Option<Vec<String>> {
    let of_tokens = || Some(tokens?.into_iter().map(|token| token.token).collect());
    let of_text = |text: String| text.split(' ').map(str::to_owned).collect();
    text.map(of_text).or_else(of_tokens)
}

/// The short answers of all who annotated, without the tags of the page.
fn short_answers(
    words: &[String],
    annotations: &[Annotation],
) -> Result<Vec<String>, UnfitQuestion> {
    let mut answers = Vec::new();
    for span in annotations.iter().flat_map(|annotation| &annotation.short_answers) {
        let Span { start_token, end_token } = *span;
        let words = words.get(start_token..end_token).ok_or(UnfitQuestion::ShortAnswer {
            start: start_token,
            end: end_token,
            words: words.len(),
        })?;
        let is_tag = |word: &&String| word.starts_with('<') && word.ends_with('>');
        let text: Vec<_> = words.iter().filter(|word| !is_tag(word)).cloned().collect();
        answers.push(text.join(" "));
    }
    Ok(forms(answers))
}
