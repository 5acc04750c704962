//! Whole answers, not first tokens.
//!
//! `Adam` begins the right answer, Adam Smith, and a wrong one, Adam Lambert; a first token cannot
//! tell them apart. A [`PhraseTrie`] holds whole answers; [`DevicePhrases::vote`] finds how much
//! probability a model gives to each, in as many forward passes as the longest has tokens. Where
//! there is no list of answers, [`OpenVocabulary`] rolls the likeliest ones out.
//!
//! Probabilities of phrases are products of many numbers below 1, so they are kept as logs: a phrase
//! of any length keeps its weight, and a vote in which no phrase has any has no winner.
//!
//! Of equally heavy concepts, the one with the lowest id wins; of a concept's equally likely phrases,
//! the one whose tokens are the lowest, compared one after the other.

mod error;
mod long_form;
mod meaning;
mod model;
mod next;
mod open;
mod phrases;
mod rollouts;
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
pub use open::{OpenStep, OpenVocabulary};
pub use phrases::DevicePhrases;
pub use rollouts::{Continuation, OpenVote, Rollouts};
pub use shared::SharedPrompt;
#[cfg(feature = "candle-transformers")]
pub use transformers::CachedLlama;
pub use trie::{MAX_PHRASE_LENGTH, Phrase, PhraseTrie, PhraseTrieBuilder};
pub use vote::PhraseVote;
