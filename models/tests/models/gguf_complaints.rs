//! What is said of GGUF files that are unfit.

use std::fs;

use candle_core::{DType, Device, Tensor, quantized::gguf_file::Value};

use concept_mass_models::load;
use concept_mass_tiny::gguf::GgufFile;

use super::support::{complains, gguf_in_folder, toy};
use concept_mass_tiny::toy::{config, tensors};

/// Asserts that a file is complained of after `change`.
#[track_caller]
fn changed(architecture: &str, change: impl FnOnce(&mut GgufFile), parts: &[&str]) {
    let (_toy, path) = gguf_in_folder("changed", architecture, change);
    complains(&path, &path, parts);
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

#[test]
fn no_gguf_file() {
    let toy = toy("foreign", &config("llama", true), &tensors("llama", true));
    let path = toy.path("config.json");
    complains(&path, &path, &["is no GGUF file", "Hugging Face"]);
    toy.write("empty.gguf", "");
    complains(&toy.path("empty.gguf"), &toy.path("empty.gguf"), &["is no GGUF file"]);
    toy.write("magic.gguf", "GGUF and nothing that belongs there");
    complains(&toy.path("magic.gguf"), &toy.path("magic.gguf"), &["must be a whole GGUF file"]);
}

#[test]
fn a_file_cut_short() {
    let (toy, path) = gguf_in_folder("cut", "llama", |_| {});
    let whole = fs::read(&path).unwrap();
    let cut = toy.path("cut.gguf");
    let ends = (5..2000).step_by(61).chain((2000..whole.len() - 100).step_by(whole.len() / 40));
    for end in ends {
        fs::write(&cut, &whole[..end]).unwrap();
        complains(&cut, &cut, &["cannot use"]);
    }
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    complains(&cut, &cut, &["cannot read the tensor", "remaining in file"]);
}

#[test]
fn several_files_and_none() {
    let (toy, path) = gguf_in_folder("several", "llama", |_| {});
    toy.remove("config.json");
    fs::copy(&path, toy.path("other.gguf")).unwrap();
    complains(&toy.dir, &toy.dir, &["several GGUF files", "give one of them"]);
    for file in ["model.gguf", "other.gguf"] {
        toy.remove(file);
    }
    complains(&toy.dir, &toy.dir, &["neither a config.json nor a GGUF file"]);
}

#[test]
fn metadata_that_say_too_little() {
    for key in ["llama.block_count", "llama.attention.layer_norm_rms_epsilon"] {
        changed("llama", |file| drop(file.metadata.remove(key)), &["have no", key]);
    }
    let key = "general.architecture";
    changed("llama", |file| drop(file.metadata.remove(key)), &["have no", key]);
    let key = "token_embd.weight";
    changed("llama", |file| drop(file.tensors.remove(key)), &["there is no matrix", key]);
}

#[test]
fn metadata_of_another_type() {
    let set = |key: &str, value, said: &str| {
        changed("qwen2", |file| file.set(key, value), &[key, said]);
    };
    let count = "qwen2.block_count";
    set(count, text("two"), "is String(\"two\"), not a whole number");
    set(count, Value::I32(-2), "is I32(-2), not a whole number");
    set(count, Value::Array(vec![Value::U32(2)]), "is a list, not a whole number");
    set("qwen2.rope.freq_base", Value::U32(1), "is U32(1), not a finite floating-point number");
    set("qwen2.rope.freq_base", Value::F32(f32::NAN), "is F32(NaN), not a finite");
    set("general.architecture", Value::Bool(true), "is Bool(true), not a text");
}

#[test]
fn models_that_are_not_known() {
    for (key, value, parts) in [
        ("general.architecture", text("qwen3moe"), &["\"qwen3moe\"", "llama.cpp"][..]),
        ("llama.expert_count", Value::U32(8), &["mixture of 8 experts"]),
        ("split.count", Value::U16(3), &["part 1 of 3", "-00001-of-00003.gguf"]),
        ("llama.attention.head_count", Value::U32(0), &["num_attention_heads is 0"]),
        ("llama.rope.dimension_count", Value::U32(3), &["partial_rotary_factor is 0.375"]),
        ("llama.rope.scaling.type", text("su"), &["\"su\"", "not known"]),
        ("llama.rope.scaling.type", text("yarn"), &["have no llama.rope.scaling.factor"]),
    ] {
        changed("llama", |file| file.set(key, value), parts);
    }
    let value = "qwen3.attention.value_length";
    let set = |file: &mut GgufFile| file.set(value, Value::U32(8));
    changed("qwen3", set, &["qwen3.attention.value_length is 8, but a head has 16"]);
    let window = |file: &mut GgufFile| file.set("olmo2.attention.sliding_window", Value::U32(8));
    changed("olmo2", window, &["OLMo 3"]);
}

#[test]
fn types_that_are_not_read_have_a_name() {
    let (toy, path) = gguf_in_folder("types", "llama", |_| {});
    let bytes = fs::read(&path).unwrap();
    // After a tensor's name and its number of dimensions come these, its type and its offset.
    let name = b"blk.0.ffn_down.weight";
    let place = bytes.windows(name.len()).position(|window| window == name).unwrap();
    let place = place + name.len() + 4 + 2 * 8;
    assert_eq!(bytes[place..place + 4], [0; 4], "F32");
    let other = toy.path("other.gguf");
    for (number, name) in [(16u32, "IQ2_XXS"), (23, "IQ4_XS"), (39, "MXFP4"), (99, "no known name")]
    {
        let mut bytes = bytes.clone();
        bytes[place..place + 4].copy_from_slice(&number.to_le_bytes());
        fs::write(&other, bytes).unwrap();
        complains(&other, &other, &[&format!("type {number}"), name, "Q4_K_M"]);
    }
}

#[test]
fn factors_that_do_not_fit() {
    let factors = |factors: &'static [f32], parts: &[&str]| {
        let change = |file: &mut GgufFile| {
            let factors = Tensor::new(factors, &Device::Cpu).unwrap();
            file.tensors.insert("rope_freqs.weight".to_owned(), factors);
        };
        changed("llama", change, parts);
    };
    factors(&[1.0, 1.0, f32::NAN, 32.0], &["factor 2", "NaN"]);
    factors(&[1.0, 1.0], &["2 factors", "4 pairs"]);
}

