//! Models with a cache, asked what cannot be read, and after they have failed.

use candle_core::{Device, Result, Tensor};
use concept_mass::phrase::{CachedForward, CachedModel, NextLogits, SharedPrompt};
use proptest::prelude::*;

/// Knows a sequence by a number that is made of its tokens, and fails at one of its passes.
#[derive(Clone, Default)]
struct Failing {
    /// What has been read of every row.
    cache: Vec<Vec<u32>>,
    passes: std::sync::Arc<std::sync::atomic::AtomicUsize>,
    fails_at: Option<usize>,
}

impl CachedForward for Failing {
    fn forward(&mut self, tokens: &Tensor, offset: usize) -> Result<Tensor> {
        let tokens = tokens.to_vec2::<u32>()?;
        if offset == 0 {
            self.cache = vec![Vec::new(); tokens.len()];
        }
        assert!(self.cache.iter().all(|row| row.len() == offset));
        for (i, row) in self.cache.iter_mut().enumerate() {
            row.extend(&tokens[i]);
            // It fails with a part of a batch in its cache.
            if i == 0 {
                let pass = self.passes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if self.fails_at == Some(pass) {
                    candle_core::bail!("out of memory");
                }
            }
        }
        let known = self.cache.iter().map(|row| sum(row));
        Tensor::from_iter(known.flat_map(|sum| [sum; 2]), &Device::Cpu)?.reshape((
            self.cache.len(),
            1,
            2,
        ))
    }

    fn reset(&mut self) {
        self.cache.clear();
    }
}

fn sum(sequence: &[u32]) -> f32 {
    sequence.iter().fold(1.0, |sum, &token| sum * 3.0 + token as f32)
}

const CONTEXT: usize = 5;

fn models(fails_at: Option<usize>) -> [Box<dyn NextLogits>; 2] {
    let model = || Failing { fails_at, ..Failing::default() };
    [
        Box::new(CachedModel::new(model(), Device::Cpu, Some(CONTEXT))),
        Box::new(SharedPrompt::new(model(), Device::Cpu, Some(CONTEXT))),
    ]
}

fn can_be_read(batch: &[Vec<u32>]) -> bool {
    let length = batch.first().map_or(0, Vec::len);
    (1..=CONTEXT).contains(&length) && batch.iter().all(|sequence| sequence.len() == length)
}

fn want(batch: &[Vec<u32>]) -> Vec<Vec<f32>> {
    batch.iter().map(|sequence| vec![sum(sequence); 2]).collect()
}

#[test]
fn a_batch_of_nothing_is_an_error() {
    for mut model in models(None) {
        let error = model.next_logits(&[]).unwrap_err().to_string();
        assert!(error.contains("no sequences"), "{error}");
        let error = model.next_logits(&[vec![], vec![]]).unwrap_err().to_string();
        assert!(error.contains("sequence 0 is empty"), "{error}");
        let error = model.next_logits(&[vec![1, 2], vec![1]]).unwrap_err().to_string();
        assert!(error.contains("sequence 1 has 1 tokens, and sequence 0 2"), "{error}");
        let error = model.next_logits(&[vec![1; 6]]).unwrap_err().to_string();
        assert!(error.contains("6 tokens, but the model reads at most 5"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_call_succeeds_or_changes_nothing(
        batches in proptest::collection::vec(
            prop_oneof![
                // Any, and those that often extend each other.
                proptest::collection::vec(proptest::collection::vec(0u32..2, 0..4), 0..4),
                (1usize..4, 1usize..7).prop_map(|(rows, length)| vec![vec![1; length]; rows]),
                (0u32..2, 1usize..7).prop_map(|(last, length)| {
                    vec![[&vec![1; length][..], &[last]].concat(), vec![1; length + 1]]
                }),
            ],
            1..8,
        ),
        fails_at in proptest::option::of(0usize..12),
    ) {
        for mut model in models(fails_at) {
            let mut failures = 0;
            for batch in &batches {
                match model.next_logits(batch) {
                    Ok(logits) => {
                        prop_assert!(can_be_read(batch));
                        prop_assert_eq!(logits.to_vec2::<f32>().unwrap(), want(batch));
                    }
                    Err(_) if !can_be_read(batch) => {}
                    Err(error) => {
                        prop_assert!(error.to_string().contains("out of memory"), "{error}");
                        failures += 1;
                        // Asked again, it gives what it would have given.
                        let logits = model.next_logits(batch).unwrap();
                        prop_assert_eq!(logits.to_vec2::<f32>().unwrap(), want(batch));
                    }
                }
            }
            prop_assert!(failures <= 1);
        }
    }
}
