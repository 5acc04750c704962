//! A request's tokens are its own: in any slot, in any batch, after a break, and whoever was there
//! before.

use candle_core::{DType, Tensor};
use concept_mass::reduce::NO_TOKEN;
use concept_mass::sample::{BatchSampler, RowState, SampleError, Sampled, SamplingParams};
use concept_mass::{ConceptMap, MapSet};
use rand::{Rng, seq::SliceRandom};

use super::requests::*;
use crate::common::chain::Request;
use crate::common::*;

/// A server's day: requests come and go, share batches in any order, and are preempted at any step.
#[test]
fn requests_sample_the_same_alone_and_in_a_server() {
    let mut rng = rng(1);
    let served = requests(&mut rng);
    let alone: Vec<_> = served.iter().map(Served::alone).collect();
    let days = if cfg!(feature = "cuda") { 2 } else { 12 };
    let (mut preempted, mut reused) = (0, 0);
    for day in 0..days {
        // Fewer slots than requests.
        let (mut sampler, ids) = sampler(&served, 6);
        let mut slots: Vec<Option<usize>> = vec![None; 6];
        let mut was_used = [false; 6];
        let mut done = vec![0; served.len()];
        let mut states: Vec<RowState> = served.iter().map(Served::start_state).collect();
        while done.iter().any(|&done| done < STEPS) {
            // Some go, some come, in whichever slot is free.
            for (slot, holds) in slots.iter_mut().enumerate() {
                if let Some(i) = holds.filter(|_| rng.random_bool(0.3)) {
                    states[i] = sampler.state(slot).unwrap();
                    assert_eq!(
                        states[i],
                        if done[i] == 0 {
                            served[i].start_state()
                        } else {
                            alone[i].1[done[i] - 1].clone()
                        }
                    );
                    // Or not even that: it is started over by the next.
                    if rng.random_bool(0.5) {
                        sampler.end(slot).unwrap();
                    }
                    *holds = None;
                    preempted += 1;
                }
            }
            let mut waiting: Vec<usize> = (0..served.len())
                .filter(|&i| done[i] < STEPS && !slots.contains(&Some(i)))
                .collect();
            waiting.shuffle(&mut rng);
            for slot in 0..slots.len() {
                if slots[slot].is_none()
                    && rng.random_bool(0.8)
                    && let Some(i) = waiting.pop()
                {
                    let (params, state) = (served[i].request.params(), states[i].clone());
                    sampler.start(slot, params, ids[i], state).unwrap();
                    reused += usize::from(was_used[slot]);
                    (slots[slot], was_used[slot]) = (Some(i), true);
                }
            }
            // A batch of some of them.
            let mut rows: Vec<usize> = (0..slots.len()).filter(|&s| slots[s].is_some()).collect();
            rows.shuffle(&mut rng);
            rows.truncate(rng.random_range(0..=rows.len()));
            let of_batch: Vec<usize> = rows.iter().map(|&slot| slots[slot].unwrap()).collect();
            let batch: Vec<_> =
                of_batch.iter().zip(&rows).map(|(&i, &slot)| (&served[i], slot, done[i])).collect();
            let sampled = step(&mut sampler, &batch, true);
            let tokens = sampled.tokens().unwrap().to_vec1::<u32>().unwrap();
            let sampled: Vec<Sampled> =
                sampled.rows().unwrap().into_iter().map(|row| row.unwrap()).collect();
            for ((&i, sampled), token) in of_batch.iter().zip(sampled).zip(tokens) {
                assert_eq!(sampled, alone[i].0[done[i]], "request {i}, day {day}");
                assert_eq!(token, sampled.token);
                done[i] += 1;
            }
            for (slot, holds) in slots.iter_mut().enumerate() {
                if let Some(i) = holds.filter(|&i| done[i] == STEPS) {
                    assert_eq!(sampler.state(slot).unwrap(), alone[i].1[STEPS - 1]);
                    sampler.end(slot).unwrap();
                    *holds = None;
                }
            }
        }
    }
    println!("{preempted} preempted, {reused} slots used anew");
    assert!(preempted > 4 * days && reused > 4 * days);
}

