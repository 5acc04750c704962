//! The transformers of candle-transformers, each with its KV cache, behind one `forward`.

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{
    llama::{self, Cache, Llama},
    qwen2, qwen3,
};
use concept_mass::CachedForward;

use super::config::Architecture;

#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub enum Model {
    Llama {
        model: Llama,
        cache: Cache,
        /// What the cache is before the first token.
        blank: Cache,
    },
    Qwen2(qwen2::ModelForCausalLM),
    Qwen3(qwen3::ModelForCausalLM),
}

impl Model {
    /// On the device of the weights.
    pub fn new(architecture: &Architecture, weights: VarBuilder) -> Result<Self> {
        match architecture {
            Architecture::Llama(config) => {
                let device = weights.device().clone();
                check_blocks(&weights, config)?;
                let model = Llama::load(weights, config)?;
                let blank = Cache::new(true, DType::F32, config, &device)?;
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
}

impl CachedForward for Model {
    fn forward(&mut self, tokens: &Tensor, offset: usize) -> Result<Tensor> {
        match self {
            Self::Llama { model, cache, .. } => model.forward(tokens, offset, cache),
            Self::Qwen2(model) => model.forward(tokens, offset),
            Self::Qwen3(model) => model.forward(tokens, offset),
        }
    }

    fn reset(&mut self) {
        match self {
            Self::Llama { cache, blank, .. } => *cache = blank.clone(),
            Self::Qwen2(model) => model.clear_kv_cache(),
            Self::Qwen3(model) => model.clear_kv_cache(),
        }
    }
}

/// Fails where `Llama::load` would panic: if a block lacks a tensor, or has it in another shape.
fn check_blocks(weights: &VarBuilder, config: &llama::Config) -> Result<()> {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let head = hidden / config.num_attention_heads;
    let (queries, keys) = (head * config.num_attention_heads, head * config.num_key_value_heads);
    for block in 0..config.num_hidden_layers {
        let block = weights.pp(format!("model.layers.{block}"));
        for (name, rows, columns) in [
            ("self_attn.q_proj", queries, hidden),
            ("self_attn.k_proj", keys, hidden),
            ("self_attn.v_proj", keys, hidden),
            ("self_attn.o_proj", hidden, queries),
            ("mlp.gate_proj", inner, hidden),
            ("mlp.up_proj", inner, hidden),
            ("mlp.down_proj", hidden, inner),
        ] {
            block.pp(name).get((rows, columns), "weight")?;
        }
        for name in ["input_layernorm", "post_attention_layernorm"] {
            block.pp(name).get(hidden, "weight")?;
        }
    }
    Ok(())
}
