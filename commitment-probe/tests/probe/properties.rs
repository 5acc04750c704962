//! The statistics against their definitions, on any input.

use commitment_probe::stats::{
    self, Calibration, Estimate, auroc, auroc_estimate, auroc_of, calibration, cohens_d, entropy,
    mann_whitney, matched, matched_within, mean, mean_of, share_of, trend, wilcoxon,
};
use proptest::prelude::*;

use super::statistics::TOLERANCE;

/// By definition: the closest of all pairs whose members are free, by places where two are as
/// close.
fn naively_matched(a: &[i64], b: &[i64], caliper: f64) -> Vec<(usize, usize)> {
    let all = a
        .iter()
        .enumerate()
        .flat_map(|(i, a)| b.iter().enumerate().map(move |(j, b)| (a.abs_diff(*b), i, j)));
    let mut close: Vec<_> = all.filter(|&(distance, _, _)| distance as f64 <= caliper).collect();
    close.sort();
    let (mut free_a, mut free_b) = (vec![true; a.len()], vec![true; b.len()]);
    let mut pairs = Vec::new();
    for (_, i, j) in close {
        if free_a[i] && free_b[j] {
            (free_a[i], free_b[j]) = (false, false);
            pairs.push((i, j));
        }
    }
    pairs.sort();
    pairs
}

/// Integers that are floats too: few, with ties of values and of distances; many; and some so large
/// that the small ones vanish when a distance is rounded.
fn integers() -> impl Strategy<Value = Vec<i64>> {
    let integer = prop_oneof![
        8 => -6i64..6,
        4 => -200i64..200,
        1 => (-3i64..3).prop_map(|i| (1 << 60) + i * 256),
    ];
    proptest::collection::vec(integer, 0..24)
}

/// Values of which some are equal, and some have no short binary fraction.
fn values(fewest: usize) -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![(-8i32..8).prop_map(|i| f64::from(i) / 10.0), -1.0..1.0];
    proptest::collection::vec(value, fewest..30)
}

