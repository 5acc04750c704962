//! Drop-in decoding: pick the next token by meaning.

mod sampler;

pub use sampler::{ConceptSampler, Sampling};
