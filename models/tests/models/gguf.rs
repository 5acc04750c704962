//! GGUF files: the same models as the folders that they were made from.

use std::fs;

use candle_core::{
    DType, Device, Tensor,
    quantized::{GgmlDType, gguf_file::Value},
};
use serde_json::json;

use super::{
    folder::llama3,
    support::{ARCHITECTURES, agree, complains, distance, encode, gguf_in_folder, loaded, toy},
};
use concept_mass_models::load;
use concept_mass_tiny::{
    gguf::{GgufFile, quantized},
    toy::{HIDDEN, VOCAB_SIZE, config, tensors},
};

/// Asserts that a file of `dtype` is the model of a folder with the same numbers.
#[track_caller]
fn is_the_folders(architecture: &str, tied: bool, dtype: GgmlDType) {
    let (mut config, tensors) = (config(architecture, tied), tensors(architecture, tied));
    if architecture == "smollm3" {
        // Every fourth, which files do not say.
        config["no_rope_layers"] = json!([1, 1]);
    }
    let file = GgufFile::new(&config, &tensors, dtype);
    let rounded = tensors.into_iter().map(|(name, tensor)| {
        let tensor = quantized(&tensor, dtype).dequantize(&Device::Cpu).unwrap();
        (name, tensor)
    });
    let toy = toy(&format!("{architecture}-{tied}-{dtype:?}"), &config, &rounded.collect());
    let path = toy.path("any name");
    file.write(&path);
    let mut from_file = loaded(&path);
    assert_eq!(from_file.model.embedding().unwrap().dims(), [VOCAB_SIZE, HIDDEN]);
    assert_eq!((from_file.positions, &from_file.chat), (128, &None));
    assert!(!from_file.rounds_activations, "on a CPU");
    let stored = &from_file.stored_as;
    assert!(stored[&format!("{dtype:?}")] > 0 && stored["F32"] > 0, "{stored:?}");
    assert_eq!(stored.values().sum::<u64>(), from_file.num_parameters);
    // Matrices that stay quantised are multiplied without rounding activations.
    agree(&mut loaded(&toy.dir), &mut from_file, 1e-4);
    // As dense as it is, it is the folder's.
    let mut dense = load(&path, None, &Device::Cpu, Some(DType::F32)).unwrap();
    agree(&mut loaded(&toy.dir), &mut dense, 1e-4);
}

#[test]
fn files_of_every_dtype_are_the_models_of_folders() {
    for architecture in ARCHITECTURES {
        for tied in [true, false] {
            for dtype in [GgmlDType::F32, GgmlDType::F16, GgmlDType::BF16, GgmlDType::Q8_0] {
                is_the_folders(architecture, tied, dtype);
            }
        }
    }
}

#[test]
fn the_biases_of_qwen2_matter() {
    let (_toy, path) = gguf_in_folder("with", "qwen2", |_| {});
    let (_other, without) = gguf_in_folder("without", "qwen2", |file| {
        for (name, tensor) in &mut file.tensors {
            if name.ends_with(".bias") {
                *tensor = tensor.zeros_like().unwrap();
            }
        }
    });
    assert!(distance(&mut loaded(&path), &mut loaded(&without)) > 0.01);
}

#[test]
fn a_file_computes_in_the_dtype_that_is_asked_for() {
    let (_toy, path) = gguf_in_folder("half", "llama", |file| file.dtype = GgmlDType::Q8_0);
    let mut half = load(&path, None, &Device::Cpu, Some(DType::F16)).unwrap();
    assert_eq!(half.model.dtype(), DType::F16);
    agree(&mut half, &mut loaded(&path), 0.05);
}

#[test]
fn a_folder_with_one_file_and_no_configuration_is_that_file() {
    let (toy, path) = gguf_in_folder("alone", "qwen3", |_| {});
    toy.remove("config.json");
    toy.remove("model.safetensors");
    agree(&mut loaded(&path), &mut loaded(&toy.dir), 0.0);
}

#[test]
fn the_factors_of_llama_3_are_its_configuration() {
    let (mut config, tensors) = (config("llama", true), tensors("llama", true));
    config["rope_scaling"] = llama3(8192);
    let toy = toy("rope", &config, &tensors);
    let mut file = GgufFile::new(&config, &tensors, GgmlDType::F32);
    // The frequencies of a head of 8 are 1, 1/32, 1/1000 and 1/31623: the first two turn more than
    // four times in 8,192 positions, the third 1.304 times, and the last less than once.
    let smooth = (8192.0 / 1000.0 / std::f32::consts::TAU - 1.0) / 3.0;
    let factors = [1.0, 1.0, 1.0 / ((1.0 - smooth) / 32.0 + smooth), 32.0];
    let factors = Tensor::new(&factors, &Device::Cpu).unwrap();
    file.tensors.insert("rope_freqs.weight".to_owned(), factors);
    let path = toy.path("model.gguf");
    file.write(&path);
    agree(&mut loaded(&toy.dir), &mut loaded(&path), 1e-4);
}

