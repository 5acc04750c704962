use std::{cmp::Reverse, collections::BinaryHeap};

use candle_core::{DType, Device, Tensor};

use crate::sample::SampleError;
use crate::source::Embedding;
#[cfg(feature = "tokenizers")]
use crate::source::{Judge, Vocabulary};

/// Pools each step's likeliest tokens by meaning, as the model's own embedding tells it: the
/// concept-aware decoding that Yeom et al. (2026) sketch.
///
/// Of the `k` likeliest concepts of a step (tokens, under a map that pools nothing), those whose
/// likeliest tokens have rows within the threshold become one; see [`Embedding`] for the grouping,
/// and [`ConceptSampler::with_top_k_pooling`](crate::ConceptSampler::with_top_k_pooling).
///
/// ```
/// use candle_core::{Device, Tensor};
/// use concept_mass::{ConceptMap, ConceptSampler, Sampling, sample::TopKPooling, source::Embedding};
///
/// let device = Device::Cpu;
/// let rows = [[0f32, 1.], [1., 0.], [0.9, 0.1], [0.9, -0.1]];
/// let embedding = Embedding::new(&Tensor::new(&rows, &device)?)?;
/// let map = ConceptMap::singletons(4)?.to_device(&device)?; // no concepts but those of the step
/// let mut sampler = ConceptSampler::from_sampling(42, Sampling::ArgMax, map)
///     .with_top_k_pooling(TopKPooling { k: 3, threshold: 0.9 }, embedding)?;
///
/// let logits = Tensor::new(&[0.4f32, 0.3, 0.25, 0.05], &device)?.log()?;
/// assert_eq!(sampler.sample(&logits)?, 1); // with 2, .55
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TopKPooling {
    /// How many of the likeliest are looked at, at least 1.
    pub k: usize,
    /// The least cosine of two rows of one meaning, in -1 to 1.
    pub threshold: f32,
}

/// What a sampler does with a step's likeliest concepts.
pub(super) struct StepPooling {
    k: usize,
    source: Source,
}

/// Who says what means the same.
pub(super) enum Source {
    Embedding(Embedding, f32),
    #[cfg(feature = "tokenizers")]
    Judge(Vocabulary, Box<dyn Judge + Send>),
}

impl StepPooling {
    pub fn new(k: usize, source: Source) -> Result<Self, SampleError> {
        if k == 0 {
            let requirement = "at least one token must be looked at";
            return Err(SampleError::Parameter { parameter: "k", value: 0.0, requirement });
        }
        Ok(Self { k, source })
    }

    /// Pools what means the same among the largest of `pooled`, in which concepts stand for their
    /// tokens already; `logits` are what they were pooled from, both `[V]`.
    ///
    /// A group stands at the place of its likeliest token, as in [`crate::DeviceMap::pool`].
    /// The result is on the host.
    pub fn pool(&mut self, pooled: &Tensor, logits: &Tensor) -> Result<Tensor, SampleError> {
        let mut pooled = pooled.to_vec1::<f32>()?;
        let tokens = largest(&pooled, self.k);
        let groups = match &mut self.source {
            Source::Embedding(embedding, threshold) => embedding.groups(&tokens, *threshold)?,
            #[cfg(feature = "tokenizers")]
            Source::Judge(vocabulary, judge) => vocabulary.judged(&tokens, judge.as_mut())?,
        };
        let chosen = Tensor::new(tokens.as_slice(), logits.device())?;
        let own = logits.index_select(&chosen, 0)?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
        for group in groups {
            let likelier =
                |&a: &usize, &b: &usize| own[a].total_cmp(&own[b]).then(tokens[b].cmp(&tokens[a]));
            let Some(first) = group.iter().copied().max_by(likelier) else { continue };
            let mass = log_sum_exp(group.iter().map(|&i| pooled[tokens[i] as usize]));
            group.iter().for_each(|&i| pooled[tokens[i] as usize] = f32::NEG_INFINITY);
            pooled[tokens[first] as usize] = mass;
        }
        let vocab_size = pooled.len();
        Ok(Tensor::from_vec(pooled, vocab_size, &Device::Cpu)?)
    }
}

/// The places of the `k` largest of `logits`, largest first, without those of -inf; of equals, the
/// lowest place first. `O(V)`, and `O(log k)` for each logit that is among the largest so far.
pub(crate) fn largest(logits: &[f32], k: usize) -> Vec<u32> {
    // The least of the largest is on top.
    let mut heap = BinaryHeap::with_capacity(k + 1);
    let mut least = f32::NEG_INFINITY;
    for (place, &logit) in (0u32..).zip(logits) {
        if logit > least {
            heap.push(Reverse((ordered(logit), Reverse(place))));
            if heap.len() > k {
                heap.pop();
            }
            if heap.len() == k
                && let Some(Reverse((_, Reverse(last)))) = heap.peek()
            {
                least = logits[*last as usize];
            }
        }
    }
    let sorted = heap.into_sorted_vec().into_iter();
    sorted.map(|Reverse((_, Reverse(place)))| place).collect()
}

/// An integer in the order of finite floats.
fn ordered(logit: f32) -> i32 {
    let bits = logit.to_bits() as i32;
    bits ^ (((bits >> 31) as u32) >> 1) as i32
}

fn log_sum_exp(logits: impl Iterator<Item = f32> + Clone) -> f32 {
    let max = logits.clone().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.map(|logit| f64::from(logit - max).exp()).sum();
    (f64::from(max) + sum.ln()) as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zeros_of_both_signs_are_as_they_are_ordered() {
        assert_eq!(largest(&[0.0, 1.0, 0.0], 2), [1, 0]);
        assert_eq!(largest(&[f32::NEG_INFINITY, -3.0], 5), [1]);
        assert!(largest(&[f32::NEG_INFINITY], 1).is_empty());
    }

    proptest! {
        #[test]
        fn the_largest_are_those_of_a_sort(
            logits in proptest::collection::vec(
                prop_oneof![(-3i8..3).prop_map(f32::from), Just(f32::NEG_INFINITY), -1e9f32..1e9],
                1..200,
            ),
            k in 1usize..220,
        ) {
            let mut places: Vec<u32> = (0..logits.len() as u32).collect();
            let logit = |place: u32| logits[place as usize];
            places.retain(|&place| logit(place) > f32::NEG_INFINITY);
            places.sort_by(|&a, &b| logit(b).total_cmp(&logit(a)).then(a.cmp(&b)));
            places.truncate(k);
            prop_assert_eq!(largest(&logits, k), places);
        }
    }
}