fn bits(estimate: Option<Estimate>) -> Option<[u64; 3]> {
    estimate.map(|e| [e.value, e.low, e.high].map(f64::to_bits))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn pairs_are_those_of_the_definition(
        a in integers(),
        b in integers(),
        caliper in prop_oneof![(0u32..12).prop_map(f64::from), Just(1e18), Just(f64::INFINITY)],
    ) {
        let floats = |values: &[i64]| -> Vec<f64> { values.iter().map(|&x| x as f64).collect() };
        let pairs = matched(&floats(&a), &floats(&b), caliper);
        prop_assert_eq!(pairs, naively_matched(&a, &b, caliper));
    }

    #[test]
    fn auroc_is_the_share_of_pairs(a in values(1), b in values(1)) {
        let pairs = a.iter().flat_map(|a| b.iter().map(move |b| (a, b)));
        let wins: f64 = pairs
            .map(|(a, b)| if a > b { 1.0 } else if a == b { 0.5 } else { 0.0 })
            .sum();
        let (all, area) = ((a.len() * b.len()) as f64, auroc(&a, &b).unwrap());
        prop_assert_eq!(mann_whitney(&a, &b).unwrap().u, wins);
        prop_assert!((area - wins / all).abs() < TOLERANCE);
        prop_assert!((area + auroc(&b, &a).unwrap() - 1.0).abs() < TOLERANCE);
    }

    #[test]
    fn auroc_knows_the_order_alone(a in values(1), b in values(1)) {
        // Powers of two round nothing, so that no two values become equal.
        let rising = |values: &[f64]| -> Vec<f64> {
            values.iter().map(|x| if *x < 0.0 { x * 0.25 } else { x * 1024.0 }).collect()
        };
        let (c, d) = (rising(&a), rising(&b));
        prop_assert_eq!(auroc(&a, &b), auroc(&c, &d));
        prop_assert_eq!(bits(auroc_estimate(&a, &b)), bits(auroc_estimate(&c, &d)));
        prop_assert_eq!(mann_whitney(&a, &b), mann_whitney(&c, &d));
    }

    #[test]
    fn rank_tests_are_two_sided(a in values(1), b in values(1)) {
        let (test, swapped) = (mann_whitney(&a, &b).unwrap(), mann_whitney(&b, &a).unwrap());
        prop_assert_eq!(test.p, swapped.p);
        prop_assert_eq!(test.u + swapped.u, (a.len() * b.len()) as f64);
        prop_assert!((0.0..=1.0).contains(&test.p));
    }

    #[test]
    fn d_changes_its_sign_with_the_order(a in values(0), b in values(0)) {
        prop_assert_eq!(cohens_d(&a, &b), cohens_d(&b, &a).map(|d| -d));
    }

    #[test]
    fn d_has_no_origin_and_no_unit(a in values(2), b in values(2), shift in -9.0..9.0) {
        let moved =
            |values: &[f64]| -> Vec<f64> { values.iter().map(|x| 8.0 * x + shift).collect() };
        if let (Some(d), Some(moved)) = (cohens_d(&a, &b), cohens_d(&moved(&a), &moved(&b)))
            // Where there is next to no spread, rounding is all that there is of it.
            && d.abs() < 1e3
        {
            prop_assert!((d - moved).abs() < 1e-9 * d.abs().max(1.0), "{d} {moved}");
        }
    }

    #[test]
    fn the_bins_add_up(
        pairs in proptest::collection::vec((values(1), any::<bool>()), 0..60),
        bins in 1u16..40,
    ) {
        let (confidences, right): (Vec<f64>, Vec<bool>) =
            pairs.into_iter().map(|(values, right)| (values[0], right)).unzip();
        let Calibration { ece, bins } = calibration(&confidences, &right, bins);
        let sum = |of: &dyn Fn(usize) -> f64| (0..bins.len()).map(of).sum::<f64>();
        let mean = |b: usize, x: Option<f64>| bins[b].n as f64 * x.unwrap_or(0.0);
        let (all, hits) = (confidences.len() as f64, right.iter().filter(|right| **right).count());
        let clamped: f64 = confidences.iter().map(|x| x.clamp(0.0, 1.0)).sum();
        prop_assert_eq!(sum(&|b| bins[b].n as f64), all);
        prop_assert!((sum(&|b| mean(b, bins[b].accuracy)) - hits as f64).abs() < 1e-9);
        prop_assert!((sum(&|b| mean(b, bins[b].confidence)) - clamped).abs() < 1e-9);
        prop_assert_eq!((bins[0].low, bins[bins.len() - 1].high), (0.0, 1.0));
        prop_assert!(bins.windows(2).all(|pair| pair[0].high == pair[1].low));
        for bin in &bins {
            prop_assert_eq!(bin.confidence.is_some(), bin.n > 0);
            let mean = bin.confidence.unwrap_or(bin.high);
            prop_assert!(bin.low - TOLERANCE <= mean && mean <= bin.high + TOLERANCE);
        }
        let error = sum(&|b| {
            let bin = bins[b];
            mean(b, bin.accuracy.zip(bin.confidence).map(|(a, c)| (a - c).abs()))
        });
        prop_assert!(ece.is_none_or(|ece| (ece - error / all).abs() < TOLERANCE));
        prop_assert_eq!(ece.is_none(), confidences.is_empty());
    }

    #[test]
    fn intervals_hold_the_value_and_stay_where_values_are(
        hits in proptest::collection::vec((any::<bool>(), 0usize..9), 1..60),
        a in values(1),
        b in values(1),
    ) {
        let (hits, groups): (Vec<bool>, Vec<usize>) = hits.into_iter().unzip();
        let share = share_of(&hits, Some(&groups)).unwrap();
        let count = hits.iter().filter(|hit| **hit).count();
        prop_assert_eq!(share.value, stats::share(count, hits.len()).unwrap().value);
        prop_assert!(0.0 <= share.low && share.low <= share.value, "{:?}", share);
        prop_assert!(share.value <= share.high && share.high <= 1.0, "{:?}", share);
        prop_assert!(share.high > share.low);
        let of = |sample: &[f64]| -> Vec<usize> { (0..sample.len()).map(|i| i / 3).collect() };
        let area = auroc_of(&a, &b, Some([&of(&a), &of(&b)])).unwrap();
        prop_assert!((area.value - auroc(&a, &b).unwrap()).abs() < TOLERANCE);
        prop_assert!(0.0 <= area.low && area.low < area.high && area.high <= 1.0, "{:?}", area);
        let (least, most) = (a.iter().copied().reduce(f64::min), a.iter().copied().reduce(f64::max));
        for mean in [mean(&a), mean_of(&a, Some(&of(&a)))].into_iter().flatten() {
            prop_assert!(least.unwrap() - TOLERANCE <= mean.low && mean.low <= mean.high);
            prop_assert!(mean.high <= most.unwrap() + TOLERANCE);
        }
    }

    #[test]
    fn signed_ranks_are_two_sided(a in values(1)) {
        let negated: Vec<f64> = a.iter().map(|x| -x).collect();
        let (test, other) = (wilcoxon(&a).unwrap(), wilcoxon(&negated).unwrap());
        prop_assert_eq!((test.p, test.n), (other.p, other.n));
        prop_assert_eq!(test.w + other.w, (test.n * (test.n + 1)) as f64 / 2.0);
        prop_assert!((0.0..=1.0).contains(&test.p));
    }

    /// By the pairs of the definition, with a distance that no caliper allows between strata.
    #[test]
    fn pairs_within_strata_are_those_of_values_far_apart(
        a in proptest::collection::vec((-40i64..40, 0usize..3), 0..24),
        b in proptest::collection::vec((-40i64..40, 0usize..3), 0..24),
        caliper in 0u32..9,
    ) {
        let apart = |sample: &[(i64, usize)]| -> Vec<i64> {
            sample.iter().map(|&(value, stratum)| value + 1000 * stratum as i64).collect()
        };
        let split = |sample: &[(i64, usize)]| -> (Vec<f64>, Vec<usize>) {
            sample.iter().map(|&(value, stratum)| (value as f64, stratum)).unzip()
        };
        let ((of_a, strata_a), (of_b, strata_b)) = (split(&a), split(&b));
        let caliper = f64::from(caliper);
        let pairs = matched_within(&of_a, &of_b, &strata_a, &strata_b, caliper);
        prop_assert_eq!(pairs, naively_matched(&apart(&a), &apart(&b), caliper));
    }

    #[test]
    fn the_same_input_gives_the_same_bits(a in values(1), b in values(1), threads in 1usize..5) {
        let of: Vec<usize> = (0..a.len().max(b.len())).map(|i| i / 2).collect();
        let groups = [&of[..a.len()], &of[..b.len()]];
        let blocks: Vec<_> = a.iter().map(|x| vec![Some(*x > 0.0), None, Some(*x < 0.5)]).collect();
        let blocks: Vec<_> = blocks.into_iter().chain([vec![Some(true); 3]]).collect();
        let both = || {
            let drawn = [mean(&a), mean_of(&a, Some(groups[0])), auroc_of(&a, &b, Some(groups))];
            (drawn.map(bits), trend(&[1.0, 2.0, 3.0], &blocks, None))
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        prop_assert_eq!(pool.install(both), both());
    }

    #[test]
    fn entropy_knows_neither_order_nor_scale(
        counts in proptest::collection::vec(0usize..50, 0..12),
    ) {
        let nats = entropy(&counts);
        let scaled: Vec<usize> = counts.iter().rev().map(|count| count * 3).collect();
        prop_assert!((nats - entropy(&scaled)).abs() < TOLERANCE);
        let outcomes = counts.iter().filter(|count| **count > 0).count().max(1);
        prop_assert!((0.0..=(outcomes as f64).ln() + TOLERANCE).contains(&nats));
    }
}
