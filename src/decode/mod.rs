//! Drop-in decoding: pick the next token by meaning.

mod sampler;
mod top_k;

pub use sampler::{ConceptSampler, Sampling};
pub use top_k::TopKPooling;
