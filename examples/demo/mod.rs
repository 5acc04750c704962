//! The parts of the example, in the order in which data passes through them.
//!
//! | module | what it does |
//! | --- | --- |
//! | `config`, `weights`, `model` | a folder of files → a transformer of candle's own, with its KV cache |
//! | `text` | text ↔ tokens |
//! | `question` | a prompt, and where its concepts come from → a concept map |
//! | `decoder` | the decode loop, with either sampler |
//! | `vote` | the first step in full: every token's probability, every concept's mass |
//! | `phrases` | the vote on whole answers, beside that on their first tokens |
//! | `screen`, `picture`, `table` | what is shown of it |

mod config;
mod decoder;
mod model;
mod phrases;
mod picture;
mod question;
mod screen;
mod table;
mod text;
mod vote;
mod weights;

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

pub use decoder::Decoder;
pub use phrases::{Ballot, table as phrase_table};
pub use picture::picture;
pub use question::{Concepts, Question, Source, aliases};
pub use screen::{Paint, page};
pub use table::Table;
pub use vote::Vote;

/// Reads a JSON file; where that fails, says what the file ought to be.
fn read_json<T: DeserializeOwned>(path: &Path, ought: &str) -> Result<T> {
    let read = || -> Result<T> { Ok(serde_json::from_slice(&fs::read(path)?)?) };
    read().with_context(|| format!("cannot use {}, which must be {ought}", path.display()))
}
