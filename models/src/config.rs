//! What a model is: one description, from a Hugging Face `config.json` or from the metadata of a
//! GGUF file. All that is special to an architecture stands here; the decoder knows no names.

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value, json};

use crate::decoder::rope::{Rope, RopeFields};

/// No model is larger in any direction, and `f32` counts positions up to here.
pub const LARGEST: usize = 1 << 24;

/// No model has more blocks. There is a list of all tensors before one is read, and a file's number
/// must not set its length.
const MOST_LAYERS: usize = 4096;

/// The architectures that the decoder knows, by the name of their `model_type`.
pub const KNOWN: [&str; 9] =
    ["llama", "mistral", "smollm3", "qwen2", "qwen3", "gemma2", "gemma3_text", "phi3", "olmo2"];

/// A decoder-only transformer.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name of the architecture, for messages.
    pub model_type: String,
    /// The width of the logits, which may exceed the number of tokens that the tokenizer knows.
    pub vocab_size: usize,
    /// The width between blocks.
    pub hidden: usize,
    /// The width within a block's MLP.
    pub inner: usize,
    /// The number of query heads.
    pub heads: usize,
    /// The number of key and value heads; a divisor of `heads`.
    pub key_heads: usize,
    /// The width of one head.
    pub head: usize,
    /// The blocks, from the first to the last.
    pub blocks: Vec<BlockKind>,
    /// The rotary embeddings that blocks refer to.
    pub ropes: Vec<Rope>,
    /// The nonlinearity of the MLP.
    pub activation: Activation,
    /// Where a block normalises.
    pub norms: Norms,
    /// What is added to the square mean of a norm.
    pub epsilon: f64,
    /// What is added to the weights of norms: Gemma's safetensors store their distance from 1.
    pub norm_offset: f64,
    /// Whether queries and keys are normalised, and over which width.
    pub head_norms: HeadNorms,
    /// Which projections have biases.
    pub biases: Biases,
    /// What the dot products of queries and keys are multiplied by.
    pub query_scale: f64,
    /// Attention scores `s` become `cap · tanh(s / cap)`.
    pub attention_cap: Option<f64>,
    /// Logits likewise.
    pub logit_cap: Option<f64>,
    /// What embeddings are multiplied by.
    pub embedding_scale: Option<f64>,
    /// Whether the embedding is the output layer, too.
    pub tied: bool,
    /// Whether queries, keys and values are one matrix in the file, and gate and up another.
    pub fused: bool,
    /// The most tokens that a prompt and its answer may have together.
    pub positions: usize,
    /// The tokens that end an answer, in order.
    pub ends: Vec<u32>,
}

/// What may differ from block to block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockKind {
    /// How many of the last tokens are attended to, the token itself included; all if `None`.
    pub window: Option<usize>,
    /// The place of its rotary embedding in [`Config::ropes`]; none if `None`.
    pub rope: Option<usize>,
}

/// The nonlinearity of an MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x · sigmoid(x)`.
    Silu,
    /// GELU in its approximation by tanh.
    GeluTanh,
}

/// Where a block normalises what attention and the MLP read or write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norms {
    /// What they read: most models.
    Before,
    /// What they write, before it is added: OLMo2.
    After,
    /// Both: Gemma.
    Both,
}

/// Whether queries and keys are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadNorms {
    /// They are not.
    None,
    /// Each head by itself: Qwen3, Gemma 3.
    Each,
    /// All heads together: OLMo2.
    Together,
}

/// The projections with a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Biases {
    /// Queries, keys and values.
    pub inputs: bool,
    /// The output of attention.
    pub output: bool,
    /// All three of the MLP.
    pub mlp: bool,
}

/// One token, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Ends {
    One(u32),
    Several(Vec<u32>),
}

impl Ends {
    fn ids(&self) -> &[u32] {
        match self {
            Self::One(id) => std::slice::from_ref(id),
            Self::Several(ids) => ids,
        }
    }
}

/// The fields of a `config.json` that matter.
#[derive(Deserialize)]
struct Fields {
    model_type: String,
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
    mlp_bias: Option<bool>,
    tie_word_embeddings: Option<bool>,
    rope_theta: Option<f64>,
    rope_local_base_freq: Option<f64>,
    rope_parameters: Option<Value>,
    rope_scaling: Option<RopeFields>,
    partial_rotary_factor: Option<f64>,
    original_max_position_embeddings: Option<usize>,
    use_sliding_window: Option<bool>,
    sliding_window: Option<usize>,
    max_window_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
    #[serde(alias = "_sliding_window_pattern")]
    sliding_window_pattern: Option<usize>,
    no_rope_layers: Option<Vec<u8>>,
    no_rope_layer_interval: Option<usize>,
    query_pre_attn_scalar: Option<f64>,
    attn_logit_softcapping: Option<f64>,
    final_logit_softcapping: Option<f64>,
    use_bidirectional_attention: Option<bool>,
    eos_token_id: Option<Ends>,
    quantization_config: Option<IgnoredAny>,
}

