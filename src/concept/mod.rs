//! Which tokens begin which meaning.
//!
//! A [`ConceptMap`] is a total partition of a vocabulary: every token is in exactly one concept,
//! and a token that nobody named is a concept of one. A [`ProbeSet`] is a list of token sets to
//! measure, which may overlap. A [`PhraseTrie`] has whole phrases in the place of tokens. All are
//! validated when they are built and never change. Where they come from is in [`source`].

mod builder;
mod file;
mod map;
mod over;
mod probes;
mod source;
mod trie;

pub use builder::Builder;
pub use map::{ConceptMap, MAX_VOCAB_SIZE, MapStats};
pub use over::OnConflict;
pub use probes::{ProbeSet, ProbeSetBuilder};
pub use source::Embedding;
#[cfg(feature = "tokenizers")]
pub use source::{
    Aliases, Beginning, FirstTokens, Form, Judge, JudgeError, Piece, SharedToken, Spelling,
    Vocabulary,
};
pub use trie::{Phrase, PhraseTrie, PhraseTrieBuilder};

pub(crate) use file::{FORMAT, VERSION};
pub(crate) use source::check_threshold;
