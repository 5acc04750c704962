use candle_core::Shape;

use crate::{map::MapError, reduce::ReduceError, source::SourceError};

/// Why phrases cannot be voted on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PhraseError {
    /// A phrase without a token.
    #[error("a phrase of concept {concept:?} has no tokens: a phrase needs at least one")]
    EmptyPhrase {
        /// The concept's name.
        concept: String,
    },

    /// The same phrase for two concepts.
    #[error(
        "the phrase of tokens {tokens:?} is said to mean {first:?} and {second:?}; give it to one of \
         them"
    )]
    PhraseInTwoConcepts {
        /// The phrase.
        tokens: Vec<u32>,
        /// The concept that it was given to first.
        first: String,
        /// The concept that it was given to again.
        second: String,
    },

    /// A token that ends an answer, within a phrase.
    #[error(
        "token {token} is in a phrase of concept {concept:?}, and ends an answer; leave it out of \
         the phrase, or of the ends"
    )]
    EndInPhrase {
        /// The token.
        token: u32,
        /// The concept's name.
        concept: String,
    },

    /// A trie without a phrase.
    #[error("there are no phrases to vote on; add at least one")]
    NoPhrases,

    /// A prompt without a token.
    #[error("the prompt has no tokens; a model needs at least one, such as its `<s>`")]
    EmptyPrompt,

    /// A prompt and a phrase that are more than the model reads.
    #[error(
        "the prompt has {prompt} tokens and the longest phrase {phrase}, but the model reads no \
         more than {context}; shorten the prompt"
    )]
    TooLong {
        /// The tokens of the prompt.
        prompt: usize,
        /// The tokens of the longest phrase.
        phrase: usize,
        /// The most that the model reads.
        context: usize,
    },

    /// Logits of another shape than was asked for.
    #[error(
        "the model must give logits of shape {expected:?}, a row for each sequence, got {got:?}"
    )]
    ModelOutput {
        /// The sequences, and the vocabulary of the phrases.
        expected: (usize, usize),
        /// The shape of the tensor given.
        got: Shape,
    },

    /// Logits after a part of a phrase from which nothing can be told.
    #[error(
        "the model's logits after the prompt and tokens {after:?} hold a NaN or +inf, or nothing \
         but -inf"
    )]
    Logits {
        /// The tokens of the phrase so far.
        after: Vec<u32>,
    },

    /// A sampling parameter outside its range.
    #[error("{parameter} = {value} is out of range: {requirement}")]
    Parameter {
        /// The parameter's name.
        parameter: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        requirement: &'static str,
    },

    /// What is wrong with the map.
    #[error(transparent)]
    Map(#[from] MapError),

    /// What is wrong with the source of a map.
    #[error(transparent)]
    Source(#[from] SourceError),

    /// What is wrong with the logits.
    #[error(transparent)]
    Reduce(#[from] ReduceError),

    /// What candle complains of.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