impl Config {
    /// Reads the fields of a `config.json`; answers end with `more_ends`, too.
    pub fn parse(fields: Map<String, Value>, more_ends: Option<Ends>) -> Result<Self> {
        let fields = Fields::deserialize(Value::Object(with_defaults(fields)?))?;
        fields.check()?;
        let mut config = fields.plain(more_ends)?;
        match fields.model_type.as_str() {
            "llama" | "mistral" | "smollm3" => {}
            "qwen2" => config.biases.inputs = true,
            "qwen3" => config.head_norms = HeadNorms::Each,
            "phi3" => config.fused = true,
            "olmo2" => {
                config.norms = Norms::After;
                config.head_norms = HeadNorms::Together;
            }
            // Embeddings are scaled, norms store their distance from 1 and stand on both sides,
            // queries have a scale of their own; Gemma 2 caps scores and logits, Gemma 3
            // normalises heads.
            "gemma2" | "gemma3_text" => {
                config.norms = Norms::Both;
                config.norm_offset = 1.0;
                config.embedding_scale = Some((config.hidden as f64).sqrt());
                config.query_scale = fields.query_pre_attn_scalar.unwrap_or(256.0).powf(-0.5);
                config.logit_cap = fields.final_logit_softcapping;
                if fields.model_type == "gemma2" {
                    config.attention_cap = fields.attn_logit_softcapping;
                } else {
                    config.head_norms = HeadNorms::Each;
                }
            }
            other => bail!(
                "the model_type {other:?} is not one of {}; choose a model of one of these, or run \
                 it in an inference engine (vLLM, llama.cpp)",
                KNOWN.join(", ")
            ),
        }
        for (name, scale) in [
            ("query_pre_attn_scalar", Some(config.query_scale)),
            ("attn_logit_softcapping", config.attention_cap),
            ("final_logit_softcapping", config.logit_cap),
        ] {
            let positive = |scale: f64| scale > 0.0 && scale.is_finite();
            ensure!(scale.is_none_or(positive), "{name} must be a positive number");
        }
        Ok(config)
    }
}

impl Fields {
    /// The model without what is special to its architecture: a Llama of these sizes.
    fn plain(&self, more_ends: Option<Ends>) -> Result<Config> {
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
            biases: Biases { inputs: bias, output: bias, mlp: self.mlp_bias == Some(true) },
            query_scale: (head as f64).powf(-0.5),
            attention_cap: None,
            logit_cap: None,
            embedding_scale: None,
            tied: self.tie_word_embeddings == Some(true),
            fused: false,
            positions,
            ends: self.ends(more_ends)?,
        })
    }

    fn check(&self) -> Result<()> {
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
            ("sliding_window", self.sliding_window.unwrap_or(1), LARGEST),
        ] {
            ensure!((1..=most).contains(&size), "{name} is {size}; it must be 1 to {most}");
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
        let no_rope = |block: usize| match &self.no_rope_layers {
            Some(uses) => uses.get(block) == Some(&0),
            None => {
                let interval = self.no_rope_layer_interval.unwrap_or(4);
                self.model_type == "smollm3" && (block + 1).is_multiple_of(interval)
            }
        };
        let blocks = (0..layers).map(|block| {
            let window = self.sliding_window.filter(|_| windowed[block]);
            let rope = if window.is_some() { ropes.len() - 1 } else { 0 };
            BlockKind { window, rope: (!no_rope(block)).then_some(rope) }
        });
        Ok((blocks.collect(), ropes))
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
                None => bail!("use_sliding_window is true, but there are no layer_types"),
            },
            _ => Ok(vec![false; layers]),
        }
    }

    /// The rotary embedding of blocks that attend to all, and, if it is another, that of windowed
    /// ones.
    fn ropes(&self) -> Result<Vec<Rope>> {
        let (mut full, mut local) = match &self.rope_parameters {
            None => (self.rope_scaling.clone().unwrap_or_default(), None),
            // Version 5 of transformers groups what has to do with rotary embeddings.
            Some(Value::Object(kinds)) if kinds.contains_key("full_attention") => {
                let kind = |name: &str| match kinds.get(name) {
                    None | Some(Value::Null) => Ok(RopeFields::default()),
                    Some(fields) => RopeFields::deserialize(fields),
                };
                (kind("full_attention")?, Some(kind("sliding_attention")?))
            }
            Some(fields) => (RopeFields::deserialize(fields)?, None),
        };
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

    fn ends(&self, more: Option<Ends>) -> Result<Vec<u32>> {
        let ends = self.eos_token_id.iter().chain(&more).flat_map(Ends::ids);
        let mut ends: Vec<u32> = ends.copied().collect();
        ends.sort_unstable();
        ends.dedup();
        if let Some(end) = ends.iter().find(|&&end| end as usize >= self.vocab_size) {
            bail!("the eos_token_id {end} is out of range; vocab_size is {}", self.vocab_size);
        }
        Ok(ends)
    }
}

/// Adds what transformers takes for granted where a `config.json` does not say it.
fn with_defaults(mut fields: Map<String, Value>) -> Result<Map<String, Value>> {
    // The larger Gemma 3 read pictures, too; their decoder is described within.
    if fields.get("model_type").is_some_and(|kind| kind == "gemma3") {
        let ends = fields.remove("eos_token_id");
        let Some(Value::Object(text)) = fields.remove("text_config") else {
            bail!("it is a gemma3 without a text_config")
        };
        fields = text;
        fields.insert("model_type".to_owned(), json!("gemma3_text"));
        if let Some(ends) = ends {
            fields.insert("eos_token_id".to_owned(), ends);
        }
    }
    let kind = fields.get("model_type").and_then(Value::as_str);
    let kind = kind.context("it has no model_type; it is not the config.json of a model")?;
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
        "qwen2" | "qwen3" => json!({ "sliding_window": 4096 }),
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
