//! The vote on whole answers: the known ones, and the model's own.

use std::collections::HashSet;

use super::known::can_begin;
use super::{Asked, Prober};
use concept_mass::{
    phrase::{NextLogits, PhraseError, PhraseTrie},
    source::Aliases,
};

use crate::Result;
use crate::answer::is_match;
use crate::sample::Decision;

/// Phrases that begin with a less likely token are left out of the vote: they are less likely still.
const FLOOR: f64 = 1e-4;

impl<M: NextLogits> Prober<M> {
    /// The probability that the whole answer is an acceptable form, and the vote on whole answers:
    /// the forms of all concepts, with and without a full stop, and the model's own greedy answer.
    /// `probabilities` are those of the first token, `said` and `text` are the greedy answer.
    pub(super) fn phrases(
        &mut self,
        asked: &Asked,
        probabilities: &[f64],
        said: &[u32],
        text: &str,
    ) -> Result<(f64, Decision)> {
        let question = asked.question;
        // An answer that ends at once is no phrase, and has the ends' probability.
        let probability = |token: u32| probabilities.get(token as usize).copied().unwrap_or(0.0);
        let ends = self.ends.iter().map(|&end| probability(end));
        let silence = if said.is_empty() { ends.sum() } else { 0.0 };
        let greedy = || Decision {
            concept: said.is_empty().then(String::new),
            mass: silence,
            right: is_match(text, question.answers()),
            answer: text.to_owned(),
            vote: None,
        };
        let mut builder = PhraseTrie::builder(self.vocabulary.vocab_size());
        for (concept, phrase) in self.ballot(asked, probabilities, said, text)? {
            builder = builder.phrase(concept, phrase)?;
        }
        let trie = match builder.ends(self.phrase_ends.iter().copied())?.build() {
            Err(PhraseError::NoPhrases) => return Ok((0.0, greedy())),
            built => built?,
        };
        let phrases = trie.to_device(&self.device)?.with_max_batch(self.options.batch)?;
        let vote = phrases.vote(&mut self.model, asked.tokens)?;
        let right = trie.find(question.right()).map_or(0.0, |right| vote.mass(right));
        let winner = vote.winner().filter(|&winner| silence <= vote.mass(winner));
        let (Some(winner), Some(answer)) = (winner, vote.answer()) else {
            return Ok((right, greedy()));
        };
        let answer = self.text(answer)?;
        let decision = Decision {
            concept: trie.name(winner).map(str::to_owned),
            mass: vote.mass(winner),
            right: is_match(&answer, question.answers()),
            answer,
            vote: None,
        };
        Ok((right, decision))
    }

    /// The concepts and phrases to vote on, no phrase twice; the right concept's first, so that a
    /// phrase of two concepts counts for it.
    fn ballot(
        &self,
        asked: &Asked,
        probabilities: &[f64],
        said: &[u32],
        text: &str,
    ) -> Result<Vec<(String, Vec<u32>)>> {
        let mut ballot = Vec::new();
        let mut own = None;
        let mut listed = Aliases::new();
        for (name, forms) in asked.question.concepts() {
            if own.is_none() && is_match(text, forms) {
                own = Some(name);
            }
            let stopped = forms.iter().map(|form| format!("{form}."));
            listed = listed.concept(name, forms.iter().cloned().chain(stopped))?;
        }
        for (name, forms) in listed.after(&self.vocabulary, asked.prompt)?.iter() {
            let forms = forms.iter().filter(|form| can_begin(form));
            ballot.extend(forms.map(|form| (name.to_owned(), form.tokens.clone())));
        }
        let is_end = |token: &u32| self.phrase_ends.binary_search(token).is_ok();
        // What closes its line is the end of the phrase.
        let phrase = match said.split_last() {
            Some((last, phrase)) if is_end(last) => phrase,
            _ => said,
        };
        ballot.push((own.unwrap_or(text).to_owned(), phrase.to_vec()));

        let unknown = self.vocabulary.unknown();
        let mut seen = HashSet::new();
        ballot.retain(|(_, phrase)| {
            let likely =
                |&first: &u32| probabilities.get(first as usize).is_some_and(|&p| p >= FLOOR);
            let sayable = |token: &u32| !is_end(token) && Some(*token) != unknown;
            phrase.first().is_some_and(likely)
                && phrase.len() <= self.options.max_tokens
                && phrase.iter().all(sayable)
                && seen.insert(phrase.clone())
        });
        Ok(ballot)
    }
}