#[test]
fn factors_of_a_shape_that_no_memory_holds() {
    let (toy, path) = gguf_in_folder("shape", "llama", |file| {
        let factors = Tensor::ones((1, 4), DType::F32, &Device::Cpu).unwrap();
        file.tensors.insert("rope_freqs.weight".to_owned(), factors);
    });
    complains(&path, &path, &["rope_freqs.weight has the shape [1, 4]", "a list of factors"]);
    // The number of dimensions follows the name, and the dimensions follow that, the last one first.
    let mut bytes = fs::read(&path).unwrap();
    let name = bytes.windows(17).position(|part| part == b"rope_freqs.weight").unwrap();
    let huge = (1u64 << 62).to_le_bytes();
    bytes[name + 21..name + 29].copy_from_slice(&16u64.to_le_bytes());
    bytes[name + 29..name + 37].copy_from_slice(&huge);
    fs::write(toy.path("huge.gguf"), bytes).unwrap();
    let path = toy.path("huge.gguf");
    complains(&path, &path, &["has the shape [4611686018427387904, 16]"]);
}

/// candle divides by it.
#[test]
fn an_alignment_of_nothing() {
    let key = "general.alignment";
    for (zero, one) in [
        (Value::U8(0), Value::U8(1)),
        (Value::U16(0), Value::U16(8)),
        (Value::U32(0), Value::U32(32)),
        (Value::I8(0), Value::I8(1)),
        (Value::I16(0), Value::I16(8)),
        (Value::I32(0), Value::I32(32)),
        (Value::U64(0), Value::U64(32)),
    ] {
        changed("llama", |file| file.set(key, zero), &["its general.alignment is 0"]);
        // Of others, candle says what there is to say.
        let (_toy, path) = gguf_in_folder("aligned", "llama", |file| file.set(key, one));
        if let Err(error) = load(&path, None, &Device::Cpu, None) {
            assert!(!format!("{error:#}").contains(key), "{error:#}");
        }
    }
}

#[test]
fn tensors_that_are_not_the_models() {
    let add = |name: &'static str| {
        move |file: &mut GgufFile| {
            let tensor = Tensor::zeros(32, DType::F32, &Device::Cpu).unwrap();
            file.tensors.insert(name.to_owned(), tensor);
        }
    };
    changed("llama", add("blk.0.attn_q.bias"), &["no tensor", "self_attn.k_proj.bias"]);
    changed("phi3", add("blk.0.attn_norm.bias"), &["a phi3 of these sizes has no tensor"]);
    changed("llama", add("blk.0.ffn_gate_inp.weight"), &["blk.0.ffn_gate_inp.weight is not known"]);
    let name = "blk.1.ffn_up.weight";
    changed("qwen2", |file| drop(file.tensors.remove(name)), &["layers.1.mlp.up_proj.weight"]);
    let turn = |file: &mut GgufFile| {
        let turned = file.tensors[name].t().unwrap().contiguous().unwrap();
        file.tensors.insert(name.to_owned(), turned);
    };
    changed("qwen2", turn, &["layers.1.mlp.up_proj.weight", "[32, 48], not [48, 32]"]);
}
