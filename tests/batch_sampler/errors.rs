//! What is refused, and that it changes nothing.

use candle_core::{DType, Device, Tensor};
use concept_mass::map::MapError;
use concept_mass::reduce::ReduceError;
use concept_mass::sample::{BatchSampler, RowState, SampleError, SamplingParams};
use concept_mass::{ConceptMap, MapSet};

use crate::common::device;

const V: usize = 40;

fn sampler() -> BatchSampler {
    let mut sampler = BatchSampler::new(MapSet::new(V, 4, &device()).unwrap(), 3).unwrap();
    let params = SamplingParams::at(1.0).unwrap().with_seed(5);
    sampler.start(1, params, None, RowState::new(2, [(3, 2)])).unwrap();
    sampler
}

/// Checks that a call is refused, and that the sampler goes on as if it had not been.
#[track_caller]
fn refused<T>(call: impl FnOnce(&mut BatchSampler) -> Result<T, SampleError>) -> SampleError {
    let (mut disturbed, mut alone) = (sampler(), sampler());
    let error = call(&mut disturbed).map(|_| ()).unwrap_err();
    let logits = Tensor::zeros((1, V), DType::F32, &device()).unwrap();
    let [a, b] = [&mut disturbed, &mut alone].map(|sampler| {
        assert_eq!(sampler.state(1).unwrap(), RowState::new(2, [(3, 2)]));
        let slots = sampler.slots(&[1]).unwrap();
        sampler.sample(&logits, &slots, None).unwrap().rows().unwrap().remove(0).unwrap()
    });
    assert_eq!(a, b);
    error
}

#[test]
fn samplers_of_no_slots_or_too_many() {
    for slots in [0, BatchSampler::MAX_SLOTS + 1, usize::MAX] {
        let error = BatchSampler::new(MapSet::new(V, 4, &device()).unwrap(), slots).unwrap_err();
        assert!(matches!(error, SampleError::Parameter { parameter: "slots", .. }), "{error}");
    }
}

#[test]
fn slots_that_are_not_there_or_not_started() {
    let params = SamplingParams::greedy;
    for slot in [3, usize::MAX] {
        for error in [
            refused(|sampler| sampler.start(slot, params(), None, RowState::default())),
            refused(|sampler| sampler.set_params(slot, params())),
            refused(|sampler| sampler.set_map(slot, None)),
            refused(|sampler| sampler.see(slot, &[1])),
            refused(|sampler| sampler.state(slot)),
            refused(|sampler| sampler.end(slot)),
            refused(|sampler| sampler.slots(&[1, slot])),
        ] {
            let names =
                matches!(error, SampleError::SlotOutOfRange { slot: got, slots: 3 } if got == slot);
            assert!(names, "{error}");
        }
    }
    for slot in [0, 2] {
        for error in [
            refused(|sampler| sampler.set_params(slot, params())),
            refused(|sampler| sampler.set_map(slot, None)),
            refused(|sampler| sampler.see(slot, &[1])),
            refused(|sampler| sampler.state(slot)),
            refused(|sampler| sampler.end(slot)),
        ] {
            assert!(
                matches!(error, SampleError::SlotNotStarted { slot: got } if got == slot),
                "{error}"
            );
        }
    }
    let mut ended = sampler();
    ended.end(1).unwrap();
    assert!(matches!(ended.state(1), Err(SampleError::SlotNotStarted { slot: 1 })));
}

#[test]
fn requests_that_fit_no_vocabulary() {
    let is_beyond = |error: &SampleError, t: u32| matches!(error, SampleError::Map(MapError::TokenOutOfRange { token, .. }) if *token == t);
    for token in [V as u32, u32::MAX] {
        let biased = || SamplingParams::greedy().with_bias([(token, 1.0)]).unwrap();
        for slot in [0, 1] {
            let error = refused(|sampler| sampler.start(slot, biased(), None, RowState::default()));
            assert!(is_beyond(&error, token), "{error}");
            let state = RowState::new(1, [(token, 1)]);
            let params = SamplingParams::greedy();
            let error = refused(|sampler| sampler.start(slot, params, None, state));
            assert!(is_beyond(&error, token), "{error}");
        }
        let error = refused(|sampler| sampler.set_params(1, biased()));
        assert!(is_beyond(&error, token), "{error}");
        let error = refused(|sampler| sampler.see(1, &[0, token]));
        assert!(is_beyond(&error, token), "{error}");
    }
    let unfit = serde_json::json!({ "step": 1, "seen": [[6, 1], [5, 1]] });
    let state: RowState = serde_json::from_value(unfit).unwrap();
    let error = refused(|sampler| sampler.start(1, SamplingParams::greedy(), None, state));
    assert!(matches!(error, SampleError::StateOrder { token: 5 }), "{error}");
}

