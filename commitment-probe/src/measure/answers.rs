//! Greedy answers.

use std::collections::{BTreeMap, BTreeSet};

use super::{Prober, first::FirstVote};
use crate::model::{LanguageModel, Start, Step};
use crate::sample::Sequence;
use crate::{Error, Result};

/// A greedy answer.
pub(super) struct Said {
    /// Its tokens, without what ended it.
    pub tokens: Vec<u32>,
    /// What it says.
    pub text: String,
    /// Whether it ended, and not only reached the maximum length.
    pub ended: bool,
    /// All steps, with the one that ended it.
    pub steps: Vec<Step>,
}

impl Said {
    pub fn sequence(&self) -> Sequence {
        let ln_probability = self.steps.iter().map(|step| step.ln_probability).sum();
        Sequence { ln_probability, tokens: self.steps.len() }
    }
}

/// By the prompt's place, and the token that the answer begins with.
pub(super) type Answers = BTreeMap<(usize, u32), Said>;

impl<M: LanguageModel> Prober<M> {
    /// The greedy answers that begin with the tokens that the decoders choose.
    pub(super) fn answers_to(
        &mut self,
        prompts: &[Vec<u32>],
        votes: &[FirstVote],
    ) -> Result<Answers> {
        let greedy: BTreeSet<_> = votes.iter().map(|vote| vote.step.token).enumerate().collect();
        let chosen = votes
            .iter()
            .enumerate()
            .flat_map(|(i, vote)| vote.choices.iter().map(move |(_, choice)| (i, choice.token())));
        let other: BTreeSet<_> = chosen.filter(|first| !greedy.contains(first)).collect();
        // First the greedy ones, which are asked for with the prompts that have just been read.
        let mut answers = self.answers(prompts, votes, &greedy)?;
        answers.extend(self.answers(prompts, votes, &other)?);
        Ok(answers)
    }

    fn answers(
        &mut self,
        prompts: &[Vec<u32>],
        votes: &[FirstVote],
        firsts: &BTreeSet<(usize, u32)>,
    ) -> Result<Answers> {
        let (vocabulary, ending) = (&self.vocabulary, &self.ending);
        let start = |&(i, token): &(usize, u32)| Start { prompt: &prompts[i], begun: vec![token] };
        let starts: Vec<Start> = firsts.iter().map(start).collect();
        let is_over = |said: &[u32]| ending.of(vocabulary, said).is_some();
        let until = ending.until(self.options.max_tokens, &is_over);
        let after = self.model.greedy(&starts, &until)?;
        if after.len() != starts.len() {
            return Err(Error::ShortAnswer { asked: "greedy" });
        }
        let said = firsts.iter().zip(after).map(|(&(i, token), after)| {
            let first = Step {
                token,
                ln_probability: votes[i].ln[token as usize],
                entropy: Some(votes[i].step.token_entropy),
            };
            Ok(((i, token), self.said([first].into_iter().chain(after).collect())?))
        });
        said.collect()
    }

    fn said(&self, steps: Vec<Step>) -> Result<Said> {
        let mut tokens: Vec<u32> = steps.iter().map(|step| step.token).collect();
        let length = self.ending.of(&self.vocabulary, &tokens);
        tokens.truncate(length.unwrap_or(usize::MAX));
        let text = self.ending.text(&self.vocabulary, &tokens)?;
        Ok(Said { text, tokens, ended: length.is_some(), steps })
    }
}
