//! What a model is: one description, from a Hugging Face `config.json` or from the metadata of a
//! GGUF file. All that is special to an architecture stands here; the decoder knows no names.

mod fields;

use anyhow::{Result, anyhow};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::decoder::rope::Rope;
pub use fields::Ends;
use fields::{Fields, with_defaults};

/// No model is larger in any direction, and `f32` counts positions up to here.
pub const LARGEST: usize = 1 << 24;

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
    /// The tokens that end an answer, as the files list them.
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

/// What is said of another architecture, whatever else its description has.
fn unknown(model_type: &str) -> anyhow::Error {
    anyhow!(
        "the model_type {model_type:?} is not one of {}; choose a model of one of these, or run it \
         in an inference engine (vLLM, llama.cpp)",
        KNOWN.join(", ")
    )
}

impl Config {
    /// Reads the fields of a `config.json`; answers end with `more_ends`, too.
    pub fn parse(fields: Map<String, Value>, more_ends: Option<Ends>) -> Result<Self> {
        let fields = Fields::deserialize(Value::Object(with_defaults(fields)?))?;
        fields.check()?;
        let mut config = fields.plain(more_ends)?;
        match fields.model_type.as_str() {
            "llama" | "smollm3" => config.biases.mlp = fields.mlp_bias == Some(true),
            // Of some, the code has biases or not, whatever the configuration says.
            "mistral" => config.biases = Biases::default(),
            "qwen2" => config.biases = Biases { inputs: true, ..Biases::default() },
            "qwen3" => config.head_norms = HeadNorms::Each,
            "phi3" => {
                config.biases = Biases::default();
                config.fused = true;
            }
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
            other => return Err(unknown(other)),
        }
        Ok(config)
    }
}
