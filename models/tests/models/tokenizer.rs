//! The tokenizer that a GGUF file brings, and what it says of chats.

use std::path::PathBuf;

use candle_core::quantized::gguf_file::Value;
use serde_json::Value as Json;

use concept_mass_models::Chat;
use concept_mass_tiny::{TOKENIZER, toy::Toy};
use tokenizers::Tokenizer;

use concept_mass_tiny::gguf::GgufFile;

use super::support::{complains, encode, gguf_in_folder, loaded};

/// Tokens beyond those of `assets/tiny`, and the merges that make them; nothing makes the last.
const MORE: [&str; 6] = ["12", "123", "45", "12345", "<|begin|>", "Zyx"];
const MERGES: [&str; 4] = ["1 2", "12 3", "4 5", "123 45"];
/// The ids of some of them.
const BEGIN: u32 = 1156;
const ZYX: u32 = 1157;

/// A file with that tokenizer in its metadata, which cuts text as `pre` says, and none beside it.
fn file(pre: &str, change: impl FnOnce(&mut GgufFile)) -> (Toy, PathBuf) {
    let strings = |texts: Vec<String>| Value::Array(texts.into_iter().map(Value::String).collect());
    let (toy, path) = gguf_in_folder("tokenizer", "llama", |file| {
        let tokenizer: Json = serde_json::from_str(TOKENIZER).unwrap();
        let vocabulary = tokenizer["model"]["vocab"].as_object().unwrap();
        let mut tokens = vec![String::new(); vocabulary.len()];
        for (token, id) in vocabulary {
            tokens[id.as_u64().unwrap() as usize] = token.clone();
        }
        tokens.extend(MORE.map(str::to_owned));
        let merges = tokenizer["model"]["merges"].as_array().unwrap().iter();
        let mut merges: Vec<String> = merges
            .map(|merge| match merge {
                Json::Array(pair) => {
                    format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap())
                }
                merge => merge.as_str().unwrap().to_owned(),
            })
            .collect();
        merges.extend(MERGES.map(str::to_owned));
        let is_special = |id: usize| id == 0 || id == BEGIN as usize;
        let types = (0..tokens.len()).map(|id| Value::I32(if is_special(id) { 3 } else { 1 }));
        file.set("tokenizer.ggml.token_type", Value::Array(types.collect()));
        file.set("tokenizer.ggml.model", Value::String("gpt2".to_owned()));
        file.set("tokenizer.ggml.pre", Value::String(pre.to_owned()));
        file.set("tokenizer.ggml.tokens", strings(tokens));
        file.set("tokenizer.ggml.merges", strings(merges));
        file.set("tokenizer.ggml.eos_token_id", Value::U32(0));
        file.set("tokenizer.ggml.bos_token_id", Value::U32(BEGIN));
        change(file);
    });
    toy.remove("tokenizer.json");
    (toy, path)
}

fn tokenizer(pre: &str, change: impl FnOnce(&mut GgufFile)) -> Tokenizer {
    loaded(&file(pre, change).1).tokenizer
}

/// The tokens of a prompt, with those that begin it.
fn prompt(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode(text, true).unwrap().get_ids().to_vec()
}

#[test]
fn gpt2s_way_is_that_of_the_tokenizer_json() {
    let json = Tokenizer::from_bytes(TOKENIZER).unwrap();
    for pre in ["gpt-2", "gpt2"] {
        let metadata = tokenizer(pre, |_| {});
        for text in [
            "Q: Which cathedral did Ivan the Terrible build on Red Square?\nA:",
            "Saint Basil's",
            "  two  spaces\t\n\nand lines ",
            "é, 東京 and 🎉",
            "one<|end|>two",
            "",
        ] {
            assert_eq!(encode(&metadata, text), encode(&json, text), "{text:?}");
            let tokens = prompt(&metadata, text);
            assert_eq!(tokens, prompt(&json, text), "{text:?}");
            assert_eq!(
                metadata.decode(&tokens, false).unwrap(),
                json.decode(&tokens, false).unwrap()
            );
        }
    }
}

