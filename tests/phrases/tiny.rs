//! The tiny Llama of `assets/tiny`, by candle-transformers; and another.

// The tests use a part of this module, and the bench another.
#![allow(dead_code)]

use std::{fs, path::PathBuf};

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{VarBuilder, VarMap};
use candle_transformers::models::llama::{Cache, Config, Llama, LlamaConfig};
use concept_mass::{
    phrase::{CachedForward, CachedModel, SharedPrompt},
    source::Vocabulary,
};

use crate::common::device;

const CONTEXT: usize = 128;

#[derive(Clone)]
pub struct Tiny {
    pub llama: Llama,
    pub config: Config,
    cache: Cache,
}

impl CachedForward for Tiny {
    fn forward(&mut self, tokens: &Tensor, offset: usize) -> Result<Tensor> {
        self.llama.forward(tokens, offset, &mut self.cache)
    }

    fn reset(&mut self) {
        self.cache = cache(&self.config, &device()).unwrap();
    }
}

pub fn cache(config: &Config, device: &Device) -> Result<Cache> {
    Cache::new(true, DType::F32, config, device)
}

pub fn asset(name: &str) -> PathBuf {
    concept_mass_tiny::folder().join(name)
}

/// The model that reads in batches.
pub fn tiny() -> CachedModel<Tiny> {
    CachedModel::new(load(), device(), Some(CONTEXT))
}

/// The model that reads a prompt once.
pub fn sharing() -> SharedPrompt<Tiny> {
    SharedPrompt::new(load(), device(), Some(CONTEXT))
}

fn load() -> Tiny {
    let config: LlamaConfig =
        serde_json::from_slice(&fs::read(asset("config.json")).unwrap()).unwrap();
    let config = config.into_config(false);
    let weights = fs::read(asset("model.safetensors")).unwrap();
    let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &device()).unwrap();
    let llama = Llama::load(weights, &config).unwrap();
    let cache = cache(&config, &device()).unwrap();
    Tiny { llama, config, cache }
}

pub fn vocabulary() -> Vocabulary {
    Vocabulary::load(asset("tokenizer.json"), 1152).unwrap()
}

/// A Llama with random weights, the tokens of the tiny one, and room for a long prompt.
pub fn roomy() -> Tiny {
    let config = LlamaConfig {
        max_position_embeddings: 2048,
        hidden_size: 256,
        intermediate_size: 688,
        num_attention_heads: 8,
        num_key_value_heads: Some(8),
        ..serde_json::from_slice(&fs::read(asset("config.json")).unwrap()).unwrap()
    };
    let config = config.into_config(false);
    let weights = VarBuilder::from_varmap(&VarMap::new(), DType::F32, &device());
    let llama = Llama::load(weights, &config).unwrap();
    let cache = cache(&config, &device()).unwrap();
    Tiny { llama, config, cache }
}
