//! What is out of range is refused where it is given; what is given can be changed.

use concept_mass::sample::SampleError;
use concept_mass::{ConceptMap, ConceptSampler, DeviceMap, Sampling};

use super::{modes, split_vote};
use crate::common::device;

fn map() -> DeviceMap {
    split_vote().0.to_device(&device()).unwrap()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(name: &str, result: Result<T, SampleError>) {
    match result {
        Err(SampleError::Parameter { parameter, .. }) => assert_eq!(parameter, name),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn unfit_parameters_are_refused_where_they_are_given() {
    let mut unfit = vec![
        ("temperature", Sampling::GumbelSoftmax { temperature: -1e-300 }),
        ("k", Sampling::TopK { k: 0, temperature: 1.0 }),
        ("k", Sampling::TopKThenTopP { k: 0, p: 0.5, temperature: 1.0 }),
    ];
    for temperature in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut modes = modes(temperature);
        modes.remove(0);
        if temperature == 0.0 {
            modes.pop(); // GumbelSoftmax, whose 0 is ArgMax
        }
        unfit.extend(modes.into_iter().map(|sampling| ("temperature", sampling)));
    }
    for p in [f64::NAN, -1e-300, -1.0, 1.0 + f64::EPSILON, f64::INFINITY] {
        unfit.push(("p", Sampling::TopP { p, temperature: 1.0 }));
        unfit.push(("p", Sampling::TopKThenTopP { k: 2, p, temperature: 1.0 }));
        for temperature in [None, Some(0.0), Some(1.0)] {
            refused("p", ConceptSampler::new(1, temperature, Some(p), map()));
        }
    }
    let mut sampler = ConceptSampler::from_sampling(1, Sampling::ArgMax, map()).unwrap();
    for (name, sampling) in unfit {
        refused(name, ConceptSampler::from_sampling(1, sampling.clone(), map()));
        refused(name, sampler.set_sampling(sampling));
    }
    assert_eq!(*sampler.sampling(), Sampling::ArgMax);
    let error = sampler.set_temperature(0.7).unwrap_err();
    assert!(matches!(error, SampleError::NoTemperature { temperature: 0.7 }), "{error}");
    for temperature in [f64::NAN, -1.0, f64::INFINITY] {
        for top_p in [None, Some(0.5)] {
            refused("temperature", ConceptSampler::new(1, Some(temperature), top_p, map()));
        }
        for mut sampling in modes(1.0).into_iter().skip(1) {
            let mut sampler = ConceptSampler::from_sampling(1, sampling.clone(), map()).unwrap();
            refused("temperature", sampler.set_temperature(temperature));
            assert_eq!(*sampler.sampling(), sampling);
            sampler.set_temperature(2.0).unwrap();
            sampling = modes(2.0).into_iter().find(|mode| mode == sampler.sampling()).unwrap();
            assert!(format!("{sampling:?}").contains("temperature: 2.0"));
        }
    }
}

#[test]
fn the_number_of_the_likeliest_sizes_nothing() {
    let (_, logits) = split_vote();
    for k in [6, 100_000_000_000, usize::MAX / 2, usize::MAX] {
        for sampling in [
            Sampling::TopK { k, temperature: 1.0 },
            Sampling::TopKThenTopP { k, p: 0.9, temperature: 1.0 },
        ] {
            let mut sampler = ConceptSampler::from_sampling(1, sampling, map()).unwrap();
            assert!(sampler.sample(&logits).unwrap() < 5);
        }
    }
}

#[test]
fn a_seed_starts_all_random_numbers_anew() {
    let map = ConceptMap::singletons(1000).unwrap().to_device(&device()).unwrap();
    let logits = candle_core::Tensor::zeros(1000, candle_core::DType::F32, &device()).unwrap();
    for sampling in [
        Sampling::All { temperature: 1.0 },
        Sampling::GumbelSoftmax { temperature: 1.0 },
        Sampling::TopK { k: 500, temperature: 1.0 },
    ] {
        let mut sampler = ConceptSampler::from_sampling(1, sampling, map.clone()).unwrap();
        let mut draw = |seed: Option<u64>| -> Vec<u32> {
            seed.into_iter().for_each(|seed| sampler.set_seed(seed));
            (0..5).map(|_| sampler.sample(&logits).unwrap()).collect()
        };
        let first = draw(None);
        assert_ne!(draw(Some(2)), first);
        assert_eq!(draw(Some(1)), first);
    }
}

#[test]
fn the_map_comes_back() {
    let sampler = ConceptSampler::new(1, None, None, map()).unwrap();
    assert_eq!(sampler.map().map().num_concepts(), 3);
    assert_eq!(sampler.into_map().map().num_concepts(), 3);
}
