//! What a Hugging Face `config.json` says of a model.

use anyhow::{Result, bail, ensure};
use candle_transformers::models::{
    llama::{self, LlamaConfig, LlamaEosToks},
    qwen2, qwen3,
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value, json};

use super::layout::{Extras, Layout, Sizes};

/// No model is larger in any direction, and candle counts positions in `f32`, up to here.
const LARGEST: usize = 1 << 24;

/// No model has more blocks. There is a list of all tensors before one is read, and a file's number
/// must not set its length.
const MOST_LAYERS: usize = 4096;

/// The most angles of rotary embeddings, one for each position and each pair of a head's columns:
/// candle computes them all before it reads a token, and has half a gigabyte each of sines and of
/// cosines here. A million positions of a head of 256 are as many.
const MOST_ANGLES: usize = 1 << 27;

/// A model, as candle wants to be told of it, and what its user must know.
pub struct Config {
    /// For candle.
    pub architecture: Architecture,
    /// The tensors that it has.
    pub layout: Layout,
    /// The width of the logits, which may exceed the number of tokens that the tokenizer knows.
    pub vocab_size: usize,
    /// The most tokens that a prompt and its answer may have together.
    pub positions: usize,
    /// The tokens that end an answer, in order.
    pub ends: Vec<u32>,
}

/// The models of candle-transformers that are used, as these want to be told.
pub enum Architecture {
    /// Llama 2 and 3.
    Llama(llama::Config),
    /// Qwen2 and Qwen2.5.
    Qwen2(qwen2::Config),
    /// Qwen3 without experts.
    Qwen3(qwen3::Config),
}

/// The fields that matter whatever the architecture.
#[derive(Deserialize)]
struct Common {
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    max_position_embeddings: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    hidden_act: Option<String>,
    attention_bias: Option<bool>,
    tie_word_embeddings: bool,
    rope_scaling: Option<IgnoredAny>,
    use_sliding_window: Option<bool>,
    sliding_window: Option<usize>,
    eos_token_id: Option<LlamaEosToks>,
    quantization_config: Option<IgnoredAny>,
}

impl Config {
    /// Reads the fields of a `config.json`; answers end with `more_ends`, too.
    pub fn parse(mut fields: Map<String, Value>, more_ends: Option<LlamaEosToks>) -> Result<Self> {
        translate(&mut fields);
        let value = Value::Object(fields);
        let common = Common::deserialize(&value)?;
        let mut extras =
            Extras { tied: common.tie_word_embeddings, biases: &[], head_norms: false };
        let architecture = match common.model_type.as_str() {
            "llama" => {
                common.check()?;
                Architecture::Llama(LlamaConfig::deserialize(&value)?.into_config(false))
            }
            "qwen2" => {
                common.check()?;
                extras.biases = &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
                Architecture::Qwen2(Deserialize::deserialize(&value)?)
            }
            "qwen3" => {
                common.check()?;
                extras.head_norms = true;
                if common.attention_bias == Some(true) {
                    extras.biases = &[
                        "self_attn.q_proj",
                        "self_attn.k_proj",
                        "self_attn.v_proj",
                        "self_attn.o_proj",
                    ];
                }
                Architecture::Qwen3(Deserialize::deserialize(&value)?)
            }
            other => bail!(
                "the model_type {other:?} is not one of llama, qwen2 and qwen3; choose a model of \
                 one of these"
            ),
        };
        Ok(Self {
            architecture,
            layout: Layout::new(&common.model_type, &common.sizes(), &extras),
            vocab_size: common.vocab_size,
            positions: common.positions(),
            ends: common.ends(more_ends)?,
        })
    }
}

