//! What a Hugging Face `config.json` says of a model.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_transformers::models::{
    llama::{self, LlamaConfig, LlamaEosToks},
    qwen2, qwen3,
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

use super::read_json;

pub struct Config {
    pub architecture: Architecture,
    /// The width of the logits, which may exceed the number of tokens that the tokenizer knows.
    pub vocab_size: usize,
    /// The most tokens that a prompt and its answer may have together.
    pub positions: usize,
    /// The tokens that end an answer.
    pub ends: Vec<u32>,
}

/// The models of candle-transformers that the example decodes with, as these want to be told.
pub enum Architecture {
    Llama(llama::Config),
    Qwen2(qwen2::Config),
    Qwen3(qwen3::Config),
}

/// The fields that matter whatever the architecture.
#[derive(Deserialize)]
struct Common {
    model_type: String,
    vocab_size: usize,
    max_position_embeddings: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    eos_token_id: Option<LlamaEosToks>,
    quantization_config: Option<IgnoredAny>,
}

impl Config {
    pub fn load(path: &Path) -> Result<Self> {
        let fields = read_json(path, "the config.json of a Hugging Face model")?;
        Self::parse(fields).with_context(|| format!("cannot use {}", path.display()))
    }

    fn parse(mut fields: Map<String, Value>) -> Result<Self> {
        translate(&mut fields);
        let value = Value::Object(fields);
        let common = Common::deserialize(&value)?;
        common.check()?;
        let architecture = match common.model_type.as_str() {
            "llama" => Architecture::Llama(LlamaConfig::deserialize(&value)?.into_config(false)),
            "qwen2" => Architecture::Qwen2(Deserialize::deserialize(&value)?),
            "qwen3" => Architecture::Qwen3(Deserialize::deserialize(&value)?),
            other => bail!(
                "the model_type {other:?} is not one of llama, qwen2 and qwen3, which this example \
                 decodes; choose a model of one of these"
            ),
        };
        Ok(Self {
            architecture,
            vocab_size: common.vocab_size,
            positions: common.max_position_embeddings,
            ends: match common.eos_token_id {
                Some(LlamaEosToks::Single(end)) => vec![end],
                Some(LlamaEosToks::Multiple(ends)) => ends,
                None => Vec::new(),
            },
        })
    }
}

impl Common {
    /// Refuses what candle's models would divide by zero for, or silently misread.
    fn check(&self) -> Result<()> {
        let heads = self.num_attention_heads;
        let shared = self.num_key_value_heads.unwrap_or(heads);
        ensure!(
            heads > 0 && shared > 0 && heads.is_multiple_of(shared),
            "num_attention_heads is {heads}, num_key_value_heads {shared}; the first must be a \
             multiple of the second"
        );
        ensure!(
            self.quantization_config.is_none(),
            "its weights are quantised; choose the model's version in bfloat16, float16 or float32"
        );
        Ok(())
    }
}

/// Says in the words that candle knows what newer versions of transformers say in others.
fn translate(config: &mut Map<String, Value>) {
    // Version 5 groups what has to do with rotary embeddings.
    if let Some(rope @ Value::Object(_)) = config.remove("rope_parameters") {
        if let Some(theta) = rope.get("rope_theta") {
            config.insert("rope_theta".to_owned(), theta.clone());
        }
        if rope.get("rope_type").is_some_and(|kind| kind != "default") {
            config.insert("rope_scaling".to_owned(), rope);
        }
    }
    // candle's Qwen2 wants a window even where there is none.
    let unlimited = config.get("max_position_embeddings").cloned().unwrap_or_default();
    let window = config.entry("sliding_window").or_insert(Value::Null);
    if window.is_null() {
        *window = unlimited;
    }
}