#[test]
fn each_way_cuts_numbers_differently() {
    let texts = |pre: &str| {
        let tokenizer = tokenizer(pre, |_| {});
        let tokens = encode(&tokenizer, "12345");
        let texts = tokens.iter().map(|&token| tokenizer.decode(&[token], false).unwrap());
        texts.collect::<Vec<_>>()
    };
    assert_eq!(texts("gpt-2"), ["12345"]);
    assert_eq!(texts("llama-bpe"), ["123", "45"]);
    assert_eq!(texts("llama3"), ["123", "45"]);
    assert_eq!(texts("qwen2"), ["1", "2", "3", "4", "5"]);
}

#[test]
fn llama_3_begins_prompts_and_takes_whole_words_unless_the_file_says_otherwise() {
    let usual = tokenizer("llama-bpe", |_| {});
    assert_eq!(prompt(&usual, "Zyx"), [BEGIN, ZYX]);
    assert_eq!(encode(&usual, "Zyx"), [ZYX]);
    let otherwise = tokenizer("llama-bpe", |file| {
        file.set("tokenizer.ggml.add_bos_token", Value::Bool(false));
        file.set("tokenizer.ggml.ignore_merges", Value::Bool(false));
    });
    let tokens = prompt(&otherwise, "Zyx");
    assert!(tokens.len() > 1 && tokens[0] != BEGIN, "{tokens:?}");
    assert!(!prompt(&tokenizer("qwen2", |_| {}), "Zyx").contains(&BEGIN));
}

#[test]
fn a_tokenizer_json_beside_the_file_comes_first() {
    let (toy, path) = file("unheard-of", |_| {});
    toy.write("tokenizer.json", TOKENIZER);
    assert!(prompt(&loaded(&path).tokenizer, "12345").len() > 1);
}

#[test]
fn tokenizers_that_cannot_be_read() {
    let text = |text: &str| Value::String(text.to_owned());
    let refused = |pre: &str, change: &dyn Fn(&mut GgufFile), part: &str| {
        let (_toy, path) = file(pre, change);
        complains(&path, &path, &[part, "put the model's tokenizer.json beside", "--tokenizer"]);
    };
    refused("deepseek-llm", &|_| {}, "(tokenizer.ggml.pre) as \"deepseek-llm\"");
    refused("", &|file| drop(file.metadata.remove("tokenizer.ggml.pre")), "as \"none\"");
    let spm = |file: &mut GgufFile| file.set("tokenizer.ggml.model", text("llama"));
    refused("default", &spm, "(tokenizer.ggml.model) is \"llama\"");
    let none = |file: &mut GgufFile| drop(file.metadata.remove("tokenizer.ggml.model"));
    refused("llama-bpe", &none, "is \"none\"");
    let merges = |file: &mut GgufFile| {
        file.set("tokenizer.ggml.merges", Value::Array(vec![text("nothing")]));
    };
    refused("qwen2", &merges, "invalid merge entry");
    let tokens = |file: &mut GgufFile| drop(file.metadata.remove("tokenizer.ggml.tokens"));
    refused("qwen2", &tokens, "tokenizer.ggml.tokens");
    let larger = |file: &mut GgufFile| {
        if let Some(Value::Array(tokens)) = file.metadata.get_mut("tokenizer.ggml.tokens") {
            tokens.extend(["a!", "b!", "c!"].map(text));
        }
    };
    refused("qwen2", &larger, "1160");
}

#[test]
fn a_chat_template_comes_with_the_texts_of_its_tokens() {
    let (_toy, path) = file("gpt-2", |file| {
        file.set("tokenizer.chat_template", Value::String("{{ x }}".to_owned()));
    });
    let expected = Chat {
        template: "{{ x }}".to_owned(),
        bos: Some("<|begin|>".to_owned()),
        eos: Some("<|end|>".to_owned()),
    };
    assert_eq!(loaded(&path).chat, Some(expected));

    let (_toy, path) = file("gpt-2", |file| {
        file.set("tokenizer.chat_template", Value::String("{{ x }}".to_owned()));
        file.set("tokenizer.ggml.bos_token_id", Value::U32(5000));
    });
    complains(&path, &path, &["tokenizer.ggml.bos_token_id is 5000", "1158 tokens"]);
}
