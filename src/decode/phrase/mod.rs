//! Whole answers, not first tokens.
//!
//! `Adam` begins the right answer, Adam Smith, and a wrong one, Adam Lambert; a first token cannot
//! tell them apart. A [`PhraseTrie`](crate::PhraseTrie) holds whole answers; [`DevicePhrases::vote`] finds how much
//! probability a model gives to each, in as many forward passes as the longest has tokens.

mod model;
mod vote;

pub use model::{CachedForward, CachedModel, NextLogits};
pub use vote::{DevicePhrases, PhraseCost, PhraseVote};
