//! Files as they are published, which once were refused or read as another model.

use std::fs;

use candle_core::{Device, Tensor, quantized::gguf_file::Value as Gguf};
use serde_json::{Value, json};

use super::support::{agree, complains, distance, encode, gguf_in_folder, loaded, toy};
use concept_mass_models::Loaded;
use concept_mass_tiny::toy::{WINDOW, config, tensors};

/// A model of `architecture`, after `change` to its configuration.
#[track_caller]
fn changed(name: &str, architecture: &str, change: impl FnOnce(&mut Value)) -> Loaded {
    let mut config = config(architecture, true);
    change(&mut config);
    loaded(&toy(&format!("{architecture}-{name}"), &config, &tensors(architecture, true)).dir)
}

#[track_caller]
fn same(architecture: &str, a: impl FnOnce(&mut Value), b: impl FnOnce(&mut Value)) {
    agree(&mut changed("a", architecture, a), &mut changed("b", architecture, b), 0.0);
}

#[track_caller]
fn other(architecture: &str, a: impl FnOnce(&mut Value), b: impl FnOnce(&mut Value)) {
    let distance = distance(&mut changed("a", architecture, a), &mut changed("b", architecture, b));
    assert!(distance > 1e-4, "{distance}");
}

fn as_it_is(_: &mut Value) {}

/// Version 5 of transformers writes both.
#[test]
fn gemma_3_says_its_pattern_twice() {
    same("gemma3_text", as_it_is, |config| config["_sliding_window_pattern"] = json!(2));
}

#[test]
fn what_users_add_as_rope_scaling_goes_before_rope_parameters() {
    let linear = json!({ "rope_type": "linear", "factor": 4.0 });
    let grouped = json!({ "rope_type": "default", "rope_theta": 1e6 });
    let by_kind = json!({ "full_attention": grouped, "sliding_attention": { "rope_theta": 1e4 } });
    for (architecture, parameters) in [("qwen3", grouped), ("gemma3_text", by_kind)] {
        let old = |config: &mut Value| config["rope_scaling"] = linear.clone();
        let new = |config: &mut Value| config["rope_parameters"] = parameters.clone();
        let both = |config: &mut Value| {
            new(config);
            old(config);
        };
        same(architecture, as_it_is, new);
        same(architecture, old, both);
        other(architecture, new, both);
    }
}

#[test]
fn biases_that_an_architecture_has_not_are_not_missed() {
    for architecture in ["qwen2", "mistral", "phi3"] {
        same(architecture, as_it_is, |config| config["attention_bias"] = json!(true));
    }
    for architecture in ["qwen2", "qwen3", "mistral", "gemma2", "olmo2"] {
        same(architecture, as_it_is, |config| config["mlp_bias"] = json!(true));
    }
}

#[test]
fn linear_scaling_makes_room() {
    let scaled = |config: &mut Value| {
        config["rope_scaling"] = json!({ "type": "linear", "factor": 4.0 });
    };
    assert_eq!(changed("linear", "llama", scaled).positions, 4 * 128);
}

#[test]
fn smollm3_has_windows_where_it_has_no_positions() {
    let windowed = |types: Option<Value>| {
        move |config: &mut Value| {
            config["use_sliding_window"] = json!(true);
            config["sliding_window"] = json!(WINDOW);
            types.into_iter().for_each(|types| config["layer_types"] = types);
        }
    };
    // `no_rope_layers` is [1, 0].
    let types = json!(["full_attention", "sliding_attention"]);
    same("smollm3", windowed(None), windowed(Some(types)));
    other("smollm3", as_it_is, windowed(None));
}

#[test]
fn ends_that_are_none() {
    for none in [json!(-1), json!([-1, 9999]), json!(1160)] {
        let ends = changed("ends", "llama", |config| config["eos_token_id"] = none).ends;
        assert_eq!(ends, [0]); // by its name
    }
    let unused = |config: &mut Value| config["sliding_window"] = json!(0);
    same("qwen2", as_it_is, unused);
}

#[test]
fn a_quantised_gemma_3_says_so() {
    let mut text = config("gemma3_text", true);
    text.as_object_mut().unwrap().remove("model_type");
    let whole = json!({
        "model_type": "gemma3",
        "text_config": text,
        "quantization_config": { "quant_method": "bitsandbytes" },
    });
    let toy = toy("quantised", &whole, &tensors("gemma3_text", true));
    complains(&toy.dir, &toy.path("config.json"), &["its weights are quantised"]);
}

#[test]
fn other_architectures_are_named_whatever_else_they_say() {
    for (kind, more) in [("gpt2", "n_embd"), ("mistral3", "text_config"), ("llama4", "text_config")]
    {
        let toy = toy(kind, &json!({ "model_type": kind, more: {} }), &tensors("llama", true));
        let name = format!("the model_type {kind:?} is not one of llama, ");
        complains(&toy.dir, &toy.path("config.json"), &[&name, "inference engine"]);
    }
}

