//! Fits the model to the answers of the corpus.

use std::{f64::consts::PI, time::Instant};

use anyhow::Result;
use candle_core::Device;
use candle_nn::{AdamW, Optimizer, ParamsAdamW};

use crate::{
    corpus::Corpus,
    llama::Llama,
    tree::{Batch, Tree},
    vocabulary::Vocabulary,
};

/// How many times each question is seen.
const EPOCHS: usize = 120;
/// The questions of one step.
const BATCH: usize = 20;
const PEAK_RATE: f64 = 3e-3;
/// The part of the training in which the learning rate rises.
const WARM_UP: f64 = 0.05;

/// Trains `model` on every question, and prints how far it has come.
///
/// The loss is the cross-entropy of whole answers, weighted by their shares; at its minimum the
/// model answers as the corpus does. Printed is its excess over the entropy of the answers.
pub fn train(
    model: &Llama,
    corpus: &Corpus,
    vocabulary: &Vocabulary,
    device: &Device,
) -> Result<()> {
    let mut trees = trees(corpus, vocabulary)?;
    // Trees of like size in one batch leave little padding.
    trees.sort_by_key(Tree::len);
    let batches = trees
        .chunks(BATCH)
        .map(|trees| Batch::new(trees, vocabulary.end, vocabulary.size(), device))
        .collect::<Result<Vec<_>>>()?;

    let params = ParamsAdamW {
        weight_decay: 0.0, // the corpus is to be learnt by heart
        ..ParamsAdamW::default()
    };
    let mut optimizer = AdamW::new(model.vars(), params)?;
    let steps = EPOCHS * batches.len();
    let start = Instant::now();
    for epoch in 0..EPOCHS {
        let mut excess = 0.0;
        for (i, batch) in batches.iter().enumerate() {
            let step = epoch * batches.len() + i;
            optimizer.set_learning_rate(rate((step + 1) as f64 / steps as f64));
            let likelihood = (model.forward(batch)? * &batch.shares)?.sum_all()?;
            let loss = (likelihood / -(batch.size as f64))?;
            optimizer.backward_step(&loss)?;
            excess += (loss.to_scalar::<f32>()? - batch.entropy) / batches.len() as f32;
        }
        if (epoch + 1) % 10 == 0 {
            let seconds = start.elapsed().as_secs();
            println!("epoch {:>3}: {excess:.4} nats above the optimum, {seconds} s", epoch + 1);
        }
    }
    Ok(())
}

/// The learning rate at a point of the training between 0 and 1: a linear rise, then half a cosine
/// down to nothing.
fn rate(progress: f64) -> f64 {
    let fall = (progress - WARM_UP).max(0.0) / (1.0 - WARM_UP);
    PEAK_RATE * (progress / WARM_UP).min(1.0) * (1.0 + (PI * fall).cos()) / 2.0
}

fn trees(corpus: &Corpus, vocabulary: &Vocabulary) -> Result<Vec<Tree>> {
    let tree = |question| {
        let mut tree = Tree::new(&vocabulary.encode(&corpus.prompt(question))?);
        for (_, form, share) in question.forms() {
            let answer = vocabulary.encode_answer(form)?;
            tree.insert(&answer, vocabulary.end, share as f32 / 100.0);
        }
        Ok(tree)
    };
    corpus.questions.iter().map(tree).collect()
}
