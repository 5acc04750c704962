//! Drop-in decoding: pick the next token by meaning.

mod phrase;
mod sampler;
mod top_k;

pub use phrase::{CachedForward, CachedModel, DevicePhrases, NextLogits, PhraseCost, PhraseVote};
pub use sampler::{ConceptSampler, Sampling};
pub use top_k::TopKPooling;
