//! Parameters and rows at the ends of their ranges.

use candle_core::Tensor;
use concept_mass::reduce::{BadRow, BadRowReason, ReduceError};
use concept_mass::sample::{
    Emission, RowSampler, SampleError, Sampled, TokenMask, sample_batch, sample_batch_masked,
};
use concept_mass::{ConceptMap, DeviceMap};

use super::{sample_one, sample_rows, witness};
use crate::common::chain::Request;
use crate::common::philox::Steps;
use crate::common::{device, rng};

const NINF: f32 = f32::NEG_INFINITY;

const TEMPERATURES: [f64; 15] = [
    0.0,
    5e-324,
    1e-300,
    1e-46,
    1e-39,
    1e-38,
    1e-7,
    0.3,
    1.0,
    1.7,
    1e3,
    1e38,
    1e39,
    1e300,
    f64::MAX,
];

/// Rows of four, of every kind, at every offset.
fn rows() -> Vec<[f32; 4]> {
    let mut rows = vec![
        [1.0, 2.0, 2.5, 0.5],
        [NINF, 0.0, NINF, NINF],
        [1e-40, 0.0, -1e-40, 1e-45],
        [-0.0, 0.0, -0.0, 0.0],
        [f32::MAX, f32::MIN, 0.0, NINF],
        [3e38, 3e38, -3e38, 0.0],
        [f32::MIN, f32::MIN, f32::MIN, -3.4e38],
        [1e4, -1e4, 0.0, 9999.0],
        [0.0, -200.0, -210.0, -200.0],
    ];
    for offset in [0.0, 700.0, -700.0, 3e7, -3e7, 1e30, -1e30, 3e38, f32::MAX, f32::MIN] {
        rows.push([offset; 4]);
        rows.push([offset, NINF, offset, offset]);
        rows.push([offset, offset - 2.0, offset + 2.0, offset]);
    }
    rows
}

fn maps() -> Vec<DeviceMap> {
    let of = |ids: [u32; 4]| ConceptMap::from_concept_ids(ids.to_vec()).unwrap();
    let maps = [[0, 1, 2, 3], [3, 2, 1, 0], [0, 0, 1, 0], [1, 0, 0, 1], [0; 4]];
    maps.map(|ids| of(ids).to_device(&device()).unwrap()).to_vec()
}

/// Each filter at both ends of its range.
fn filtered(temperature: f64) -> Vec<Request> {
    let at = || Request::at(temperature);
    let mut requests = vec![at()];
    for k in [1, 2, 4, 5, usize::MAX] {
        requests.push(Request { top_k: Some(k), ..at() });
    }
    for p in [0.0, 5e-324, 1e-300, 0.5, 1.0f64.next_down(), 1.0] {
        requests.push(Request { top_p: p, ..at() });
        requests.push(Request { min_p: p, ..at() });
        requests.push(Request { top_k: Some(2), top_p: p, min_p: p, ..at() });
    }
    requests
}

#[test]
fn every_extreme_is_as_the_chain_says() {
    let steps = Steps::of(31);
    let mut rng = rng(1);
    for map in maps() {
        for row in rows() {
            for request in TEMPERATURES.into_iter().flat_map(filtered) {
                for emission in [Emission::Representative, Emission::ByShare] {
                    let request = Request { emission, seed: steps.seed(), ..request.clone() };
                    let rows = |n| Tensor::new(vec![&row[..]; n], &device()).unwrap();
                    let checks = witness::check(&map, rows, &request, &steps, &mut rng);
                    checks.unwrap_or_else(|e| panic!("{e}: {row:?} {request:?} {map:?}"));
                }
            }
        }
    }
}

#[test]
fn the_coldest_draw_is_the_decision_and_the_hottest_is_even() {
    let map = ConceptMap::builder(5).unnamed([0, 1]).unwrap().build().unwrap();
    let map = map.to_device(&device()).unwrap();
    // Concept 0 has .5 in two tokens; token 3 alone has .3.
    let logits = [0.25f32, 0.25, 0.15, 0.3, 0.05].map(f32::ln);
    for temperature in [0.0, 5e-324, 1e-300, 1e-38, 1e-3] {
        for (seed, request) in (0..).zip(filtered(temperature)) {
            let mut row = Request { seed, ..request.clone() }.row(&map, 0);
            for _ in 0..5 {
                assert_eq!(sample_one(&logits, &mut row).unwrap().token, 0, "{request:?}");
            }
        }
    }
    for temperature in [1e9, 1e38, 1e300, f64::MAX] {
        let mut row = Request::at(temperature).row(&map, 0);
        let mut counts = [0; 5];
        for _ in 0..2000 {
            counts[sample_one(&logits, &mut row).unwrap().token as usize] += 1;
        }
        assert_eq!(counts[1], 0);
        // 500 each, and six standard deviations.
        let others = [counts[0], counts[2], counts[3], counts[4]];
        assert!(others.iter().all(|n| (384..616).contains(n)), "{temperature:e}: {counts:?}");
    }
}

