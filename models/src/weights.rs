//! The weights of a Hugging Face folder: one safetensors file, or several with an index.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};
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
    let whole = dir.join("model.safetensors");
    let index = dir.join("model.safetensors.index.json");
    // In this order in transformers, too.
    if whole.exists() || !index.exists() {
        return Ok(vec![whole]);
    }
    Ok(shards(&index)?.iter().map(|name| dir.join(name)).collect())
}

/// The names of the files that an index lists, which are beside it.
pub fn shards(path: &Path) -> Result<BTreeSet<String>, LoadError> {
    let index: Index = read_json(path, "an index of safetensors files")?;
    let shards: BTreeSet<String> = index.weight_map.into_values().collect();
    let is_beside = |name: &String| Path::new(name).file_name() == Some(name.as_ref());
    if let Some(other) = shards.iter().find(|name| !is_beside(name)) {
        let path = path.display();
        return Err(LoadError::new(anyhow!("{path} names {other:?}, which is no file beside it")));
    }
    Ok(shards)
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
            weights.insert(known, Matrix::Dense(tensor), format!("{:?}", view.dtype()))?;
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
    let name = name.strip_prefix("language_model.").unwrap_or(name);
    // Saved without the head, by the class of the base model.
    if ["embed_tokens.", "layers.", "norm."].iter().any(|part| name.starts_with(part)) {
        return Some(format!("model.{name}"));
    }
    Some(name.to_owned())
}