#[test]
fn a_slot_is_clean_whoever_was_there() {
    let mut rng = rng(2);
    let served = requests(&mut rng);
    let (mut sampler, ids) = sampler(&served, 2);
    for (i, next) in served.iter().enumerate() {
        let alone = next.alone();
        let params = next.request.params();
        for ends in [false, true] {
            let before = &served[(i + 1) % served.len()];
            let of_before = ids[(i + 1) % served.len()];
            sampler.start(1, before.request.params(), of_before, before.start_state()).unwrap();
            sampler.see(1, &[1, 2, 3, 1]).unwrap();
            step(&mut sampler, &[(before, 1, 0)], true);
            if ends {
                sampler.end(1).unwrap();
            }
            sampler.start(1, params.clone(), ids[i], next.start_state()).unwrap();
            assert_eq!(sampler.state(1).unwrap(), next.start_state());
            let sampled = step(&mut sampler, &[(next, 1, 0)], true).rows().unwrap().remove(0);
            assert_eq!(sampled.unwrap(), alone.0[0]);
            assert_eq!(sampler.state(1).unwrap(), alone.1[0]);
        }
    }
}

#[test]
fn parameters_and_maps_change_from_step_to_step() {
    let mut rng = rng(3);
    let map = Partition::Dense.map(V, &mut rng);
    let on_device = map.to_device(&device()).unwrap();
    let mut maps = MapSet::new(V, 3, &device()).unwrap();
    let id = maps.insert(&map).unwrap();
    let mut sampler = BatchSampler::new(maps, 3).unwrap();
    let requests = [
        (Request::at(0.0), None),
        (Request { seed: 3, ..Request::at(1.0) }, Some(id)),
        (Request { seed: 3, top_k: Some(4), ..Request::at(0.7) }, Some(id)),
        (Request { seed: 4, top_k: Some(4), ..Request::at(0.7) }, None),
    ];
    sampler.start(2, requests[0].0.params(), requests[0].1, RowState::default()).unwrap();
    let mut state = RowState::default();
    for (request, id) in requests {
        let logits = vec![Profile::Peaked.row(V, &mut rng)];
        let logits = Layout::Contiguous.tensor(&logits, V, DType::BF16).unwrap();
        sampler.set_params(2, request.params()).unwrap();
        sampler.set_map(2, id).unwrap();
        sampler.see(2, &[7, 7]).unwrap();
        let sampled = sampler.sample(&logits, &sampler.slots(&[2]).unwrap(), None).unwrap();
        let mut row = request.row(&on_device, 0);
        let by_token = concept_mass::sample::RowSampler::by_token(request.params(), V).unwrap();
        if id.is_none() {
            row = by_token;
        }
        row.restore(state).unwrap();
        row.see(&[7, 7]).unwrap();
        let rows = std::slice::from_mut(&mut row);
        let want = concept_mass::sample::sample_batch(&logits, rows).unwrap().remove(0).unwrap();
        assert_eq!(sampled.rows().unwrap().remove(0).unwrap(), want);
        state = row.state().clone();
        assert_eq!(sampler.state(2).unwrap(), state);
    }
}

