//! The Llama and Qwen models of candle-transformers as models of phrases: what is read with a cache,
//! in a batch and step by step, is what is read alone and anew.

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::{Init, VarBuilder, var_builder::SimpleBackend};
use candle_transformers::models::{
    llama::{Cache, Llama, LlamaConfig},
    qwen2, qwen3,
};
use concept_mass::phrase::{
    CachedForward, CachedLlama, CachedModel, NextLogits, PhraseTrie, SharedPrompt,
};
use serde_json::{Value, json};

mod common;

use common::device;

const VOCAB_SIZE: usize = 40;

/// Random weights for whatever is asked, the same ones every time.
struct Random;

impl SimpleBackend for Random {
    fn get(&self, s: Shape, name: &str, _: Init, dtype: DType, dev: &Device) -> Result<Tensor> {
        use rand::{Rng, SeedableRng, rngs::StdRng};
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let mut rng = StdRng::seed_from_u64(hasher.finish());
        let weights: Vec<f32> = (0..s.elem_count()).map(|_| rng.random_range(-0.5..0.5)).collect();
        Tensor::from_vec(weights, s, dev)?.to_dtype(dtype)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        candle_core::bail!("{name} has no shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

fn weights() -> VarBuilder<'static> {
    VarBuilder::from_backend(Box::new(Random), DType::F32, device())
}

fn config() -> Value {
    json!({
        "vocab_size": VOCAB_SIZE, "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 1e4,
        "hidden_act": "silu", "tie_word_embeddings": false, "use_sliding_window": false,
        "max_window_layers": 2, "sliding_window": 64, "head_dim": 8, "attention_bias": false,
    })
}

/// Asserts that phrases have the masses that one pass without a cache for each token gives them.
fn agrees_with_itself<M: CachedForward + Clone>(model: M) {
    let mut shared = SharedPrompt::new(model.clone(), device(), Some(64));
    let mut model = CachedModel::new(model, device(), Some(64));
    let prompt = [3, 1, 4, 1, 5];
    let phrases: [&[u32]; 5] = [&[9, 2, 6], &[9, 2, 7], &[9, 8], &[11, 12, 13, 14], &[20]];
    let builder = phrases.iter().enumerate().fold(PhraseTrie::builder(VOCAB_SIZE), |b, (i, p)| {
        b.phrase(i.to_string(), p.iter().copied()).unwrap()
    });
    let trie = builder.ends([0, 39]).unwrap().build().unwrap();
    let vote = trie.to_device(&device()).unwrap().vote(&mut model, &prompt).unwrap();
    assert_eq!(vote.cost().passes, 5);
    let alike = trie.to_device(&device()).unwrap().vote(&mut shared, &prompt).unwrap();
    for (a, b) in vote.ln_probabilities().iter().zip(alike.ln_probabilities()) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
    for (phrase, ln) in phrases.iter().zip(vote.ln_probabilities()) {
        let mut want = 1.0;
        for i in 0..=phrase.len() {
            let sequence = [&prompt[..], &phrase[..i]].concat();
            model.model_mut(); // forgets
            let logits = model.next_logits(&[sequence]).unwrap();
            let p = candle_nn::ops::softmax_last_dim(&logits).unwrap().to_vec2::<f32>().unwrap();
            want *= match phrase.get(i) {
                Some(&token) => p[0][token as usize],
                None => p[0][0] + p[0][39],
            };
        }
        let got = ln.exp();
        assert!((got - f64::from(want)).abs() < 1e-5 * f64::from(want).max(0.1), "{got} {want}");
    }
}

#[test]
fn candles_ways_to_choose_are_ours_if_they_are_in_range() {
    use candle_transformers::generation::Sampling as Candles;
    use concept_mass::Sampling;
    let all = |temperature, k, p| {
        vec![
            Candles::ArgMax,
            Candles::All { temperature },
            Candles::TopK { k, temperature },
            Candles::TopP { p, temperature },
            Candles::TopKThenTopP { k, p, temperature },
            Candles::GumbelSoftmax { temperature },
        ]
    };
    for candles in all(0.7, 40, 0.9) {
        let ours = Sampling::try_from(candles.clone()).unwrap();
        assert_eq!(format!("{ours:?}"), format!("{candles:?}"));
    }
    let refused = |candles: Vec<Candles>| -> Vec<bool> {
        candles.into_iter().map(|candles| Sampling::try_from(candles).is_err()).collect()
    };
    assert_eq!(refused(all(f64::NAN, 40, 0.9)), [false, true, true, true, true, true]);
    assert_eq!(refused(all(0.7, 0, 0.9)), [false, false, true, false, true, false]);
    assert_eq!(refused(all(0.7, 40, 1.1)), [false, false, false, true, true, false]);
}

#[test]
fn llama() {
    let config: LlamaConfig = serde_json::from_value(config()).unwrap();
    let config = config.into_config(false);
    let llama = Llama::load(weights(), &config).unwrap();
    let cache = Cache::new(true, DType::F32, &config, &device()).unwrap();
    agrees_with_itself(CachedLlama::new(llama, cache));
}

#[test]
fn qwen2() {
    let config: qwen2::Config = serde_json::from_value(config()).unwrap();
    agrees_with_itself(qwen2::ModelForCausalLM::new(&config, weights()).unwrap());
}

#[test]
fn qwen3() {
    let config: qwen3::Config = serde_json::from_value(config()).unwrap();
    agrees_with_itself(qwen3::ModelForCausalLM::new(&config, weights()).unwrap());
}
