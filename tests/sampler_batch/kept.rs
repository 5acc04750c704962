//! The set of concepts that can be drawn: by a uniform in the midst of every concept's stretch.

use std::collections::BTreeSet;

use candle_core::DType;
use concept_mass::sample::sample_batch;

use crate::common::chain::{Chain, Request};
use crate::common::philox::Steps;
use crate::common::*;

const V: usize = 111;

/// Requests with each filter alone, and with all of them.
fn requests() -> Vec<Request> {
    let mut requests = Vec::new();
    for temperature in [0.5, 1.0, 1.7, 1e38] {
        let at = || Request::at(temperature);
        for k in [1, 2, 7, 40, V, usize::MAX] {
            requests.push(Request { top_k: Some(k), ..at() });
            requests.push(Request { top_k: Some(k), top_p: 0.7, min_p: 0.01, ..at() });
        }
        for p in [0.0, 1e-300, 0.3, 0.9, 0.99, 1.0] {
            requests.push(Request { top_p: p, ..at() });
            requests.push(Request { min_p: p, ..at() });
        }
        // A share of what top_k left, of which one of all would leave more.
        requests.push(Request { top_k: Some(10), top_p: 0.5, ..at() });
    }
    requests
}

#[test]
fn what_is_left_is_what_can_be_drawn() {
    let steps = Steps::of(11);
    let (mut left, mut open, mut narrow) = (0, 0, 0);
    for (i, profile) in PROFILES.into_iter().enumerate() {
        for (j, partition) in PARTITIONS.into_iter().enumerate() {
            if cfg!(feature = "cuda") && (i + j) % 4 != 0 {
                continue;
            }
            let mut rng = rng((10 * i + j) as u64);
            let map = partition.map(V, &mut rng).to_device(&device()).unwrap();
            let row = profile.row(V, &mut rng);
            let one = Layout::Contiguous.tensor(&[row], V, DType::F32).unwrap();
            let exact = &in_f64(&one)[0];
            for request in requests() {
                let request = Request { seed: steps.seed(), ..request };
                let chain = Chain::of(map.map(), exact, &request).unwrap();
                let stretches = chain.stretches();
                // Tokens, where nothing is filtered: of them the other tests tell.
                if stretches.len() != map.map().num_concepts() {
                    continue;
                }
                let wide = stretches.iter().filter(|s| s.start.high + 1e-4 < s.end.low);
                let wide: Vec<_> = wide.collect();
                let middle = |low: f64, high: f64| steps.near((low + high) / 2.0).0;
                let mut rows: Vec<_> = wide
                    .iter()
                    .map(|s| request.row(&map, middle(s.start.high, s.end.low)))
                    .collect();
                let logits = one.broadcast_as((rows.len(), V)).unwrap();
                let sampled = sample_batch(&logits, &mut rows).unwrap();
                let drawn: Vec<u32> =
                    sampled.into_iter().map(|sampled| sampled.unwrap().concept).collect();
                let want: Vec<u32> = wide.iter().map(|stretch| stretch.id).collect();
                assert_eq!(drawn, want, "{profile:?} {partition:?} {request:?}");
                // Those that are left for certain are among them, but for the faint.
                let drawn: BTreeSet<u32> = drawn.into_iter().collect();
                for (c, is_left) in (0..).zip(chain.is_left()) {
                    assert!(!drawn.contains(&c) || is_left.low > 0.0);
                    left += usize::from(is_left.low > 0.0);
                    open += usize::from(is_left.low < is_left.high);
                    narrow += usize::from(is_left.low > 0.0 && !drawn.contains(&c));
                }
            }
        }
    }
    // At 1e38 all weights are as good as equal, and a min_p of 1 asks whether they are.
    println!("{left} concepts left, {narrow} of them too faint to be met, {open} within rounding");
    assert!(open * 25 < left && narrow * 5 < left, "{open} and {narrow} of {left}");
}
