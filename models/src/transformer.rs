//! The transformers of candle-transformers, each with its KV cache, behind one `forward`.

use std::fmt;

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{
    llama::{Cache, Llama},
    qwen2, qwen3,
};

use super::config::Architecture;

/// A transformer of candle-transformers with its KV cache: a Llama, Qwen2 or Qwen3. A clone shares
/// the weights and has a cache of its own.
#[derive(Clone)]
pub struct Model(Kind);

#[allow(clippy::large_enum_variant, reason = "there is one of it")]
#[derive(Clone)]
enum Kind {
    /// Llama 2 and 3; `blank` is the cache before the first token.
    Llama { model: Llama, cache: Cache, blank: Cache },
    /// Qwen2 and Qwen2.5.
    Qwen2(qwen2::ModelForCausalLM),
    /// Qwen3 without experts.
    Qwen3(qwen3::ModelForCausalLM),
}

impl Model {
    /// On the device and in the dtype of the weights, which must be those of the layout: where a
    /// block lacks a tensor, candle's Llama panics.
    pub(crate) fn new(architecture: &Architecture, weights: VarBuilder) -> Result<Self> {
        Ok(Self(match architecture {
            Architecture::Llama(config) => {
                let blank = Cache::new(true, weights.dtype(), config, weights.device())?;
                let model = Llama::load(weights, config)?;
                Kind::Llama { model, cache: blank.clone(), blank }
            }
            Architecture::Qwen2(config) => {
                Kind::Qwen2(qwen2::ModelForCausalLM::new(config, weights)?)
            }
            Architecture::Qwen3(config) => {
                Kind::Qwen3(qwen3::ModelForCausalLM::new(config, weights)?)
            }
        }))
    }

    /// Reads `tokens`, `u32` `[N, T]`, after the `offset` tokens that each row has read before, and
    /// returns the logits of the next token: `[N, V]` or, of Qwen models, `[N, 1, V]`.
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    ///
    /// let folder = concept_mass_tiny::folder();
    /// let mut model = concept_mass_models::load(&folder, None, &Device::Cpu, None)?.model;
    /// let first = model.forward(&Tensor::new(&[[5u32, 7]], &Device::Cpu)?, 0)?;
    /// let next = model.forward(&Tensor::new(&[[9u32]], &Device::Cpu)?, 2)?;
    /// assert_eq!(first.dims(), next.dims());
    ///
    /// model.reset(); // for another text
    /// let again = model.forward(&Tensor::new(&[[5u32, 7, 9]], &Device::Cpu)?, 0)?;
    /// # assert_eq!(next.dims(), again.dims());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// candle's, for tokens of another shape, dtype or device, and for a text longer than
    /// [`positions`](crate::Loaded::positions).
    pub fn forward(&mut self, tokens: &Tensor, offset: usize) -> Result<Tensor> {
        match &mut self.0 {
            Kind::Llama { model, cache, .. } => model.forward(tokens, offset, cache),
            Kind::Qwen2(model) => model.forward(tokens, offset),
            Kind::Qwen3(model) => model.forward(tokens, offset),
        }
    }

    /// Forgets all tokens that were read.
    pub fn reset(&mut self) {
        match &mut self.0 {
            Kind::Llama { cache, blank, .. } => *cache = blank.clone(),
            Kind::Qwen2(model) => model.clear_kv_cache(),
            Kind::Qwen3(model) => model.clear_kv_cache(),
        }
    }
}

/// The architecture, without the weights.
impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let architecture = match self.0 {
            Kind::Llama { .. } => "Llama",
            Kind::Qwen2(_) => "Qwen2",
            Kind::Qwen3(_) => "Qwen3",
        };
        f.debug_tuple("Model").field(&architecture).finish()
    }
}
