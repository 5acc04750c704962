//! Questions, and the files that they are read from.
//!
//! ```text
//! bytes ─▶ text ─▶ json, table ─┐
//! bytes ─────────▶ columns ─────┴─▶ row ─▶ nest ─▶ read ─▶ Question ─▶ list
//! ```

mod columns;
mod error;
mod json;
mod layout;
mod list;
mod literal;
mod natural;
mod nest;
mod read;
mod row;
mod table;
mod text;
mod value;

use std::collections::{BTreeMap, HashSet};

use concept_mass::source::is_blank;
use serde::{Deserialize, Serialize};

pub use error::{QuestionProblem, UnfitQuestion};
pub use layout::Layout;
pub use list::Questions;

use crate::Result;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    normalised: Vec<String>,
}

/// The fields of a question, whatever they hold.
#[derive(Default, Deserialize)]
struct Unchecked {
    id: String,
    question: String,
    answers: Vec<String>,
    #[serde(default)]
    others: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    normalised: Vec<String>,
}

impl TryFrom<Unchecked> for Question {
    type Error = UnfitQuestion;

    fn try_from(unchecked: Unchecked) -> Result<Self, UnfitQuestion> {
        let Unchecked { id, question, answers, others, group, normalised } = unchecked;
        let question = Self::new(id, question, answers, others)?;
        Ok(question.with_group(group).with_normalised(normalised))
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
        let (group, normalised) = (None, Vec::new());
        Ok(Self { id: id.into(), question, answers, others, group, normalised })
    }

    /// The question in a group, such as those about one country or one entity, whose samples are
    /// not independent of each other.
    ///
    /// ```
    /// # use commitment_probe::Question;
    /// let question = Question::new("1", "Capital of Peru?", vec!["Lima".into()], [].into())?;
    /// assert_eq!(question.with_group(Some("Peru".into())).group(), Some("Peru"));
    /// # Ok::<(), commitment_probe::UnfitQuestion>(())
    /// ```
    #[must_use]
    pub fn with_group(self, group: Option<String>) -> Self {
        Self { group, ..self }
    }

    /// The question with forms of the answer that its data set gives as its own scorer normalises
    /// them; those that are blank, or there twice, are dropped.
    ///
    /// ```
    /// # use commitment_probe::Question;
    /// let question = Question::new("1", "Capital of Peru?", vec!["Lima!".into()], [].into())?;
    /// assert_eq!(question.with_normalised(vec!["lima".into()]).normalised(), ["lima"]);
    /// # Ok::<(), commitment_probe::UnfitQuestion>(())
    /// ```
    #[must_use]
    pub fn with_normalised(self, normalised: Vec<String>) -> Self {
        Self { normalised: forms(normalised), ..self }
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

    /// What it has in common with questions whose samples are not independent of its own.
    pub fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// Forms of the answer as the data set's own scorer normalises them, such as TriviaQA's
    /// `NormalizedValue` and `NormalizedAliases`: for that scorer alone. May be empty.
    pub fn normalised(&self) -> &[String] {
        &self.normalised
    }

    /// Reads the questions of a text, in any layout that [`Questions`] reads; rows that are there
    /// twice are dropped.
    ///
    /// # Errors
    ///
    /// [`Error::QuestionFile`](crate::Error::QuestionFile) without a path.
    pub fn parse(text: &str) -> Result<Vec<Self>> {
        Questions::parse(text.as_bytes()).map(|read| read.questions)
    }

    /// The name of the right concept: the usual form of the answer.
    pub fn right(&self) -> &str {
        // There is always a first: `new` refuses a question without answers.
        self.answers.first().map_or("", String::as_str)
    }

    /// All that may be answered, by name, and the forms of each; the right concept first.
    pub(crate) fn concepts(&self) -> impl Iterator<Item = (&str, &[String])> {
        let others = self.others.iter().map(|(name, forms)| (name.as_str(), forms.as_slice()));
        [(self.right(), self.answers.as_slice())].into_iter().chain(others)
    }

    /// All but its id.
    fn content(&self) -> impl PartialEq + std::hash::Hash {
        let Self { id: _, question, answers, others, group, normalised } = self;
        (question, answers, others, group, normalised)
    }
}

/// Each on one line, none blank, none twice.
fn forms(forms: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    let on_a_line = |form: &String| form.split_whitespace().collect::<Vec<_>>().join(" ");
    let forms = forms.iter().map(on_a_line).filter(|form| !is_blank(form));
    forms.filter(|form| seen.insert(form.clone())).collect()
}
