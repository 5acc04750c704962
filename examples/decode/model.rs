//! The model, as anyone would load it: candle-transformers' own Llama.

use std::{collections::HashMap, fs, path::Path};

use anyhow::{Context, Error, Result, bail};
use candle_core::{DType, Device, safetensors};
use candle_nn::VarBuilder;
use candle_transformers::models::llama::{Config, Llama, LlamaConfig, LlamaEosToks};
use serde_json::Value;
use tokenizers::Tokenizer;

pub struct Model {
    pub llama: Llama,
    pub config: Config,
    pub tokenizer: Tokenizer,
    /// The tokens that end a text.
    pub ends: Vec<u32>,
}

impl Model {
    /// Loads the model of a folder with config.json, tokenizer.json and safetensors.
    pub fn load(folder: &Path) -> Result<Self> {
        let config = config(&folder.join("config.json"))?;
        let ends = match config.eos_token_id.clone() {
            Some(LlamaEosToks::Single(end)) => vec![end],
            Some(LlamaEosToks::Multiple(ends)) => ends,
            None => Vec::new(),
        };
        let mut tensors = HashMap::new();
        for file in fs::read_dir(folder)? {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "safetensors") {
                tensors.extend(safetensors::load(file, &Device::Cpu)?);
            }
        }
        let weights = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        let file = folder.join("tokenizer.json");
        let tokenizer = Tokenizer::from_file(&file).map_err(Error::from_boxed);
        let tokenizer = tokenizer.with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Self { llama: Llama::load(weights, &config)?, config, tokenizer, ends })
    }
}

fn config(file: &Path) -> Result<Config> {
    let config = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut config: Value = serde_json::from_slice(&config)?;
    // transformers 5 writes this where candle does not look.
    if let Some(rope) = config.get("rope_parameters").cloned() {
        config["rope_theta"] = rope["rope_theta"].clone();
        match rope["rope_type"].as_str() {
            Some("default") => {}
            Some("llama3") => config["rope_scaling"] = rope,
            _ => bail!("candle's Llama has no positions of the kind {}", rope["rope_type"]),
        }
    }
    let config: LlamaConfig = serde_json::from_value(config)
        .with_context(|| format!("{} is not a Llama's", file.display()))?;
    Ok(config.into_config(false))
}
