//! Answers sampled at a temperature.

use super::clusters::clusters;
use super::{Asked, Prober, seed};
use crate::Result;
use crate::model::{LanguageModel, Sampling};
use crate::sample::{Sampled, SampledAnswer};
use crate::stats;

impl<M: LanguageModel> Prober<M> {
    /// The sampled answers to a question, if any are asked for.
    pub(super) fn sampled(&mut self, asked: &Asked) -> Result<Option<Sampled>> {
        let (samples, temperature) = (self.options.samples, self.options.temperature);
        if samples == 0 {
            return Ok(None);
        }
        let (vocabulary, ending) = (&self.vocabulary, &self.ending);
        let is_over = |said: &[u32]| ending.of(vocabulary, said).is_some();
        let until = ending.until(self.options.max_tokens, &is_over);
        let seed = seed(self.options.seed, asked.question.id());
        let how = Sampling { samples, temperature, seed };
        let mut texts = Vec::new();
        for mut said in self.model.sample(asked.tokens, &how, &until)? {
            said.truncate(ending.of(vocabulary, &said).unwrap_or(usize::MAX));
            texts.push(ending.text(vocabulary, &said)?);
        }
        let judged = self.judge.is_some();
        let clusters = clusters(asked.question, &texts, self.judge.as_mut())?;
        let mut counts = vec![0; clusters.iter().max().map_or(0, |last| last + 1)];
        clusters.iter().for_each(|&cluster| counts[cluster] += 1);
        let mut answers = Vec::new();
        for (text, cluster) in texts.into_iter().zip(clusters) {
            let right = self.accepts(asked.question, &text)?;
            answers.push(SampledAnswer { text, right, cluster });
        }
        Ok(Some(Sampled { temperature, answers, entropy: stats::entropy(&counts), judged }))
    }
}
