//! The decode loop: a plain one of candle's, but for who chooses the first token.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candle_transformers::generation::{LogitsProcessor, Sampling};
use concept_mass::{
    ConceptSampler,
    phrase::{CachedForward, CachedModel, DevicePhrases, NextLogits, PhraseVote},
    source::{Embedding, Vocabulary},
};

use concept_mass_models::{Loaded, Model};

use super::{question::Question, text::Text};

/// Of no consequence, as nothing here is drawn by lot.
const SEED: u64 = 0;

/// A model of the loader's, as the core wants it.
struct Cached(Model);

impl CachedForward for Cached {
    fn forward(&mut self, tokens: &Tensor, offset: usize) -> candle_core::Result<Tensor> {
        self.0.forward(tokens, offset)
    }

    fn reset(&mut self) {
        self.0.reset();
    }
}

pub struct Decoder {
    pub device: Device,
    model: CachedModel<Cached>,
    pub text: Text,
    /// The model's own, for concepts that are made of it.
    pub embedding: Embedding,
    positions: usize,
    ends: Vec<u32>,
    max_tokens: usize,
}

impl Decoder {
    /// Loads the model at `path` onto `device`, for answers of at most `max_tokens`.
    pub fn load(path: &Path, device: Device, max_tokens: usize) -> Result<Self> {
        // In the same dtype everywhere, that all devices may say the same.
        let Loaded { model, tokenizer, vocab_size, positions, ends, .. } =
            concept_mass_models::load(path, None, &device, Some(DType::F32))?;
        let embedding = Embedding::new(&model.embedding()?)?;
        let model = CachedModel::new(Cached(model), device.clone(), Some(positions));
        let vocabulary = Vocabulary::new(tokenizer, vocab_size)
            .with_context(|| format!("cannot use the tokenizer of {}", path.display()))?;
        let text = Text { vocabulary };
        Ok(Self { device, model, text, embedding, positions, ends, max_tokens })
    }

    /// The answer by counting tokens: candle's own sampler.
    pub fn by_tokens(&mut self, question: &Question) -> Result<String> {
        let mut sampler = LogitsProcessor::from_sampling(SEED, Sampling::ArgMax);
        self.by(question, |logits| Ok(sampler.sample(logits)?))
    }

    /// The answer by counting meanings: this crate's sampler in its place.
    pub fn by_meanings(&mut self, question: &Question) -> Result<String> {
        let map = question.map.clone();
        let mut sampler = ConceptSampler::from_sampling(SEED, concept_mass::Sampling::ArgMax, map)?;
        if let Some(pooling) = question.step {
            sampler = sampler.with_top_k_pooling(pooling, self.embedding.clone())?;
        }
        self.by(question, |logits| Ok(sampler.sample(logits)?))
    }

    /// Decodes an answer whose first token `choose` chooses.
    ///
    /// The others are the likeliest ones either way: the map tells how answers begin, and the same
    /// token within an answer may mean something else.
    fn by(
        &mut self,
        question: &Question,
        choose: impl FnOnce(&Tensor) -> Result<u32>,
    ) -> Result<String> {
        let mut greedy = LogitsProcessor::from_sampling(SEED, Sampling::ArgMax);
        let mut choose = Some(choose);
        self.answer(&question.tokens, &mut |logits| match choose.take() {
            Some(choose) => choose(logits),
            None => Ok(greedy.sample(logits)?),
        })
    }

    /// Decodes an answer all of whose tokens `choose` chooses, by the logits `[V]`.
    pub fn answer(
        &mut self,
        prompt: &[u32],
        choose: &mut dyn FnMut(&Tensor) -> Result<u32>,
    ) -> Result<String> {
        self.check(prompt)?;
        let mut sequence = prompt.to_vec();
        while sequence.len() < prompt.len() + self.max_tokens {
            let token = choose(&self.logits(&sequence)?)?;
            if self.ends.contains(&token) {
                break;
            }
            sequence.push(token);
        }
        self.text.answer(&sequence[prompt.len()..])
    }

    /// The logits `[V]` of an answer's first token.
    pub fn first_logits(&mut self, prompt: &[u32]) -> Result<Tensor> {
        self.check(prompt)?;
        self.logits(prompt)
    }

    /// The logits `[V]` of what follows `sequence`, of which the model reads what is new to it.
    fn logits(&mut self, sequence: &[u32]) -> Result<Tensor> {
        Ok(self.model.next_logits(&[sequence.to_vec()])?.squeeze(0)?)
    }

    /// Has the model vote on phrases.
    pub fn vote(&mut self, phrases: &DevicePhrases, prompt: &[u32]) -> Result<PhraseVote> {
        self.check(prompt)?;
        Ok(phrases.vote(&mut self.model, prompt)?)
    }

    /// The tokens that end an answer.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    fn check(&self, prompt: &[u32]) -> Result<()> {
        let (prompt, answer) = (prompt.len(), self.max_tokens);
        ensure!(prompt > 0, "the prompt is empty; give the text that the answer is to follow");
        ensure!(
            answer <= self.positions.saturating_sub(prompt),
            "the prompt has {prompt} tokens and the answer may have {answer}, but the model \
             reads no more than {}; shorten the prompt, or lower --max-tokens",
            self.positions
        );
        Ok(())
    }
}
