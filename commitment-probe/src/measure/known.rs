use concept_mass::source::{Aliases, Beginning, FirstTokens, Form, Vocabulary};

use super::Asked;
use crate::Result;

/// What may be answered, as it follows the prompt.
pub(super) struct Known {
    /// The right concept, if any of its forms can begin an answer, first; then the others of which
    /// one can.
    pub firsts: FirstTokens,
    /// The tokens that begin the right concept, which may begin others as well.
    pub right: Vec<u32>,
    /// What cannot be measured.
    pub note: Option<String>,
}

impl Known {
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
        let note = unable
            .iter()
            .any(|name| name == question.right())
            .then(|| "no form of the answer can begin one after this prompt".to_owned());
        let right = match &note {
            Some(_) => Vec::new(),
            None => firsts.token_sets()?.tokens(0).unwrap_or_default().to_vec(),
        };
        Ok(Self { firsts, right, note })
    }

    /// Whether `first` and `second` are the beginning of a form of the right concept, or all of one
    /// and its end.
    pub fn is_prefix(&self, first: u32, second: u32, ends: &[u32]) -> bool {
        if self.note.is_some() {
            return false;
        }
        let is_of = |form: &&Form| match form.tokens[..] {
            [a, b, ..] => [a, b] == [first, second],
            [a] => a == first && ends.contains(&second),
            [] => false,
        };
        let right = self.firsts.iter().next();
        right.is_some_and(|(_, forms)| {
            forms.iter().filter(|form| can_begin(form)).any(|f| is_of(&f))
        })
    }
}

/// Whether a model can emit the form's first token after the prompt.
pub(super) fn can_begin(form: &Form) -> bool {
    matches!(form.beginning, Beginning::Follows | Beginning::Apart | Beginning::GivesWay)
}
