//! Whole answers, decoded in lock step.

use candle_core::Tensor;

use super::{Prober, rows};
use crate::Result;
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
        let second = |i: usize| second.get(i).copied().filter(|_| !self.is_end(firsts[i].1));
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
        let mut lengths: Vec<Option<usize>> = sequences
            .iter()
            .map(|sequence| sequence.last().filter(|&&last| self.is_end(last)).map(|_| prompt))
            .collect();
        for length in prompt + 1..prompt.saturating_add(self.options.max_tokens) {
            if lengths.iter().all(Option::is_some) {
                break;
            }
            let logits = self.ask(&sequences)?;
            for (i, token) in choose(&logits)?.into_iter().enumerate() {
                // A sequence that has ended is padded with anything until all have.
                sequences[i].push(token);
                if lengths[i].is_none() && self.is_end(token) {
                    lengths[i] = Some(length);
                }
            }
        }
        let said = sequences.into_iter().zip(lengths).map(|(mut sequence, length)| {
            sequence.truncate(length.unwrap_or(usize::MAX));
            sequence.split_off(prompt)
        });
        Ok(said.collect())
    }

    /// Whether `token` ends an answer.
    pub(super) fn is_end(&self, token: u32) -> bool {
        self.ends.binary_search(&token).is_ok()
    }

    /// The first line of an answer, without the white space around it.
    pub(super) fn text(&self, tokens: &[u32]) -> Result<String> {
        let text = self.vocabulary.decode(tokens)?;
        let line = text.trim_start().lines().next().unwrap_or_default();
        Ok(line.trim_end().to_owned())
    }
}
