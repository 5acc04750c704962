//! Answers sampled at a temperature.

use super::clusters::clusters;
use super::{Asked, Case, Prober, seed};
use crate::model::{LanguageModel, Sampling};
use crate::sample::{Sampled, SampledAnswer};
use crate::{Error, Result, stats};

impl<M: LanguageModel> Prober<M> {
    /// The sampled answers to each question, if any are asked for.
    pub(super) fn sampled(&mut self, cases: &[Case]) -> Result<Vec<Option<Sampled>>> {
        let (samples, temperature) = (self.options.samples, self.options.temperature);
        if samples == 0 {
            return Ok(cases.iter().map(|_| None).collect());
        }
        let (vocabulary, ending) = (&self.vocabulary, &self.ending);
        let is_over = |said: &[u32]| ending.of(vocabulary, said).is_some();
        let until = ending.until(self.options.max_tokens, &is_over);
        let asked = cases.iter().map(|case| {
            let seed = seed(self.options.seed, case.asked.question.id());
            Sampling { prompt: case.asked.tokens, samples, temperature, seed }
        });
        let asked: Vec<Sampling> = asked.collect();
        let said = self.model.sample(&asked, &until)?;
        if said.len() != cases.len() {
            return Err(Error::ShortAnswer { asked: "sample" });
        }
        cases
            .iter()
            .zip(said)
            .map(|(case, said)| self.clustered(case.asked, said).map(Some))
            .collect()
    }

    /// Sampled answers, by what they mean.
    fn clustered(&mut self, asked: &Asked, said: Vec<Vec<u32>>) -> Result<Sampled> {
        let mut texts = Vec::new();
        for mut said in said {
            said.truncate(self.ending.of(&self.vocabulary, &said).unwrap_or(usize::MAX));
            texts.push(self.ending.text(&self.vocabulary, &said)?);
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
        let temperature = self.options.temperature;
        Ok(Sampled { temperature, answers, entropy: stats::entropy(&counts), judged })
    }
}
