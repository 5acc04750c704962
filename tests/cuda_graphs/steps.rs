//! Steps of a batch server that a graph has captured.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use concept_mass::reduce::ReduceError;
use concept_mass::sample::{BatchSampler, Emission, Penalties, RowState, SampleError};
use concept_mass::{ConceptMap, MapSet};

use crate::common::chain::Request;
use crate::common::*;
use crate::{alone, capturable, capture, peaked};

const V: usize = 3001;
const ROWS: usize = 4;

/// A sampler with a request in each slot, and room for others.
fn sampler(device: &Device, map: &ConceptMap) -> BatchSampler {
    let mut maps = MapSet::new(V, 3, device).unwrap();
    let id = maps.insert(map).unwrap();
    let mut sampler = BatchSampler::new(maps, ROWS + 2).unwrap();
    for (slot, request) in requests().into_iter().enumerate() {
        let map = Some(id).filter(|_| slot != 1);
        sampler.start(slot, request.params(), map, RowState::new(3, [(5, 2)])).unwrap();
    }
    sampler
}

fn requests() -> [Request; ROWS] {
    let penalties = Penalties { repetition: 1.3, presence: 0.4, frequency: 0.1 };
    [
        Request::at(0.0),
        Request { top_p: 0.9, seed: 1, ..Request::at(1.0) },
        Request { top_k: Some(40), top_p: 0.95, penalties, seed: 2, ..Request::at(0.8) },
        Request { emission: Emission::ByShare, seed: 3, ..Request::at(0.7) },
    ]
}

/// What a server does between two steps.
fn change(round: usize, sampler: &mut BatchSampler) {
    let maps = |sampler: &mut BatchSampler, partition: Partition| {
        sampler.maps_mut().insert(&partition.map(V, &mut rng(9))).unwrap()
    };
    match round {
        1 => {
            // One goes, another comes into its slot, with more of everything.
            let bias = BTreeMap::from([(7, 3.0), (8, f32::NEG_INFINITY)]);
            let request = Request { bias, min_p: 0.01, seed: 9, ..Request::at(1.2) };
            let id = maps(sampler, Partition::EverySize);
            sampler.end(0).unwrap();
            sampler.start(0, request.params(), Some(id), RowState::default()).unwrap();
        }
        2 => {
            // One is preempted, and comes back in another slot; its own is free.
            let state = sampler.state(2).unwrap();
            let id = maps(sampler, Partition::Dense);
            sampler.start(4, requests()[2].params(), Some(id), state).unwrap();
            sampler.end(2).unwrap();
        }
        3 => sampler.set_params(3, requests()[1].params()).unwrap(),
        4 => sampler.see(1, &[1, 2, 3, 3]).unwrap(),
        _ => {}
    }
}

#[test]
fn a_captured_step_serves_whoever_is_in_the_slots() {
    let _alone = alone();
    let (device, cuda) = capturable();
    let map = Partition::Sparse.map(V, &mut rng(6));
    let (mut in_graph, mut beside) = (sampler(&device, &map), sampler(&device, &map));
    let logits = peaked(ROWS, V, 0, &device);
    let slots = in_graph.slots(&[0, 1, 2, 3]).unwrap();
    let mask = vec![0xffff_0fffu32; ROWS * V.div_ceil(32)];
    let mask = Tensor::from_vec(mask, (ROWS, V.div_ceil(32)), &device).unwrap();
    let (sampled, graph) =
        capture(&cuda, || in_graph.sample(&logits, &slots, Some(&mask)).unwrap());
    for round in 0..6 {
        change(round, &mut in_graph);
        change(round, &mut beside);
        logits.slice_set(&peaked(ROWS, V, round as u64, &device), 0, 0).unwrap();
        if round > 1 {
            slots.slice_set(&in_graph.slots(&[4, 1, 3, 2]).unwrap(), 0, 0).unwrap();
        }
        graph.launch().unwrap();
        let want = beside.sample(&logits, &slots, Some(&mask)).unwrap();
        let text = |rows: Vec<Result<_, SampleError>>| format!("{rows:?}");
        assert_eq!(text(sampled.rows().unwrap()), text(want.rows().unwrap()), "round {round}");
        let tokens = |of: &Tensor| of.to_vec1::<u32>().unwrap();
        assert_eq!(tokens(&sampled.tokens().unwrap()), tokens(&want.tokens().unwrap()));
    }
    for slot in [0, 1, 3, 4] {
        assert_eq!(in_graph.state(slot).unwrap(), beside.state(slot).unwrap());
    }
    // What the graph reads stays, whoever is gone.
    drop(in_graph);
    let _other: Vec<_> = (0..50).map(|_| peaked(1, V, 1, &device)).collect();
    graph.launch().unwrap();
    let want = beside.sample(&logits, &slots, Some(&mask)).unwrap().rows().unwrap();
    assert_eq!(format!("{:?}", sampled.rows().unwrap()), format!("{want:?}"));
}

#[test]
fn what_no_graph_can_do_is_refused_while_it_is_captured() {
    let _alone = alone();
    let (device, cuda) = capturable();
    let map = Partition::Sparse.map(V, &mut rng(6));
    let mut sampler = sampler(&device, &map);
    let logits = Tensor::zeros((1, V), DType::F32, &device).unwrap();
    let slots = sampler.slots(&[1]).unwrap();
    let request = Request::at(1.0).params();
    let id = sampler.maps_mut().insert(&map).unwrap();
    let (errors, _graph) = capture(&cuda, || {
        let errors = [
            sampler.maps_mut().insert(&map).map(drop).map_err(SampleError::from),
            sampler.maps_mut().remove(id).map_err(SampleError::from),
            sampler.start(5, request.clone(), None, RowState::default()),
            sampler.set_params(1, request.clone()),
            sampler.see(1, &[1]),
            sampler.state(1).map(drop),
            sampler.end(1),
            MapSet::new(V, 1, &device).map(drop).map_err(SampleError::from),
        ];
        sampler.sample(&logits, &slots, None).unwrap();
        errors
    });
    for error in errors {
        let error = error.unwrap_err();
        let is_it = matches!(error, SampleError::Reduce(ReduceError::Captured { .. }));
        assert!(is_it, "{error}");
        assert!(error.to_string().contains("captured"), "{error}");
    }
    // All of it is as it was.
    sampler.maps_mut().remove(id).unwrap();
    assert!(sampler.sample(&logits, &slots, None).unwrap().rows().unwrap()[0].is_ok());
}
