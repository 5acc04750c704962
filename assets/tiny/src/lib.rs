//! A Llama of a million parameters, trained on a synthetic corpus whose answers split the vote, and
//! the questions that it was taught; embedded, so that whoever links this crate has the files.
//!
//! The demonstrations of `concept-mass` and `commitment-probe` run it. It shows how they work, not
//! how often real models fail.
//!
//! ```
//! let folder = std::env::temp_dir().join("concept-mass-tiny-doc");
//! concept_mass_tiny::write_to(&folder)?;
//! assert!(folder.join("model.safetensors").exists());
//! # std::fs::remove_dir_all(folder)?;
//! # Ok::<(), std::io::Error>(())
//! ```

#[cfg(feature = "toy")]
pub mod gguf;
#[cfg(feature = "toy")]
pub mod hub;
#[cfg(feature = "toy")]
pub mod toy;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// `config.json`, as Hugging Face has it.
pub const CONFIG: &str = include_str!("../config.json");

/// `tokenizer.json`: byte-level BPE of 1,152 tokens.
pub const TOKENIZER: &str = include_str!("../tokenizer.json");

/// `model.safetensors`, in `f16`.
pub const WEIGHTS: &[u8] = include_bytes!("../model.safetensors");

/// `questions.json`: the questions that the model was taught, and how the vote on each is split.
pub const QUESTIONS: &str = include_str!("../questions.json");

/// `untaught.jsonl`: more questions, in the layout of `commitment-probe`; some are taught ones in
/// other words, and some nobody taught.
pub const UNTAUGHT: &str = include_str!("../untaught.jsonl");

/// The width of the logits.
pub const VOCAB_SIZE: usize = 1152;

/// The folder of these files in the sources of this crate, for tests and examples, which run where
/// the sources are; an installed program uses [`write_to`].
pub fn folder() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// Writes the model as a Hugging Face folder: `config.json`, `tokenizer.json` and
/// `model.safetensors`. Creates the folder, and overwrites these files in it.
///
/// # Errors
///
/// Those of the file system.
pub fn write_to(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("config.json"), CONFIG)?;
    fs::write(folder.join("tokenizer.json"), TOKENIZER)?;
    fs::write(folder.join("model.safetensors"), WEIGHTS)
}
