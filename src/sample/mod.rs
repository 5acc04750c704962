//! The next token of a decode loop, by meaning.

mod error;
mod sampler;
mod step;
mod weights;

pub use error::SampleError;
pub use sampler::{ConceptSampler, Sampling};
pub use step::TopKPooling;