#[test]
fn numbers_that_scale_positions_nowhere() {
    for (fields, said) in [
        (json!({ "rope_type": "yarn", "factor": 4, "beta_fast": -1 }), "beta_fast"),
        (json!({ "rope_type": "yarn", "factor": 4, "attention_factor": 0 }), "attention_factor"),
        (
            json!({
                "rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4,
            }),
            "low_freq_factor is 4",
        ),
    ] {
        let mut config = config("llama", true);
        config["rope_scaling"] = fields;
        let toy = toy("nowhere", &config, &tensors("llama", true));
        complains(&toy.dir, &toy.path("config.json"), &[said]);
    }
    let yarn = |fast: Option<f64>| {
        move |config: &mut Value| {
            config["rope_scaling"] = json!({
                "rope_type": "yarn", "factor": 4, "beta_fast": fast,
            });
        }
    };
    same("llama", yarn(None), yarn(Some(0.0)));
}

#[test]
fn the_whole_file_goes_before_an_index_that_was_left_behind() {
    let toy = toy("stale", &config("llama", true), &tensors("llama", true));
    toy.write(
        "model.safetensors.index.json",
        r#"{"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}}"#,
    );
    loaded(&toy.dir);
}

#[test]
fn an_index_names_files_beside_it() {
    let toy = toy("outside", &config("llama", true), &tensors("llama", true));
    toy.remove("model.safetensors");
    for name in ["../other/model.safetensors", "/model.safetensors", ".."] {
        let index = json!({ "weight_map": { "model.norm.weight": name } });
        toy.write("model.safetensors.index.json", &index.to_string());
        let index = toy.path("model.safetensors.index.json");
        complains(&toy.dir, &index, &[&format!("{name:?}"), "no file beside it"]);
    }
}

#[test]
fn tensors_may_lack_the_prefix_of_the_model() {
    let (config, tensors) = (config("llama", true), tensors("llama", true));
    let mut with = loaded(&toy("with", &config, &tensors).dir);
    let without = tensors
        .into_iter()
        .map(|(name, tensor)| (name.strip_prefix("model.").unwrap_or(&name).to_owned(), tensor));
    let mut without = loaded(&toy("without", &config, &without.collect()).dir);
    agree(&mut with, &mut without, 0.0);
}

/// As many repositories of GGUF files have it.
#[test]
fn a_gguf_file_may_have_the_originals_configuration_beside_it() {
    let (toy, path) = gguf_in_folder("original", "qwen3", |_| {});
    let mut alone = loaded(&path);
    toy.remove("model.safetensors");
    agree(&mut alone, &mut loaded(&toy.dir), 0.0);
    fs::copy(&path, toy.path("other.gguf")).unwrap();
    complains(&toy.dir, &toy.dir, &["several GGUF files", "model.gguf, other.gguf"]);
}

#[test]
fn a_gemma_2_whose_file_says_no_window_has_the_usual_one() {
    let text: Vec<u32> = (0..4200u32).map(|i| i * 37 % 1152).collect();
    let says = |window: Option<u32>| {
        let (_toy, path) = gguf_in_folder(&format!("{window:?}"), "gemma2", |file| {
            file.set("gemma2.context_length", Gguf::U32(8192));
            file.metadata.remove("gemma2.attention.sliding_window");
            if let Some(window) = window {
                file.set("gemma2.attention.sliding_window", Gguf::U32(window));
            }
        });
        let tokens = Tensor::new(&text[..], &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let logits = loaded(&path).model.forward(&tokens, 0).unwrap();
        logits.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    assert_eq!(says(None), says(Some(4096)));
    assert_ne!(says(None), says(Some(8192)));
}

#[test]
fn alignments_of_nothing_are_found_wherever_they_hide() {
    for (first, last, key) in
        [(32, 0, "general.alignment"), (0, 32, "general.alignment"), (32, 0, "general.alignment\0")]
    {
        let (_toy, path) = gguf_in_folder("twice", "llama", |file| {
            file.set("general.alignment", Gguf::U32(first));
            file.set("general.alignmenu", Gguf::U32(last));
            file.set("general.alignmenu2", Gguf::U32(last));
        });
        // Under a key as long as the one that is put in its place.
        let place = if key.len() == 17 { "general.alignmenu" } else { "general.alignmenu2" };
        let bytes = fs::read(&path).unwrap();
        let length = place.len() as u64;
        let place = [&length.to_le_bytes()[..], place.as_bytes()].concat();
        let at = bytes.windows(place.len()).position(|bytes| bytes == place).unwrap();
        let mut changed = bytes.clone();
        changed[at + 8..][..key.len()].copy_from_slice(key.as_bytes());
        fs::write(&path, changed).unwrap();
        complains(&path, &path, &["general.alignment is 0"]);
    }
}

#[test]
fn a_tokenizer_json_of_another_model_is_refused() {
    let tokens = |change: &dyn Fn(usize) -> String| {
        let (toy, path) = gguf_in_folder("foreign", "llama", |file| {
            let tokens = (0..1152).map(|id| Gguf::String(change(id)));
            file.set("tokenizer.ggml.tokens", Gguf::Array(tokens.collect()));
        });
        (toy, path)
    };
    let (toy, path) = tokens(&|id| format!("another {id}"));
    let json = toy.path("tokenizer.json");
    complains(&path, &json, &["another model's: of 1152 tokens, 0 are", "--tokenizer"]);
    let own = tokenizers::Tokenizer::from_file(&json).unwrap();
    let renamed = |id: usize| match id {
        0..5 => format!("reserved {id}"),
        id => own.id_to_token(id as u32).unwrap(),
    };
    let (_toy, path) = tokens(&renamed);
    assert_eq!(encode(&loaded(&path).tokenizer, "<|end|>"), [0]);
}
