//! The weights of a model: one safetensors file, or several with an index.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor, safetensors};
use candle_nn::VarBuilder;
use serde::Deserialize;

use super::read_json;

/// `model.safetensors.index.json`.
#[derive(Deserialize)]
struct Index {
    /// The file of each tensor.
    weight_map: BTreeMap<String, String>,
}

/// Reads the weights that `dir` holds, as `f32`, the type that CPUs compute in best.
pub fn load(dir: &Path, device: &Device) -> Result<VarBuilder<'static>> {
    let mut tensors = HashMap::new();
    for path in files(dir)? {
        let file = read(&path, device).with_context(|| {
            format!("cannot use {}, which must be a whole safetensors file", path.display())
        })?;
        tensors.extend(file);
    }
    Ok(VarBuilder::from_tensors(tensors, DType::F32, device))
}

/// The matrix `[V, D]` that turns tokens into vectors, where Llama and Qwen have it.
pub fn embedding(weights: &VarBuilder, vocab_size: usize) -> Result<Tensor> {
    let name = "model.embed_tokens.weight";
    let matrix = weights.get_unchecked(name)?;
    ensure!(matrix.dims().first() == Some(&vocab_size), "{name} has shape {:?}", matrix.shape());
    Ok(matrix)
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let index = dir.join("model.safetensors.index.json");
    if !index.exists() {
        return Ok(vec![dir.join("model.safetensors")]);
    }
    let index: Index = read_json(&index, "an index of safetensors files")?;
    let names: BTreeSet<_> = index.weight_map.into_values().collect();
    Ok(names.iter().map(|name| dir.join(name)).collect())
}

fn read(path: &Path, device: &Device) -> candle_core::Result<HashMap<String, Tensor>> {
    let tensors = safetensors::load(path, device)?.into_iter();
    tensors.map(|(name, tensor)| Ok((name, tensor.to_dtype(DType::F32)?))).collect()
}
