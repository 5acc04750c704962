//! The next token of a decode loop, by meaning.

mod call;
mod error;
mod noise;
mod plan;
mod rank;
mod sampler;
mod sampling;
mod step;
mod weights;

pub use error::SampleError;
pub use sampler::ConceptSampler;
pub use sampling::Sampling;
pub use step::TopKPooling;
