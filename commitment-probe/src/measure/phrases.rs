//! The vote on whole answers: the known ones, and the model's own.

use std::collections::{BTreeMap, HashSet};

use concept_mass::source::Aliases;

use super::forms::can_begin;
use super::{Case, Prober};
use crate::Result;
use crate::model::{Continued, LanguageModel};
use crate::sample::Decision;
use crate::scorer::is_match;

/// Phrases that begin with a less likely token are left out of the vote: they are less likely still.
const FLOOR: f64 = 1e-4;

/// A concept to vote on, by its place among the names.
struct Candidate {
    concept: usize,
    tokens: Vec<u32>,
    /// Whether it is one of the known forms, and not only the model's own answer.
    is_listed: bool,
    /// Of its tokens and an end.
    probability: f64,
}

/// What is voted on.
struct Ballot {
    /// The concepts, the right one first.
    names: Vec<String>,
    candidates: Vec<Candidate>,
}

impl<M: LanguageModel> Prober<M> {
    /// The probability that the whole answer is an acceptable form, and the vote on whole answers:
    /// the forms of all concepts, with and without a full stop, and the model's own greedy answer;
    /// of each question.
    pub(super) fn phrases(&mut self, cases: &[Case]) -> Result<Vec<(f64, Decision)>> {
        let ballots = cases.iter().map(|case| self.ballot(case)).collect::<Result<Vec<_>>>()?;
        let asked = cases.iter().zip(&ballots).map(|(case, ballot)| Continued {
            prompt: case.asked.tokens,
            continuations: ballot.candidates.iter().map(|of| of.tokens.clone()).collect(),
        });
        let asked: Vec<Continued> = asked.collect();
        // Each with any end after it.
        let scores = self.scores(&asked, &self.ending.phrase_ends.clone())?;
        let voted = cases.iter().zip(ballots).zip(scores).map(|((case, mut ballot), scores)| {
            for (candidate, ln) in ballot.candidates.iter_mut().zip(scores) {
                candidate.probability = ln.exp();
            }
            self.voted(case, ballot)
        });
        voted.collect()
    }

    fn voted(&mut self, case: &Case, ballot: Ballot) -> Result<(f64, Decision)> {
        let Case { asked, vote, said, .. } = case;
        let Ballot { names, candidates: ballot } = ballot;
        let mut masses = vec![0.0; names.len()];
        for candidate in &ballot {
            masses[candidate.concept] += candidate.probability;
        }
        // The right concept is the first; of equals, the first wins.
        let best = (0..masses.len()).rev().max_by(|&a, &b| masses[a].total_cmp(&masses[b]));
        // An answer that ends at once is no phrase, and has the ends' probability.
        let ends = self.ending.ends().iter().map(|&end| vote.probability(end));
        let silence = if said.tokens.is_empty() { ends.sum() } else { 0.0 };
        let winner = best.filter(|&best| masses[best] > 0.0 && silence <= masses[best]);
        let decision = match winner {
            Some(winner) => {
                let of = ballot.iter().filter(|candidate| candidate.concept == winner).rev();
                let likeliest = of.max_by(|a, b| a.probability.total_cmp(&b.probability));
                let tokens = likeliest.map_or(&[][..], |candidate| &candidate.tokens);
                let answer = self.ending.text(&self.vocabulary, tokens)?;
                Decision {
                    concept: Some(names[winner].clone()),
                    mass: masses[winner].min(1.0),
                    right: self.accepts(asked.question, &answer)?,
                    answer,
                    vote: None,
                }
            }
            None => Decision {
                concept: said.tokens.is_empty().then(String::new),
                mass: silence,
                right: self.accepts(asked.question, &said.text)?,
                answer: said.text.clone(),
                vote: None,
            },
        };
        // The model's own spelling is a form only where it is the greedy one: it would not be counted
        // of other answers.
        let listed =
            ballot.iter().filter(|candidate| candidate.concept == 0 && candidate.is_listed);
        let right: f64 = listed.map(|candidate| candidate.probability).sum();
        Ok((right.min(1.0), decision))
    }

    /// The names of the concepts and the phrases to vote on, no phrase twice; the right concept's
    /// first, so that a phrase of two concepts counts for it.
    fn ballot(&self, case: &Case) -> Result<Ballot> {
        let Case { asked, vote, said, .. } = case;
        let mut names = Vec::new();
        let mut phrases = Vec::new();
        let mut own = None;
        let mut listed = Aliases::new();
        for (name, forms) in asked.question.concepts() {
            if own.is_none() && is_match(&said.text, forms) {
                own = Some(names.len());
            }
            names.push(name.to_owned());
            let stopped = forms.iter().map(|form| format!("{form}."));
            listed = listed.concept(name, forms.iter().cloned().chain(stopped))?;
        }
        let places: BTreeMap<&str, usize> =
            names.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
        for (name, forms) in listed.after(&self.vocabulary, asked.prompt)?.iter() {
            let forms = forms.iter().filter(|form| can_begin(form));
            phrases.extend(forms.map(|form| (places[name], form.tokens.clone(), true)));
        }
        // What closes its line is the end of the phrase.
        let phrase = match said.tokens.split_last() {
            Some((last, phrase)) if self.ending.is_phrase_end(*last) => phrase,
            _ => &said.tokens,
        };
        phrases.push((own.unwrap_or(names.len()), phrase.to_vec(), false));
        if own.is_none() {
            names.push(said.text.clone());
        }

        let unknown = self.vocabulary.unknown();
        let mut seen = HashSet::new();
        phrases.retain(|(_, phrase, _)| {
            let likely = |&first: &u32| vote.probability(first) >= FLOOR;
            let sayable =
                |&token: &u32| !self.ending.is_phrase_end(token) && Some(token) != unknown;
            phrase.first().is_some_and(likely)
                && phrase.len() <= self.options.max_tokens
                && phrase.iter().all(sayable)
                && seen.insert(phrase.clone())
        });
        let candidate = |(concept, tokens, is_listed)| Candidate {
            concept,
            tokens,
            is_listed,
            probability: 0.0,
        };
        Ok(Ballot { names, candidates: phrases.into_iter().map(candidate).collect() })
    }
}
