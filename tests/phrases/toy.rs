//! A model of few tokens, whose every probability is known.

use std::hash::{DefaultHasher, Hash, Hasher};

use candle_core::{Device, Result, Tensor};
use concept_mass::phrase::NextLogits;

/// What follows a sequence is drawn from a hash of it.
pub struct Toy {
    pub vocab_size: usize,
    pub device: Device,
    /// The sequences of each call.
    pub calls: Vec<Vec<Vec<u32>>>,
}

impl Toy {
    pub fn new(vocab_size: usize, device: Device) -> Self {
        Self { vocab_size, device, calls: Vec::new() }
    }

    pub fn logits(&self, sequence: &[u32]) -> Vec<f32> {
        let logit = |token: usize| {
            let mut hasher = DefaultHasher::new();
            (sequence, token).hash(&mut hasher);
            (hasher.finish() % 4096) as f32 / 512.0
        };
        (0..self.vocab_size).map(logit).collect()
    }

    /// `P(token | sequence)`, in f64.
    pub fn probability(&self, sequence: &[u32], token: u32) -> f64 {
        let exp = |logit: &f32| f64::from(*logit).exp();
        let logits = self.logits(sequence);
        exp(&logits[token as usize]) / logits.iter().map(exp).sum::<f64>()
    }

    /// The probability of all that begins with `phrase`, after `prompt`.
    pub fn chain(&self, prompt: &[u32], phrase: &[u32]) -> f64 {
        let token = |i: usize| self.probability(&[prompt, &phrase[..i]].concat(), phrase[i]);
        (0..phrase.len()).map(token).product()
    }
}

impl NextLogits for Toy {
    fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
        assert!(sequences.iter().all(|sequence| sequence.len() == sequences[0].len()));
        self.calls.push(sequences.to_vec());
        let logits: Vec<f32> =
            sequences.iter().flat_map(|sequence| self.logits(sequence)).collect();
        Tensor::from_vec(logits, (sequences.len(), self.vocab_size), &self.device)
    }

    fn context(&self) -> Option<usize> {
        Some(12)
    }
}

/// A model that computes the logits of what follows a sequence by a function, and has no limit.
pub struct By<F>(pub F);

impl<F: FnMut(&[u32]) -> Vec<f32>> NextLogits for By<F> {
    fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
        let logits: Vec<f32> = sequences.iter().flat_map(|sequence| self.0(sequence)).collect();
        Tensor::from_vec(logits, (sequences.len(), ()), &crate::common::device())
    }
}

/// `ln P` of every token, in f64, by definition.
pub fn ln_softmax(logits: &[f32]) -> Vec<f64> {
    let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let below = |logit: &f32| f64::from(*logit) - max;
    let ln_sum = logits.iter().map(|logit| below(logit).exp()).sum::<f64>().ln();
    logits.iter().map(|logit| below(logit) - ln_sum).collect()
}
