//! The folder of a Hugging Face model.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device};
use serde::Deserialize;

use super::{
    Chat, Loaded, Parts, computed_in,
    config::{Config, Ends},
    ends::ends,
    layout::{Layout, Weights},
    read_json, read_tokenizer, weights,
};

/// Loads `config.json`, `tokenizer.json` (or `tokenizer`), the weights, and what is there of
/// `generation_config.json`, `tokenizer_config.json` and `chat_template.jinja`.
pub fn load(
    dir: &Path,
    tokenizer: Option<&Path>,
    device: &Device,
    dtype: Option<DType>,
) -> Result<Loaded> {
    let path = dir.join("config.json");
    let mut config = config(dir, &path)?;
    let own = dir.join("tokenizer.json");
    ensure!(
        tokenizer.is_some() || own.exists(),
        "there is no {}; put the model's there, or pass it as --tokenizer",
        own.display()
    );
    let tokenizer = read_tokenizer(tokenizer.unwrap_or(&own), config.vocab_size)?;
    let (chat, eos) = chat(dir)?;
    config.ends = ends(&tokenizer, config.ends, eos.as_deref());
    let parts = Parts { config, tokenizer, chat };

    let dtype = computed_in(device, dtype)?;
    let mut weights = Weights::new(Layout::new(&parts.config));
    let other = || {
        format!(
            "the weights are not those that {} describes; take all files from one model",
            path.display()
        )
    };
    for file in weights::files(dir)? {
        let file = weights::open(&file)?;
        weights::read(&file, dtype, device, &mut weights).with_context(other)?;
    }
    parts.with(weights, dtype, device).with_context(other)
}

/// `generation_config.json`.
#[derive(Deserialize)]
struct Generation {
    eos_token_id: Option<Ends>,
}

fn config(dir: &Path, path: &Path) -> Result<Config> {
    let fields = read_json(path, "the config.json of a Hugging Face model")?;
    // Instruct models have the end of a turn here, and in config.json that of a text alone.
    let generation = dir.join("generation_config.json");
    let more: Option<Generation> = read_if_any(&generation, "a generation_config.json")?;
    let more = more.and_then(|generation| generation.eos_token_id);
    Config::parse(fields, more).with_context(|| format!("cannot use {}", path.display()))
}

/// `tokenizer_config.json`.
#[derive(Deserialize, Default)]
struct TokenizerConfig {
    chat_template: Option<Templates>,
    bos_token: Option<SpecialToken>,
    eos_token: Option<SpecialToken>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Templates {
    One(String),
    Named(Vec<Template>),
}

#[derive(Deserialize)]
struct Template {
    name: String,
    template: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SpecialToken {
    Text(String),
    Added { content: String },
}

/// The chat template, if there is one, and the text of the token that ends a sequence.
fn chat(dir: &Path) -> Result<(Option<Chat>, Option<String>)> {
    let file = dir.join("chat_template.jinja");
    let tokenizer = dir.join("tokenizer_config.json");
    let TokenizerConfig { chat_template, bos_token, eos_token } =
        read_if_any(&tokenizer, "a tokenizer_config.json")?.unwrap_or_default();
    let template = match chat_template {
        // As newer versions of transformers write it, and where they look first.
        _ if file.exists() => {
            let text = fs::read_to_string(&file);
            Some(text.with_context(|| format!("cannot read {}", file.display()))?)
        }
        Some(Templates::One(template)) => Some(template),
        Some(Templates::Named(all)) => {
            let default = all.into_iter().find(|template| template.name == "default");
            default.map(|default| default.template)
        }
        None => None,
    };
    let text = |token: Option<SpecialToken>| match token? {
        SpecialToken::Text(text) | SpecialToken::Added { content: text } => Some(text),
    };
    let (bos, eos) = (text(bos_token), text(eos_token));
    Ok((template.map(|template| Chat { template, bos, eos: eos.clone() }), eos))
}

/// [`read_json`], where there is such a file.
fn read_if_any<T: serde::de::DeserializeOwned>(path: &Path, ought: &str) -> Result<Option<T>> {
    Ok(path.exists().then(|| read_json(path, ought)).transpose()?)
}