#[test]
fn maps_that_are_not_there() {
    let gone = |sampler: &mut BatchSampler| {
        let id = sampler.maps_mut().insert(&ConceptMap::singletons(V).unwrap()).unwrap();
        sampler.maps_mut().remove(id).unwrap();
        Some(id)
    };
    for error in [
        refused(|sampler| {
            let id = gone(sampler);
            sampler.start(1, SamplingParams::greedy(), id, RowState::default())
        }),
        refused(|sampler| {
            let id = gone(sampler);
            sampler.set_map(1, id)
        }),
    ] {
        let is_gone = matches!(error, SampleError::Reduce(ReduceError::NoSuchMap { place: 0 }));
        assert!(is_gone, "{error}");
    }
}

/// A set may be put in the place of another, since it can be borrowed.
#[test]
fn another_set_must_be_of_the_same_vocabulary() {
    let mut sampler = sampler();
    *sampler.maps_mut() = MapSet::new(V + 1, 4, &device()).unwrap();
    let logits = Tensor::zeros((1, V + 1), DType::F32, &device()).unwrap();
    let slots = sampler.slots(&[1]).unwrap();
    let is_other = |error: &SampleError| {
        matches!(error, SampleError::Reduce(ReduceError::MapSetVocabulary { expected: V, .. }))
    };
    let error = sampler.sample(&logits, &slots, None).unwrap_err();
    assert!(is_other(&error), "{error}");
    let id = sampler.maps_mut().insert(&ConceptMap::singletons(V + 1).unwrap()).unwrap();
    assert!(is_other(&sampler.set_map(1, Some(id)).unwrap_err()));
    let params = SamplingParams::greedy();
    assert!(is_other(&sampler.start(0, params, Some(id), RowState::default()).unwrap_err()));
    // What can be mended is mended.
    *sampler.maps_mut() = MapSet::new(V, 1, &device()).unwrap();
    let logits = Tensor::zeros((1, V), DType::F32, &device()).unwrap();
    assert!(sampler.sample(&logits, &slots, None).unwrap().rows().unwrap()[0].is_ok());
}

#[test]
fn tensors_that_fit_no_batch() {
    let zeros = |dims: &[usize], dtype| Tensor::zeros(dims, dtype, &device()).unwrap();
    let slots = |n: usize| zeros(&[n], DType::U32);
    for dims in [&[1, V + 1][..], &[1, V - 1], &[1, 1, V], &[]] {
        let logits = zeros(dims, DType::F32);
        let error = refused(|sampler| sampler.sample(&logits, &slots(1), None));
        let is_of_logits = matches!(
            error,
            SampleError::Reduce(ReduceError::LogitsWidth { .. } | ReduceError::LogitsRank { .. })
        );
        assert!(is_of_logits, "{error}");
    }
    let logits = zeros(&[2, V], DType::F32);
    for n in [0, 1, 3] {
        let error = refused(|sampler| sampler.sample(&logits, &slots(n), None));
        let names = matches!(&error, SampleError::Reduce(ReduceError::RowsShape { tensor: "slot_of_row", expected, .. })
            if expected == "[2]");
        assert!(names, "{error}");
    }
    for dims in [&[2][..], &[1, 2], &[3, 2], &[2, 2, 1]] {
        let mask = zeros(dims, DType::U32);
        let error = refused(|sampler| sampler.sample(&logits, &slots(2), Some(&mask)));
        let names = matches!(
            &error,
            SampleError::Reduce(ReduceError::RowsShape { tensor: "the mask", .. })
        );
        assert!(names, "{error}");
    }
    let none = zeros(&[2, 0], DType::U32);
    let error = refused(|sampler| sampler.sample(&logits, &slots(2), Some(&none)));
    assert!(matches!(error, SampleError::MaskShape { words_per_row: 0, .. }), "{error}");
    let bytes = zeros(&[2, 2], DType::U8);
    let error = refused(|sampler| sampler.sample(&logits, &slots(2), Some(&bytes)));
    assert!(
        matches!(error, SampleError::Reduce(ReduceError::RowsDType { got: DType::U8, .. })),
        "{error}"
    );
    let floats = zeros(&[2], DType::F32);
    let error = refused(|sampler| sampler.sample(&logits, &floats, None));
    assert!(matches!(error, SampleError::Reduce(ReduceError::RowsDType { .. })), "{error}");
    if device().is_cuda() {
        let elsewhere = slots(2).to_device(&Device::Cpu).unwrap();
        let error = refused(|sampler| sampler.sample(&logits, &elsewhere, None));
        assert!(matches!(error, SampleError::Reduce(ReduceError::RowsDevice { .. })), "{error}");
    }
    let mut sampler = sampler();
    let none = logits.narrow(0, 0, 0).unwrap();
    assert!(sampler.sample(&none, &slots(0), None).unwrap().is_empty());
    // f64 is converted, as by sample_batch.
    let doubles = zeros(&[1, V], DType::F64);
    let one = sampler.slots(&[1]).unwrap();
    assert!(sampler.sample(&doubles, &one, None).unwrap().rows().unwrap()[0].is_ok());
}
