//! Drafts: which of their tokens stand, and what that leaves.

use candle_core::{DType, Tensor};
use concept_mass::reduce::NO_TOKEN;
use concept_mass::sample::{
    AcceptSpelling, BatchSampler, Draft, Emission, Penalties, RowSampler, RowState, TokenMask,
    Verified, sample_batch_masked,
};
use concept_mass::{ConceptMap, MapSet};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::{Rng, rngs::StdRng};

use crate::common::chain::{self, Request};
use crate::common::*;

const V: usize = 111;
const WORDS: usize = V.div_ceil(32);
const K: usize = 4;

/// A row of a batch: a request, what the model says, and what was drafted.
#[derive(Clone)]
struct Row {
    request: Request,
    map: Option<ConceptMap>,
    target: Vec<Vec<f32>>,
    draft: Vec<u32>,
    draft_logits: Vec<Vec<f32>>,
    words: Vec<Vec<u32>>,
}

impl Row {
    fn new(request: Request, rng: &mut StdRng) -> Self {
        let partition = PARTITIONS[rng.random_range(0..PARTITIONS.len())];
        let map = rng.random_bool(0.8).then(|| partition.map(V, rng));
        // Two clear winners, so that drafts are right now and then.
        let row = |rng: &mut StdRng| {
            let mut row = Profile::NoiseWithinATenth.row(V, rng);
            (row[rng.random_range(0..3)], row[rng.random_range(0..V)]) = (6.0, 5.0);
            row
        };
        let rows = |n, rng: &mut StdRng| (0..n).map(|_| row(rng)).collect::<Vec<_>>();
        let (target, draft_logits) = (rows(K + 1, rng), rows(K, rng));
        let draft = |i: usize, rng: &mut StdRng| match rng.random_range(0..8) {
            0 => NO_TOKEN,
            1 => rng.random_range(0..V as u32),
            // Of the concept of the likeliest token, but perhaps another.
            kind => {
                let likeliest = (0..V).max_by(|&a, &b| target[i][a].total_cmp(&target[i][b]));
                let likeliest = likeliest.unwrap() as u32;
                let pooled = map.as_ref().filter(|_| kind < 5);
                let allies = pooled.and_then(|map| map.tokens(map.concept_of(likeliest)?));
                allies.map_or(likeliest, |allies| allies[rng.random_range(0..allies.len())])
            }
        };
        let draft = (0..K).map(|i| draft(i, rng)).collect();
        let has_mask = rng.random_bool(0.5);
        let word = |rng: &mut StdRng| {
            if has_mask { rng.random::<u32>() | rng.random::<u32>() } else { u32::MAX }
        };
        let words = (0..=K).map(|_| (0..WORDS).map(|_| word(rng)).collect()).collect();
        Self { request, map, target, draft, draft_logits, words }
    }

    fn state(&self) -> RowState {
        chain::state(7, &self.request.seen)
    }

    fn sampler(&self, state: RowState) -> RowSampler {
        let params = self.request.params();
        let mut row = match &self.map {
            Some(map) => RowSampler::new(params, map.to_device(&device()).unwrap()).unwrap(),
            None => RowSampler::by_token(params, V).unwrap(),
        };
        row.restore(state).unwrap();
        row
    }

    /// What the request samples at a position: a token, and its concept.
    fn sampled(&self, position: usize, state: &RowState) -> (u32, u32) {
        let mut row = self.sampler(state.clone());
        let logits = Tensor::new(vec![self.target[position].clone()], &device()).unwrap();
        let mask = TokenMask::new(&self.words[position], WORDS).unwrap();
        let rows = std::slice::from_mut(&mut row);
        let sampled = sample_batch_masked(&logits, rows, mask).unwrap().remove(0).unwrap();
        (sampled.token, sampled.concept)
    }

    fn concept(&self, token: u32) -> u32 {
        let pooled = self.map.as_ref().filter(|_| self.request.pooling);
        pooled.map_or(token, |map| map.concept_of(token).unwrap())
    }

    fn allows(&self, position: usize, token: u32) -> bool {
        let bit = self.words[position][token as usize / 32] >> (token % 32) & 1 == 1;
        bit && self.request.bias.get(&token) != Some(&f32::NEG_INFINITY)
    }
}

/// A state after these tokens.
pub fn after(state: &RowState, tokens: &[u32]) -> RowState {
    let seen = tokens.iter().map(|&token| (token, 1));
    RowState::new(state.step() + tokens.len() as u64, state.seen().iter().copied().chain(seen))
}

