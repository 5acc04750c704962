//! The hidden states of a run.

use std::path::Path;

use anyhow::{Context, Result};
use candle_core::Tensor;
use commitment_probe::{
    Blocks, HiddenState, HiddenWriter, LanguageModel, Question, mean_embedding, read_states,
};

/// What is stored of each question, in the order of the questions.
pub struct Hidden {
    writer: HiddenWriter,
    blocks: Blocks,
    /// None of a question whose states are there.
    embeddings: Vec<Option<Vec<f32>>>,
}

impl Hidden {
    /// Goes on in the folder of a run of a model of `num_blocks` blocks, whose matrix is `embedding`.
    pub fn open<'a>(
        dir: &Path,
        num_blocks: usize,
        embedding: &Tensor,
        asked: impl Iterator<Item = (&'a Question, &'a [u32])>,
    ) -> Result<Self> {
        let blocks = Blocks::quarters(num_blocks);
        let writer = HiddenWriter::open(dir, blocks.clone())?;
        let embedding = |(question, tokens): (&Question, &[u32])| {
            let is_there = writer.has(question.id());
            if is_there { Ok(None) } else { mean_embedding(embedding, tokens).map(Some) }
        };
        let embeddings = asked.map(embedding).collect::<Result<_, _>>()?;
        Ok(Self { writer, blocks, embeddings })
    }

    /// Stores the states of these questions: `batch` has their places, of questions and prompts. Those
    /// that lack are read together with the others, as their last bits may depend on each other.
    pub fn add(
        &mut self,
        model: &mut impl LanguageModel,
        batch: &[usize],
        questions: &[Question],
        prompt: impl Fn(usize) -> Vec<u32>,
    ) -> Result<()> {
        if batch.iter().all(|&i| self.writer.has(questions[i].id())) {
            return Ok(());
        }
        let prompts: Vec<Vec<u32>> = batch.iter().map(|&i| prompt(i)).collect();
        let states = read_states(model, &prompts, &self.blocks)
            .context("cannot read the hidden states of a batch of questions")?;
        for (&i, states) in batch.iter().zip(states) {
            if let Some(embedding) = self.embeddings[i].take() {
                let state = HiddenState { states, embedding };
                self.writer.append(questions[i].id(), &state)?;
            }
        }
        Ok(())
    }

    /// All questions have their states.
    pub fn finish(self) -> Result<()> {
        Ok(self.writer.finish()?)
    }
}