#[test]
fn all_but_one_masked_leaves_it_in_every_mode() {
    for vocab_size in [1, 33, 5000] {
        let map = ConceptMap::builder(vocab_size).unnamed(0..vocab_size as u32 / 2);
        let map = map.and_then(|map| map.build());
        // A vocabulary of one has no concept of none.
        let map = map.unwrap_or_else(|_| ConceptMap::singletons(vocab_size).unwrap());
        let map = map.to_device(&device()).unwrap();
        let logits: Vec<f32> = (0..vocab_size).map(|t| (t % 5) as f32).collect();
        let logits = Tensor::new(vec![logits; 1], &device()).unwrap();
        for token in [0, vocab_size / 3, vocab_size - 1] {
            let mut words = vec![0u32; token / 32 + 1];
            words[token / 32] = 1 << (token % 32);
            let mask = TokenMask::new(&words, words.len()).unwrap();
            for temperature in [0.0, 1e-38, 0.8, 1.0, 1e38] {
                for request in filtered(temperature) {
                    let mut row = [request.row(&map, 0)];
                    let sampled = sample_batch_masked(&logits, &mut row, mask).unwrap().remove(0);
                    let sampled = sampled.unwrap();
                    assert_eq!(sampled.token, token as u32, "{request:?}");
                    assert_eq!(Some(sampled.concept), map.map().concept_of(sampled.token));
                }
            }
        }
    }
}

/// Samples once more than the rows before, and checks that the other rows are those of a batch
/// without the bad one.
#[track_caller]
fn alone_fails(
    bad: usize,
    logits: &[&[f32]],
    rows: &mut [RowSampler],
    sample: impl Fn(&[&[f32]], &mut [RowSampler]) -> Vec<Result<Sampled, SampleError>>,
) -> SampleError {
    let before = rows.to_vec();
    let mut sampled = sample(logits, rows);
    for (i, row) in rows.iter().enumerate().filter(|(i, _)| *i != bad) {
        let mut alone = before[i].clone();
        let want = sample_one(logits[i], &mut alone).unwrap();
        assert_eq!(*sampled[i].as_ref().unwrap(), want, "row {i}");
        assert_eq!(row.state(), alone.state());
    }
    assert_eq!(rows[bad].state(), before[bad].state(), "it does not move");
    sampled.swap_remove(bad).unwrap_err()
}

fn rows_of(n: usize, request: &Request) -> Vec<RowSampler> {
    let row = |seed| Request { seed, ..request.clone() }.row(&maps()[2], 4);
    (0..n as u64).map(row).collect()
}

fn requests() -> impl Iterator<Item = Request> {
    [0.0, 0.8, 1.0].into_iter().flat_map(filtered)
}

#[test]
fn a_bad_row_says_why_and_its_neighbours_go_on() {
    let good = [0.5f32, 1.0, NINF, 0.0];
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let reasons = [
        ([0.0, nan, 0.0, 0.0], BadRowReason::Nan),
        ([NINF, NINF, NINF, nan], BadRowReason::Nan),
        ([0.0, 1.0, inf, NINF], BadRowReason::PosInf),
        ([inf, 1.0, nan, 0.0], BadRowReason::NanAndPosInf),
        ([NINF; 4], BadRowReason::AllNegInf),
    ];
    for request in requests() {
        for (bad, want) in reasons {
            for at in 0..3 {
                let mut logits = [&good[..]; 3];
                logits[at] = &bad;
                let mut rows = rows_of(3, &request);
                for _ in 0..2 {
                    let error = alone_fails(at, &logits, &mut rows, sample_rows);
                    let is_right = matches!(
                        error,
                        SampleError::Reduce(ReduceError::BadRow(BadRow { row, reason, .. }))
                            if row == at && reason == want
                    );
                    assert!(is_right, "{error}: {request:?}");
                }
            }
        }
    }
}

