//! The folders of Hugging Face models.

use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

use super::support::{ARCHITECTURES, agree, distance, encode, loaded, logits, toy};
use concept_mass_models::load;
use concept_mass_tiny::toy::{HIDDEN, VOCAB_SIZE, config, tensors};

#[test]
fn every_layout_is_a_model() {
    for architecture in ARCHITECTURES {
        for tied in [true, false] {
            let test = format!("{architecture}-{tied}");
            let toy = toy(&test, &config(architecture, tied), &tensors(architecture, tied));
            let mut whole = loaded(&toy.dir);
            assert_eq!(whole.vocab_size, VOCAB_SIZE);
            assert_eq!(whole.architecture, architecture);
            assert_eq!(whole.stored_as, [("BF16".to_owned(), whole.num_parameters)].into());
            let embedding = whole.model.embedding().unwrap();
            assert_eq!(embedding.dims(), [VOCAB_SIZE, HIDDEN]);
            assert_eq!(embedding.dtype(), DType::F32);
            assert_eq!(whole.positions, 128);
            assert_eq!(whole.ends, [0, 1]);
            assert_eq!(whole.chat, None);
            toy.shard();
            agree(&mut whole, &mut loaded(&toy.dir), 0.0);
        }
    }
}

#[test]
fn a_copy_has_a_cache_of_its_own() {
    for architecture in ARCHITECTURES {
        let tensors = tensors(architecture, true);
        let toy = toy(&format!("{architecture}-copy"), &config(architecture, true), &tensors);
        let mut model = loaded(&toy.dir).model;
        let tokens = |tokens: &[u32]| Tensor::new(tokens, &Device::Cpu).unwrap().unsqueeze(0);
        let says = |model: &mut concept_mass_models::Model, next: u32| -> Vec<f32> {
            let logits = model.forward(&tokens(&[next]).unwrap(), 3).unwrap();
            logits.flatten_all().unwrap().to_vec1().unwrap()
        };
        model.forward(&tokens(&[1, 2, 3]).unwrap(), 0).unwrap();
        let mut copies = [model.clone(), model.clone()];
        let first = says(&mut copies[0], 4);
        assert_ne!(says(&mut copies[1], 5), first);
        assert_eq!(says(&mut model, 4), first);
    }
}

#[test]
fn a_model_computes_in_the_dtype_that_is_asked_for() {
    for architecture in ARCHITECTURES {
        let test = format!("{architecture}-half");
        let toy = toy(&test, &config(architecture, false), &tensors(architecture, false));
        let mut exact = loaded(&toy.dir);
        for (dtype, tolerance) in [(DType::F32, 0.0), (DType::F16, 0.03), (DType::BF16, 0.25)] {
            let mut half = load(&toy.dir, None, &Device::Cpu, Some(dtype)).unwrap();
            assert_eq!(half.model.dtype(), dtype);
            agree(&mut half, &mut exact, tolerance);
        }
    }
}

#[test]
fn a_tokenizer_from_elsewhere() {
    let toy = toy("tokenizer", &config("llama", true), &tensors("llama", true));
    std::fs::rename(toy.path("tokenizer.json"), toy.path("other.json")).unwrap();
    let other = toy.path("other.json");
    let loaded = load(&toy.dir, Some(&other), &Device::Cpu, None).unwrap();
    assert_eq!(encode(&loaded.tokenizer, "<|end|>"), [0]);
}

/// And the tokenizer has 0, `<|end|>`.
#[test]
fn what_ends_an_answer_is_in_two_files() {
    for (config_says, generation_says, ends) in [
        (json!(7), json!({ "eos_token_id": [9, 7, 8] }), &[0, 7, 8, 9][..]),
        (json!([2, 1]), json!({ "eos_token_id": 1 }), &[0, 1, 2]),
        (json!(3), json!({ "temperature": 0.6 }), &[0, 3]),
        (Value::Null, json!({ "eos_token_id": 4 }), &[0, 4]),
        (Value::Null, json!({ "eos_token_id": null }), &[0]),
    ] {
        let mut config = config("llama", true);
        config["eos_token_id"] = config_says;
        let toy = toy("ends", &config, &tensors("llama", true));
        toy.write("generation_config.json", &generation_says.to_string());
        assert_eq!(loaded(&toy.dir).ends, ends);
    }
}