#[test]
fn what_ends_an_answer_a_turn_or_a_message() {
    let (_toy, path) = gguf_in_folder("ends", "llama", |file| {
        file.set("tokenizer.ggml.eos_token_id", Value::U32(9));
        file.set("tokenizer.ggml.eot_token_id", Value::U64(3));
        file.set("tokenizer.ggml.eom_token_id", Value::I32(9));
    });
    assert_eq!(loaded(&path).ends, [0, 3, 9]); // and by its name, <|end|>
}

#[test]
fn what_scales_nothing_is_no_scaling() {
    let (_toy, path) = gguf_in_folder("rope", "qwen2", |file| {
        file.set("qwen2.rope.scaling.type", Value::String("linear".to_owned()));
        file.set("qwen2.rope.scaling.factor", Value::F32(1.0));
        file.set("qwen2.rope.dimension_count", Value::U32(8));
        file.set("qwen2.attention.sliding_window", Value::U32(0));
    });
    assert_eq!(loaded(&path).positions, 128);
}

#[test]
fn a_llama_with_a_window_is_a_mistral() {
    let (mut config, tensors) = (config("llama", true), tensors("llama", true));
    config["model_type"] = json!("mistral");
    config["sliding_window"] = json!(8);
    let toy = toy("window", &config, &tensors);
    config["model_type"] = json!("llama"); // its name in the file, where there is a window
    let path = toy.path("model.gguf");
    GgufFile::new(&config, &tensors, GgmlDType::F32).write(&path);
    let mut from_file = loaded(&path);
    assert_eq!(from_file.positions, 128);
    agree(&mut loaded(&toy.dir), &mut from_file, 1e-4);
    config["sliding_window"] = json!(null);
    let whole = toy.path("whole.gguf");
    GgufFile::new(&config, &tensors, GgmlDType::F32).write(&whole);
    assert!(distance(&mut loaded(&whole), &mut from_file) > 1e-3);
}

#[test]
fn a_model_in_several_files_is_that_in_one() {
    let (toy, path) = gguf_in_folder("parts", "qwen3", |_| {});
    let whole = GgufFile::new(&config("qwen3", true), &tensors("qwen3", true), GgmlDType::F32);
    let names: Vec<String> = whole.tensors.keys().cloned().collect();
    toy.remove("config.json");
    let mut one = loaded(&path);
    fs::rename(&path, toy.path("whole")).unwrap();
    for part in 0..3u16 {
        let mut file = GgufFile { tensors: whole.tensors.clone(), ..blank(part == 0, &whole) };
        file.tensors
            .retain(|name, _| names.iter().position(|n| n == name).unwrap() % 3 == part as usize);
        file.set("split.no", Value::U16(part));
        file.set("split.count", Value::U16(3));
        file.write(&toy.path(&format!("model-{:05}-of-00003.gguf", part + 1)));
    }
    let first = toy.path("model-00001-of-00003.gguf");
    // The folder, and its first file.
    agree(&mut one, &mut loaded(&toy.dir), 0.0);
    agree(&mut one, &mut loaded(&first), 0.0);
    let second = toy.path("model-00002-of-00003.gguf");
    complains(&second, &second, &["is part 2 of 3; give the first", "00001-of-00003.gguf"]);
    toy.remove("model-00003-of-00003.gguf");
    complains(&first, &toy.path("model-00003-of-00003.gguf"), &["part 3 of 3 is missing"]);
    fs::copy(&second, toy.path("model-00003-of-00003.gguf")).unwrap();
    complains(&first, &toy.path("model-00003-of-00003.gguf"), &["is part 2 of the model"]);
    fs::rename(&first, toy.path("renamed.gguf")).unwrap();
    let renamed = toy.path("renamed.gguf");
    complains(&renamed, &renamed, &["part 1 of 3", "-00001-of-00003.gguf"]);
}

/// A file with the metadata of `whole`, or none.
fn blank(is_first: bool, whole: &GgufFile) -> GgufFile {
    let metadata = if is_first { whole.metadata.clone() } else { Default::default() };
    GgufFile { metadata, tensors: Default::default(), dtype: whole.dtype }
}

#[test]
fn the_tokenizer_may_be_elsewhere() {
    let (toy, path) = gguf_in_folder("elsewhere", "llama", |_| {});
    fs::rename(toy.path("tokenizer.json"), toy.path("other.json")).unwrap();
    let other = toy.path("other.json");
    let loaded = load(&path, Some(&other), &Device::Cpu, None).unwrap();
    assert_eq!(encode(&loaded.tokenizer, "<|end|>"), [0]);
}

#[test]
fn the_base_of_rotary_embeddings_is_ten_thousand_if_nothing_is_said() {
    let mut config = config("qwen3", true);
    config["rope_theta"] = json!(10_000.0);
    let tensors = tensors("qwen3", true);
    let toy = toy("base", &config, &tensors);
    let mut file = GgufFile::new(&config, &tensors, GgmlDType::F32);
    file.metadata.remove("qwen3.rope.freq_base");
    file.write(&toy.path("model.gguf"));
    agree(&mut loaded(&toy.dir), &mut loaded(&toy.path("model.gguf")), 1e-4);
}
