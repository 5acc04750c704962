//! The scaled rotary embeddings of Llama 3.1 and later.
//!
//! A `config.json` has the four numbers of a formula; a GGUF file has what the formula gives, a
//! factor for each pair of a head's columns, in the tensor `rope_freqs.weight`.

use std::f64::consts::TAU;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

/// Those of all Llamas with this scaling; they differ in the factor alone.
const LOW: f64 = 1.0;
const HIGH: f64 = 4.0;
const ORIGINAL: f64 = 8192.0;

/// How far a factor may be from that of the formula, relatively.
const TOLERANCE: f64 = 1e-3;

/// The `rope_scaling` that gives these factors.
///
/// # Errors
///
/// If there is none: they are those of another formula.
pub fn scaling(factors: &[f32], theta: f64, head: usize) -> Result<Value> {
    let largest = factors.iter().copied().map(f64::from).fold(1.0, f64::max);
    for (i, &factor) in factors.iter().enumerate() {
        let frequency = theta.powf(-2.0 * i as f64 / head as f64);
        let expected = divisor(frequency, largest);
        let factor = f64::from(factor);
        // NaN is not within any tolerance.
        ensure!(
            (factor - expected).abs() <= TOLERANCE * expected,
            "its positions are scaled in a way that is not known (factor {i} of rope_freqs.weight \
             is {factor}; Llama 3's would be {expected:.4}); take the model's safetensors"
        );
    }
    Ok(json!({
        "rope_type": "llama3",
        "factor": largest,
        "low_freq_factor": LOW,
        "high_freq_factor": HIGH,
        "original_max_position_embeddings": ORIGINAL as usize,
    }))
}

/// What the formula, as candle has it, divides a frequency by.
fn divisor(frequency: f64, factor: f64) -> f64 {
    let turns = ORIGINAL * frequency / TAU;
    if turns > HIGH {
        1.0
    } else if turns < LOW {
        factor
    } else {
        let smooth = (turns - LOW) / (HIGH - LOW);
        1.0 / ((1.0 - smooth) / factor + smooth)
    }
}