/// Asserts that `change` to the configuration changes nothing.
#[track_caller]
fn changes_nothing(architecture: &str, change: impl FnOnce(&mut Value)) {
    let mut config = config(architecture, true);
    let tensors = tensors(architecture, true);
    let mut before = loaded(&toy(&format!("{architecture}-before"), &config, &tensors).dir);
    change(&mut config);
    let mut after = loaded(&toy(&format!("{architecture}-after"), &config, &tensors).dir);
    agree(&mut before, &mut after, 0.0);
}

#[test]
fn a_window_that_is_not_in_use_limits_nothing() {
    changes_nothing("qwen2", |config| config["sliding_window"] = json!(4));
}

#[test]
fn a_window_in_use_limits_no_positions() {
    let mut config = config("qwen2", true);
    config["sliding_window"] = json!(8);
    config["use_sliding_window"] = json!(true);
    config["max_window_layers"] = json!(1);
    let toy = toy("window", &config, &tensors("qwen2", true));
    assert_eq!(loaded(&toy.dir).positions, 128);
}

#[test]
fn what_is_not_said_is_as_usual() {
    changes_nothing("qwen3", |config| {
        let fields = config.as_object_mut().unwrap();
        for name in ["use_sliding_window", "sliding_window", "max_window_layers", "attention_bias"]
        {
            fields.remove(name);
        }
        config["rope_scaling"] = json!({ "rope_type": "default" });
    });
}

#[test]
fn tied_models_may_store_the_embedding_twice() {
    for architecture in ARCHITECTURES {
        let mut tensors = tensors(architecture, true);
        let config = config(architecture, true);
        let mut once = loaded(&toy(&format!("{architecture}-once"), &config, &tensors).dir);
        let embedding = tensors["model.embed_tokens.weight"].copy().unwrap();
        tensors.insert("lm_head.weight".to_owned(), embedding);
        let frequencies = Tensor::new(&[1f32, 2.0], &Device::Cpu).unwrap();
        tensors.insert("model.layers.0.self_attn.rotary_emb.inv_freq".to_owned(), frequencies);
        let mut twice = loaded(&toy(&format!("{architecture}-twice"), &config, &tensors).dir);
        agree(&mut once, &mut twice, 0.0);
    }
}

#[test]
fn a_batch_is_read_as_each_of_its_rows() {
    for architecture in ARCHITECTURES {
        let toy = toy(
            &format!("{architecture}-batch"),
            &config(architecture, true),
            &tensors(architecture, true),
        );
        let mut loaded = loaded(&toy.dir);
        let [prompts, _] = logits(&mut loaded);
        let first: Vec<u32> = (0..20).map(|i| i * 37 % 1152).collect();
        let first = Tensor::new(first, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        loaded.model.reset();
        let alone = loaded.model.forward(&first, 0).unwrap().flatten_all().unwrap();
        let alone = alone.to_vec1::<f32>().unwrap();
        for (a, b) in alone.iter().zip(&prompts[0]) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }
}

#[test]
fn the_angles_of_llama_3_are_scaled() {
    let tensors = tensors("llama", true);
    let mut config = config("llama", true);
    let mut plain = loaded(&toy("rope-plain", &config, &tensors).dir);
    config["rope_scaling"] = llama3(8192);
    let mut scaled = loaded(&toy("rope-scaled", &config, &tensors).dir);
    assert!(distance(&mut plain, &mut scaled) > 1e-4);
}

/// As Llama 3.2 has it.
pub fn llama3(positions: usize) -> Value {
    json!({
        "factor": 32.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": positions,
        "rope_type": "llama3",
    })
}
