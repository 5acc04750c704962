//! Loads causal language models from Hugging Face folders and GGUF files: the transformer with its KV
//! cache, the tokenizer, and what else a caller must know.
//!
//! ```
//! use candle_core::{Device, Tensor};
//!
//! let folder = concept_mass_tiny::folder(); // with config.json, tokenizer.json, model.safetensors
//! let mut loaded = concept_mass_models::load(&folder, None, &Device::Cpu, None)?;
//!
//! let prompt = loaded.tokenizer.encode("Q: Who wrote Hamlet?\nA:", false).unwrap();
//! let tokens = Tensor::new(prompt.get_ids(), &Device::Cpu)?.unsqueeze(0)?;
//! let logits = loaded.model.forward(&tokens, 0)?;
//! assert_eq!(logits.elem_count(), loaded.vocab_size);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | `folder`, `weights` | what a Hugging Face folder holds: `config.json`, safetensors, the tokenizer, the chat template |
//! | `gguf` | the same from the metadata and the tensors of one GGUF file |
//! | `config` | what a model is, from the configuration in either; all that is special to an architecture |
//! | `chat` | the chat template, and with the feature `chat` what it makes of messages |
//! | `ends` | the tokens that end an answer |
//! | `layout` | the tensors that such a model has, whichever file they come from |
//! | `decoder` | the transformer, dense or quantised, with its KV cache |
//! | `model` | the same with what it has read |
//! | `hub`, with the feature `hub` | the same files from the Hugging Face Hub |

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod chat;
mod config;
mod decoder;
mod ends;
mod error;
mod folder;
mod gguf;
#[cfg(feature = "hub")]
pub mod hub;
mod layout;
mod model;
mod weights;

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device};
use serde::de::DeserializeOwned;
use tokenizers::{AddedVocabulary, Tokenizer};

pub use chat::Chat;
#[cfg(feature = "chat")]
pub use chat::{ChatError, ChatTemplate, Message, Role, Thinking};
use config::Config;
use decoder::Decoder;
pub use decoder::{Cache, Output, Pass};
pub use error::LoadError;
use layout::Weights;
pub use model::Model;

/// A causal language model and what its user must know.
#[non_exhaustive]
pub struct Loaded {
    /// With its KV cache; a copy shares the weights.
    pub model: Model,
    /// How text becomes tokens.
    pub tokenizer: Tokenizer,
    /// The width of the logits, which may exceed the number of tokens that the tokenizer knows.
    pub vocab_size: usize,
    /// The number of parameters: the numbers that all tensors of the model have together.
    pub num_parameters: u64,
    /// The architecture, by the name of its `model_type`, such as `llama`.
    pub architecture: String,
    /// The types that the files store the weights in, such as `BF16` or `Q4_K`, and how many numbers
    /// of each: together [`num_parameters`](Self::num_parameters). The model may compute in another.
    pub stored_as: BTreeMap<String, u64>,
    /// Whether activations are rounded to 8 bits where matrices multiply them: those of a GGUF file
    /// that stay quantised do so on CUDA, where the kernels are candle's. On a CPU nothing is rounded.
    pub rounds_activations: bool,
    /// The most tokens that a prompt and its answer may have together.
    pub positions: usize,
    /// The tokens that end an answer, in order.
    pub ends: Vec<u32>,
    /// The chat template, if the files have one.
    pub chat: Option<Chat>,
}

/// Without the weights and the vocabulary.
impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("model", &self.model)
            .field("vocab_size", &self.vocab_size)
            .field("num_parameters", &self.num_parameters)
            .field("architecture", &self.architecture)
            .field("stored_as", &self.stored_as)
            .field("rounds_activations", &self.rounds_activations)
            .field("positions", &self.positions)
            .field("ends", &self.ends)
            .field("chat", &self.chat)
            .finish_non_exhaustive()
    }
}

/// Loads the model at `path` onto `device`: a Hugging Face folder, a GGUF file, or a folder with
/// one GGUF file and no `config.json`.
///
/// The tokenizer is `tokenizer`, or else the `tokenizer.json` beside the model, or else that of
/// the GGUF file. The model computes in `dtype`, which is `f32`, `f16` or `bf16`. The default is
/// `f32` on a CPU, where it is fastest, and `bf16` elsewhere.
///
/// The weights of a GGUF file stay quantised, and what is computed with them is `f32`, unless
/// `dtype` is given: then they are dequantised, and take the memory of that dtype. Of several files
/// of one model (`…-00001-of-00003.gguf`), `path` is the first.
///
/// ```
/// use candle_core::{DType, Device};
///
/// let folder = concept_mass_tiny::folder();
/// let loaded = concept_mass_models::load(&folder, None, &Device::Cpu, Some(DType::F32))?;
/// assert_eq!(loaded.model.embedding()?.dim(0)?, loaded.vocab_size);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// A [`LoadError`] names the file that is missing, damaged, of an unknown architecture or not of
/// the same model as the others; or says that the model cannot compute in `dtype`.
pub fn load(
    path: &Path,
    tokenizer: Option<&Path>,
    device: &Device,
    dtype: Option<DType>,
) -> Result<Loaded, LoadError> {
    let load = || match gguf_file(path)? {
        Some(file) => gguf::load(&file, tokenizer, device, dtype),
        None => folder::load(path, tokenizer, device, dtype),
    };
    load().map_err(LoadError::new)
}

