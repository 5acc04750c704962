//! What a `config.json` says, as far as it matters, and what is taken for granted where it does not.

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value, json};

use super::{Activation, Biases, BlockKind, Config, HeadNorms, KNOWN, LARGEST, Norms, unknown};
use crate::decoder::rope::{Rope, RopeFields};

/// No model has more blocks. There is a list of all tensors before one is read, and a file's number
/// must not set its length.
const MOST_LAYERS: usize = 4096;

/// One token, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Ends {
    One(i64),
    Several(Vec<i64>),
}

impl Ends {
    fn ids(&self) -> &[i64] {
        match self {
            Self::One(id) => std::slice::from_ref(id),
            Self::Several(ids) => ids,
        }
    }
}

/// The fields of a `config.json` that matter.
#[derive(Deserialize)]
pub(super) struct Fields {
    pub(super) model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    max_position_embeddings: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rms_norm_eps: f64,
    hidden_act: Option<String>,
    hidden_activation: Option<String>,
    attention_bias: Option<bool>,
    pub(super) mlp_bias: Option<bool>,
    tie_word_embeddings: Option<bool>,
    rope_theta: Option<f64>,
    rope_local_base_freq: Option<f64>,
    rope_parameters: Option<Value>,
    rope_scaling: Option<Map<String, Value>>,
    partial_rotary_factor: Option<f64>,
    original_max_position_embeddings: Option<usize>,
    use_sliding_window: Option<bool>,
    sliding_window: Option<usize>,
    max_window_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
    sliding_window_pattern: Option<usize>,
    no_rope_layers: Option<Vec<u8>>,
    no_rope_layer_interval: Option<usize>,
    pub(super) query_pre_attn_scalar: Option<f64>,
    pub(super) attn_logit_softcapping: Option<f64>,
    pub(super) final_logit_softcapping: Option<f64>,
    use_bidirectional_attention: Option<bool>,
    eos_token_id: Option<Ends>,
    quantization_config: Option<IgnoredAny>,
}

impl Fields {
    /// The model without what is special to its architecture: a Llama of these sizes.
    pub(super) fn plain(&self, more_ends: Option<Ends>) -> Result<Config> {
        let head = self.head();
        let bias = self.attention_bias == Some(true);
        let (blocks, ropes) = self.blocks()?;
        let positions = self.max_position_embeddings;
        let positions = ropes.first().map_or(positions, |rope| rope.reach(positions));
        Ok(Config {
            model_type: self.model_type.clone(),
            vocab_size: self.vocab_size,
            hidden: self.hidden_size,
            inner: self.intermediate_size,
            heads: self.num_attention_heads,
            key_heads: self.key_heads(),
            head,
            blocks,
            ropes,
            activation: self.activation()?,
            norms: Norms::Before,
            epsilon: self.rms_norm_eps,
            norm_offset: 0.0,
            head_norms: HeadNorms::None,
            biases: Biases { inputs: bias, output: bias, mlp: false },
            query_scale: (head as f64).powf(-0.5),
            attention_cap: None,
            logit_cap: None,
            embedding_scale: None,
            tied: self.tie_word_embeddings == Some(true),
            fused: false,
            positions,
            ends: self.ends(more_ends),
        })
    }

    pub(super) fn check(&self) -> Result<()> {
        let heads = self.num_attention_heads;
        let shared = self.key_heads();
        ensure!(
            heads > 0 && shared > 0 && heads.is_multiple_of(shared),
            "num_attention_heads is {heads}, num_key_value_heads {shared}; the first must be a \
             multiple of the second"
        );
        for (name, size, most) in [
            ("vocab_size", self.vocab_size, LARGEST),
            ("hidden_size", self.hidden_size, LARGEST),
            ("intermediate_size", self.intermediate_size, LARGEST),
            ("num_hidden_layers", self.num_hidden_layers, MOST_LAYERS),
            ("num_attention_heads", heads, LARGEST),
            ("max_position_embeddings", self.max_position_embeddings, LARGEST),
            ("head_dim", self.head(), LARGEST),
            ("sliding_window", self.used_window().unwrap_or(1), LARGEST),
        ] {
            ensure!((1..=most).contains(&size), "{name} is {size}; it must be 1 to {most}");
        }
        for (name, number) in [
            ("rms_norm_eps", Some(self.rms_norm_eps)),
            ("query_pre_attn_scalar", self.query_pre_attn_scalar),
            ("attn_logit_softcapping", self.attn_logit_softcapping),
            ("final_logit_softcapping", self.final_logit_softcapping),
        ] {
            let Some(number) = number else { continue };
            let fit = number > 0.0 && number.is_finite();
            ensure!(fit, "{name} is {number}; it must be a positive number");
        }
        let head = self.head();
        ensure!(head.is_multiple_of(2), "head_dim is {head}; rotary embeddings need an even one");
        ensure!(
            self.quantization_config.is_none(),
            "its weights are quantised; choose the model's version in bfloat16, float16 or float32, \
             or as GGUF"
        );
        ensure!(
            self.use_bidirectional_attention != Some(true),
            "use_bidirectional_attention is true: it is an encoder, not a causal model"
        );
        Ok(())
    }

