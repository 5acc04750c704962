//! What is emitted with a draft, by chi-square: the target's distribution, whatever was drafted.

use std::collections::BTreeMap;

use candle_core::Tensor;
use concept_mass::sample::{AcceptSpelling, BatchSampler, Draft, Emission, Penalties, RowState};
use concept_mass::{ConceptMap, MapSet};
use rand::{Rng, rngs::StdRng};

use crate::common::chain::{Chain, Request, state};
use crate::common::chi_square::{LEAST_P, p_value};
use crate::common::*;

const V: usize = 24;
const ROWS: usize = if cfg!(feature = "cuda") { 1000 } else { 6000 };

/// How a draft is made.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Drafter {
    /// From logits of its own, by the request's parameters.
    Draws,
    /// The target's likeliest token or some other, always the same.
    Knows,
}

/// What is drawn from: the logits of two positions and of a drafter for the first of them.
struct World {
    map: ConceptMap,
    target: [Vec<f32>; 2],
    draft: Vec<f32>,
    request: Request,
}

impl World {
    /// The probabilities of tokens at a position, after these.
    fn chain(&self, logits: &[f32], emitted: &[u32]) -> Chain {
        let mut request = self.request.clone();
        emitted.iter().for_each(|&token| *request.seen.entry(token).or_default() += 1);
        let exact: Vec<f64> = logits.iter().map(|&logit| logit.into()).collect();
        Chain::of(&self.map, &exact, &request).unwrap()
    }

    fn concept(&self, token: u32) -> usize {
        match self.request.pooling {
            true => self.map.concept_of(token).unwrap() as usize,
            false => token as usize,
        }
    }

    /// By concept.
    fn pooled<T: Copy + std::ops::AddAssign + Default>(&self, of_tokens: &[T]) -> Vec<T> {
        let mut pooled = vec![T::default(); V];
        (0..).zip(of_tokens).for_each(|(token, &x)| pooled[self.concept(token)] += x);
        pooled
    }

    fn allows(&self, token: u32) -> bool {
        let mask = self.request.mask.as_ref();
        mask.is_none_or(|words| words[token as usize / 32] >> (token % 32) & 1 == 1)
            && self.request.bias.get(&token) != Some(&f32::NEG_INFINITY)
    }
}

/// A draw by probabilities, by other random numbers than the sampler's.
fn draw(probs: &[f64], rng: &mut StdRng) -> u32 {
    let mut u = rng.random::<f64>() * probs.iter().sum::<f64>();
    let reached = probs.iter().position(|p| {
        u -= p;
        u < 0.0
    });
    reached.unwrap_or(0) as u32
}

fn requests() -> Vec<Request> {
    let at = Request::at;
    let penalties = Penalties { repetition: 1.4, presence: 0.4, frequency: 0.6 };
    vec![
        at(1.0),
        at(0.6),
        Request { top_k: Some(5), ..at(1.0) },
        Request { top_p: 0.7, ..at(0.8) },
        Request { min_p: 0.3, ..at(1.5) },
        Request { pooling: false, ..at(0.9) },
        Request {
            top_k: Some(9),
            top_p: 0.95,
            penalties,
            seen: [(0, 2), (3, 1), (11, 1)].into(),
            bias: BTreeMap::from([(1, 1.0), (2, f32::NEG_INFINITY)]),
            mask: Some(vec![0x00F7_FF7F]),
            ..at(0.9)
        },
        Request { penalties, ..at(1.0) },
    ]
}

