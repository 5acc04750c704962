//! A row's tokens are its own: in any slot of any batch, on any number of threads, and after a break.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use concept_mass::sample::{
    Distribution, Emission, Penalties, RowSampler, RowState, Sampled, TokenMask, sample_batch,
    sample_batch_masked,
};
use concept_mass::{ConceptMap, DeviceMap};
use rand::{Rng, seq::SliceRandom};

use crate::common::chain::Request;
use crate::common::*;

/// Rows that threads share if they may: together more than 2^19 logits.
const V: usize = if cfg!(feature = "cuda") { 7_001 } else { 70_001 };
const STEPS: usize = 3;

/// Requests of every kind, each with a seed of its own.
fn requests() -> Vec<Request> {
    let penalties = Penalties { repetition: 1.2, presence: 0.1, frequency: 0.3 };
    let raw = Some((5, Distribution::Raw));
    let after = Some((20, Distribution::Final));
    let requests = [
        Request::at(0.0),
        Request { penalties, log_probs: raw, ..Request::at(0.0) },
        Request { emission: Emission::ByShare, ..Request::at(0.0) },
        Request::at(1.0),
        Request { emission: Emission::ByShare, ..Request::at(1.0) },
        Request { log_probs: after, ..Request::at(0.8) },
        Request { top_k: Some(40), penalties, ..Request::at(0.8) },
        Request { top_p: 0.9, emission: Emission::ByShare, ..Request::at(0.8) },
        Request { min_p: 0.05, pooling: false, ..Request::at(1.3) },
        Request {
            top_k: Some(100),
            top_p: 0.95,
            min_p: 0.02,
            penalties,
            bias: BTreeMap::from([(5, 2.0), (6, f32::NEG_INFINITY)]),
            seen: (0..1000).map(|token| (token * 7 % V as u32, 1 + token % 3)).collect(),
            log_probs: raw,
            ..Request::at(0.7)
        },
        Request { top_k: Some(V), top_p: 0.999, ..Request::at(30.0) },
        Request { top_p: 0.5, ..Request::at(1e-38) },
    ];
    let seeded = |(seed, request)| Request { seed, ..request };
    (100..).zip(requests).map(seeded).collect()
}

/// The same requests over maps of every kind, and logits for each.
struct Batch {
    rows: Vec<RowSampler>,
    logits: Vec<Tensor>,
    /// Of each row, words of a mask, or none.
    masks: Vec<Option<Vec<u32>>>,
}

fn batch() -> Batch {
    let mut rng = rng(1);
    let maps: Vec<DeviceMap> = [Partition::Sparse, Partition::Dense, Partition::Giant]
        .map(|partition| partition.map(V, &mut rng).to_device(&device()).unwrap())
        .to_vec();
    let profiles = [Profile::Peaked, Profile::NoiseWithinATenth, Profile::Ties];
    let mut batch = Batch { rows: Vec::new(), logits: Vec::new(), masks: Vec::new() };
    for (i, request) in requests().into_iter().enumerate() {
        let mut row = match i % 4 {
            3 => RowSampler::by_token(request.params(), V).unwrap(),
            kind => RowSampler::new(request.params(), maps[kind].clone()).unwrap(),
        };
        request.seen.iter().for_each(|(&token, &n)| row.see(&vec![token; n as usize]).unwrap());
        batch.rows.push(row);
        let logits = profiles[i % 3].row(V, &mut rng);
        batch.logits.push(Tensor::new(logits, &device()).unwrap());
        let words = || (0..V.div_ceil(32)).map(|_| rng.random()).collect();
        batch.masks.push((i % 3 == 1).then(words));
    }
    batch
}

impl Batch {
    /// The rows in these places of a batch, and what each samples in a few steps; rows go on where
    /// they are.
    fn sample(&mut self, places: &[usize], steps: usize) -> Vec<Vec<Sampled>> {
        let logits: Vec<&Tensor> = places.iter().map(|&i| &self.logits[i]).collect();
        let logits = Tensor::stack(&logits, 0).unwrap();
        let words: Vec<u32> = self.masks.iter().flatten().flatten().copied().collect();
        let masked: Vec<usize> =
            (0..self.masks.len()).filter(|&i| self.masks[i].is_some()).collect();
        let of_rows: Vec<Option<usize>> =
            places.iter().map(|i| masked.iter().position(|masked| masked == i)).collect();
        let mask = TokenMask::new(&words, V.div_ceil(32)).unwrap().of_rows(&of_rows);
        let mut rows: Vec<RowSampler> = places.iter().map(|&i| self.rows[i].clone()).collect();
        let mut sampled = vec![Vec::new(); places.len()];
        for _ in 0..steps {
            let step = sample_batch_masked(&logits, &mut rows, mask).unwrap();
            sampled.iter_mut().zip(step).for_each(|(all, one)| all.push(one.unwrap()));
        }
        places.iter().zip(rows).for_each(|(&i, row)| self.rows[i] = row);
        sampled
    }
}

