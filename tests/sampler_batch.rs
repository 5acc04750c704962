//! Batches of requests: what each samples, against the whole chain by its definition.

mod common;

mod sampler_batch {
    use candle_core::Tensor;
    use concept_mass::sample::{RowSampler, SampleError, Sampled, sample_batch};

    use crate::common::device;

    mod alike;
    mod distributions;
    mod errors;
    mod extremes;
    mod filters;
    mod kept;
    mod log_probs;
    mod slots;
    // On a CUDA device, rows are copied to the host, to the same code; an emulated one takes minutes
    // for a text.
    #[cfg(all(feature = "tokenizers", not(feature = "cuda")))]
    mod spellings;
    #[cfg(all(feature = "tokenizers", not(feature = "cuda")))]
    #[path = "../phrases/tiny.rs"]
    mod tiny;
    mod uniforms;
    mod witness;

    /// What the rows of a batch sample, of `logits` for each.
    fn sample_rows(
        logits: &[&[f32]],
        rows: &mut [RowSampler],
    ) -> Vec<Result<Sampled, SampleError>> {
        let logits = Tensor::new(logits.to_vec(), &device()).unwrap();
        sample_batch(&logits, rows).unwrap()
    }

    /// What one row samples.
    fn sample_one(logits: &[f32], row: &mut RowSampler) -> Result<Sampled, SampleError> {
        sample_rows(&[logits], std::slice::from_mut(row)).remove(0)
    }
}
