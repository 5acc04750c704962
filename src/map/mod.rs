//! Which tokens begin which meaning.
//!
//! A [`ConceptMap`] is a total partition of a vocabulary: every token is in exactly one concept,
//! and a token that nobody named is a concept of one. [`TokenSets`] are named sets of tokens to
//! measure, and may overlap. Both are validated when they are built, and immutable from then on.
//!
//! Token and concept ids are `u32`; counts and places in lists are `usize`. For maps made from
//! text, from a model's embedding or by your own function, see [`source`](crate::source).

mod builder;
mod error;
mod file;
#[expect(clippy::module_inception, reason = "a map is what the module is about")]
mod map;
mod over;
mod token_sets;

pub use builder::ConceptMapBuilder;
pub use error::{FileProblem, MapError};
pub use map::{ConceptMap, MAX_VOCAB_SIZE, MapStats};
pub use over::OnConflict;
pub use token_sets::{TokenSets, TokenSetsBuilder};

#[cfg(feature = "tokenizers")]
pub(crate) use file::fields;
pub(crate) use map::{check_token, check_tokens, check_vocab_size};
