//! Other ways to sample a batch's next tokens, by which the crate's own is measured.
//!
//! They sample plain tokens and know no map: beside the crate's sampler under a map they stand for
//! what sampling takes without meanings.

// Each bench uses its own part of this module.
#![allow(dead_code)]

mod kernels;
mod oracle;

use anyhow::Context;
use candle_core::{DType, Tensor};
use candle_nn::ops::softmax_last_dim;
use candle_transformers::generation::{LogitsProcessor, Sampling};

pub use kernels::Samplers;
pub use oracle::Cut;

/// The temperature of all that is sampled here.
pub const TEMPERATURE: f64 = 1.0;
const K: usize = 40;
const P: f64 = 0.9;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Filter {
    /// top_k 40 and top_p .9.
    TopKTopP,
    /// top_p .9.
    TopP,
}

pub const FILTERS: [Filter; 2] = [Filter::TopKTopP, Filter::TopP];

/// Who samples on the device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// FlashInfer's rejection, a block a row: benches/kernels/flashinfer.cu.
    FlashInfer,
    /// The same, a cluster of blocks a row: benches/kernels/flashinfer_split.cu.
    FlashInferSplit,
    /// attention.rs's two stages: benches/kernels/attention_rs.cu.
    AttentionRs,
}

pub const WAYS: [Way; 3] = [Way::FlashInfer, Way::FlashInferSplit, Way::AttentionRs];

impl Filter {
    pub fn k(self) -> Option<usize> {
        (self == Filter::TopKTopP).then_some(K)
    }

    pub fn p(self) -> f64 {
        P
    }

    pub fn name(self) -> &'static str {
        match self {
            Filter::TopKTopP => "top_k 40 + top_p .9",
            Filter::TopP => "top_p .9",
        }
    }
}

impl Way {
    pub fn name(self) -> &'static str {
        match self {
            Way::FlashInfer => "FlashInfer, a block a row",
            Way::FlashInferSplit => "FlashInfer, a cluster a row",
            Way::AttentionRs => "attention.rs",
        }
    }

    /// What a filter means here.
    pub fn cut(self, filter: Filter) -> Cut {
        let (k, p) = (filter.k(), filter.p());
        match self {
            Way::FlashInfer | Way::FlashInferSplit => Cut { k, p, of_k: false },
            Way::AttentionRs => Cut { k: k.or(Some(kernels::MAX_K)), p, of_k: true },
        }
    }
}

/// What a filter means to candle's processor.
pub fn candle_cut(filter: Filter) -> Cut {
    Cut { k: filter.k(), p: filter.p(), of_k: false }
}

/// candle's processor, which takes one row at a time. The same seed draws the same tokens.
pub fn candle(logits: &Tensor, filter: Filter, seed: u64) -> anyhow::Result<Vec<u32>> {
    let (temperature, p) = (TEMPERATURE, filter.p());
    let sampling = match filter.k() {
        Some(k) => Sampling::TopKThenTopP { k, p, temperature },
        None => Sampling::TopP { p, temperature },
    };
    let mut processor = LogitsProcessor::from_sampling(seed, sampling);
    let rows = logits.dim(0)?;
    (0..rows).map(|row| Ok(processor.sample(&logits.get(row)?)?)).collect()
}

/// What candle's processor does before the host sorts: each row's probabilities, on the host.
pub fn candle_probs(logits: &Tensor) -> anyhow::Result<Vec<Vec<f32>>> {
    let rows = logits.dim(0)?;
    let probs = |row| {
        let logits = (logits.get(row)?.to_dtype(DType::F32)? / TEMPERATURE)?;
        softmax_last_dim(&logits)?.to_vec1().context("a row of probabilities")
    };
    (0..rows).map(probs).collect()
}
