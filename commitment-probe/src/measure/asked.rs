//! What the measures of a later step ask the model, of all questions at once; an answer that is not
//! whole is an error.

use super::Prober;
use crate::model::{Continued, LanguageModel};
use crate::{Error, Result};

impl<M: LanguageModel> Prober<M> {
    /// `ln P` of tokens after sequences; the model is not asked if there are none.
    pub(super) fn named(
        &mut self,
        sequences: &[Vec<u32>],
        tokens: &[Vec<u32>],
    ) -> Result<Vec<Vec<f64>>> {
        if sequences.is_empty() {
            return Ok(Vec::new());
        }
        let read = self.model.named(sequences, tokens)?;
        let is_whole = |(read, tokens): (&Vec<f64>, &Vec<u32>)| read.len() == tokens.len();
        if read.len() != tokens.len() || !read.iter().zip(tokens).all(is_whole) {
            return Err(Error::ShortAnswer { asked: "named" });
        }
        Ok(read)
    }

    /// `ln P` of continuations; the model is not asked if there are none.
    pub(super) fn scores(&mut self, asked: &[Continued], ends: &[u32]) -> Result<Vec<Vec<f64>>> {
        if asked.iter().all(|asked| asked.continuations.is_empty()) {
            return Ok(asked.iter().map(|_| Vec::new()).collect());
        }
        let scores = self.model.score(asked, ends)?;
        let is_whole =
            |(scores, asked): (&Vec<f64>, &Continued)| scores.len() == asked.continuations.len();
        if scores.len() != asked.len() || !scores.iter().zip(asked).all(is_whole) {
            return Err(Error::ShortAnswer { asked: "score" });
        }
        Ok(scores)
    }
}
