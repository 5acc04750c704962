//! Which tokens begin which meaning.
//!
//! A [`ConceptMap`] is a total partition of a vocabulary: every token is in exactly one concept,
//! and a token that nobody named is a concept of one. A [`ProbeSet`] is a list of token sets to
//! measure, which may overlap. Both are validated when they are built and never change.

mod builder;
mod file;
mod map;
mod probes;

pub use builder::Builder;
pub use map::{ConceptMap, MAX_VOCAB_SIZE, MapStats};
pub use probes::{ProbeSet, ProbeSetBuilder};

pub(crate) use file::{FORMAT, VERSION};