/// Checks one world by the tokens of many rows. Gives how many chi-square tests that were, and how many
/// drafted tokens stood in a spelling of theirs, and how many were banned.
fn check(world: &World, drafter: Drafter, accept: AcceptSpelling, rng: &mut StdRng) -> [usize; 3] {
    let context =
        format!("{:?} {drafter:?} {accept:?} {:?}", world.request, world.map.concept_ids());
    let mut maps = MapSet::new(V, 1, &device()).unwrap();
    let id = Some(maps.insert(&world.map).unwrap());
    let mut sampler = BatchSampler::new(maps, ROWS).unwrap();
    for slot in 0..ROWS {
        let params = world.request.params().with_seed(slot as u64 + 1);
        let state = state(slot as u64 % 5, &world.request.seen);
        sampler.start(slot, params, id, state).unwrap();
    }
    let q = world.chain(&world.draft, &[]).probs();
    let first = world.chain(&world.target[0], &[]);
    let p = first.probs();
    // Any spelling of the concept that was drawn, a banned one as well.
    let spell = |token: u32, rng: &mut StdRng| match world.request.pooling {
        true => {
            let tokens = world.map.tokens(world.map.concept_of(token).unwrap()).unwrap();
            tokens[rng.random_range(0..tokens.len())]
        }
        false => token,
    };
    let known = (0..V as u32).max_by(|&a, &b| p[a as usize].total_cmp(&p[b as usize])).unwrap();
    let other = world.map.tokens(world.map.concept_of(known).unwrap()).unwrap()[0];
    let drafts: Vec<u32> = (0..ROWS)
        .map(|row| match drafter {
            Drafter::Draws => {
                let drawn = draw(&q, rng);
                spell(drawn, rng)
            }
            Drafter::Knows => [known, other, 5][row % 3],
        })
        .collect();
    let tokens = Tensor::from_vec(drafts.clone(), (ROWS, 1), &device()).unwrap();
    let rows = |of: &[Vec<f32>]| {
        let one = Tensor::new(of.concat(), &device()).unwrap().reshape((1, of.len(), V)).unwrap();
        one.broadcast_as((ROWS, of.len(), V)).unwrap()
    };
    let logits = (drafter == Drafter::Draws).then(|| rows(std::slice::from_ref(&world.draft)));
    let words = world.request.mask.clone().unwrap_or_else(|| vec![u32::MAX]);
    let mask = Tensor::new(words, &device()).unwrap().reshape((1, 1, 1)).unwrap();
    let mask = mask.broadcast_as((ROWS, 2, 1)).unwrap();
    let slots = sampler.slots(&(0..ROWS).collect::<Vec<_>>()).unwrap();
    let draft = Draft { tokens, logits };
    let verified = sampler.verify(&draft, &rows(&world.target), &slots, Some(&mask), accept);
    let mut counts = vec![0; V];
    let mut then: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    let (mut spelt, mut banned) = (0, 0);
    for (drafted, row) in drafts.iter().zip(verified.unwrap().rows().unwrap()) {
        let row = row.unwrap();
        let token = row.tokens[0];
        counts[token as usize] += 1;
        assert!(world.allows(token), "{token}: {context}");
        if row.accepted == 1 {
            assert_eq!(token, *drafted);
            then.entry(token).or_insert_with(|| vec![0; V])[row.tokens[1] as usize] += 1;
            spelt += usize::from(p[token as usize] == 0.0);
        }
        banned += usize::from(!world.allows(*drafted));
    }
    // What is strict is right to the token.
    let test = |counts: &[u64], p: &[f64], strict: bool| {
        let (counts, p) = if strict {
            (counts.to_vec(), p.to_vec())
        } else {
            (world.pooled(counts), world.pooled(p))
        };
        if p.iter().any(|&p| p > 0.97) {
            return 0;
        }
        let value = p_value(&counts, &p);
        assert!(value > LEAST_P, "{value}: {counts:?}, not {p:?}: {context}");
        1
    };
    let mut tests = test(&counts, &p, accept == AcceptSpelling::No);
    for (token, counts) in then {
        if counts.iter().sum::<u64>() >= 200 {
            let next = world.chain(&world.target[1], &[token]);
            // A position without a draft is sampled.
            tests += test(&counts, &next.probs(), true);
        }
    }
    [tests, spelt, banned]
}

#[test]
fn concepts_are_drawn_by_the_targets_distribution() {
    let mut rng = rng(1);
    let logits =
        |rng: &mut StdRng| (0..V).map(|_| rng.random_range(-1.5..1.5)).collect::<Vec<f32>>();
    let mut sums = [0; 3];
    for partition in
        [Partition::Singletons, Partition::Dense, Partition::Giant, Partition::Shuffled]
    {
        let map = partition.map(V, &mut rng);
        for request in requests() {
            for emission in [Emission::Representative, Emission::ByShare] {
                let request = Request { emission, ..request.clone() };
                let target = [logits(&mut rng), logits(&mut rng)];
                // A drafter that is not quite beside it.
                let noise = logits(&mut rng);
                let draft = target[0].iter().zip(noise).map(|(a, b)| 0.5 * a + 0.6 * b).collect();
                let world = World { map: map.clone(), target, draft, request };
                for drafter in [Drafter::Draws, Drafter::Knows] {
                    for accept in [AcceptSpelling::No, AcceptSpelling::Yes] {
                        let of = check(&world, drafter, accept, &mut rng);
                        sums.iter_mut().zip(of).for_each(|(sum, n)| *sum += n);
                    }
                }
            }
        }
    }
    let [tests, spelt, banned] = sums;
    println!(
        "{tests} tests; {spelt} tokens in a spelling of the draft's, {banned} drafted ones banned"
    );
    assert!(tests > 250 && spelt > 100 && banned > 100, "{sums:?}");
}

/// Where the draft is the target, all of it stands.
#[test]
fn a_draft_of_the_targets_own_is_accepted() {
    let mut rng = rng(2);
    let map = Partition::Dense.map(V, &mut rng);
    let logits: Vec<f32> = (0..V).map(|_| rng.random_range(-1.5..1.5)).collect();
    let request = Request { top_p: 0.9, ..Request::at(0.8) };
    let world = World {
        map: map.clone(),
        target: [logits.clone(), logits.clone()],
        draft: logits,
        request,
    };
    let p = world.chain(&world.draft, &[]).probs();
    let mut maps = MapSet::new(V, 1, &device()).unwrap();
    let id = Some(maps.insert(&map).unwrap());
    let mut sampler = BatchSampler::new(maps, 200).unwrap();
    for slot in 0..200 {
        let params = world.request.params().with_seed(slot as u64);
        sampler.start(slot, params, id, RowState::default()).unwrap();
    }
    let drafts: Vec<u32> = (0..200).map(|_| draw(&p, &mut rng)).collect();
    let tokens = Tensor::from_vec(drafts, (200, 1), &device()).unwrap();
    let rows = |n: usize| {
        let one = Tensor::new(world.draft.clone(), &device()).unwrap().reshape((1, 1, V)).unwrap();
        one.broadcast_as((200, n, V)).unwrap()
    };
    let draft = Draft { tokens, logits: Some(rows(1)) };
    let slots = sampler.slots(&(0..200).collect::<Vec<_>>()).unwrap();
    let verified = sampler.verify(&draft, &rows(2), &slots, None, AcceptSpelling::No).unwrap();
    assert_eq!(verified.accepted().unwrap().to_vec1::<u32>().unwrap(), [1; 200]);
}
