//! The program on every layout of model: it runs, and measures the same of the same weights.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use candle_core::quantized::GgmlDType;
use serde_json::Value;

use concept_mass_tiny::{
    gguf::GgufFile,
    toy::{Toy, config, tensors},
};

use super::program::{QUESTIONS, folder};

/// What `commitment-probe` measures of two questions with the model at `path`.
#[track_caller]
fn samples(path: &Path, out: PathBuf) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_commitment-probe"))
        .args([
            "run",
            "--num-shots=0",
            "--questions",
            QUESTIONS.as_str(),
            "--limit",
            "2",
            "--samples",
            "2",
        ])
        .args(["--max-tokens", "4", "--model"])
        .arg(path)
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let samples = fs::read_to_string(out.join("samples.jsonl")).unwrap();
    samples.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_layout_is_measured_alike() {
    for model_type in ["llama", "qwen2", "qwen3"] {
        for tied in [true, false] {
            let name = format!("{model_type}-{tied}");
            let (config, tensors) = (config(model_type, tied), tensors(model_type, tied));
            let toy = Toy::make(folder("layouts").join(&name), &config, &tensors);
            let whole = samples(&toy.dir, toy.path("run"));
            assert_eq!(whole.len(), 2);

            let gguf = toy.path("gguf").join("model.gguf");
            fs::create_dir_all(toy.path("gguf")).unwrap();
            fs::copy(toy.path("tokenizer.json"), toy.path("gguf").join("tokenizer.json")).unwrap();
            GgufFile::new(&config, &tensors, GgmlDType::F32).write(&gguf);
            let of_gguf = samples(&gguf, toy.path("run-gguf"));

            toy.shard();
            assert_eq!(samples(&toy.dir, toy.path("run-sharded")), whole, "{name}");

            for (whole, of_gguf) in whole.iter().zip(&of_gguf) {
                assert_eq!(whole["id"], of_gguf["id"]);
                let [whole, of_gguf] = [whole, of_gguf].map(|sample| &sample["first"]);
                assert_eq!(whole["token"], of_gguf["token"], "{name}");
                for field in ["probability", "mass", "token_entropy"] {
                    let [a, b] = [whole, of_gguf].map(|first| first[field].as_f64().unwrap());
                    assert!((a - b).abs() < 1e-4, "{name}, {field}: {a} {b}");
                }
            }
        }
    }
}
