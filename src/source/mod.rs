//! Where maps come from.
//!
//! | source | what it knows | one concept is |
//! | --- | --- | --- |
//! | [`Aliases`] | what may be answered, and how each answer is spelt | the first tokens of one answer's forms |
//! | [`Spelling`] | the vocabulary | the tokens that are one word, however written |
//! | [`Embedding`] | the model's own matrix | tokens whose rows point the same way |
//! | [`Judge`] | whatever you do | what your judge calls one meaning |
//!
//! All give a [`ConceptMap`](super::ConceptMap), and one map can be laid
//! [over](super::ConceptMap::over) another. All but the embedding look at the text of tokens, in a
//! [`Vocabulary`], and need the feature `tokenizers`.

mod embedding;
mod error;
mod linkage;

#[cfg(feature = "tokenizers")]
mod aliases;
#[cfg(feature = "tokenizers")]
mod first_tokens;
#[cfg(feature = "tokenizers")]
mod form;
#[cfg(feature = "tokenizers")]
mod judge;
#[cfg(feature = "tokenizers")]
mod piece;
#[cfg(feature = "tokenizers")]
mod spelling;
#[cfg(feature = "tokenizers")]
mod vocabulary;

pub use embedding::Embedding;
pub(crate) use embedding::check_threshold;
pub use error::SourceError;
#[cfg(feature = "tokenizers")]
pub use tokenizers;

#[cfg(feature = "tokenizers")]
pub use {
    aliases::Aliases,
    first_tokens::{FirstTokens, SharedToken},
    form::{Beginning, Form},
    judge::{Judge, JudgeError},
    piece::Piece,
    spelling::Spelling,
    vocabulary::Vocabulary,
};
