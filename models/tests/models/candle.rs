//! candle's own models as witnesses, where they are right.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{gemma2, llama, mistral, olmo2, phi3, qwen2, qwen3};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::support::{loaded, toy};
use concept_mass_tiny::toy::{config, tensors};

/// More than a window, where the witness has windows.
const LENGTH: usize = 20;

/// Asserts that the decoder says of a text what `witness` does.
#[track_caller]
fn is<C: DeserializeOwned>(
    architecture: &str,
    change: impl FnOnce(&mut Value),
    witness: impl FnOnce(&C, VarBuilder, &Tensor) -> Result<Tensor>,
) {
    let (mut config, tensors) = (config(architecture, false), tensors(architecture, false));
    change(&mut config);
    let toy = toy(architecture, &config, &tensors);
    let text = Tensor::from_iter((0..LENGTH as u32).map(|i| (i * 37 + 11) % 1152), &Device::Cpu);
    let text = text.unwrap().unsqueeze(0).unwrap();
    let ours = loaded(&toy.dir).model.forward(&text, 0).unwrap();
    let weights = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let theirs = witness(&serde_json::from_value(config).unwrap(), weights, &text).unwrap();
    let numbers = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (ours, theirs) = (numbers(&ours), numbers(&theirs));
    assert_eq!(ours.len(), theirs.len());
    for (a, b) in ours.iter().zip(&theirs) {
        assert!((a - b).abs() < 1e-4, "{architecture}: {a} {b}");
    }
}

#[test]
fn llama_is_candles() {
    is(
        "llama",
        |_| {},
        |config: &llama::LlamaConfig, weights, text| {
            let config = config.clone().into_config(false);
            let mut cache = llama::Cache::new(true, DType::F32, &config, &Device::Cpu)?;
            llama::Llama::load(weights, &config)?.forward(text, 0, &mut cache)
        },
    );
}

/// candle's window is wider by a token than the one that the model was trained with.
#[test]
fn mistral_without_a_window_is_candles() {
    let change = |config: &mut Value| {
        config["use_flash_attn"] = false.into();
        config["sliding_window"] = Value::Null;
    };
    is("mistral", change, |config: &mistral::Config, weights, text| {
        mistral::Model::new(config, weights)?.forward(text, 0)
    });
}

#[test]
fn qwen2_is_candles() {
    is(
        "qwen2",
        |_| {},
        |config: &qwen2::Config, weights, text| {
            qwen2::ModelForCausalLM::new(config, weights)?.forward(text, 0)
        },
    );
}

#[test]
fn qwen3_is_candles() {
    is(
        "qwen3",
        |_| {},
        |config: &qwen3::Config, weights, text| {
            qwen3::ModelForCausalLM::new(config, weights)?.forward(text, 0)
        },
    );
}

/// candle's attends within the window in every block, or nowhere; and is tied.
#[test]
fn gemma_2_without_a_window_is_candles() {
    let change = |config: &mut Value| {
        config["sliding_window"] = 128.into();
        config["attention_bias"] = false.into();
        config["tie_word_embeddings"] = true.into();
    };
    is("gemma2", change, |config: &gemma2::Config, weights, text| {
        gemma2::Model::new(false, config, weights)?.forward(text, 0)
    });
}

/// candle's knows no window.
#[test]
fn phi_3_without_a_window_is_candles() {
    let change = |config: &mut Value| {
        config["sliding_window"] = Value::Null;
        config["eos_token_id"] = 0.into();
    };
    is("phi3", change, |config: &phi3::Config, weights, text| {
        phi3::Model::new(config, weights)?.forward(text, 0)
    });
}

#[test]
fn olmo_2_is_candles() {
    let change = |config: &mut Value| config["attention_bias"] = false.into();
    is("olmo2", change, |config: &olmo2::Config, weights, text| {
        olmo2::Model::new(config, weights)?.forward(text, 0)
    });
}
