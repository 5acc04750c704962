//! What the example says of files that are unfit: which file, what is wrong, and what to do.

use std::fs;

use candle_core::{DType, Device, Tensor};
use serde_json::json;

use super::{
    program::{PROMPT, run},
    toy::{Toy, config, tensors},
};

#[test]
fn no_such_folder() {
    let toy = Toy::new("no-folder");
    fs::remove_dir_all(&toy.dir).unwrap();
    toy.complains_of("config.json", &["Hugging Face model", "os error"]);
}

#[test]
fn config_of_no_json() {
    let toy = Toy::new("config-no-json");
    toy.write("config.json", "{\"model_type\": ");
    toy.complains_of("config.json", &["EOF while parsing"]);
}

#[test]
fn config_of_no_object() {
    let toy = Toy::new("config-no-object");
    toy.write("config.json", "[1, 2]");
    toy.complains_of("config.json", &["expected a map"]);
}

#[test]
fn config_without_a_field() {
    let mut config = config("llama", true);
    config.as_object_mut().unwrap().remove("hidden_size");
    let toy = Toy::with("config-field", config, &tensors("llama", true));
    toy.complains_of("config.json", &["missing field `hidden_size`"]);
}

#[test]
fn config_of_an_unsupported_model() {
    let toy = Toy::with("config-gpt2", config("gpt2", true), &tensors("llama", true));
    toy.complains_of(
        "config.json",
        &["\"gpt2\"", "llama, mistral, smollm3, qwen2, qwen3, gemma2, gemma3_text, phi3, olmo2"],
    );
}

#[test]
fn config_without_heads() {
    let mut config = config("qwen3", true);
    config["num_key_value_heads"] = json!(0);
    let toy = Toy::with("config-heads", config, &tensors("qwen3", true));
    toy.complains_of("config.json", &["num_key_value_heads 0"]);
}

#[test]
fn config_of_quantised_weights() {
    let mut config = config("llama", true);
    config["quantization_config"] = json!({ "quant_method": "fp8" });
    let toy = Toy::with("config-quantised", config, &tensors("llama", true));
    toy.complains_of("config.json", &["quantised", "bfloat16"]);
}

#[test]
fn no_tokenizer() {
    let toy = Toy::new("no-tokenizer");
    toy.remove("tokenizer.json");
    toy.complains_of("tokenizer.json", &["there is no", "--tokenizer"]);
}

#[test]
fn tokenizer_that_is_none() {
    let toy = Toy::new("tokenizer-none");
    toy.write("tokenizer.json", "{}");
    toy.complains_of("tokenizer.json", &["must be a Hugging Face tokenizer"]);
}

#[test]
fn tokenizer_of_a_larger_vocabulary() {
    let mut config = config("llama", true);
    config["vocab_size"] = json!(300);
    let mut tensors = tensors("llama", true);
    let embeddings = &tensors["model.embed_tokens.weight"];
    let fewer = embeddings.narrow(0, 0, 300).unwrap().contiguous().unwrap();
    tensors.insert("model.embed_tokens.weight".into(), fewer);
    let toy = Toy::with("tokenizer-larger", config, &tensors);
    toy.complains_of("tokenizer.json", &["1152 tokens", "300", "from one model"]);
}

#[test]
fn no_weights() {
    let toy = Toy::new("no-weights");
    toy.remove("model.safetensors");
    toy.complains_of("model.safetensors", &["os error"]);
}

#[test]
fn weights_cut_short() {
    let toy = Toy::new("weights-cut");
    let weights = fs::read(toy.path("model.safetensors")).unwrap();
    fs::write(toy.path("model.safetensors"), &weights[..weights.len() / 2]).unwrap();
    toy.complains_of("model.safetensors", &["a whole safetensors file"]);
}

#[test]
fn weights_of_another_vocabulary() {
    let mut config = config("llama", true);
    config["vocab_size"] = json!(2000);
    let toy = Toy::with("weights-vocabulary", config, &tensors("llama", true));
    toy.complains_of("config.json", &["model.embed_tokens.weight", "[2000, 32]"]);
}

