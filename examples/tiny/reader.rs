//! The trained model, as anyone would load it: candle-transformers' own Llama.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, ops::softmax_last_dim};
use candle_transformers::models::llama::{Cache, Config, Llama, LlamaConfig};

use crate::vocabulary::Vocabulary;

/// No answer of the corpus is longer.
const MAX_ANSWER: usize = 24;

pub struct Reader {
    model: Llama,
    config: Config,
    pub vocabulary: Vocabulary,
}

impl Reader {
    /// Loads the model that `dir` holds.
    pub fn load(dir: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = dir.join(name);
            fs::read(&path).with_context(|| format!("reading {}", path.display()))
        };
        let config: LlamaConfig = serde_json::from_slice(&read("config.json")?)?;
        let config = config.into_config(false);
        let weights = read("model.safetensors")?;
        let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)?;
        Ok(Self {
            model: Llama::load(weights, &config)?,
            config,
            vocabulary: Vocabulary::load(&dir.join("tokenizer.json"))?,
        })
    }

    /// The probability of every token to come after `tokens`.
    pub fn next(&self, tokens: &[u32]) -> Result<Vec<f32>> {
        let mut cache = Cache::new(false, DType::F32, &self.config, &Device::Cpu)?;
        let input = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        let logits = self.model.forward(&input, 0, &mut cache)?;
        Ok(softmax_last_dim(&logits)?.squeeze(0)?.to_vec1()?)
    }

    /// The answer to `prompt` that begins with the token `first` and goes on greedily.
    pub fn answer(&self, prompt: &[u32], first: u32) -> Result<String> {
        let mut tokens = [prompt, &[first]].concat();
        while tokens.len() < prompt.len() + MAX_ANSWER {
            let next = argmax(&self.next(&tokens)?);
            if next == self.vocabulary.end {
                break;
            }
            tokens.push(next);
        }
        self.vocabulary.decode_answer(&tokens[prompt.len()..])
    }

    /// The probability that `form`, and nothing more, is the answer to `prompt`.
    pub fn probability(&self, prompt: &[u32], form: &str) -> Result<f32> {
        let mut tokens = prompt.to_vec();
        let mut probability = 1.0;
        let answer = self.vocabulary.encode_answer(form)?;
        for token in answer.into_iter().chain([self.vocabulary.end]) {
            probability *= self.next(&tokens)?[token as usize];
            tokens.push(token);
        }
        Ok(probability)
    }
}

/// The likeliest token; of equals, the first.
pub fn argmax(probabilities: &[f32]) -> u32 {
    let best = (0..probabilities.len()).rev();
    let best = best.max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
    best.unwrap_or(0) as u32
}
