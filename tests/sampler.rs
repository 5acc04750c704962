//! The sampler against candle's own, and against the masses that it should follow.

mod common;

mod sampler {
    use candle_core::Tensor;
    use concept_mass::{ConceptMap, ConceptSampler, Sampling};
    use rand::{Rng, rngs::StdRng};

    use crate::common::device;

    mod candle;
    mod concepts;
    mod extremes;
    mod failures;
    mod layouts;
    mod parameters;
    mod params;
    mod ties;

    fn random_logits(vocab_size: usize, rng: &mut StdRng) -> Tensor {
        let logits: Vec<f32> = (0..vocab_size).map(|_| rng.random_range(-4.0..4.0)).collect();
        Tensor::new(logits, &device()).unwrap()
    }

    /// A vote of .4 against .25 + .2 + .1, and .05.
    fn split_vote() -> (ConceptMap, Tensor) {
        let map = ConceptMap::builder(5).concept("right", [1, 3, 4]).unwrap().build().unwrap();
        let probabilities = Tensor::new(&[0.4f32, 0.2, 0.05, 0.25, 0.1], &device()).unwrap();
        (map, probabilities.log().unwrap())
    }

    /// Every way to choose, at a temperature if it has one.
    fn modes(temperature: f64) -> Vec<Sampling> {
        vec![
            Sampling::ArgMax,
            Sampling::All { temperature },
            Sampling::TopK { k: 2, temperature },
            Sampling::TopP { p: 0.8, temperature },
            Sampling::TopKThenTopP { k: 3, p: 0.7, temperature },
            Sampling::GumbelSoftmax { temperature },
        ]
    }

    /// Those that draw by weights on the host, which the caller may change.
    fn weighing(temperature: f64) -> Vec<Sampling> {
        modes(temperature).drain(1..5).collect()
    }

    /// A token for every row of logits `[B, V]`, one after the other.
    fn tokens(sampler: &mut ConceptSampler, logits: &Tensor) -> Vec<u32> {
        let rows = logits.dims()[0];
        (0..rows).map(|row| sampler.sample(&logits.get(row).unwrap()).unwrap()).collect()
    }
}