/// Verifies rows in these slots; gives what was emitted and what their slots remember.
fn verify(
    rows: &[Row],
    slots: &[usize],
    has_logits: bool,
    accept: AcceptSpelling,
) -> Vec<(Verified, RowState)> {
    let mut maps = MapSet::new(V, rows.len(), &device()).unwrap();
    let ids: Vec<_> =
        rows.iter().map(|row| row.map.as_ref().map(|map| maps.insert(map).unwrap())).collect();
    let mut sampler = BatchSampler::new(maps, 50).unwrap();
    for ((row, &slot), id) in rows.iter().zip(slots).zip(ids) {
        sampler.start(slot, row.request.params(), id, row.state()).unwrap();
    }
    let of = |each: fn(&Row) -> Vec<Vec<f32>>| {
        let all: Vec<_> = rows.iter().map(each).collect();
        Tensor::new(all, &device()).unwrap()
    };
    let words: Vec<_> = rows.iter().map(|row| row.words.clone()).collect();
    let mask = Tensor::new(words, &device()).unwrap();
    let tokens: Vec<_> = rows.iter().map(|row| row.draft.clone()).collect();
    let tokens = Tensor::new(tokens, &device()).unwrap();
    let logits = has_logits.then(|| of(|row| row.draft_logits.clone()));
    let draft = Draft { tokens, logits };
    let target = of(|row| row.target.clone());
    let slot_of_row = sampler.slots(slots).unwrap();
    let verified = sampler.verify(&draft, &target, &slot_of_row, Some(&mask), accept).unwrap();
    let results: Vec<Verified> =
        verified.rows().unwrap().into_iter().map(|row| row.unwrap()).collect();
    let accepted = verified.accepted().unwrap().to_vec1::<u32>().unwrap();
    let tokens = verified.tokens().unwrap().to_vec2::<u32>().unwrap();
    for ((row, accepted), mut tokens) in results.iter().zip(accepted).zip(tokens) {
        assert_eq!((accepted as usize, row.tokens.len()), (row.accepted, row.accepted + 1));
        assert_eq!(tokens.len(), K + 1);
        assert!(tokens.split_off(row.tokens.len()).iter().all(|&token| token == NO_TOKEN));
        assert_eq!(tokens, row.tokens);
    }
    let states = slots.iter().map(|&slot| sampler.state(slot).unwrap());
    results.into_iter().zip(states).collect()
}

fn requests() -> impl Strategy<Value = Request> {
    let penalties = Penalties { repetition: 1.3, presence: 0.3, frequency: 0.5 };
    (
        select(vec![0.0, 0.0, 0.5, 1.0, 1.3]),
        select(vec![None, None, Some(2), Some(30)]),
        select(vec![1.0, 1.0, 0.9]),
        select(vec![Emission::Representative, Emission::ByShare]),
        any::<(bool, bool, bool, u64)>(),
    )
        .prop_map(move |(temperature, top_k, top_p, emission, others)| {
            let (has_penalties, has_bias, pooling, seed) = others;
            let mut request = Request { top_k, top_p, emission, seed, ..Request::at(temperature) };
            request.pooling = pooling || seed % 2 == 0;
            if has_penalties {
                request.penalties = penalties;
                request.seen = (0..20).map(|token| (token * 3, 1 + token % 2)).collect();
            }
            if has_bias {
                request.bias = [(0, 1.0), (1, f32::NEG_INFINITY), (50, -2.0)].into();
            }
            request
        })
}

fn run(cases: u32, mut check: impl FnMut(Vec<Row>, &mut StdRng)) {
    let config = Config {
        cases: if cfg!(feature = "cuda") { cases / 10 } else { cases },
        failure_persistence: None,
        ..Config::default()
    };
    let runner = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let rows = (proptest::collection::vec(requests(), 1..8), any::<u64>());
    let check = std::cell::RefCell::new(&mut check);
    let run = TestRunner::new_with_rng(config, runner).run(&rows, |(requests, seed)| {
        let mut rng = rng(seed);
        let rows = requests.into_iter().map(|request| Row::new(request, &mut rng)).collect();
        check.borrow_mut()(rows, &mut rng);
        Ok(())
    });
    run.unwrap_or_else(|wrong| panic!("{wrong}"));
}

