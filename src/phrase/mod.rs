//! Whole answers, not first tokens.
//!
//! `Adam` begins the right answer, Adam Smith, and a wrong one, Adam Lambert; a first token cannot
//! tell them apart. A [`PhraseTrie`] holds whole answers; [`DevicePhrases::vote`] finds how much
//! probability a model gives to each, in as many forward passes as the longest has tokens. Where
//! nobody has listed the answers, [`OpenVocabulary`] rolls the likeliest ones out.

mod error;
mod long_form;
mod model;
mod open;
mod shared;
#[cfg(feature = "candle-transformers")]
mod transformers;
mod trie;
#[cfg(feature = "tokenizers")]
mod trie_of_forms;
mod vote;

pub use error::PhraseError;
pub use long_form::{Intervention, LongForm};
pub use model::{CachedForward, CachedModel, NextLogits, PhraseCost};
pub use open::{Continuation, OpenStep, OpenVocabulary, OpenVote, Rollouts};
pub use shared::SharedPrompt;
#[cfg(feature = "candle-transformers")]
pub use transformers::CachedLlama;
pub use trie::{Phrase, PhraseTrie, PhraseTrieBuilder};
pub use vote::{DevicePhrases, PhraseVote};
