//! Models with random weights, small enough to be made anew for each test, in the layouts of
//! Hugging Face.

use std::{collections::HashMap, fs, path::PathBuf};

use candle_core::{DType, Device, Tensor, safetensors};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

/// The width between blocks.
pub const HIDDEN: usize = 32;
const INNER: usize = 48;
const LAYERS: usize = 2;
const HEADS: usize = 4;
/// Fewer than query heads, as in most models of today.
const KEY_HEADS: usize = 2;
/// Of the architectures that have a sliding window.
pub const WINDOW: usize = 8;
/// More than the 1,152 tokens of the tokenizer: the output layer is padded, as many are.
pub const VOCAB_SIZE: usize = 1160;

/// Tensors by name.
pub type Tensors = HashMap<String, Tensor>;

/// A folder that holds a model, or what is left of one.
pub struct Toy {
    /// Where it is.
    pub dir: PathBuf,
}

impl Toy {
    /// A model in one file, in an empty `dir`.
    ///
    /// # Panics
    ///
    /// Like all that is here, where the file system fails: this is for tests.
    pub fn make(dir: PathBuf, config: &Value, tensors: &Tensors) -> Self {
        if dir.exists() {
            fs::remove_dir_all(&dir).unwrap();
        }
        fs::create_dir_all(&dir).unwrap();
        let toy = Self { dir };
        toy.write("tokenizer.json", crate::TOKENIZER);
        toy.write("config.json", &config.to_string());
        safetensors::save(tensors, toy.path("model.safetensors")).unwrap();
        toy
    }

    /// The path of one of its files.
    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// Writes one of its files.
    pub fn write(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).unwrap();
    }

    /// Removes one of its files.
    pub fn remove(&self, file: &str) {
        fs::remove_file(self.path(file)).unwrap();
    }

    /// Splits the weights into two files and an index.
    pub fn shard(&self) {
        let tensors = safetensors::load(self.path("model.safetensors"), &Device::Cpu).unwrap();
        let (early, late): (Tensors, Tensors) =
            tensors.into_iter().partition(|(name, _)| name.contains("layers.0"));
        let mut weight_map = HashMap::new();
        for (i, shard) in [early, late].iter().enumerate() {
            let file = format!("model-{:05}-of-00002.safetensors", i + 1);
            safetensors::save(shard, self.path(&file)).unwrap();
            weight_map.extend(shard.keys().map(|name| (name.clone(), file.clone())));
        }
        self.remove("model.safetensors");
        let index = json!({ "metadata": {}, "weight_map": weight_map });
        self.write("model.safetensors.index.json", &index.to_string());
    }
}

/// A `config.json`.
pub fn config(model_type: &str, tied: bool) -> Value {
    let mut config = json!({
        "model_type": model_type,
        "vocab_size": VOCAB_SIZE,
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_HEADS,
        "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1e6,
        "hidden_act": "silu",
        "eos_token_id": [0, 1],
        "tie_word_embeddings": tied,
    });
    let more = match model_type {
        "qwen2" | "qwen3" => json!({
            "use_sliding_window": false,
            "max_window_layers": LAYERS,
            "sliding_window": 128,
            "attention_bias": false,
        }),
        "mistral" | "phi3" => json!({ "sliding_window": WINDOW }),
        "smollm3" => json!({ "no_rope_layers": [1, 0] }),
        "gemma2" | "gemma3_text" => json!({
            "sliding_window": WINDOW,
            "sliding_window_pattern": 2,
            "query_pre_attn_scalar": head_size(model_type),
            "hidden_activation": "gelu_pytorch_tanh",
            "rope_local_base_freq": 1e4,
        }),
        _ => json!({}),
    };
    if let (Value::Object(config), Value::Object(more)) = (&mut config, more) {
        config.extend(more);
        if head_size(model_type) != HIDDEN / HEADS {
            config.insert("head_dim".into(), json!(head_size(model_type)));
        }
    }
    if model_type == "gemma2" {
        config["attn_logit_softcapping"] = json!(5.0);
        config["final_logit_softcapping"] = json!(3.0);
    }
    config
}

/// Random weights for it, the same ones every time: some draws would have the model say nothing.
pub fn tensors(model_type: &str, tied: bool) -> Tensors {
    let head = head_size(model_type);
    let mut rng = StdRng::seed_from_u64(1);
    let mut tensors = Tensors::new();
    let mut add = |name: String, shape: &[usize]| {
        let weights: Vec<f32> =
            (0..shape.iter().product()).map(|_| rng.random_range(-0.5..0.5)).collect();
        let tensor = Tensor::from_vec(weights, shape, &Device::Cpu).unwrap();
        tensors.insert(name, tensor.to_dtype(DType::BF16).unwrap());
    };
    add("model.embed_tokens.weight".into(), &[VOCAB_SIZE, HIDDEN]);
    add("model.norm.weight".into(), &[HIDDEN]);
    if !tied {
        add("lm_head.weight".into(), &[VOCAB_SIZE, HIDDEN]);
    }
    let norms: &[&str] = match model_type {
        "gemma2" | "gemma3_text" => &[
            "input_layernorm",
            "post_attention_layernorm",
            "pre_feedforward_layernorm",
            "post_feedforward_layernorm",
        ],
        "olmo2" => &["post_attention_layernorm", "post_feedforward_layernorm"],
        _ => &["input_layernorm", "post_attention_layernorm"],
    };
    for layer in 0..LAYERS {
        let block = format!("model.layers.{layer}");
        for norm in norms {
            add(format!("{block}.{norm}.weight"), &[HIDDEN]);
        }
        if model_type == "phi3" {
            let rows = (HEADS + 2 * KEY_HEADS) * head;
            add(format!("{block}.self_attn.qkv_proj.weight"), &[rows, HIDDEN]);
            add(format!("{block}.self_attn.o_proj.weight"), &[HIDDEN, HEADS * head]);
            add(format!("{block}.mlp.gate_up_proj.weight"), &[2 * INNER, HIDDEN]);
            add(format!("{block}.mlp.down_proj.weight"), &[HIDDEN, INNER]);
            continue;
        }
        for (name, rows) in [("q", HEADS * head), ("k", KEY_HEADS * head), ("v", KEY_HEADS * head)]
        {
            add(format!("{block}.self_attn.{name}_proj.weight"), &[rows, HIDDEN]);
            if model_type == "qwen2" {
                add(format!("{block}.self_attn.{name}_proj.bias"), &[rows]);
            }
            let norm = match model_type {
                "qwen3" | "gemma3_text" => head,
                "olmo2" => rows,
                _ => continue,
            };
            if name != "v" {
                add(format!("{block}.self_attn.{name}_norm.weight"), &[norm]);
            }
        }
        add(format!("{block}.self_attn.o_proj.weight"), &[HIDDEN, HEADS * head]);
        add(format!("{block}.mlp.gate_proj.weight"), &[INNER, HIDDEN]);
        add(format!("{block}.mlp.up_proj.weight"), &[INNER, HIDDEN]);
        add(format!("{block}.mlp.down_proj.weight"), &[HIDDEN, INNER]);
    }
    tensors
}

/// Some say it in their configuration; with the others it follows from the hidden size.
fn head_size(model_type: &str) -> usize {
    match model_type {
        "qwen3" | "gemma2" | "gemma3_text" => 16,
        _ => HIDDEN / HEADS,
    }
}
