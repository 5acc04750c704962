//! Where maps come from.
//!
//! | source | made from | a concept is |
//! | --- | --- | --- |
//! | [`Aliases`] | the possible answers, and the ways to spell each | the first tokens of one answer's forms |
//! | [`Spelling`] | a vocabulary | the tokens that spell the same word |
//! | [`Embedding`] | the model's own matrix | tokens whose rows have nearly the same direction |
//! | [`Judge`] | a function of your own | what the function groups |
//!
//! Each makes a [`ConceptMap`](super::ConceptMap), and one map can be laid
//! [over](super::ConceptMap::over) another. All but the embedding read the text of tokens in a
//! [`Vocabulary`], and need the feature `tokenizers`.
//!
//! Tokens without a visible text (padding ids, special tokens, white space) say nothing, and no two
//! of them mean the same: [`Spelling`] leaves each alone, and a [`Judge`] does not see them.

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

#[cfg(feature = "tokenizers")]
use aliases::MAX_FORMS;
pub use embedding::Embedding;
pub(crate) use embedding::check_threshold;
pub use error::SourceError;
#[cfg(feature = "tokenizers")]
pub(crate) use first_tokens::no_beginning;
#[cfg(feature = "tokenizers")]
pub use tokenizers;

#[cfg(feature = "tokenizers")]
pub use {
    aliases::Aliases,
    first_tokens::{FirstTokens, SharedToken},
    form::{Beginning, Form},
    judge::{Judge, JudgeError, checked_groups},
    piece::{Piece, is_blank},
    spelling::Spelling,
    vocabulary::Vocabulary,
};
