//! What is said of folders that are unfit, beyond what the tests of the examples have of it, in
//! `examples/tests/example/complaints.rs`.

use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

use super::support::{complains, toy};
use concept_mass_models::load;
use concept_mass_tiny::toy::{Tensors, config, tensors};

/// Asserts that a `config.json` is complained of once `field` is `value`.
#[track_caller]
fn field(architecture: &str, field: &str, value: Value, parts: &[&str]) {
    let mut config = config(architecture, true);
    config[field] = value;
    let toy = toy(&format!("{architecture}-{field}"), &config, &tensors(architecture, true));
    complains(&toy.dir, &toy.path("config.json"), parts);
}

/// Asserts that the weights are complained of after `change`.
#[track_caller]
fn weights(architecture: &str, tied: bool, change: impl FnOnce(&mut Tensors), parts: &[&str]) {
    let mut tensors = tensors(architecture, tied);
    change(&mut tensors);
    let toy = toy(&format!("{architecture}-weights"), &config(architecture, tied), &tensors);
    let parts = [parts, &["take all files from one model"]].concat();
    complains(&toy.dir, &toy.path("config.json"), &parts);
}

#[test]
fn sizes_that_no_model_has() {
    field("qwen2", "num_attention_heads", json!(0), &["num_attention_heads is 0"]);
    field("llama", "num_hidden_layers", json!(0), &["num_hidden_layers is 0", "1 to 4096"]);
    field("qwen3", "num_hidden_layers", json!(1u64 << 60), &["num_hidden_layers is 1152921504"]);
    field("llama", "max_position_embeddings", json!(1u64 << 40), &["max_position_embeddings is"]);
    field("qwen3", "head_dim", json!(15), &["head_dim is 15", "even"]);
    field("llama", "head_dim", json!(16), &["has the shape", "take all files"]);
    field(
        "gemma2",
        "query_pre_attn_scalar",
        json!(0),
        &["query_pre_attn_scalar is 0; it must be a positive number"],
    );
    field("phi3", "partial_rotary_factor", json!(0.9), &["partial_rotary_factor is 0.9"]);
}

/// What a number in a file sizes before the weights are held against it: the list of tensors.
#[test]
fn numbers_that_size_something_have_a_limit() {
    let change = |architecture: &str, fields: &[(&str, usize)], parts: &[&str]| {
        let mut config = config(architecture, true);
        fields.iter().for_each(|&(field, value)| config[field] = json!(value));
        let mut tensors = tensors(architecture, true);
        tensors.remove("model.norm.weight");
        let toy = toy(&format!("{architecture}-limit"), &config, &tensors);
        complains(&toy.dir, &toy.path("config.json"), parts);
    };
    for architecture in ["llama", "qwen2", "qwen3"] {
        for (layers, said) in [
            (4096, "there is no tensor model.layers."),
            (4097, "num_hidden_layers is 4097; it must be 1 to 4096"),
            (1 << 24, "num_hidden_layers is 16777216; it must be 1 to 4096"),
        ] {
            change(architecture, &[("num_hidden_layers", layers)], &[said]);
        }
    }
}

#[test]
fn what_is_for_an_engine() {
    field("llama", "model_type", json!("mixtral"), &["\"mixtral\"", "olmo2", "engine"]);
    field("llama", "hidden_act", json!("gelu"), &["hidden_act is \"gelu\"", "engine"]);
    field("gemma3_text", "use_bidirectional_attention", json!(true), &["encoder"]);
    field("gemma2", "layer_types", json!(["full_attention", "linear_attention"]), &["linear_at"]);
    field("gemma2", "layer_types", json!(["full_attention"]), &["lists 1 layers", "is 2"]);
    field("qwen2", "quantization_config", json!({}), &["weights are quantised", "GGUF"]);
    let scaled = |rope: Value, parts: &[&str]| field("qwen2", "rope_scaling", rope, parts);
    scaled(json!({ "rope_type": "proportional" }), &["\"proportional\" is not known", "engine"]);
    scaled(json!({ "type": "linear" }), &["\"linear\" needs a factor"]);
    scaled(json!({ "type": "linear", "factor": 0.0 }), &["factor", "is 0; it must be positive"]);
    let longrope = |long: &[f64]| json!({ "rope_type": "longrope", "short_factor": [1, 1, 1, 1], "long_factor": long });
    scaled(longrope(&[1.0]), &["long_factor has 1 factors", "4 pairs"]);
    scaled(longrope(&[1.0, 1.0, -1.0, 1.0]), &["factor 2 of long_factor is -1"]);
}

#[test]
fn tensors_of_another_model() {
    let name = "model.layers.0.self_attn.q_proj.bias";
    let bias = |tensors: &mut Tensors| {
        tensors.insert(name.to_owned(), Tensor::zeros(32, DType::F32, &Device::Cpu).unwrap());
    };
    weights("llama", true, bias, &["a llama of these sizes has no tensor", name]);
    let moe = "model.layers.1.mlp.gate.weight";
    let router = |tensors: &mut Tensors| {
        tensors.insert(moe.to_owned(), Tensor::zeros((4, 32), DType::F32, &Device::Cpu).unwrap());
    };
    weights("qwen3", true, router, &[moe]);
}

#[test]
fn tensors_that_are_missing_or_of_another_shape() {
    for architecture in ["llama", "qwen2", "qwen3"] {
        let headless = |tensors: &mut Tensors| drop(tensors.remove("lm_head.weight"));
        weights(architecture, false, headless, &["there is no tensor lm_head.weight"]);
        let name = "model.layers.1.mlp.down_proj.weight";
        let turned = |tensors: &mut Tensors| {
            let turned = tensors[name].t().unwrap().contiguous().unwrap();
            tensors.insert(name.to_owned(), turned);
        };
        weights(architecture, false, turned, &[name, "[48, 32], not [32, 48]"]);
    }
}

#[test]
fn dtypes_that_a_model_cannot_compute_in() {
    for (architecture, dtype, said) in [
        ("llama", DType::F64, "cannot compute in f64; choose f32, f16 or bf16"),
        ("qwen2", DType::U8, "cannot compute in u8; choose f32, f16 or bf16"),
    ] {
        let toy = toy("dtype", &config(architecture, true), &tensors(architecture, true));
        let error = load(&toy.dir, None, &Device::Cpu, Some(dtype)).expect_err(said);
        assert!(format!("{error:#}").contains(said), "{error:#}");
    }
}

#[test]
fn files_beside_the_model() {
    let make = || toy("beside", &config("llama", true), &tensors("llama", true));
    for (file, text, part) in [
        ("generation_config.json", "{", "EOF"),
        ("generation_config.json", r#"{"eos_token_id": "x"}"#, "a generation_config.json"),
        ("tokenizer_config.json", r#"{"chat_template": 1}"#, "a tokenizer_config.json"),
    ] {
        let toy = make();
        toy.write(file, text);
        complains(&toy.dir, &toy.path(file), &[part]);
    }
}