impl Common {
    /// Refuses what candle's models would panic for, or silently misread.
    fn check(&self) -> Result<()> {
        let heads = self.num_attention_heads;
        let shared = self.key_heads();
        ensure!(
            heads > 0 && shared > 0 && heads.is_multiple_of(shared),
            "num_attention_heads is {heads}, num_key_value_heads {shared}; the first must be a \
             multiple of the second"
        );
        let head = self.head();
        let most_positions = LARGEST.min(MOST_ANGLES / (head / 2).max(1));
        for (name, size, most) in [
            ("vocab_size", self.vocab_size, LARGEST),
            ("hidden_size", self.hidden_size, LARGEST),
            ("intermediate_size", self.intermediate_size, LARGEST),
            ("num_hidden_layers", self.num_hidden_layers, MOST_LAYERS),
            ("num_attention_heads", heads, LARGEST),
            ("head_dim", head, LARGEST),
            ("max_position_embeddings", self.max_position_embeddings, most_positions),
        ] {
            ensure!((1..=most).contains(&size), "{name} is {size}; it must be 1 to {most}");
        }
        ensure!(
            self.model_type == "qwen3" || head * heads == self.hidden_size,
            "hidden_size is {}, not that of {heads} heads of {head}, which is all that candle's \
             {} knows",
            self.hidden_size,
            self.model_type
        );
        ensure!(head.is_multiple_of(2), "head_dim is {head}; rotary embeddings need an even one");
        ensure!(
            self.quantization_config.is_none(),
            "its weights are quantised; choose the model's version in bfloat16, float16 or float32, \
             or as GGUF"
        );
        let act = self.hidden_act.as_deref().unwrap_or("silu");
        ensure!(
            self.model_type != "llama" || act == "silu",
            "hidden_act is {act:?}; candle's llama knows silu alone"
        );
        // candle would read them as if it were not there.
        ensure!(
            self.model_type == "llama" || self.rope_scaling.is_none(),
            "it has rope_scaling, which candle's {} does not know; remove it, if all that is read \
             fits into the positions that the model was trained with",
            self.model_type
        );
        Ok(())
    }

    fn key_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    fn head(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            vocab: self.vocab_size,
            hidden: self.hidden_size,
            inner: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            key_heads: self.key_heads(),
            head: self.head(),
        }
    }

    /// Within a sliding window all models attend to all: candle has it in every block, or nowhere.
    fn positions(&self) -> usize {
        let window = self.sliding_window.filter(|_| self.use_sliding_window == Some(true));
        self.max_position_embeddings.min(window.unwrap_or(usize::MAX))
    }

    fn ends(&self, more: Option<LlamaEosToks>) -> Result<Vec<u32>> {
        let mut ends = Vec::new();
        for some in self.eos_token_id.iter().chain(&more) {
            match some {
                LlamaEosToks::Single(end) => ends.push(*end),
                LlamaEosToks::Multiple(some) => ends.extend(some),
            }
        }
        ends.sort_unstable();
        ends.dedup();
        if let Some(end) = ends.iter().find(|&&end| end as usize >= self.vocab_size) {
            bail!("the eos_token_id {end} is out of range; vocab_size is {}", self.vocab_size);
        }
        Ok(ends)
    }
}

/// Says in the words that candle knows what newer versions of transformers say in others.
fn translate(config: &mut Map<String, Value>) {
    // Version 5 groups what has to do with rotary embeddings.
    if let Some(rope @ Value::Object(_)) = config.remove("rope_parameters") {
        if let Some(theta) = rope.get("rope_theta") {
            config.insert("rope_theta".to_owned(), theta.clone());
        }
        config.insert("rope_scaling".to_owned(), rope);
    }
    let plain = |rope: &Value| rope.get("rope_type").is_some_and(|kind| kind == "default");
    if config.get("rope_scaling").is_some_and(plain) {
        config.remove("rope_scaling");
    }
    // candle's Qwen2 and Qwen3 want to be told even what is not so.
    let layers = config.get("num_hidden_layers").cloned().unwrap_or_default();
    for (name, usual) in [
        ("tie_word_embeddings", json!(false)),
        ("use_sliding_window", json!(false)),
        ("attention_bias", json!(false)),
        ("max_window_layers", layers),
    ] {
        config.entry(name).or_insert(usual);
    }
    // candle's Qwen2 has its window in use whatever else is said, and wants one.
    let windowed = config.get("use_sliding_window").is_some_and(|used| used == true);
    let unlimited = config.get("max_position_embeddings").cloned().unwrap_or_default();
    let window = config.entry("sliding_window").or_insert(Value::Null);
    if window.is_null() || !windowed {
        *window = unlimited;
    }
}
