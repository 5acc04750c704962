//! The tokens that end an answer, by what the files list and by their names.

use candle_core::quantized::gguf_file::Value;
use serde_json::{Value as Json, json};
use tokenizers::{AddedToken, Tokenizer};

use super::support::{gguf_in_folder, loaded, toy};
use concept_mass_tiny::{
    TOKENIZER,
    toy::{Toy, config, tensors},
};

/// The tiny tokenizer, with special tokens called `names` behind its own, of which the first is
/// `<|end|>`.
fn tokenizer(names: &[&str]) -> String {
    let mut tokenizer = Tokenizer::from_bytes(TOKENIZER).unwrap();
    let names = names.iter().map(|name| AddedToken::from(*name, true));
    tokenizer.add_special_tokens(names.collect::<Vec<_>>()).unwrap();
    tokenizer.to_string(false).unwrap()
}

/// A model that lists `eos_token_id`, with a tokenizer that knows `names`.
fn model(eos_token_id: Json, names: &[&str]) -> Toy {
    let mut config = config("llama", true);
    config["eos_token_id"] = eos_token_id;
    let toy = toy("ends", &config, &tensors("llama", true));
    toy.write("generation_config.json", "{}");
    toy.write("tokenizer.json", &tokenizer(names));
    toy
}

#[test]
fn a_llama_3_that_lists_the_end_of_texts_alone_ends_its_turns() {
    let names = ["<|end_of_text|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"];
    let toy = model(json!(1152), &names);
    assert_eq!(loaded(&toy.dir).ends, [0, 1152, 1153, 1154]);
}

#[test]
fn what_the_tokenizers_configuration_calls_eos_is_an_end() {
    let toy = model(json!(0), &["<stop>"]);
    assert_eq!(loaded(&toy.dir).ends, [0]);
    toy.write("tokenizer_config.json", r#"{"eos_token": {"content": "<stop>"}}"#);
    assert_eq!(loaded(&toy.dir).ends, [0, 1152]);
    toy.write("tokenizer_config.json", r#"{"eos_token": "<|end|>", "chat_template": "x"}"#);
    assert_eq!(loaded(&toy.dir).ends, [0]);
    assert_eq!(loaded(&toy.dir).chat.unwrap().eos.as_deref(), Some("<|end|>"));
}

#[test]
fn a_gguf_file_has_the_same_ends() {
    let (toy, path) = gguf_in_folder("ends", "llama", |file| {
        file.set("tokenizer.ggml.eos_token_id", Value::U32(1153));
        file.set("tokenizer.ggml.eot_token_id", Value::U32(7));
    });
    toy.write("tokenizer.json", &tokenizer(&["<|im_start|>", "<|endoftext|>", "<|im_end|>"]));
    assert_eq!(loaded(&path).ends, [0, 7, 1153, 1154]);
}
