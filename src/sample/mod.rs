//! The next token of a decode loop, by meaning.

mod batch;
mod batch_sampler;
mod call;
mod error;
mod mask;
mod noise;
mod params;
mod range;
mod rank;
mod row_state;
mod sampled;
mod sampler;
mod sampling;
mod settings;
mod step;
mod weights;

pub use batch::{RowSampler, sample_batch, sample_batch_masked};
pub use batch_sampler::{
    AcceptSpelling, BatchSampler, Draft, SampledBatch, Verified, VerifiedBatch,
};
pub use error::SampleError;
pub use mask::TokenMask;
pub use params::{Distribution, Emission, LogProbs, Penalties, SamplingParams};
pub use row_state::RowState;
pub use sampled::{ConceptLogProb, Sampled, SampledLogProbs};
pub use sampler::ConceptSampler;
pub use sampling::Sampling;
pub use step::TopKPooling;
