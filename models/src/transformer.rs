//! The transformers of candle-transformers, each with its KV cache, behind one `forward`.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{
    llama::{Cache, Llama},
    qwen2, qwen3,
};

use super::config::Architecture;

/// A model of candle's; a copy shares the weights, and has a cache of its own.
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
#[derive(Clone)]
pub enum Model {
    /// Llama 2 and 3.
    Llama {
        /// The weights.
        model: Llama,
        /// What has been read.
        cache: Cache,
        /// What the cache is before the first token.
        blank: Cache,
    },
    /// Qwen2 and Qwen2.5.
    Qwen2(qwen2::ModelForCausalLM),
    /// Qwen3 without experts.
    Qwen3(qwen3::ModelForCausalLM),
}

impl Model {
    /// On the device and in the dtype of the weights, which must be those of the layout: where a
    /// block lacks a tensor, candle's Llama panics.
    pub fn new(architecture: &Architecture, weights: VarBuilder) -> Result<Self> {
        match architecture {
            Architecture::Llama(config) => {
                let blank = Cache::new(true, weights.dtype(), config, weights.device())?;
                let model = Llama::load(weights, config)?;
                Ok(Self::Llama { model, cache: blank.clone(), blank })
            }
            Architecture::Qwen2(config) => {
                Ok(Self::Qwen2(qwen2::ModelForCausalLM::new(config, weights)?))
            }
            Architecture::Qwen3(config) => {
                Ok(Self::Qwen3(qwen3::ModelForCausalLM::new(config, weights)?))
            }
        }
    }

    /// Reads `tokens`, `u32` `[N, T]`, which follow the `offset` tokens of each row that were read
    /// before, and gives the logits of what comes next: `[N, V]`, or `[N, 1, V]`.
    ///
    /// # Errors
    ///
    /// Those of candle.
    pub fn forward(&mut self, tokens: &Tensor, offset: usize) -> Result<Tensor> {
        match self {
            Self::Llama { model, cache, .. } => model.forward(tokens, offset, cache),
            Self::Qwen2(model) => model.forward(tokens, offset),
            Self::Qwen3(model) => model.forward(tokens, offset),
        }
    }

    /// Forgets all tokens.
    pub fn reset(&mut self) {
        match self {
            Self::Llama { cache, blank, .. } => *cache = blank.clone(),
            Self::Qwen2(model) => model.clear_kv_cache(),
            Self::Qwen3(model) => model.clear_kv_cache(),
        }
    }
}
