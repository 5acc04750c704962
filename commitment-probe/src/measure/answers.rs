//! Whole answers, decoded in lock step.

use candle_core::Tensor;

use super::Prober;
use crate::Result;
use concept_mass::phrase::NextLogits;
use concept_mass::reduce::{BadRow, ReduceError, Row};

/// An answer.
pub(super) struct Said {
    /// Its tokens, without what ended it.
    pub tokens: Vec<u32>,
    /// The likeliest second token and the entropy there, unless the first one ended it.
    pub second: Option<(u32, f32)>,
}

impl<M: NextLogits> Prober<M> {
    /// The greedy answers that begin as `firsts` say: with the number of a prompt, all of which are
    /// equally long, and a token.
    pub(super) fn answers(
        &mut self,
        prompts: &[Vec<u32>],
        firsts: &[(usize, u32)],
    ) -> Result<Vec<Said>> {
        let begin = |&(i, token): &(usize, u32)| [&prompts[i][..], &[token]].concat();
        let begun = firsts.iter().map(begin).collect();
        let tokens = self.tokens.clone();
        let mut second = Vec::new();
        let said = self.complete(begun, prompts[0].len(), |logits| {
            let rows = tokens.reduce(logits)?.rows()?;
            let rows: Result<Vec<Row>, BadRow> = rows.into_iter().collect();
            let rows = rows.map_err(ReduceError::from)?;
            if second.is_empty() {
                second = rows.iter().map(|row| (row.greedy, row.token_entropy)).collect();
            }
            Ok(rows.iter().map(|row| row.representative).collect())
        })?;
        let second = |i: usize| second.get(i).copied().filter(|_| !self.is_end(firsts[i].1));
        let said = said.into_iter().enumerate();
        Ok(said.map(|(i, tokens)| Said { tokens, second: second(i) }).collect())
    }

    /// Goes on with `sequences`, each a prompt of `prompt` tokens and one more, all equally long,
    /// until all have ended or are as long as an answer may be; `choose` chooses the next tokens by
    /// their logits `[N, V]`. Gives what follows the prompts, without the ends.
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
        for length in prompt + 1..prompt + self.options.max_tokens {
            if lengths.iter().all(Option::is_some) {
                break;
            }
            let logits = self.ask(&sequences)?;
            for (i, token) in choose(&logits)?.into_iter().enumerate() {
                // One that has ended waits for the others, with anything.
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

    /// The text of an answer, without the white space about it.
    pub(super) fn text(&self, tokens: &[u32]) -> Result<String> {
        let text = self.vocabulary.decode(tokens)?;
        let line = text.trim_start().lines().next().unwrap_or_default();
        Ok(line.trim_end().to_owned())
    }
}
