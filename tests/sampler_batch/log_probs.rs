//! Log-probabilities, as they were asked for.

use std::collections::BTreeMap;

use concept_mass::ConceptMap;
use concept_mass::sample::{Distribution, Emission, LogProbs, Penalties, SampleError};

use super::{sample_one, witness};
use crate::common::chain::Request;
use crate::common::philox::Steps;
use crate::common::*;

const RAW: Distribution = Distribution::Raw;
const FINAL: Distribution = Distribution::Final;

/// Requests whose distribution before and after differ in every way.
fn requests() -> Vec<Request> {
    let changed = Request {
        penalties: Penalties { repetition: 1.3, presence: 0.4, frequency: 0.1 },
        seen: (0..12).map(|token| (token, 1 + token % 4)).collect(),
        bias: BTreeMap::from([(0, 3.0), (1, f32::NEG_INFINITY), (2, -2.0)]),
        mask: Some(vec![0x7FFF_FFFB; 70]),
        ..Request::at(0.8)
    };
    vec![
        Request::at(0.0),
        Request { temperature: 0.0, emission: Emission::ByShare, ..changed.clone() },
        Request::at(1.0),
        Request { emission: Emission::ByShare, ..Request::at(1.0) },
        Request::at(0.3),
        Request { top_k: Some(3), ..Request::at(2.0) },
        Request { top_p: 0.5, emission: Emission::ByShare, ..Request::at(0.7) },
        Request { min_p: 0.1, pooling: false, ..changed.clone() },
        changed.clone(),
        Request { top_k: Some(10), top_p: 0.9, emission: Emission::ByShare, ..changed },
    ]
}

#[test]
fn all_numbers_are_those_of_the_chain() {
    let steps = Steps::of(21);
    let mut checked = 0;
    for vocab_size in [2, 17, 2049] {
        for (i, profile) in PROFILES.into_iter().enumerate() {
            for (j, partition) in PARTITIONS.into_iter().enumerate() {
                if (i + j) % 3 != vocab_size % 3 {
                    continue;
                }
                let mut rng = rng((10 * i + j) as u64);
                let map = partition.map(vocab_size, &mut rng).to_device(&device()).unwrap();
                let row = profile.row(vocab_size, &mut rng);
                let dtype = DTYPES[(i + j) % 3];
                let rows = |n| {
                    Layout::Contiguous.tensor(&vec![row.clone(); n], vocab_size, dtype).unwrap()
                };
                for request in requests() {
                    let fits = |&token: &u32| token < vocab_size as u32;
                    let bias = request.bias.iter().filter(|(token, _)| fits(token));
                    let seen = request.seen.iter().filter(|(token, _)| fits(token));
                    let request = Request {
                        bias: bias.map(|(&token, &bias)| (token, bias)).collect(),
                        seen: seen.map(|(&token, &n)| (token, n)).collect(),
                        seed: steps.seed(),
                        ..request
                    };
                    for log_probs in [(0, RAW), (1, FINAL), (20, RAW), (20, FINAL)] {
                        let request = Request { log_probs: Some(log_probs), ..request.clone() };
                        let checks = witness::check(&map, rows, &request, &steps, &mut rng);
                        let context =
                            || format!("{vocab_size} {profile:?} {partition:?} {request:?}");
                        checked += checks.unwrap_or_else(|e| panic!("{e}: {}", context())).len();
                    }
                }
            }
        }
    }
    println!("{checked} tokens with log-probs");
    assert!(checked > 5000);
}

/// A map of three concepts: .5 in two tokens, .3 and .2.
fn three() -> (concept_mass::DeviceMap, [f32; 4]) {
    let map = ConceptMap::builder(4).concept("half", [1, 3]).unwrap().build().unwrap();
    (map.to_device(&device()).unwrap(), [0.3f32, 0.4, 0.2, 0.1].map(f32::ln))
}

#[track_caller]
fn is(got: f32, probability: f64) {
    assert!((f64::from(got).exp() - probability).abs() < 1e-6, "{got}, not ln {probability}");
}

#[test]
fn raw_ones_are_of_the_model_and_final_ones_of_the_draw() {
    let (map, logits) = three();
    // Token 1 pays: .2 of .8 is left in it, and .1 beside it; token 2 is banned.
    let request = Request {
        penalties: Penalties { presence: std::f32::consts::LN_2, ..Penalties::NONE },
        seen: BTreeMap::from([(1, 3)]),
        bias: BTreeMap::from([(2, f32::NEG_INFINITY)]),
        ..Request::at(0.5)
    };
    for (of, concept_probs) in [(RAW, [0.5, 0.3, 0.2]), (FINAL, [0.5, 0.5, 0.0])] {
        let request = Request { log_probs: Some((20, of)), ..request.clone() };
        for step in 0..20 {
            let sampled = sample_one(&logits, &mut request.row(&map, step)).unwrap();
            let log_probs = sampled.log_probs.unwrap();
            is(log_probs.concept, concept_probs[sampled.concept as usize]);
            is(log_probs.token, [0.3, 0.4, 0.2, 0.1][sampled.token as usize]);
            let likeliest: Vec<(u32, u32)> =
                log_probs.likeliest.iter().map(|l| (l.concept, l.representative)).collect();
            let all = [(0, 1), (1, 0), (2, 2)];
            // Of the two that are equal after all, f32 may have either first.
            assert_eq!(likeliest.len(), if of == RAW { 3 } else { 2 });
            assert!(likeliest.iter().all(|one| all.contains(one)), "{likeliest:?}");
            for one in &log_probs.likeliest {
                is(one.log_prob, concept_probs[one.concept as usize]);
            }
        }
    }
}

#[test]
fn there_are_none_unless_they_are_asked_for_and_at_most_20() {
    let (map, logits) = three();
    let sampled = sample_one(&logits, &mut Request::at(1.0).row(&map, 0)).unwrap();
    assert_eq!(sampled.log_probs, None);
    let request = Request { log_probs: Some((0, FINAL)), ..Request::at(0.0) };
    let sampled = sample_one(&logits, &mut request.row(&map, 0)).unwrap().log_probs.unwrap();
    assert!(sampled.likeliest.is_empty());
    assert_eq!(sampled.concept, 0.0, "all of it is on the winner");
    is(sampled.token, 0.4);
    let error = LogProbs::new(21, RAW).unwrap_err();
    assert!(matches!(error, SampleError::Parameter { parameter: "log_probs", .. }), "{error}");
    assert_eq!(LogProbs::MAX, 20);
}

/// What is asked for beside the token does not change it.
#[test]
fn they_do_not_change_the_draw() {
    let mut rng = rng(5);
    let map = Partition::Dense.map(2049, &mut rng).to_device(&device()).unwrap();
    let logits = Profile::Peaked.row(2049, &mut rng);
    for request in requests() {
        let token = |log_probs, step| {
            let request = Request { log_probs, mask: None, seed: 9, ..request.clone() };
            let sampled = sample_one(&logits, &mut request.row(&map, step)).unwrap();
            (sampled.token, sampled.concept)
        };
        for step in 0..10 {
            let want = token(None, step);
            assert_eq!(token(Some((20, RAW)), step), want, "{request:?}");
            assert_eq!(token(Some((3, FINAL)), step), want, "{request:?}");
        }
    }
}
