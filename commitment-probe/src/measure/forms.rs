//! What may be answered, as tokens that follow the prompt.

use std::collections::BTreeSet;

use concept_mass::source::{Aliases, Beginning, FirstTokens, Form, Vocabulary};

use super::Asked;
use crate::Result;

/// What may be answered, as it follows the prompt.
pub(super) struct Forms {
    /// The right concept, if any of its forms can begin an answer, first; then the others of which
    /// one can.
    pub firsts: FirstTokens,
    /// The tokens that begin the right concept, which may begin others as well; in ascending order.
    pub right: Vec<u32>,
    /// The right concept's forms as tokens, each once.
    pub sequences: BTreeSet<Vec<u32>>,
    /// The right concept's forms, in lower case.
    spelt: Vec<String>,
    /// What cannot be measured.
    pub note: Option<String>,
}

impl Forms {
    pub fn find(asked: &Asked, vocabulary: &Vocabulary) -> Result<Self> {
        let question = asked.question;
        let without = |unable: &[String]| -> Result<FirstTokens> {
            let concepts = question.concepts();
            let mut able = concepts.filter(|(name, _)| unable.iter().all(|unable| unable != name));
            let aliases = able.try_fold(Aliases::new(), |a, (name, forms)| a.concept(name, forms));
            Ok(aliases?.after(vocabulary, asked.prompt)?)
        };
        let mut firsts = without(&[])?;
        // A concept that cannot begin an answer would be an error of the map.
        let unable = firsts.iter().filter(|(_, forms)| forms.iter().all(|f| f.first().is_none()));
        let unable: Vec<String> = unable.map(|(name, _)| name.to_owned()).collect();
        if !unable.is_empty() {
            firsts = without(&unable)?;
        }
        let is_unable = unable.iter().any(|name| name == question.right());
        let note =
            is_unable.then(|| "no form of the answer can begin one after this prompt".to_owned());
        let (mut right, mut sequences) = (BTreeSet::new(), BTreeSet::new());
        if let (false, Some((_, forms))) = (is_unable, firsts.iter().next()) {
            for form in forms.iter().filter(|form| can_begin(form)) {
                right.extend(form.tokens.first());
                sequences.insert(form.tokens.clone());
            }
        }
        let spelt = question.answers().iter().map(|form| form.to_lowercase()).collect();
        Ok(Self { firsts, right: right.into_iter().collect(), sequences, spelt, note })
    }

    /// Whether these tokens are the beginning of a form of the right concept, or all of one.
    pub fn begin_with(&self, tokens: &[u32]) -> bool {
        self.sequences.iter().any(|form| form.starts_with(tokens))
    }

    /// Whether a token is the right concept's own: it begins a form, or is spelt like the beginning of
    /// one, which a tokenizer may cut in another way.
    pub fn owns(&self, token: u32, vocabulary: &Vocabulary) -> bool {
        let text = vocabulary.piece(token).text().unwrap_or_default();
        self.begins(token) || self.is_spelt_with(text)
    }

    /// Whether a form begins with this text, apart from case: with two letters or more.
    pub fn is_spelt_with(&self, text: &str) -> bool {
        let text = text.trim().to_lowercase();
        let letters = text.chars().filter(|c| c.is_alphabetic()).count();
        letters >= 2 && self.spelt.iter().any(|form| form.starts_with(&text))
    }

    /// Whether the right concept's forms begin with `token`.
    pub fn begins(&self, token: u32) -> bool {
        self.right.binary_search(&token).is_ok()
    }
}

/// Whether a model can emit the form's first token after the prompt.
pub(super) fn can_begin(form: &Form) -> bool {
    let is_placed =
        matches!(form.beginning, Beginning::Follows | Beginning::Apart | Beginning::GivesWay);
    is_placed && !form.tokens.is_empty()
}
