//! What the metadata of a GGUF file say of a model, in the words of a `config.json`.

use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::quantized::gguf_file::Value;
use serde_json::{Map, json};

use super::{Gguf, rope};
use crate::config::Config;

/// The tokens that end an answer, a turn, or one that calls for a tool.
const ENDS: [&str; 3] =
    ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];

impl Gguf {
    /// The model that the file says it holds.
    pub fn config(&mut self) -> Result<Config> {
        let architecture = self.architecture()?;
        self.check_whole()?;
        self.check_rope(&architecture)?;
        let key = |name: &str| format!("{architecture}.{name}");
        let hidden = self.count(&key("embedding_length"))?;
        let heads = self.count(&key("attention.head_count"))?;
        let key_heads = self.integer(&key("attention.head_count_kv"))?.unwrap_or(heads);
        let head = self.integer(&key("attention.key_length"))?;
        let head = head.unwrap_or(hidden / heads.max(1));
        for name in ["attention.value_length", "rope.dimension_count"] {
            let other = self.integer(&key(name))?.unwrap_or(head);
            ensure!(other == head, "{} is {other}, but a head has {head}", key(name));
        }
        // Within a window, a model with one attends as one without.
        let window = self.integer(&key("attention.sliding_window"))?.filter(|&window| window > 0);
        let positions = self.count(&key("context_length"))?.min(window.unwrap_or(u64::MAX));
        let theta = self.number(&key("rope.freq_base"))?.unwrap_or(10_000.0);
        let epsilon = key("attention.layer_norm_rms_epsilon");
        let ends = ENDS.iter().filter_map(|key| self.integer(key).transpose());

        let mut fields = json!({
            "model_type": architecture,
            "vocab_size": self.rows("token_embd.weight")?,
            "hidden_size": hidden,
            "intermediate_size": self.count(&key("feed_forward_length"))?,
            "num_hidden_layers": self.count(&key("block_count"))?,
            "num_attention_heads": heads,
            "num_key_value_heads": key_heads,
            "head_dim": head,
            "max_position_embeddings": positions,
            "rms_norm_eps": self.number(&epsilon)?.with_context(|| missing(&epsilon))?,
            "rope_theta": theta,
            "hidden_act": "silu",
            "tie_word_embeddings": !self.content.tensor_infos.contains_key("output.weight"),
            "eos_token_id": ends.collect::<Result<Vec<_>>>()?,
        });
        if let Some(factors) = self.rope_factors(&architecture, head)? {
            fields["rope_scaling"] = rope::scaling(&factors, theta, head as usize)?;
        }
        let fields = match fields {
            serde_json::Value::Object(fields) => fields,
            _ => Map::new(),
        };
        Config::parse(fields, None)
    }

    fn architecture(&self) -> Result<String> {
        let key = "general.architecture";
        let architecture = self.text(key)?.with_context(|| missing(key))?;
        ensure!(
            ["llama", "qwen2", "qwen3"].contains(&architecture),
            "the architecture {architecture:?} is not one of llama, qwen2 and qwen3; choose a model \
             of one of these"
        );
        Ok(architecture.to_owned())
    }

    fn check_whole(&self) -> Result<()> {
        let parts = self.integer("split.count")?.unwrap_or(1);
        ensure!(
            parts <= 1,
            "it is one of {parts} parts of a model; join them with llama-gguf-split --merge"
        );
        Ok(())
    }

    /// Refuses what candle's models would read as if it were not there.
    fn check_rope(&self, architecture: &str) -> Result<()> {
        let key = |name: &str| format!("{architecture}.rope.{name}");
        let kind = self.text(&key("scaling.type"))?.unwrap_or("none");
        let mut factor = self.number(&key("scaling.factor"))?.unwrap_or(1.0);
        if let Some(old) = self.number(&key("scale_linear"))? {
            factor *= old;
        }
        ensure!(
            kind == "none" || kind == "linear" && factor == 1.0,
            "its positions are scaled ({kind}, by {factor}), which candle's {architecture} does \
             not know; choose a model without that"
        );
        Ok(())
    }

    /// A whole number that must be there.
    fn count(&self, key: &str) -> Result<u64> {
        self.integer(key)?.with_context(|| missing(key))
    }

    /// A whole number, of whatever type.
    pub fn integer(&self, key: &str) -> Result<Option<u64>> {
        let integer = |value: &Value| match *value {
            Value::U8(n) => Some(n.into()),
            Value::U16(n) => Some(n.into()),
            Value::U32(n) => Some(n.into()),
            Value::U64(n) => Some(n),
            Value::I8(n) => n.try_into().ok(),
            Value::I16(n) => n.try_into().ok(),
            Value::I32(n) => n.try_into().ok(),
            Value::I64(n) => n.try_into().ok(),
            _ => None,
        };
        self.value(key, "a whole number", integer)
    }

    fn number(&self, key: &str) -> Result<Option<f64>> {
        let number = |value: &Value| match *value {
            Value::F32(number) => Some(number.into()),
            Value::F64(number) => Some(number),
            _ => None,
        };
        self.value(key, "a floating-point number", number)
    }

    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        self.value(key, "a text", |value| match value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The value of `key`, if there is one; an error where `read` finds it to be no `ought`.
    fn value<'a, T>(
        &'a self,
        key: &str,
        ought: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.content.metadata.get(key) else { return Ok(None) };
        match (read(value), value) {
            (Some(value), _) => Ok(Some(value)),
            (None, Value::Array(_)) => bail!("{key} is a list, not {ought}"),
            (None, value) => Err(anyhow!("{key} is {value:?}, not {ought}")),
        }
    }

    fn rows(&self, tensor: &str) -> Result<usize> {
        let info = self.content.tensor_infos.get(tensor);
        let rows = info.and_then(|info| info.shape.dims().first().copied());
        rows.with_context(|| format!("there is no matrix {tensor}"))
    }
}

/// What is said where `key` is not in the metadata.
pub fn missing(key: &str) -> String {
    format!("its metadata have no {key}")
}
