//! What the metadata of a GGUF file say of a model, in the words of a `config.json`.

use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::quantized::gguf_file::{TensorInfo, Value};
use serde_json::{Map, Value as Json, json};

use super::Gguf;
use crate::config::{Biases, Config};

/// What llama.cpp calls the architectures of [`KNOWN`](crate::config::KNOWN).
const KNOWN: [(&str, &str); 9] = [
    ("llama", "llama"),
    ("mistral", "mistral"),
    ("smollm3", "smollm3"),
    ("qwen2", "qwen2"),
    ("qwen3", "qwen3"),
    ("gemma2", "gemma2"),
    ("gemma3", "gemma3_text"),
    ("phi3", "phi3"),
    ("olmo2", "olmo2"),
];

/// The factors that frequencies are divided by, in models whose texts are stretched.
pub const ROPE: &str = "rope_freqs.weight";
pub const ROPE_SHORT: &str = "rope_factors_short.weight";
pub const ROPE_LONG: &str = "rope_factors_long.weight";

/// The tokens that end an answer, a turn, or one that calls for a tool.
const ENDS: [&str; 3] =
    ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];

impl Gguf {
    /// The model that the file says it holds.
    pub fn config(&mut self) -> Result<Config> {
        let (architecture, model_type) = self.architecture()?;
        let key = |name: &str| format!("{architecture}.{name}");
        let hidden = self.count(&key("embedding_length"))?;
        let heads = self.count(&key("attention.head_count"))?;
        let key_heads = self.integer(&key("attention.head_count_kv"))?.unwrap_or(heads);
        let head = self.integer(&key("attention.key_length"))?;
        let head = head.unwrap_or(hidden / heads.max(1));
        let values = self.integer(&key("attention.value_length"))?.unwrap_or(head);
        ensure!(
            values == head,
            "{} is {values}, but a head has {head}",
            key("attention.value_length")
        );
        let layers = self.count(&key("block_count"))?;
        let turned = self.integer(&key("rope.dimension_count"))?.unwrap_or(head);
        let positions = self.count(&key("context_length"))?;
        let epsilon = key("attention.layer_norm_rms_epsilon");
        let ends = ENDS.iter().filter_map(|key| self.id(key).transpose());
        let ends = ends.collect::<Result<Vec<_>>>()?;

        let mut fields = json!({
            "model_type": model_type,
            "vocab_size": self.rows("token_embd.weight")?,
            "hidden_size": hidden,
            "intermediate_size": self.count(&key("feed_forward_length"))?,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": key_heads,
            "head_dim": head,
            "max_position_embeddings": positions,
            "rms_norm_eps": self.number(&epsilon)?.with_context(|| missing(&epsilon))?,
            "hidden_act": "silu",
            "tie_word_embeddings": self.info("output.weight").is_none(),
            "partial_rotary_factor": turned as f64 / head.max(1) as f64,
            "rope_scaling": self.rope_scaling(&architecture, model_type)?,
            "eos_token_id": ends,
        });
        // Where there is none, llama.cpp takes Gemma 2's for granted, and so does transformers.
        let window = self.window(&architecture)?;
        if window.is_some() || architecture != "gemma2" {
            fields["sliding_window"] = json!(window);
        }
        let original = self.integer(&key("rope.scaling.original_context_length"))?;
        if let Some(original) = original {
            fields["original_max_position_embeddings"] = json!(original);
        }
        // Unlike that of positions, it has a default of its own in some architectures.
        if let Some(theta) = self.number(&key("rope.freq_base"))? {
            fields["rope_theta"] = json!(theta);
        }
        if let "gemma2" | "gemma3" = &architecture[..] {
            fields["hidden_activation"] = json!("gelu_pytorch_tanh");
            for cap in ["attn_logit_softcapping", "final_logit_softcapping"] {
                if let Some(value) = self.number(&key(cap))? {
                    fields[cap] = json!(value);
                }
            }
            match self.content.metadata.get(&key("attention.sliding_window_pattern")) {
                Some(Value::Array(windowed)) => fields["layer_types"] = layer_types(windowed),
                Some(_) => {
                    let period = self.integer(&key("attention.sliding_window_pattern"))?;
                    fields["sliding_window_pattern"] = json!(period);
                }
                None => {}
            }
            if let Some(theta) = self.number(&key("rope.freq_base_swa"))? {
                fields["rope_local_base_freq"] = json!(theta);
            }
            // The file does not say it; llama.cpp, too, tells the two 27B models by their depth.
            let whole = layers == if architecture == "gemma2" { 46 } else { 62 };
            let scalar = if whole { hidden / heads.max(1) } else { head };
            fields["query_pre_attn_scalar"] = json!(scalar);
        }
        let fields = match fields {
            Json::Object(fields) => fields,
            _ => Map::new(),
        };
        let mut config = Config::parse(fields, None)?;
        // What converts models adds the 1 to Gemma's norms.
        config.norm_offset = 0.0;
        let biased = |part: &str| self.info(&format!("blk.0.{part}.bias")).is_some();
        config.biases = Biases {
            inputs: config.biases.inputs || biased("attn_q"),
            output: biased("attn_output"),
            mlp: biased("ffn_gate"),
        };
        if self.info(ROPE).is_some() {
            let divisors = self.factors(ROPE)?;
            for rope in &mut config.ropes {
                rope.divide(&divisors)?;
            }
        }
        Ok(config)
    }

