//! Logits of any layout and dtype, in every mode, with and without pooling by step.

use candle_core::{DType, Device, Tensor};
use concept_mass::sample::TopKPooling;
use concept_mass::source::Embedding;
use concept_mass::{ConceptMap, ConceptSampler, Sampling};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{modes, tokens};
use crate::common::{DTYPES, LAYOUTS, Layout, device};

const V: usize = 30;

fn rows() -> Vec<Vec<f32>> {
    let mut rng = StdRng::seed_from_u64(1);
    (0..3).map(|_| (0..V).map(|_| rng.random_range(-2.0..2.0)).collect()).collect()
}

/// Samplers of every mode: of a map that pools nothing, of one that does, and with pooling by step.
fn samplers() -> Vec<ConceptSampler> {
    let alone = ConceptMap::singletons(V).unwrap().to_device(&device()).unwrap();
    let pooled = ConceptMap::builder(V).unnamed(3..9).unwrap().build().unwrap();
    let pooled = pooled.to_device(&device()).unwrap();
    let angles = (0..V).flat_map(|t| [(t as f32).cos(), (t as f32).sin()]);
    let matrix = Tensor::from_vec(angles.collect(), (V, 2), &Device::Cpu).unwrap();
    let embedding = Embedding::new(&matrix.to_device(&device()).unwrap()).unwrap();
    let mut samplers = Vec::new();
    for sampling in modes(1.0) {
        let new = |map| ConceptSampler::from_sampling(5, sampling.clone(), map).unwrap();
        let by_step = |sampler: ConceptSampler| {
            let pooling = TopKPooling { k: usize::MAX, threshold: 0.5 };
            sampler.with_top_k_pooling(pooling, embedding.clone()).unwrap()
        };
        samplers.extend([new(alone.clone()), new(pooled.clone())]);
        samplers.extend([by_step(new(alone.clone())), by_step(new(pooled.clone()))]);
    }
    samplers
}

/// What every sampler makes of each of these rows, as `[V]` and as `[1, V]`.
fn all_tokens(logits: &Tensor) -> Vec<Vec<u32>> {
    let of = |mut sampler: ConceptSampler| {
        let mut drawn = tokens(&mut sampler, logits);
        drawn.push(sampler.sample(&logits.narrow(0, 1, 1).unwrap()).unwrap());
        drawn
    };
    samplers().into_iter().map(of).collect()
}

#[test]
fn the_layout_changes_nothing() {
    for dtype in DTYPES {
        let of = |layout: Layout| all_tokens(&layout.tensor(&rows(), V, dtype).unwrap());
        let want = of(Layout::Contiguous);
        for layout in LAYOUTS {
            assert_eq!(of(layout), want, "{layout:?} {dtype:?}");
        }
    }
}

#[test]
fn rows_that_share_memory_are_rows_all_the_same() {
    let row = Tensor::new(rows().remove(0), &device()).unwrap();
    let shared = row.broadcast_as((3, V)).unwrap();
    assert_eq!(all_tokens(&shared), all_tokens(&shared.contiguous().unwrap()));
    // All of a row may be one logit.
    let column = Tensor::new(&[[0.5f32], [1.0], [-3e30]], &device()).unwrap();
    let shared = column.broadcast_as((3, V)).unwrap();
    assert_eq!(all_tokens(&shared), all_tokens(&shared.contiguous().unwrap()));
    for mut sampler in samplers() {
        let one = Tensor::new(&[2f32], &device()).unwrap().broadcast_as(V).unwrap();
        assert!(sampler.sample(&one).unwrap() < V as u32);
    }
}

#[test]
fn logits_in_f64_are_converted() {
    let logits = Tensor::new(rows(), &device()).unwrap();
    let in_f64 = logits.to_dtype(DType::F64).unwrap();
    assert_eq!(all_tokens(&in_f64), all_tokens(&logits));
    let transposed = in_f64.t().unwrap().contiguous().unwrap().t().unwrap();
    assert_eq!(all_tokens(&transposed), all_tokens(&logits));

    let mut sampler = samplers().remove(0);
    assert_eq!(*sampler.sampling(), Sampling::ArgMax);
    let integers = Tensor::zeros(V, DType::U32, &device()).unwrap();
    let error = sampler.sample(&integers).unwrap_err();
    assert!(error.to_string().contains("U32"), "{error}");
}
