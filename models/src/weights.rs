//! The weights of a Hugging Face folder: one safetensors file, or several with an index.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor, safetensors::BufferedSafetensors};
use serde::Deserialize;

use super::{LoadError, layout::Layout, read_json};

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
    layout: &Layout,
    dtype: DType,
    device: &Device,
    tensors: &mut HashMap<String, Tensor>,
) -> Result<()> {
    for (name, view) in file.tensors() {
        if layout.wants(&name, view.shape())? {
            let tensor = file.load(&name, device)?.to_dtype(dtype)?;
            tensors.insert(name, tensor);
        }
    }
    Ok(())
}
