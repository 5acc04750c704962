//! Whole answers, decoded in lock step.

use candle_core::Tensor;

use super::{Prober, rows};
use crate::Result;
use crate::line::{before_spelt_break, first_line};
use concept_mass::phrase::NextLogits;

/// An answer.
pub(super) struct Said {
    /// Its tokens, without what ended it.
    pub tokens: Vec<u32>,
    /// The likeliest second token and the entropy there, unless the first one ended it.
    pub second: Option<(u32, f32)>,
}

impl<M: NextLogits> Prober<M> {
    /// The greedy answers that begin with `firsts`: each the place of a prompt, and a token. Prompts
    /// are equally long.
    pub(super) fn answers(
        &mut self,
        prompts: &[Vec<u32>],
        firsts: &[(usize, u32)],
    ) -> Result<Vec<Said>> {
        let begin = |&(i, token): &(usize, u32)| [&prompts[i][..], &[token]].concat();
        let begun = firsts.iter().map(begin).collect();
        let tokens = self.tokens.clone();
        let mut second = Vec::new();
        let said = self.complete(begun, prompts.first().map_or(0, Vec::len), |logits| {
            let rows = rows(&tokens, logits)?;
            if second.is_empty() {
                second = rows.iter().map(|row| (row.greedy, row.token_entropy)).collect();
            }
            Ok(rows.iter().map(|row| row.greedy).collect())
        })?;
        let goes_on = |i: usize| self.said(&[firsts[i].1]).is_none();
        let second = |i: usize| second.get(i).copied().filter(|_| goes_on(i));
        let said = said.into_iter().enumerate();
        Ok(said.map(|(i, tokens)| Said { tokens, second: second(i) }).collect())
    }

    /// Continues `sequences`, each a prompt of `prompt` tokens and one more, until all have ended or
    /// have reached the maximum length; `choose` chooses the next tokens by their logits `[N, V]`.
    /// Returns what follows the prompts, without the ends.
    pub(super) fn complete(
        &mut self,
        mut sequences: Vec<Vec<u32>>,
        prompt: usize,
        mut choose: impl FnMut(&Tensor) -> Result<Vec<u32>>,
    ) -> Result<Vec<Vec<u32>>> {
        let length = |of: &Self, sequence: &[u32]| Some(prompt + of.said(&sequence[prompt..])?);
        let mut lengths: Vec<_> = sequences.iter().map(|sequence| length(self, sequence)).collect();
        for _ in 1..self.options.max_tokens {
            if lengths.iter().all(Option::is_some) {
                break;
            }
            let logits = self.ask(&sequences)?;
            for (i, token) in choose(&logits)?.into_iter().enumerate() {
                // A sequence that has ended is padded with anything until all have.
                sequences[i].push(token);
                if lengths[i].is_none() {
                    lengths[i] = length(self, &sequences[i]);
                }
            }
        }
        let said = sequences.into_iter().zip(lengths).map(|(mut sequence, length)| {
            sequence.truncate(length.unwrap_or(usize::MAX));
            sequence.split_off(prompt)
        });
        Ok(said.collect())
    }

    /// How many of the tokens `said` are the answer, if it ends with the last of them.
    fn said(&self, said: &[u32]) -> Option<usize> {
        let (last, before) = said.split_last()?;
        if self.ends.binary_search(last).is_ok() {
            Some(before.len())
        } else if self.closing.binary_search(last).is_ok() {
            Some(said.len())
        } else {
            before_spelt_break(&self.vocabulary, said)
        }
    }

    /// The first line of an answer, without the white space around it.
    pub(super) fn text(&self, tokens: &[u32]) -> Result<String> {
        let text = self.vocabulary.decode(tokens)?;
        Ok(first_line(&text).to_owned())
    }
}
