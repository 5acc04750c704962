//! A model in one GGUF file, as llama.cpp writes them.
//!
//! The tensors are dequantised, and given to the same models of candle's as those of a Hugging
//! Face folder. candle has quantised models, too, but cannot read a batch with all of them (Qwen3,
//! on a CPU), nor copy all of them (Qwen2), nor run them where CUDA kernels come as PTX; and what
//! one code path computes, it measures alike. The price is memory: that of the model in the dtype
//! it computes in, whatever the file's size.

mod alignment;
mod metadata;
mod rope;
mod tensors;
mod tokenizer;

use std::{fs::File, io::BufReader, path::Path};

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, quantized::gguf_file::Content};

use super::{Loaded, Parts, ends::ends, read_tokenizer};

/// A file whose head has been read.
struct Gguf {
    reader: BufReader<File>,
    content: Content,
}

/// Loads the model, with `tokenizer` or the `tokenizer.json` beside the file, where there is one.
pub fn load(
    path: &Path,
    tokenizer: Option<&Path>,
    device: &Device,
    dtype: Option<DType>,
) -> Result<Loaded> {
    let unfit = || format!("cannot use {}", path.display());
    let mut file = Gguf::open(path).with_context(|| {
        format!("cannot use {}, which must be a whole GGUF file of known types", path.display())
    })?;
    let mut config = file.config().with_context(unfit)?;
    let chat = file.chat().with_context(unfit)?;
    let tokenizer = match tokenizer::file(path, tokenizer) {
        Some(file) => read_tokenizer(&file, config.vocab_size)?,
        None => file.tokenizer(config.vocab_size).with_context(unfit)?,
    };
    config.ends = ends(&tokenizer, config.ends, None);
    let parts = Parts::new(config, tokenizer, chat, device, dtype)?;
    let tensors = file.tensors(&parts.config, parts.dtype, device);
    parts.with(tensors.with_context(unfit)?, device).with_context(unfit)
}

impl Gguf {
    fn open(path: &Path) -> Result<Self> {
        let mut reader = BufReader::new(File::open(path)?);
        // candle divides by it.
        ensure!(
            alignment::find(&mut reader)? != Some(0),
            "its {} is 0; it must be 1 or more",
            alignment::KEY
        );
        let content = Content::read(&mut reader)?;
        Ok(Self { reader, content })
    }
}
