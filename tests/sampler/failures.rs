//! A call either succeeds or changes nothing; in a batch, row by row.

use candle_core::{DType, Tensor};
use concept_mass::reduce::{BadRow, BadRowReason, ReduceError};
use concept_mass::sample::SampleError;
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
                    let none = disturbed.sample_batch(&Tensor::stack(&[&bad, &bad], 0).unwrap());
                    assert!(none.unwrap().iter().all(Result::is_err));
                }
                let narrow = Tensor::zeros(V - 1, DType::F32, &device()).unwrap();
                disturbed.sample(&narrow).unwrap_err();
                disturbed.sample_batch(&narrow.to_dtype(DType::U32).unwrap()).unwrap_err();
                let empty = Tensor::zeros((0, V), DType::F32, &device()).unwrap();
                disturbed.sample(&empty).unwrap_err();
                assert!(disturbed.sample_batch(&empty).unwrap().is_empty());
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
fn bad_rows_of_a_batch_are_as_if_they_were_not_there() {
    let mut rng = StdRng::seed_from_u64(2);
    for (sampling, map) in samplers() {
        let new = || {
            let new = ConceptSampler::from_sampling(1, sampling.clone(), map.clone()).unwrap();
            new.with_trace()
        };
        let (mut mixed, mut good) = (new(), new());
        for _ in 0..6 {
            let rows: Vec<Tensor> = (0..4).map(|_| random_logits(V, &mut rng)).collect();
            let bad: Vec<Tensor> = bad_rows().into_iter().map(|(row, _)| row).collect();
            // The noise is that of a place, so that the bad ones come after the good there.
            let all = match sampling {
                Sampling::GumbelSoftmax { .. } => [&rows[..], &bad[..]].concat(),
                _ => bad.iter().zip(&rows).flat_map(|(a, b)| [a.clone(), b.clone()]).collect(),
            };
            let tokens = mixed.sample_batch(&Tensor::stack(&all, 0).unwrap()).unwrap();
            for (i, error) in
                tokens.iter().enumerate().filter_map(|(i, t)| Some((i, t.as_ref().err()?)))
            {
                let names = format!("row {i} ");
                assert!(error.to_string().starts_with(&names), "{error}");
            }
            let tokens: Vec<u32> = tokens.into_iter().filter_map(Result::ok).collect();
            let want = super::tokens(&mut good, &Tensor::stack(&rows, 0).unwrap());
            assert_eq!(tokens, want, "{sampling:?}");
            assert_eq!(mixed.take_trace(), good.take_trace());
        }
    }
}

#[test]
fn a_bad_row_of_noise_keeps_its_step_and_its_neighbours_go_on() {
    let logits = Tensor::zeros((3, V), DType::F32, &device()).unwrap();
    let bad = Tensor::full(f32::NAN, (1, V), &device()).unwrap();
    let one = logits.narrow(0, 0, 1).unwrap();
    for map in maps() {
        let new = || {
            let sampling = Sampling::GumbelSoftmax { temperature: 1.0 };
            ConceptSampler::from_sampling(1, sampling, map.clone()).unwrap()
        };
        let (mut mixed, mut good) = (new(), new());
        let steps: Vec<_> = (0..2).map(|_| super::tokens(&mut good, &logits)).collect();
        let some = Tensor::cat(&[&one, &bad, &one], 0).unwrap();
        let first = mixed.sample_batch(&some).unwrap();
        assert_eq!(*first[0].as_ref().unwrap(), steps[0][0]);
        assert!(first[1].is_err());
        assert_eq!(*first[2].as_ref().unwrap(), steps[0][2]);
        let second = super::tokens(&mut mixed, &logits);
        assert_eq!(second, [steps[1][0], steps[0][1], steps[1][2]]);
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