/// Of those that fail nothing changes, and the others do not notice.
#[test]
fn rows_fail_by_themselves() {
    let mut rng = rng(4);
    let served = requests(&mut rng);
    let (mut sampler, ids) = sampler(&served, 20);
    for (i, served) in served.iter().enumerate() {
        sampler.start(i, served.request.params(), ids[i], served.start_state()).unwrap();
    }
    let has_map: Vec<usize> = (0..served.len()).filter(|&i| ids[i].is_some()).collect();
    let [gone, bad, banned] = has_map[..3] else { panic!("there are maps") };
    let well: Vec<usize> = (0..served.len()).filter(|i| ![gone, bad, banned].contains(i)).collect();
    sampler.maps_mut().remove(ids[gone].unwrap()).unwrap();
    // Another map in its place is not its.
    let place = sampler.maps_mut().insert(&ConceptMap::singletons(V).unwrap()).unwrap().place();
    assert_eq!(place, ids[gone].unwrap().place());

    let slots = [well[0], 15, gone, 20, bad, well[0], banned, u32::MAX as usize, well[1]];
    let of_row = |slot: usize| served.get(slot).unwrap_or(&served[0]);
    let mut logits: Vec<_> = slots.iter().map(|&slot| of_row(slot).logits[0].clone()).collect();
    logits[4][77] = f32::NAN;
    let logits = Layout::Contiguous.tensor(&logits, V, DType::F32).unwrap();
    let mut words: Vec<Vec<u32>> = slots.iter().map(|&slot| of_row(slot).words()).collect();
    words[6].fill(0);
    let mask = Tensor::new(words, &device()).unwrap();
    let numbers: Vec<u32> = slots.iter().map(|&slot| slot as u32).collect();
    let slot_of_row = Tensor::new(&numbers[..], &device()).unwrap();
    let before: Vec<RowState> = (0..served.len()).map(|i| sampler.state(i).unwrap()).collect();
    let sampled = sampler.sample(&logits, &slot_of_row, Some(&mask)).unwrap();
    assert_eq!((sampled.len(), sampled.is_empty()), (9, false));
    let tokens = sampled.tokens().unwrap().to_vec1::<u32>().unwrap();
    let rows = sampled.rows().unwrap();
    let error = |row: usize| rows[row].as_ref().unwrap_err();
    assert!(matches!(error(1), SampleError::SlotNotStarted { slot: 15 }), "{}", error(1));
    assert!(matches!(error(2), SampleError::SlotMapGone { slot } if *slot == gone));
    assert!(matches!(error(3), SampleError::SlotOutOfRange { slot: 20, slots: 20 }));
    assert!(error(4).to_string().contains("row 4") && error(4).to_string().contains("NaN"));
    assert!(
        matches!(error(5), SampleError::SlotTwice { row: 5, slot, first: 0 } if *slot == well[0])
    );
    assert!(matches!(error(6), SampleError::NothingAllowed { row: 6 }), "{}", error(6));
    assert!(matches!(error(7), SampleError::SlotOutOfRange { .. }), "{}", error(7));
    for row in [0, 8] {
        let (sampled, states) = served[slots[row]].alone();
        assert_eq!(*rows[row].as_ref().unwrap(), sampled[0]);
        assert_eq!(sampler.state(slots[row]).unwrap(), states[0]);
    }
    for (token, row) in tokens.iter().zip(&rows) {
        assert_eq!(*token, row.as_ref().map_or(NO_TOKEN, |row| row.token));
    }
    for i in [gone, bad, banned] {
        assert_eq!(sampler.state(i).unwrap(), before[i]);
    }
    // Until it has another map.
    sampler.set_map(gone, None).unwrap();
    assert!(step(&mut sampler, &[(&served[gone], gone, 0)], false).rows().unwrap()[0].is_ok());
}

/// Which map a slot has matters even while it is turned off.
#[test]
fn a_map_that_is_turned_off_must_be_there_as_well() {
    let mut maps = MapSet::new(3, 1, &device()).unwrap();
    let id = maps.insert(&ConceptMap::singletons(3).unwrap()).unwrap();
    let mut sampler = BatchSampler::new(maps, 1).unwrap();
    let params = SamplingParams::greedy().with_pooling(false);
    sampler.start(0, params, Some(id), RowState::default()).unwrap();
    sampler.maps_mut().remove(id).unwrap();
    let logits = Tensor::zeros((1, 3), DType::F32, &device()).unwrap();
    let rows =
        sampler.sample(&logits, &sampler.slots(&[0]).unwrap(), None).unwrap().rows().unwrap();
    assert!(matches!(rows[0], Err(SampleError::SlotMapGone { slot: 0 })));
}

#[test]
fn a_mask_may_be_short_or_long() {
    let maps = MapSet::new(70, 1, &device()).unwrap();
    let mut sampler = BatchSampler::new(maps, 2).unwrap();
    for slot in 0..2 {
        sampler.start(slot, SamplingParams::greedy(), None, RowState::default()).unwrap();
    }
    let ascending: Vec<f32> = (0..70).map(|token| token as f32).collect();
    let logits = Tensor::new(vec![ascending.clone(), ascending], &device()).unwrap();
    let slots = sampler.slots(&[0, 1]).unwrap();
    let mut last = |words: Vec<Vec<u32>>| {
        let mask = Tensor::new(words, &device()).unwrap();
        sampler
            .sample(&logits, &slots, Some(&mask))
            .unwrap()
            .tokens()
            .unwrap()
            .to_vec1::<u32>()
            .unwrap()
    };
    assert_eq!(last(vec![vec![u32::MAX]; 2]), [31, 31]);
    assert_eq!(last(vec![vec![1, 1, u32::MAX], vec![1, 1, 0]]), [69, 32]);
    assert_eq!(last(vec![vec![u32::MAX, 0, 0, u32::MAX]; 2]), [31, 31]);
}
