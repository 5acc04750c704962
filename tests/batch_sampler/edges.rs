//! Rows on whose edges a filter or a tie is decided: as one by one, on the host.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use concept_mass::sample::{
    BatchSampler, Penalties, RowSampler, RowState, SampleError, sample_batch,
};
use concept_mass::{ConceptMap, MapSet};

use crate::common::chain::Request;
use crate::common::*;

/// Samples the row by as many seeds as it has slots, and by [`sample_batch`] on the host.
fn check(map: &ConceptMap, logits: &[f32], dtype: DType, request: &Request, seen: &[(u32, u32)]) {
    const SEEDS: usize = 64;
    let mut maps = MapSet::new(logits.len(), 1, &device()).unwrap();
    let id = maps.insert(map).unwrap();
    let on_host = map.to_device(&Device::Cpu).unwrap();
    let mut sampler = BatchSampler::new(maps, SEEDS).unwrap();
    let mut alone = Vec::new();
    for slot in 0..SEEDS {
        let request = Request { seed: slot as u64, ..request.clone() };
        let state = RowState::new(0, seen.iter().copied());
        sampler.start(slot, request.params(), Some(id), state.clone()).unwrap();
        let mut row = RowSampler::new(request.params(), on_host.clone()).unwrap();
        row.restore(state).unwrap();
        alone.push(row);
    }
    let rows = Tensor::new(vec![logits.to_vec(); SEEDS], &Device::Cpu).unwrap();
    let rows = rows.to_dtype(dtype).unwrap();
    let slots = sampler.slots(&(0..SEEDS).collect::<Vec<_>>()).unwrap();
    let sampled = sampler.sample(&rows.to_device(&device()).unwrap(), &slots, None).unwrap();
    let want = sample_batch(&rows, &mut alone).unwrap();
    for (seed, (got, want)) in sampled.rows().unwrap().into_iter().zip(want).enumerate() {
        assert_eq!(got.unwrap(), want.unwrap(), "seed {seed}");
    }
}

/// The weights are 1, .6065 and, of the pooled concept, .610: that comes second, though its tokens are
/// below the others.
#[test]
fn what_is_just_above_the_cut_is_not_passed_over_for_what_is_just_below() {
    let map = pooling(8, &[&[1, 2]]);
    let low = [-100.0; 4];
    for p in [0.4, 0.5, 0.6, 0.7, 0.73] {
        for dtype in DTYPES {
            let logits = [&[16.0, 14.8125, 14.8125, 15.5][..], &low].concat();
            check(&map, &logits, dtype, &Request { top_p: p, ..Request::at(1.0) }, &[]);
        }
    }
}

#[test]
fn zeros_of_both_signs_are_equal() {
    let map = pooling(6, &[&[4, 5]]);
    for logits in [[-0.0f32, 0.0, -0.0, 0.0, -9.0, -9.0], [0.0, -0.0, 0.0, -0.0, -9.0, -9.0]] {
        check(&map, &logits, DType::F32, &Request::at(0.0), &[]);
        check(&map, &logits, DType::F32, &Request { top_k: Some(2), ..Request::at(1.0) }, &[]);
        check(&map, &logits, DType::F32, &Request { top_p: 0.6, ..Request::at(1.0) }, &[]);
    }
}

#[test]
fn what_a_penalty_lifts_beyond_all_bounds_can_be_banned() {
    let map = pooling(6, &[&[0, 5]]);
    let penalties = Penalties { repetition: 0.1, ..Penalties::NONE };
    let bias = BTreeMap::from([(2, f32::NEG_INFINITY)]);
    for temperature in [0.0, 1.0, 0.7] {
        let request = Request { penalties, bias: bias.clone(), ..Request::at(temperature) };
        check(&map, &[1.0, 2.0, 1e38, 0.5, 0.0, 1.5], DType::F32, &request, &[(2, 1)]);
    }
}

/// All but a few tokens are banned, and these are not the likeliest.
#[test]
fn a_mask_that_leaves_little_is_no_hindrance() {
    let mut rng = rng(3);
    let v = 5000;
    let logits = vec![Profile::Peaked.row(v, &mut rng); 3];
    let mut maps = MapSet::new(v, 1, &device()).unwrap();
    let id = maps.insert(&Partition::Sparse.map(v, &mut rng)).unwrap();
    let mut sampler = BatchSampler::new(maps, 3).unwrap();
    let requests = [Request::at(0.0), Request { top_p: 0.9, ..Request::at(1.0) }, Request::at(0.7)];
    for (slot, request) in requests.iter().enumerate() {
        sampler.start(slot, request.params(), Some(id), RowState::default()).unwrap();
    }
    let mut words = vec![0u32; v.div_ceil(32)];
    (100..120).for_each(|i| words[i] = 1);
    let mask = Tensor::new(vec![words; 3], &device()).unwrap();
    let logits = Layout::Contiguous.tensor(&logits, v, DType::F16).unwrap();
    let slots = sampler.slots(&[0, 1, 2]).unwrap();
    for row in sampler.sample(&logits, &slots, Some(&mask)).unwrap().rows().unwrap() {
        let token = row.unwrap().token as usize;
        assert!(token.is_multiple_of(32) && (100..120).contains(&(token / 32)), "{token}");
    }
}

#[test]
fn a_slot_that_is_named_twice_says_so_even_if_its_map_is_gone() {
    let mut maps = MapSet::new(6, 1, &device()).unwrap();
    let id = maps.insert(&pooling(6, &[&[0, 5]])).unwrap();
    let mut sampler = BatchSampler::new(maps, 2).unwrap();
    sampler.start(1, Request::at(1.0).params(), Some(id), RowState::default()).unwrap();
    sampler.maps_mut().remove(id).unwrap();
    let logits = Tensor::zeros((3, 6), DType::F32, &device()).unwrap();
    let slots = sampler.slots(&[0, 1, 1]).unwrap();
    let sampled = sampler.sample(&logits, &slots, None).unwrap();
    // The tensor is the caller's again.
    slots.slice_set(&sampler.slots(&[1, 0, 0]).unwrap(), 0, 0).unwrap();
    let rows = sampled.rows().unwrap();
    assert!(matches!(rows[0], Err(SampleError::SlotNotStarted { slot: 0 })));
    assert!(matches!(rows[1], Err(SampleError::SlotMapGone { slot: 1 })));
    assert!(matches!(rows[2], Err(SampleError::SlotTwice { row: 2, slot: 1, first: 1 })));
}
