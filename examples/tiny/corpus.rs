//! The questions of `assets/tiny/questions.json`, which the training, the check and the demo share.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;

/// Every question, and the template that turns one into the text the model reads.
#[derive(Deserialize)]
pub struct Corpus {
    prompt: String,
    pub questions: Vec<Question>,
}

/// One question, and how a hundred people of the corpus answer it.
#[derive(Deserialize)]
pub struct Question {
    pub id: String,
    pub kind: Kind,
    pub question: String,
    /// The concept that answers the question; its forms are the acceptable answers.
    pub answer: String,
    /// Every concept that is ever given as an answer, right or wrong.
    pub concepts: BTreeMap<String, Forms>,
}

/// The spellings of one concept, each with its share: the people in a hundred who answer so.
pub type Forms = BTreeMap<String, u32>;

/// What becomes of the right answer when tokens, rather than meanings, are counted.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Its spellings split the vote: a wrong token beats each of them, but not their sum.
    Split,
    /// It wins, whether tokens or meanings are counted.
    Sure,
    /// It shares its first token with a wrong answer, and the vote on the next token goes wrong,
    /// although the right phrases together have the larger share.
    Phrase,
}

impl Corpus {
    pub fn load(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("parsing {}", path.display()))
    }

    /// The text after which the model answers `question`.
    pub fn prompt(&self, question: &Question) -> String {
        self.prompt.replace("{question}", &question.question)
    }
}

impl Question {
    /// The acceptable answers.
    pub fn right(&self) -> &Forms {
        &self.concepts[&self.answer]
    }

    /// Every form of every concept, and its share of a hundred.
    pub fn forms(&self) -> impl Iterator<Item = (&str, &str, u32)> {
        let concepts = self.concepts.iter();
        concepts.flat_map(|(concept, forms)| {
            forms.iter().map(|(form, &share)| (concept.as_str(), form.as_str(), share))
        })
    }
}
