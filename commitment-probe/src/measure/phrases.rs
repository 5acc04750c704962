//! The vote on whole answers: the known ones, and the model's own.

use std::collections::HashSet;

use super::known::can_begin;
use super::{Asked, Prober};
use concept_mass::{
    phrase::{NextLogits, PhraseTrie},
    source::Aliases,
};

use crate::Result;
use crate::answer::is_match;
use crate::sample::PhraseDecision;

/// Phrases that begin with a less likely token are not voted on: each of them has less than this.
const FLOOR: f64 = 1e-4;

impl<M: NextLogits> Prober<M> {
    /// What the model gives to whole answers: the forms of all concepts, with and without a full
    /// stop, and its own greedy answer. `probabilities` are those of the first token, `said` and
    /// `text` are the greedy answer.
    pub(super) fn phrases(
        &mut self,
        asked: &Asked,
        probabilities: &[f64],
        said: &[u32],
        text: &str,
    ) -> Result<PhraseDecision> {
        let question = asked.question;
        // An answer that ends at once is no phrase, and has the ends' probability.
        let ends = self.ends.iter().map(|&end| probabilities[end as usize]);
        let silence = if said.is_empty() { ends.sum() } else { 0.0 };
        let greedy = |mass: f64| PhraseDecision {
            mass,
            winner: said.is_empty().then(String::new),
            winner_mass: silence,
            right: is_match(text, &question.answers),
            answer: text.to_owned(),
        };
        let mut builder = PhraseTrie::builder(self.vocabulary.vocab_size());
        for (concept, phrase) in self.ballot(asked, probabilities, said, text)? {
            builder = builder.phrase(concept, phrase)?;
        }
        let Ok(trie) = builder.ends(self.ends.iter().copied())?.build() else {
            return Ok(greedy(0.0));
        };
        let phrases = trie.to_device(&self.device)?.with_max_batch(self.options.batch)?;
        let vote = phrases.vote(&mut self.model, asked.tokens)?;
        let right = trie.find(question.right()).map_or(0.0, |right| vote.mass(right));
        let winner = vote.winner().filter(|&winner| silence <= vote.mass(winner));
        let (Some(winner), Some(answer)) = (winner, vote.answer()) else {
            return Ok(greedy(right));
        };
        let answer = self.text(answer)?;
        Ok(PhraseDecision {
            mass: right,
            winner: trie.name(winner).map(str::to_owned),
            winner_mass: vote.mass(winner),
            right: is_match(&answer, &question.answers),
            answer,
        })
    }

    /// The concepts and phrases to vote on, no phrase twice; the right concept's first, so that it
    /// has what two concepts are said to mean.
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
        ballot.push((own.unwrap_or(text).to_owned(), said.to_vec()));

        let unknown = self.vocabulary.unknown();
        let mut seen = HashSet::new();
        ballot.retain(|(_, phrase)| {
            let likely = |&first: &u32| probabilities[first as usize] >= FLOOR;
            let sayable = |&token: &u32| !self.is_end(token) && Some(token) != unknown;
            phrase.first().is_some_and(likely)
                && phrase.len() <= self.options.max_tokens
                && phrase.iter().all(sayable)
                && seen.insert(phrase.clone())
        });
        Ok(ballot)
    }
}