/// A greedy row emits what it would have without a draft, or a draft's spelling of it.
#[test]
fn greedy_rows_take_what_wins() {
    let (mut strict, mut lax, mut dropped) = (0, 0, 0);
    run(300, |mut rows, rng| {
        rows.iter_mut().for_each(|row| row.request.temperature = 0.0);
        let slots: Vec<usize> = (0..rows.len()).map(|i| i * 3).collect();
        for accept in [AcceptSpelling::No, AcceptSpelling::Yes] {
            let verified = verify(&rows, &slots, rng.random(), accept);
            for (row, (verified, state)) in rows.iter().zip(verified) {
                let (mut tokens, mut accepted) = (Vec::new(), 0);
                for position in 0..=K {
                    let now = after(&row.state(), &tokens);
                    let (own, concept) = row.sampled(position, &now);
                    let drafted = row.draft.get(position).filter(|&&token| token != NO_TOKEN);
                    let Some(&drafted) = drafted else {
                        tokens.push(own);
                        break;
                    };
                    let is_any = accept == AcceptSpelling::Yes
                        && row.concept(drafted) == concept
                        && row.allows(position, drafted);
                    tokens.push(if is_any { drafted } else { own });
                    if !is_any && drafted != own {
                        dropped += usize::from(row.concept(drafted) == concept);
                        break;
                    }
                    strict += usize::from(drafted == own);
                    lax += usize::from(drafted != own);
                    accepted += 1;
                }
                assert_eq!((verified.accepted, &verified.tokens), (accepted, &tokens));
                assert_eq!(state, after(&row.state(), &tokens));
            }
        }
    });
    println!("{strict} as they would be, {lax} in another spelling, {dropped} dropped for theirs");
    assert!(cfg!(feature = "cuda") || strict > 300 && lax > 100 && dropped > 100);
}

/// And what it remembers is what it emitted; of a draft that is dropped, nothing.
#[test]
fn rows_are_verified_the_same_alone_and_anywhere_in_a_batch() {
    let (mut counts, mut repeated) = ([0; K + 1], 0);
    run(200, |mut rows, rng| {
        for (has_logits, accept) in [
            (false, AcceptSpelling::No),
            (true, AcceptSpelling::No),
            (false, AcceptSpelling::Yes),
            (true, AcceptSpelling::Yes),
        ] {
            let slots: Vec<usize> = (0..rows.len()).map(|i| (i * 7 + 5) % 50).collect();
            let all = verify(&rows, &slots, has_logits, accept);
            for (row, (verified, state)) in rows.iter().zip(&all) {
                let alone = verify(
                    std::slice::from_ref(row),
                    &[rng.random_range(0..50)],
                    has_logits,
                    accept,
                );
                assert_eq!(alone[0], (verified.clone(), state.clone()));
                assert_eq!(*state, after(&row.state(), &verified.tokens));
                assert_eq!(verified.tokens[..verified.accepted], row.draft[..verified.accepted]);
                counts[verified.accepted] += 1;
                repeated += usize::from(state.seen().iter().any(|&(_, count)| count > 1));
            }
            rows.reverse();
        }
    });
    println!("so many accepted: {counts:?}; {repeated} saw a token again");
    assert!(cfg!(feature = "cuda") || counts.iter().all(|&count| count > 30));
}

/// Without a drafted token, a position is sampled.
#[test]
fn an_empty_draft_is_a_sample() {
    run(100, |mut rows, rng| {
        for row in &mut rows {
            row.draft[0] = NO_TOKEN;
        }
        let slots: Vec<usize> = (0..rows.len()).collect();
        for (row, (verified, state)) in
            rows.iter().zip(verify(&rows, &slots, rng.random(), AcceptSpelling::Yes))
        {
            let (own, _) = row.sampled(0, &row.state());
            assert_eq!((verified.accepted, &verified.tokens[..]), (0, &[own][..]));
            assert_eq!(state, after(&row.state(), &[own]));
        }
    });
    let mut sampler = BatchSampler::new(MapSet::new(3, 1, &device()).unwrap(), 1).unwrap();
    sampler.start(0, Request::at(0.0).params(), None, RowState::default()).unwrap();
    let draft =
        Draft { tokens: Tensor::zeros((1, 0), DType::U32, &device()).unwrap(), logits: None };
    let target = Tensor::new(&[[[0f32, 2.0, 1.0]]], &device()).unwrap();
    let slots = sampler.slots(&[0]).unwrap();
    let verified = sampler.verify(&draft, &target, &slots, None, AcceptSpelling::No).unwrap();
    assert_eq!(verified.rows().unwrap().remove(0).unwrap().tokens, [1]);
}
