//! Every layout of model that a user may bring.

use serde_json::{Value, json};

use super::{
    program::{PROMPT, succeed},
    toy::{Toy, config, tensors},
};

/// Asserts that a model answers, and answers alike from one file and from several.
fn answers(model_type: &str, tied: bool) {
    let test = format!("{model_type}-{}", if tied { "tied" } else { "untied" });
    let toy = Toy::with(&test, config(model_type, tied), &tensors(model_type, tied));
    let page = succeed(toy.args(PROMPT));
    for what in ["tokens", "meanings"] {
        let (_, answer) = page.split_once(&format!("Counting {what}, it answers: ")).expect(&page);
        let answer = answer.lines().next().unwrap_or_default();
        assert!(!answer.trim().is_empty(), "{page}");
    }
    toy.shard();
    assert_eq!(succeed(toy.args(PROMPT)), page);
}

#[test]
fn llama() {
    answers("llama", false);
}

#[test]
fn llama_with_tied_embeddings() {
    answers("llama", true);
}

#[test]
fn qwen2() {
    answers("qwen2", false);
}

#[test]
fn qwen2_with_tied_embeddings() {
    answers("qwen2", true);
}

#[test]
fn qwen3() {
    answers("qwen3", false);
}

#[test]
fn qwen3_with_tied_embeddings() {
    answers("qwen3", true);
}

/// Asserts that `change` to the configuration changes nothing.
fn changes_nothing(model_type: &str, change: impl FnOnce(&mut Value)) {
    let mut config = config(model_type, true);
    let toy = Toy::with(&format!("{model_type}-v5"), config.clone(), &tensors(model_type, true));
    let page = succeed(toy.args(PROMPT));
    change(&mut config);
    toy.write("config.json", &config.to_string());
    assert_eq!(succeed(toy.args(PROMPT)), page);
}

/// As version 5 of transformers writes it.
fn group_rope(config: &mut Value) {
    let theta = config["rope_theta"].take();
    config["rope_parameters"] = json!({ "rope_theta": theta, "rope_type": "default" });
}

#[test]
fn llama_of_transformers_5() {
    changes_nothing("llama", |config| {
        group_rope(config);
        config.as_object_mut().unwrap().remove("rope_theta");
    });
}

#[test]
fn qwen2_without_a_window() {
    changes_nothing("qwen2", |config| {
        group_rope(config);
        config["sliding_window"] = Value::Null;
    });
}
