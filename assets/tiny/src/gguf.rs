//! GGUF files of toy models, made by what llama.cpp says of them.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use candle_core::{
    DType, Device, Tensor,
    quantized::{
        GgmlDType, QTensor,
        gguf_file::{self, Value},
    },
};
use serde_json::Value as Json;

use crate::toy::Tensors;

/// What is to be in a file.
pub struct GgufFile {
    /// What the file says of the model.
    pub metadata: BTreeMap<String, Value>,
    /// By the names that llama.cpp gives them.
    pub tensors: BTreeMap<String, Tensor>,
    /// Of matrices whose rows fit it.
    pub dtype: GgmlDType,
}

impl GgufFile {
    /// The model that `config` and `tensors`, in the words of Hugging Face, are.
    pub fn new(config: &Json, tensors: &Tensors, dtype: GgmlDType) -> Self {
        let model_type = config["model_type"].as_str().unwrap();
        let architecture = match model_type {
            "mistral" => "llama",
            "gemma3_text" => "gemma3",
            other => other,
        };
        let size = |field: &str| config[field].as_u64().unwrap() as u32;
        let mut metadata = BTreeMap::new();
        let mut set = |key: &str, value| metadata.insert(format!("{architecture}.{key}"), value);
        set("block_count", Value::U32(size("num_hidden_layers")));
        set("embedding_length", Value::U64(size("hidden_size").into()));
        set("feed_forward_length", Value::I32(size("intermediate_size") as i32));
        set("context_length", Value::U16(size("max_position_embeddings") as u16));
        set("attention.head_count", Value::U8(size("num_attention_heads") as u8));
        set("attention.head_count_kv", Value::I64(size("num_key_value_heads").into()));
        let epsilon = config["rms_norm_eps"].as_f64().unwrap();
        set("attention.layer_norm_rms_epsilon", Value::F32(epsilon as f32));
        set("rope.freq_base", Value::F32(config["rope_theta"].as_f64().unwrap() as f32));
        if config["head_dim"].is_u64() {
            set("attention.key_length", Value::U32(size("head_dim")));
            set("attention.value_length", Value::U32(size("head_dim")));
        }
        if config["sliding_window"].is_u64() && !model_type.starts_with("qwen") {
            set("attention.sliding_window", Value::U32(size("sliding_window")));
        }
        if config["sliding_window_pattern"].is_u64() {
            set("attention.sliding_window_pattern", Value::U32(size("sliding_window_pattern")));
        }
        for cap in ["attn_logit_softcapping", "final_logit_softcapping"] {
            if let Some(value) = config[cap].as_f64() {
                set(cap, Value::F32(value as f32));
            }
        }
        metadata.insert("general.architecture".into(), Value::String(architecture.into()));

        let heads = [("q_proj", "num_attention_heads"), ("k_proj", "num_key_value_heads")];
        let tensors = tensors.iter().map(|(name, tensor)| {
            let permuted = heads.iter().find(|(part, _)| {
                ["llama", "smollm3"].contains(&architecture)
                    && name.ends_with(&format!("{part}.weight"))
            });
            let tensor = match permuted {
                Some((_, heads)) => permute(tensor, size(heads) as usize),
                // What Gemma's norms store is their distance from 1; llama.cpp's file has them.
                None if architecture.starts_with("gemma") && name.ends_with("norm.weight") => {
                    (tensor.to_dtype(DType::F32).unwrap() + 1.0).unwrap()
                }
                None => tensor.clone(),
            };
            (llama_cpp_name(name, architecture), tensor)
        });
        Self { metadata, tensors: tensors.collect(), dtype }
    }

    /// Sets a value of the metadata.
    pub fn set(&mut self, key: &str, value: Value) {
        self.metadata.insert(key.to_owned(), value);
    }

    /// Writes the file.
    ///
    /// # Panics
    ///
    /// Where the file system fails: this is for tests.
    pub fn write(&self, path: &Path) {
        let tensors: Vec<_> = self
            .tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), quantized(tensor, self.dtype)))
            .collect();
        let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
        let metadata: Vec<_> = self.metadata.iter().map(|(key, v)| (key.as_str(), v)).collect();
        let mut file = BufWriter::new(File::create(path).unwrap());
        gguf_file::write(&mut file, &metadata, &tensors).unwrap();
        file.flush().unwrap();
    }
}

/// As llama.cpp's quantiser does it: vectors stay as they are, and what a type does not fit has a
/// wider one.
pub fn quantized(tensor: &Tensor, dtype: GgmlDType) -> QTensor {
    let columns = *tensor.dims().last().unwrap();
    let dtype = match dtype {
        _ if tensor.rank() < 2 => GgmlDType::F32,
        dtype if !columns.is_multiple_of(dtype.block_size()) => GgmlDType::F16,
        dtype => dtype,
    };
    QTensor::quantize(tensor, dtype).unwrap()
}

/// The order that llama.cpp's rotary embeddings want the rows of a Llama's queries and keys in: of
/// each head a row of the first half, and one of the second, in turn.
fn permute(tensor: &Tensor, heads: usize) -> Tensor {
    let rows = tensor.dims()[0];
    let head = rows / heads;
    let from = |row: usize| {
        let (first, place) = (row / head * head, row % head);
        (first + place % 2 * (head / 2) + place / 2) as u32
    };
    let order = Tensor::from_iter((0..rows).map(from), &Device::Cpu).unwrap();
    tensor.index_select(&order, 0).unwrap()
}

fn llama_cpp_name(name: &str, architecture: &str) -> String {
    let mut name = name.to_owned();
    // Where it is after attention, and not before what follows.
    if architecture.starts_with("gemma") || architecture == "olmo2" {
        name = name.replace("post_attention_layernorm", "post_attention_norm");
    }
    for (theirs, ours) in [
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("model.layers", "blk"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("pre_feedforward_layernorm", "ffn_norm"),
        ("post_feedforward_layernorm", "post_ffw_norm"),
        ("self_attn.qkv_proj", "attn_qkv"),
        ("mlp.gate_up_proj", "ffn_up"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ] {
        name = name.replace(theirs, ours);
    }
    name
}