#[test]
fn a_row_of_which_nothing_is_allowed_says_so_and_its_neighbours_go_on() {
    let good = [0.5f32, 1.0, NINF, 0.0];
    let nothing = |error: SampleError| {
        assert!(matches!(error, SampleError::NothingAllowed { row: 1 }), "{error}");
        assert!(error.to_string().contains("row 1"), "{error}");
    };
    for request in requests() {
        // By a mask; by one that leaves what has no probability; by one that ends too early.
        for words in [[0u32, 1], [0b0100, 0]] {
            let of_rows = [None, Some(0), None];
            let masked = |logits: &[&[f32]], rows: &mut [RowSampler]| {
                let logits = Tensor::new(logits.to_vec(), &device()).unwrap();
                let mask = TokenMask::new(&words, 2).unwrap().of_rows(&of_rows);
                sample_batch_masked(&logits, rows, mask).unwrap()
            };
            nothing(alone_fails(1, &[&good[..]; 3], &mut rows_of(3, &request), masked));
        }
        // By biases.
        let bias = [(0, NINF), (1, NINF), (3, NINF)].into_iter().collect();
        let banned = Request { bias, ..request.clone() };
        let mut rows = rows_of(3, &request);
        rows[1] = banned.row(&maps()[2], 4);
        nothing(alone_fails(1, &[&good[..]; 3], &mut rows, sample_rows));
    }
}

#[test]
fn masks_are_short_or_long_and_shared_or_missing() {
    let vocab_size = 100;
    let row = |seed| {
        let params = Request { seed, ..Request::at(1.0) }.params();
        RowSampler::by_token(params, vocab_size).unwrap()
    };
    let logits = Tensor::zeros((3, vocab_size), candle_core::DType::F32, &device()).unwrap();
    // Tokens 0 and 31 of the first word; 32 to 63; longer than the vocabulary, its last token.
    let words = [0x8000_0001, 0, 0, 0, 0, 0, u32::MAX, 0, 0, 0, 0, 0, 0, 8, u32::MAX];
    let is_allowed = |mask: usize, token: u32| match mask {
        0 => token == 0 || token == 31,
        1 => (32..64).contains(&token),
        _ => token == 99,
    };
    let long = TokenMask::new(&words, 5).unwrap();
    let of_rows = [Some(2), Some(0), Some(0)];
    let mut met = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let mut rows = [row(seed), row(seed + 100), row(seed + 200)];
        let sampled = sample_batch_masked(&logits, &mut rows, long).unwrap();
        for (mask, sampled) in sampled.into_iter().enumerate() {
            let token = sampled.unwrap().token;
            assert!(is_allowed(mask, token), "{token} by {mask}");
            met.insert(token);
        }
        let sampled = sample_batch_masked(&logits, &mut rows, long.of_rows(&of_rows)).unwrap();
        for (mask, sampled) in [2, 0, 0].into_iter().zip(sampled) {
            assert!(is_allowed(mask, sampled.unwrap().token));
        }
        let short = TokenMask::new(&[u32::MAX], 1).unwrap();
        let short = short.of_rows(&[Some(0), None, Some(0)]);
        let sampled = sample_batch_masked(&logits, &mut rows, short).unwrap();
        assert!(sampled[0].as_ref().unwrap().token < 32 && sampled[2].as_ref().unwrap().token < 32);
        // Without a mask, a row is as if there were none.
        let mut unmasked = row(seed + 100);
        for _ in 0..3 {
            let logits = logits.narrow(0, 0, 1).unwrap();
            unmasked.restore(rows[1].state().clone()).unwrap();
            sample_batch(&logits, std::slice::from_mut(&mut unmasked)).unwrap().remove(0).unwrap();
        }
    }
    assert!(
        met.contains(&0) && met.contains(&31) && met.contains(&99) && met.len() > 20,
        "{met:?}"
    );
}

#[test]
fn a_bias_beyond_all_bounds_is_an_error_of_its_row() {
    let logits = [3e38f32, 3e38, 0.0, -3e38];
    let biased = |bias: &[(u32, f32)]| {
        let bias = bias.iter().copied().collect();
        Request { bias, seed: 1, ..Request::at(1.0) }.row(&maps()[0], 0)
    };
    // Down to nothing is no probability.
    let mut rows = rows_of(3, &Request::at(1.0));
    rows[1] = biased(&[(3, -3e38)]);
    assert!(sample_rows(&[&logits[..]; 3], &mut rows).iter().all(Result::is_ok));
    // Up is beyond what can be sampled from, as an infinite logit is.
    rows[1] = biased(&[(1, 3e38)]);
    let error = alone_fails(1, &[&logits[..]; 3], &mut rows, sample_rows);
    assert!(error.to_string().contains("row 1"), "{error}");
}
