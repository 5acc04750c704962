//! Drop-in decoding: pick the next token by meaning, or a whole answer.

mod phrase;
mod sampler;
mod top_k;
mod weights;

#[cfg(feature = "candle-transformers")]
pub use phrase::CachedLlama;
pub use phrase::{
    CachedForward, CachedModel, Continuation, DevicePhrases, Intervention, LongForm, NextLogits,
    OpenStep, OpenVocabulary, OpenVote, PhraseCost, PhraseVote, Rollouts, SharedPrompt,
};
pub use sampler::{ConceptSampler, Sampling};
pub use top_k::TopKPooling;
