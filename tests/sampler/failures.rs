//! A call either succeeds or changes nothing.

use candle_core::{DType, Tensor};
use concept_mass::reduce::{BadRow, BadRowReason, ReduceError};
use concept_mass::sample::{Penalties, SampleError, SamplingParams};
use concept_mass::{ConceptMap, ConceptSampler, DeviceMap, Sampling};
use rand::{SeedableRng, rngs::StdRng};

use super::{modes, random_logits, weighing};
use crate::common::device;

const V: usize = 40;

fn maps() -> [DeviceMap; 2] {
    let pooled = ConceptMap::builder(V).unnamed(3..9).unwrap().build().unwrap();
    [ConceptMap::singletons(V).unwrap(), pooled].map(|map| map.to_device(&device()).unwrap())
}

fn bad_rows() -> Vec<(Tensor, BadRowReason)> {
    let row = |fill: f32, token: usize, logit: f32| {
        let mut row = vec![fill; V];
        row[token] = logit;
        Tensor::new(row, &device()).unwrap()
    };
    let ninf = f32::NEG_INFINITY;
    vec![
        (row(0.0, 5, f32::NAN), BadRowReason::Nan),
        (row(0.0, V - 1, f32::NAN), BadRowReason::Nan),
        (row(ninf, 0, f32::INFINITY), BadRowReason::PosInf),
        (row(ninf, 0, ninf), BadRowReason::AllNegInf),
    ]
}

/// Every mode, with every map.
fn samplers() -> Vec<(Sampling, DeviceMap)> {
    let pairs = |map: DeviceMap| modes(1.0).into_iter().map(move |mode| (mode, map.clone()));
    maps().into_iter().flat_map(pairs).collect()
}

#[test]
fn a_row_without_a_winner_is_an_error_that_names_it_and_changes_nothing() {
    let mut rng = StdRng::seed_from_u64(1);
    for (sampling, map) in samplers() {
        for traced in [false, true] {
            let new = || {
                let new = ConceptSampler::from_sampling(1, sampling.clone(), map.clone()).unwrap();
                if traced { new.with_trace() } else { new }
            };
            let (mut disturbed, mut alone) = (new(), new());
            for round in 0..6 {
                for (bad, reason) in bad_rows() {
                    let error = disturbed.sample(&bad).unwrap_err();
                    let is_right = matches!(
                        error,
                        SampleError::Reduce(ReduceError::BadRow(BadRow { row: 0, reason: r, .. }))
                            if r == reason
                    );
                    assert!(is_right, "{sampling:?}: {error}");
                    disturbed.sample(&bad.unsqueeze(0).unwrap()).unwrap_err();
                }
                let narrow = Tensor::zeros(V - 1, DType::F32, &device()).unwrap();
                disturbed.sample(&narrow).unwrap_err();
                disturbed.sample(&narrow.to_dtype(DType::U32).unwrap()).unwrap_err();
                let empty = Tensor::zeros((0, V), DType::F32, &device()).unwrap();
                disturbed.sample(&empty).unwrap_err();
                let logits = random_logits(V, &mut rng);
                let (a, b) = (disturbed.sample(&logits).unwrap(), alone.sample(&logits).unwrap());
                assert_eq!(a, b, "{sampling:?} round {round}");
            }
            let traces = (disturbed.take_trace(), alone.take_trace());
            assert_eq!(traces.0, traces.1);
            assert_eq!(traces.0.len(), if traced { 6 } else { 0 });
        }
    }
}

#[test]
fn several_rows_are_too_many_for_one_token() {
    for sampling in modes(1.0) {
        let map = ConceptMap::singletons(2).unwrap().to_device(&device()).unwrap();
        let mut sampler = ConceptSampler::from_sampling(1, sampling, map).unwrap();
        for rows in [0, 2] {
            let logits = Tensor::zeros((rows, 2), DType::F32, &device()).unwrap();
            let error = sampler.sample(&logits).unwrap_err();
            assert!(matches!(error, SampleError::NotOneRow { rows: r } if r == rows), "{error}");
        }
    }
}

#[test]
fn a_change_that_fails_changes_nothing() {
    let mut rng = StdRng::seed_from_u64(3);
    for map in maps() {
        for sampling in weighing(1.0) {
            let new = || {
                let new = ConceptSampler::from_sampling(1, sampling.clone(), map.clone()).unwrap();
                new.with_trace()
            };
            let (mut disturbed, mut alone) = (new(), new());
            for _ in 0..5 {
                let logits = random_logits(V, &mut rng);
                disturbed.sample_f(&logits, |weights| weights[V - 1] = f32::NAN).unwrap_err();
                assert_eq!(disturbed.sample(&logits).unwrap(), alone.sample(&logits).unwrap());
            }
            assert_eq!(disturbed.take_trace(), alone.take_trace());
        }
    }
}

#[test]
fn a_bias_beyond_f32_is_the_same_error_however_a_row_is_sampled() {
    let map = ConceptMap::singletons(2).unwrap().to_device(&device()).unwrap();
    let params = SamplingParams::at(1.0).unwrap().with_bias([(0, 3e38)]).unwrap();
    let mut sampler = ConceptSampler::from_params(params, map).unwrap();
    let logits = Tensor::new(&[3e38f32, 0.0], &device()).unwrap();
    for error in
        [sampler.sample(&logits), sampler.sample_f(&logits, |_| {})].map(Result::unwrap_err)
    {
        let BadRow { reason, .. } = match error {
            SampleError::Reduce(ReduceError::BadRow(bad)) => bad,
            other => panic!("{other}"),
        };
        assert_eq!(reason, BadRowReason::PosInf);
    }
}

#[test]
fn a_penalty_beyond_f32_spoils_no_row_whose_token_is_banned() {
    let map = ConceptMap::singletons(2).unwrap().to_device(&device()).unwrap();
    let penalties = Penalties { frequency: -1e38, ..Penalties::NONE };
    let params = SamplingParams::greedy().with_penalties(penalties).unwrap();
    let mut sampler = ConceptSampler::from_params(params, map).unwrap();
    sampler.see(&[0, 0, 0, 0]).unwrap();
    let logits = Tensor::new(&[f32::NEG_INFINITY, 0.0], &device()).unwrap();
    assert_eq!(sampler.sample(&logits).unwrap(), 1);
}
