//! The weights of a Hugging Face folder: one safetensors file, or several with an index.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use candle_core::{DType, Device, safetensors::BufferedSafetensors};
use serde::Deserialize;

use super::{LoadError, decoder::Matrix, layout::Weights, read_json};

/// `model.safetensors.index.json`.
#[derive(Deserialize)]
struct Index {
    /// The file of each tensor.
    weight_map: BTreeMap<String, String>,
}

/// The safetensors files that `dir` ought to hold.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let index = dir.join("model.safetensors.index.json");
    if !index.exists() {
        return Ok(vec![dir.join("model.safetensors")]);
    }
    Ok(shards(&index)?.iter().map(|name| dir.join(name)).collect())
}

/// The names of the files that an index lists.
pub fn shards(index: &Path) -> Result<BTreeSet<String>, LoadError> {
    let index: Index = read_json(index, "an index of safetensors files")?;
    Ok(index.weight_map.into_values().collect())
}

/// Opens a file, which is in memory as it is from then on.
pub fn open(path: &Path) -> Result<BufferedSafetensors> {
    let open = || -> Result<_> { Ok(BufferedSafetensors::new(fs::read(path)?)?) };
    open().with_context(|| {
        format!("cannot use {}, which must be a whole safetensors file", path.display())
    })
}

/// Takes from a file the tensors that the model has, one by one: none is there twice in a dtype
/// that is not wanted.
pub fn read(
    file: &BufferedSafetensors,
    dtype: DType,
    device: &Device,
    weights: &mut Weights,
) -> Result<()> {
    for (name, view) in file.tensors() {
        let Some(known) = decoders_name(&name) else { continue };
        if weights.layout().wants(&known, view.shape())? {
            // Norms are computed in f32.
            let dtype = if known.ends_with("norm.weight") { DType::F32 } else { dtype };
            let tensor = file.load(&name, device)?.to_dtype(dtype)?;
            weights.insert(known, Matrix::Dense(tensor))?;
        }
    }
    Ok(())
}

/// The name of a tensor of the decoder, which in models that read pictures, too, is a part; none if
/// it is another part's.
fn decoders_name(name: &str) -> Option<String> {
    let inner = name.strip_prefix("model.").unwrap_or(name);
    if inner.starts_with("vision_tower.") || inner.starts_with("multi_modal_projector.") {
        return None;
    }
    // As version 5 of transformers has it, and as version 4 does.
    if let Some(name) = name.strip_prefix("model.language_model.") {
        return Some(format!("model.{name}"));
    }
    Some(name.strip_prefix("language_model.").unwrap_or(name).to_owned())
}