    /// What llama.cpp calls the architecture, and what transformers does.
    fn architecture(&self) -> Result<(String, &'static str)> {
        let key = "general.architecture";
        let name = self.text(key)?.with_context(|| missing(key))?;
        let known = KNOWN.iter().find(|(theirs, _)| *theirs == name);
        let &(theirs, mut ours) = known.with_context(|| {
            format!(
                "the architecture {name:?} is not one of {}; choose a model of one of these, or \
                 run it in llama.cpp",
                KNOWN.map(|(theirs, _)| theirs).join(", ")
            )
        })?;
        let experts = self.integer(&format!("{name}.expert_count"))?.unwrap_or(0);
        ensure!(
            experts == 0,
            "it is a mixture of {experts} experts; choose a model without, or run it in llama.cpp"
        );
        let window = self.window(theirs)?;
        if theirs == "llama" && window.is_some() {
            ours = "mistral"; // which llama.cpp has among the Llamas
        }
        ensure!(
            theirs != "olmo2" || window.is_none(),
            "it is an OLMo 3, which has a sliding window; choose an OLMo 2, or run it in llama.cpp"
        );
        Ok((theirs.to_owned(), ours))
    }

    fn window(&self, architecture: &str) -> Result<Option<u64>> {
        let window = self.integer(&format!("{architecture}.attention.sliding_window"))?;
        Ok(window.filter(|&window| window > 0))
    }

    /// The `rope_scaling` of a `config.json`.
    fn rope_scaling(&mut self, architecture: &str, model_type: &str) -> Result<Json> {
        let key = |name: &str| format!("{architecture}.rope.{name}");
        // An old name, which is for linear scaling.
        let old = self.number(&key("scale_linear"))?;
        let factor = self.number(&key("scaling.factor"))?.or(old);
        let kind = self.text(&key("scaling.type"))?;
        let kind = kind.unwrap_or(if factor.is_some() { "linear" } else { "none" }).to_owned();
        let longer = self.info(ROPE_LONG).is_some();
        let kind = if longer { "longrope".to_owned() } else { kind };
        let mut scaling = json!({ "rope_type": kind });
        let attention = self.number(&key("scaling.attn_factor"))?;
        match &kind[..] {
            "none" => {}
            "linear" => scaling["factor"] = json!(factor.unwrap_or(1.0)),
            "yarn" => {
                let factor = factor.with_context(|| missing(&key("scaling.factor")))?;
                scaling["factor"] = json!(factor);
                scaling["beta_fast"] = json!(self.number(&key("scaling.yarn_beta_fast"))?);
                scaling["beta_slow"] = json!(self.number(&key("scaling.yarn_beta_slow"))?);
                if let Some(attention) = attention {
                    // llama.cpp multiplies its usual temperature by it.
                    let usual = if factor > 1.0 { 0.1 * factor.ln() + 1.0 } else { 1.0 };
                    scaling["attention_factor"] = json!(attention * usual);
                }
            }
            "longrope" => {
                scaling["short_factor"] = json!(self.factors(ROPE_SHORT)?);
                scaling["long_factor"] = json!(self.factors(ROPE_LONG)?);
                scaling["attention_factor"] = json!(attention);
            }
            other => bail!(
                "its positions are scaled by {other:?}, which is not known for a {model_type}; run it \
                 in llama.cpp"
            ),
        }
        Ok(scaling)
    }

    /// A whole number that must be there.
    fn count(&self, key: &str) -> Result<u64> {
        self.integer(key)?.with_context(|| missing(key))
    }

    /// The id of a token; a negative one is none.
    pub fn id(&self, key: &str) -> Result<Option<u64>> {
        match self.content.metadata.get(key) {
            Some(Value::I8(..0) | Value::I16(..0) | Value::I32(..0) | Value::I64(..0)) => Ok(None),
            _ => self.integer(key),
        }
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
            Value::F32(number) => Some(f64::from(number)),
            Value::F64(number) => Some(number),
            _ => None,
        };
        // A NaN would be null in the words of a config.json, which is none at all.
        let finite = |value: &Value| number(value).filter(|number| number.is_finite());
        self.value(key, "a finite floating-point number", finite)
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

    /// Where a tensor is, in whichever file.
    pub fn info(&self, tensor: &str) -> Option<&TensorInfo> {
        self.contents().find_map(|content| content.tensor_infos.get(tensor))
    }

    fn rows(&self, tensor: &str) -> Result<usize> {
        let info = self.info(tensor);
        let rows = info.and_then(|info| info.shape.dims().first().copied());
        rows.with_context(|| format!("there is no matrix {tensor}"))
    }
}

/// What transformers calls the blocks, of which a file lists whether they have a window.
fn layer_types(windowed: &[Value]) -> Json {
    let name = |windowed: &Value| match windowed {
        Value::Bool(true) => json!("sliding_attention"),
        Value::Bool(false) => json!("full_attention"),
        other => json!(format!("{other:?}")),
    };
    windowed.iter().map(name).collect()
}

/// What is said where `key` is not in the metadata.
pub fn missing(key: &str) -> String {
    format!("its metadata have no {key}")
}