/// The GGUF file that `path` is or holds; `None` if it is to be read as a Hugging Face folder.
fn gguf_file(path: &Path) -> Result<Option<PathBuf>> {
    if path.is_file() {
        ensure!(
            is_gguf(path).with_context(|| format!("cannot read {}", path.display()))?,
            "{} is no GGUF file; give one, or the folder of a Hugging Face model",
            path.display()
        );
        return Ok(Some(path.to_owned()));
    }
    // What is wrong with a folder that cannot be read, whoever reads its config.json will say.
    let Ok(entries) = fs::read_dir(path) else { return Ok(None) };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort_unstable();
    let is = |file: &PathBuf, ending: &str| file.extension().is_some_and(|name| name == ending);
    let described = path.join("config.json").exists();
    // Repositories of GGUF files have the original's config.json, too.
    if described && files.iter().any(|file| is(file, "safetensors")) {
        return Ok(None);
    }
    files.retain(|file| is(file, "gguf") && !gguf::is_later_part(file));
    let name = |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match &files[..] {
        [] => {
            ensure!(described, "{} has neither a config.json nor a GGUF file", path.display());
            Ok(None)
        }
        [file] => Ok(Some(file.clone())),
        files => bail!(
            "{} holds several GGUF files; give one of them: {}",
            path.display(),
            files.iter().map(name).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Whether the file begins as GGUF files do, whatever its name.
fn is_gguf(path: &Path) -> std::io::Result<bool> {
    let mut magic = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut magic)?;
    Ok(magic == b"GGUF")
}

/// What the files of a model come to, but for the weights.
struct Parts {
    config: Config,
    tokenizer: Tokenizer,
    chat: Option<Chat>,
}

impl Parts {
    /// Takes the weights, which are those of the configuration's layout.
    fn with(self, mut weights: Weights, dtype: DType, device: &Device) -> Result<Loaded> {
        let Self { config, tokenizer, chat } = self;
        weights.check()?;
        let num_parameters = weights.layout().num_parameters();
        let stored_as = weights.stored_as();
        let rounds_activations = weights.rounds();
        let model = Model::new(Decoder::new(&config, &mut weights, dtype, device)?);
        let Config { model_type, vocab_size, positions, ends, .. } = config;
        Ok(Loaded {
            model,
            tokenizer,
            vocab_size,
            num_parameters,
            architecture: model_type,
            stored_as,
            rounds_activations,
            positions,
            ends,
            chat,
        })
    }
}

/// The dtype of weights and activations.
fn computed_in(device: &Device, dtype: Option<DType>) -> Result<DType> {
    match dtype {
        None if device.is_cpu() => Ok(DType::F32),
        None => Ok(DType::BF16),
        Some(dtype @ (DType::F32 | DType::F16 | DType::BF16)) => Ok(dtype),
        Some(other) => {
            bail!("a model cannot compute in {}; choose f32, f16 or bf16", other.as_str())
        }
    }
}

/// Reads the tokenizer of a model whose logits have `vocab_size` columns.
fn read_tokenizer(path: &Path, vocab_size: usize) -> Result<Tokenizer> {
    let tokenizer =
        Tokenizer::from_file(path).map_err(anyhow::Error::from_boxed).with_context(|| {
            format!("cannot use {}, which must be a Hugging Face tokenizer", path.display())
        })?;
    fit(tokenizer, vocab_size).with_context(|| format!("cannot use {}", path.display()))
}

/// Leaves out the added tokens that have no column in the logits, which a model can neither read nor
/// write: Gemma 3's tokenizer has one for images. Fails if another token has none.
fn fit(mut tokenizer: Tokenizer, vocab_size: usize) -> Result<Tokenizer> {
    let known = |tokenizer: &Tokenizer| {
        let tokens = tokenizer.get_vocab(true);
        (tokens.len(), tokens.values().copied().max().unwrap_or(0))
    };
    let (tokens, last) = known(&tokenizer);
    if last as usize >= vocab_size {
        let mut added: Vec<_> = tokenizer.get_added_tokens_decoder().into_iter().collect();
        added.retain(|&(id, _)| (id as usize) < vocab_size);
        added.sort_by_key(|&(id, _)| id);
        tokenizer.with_added_vocabulary(AddedVocabulary::new());
        // In the order of their ids, they get the same ones again.
        let added = added.into_iter().map(|(_, token)| token);
        tokenizer.add_tokens(added).map_err(anyhow::Error::from_boxed)?;
        ensure!(
            (known(&tokenizer).1 as usize) < vocab_size,
            "it knows {tokens} tokens, one of them with id {last}, and the logits have {vocab_size} \
             columns; take both from one model"
        );
    }
    Ok(tokenizer)
}

/// Reads a JSON file, which must be what `ought` says, such as "an index of safetensors files".
///
/// ```
/// let path = concept_mass_tiny::folder().join("config.json");
/// let config: serde_json::Value = concept_mass_models::read_json(&path, "a config.json")?;
/// assert_eq!(config["model_type"], "llama");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// If the file cannot be read or parsed: its name and `ought`, with the cause.
pub fn read_json<T: DeserializeOwned>(path: &Path, ought: &str) -> Result<T, LoadError> {
    let read = || -> Result<T> { Ok(serde_json::from_slice(&fs::read(path)?)?) };
    let read =
        read().with_context(|| format!("cannot use {}, which must be {ought}", path.display()));
    read.map_err(LoadError::new)
}
