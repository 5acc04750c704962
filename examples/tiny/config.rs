//! The shape of the tiny Llama, in the words of a Hugging Face `config.json`.

use serde_json::{Value, json};

use crate::vocabulary::Vocabulary;

/// A million parameters: two megabytes in half precision.
pub fn config(vocabulary: &Vocabulary) -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "torch_dtype": "float16",
        "vocab_size": vocabulary.size(),
        "eos_token_id": vocabulary.end,
        "hidden_act": "silu",
        "hidden_size": 128,
        "intermediate_size": 352,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": true,
    })
}
