//! To load models, ask them, and compare what they say.

use std::{
    path::{Path, PathBuf},
    thread,
};

use candle_core::{DType, Device, Tensor, quantized::GgmlDType};
use serde_json::Value;
use tokenizers::Tokenizer;

use concept_mass_models::{Loaded, load};
use concept_mass_tiny::{
    gguf::GgufFile,
    toy::{Tensors, Toy, VOCAB_SIZE, config, tensors},
};

pub const ARCHITECTURES: [&str; 9] =
    ["llama", "mistral", "smollm3", "qwen2", "qwen3", "gemma2", "gemma3_text", "phi3", "olmo2"];

/// A model in a folder that no other test uses: each has a thread of its name.
pub fn toy(name: &str, config: &Value, tensors: &Tensors) -> Toy {
    let test = thread::current().name().unwrap_or_default().replace("::", "-");
    let dir: PathBuf = [env!("CARGO_TARGET_TMPDIR"), "models", &test, name].iter().collect();
    Toy::make(dir, config, tensors)
}

/// The tokens of `text` alone.
pub fn encode(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode(text, false).unwrap().get_ids().to_vec()
}

#[track_caller]
pub fn loaded(path: &Path) -> Loaded {
    match load(path, None, &Device::Cpu, None) {
        Ok(loaded) => loaded,
        Err(error) => panic!("{:#}", anyhow::Error::from(error)),
    }
}

/// What is wrong with a model, which must name `file` and say all of `parts`.
#[track_caller]
pub fn complains(path: &Path, file: &Path, parts: &[&str]) {
    let Err(error) = load(path, None, &Device::Cpu, None) else { panic!("it is fit") };
    let complaint = format!("{:#}", anyhow::Error::from(error));
    let file = file.display().to_string();
    for part in parts.iter().copied().chain([file.as_str()]) {
        assert!(complaint.contains(part), "{part:?} is not in {complaint:?}");
    }
}

/// The logits after a batch of three prompts, and after another token of each.
pub fn logits(loaded: &mut Loaded) -> [Vec<Vec<f32>>; 2] {
    let prompts: Vec<u32> = (0..3 * 20).map(|i| (i * 37 + i / 20 * 5) % 1152).collect();
    let prompts = Tensor::from_vec(prompts, (3, 20), &Device::Cpu).unwrap();
    let next = Tensor::new(&[[5u32], [700], [1151]], &Device::Cpu).unwrap();
    loaded.model.reset();
    [(prompts, 0), (next, 20)].map(|(tokens, offset)| {
        let logits = loaded.model.forward(&tokens, offset).unwrap();
        let logits = logits.reshape((3, VOCAB_SIZE)).unwrap().to_dtype(DType::F32).unwrap();
        logits.to_vec2().unwrap()
    })
}

/// Asserts that two models say the same, within `tolerance`.
#[track_caller]
pub fn agree(a: &mut Loaded, b: &mut Loaded, tolerance: f32) {
    let largest = distance(a, b);
    assert!(largest <= tolerance, "they differ by {largest}");
}

/// The largest difference of two logits.
pub fn distance(a: &mut Loaded, b: &mut Loaded) -> f32 {
    let (a, b) = (logits(a).concat().concat(), logits(b).concat().concat());
    assert!(a.iter().chain(&b).all(|logit| logit.is_finite()));
    assert!(a.iter().any(|&logit| (logit - a[0]).abs() > 0.1), "they say nothing");
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// A file with a model of `architecture`, and `tokenizer.json` beside it, after `change`.
pub fn gguf_in_folder(
    name: &str,
    architecture: &str,
    change: impl FnOnce(&mut GgufFile),
) -> (Toy, PathBuf) {
    let (config, tensors) = (config(architecture, true), tensors(architecture, true));
    let mut file = GgufFile::new(&config, &tensors, GgmlDType::F32);
    change(&mut file);
    let toy = toy(name, &config, &tensors);
    let path = toy.path("model.gguf");
    file.write(&path);
    (toy, path)
}
