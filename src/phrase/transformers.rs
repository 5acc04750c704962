//! The models of candle-transformers.

use candle_core::{Result, Tensor};
use candle_transformers::models::{
    llama::{Cache, Llama},
    qwen2, qwen3,
};

use super::model::CachedForward;

/// A Llama of candle-transformers with its cache, for [`CachedModel`](crate::phrase::CachedModel) and
/// [`SharedPrompt`](crate::phrase::SharedPrompt); a copy of it shares the weights.
///
/// Qwen2 and Qwen3 (`ModelForCausalLM`) keep their cache themselves, and are
/// [`CachedForward`] as they are.
///
/// ```
/// use candle_core::{DType, Device};
/// use candle_nn::VarBuilder;
/// use candle_transformers::models::llama::{Cache, Llama, LlamaConfig};
/// use concept_mass::phrase::{CachedLlama, CachedModel};
///
/// # let tiny = concept_mass_tiny::folder();
/// # let read = |name: &str| std::fs::read(tiny.join(name)).unwrap();
/// let config: LlamaConfig = serde_json::from_slice(&read("config.json"))?;
/// let context = config.max_position_embeddings;
/// let config = config.into_config(false);
/// let (dtype, device) = (DType::F32, Device::Cpu);
/// let weights = read("model.safetensors");
/// let weights = VarBuilder::from_buffered_safetensors(weights, dtype, &device)?;
///
/// let llama = Llama::load(weights, &config)?;
/// let llama = CachedLlama::new(llama, Cache::new(true, dtype, &config, &device)?);
/// let model = CachedModel::new(llama, device, Some(context));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct CachedLlama {
    model: Llama,
    cache: Cache,
    /// The cache before the first token.
    blank: Cache,
}

impl CachedLlama {
    /// Takes a model and a cache of its own, on which nothing has been read; made with
    /// `use_kv_cache`.
    pub fn new(model: Llama, cache: Cache) -> Self {
        Self { model, blank: cache.clone(), cache }
    }
}

impl CachedForward for CachedLlama {
    fn forward(&mut self, tokens: &Tensor, offset: usize) -> Result<Tensor> {
        self.model.forward(tokens, offset, &mut self.cache)
    }

    fn reset(&mut self) {
        self.cache = self.blank.clone();
    }
}

impl CachedForward for qwen2::ModelForCausalLM {
    fn forward(&mut self, tokens: &Tensor, offset: usize) -> Result<Tensor> {
        Self::forward(self, tokens, offset)
    }

    fn reset(&mut self) {
        self.clear_kv_cache();
    }
}

impl CachedForward for qwen3::ModelForCausalLM {
    fn forward(&mut self, tokens: &Tensor, offset: usize) -> Result<Tensor> {
        Self::forward(self, tokens, offset)
    }

    fn reset(&mut self) {
        self.clear_kv_cache();
    }
}