    /// The window, unless the fields say that it is not used.
    fn used_window(&self) -> Option<usize> {
        self.sliding_window.filter(|_| self.use_sliding_window != Some(false))
    }

    fn key_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    fn head(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    fn activation(&self) -> Result<Activation> {
        let name = self.hidden_activation.as_deref().or(self.hidden_act.as_deref());
        match name.unwrap_or("silu") {
            "silu" => Ok(Activation::Silu),
            "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
            other => bail!(
                "hidden_act is {other:?}, which is not known (silu and gelu_pytorch_tanh are); run \
                 the model in an inference engine"
            ),
        }
    }

    /// The kind of every block, and the rotary embeddings that they use.
    fn blocks(&self) -> Result<(Vec<BlockKind>, Vec<Rope>)> {
        let layers = self.num_hidden_layers;
        let windowed = self.windowed()?;
        let ropes = self.ropes()?;
        let blocks = (0..layers).map(|block| {
            let window = self.used_window().filter(|_| windowed[block]);
            let rope = if window.is_some() { ropes.len() - 1 } else { 0 };
            BlockKind { window, rope: (!self.has_no_rope(block)).then_some(rope) }
        });
        Ok((blocks.collect(), ropes))
    }

    /// Whether a block of SmolLM3 does without rotary embeddings.
    fn has_no_rope(&self, block: usize) -> bool {
        match &self.no_rope_layers {
            Some(uses) => uses.get(block) == Some(&0),
            None => {
                let interval = self.no_rope_layer_interval.unwrap_or(4);
                self.model_type == "smollm3" && (block + 1).is_multiple_of(interval)
            }
        }
    }

    /// Which blocks attend within the sliding window, if there is one.
    fn windowed(&self) -> Result<Vec<bool>> {
        let layers = self.num_hidden_layers;
        let by_type = |types: &Vec<String>| -> Result<Vec<bool>> {
            ensure!(
                types.len() == layers,
                "layer_types lists {} layers, but num_hidden_layers is {layers}",
                types.len()
            );
            let windowed = types.iter().map(|kind| match kind.as_str() {
                "sliding_attention" => Ok(true),
                "full_attention" => Ok(false),
                other => bail!("layer_types has {other:?}; run the model in an inference engine"),
            });
            windowed.collect()
        };
        let used = self.use_sliding_window == Some(true);
        let pattern = |period: usize| (0..layers).map(move |i| !(i + 1).is_multiple_of(period));
        match self.model_type.as_str() {
            "mistral" | "phi3" => Ok(vec![true; layers]),
            "qwen2" | "qwen3" | "smollm3" if !used => Ok(vec![false; layers]),
            "qwen2" | "qwen3" => match &self.layer_types {
                Some(types) => by_type(types),
                None => {
                    let first = self.max_window_layers.unwrap_or(28);
                    Ok((0..layers).map(|block| block >= first).collect())
                }
            },
            "gemma2" | "gemma3_text" => match &self.layer_types {
                Some(types) => by_type(types),
                None if self.model_type == "gemma2" => Ok(pattern(2).collect()),
                None => Ok(pattern(self.sliding_window_pattern.unwrap_or(6).max(1)).collect()),
            },
            "smollm3" => match &self.layer_types {
                Some(types) => by_type(types),
                None => Ok((0..layers).map(|block| self.has_no_rope(block)).collect()),
            },
            _ => Ok(vec![false; layers]),
        }
    }

    /// The rotary embedding of blocks that attend to all, and, if it is another, that of windowed
    /// ones.
    fn ropes(&self) -> Result<Vec<Rope>> {
        // Version 5 of transformers groups what has to do with rotary embeddings, by kinds of blocks
        // if need be. What users add by the old name goes before that.
        let grouped = self.rope_parameters.clone().unwrap_or_default();
        let (full, local) = match grouped.get("full_attention") {
            Some(full) => (full, grouped.get("sliding_attention")),
            None => (&grouped, None),
        };
        let read = |fields: &Map<String, Value>| RopeFields::deserialize(fields);
        let mut full = full.as_object().cloned().unwrap_or_default();
        full.extend(self.rope_scaling.clone().unwrap_or_default());
        let mut full = read(&full).context("cannot use its rope_scaling or rope_parameters")?;
        let local = local.and_then(Value::as_object).map(read).transpose();
        let mut local = local.context("cannot use its rope_parameters")?;
        let default = match self.model_type.as_str() {
            "gemma3_text" => {
                // Only blocks that attend to all are scaled.
                let theta = self.rope_local_base_freq.unwrap_or(10_000.0);
                local.get_or_insert_default().rope_theta.get_or_insert(theta);
                1_000_000.0
            }
            "smollm3" => 2_000_000.0,
            _ => 10_000.0,
        };
        full.rope_theta.get_or_insert(self.rope_theta.unwrap_or(default));
        let ropes = [Some(full), local].into_iter().flatten().map(|mut fields| {
            fields.partial_rotary_factor =
                fields.partial_rotary_factor.or(self.partial_rotary_factor);
            fields.original_max_position_embeddings = self
                .original_max_position_embeddings
                .or(fields.original_max_position_embeddings)
                .or(Some(self.max_position_embeddings));
            if self.model_type == "phi3" && matches!(fields.kind(), "su" | "yarn") {
                fields.rope_type = Some("longrope".to_owned()); // their old names
            }
            Rope::new(&fields, self.head(), self.max_position_embeddings)
        });
        ropes.collect()
    }

    /// What has no column in the logits, such as -1 for none, ends nothing.
    fn ends(&self, more: Option<Ends>) -> Vec<u32> {
        let ends = self.eos_token_id.iter().chain(&more).flat_map(Ends::ids);
        let ends = ends.filter_map(|&end| u32::try_from(end).ok());
        ends.filter(|&end| (end as usize) < self.vocab_size).collect()
    }
}

/// Adds what transformers takes for granted where a `config.json` does not say it.
pub(super) fn with_defaults(mut fields: Map<String, Value>) -> Result<Map<String, Value>> {
    // The larger Gemma 3 read pictures, too; their decoder is described within.
    if fields.get("model_type").is_some_and(|kind| kind == "gemma3") {
        let Some(Value::Object(mut text)) = fields.remove("text_config") else {
            bail!("it is a gemma3 without a text_config")
        };
        text.insert("model_type".to_owned(), json!("gemma3_text"));
        for of_the_whole in ["eos_token_id", "quantization_config"] {
            text.extend(fields.remove_entry(of_the_whole));
        }
        fields = text;
    }
    let kind = fields.get("model_type").and_then(Value::as_str);
    let kind = kind.context("it has no model_type; it is not the config.json of a model")?;
    if !KNOWN.contains(&kind) {
        return Err(unknown(kind));
    }
    let defaults = match kind {
        "gemma2" => json!({
            "head_dim": 256,
            "hidden_activation": "gelu_pytorch_tanh",
            "tie_word_embeddings": true,
            "sliding_window": 4096,
            "attn_logit_softcapping": 50.0,
            "final_logit_softcapping": 30.0,
        }),
        "gemma3_text" => json!({
            "vocab_size": 262_208,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "hidden_activation": "gelu_pytorch_tanh",
            "tie_word_embeddings": true,
            "sliding_window": 4096,
            "max_position_embeddings": 131_072,
            "rms_norm_eps": 1e-6,
        }),
        "mistral" => json!({ "sliding_window": 4096 }),
        "smollm3" => json!({ "tie_word_embeddings": true }),
        "phi3" => json!({ "original_max_position_embeddings": 4096 }),
        "qwen2" => json!({ "sliding_window": 4096 }),
        "qwen3" => json!({ "sliding_window": 4096, "head_dim": 128 }),
        _ => json!({}),
    };
    if let Value::Object(defaults) = defaults {
        for (name, value) in defaults {
            // An explicit null stays: Mistral's later models have no window.
            fields.entry(name).or_insert(value);
        }
    }
    Ok(fields)
}