#[test]
fn weights_without_a_tensor() {
    for model_type in ["llama", "qwen2", "qwen3"] {
        let name = "model.layers.1.mlp.up_proj.weight";
        let mut tensors = tensors(model_type, true);
        tensors.remove(name);
        let toy = Toy::with(&format!("weights-{model_type}"), config(model_type, true), &tensors);
        toy.complains_of("config.json", &[name, "take all files from one model"]);
    }
}

#[test]
fn weights_that_are_no_numbers() {
    let mut tensors = tensors("llama", true);
    let nan = Tensor::new(f32::NAN, &Device::Cpu).unwrap().to_dtype(DType::BF16).unwrap();
    tensors.insert("model.norm.weight".into(), nan.broadcast_as(32).unwrap().contiguous().unwrap());
    let toy = Toy::with("weights-nan", config("llama", true), &tensors);
    assert!(toy.complaint(PROMPT).contains("holds NaN"));
}

#[test]
fn no_shard() {
    let toy = Toy::new("no-shard");
    toy.shard();
    toy.remove("model-00002-of-00002.safetensors");
    toy.complains_of("model-00002-of-00002.safetensors", &["os error"]);
}

#[test]
fn index_that_is_none() {
    let toy = Toy::new("index-none");
    toy.shard();
    toy.write("model.safetensors.index.json", "{}");
    toy.complains_of("model.safetensors.index.json", &["weight_map"]);
}

#[test]
fn no_concept_file() {
    let toy = Toy::new("no-concepts");
    toy.remove("concepts.json");
    toy.complains_of("concepts.json", &["os error"]);
}

/// Asserts that a concept file is complained of, with all of `parts`.
#[track_caller]
fn concepts(test: &str, text: &str, parts: &[&str]) {
    let toy = Toy::new(test);
    toy.write("concepts.json", text);
    toy.complains_of("concepts.json", parts);
}

#[test]
fn concepts_of_no_json() {
    concepts("concepts-no-json", "Moscow: Moscow", &[r#"{"Concept": ["form", "#, "line 1"]);
}

#[test]
fn concepts_of_another_shape() {
    let text = r#"{"Moscow": "Moscow"}"#;
    concepts("concepts-shape", text, &[r#"{"Concept": ["form", "#, "expected a sequence"]);
}

#[test]
fn concept_without_forms() {
    concepts("concept-no-forms", r#"{"Moscow": []}"#, &["\"Moscow\"", "has no forms"]);
}

#[test]
fn empty_form() {
    let text = r#"{"Moscow": ["Moscow", " "]}"#;
    concepts("form-empty", text, &["form 1 of concept \"Moscow\" has no visible character"]);
}

#[test]
fn forms_of_two_concepts_that_begin_with_one_token() {
    let text = r#"{"Smith": ["Adam Smith"], "Lambert": ["Adam Lambert"]}"#;
    concepts(
        "form-shared",
        text,
        &["of \"Smith\"", "of \"Lambert\"", "\" Adam\" begins forms of several"],
    );
}

#[test]
fn a_source_that_there_is_not() {
    for map in [&["embedding:20"][..], &["embedding:x,0.5"], &["spelling", "x"], &["thesaurus"]] {
        let refused = run(["--map"].iter().chain(map));
        let said = format!("error: --map {} is unknown; choose ", map.join(" "));
        assert!(!refused.success && refused.stderr.starts_with(&said), "{}", refused.stderr);
    }
    let refused = run(["--map", "embedding:0,0.5"]).stderr;
    assert!(refused.contains("k = 0 is out of range"), "{refused}");
    let refused = run(["--map", "embedding:5,2"]).stderr;
    assert!(refused.contains("threshold is 2, but must be a cosine"), "{refused}");
}

#[test]
fn aliases_of_a_model_of_the_users_own_must_be_given() {
    let toy = Toy::new("no-aliases");
    let mut args = toy.args(PROMPT);
    args.truncate(4); // without --map
    let refused = run(args).stderr;
    assert!(refused.contains("choose --map `aliases FILE`"), "{refused}");
}

#[test]
fn empty_prompt() {
    let toy = Toy::new("prompt-empty");
    let complaint = toy.complaint("");
    assert!(complaint.contains("the prompt is empty"), "{complaint}");
}

#[test]
fn prompt_too_long() {
    let toy = Toy::new("prompt-long");
    let complaint = toy.complaint(&PROMPT.repeat(10));
    assert!(complaint.contains("reads no more than 128"), "{complaint}");
}