/// What each row samples alone.
fn alone() -> (Vec<Vec<Sampled>>, Vec<RowState>) {
    let mut batch = batch();
    let sampled = (0..batch.rows.len()).map(|i| batch.sample(&[i], STEPS).remove(0)).collect();
    (sampled, batch.rows.iter().map(|row| row.state().clone()).collect())
}

#[test]
fn rows_draw_the_same_alone_and_anywhere_in_a_batch() {
    let (want, states) = alone();
    let n = want.len();
    assert!(cfg!(feature = "cuda") || n * V >= 1 << 19);
    let mut rng = rng(2);
    let mut all: Vec<usize> = (0..n).collect();
    for size in [n, n, 7, 2] {
        all.shuffle(&mut rng);
        let mut batch = batch();
        let sampled = batch.sample(&all[..size], STEPS);
        for (&i, sampled) in all.iter().zip(&sampled) {
            assert_eq!(*sampled, want[i], "row {i} in {:?}", &all[..size]);
            assert_eq!(*batch.rows[i].state(), states[i]);
        }
    }
}

#[test]
fn rows_draw_the_same_on_any_number_of_threads() {
    if device().is_cuda() {
        return; // whose rows are copied to the host, to the same code
    }
    let (want, _) = alone();
    let all: Vec<usize> = (0..want.len()).collect();
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let got = pool.install(|| batch().sample(&all, STEPS));
        assert_eq!(got, want, "{threads} threads");
        // A row that is long enough to be shared.
        let alone = pool.install(|| batch().sample(&[9], STEPS));
        assert_eq!(alone, want[9..10], "{threads} threads");
    }
}

#[test]
fn one_long_row_draws_the_same_on_any_number_of_threads() {
    if device().is_cuda() {
        return;
    }
    let vocab_size = 1 << 20;
    let mut rng = rng(3);
    let map = Partition::Dense.map(vocab_size, &mut rng).to_device(&device()).unwrap();
    let logits = Profile::Peaked.row(vocab_size, &mut rng);
    let logits = Tensor::from_vec(logits, (1, vocab_size), &device()).unwrap();
    for request in [Request::at(0.0), Request::at(1.0), Request { top_p: 0.9, ..Request::at(0.8) }]
    {
        let draws = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut row = [request.row(&map, 0)];
            let mut draw = || sample_batch(&logits, &mut row).unwrap().remove(0).unwrap();
            pool.install(|| (0..4).map(|_| draw()).collect::<Vec<_>>())
        };
        let want = draws(1);
        assert_eq!(draws(2), want, "{request:?}");
        assert_eq!(draws(5), want, "{request:?}");
    }
}

#[test]
fn a_row_that_is_restored_goes_on_as_if_nothing_had_been() {
    let (want, states) = alone();
    let all: Vec<usize> = (0..want.len()).collect();
    let mut first = batch();
    let begun = first.sample(&all, 1);
    let saved: Vec<String> =
        first.rows.iter().map(|row| serde_json::to_string(row.state()).unwrap()).collect();
    // Elsewhere, in a batch of new rows, in another order.
    let mut second = batch();
    for (row, saved) in second.rows.iter_mut().zip(&saved) {
        row.restore(serde_json::from_str(saved).unwrap()).unwrap();
    }
    let turned: Vec<usize> = all.iter().rev().copied().collect();
    let rest = second.sample(&turned, STEPS - 1);
    for i in all {
        let place = want.len() - 1 - i;
        assert_eq!([&begun[i][..], &rest[place][..]].concat(), want[i], "row {i}");
        assert_eq!(*second.rows[i].state(), states[i]);
    }
}

#[test]
fn a_slot_that_is_used_anew_starts_clean() {
    let (want, _) = alone();
    let all: Vec<usize> = (0..want.len()).collect();
    let mut batch = batch();
    batch.sample(&all, 2);
    // Every other request has ended, and the next one takes its place.
    let fresh = self::batch();
    for i in (0..all.len()).step_by(2) {
        batch.rows[i] = fresh.rows[i].clone();
    }
    let sampled = batch.sample(&all, 1);
    for (i, sampled) in sampled.iter().enumerate() {
        let step = if i % 2 == 0 { 0 } else { 2 };
        assert_eq!(sampled[0], want[i][step], "row {i}");
    }
}

/// Rows of one map, too, whose tables they share.
#[test]
fn many_rows_of_one_request_differ_by_their_seeds_alone() {
    let map = ConceptMap::builder(50).unnamed(0..20).unwrap().build().unwrap();
    let map = map.to_device(&device()).unwrap();
    let logits = Tensor::zeros((300, 50), DType::F32, &device()).unwrap();
    let row = |seed: u64| {
        let params = Request { seed, ..Request::at(1.2) }.params();
        RowSampler::new(params, map.clone()).unwrap()
    };
    let mut rows: Vec<RowSampler> = (0..300).map(|i| row(i / 2)).collect();
    let sampled = sample_batch(&logits, &mut rows).unwrap();
    let tokens: Vec<u32> = sampled.into_iter().map(|sampled| sampled.unwrap().token).collect();
    assert!(tokens.chunks(2).all(|pair| pair[0] == pair[1]));
    assert!(tokens.chunks(2).any(|pair| pair[0] != tokens[0]));
}
