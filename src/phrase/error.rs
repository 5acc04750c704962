use candle_core::Shape;

use crate::map::MapError;
use crate::reduce::{BadRowReason, ReduceError};
use crate::source::SourceError;

/// Why phrases cannot be voted on, or continuations cannot be rolled out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PhraseError {
    /// A phrase without a token.
    #[error("a phrase of concept {concept:?} has no tokens: a phrase needs at least one")]
    EmptyPhrase {
        /// The concept's name.
        concept: String,
    },

    /// A phrase of more than [`MAX_PHRASE_LENGTH`](super::MAX_PHRASE_LENGTH) tokens.
    #[error(
        "a phrase of concept {concept:?} has more than {max} tokens: shorten it",
        max = super::MAX_PHRASE_LENGTH
    )]
    PhraseTooLong {
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
        "token {token} ends an answer, but is in a phrase of concept {concept:?}; drop it from the \
         phrase, or from the ends"
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
    #[error("the prompt has no tokens; give the model at least one, such as its `<s>`")]
    EmptyPrompt,

    /// A prompt that leaves no room in the model's context for what is to follow it.
    #[error(
        "a prompt of {prompt} tokens and a phrase of {phrase} do not fit into the model's context \
         of {context}; shorten the prompt"
    )]
    TooLong {
        /// The tokens of the prompt.
        prompt: usize,
        /// The tokens of the longest phrase; 1 for a text of any length.
        phrase: usize,
        /// The most tokens that the model reads.
        context: usize,
    },

    /// Logits of another shape than `[N, V]`.
    #[error(
        "the model must return logits of shape {expected:?}, a row for each sequence, got {got:?}"
    )]
    ModelOutput {
        /// The number of sequences, and the size of the vocabulary.
        expected: (usize, usize),
        /// The shape of the tensor given.
        got: Shape,
    },

    /// Logits that give no probabilities, and why.
    #[error(
        "the model's row of logits after the prompt{} {reason}: check the model, and what masks its \
         logits",
        if after.is_empty() { String::new() } else { format!(" and the tokens {after:?}") }
    )]
    Logits {
        /// What was read after the prompt.
        after: Vec<u32>,
        /// What is wrong with the logits.
        reason: BadRowReason,
    },

    /// A parameter out of range.
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

    /// An error of candle, or of the model.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
