//! A model in one GGUF file, or several, as llama.cpp writes them.
//!
//! Weights stay as the file has them, unless a dtype is asked for.

mod alignment;
mod metadata;
mod parts;
mod tensors;
mod tokenizer;

use std::{fs::File, io::BufReader, path::Path};

use anyhow::{Context, Result};
use candle_core::{DType, Device, quantized::gguf_file::Content};

use super::{Loaded, Parts, ends::ends, read_tokenizer};
pub use parts::is_later_part;

/// A file whose head has been read, and those that go on from it.
struct Gguf {
    /// The metadata, and the tensors of the first file.
    content: Content,
    reader: BufReader<File>,
    /// The tensors of the others.
    more: Vec<(Content, BufReader<File>)>,
}

impl Gguf {
    /// What the head of each file says.
    fn contents(&self) -> impl Iterator<Item = &Content> {
        std::iter::once(&self.content).chain(self.more.iter().map(|(content, _)| content))
    }
}

/// Loads the model, with `tokenizer` or the `tokenizer.json` beside the file, where there is one.
pub fn load(
    path: &Path,
    tokenizer: Option<&Path>,
    device: &Device,
    dtype: Option<DType>,
) -> Result<Loaded> {
    let unfit = || format!("cannot use {}", path.display());
    let mut file = Gguf::open(path)?;
    let mut config = file.config().with_context(unfit)?;
    let chat = file.chat().with_context(unfit)?;
    let tokenizer = match tokenizer::file(path, tokenizer) {
        Some(path) => {
            let tokenizer = read_tokenizer(&path, config.vocab_size)?;
            let known = file.check_is_own(&tokenizer);
            known.with_context(|| format!("cannot use {}", path.display()))?;
            tokenizer
        }
        None => file.tokenizer(config.vocab_size).with_context(unfit)?,
    };
    config.ends = ends(&tokenizer, config.ends, None);
    let parts = Parts { config, tokenizer, chat };
    let (weights, dtype) = file.tensors(&parts.config, dtype, device).with_context(unfit)?;
    parts.with(weights, dtype, device).with_context(unfit)
}
