//! The statistics: against SciPy and scikit-learn, whose numbers are in `reference.json`, and
//! against their definitions.

use std::sync::LazyLock;

use commitment_probe::stats::{
    Calibration, Estimate, RankTest, auroc, auroc_estimate, calibration, cohens_d, entropy,
    mann_whitney, matched, mean, share,
};
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

const TOLERANCE: f64 = 1e-12;
/// Relative, since a p-value may be as small as it likes.
const P_TOLERANCE: f64 = 1e-9;
/// In widths of the interval. Its ends scatter by 1.5 % of the width with 2,000 normal resamples,
/// and the reference's by 0.7 % with 9,999.
const INTERVAL_TOLERANCE: f64 = 0.1;

static REFERENCE: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("reference.json")).expect("reference.json is JSON")
});

/// All cases of a function.
fn cases<T: DeserializeOwned>(function: &str) -> Vec<T> {
    let cases = REFERENCE[function].clone();
    let cases: Vec<T> = serde_json::from_value(cases).expect("reference.json has such cases");
    assert!(cases.len() > 9, "{function} has cases");
    cases
}

/// What is wrong with an actual result.
trait Compare {
    fn compare(&self, expected: &Self) -> Result<(), String>;
}

impl Compare for f64 {
    fn compare(&self, expected: &Self) -> Result<(), String> {
        within(*self, *expected, TOLERANCE * expected.abs().max(1.0))
    }
}

impl<T: Compare> Compare for Option<T> {
    fn compare(&self, expected: &Self) -> Result<(), String> {
        match (self, expected) {
            (Some(actual), Some(expected)) => actual.compare(expected),
            (None, None) => Ok(()),
            (Some(_), None) => Err("a number, where there should be none".into()),
            (None, Some(_)) => Err("no number".into()),
        }
    }
}

impl Compare for RankTest {
    fn compare(&self, expected: &Self) -> Result<(), String> {
        self.u.compare(&expected.u)?;
        within(self.p, expected.p, P_TOLERANCE * expected.p)
    }
}

impl Compare for Estimate {
    fn compare(&self, expected: &Self) -> Result<(), String> {
        same(self.n, expected.n)?;
        self.value.compare(&expected.value)?;
        let tolerance = TOLERANCE + INTERVAL_TOLERANCE * (expected.high - expected.low);
        within(self.low, expected.low, tolerance)?;
        within(self.high, expected.high, tolerance)
    }
}

impl Compare for Calibration {
    fn compare(&self, expected: &Self) -> Result<(), String> {
        self.ece.compare(&expected.ece)?;
        same(self.bins.len(), expected.bins.len())?;
        for (actual, expected) in self.bins.iter().zip(&expected.bins) {
            same(actual.n, expected.n)?;
            actual.low.compare(&expected.low)?;
            actual.high.compare(&expected.high)?;
            actual.confidence.compare(&expected.confidence)?;
            actual.accuracy.compare(&expected.accuracy)?;
        }
        Ok(())
    }
}

fn within(actual: f64, expected: f64, tolerance: f64) -> Result<(), String> {
    let close = (actual - expected).abs() <= tolerance;
    if close { Ok(()) } else { Err(format!("{actual:e}, not {expected:e} ± {tolerance:e}")) }
}

fn same(actual: usize, expected: usize) -> Result<(), String> {
    if actual == expected { Ok(()) } else { Err(format!("{actual}, not {expected}")) }
}

fn check<T: Compare>(name: &str, actual: T, expected: &T) {
    if let Err(wrong) = actual.compare(expected) {
        panic!("{name}: {wrong}");
    }
}

#[derive(Deserialize)]
struct OfTwo<T> {
    name: String,
    a: Vec<f64>,
    b: Vec<f64>,
    expected: Option<T>,
}

fn check_of_two<T: Compare + DeserializeOwned>(
    function: &str,
    statistic: impl Fn(&[f64], &[f64]) -> Option<T>,
) {
    for case in cases::<OfTwo<T>>(function) {
        check(&case.name, statistic(&case.a, &case.b), &case.expected);
    }
}

#[test]
fn auroc_is_that_of_scikit_learn() {
    check_of_two("auroc", auroc);
}

#[test]
fn intervals_of_auroc_are_those_of_scipy() {
    check_of_two("auroc_estimate", auroc_estimate);
}

#[test]
fn d_is_that_of_fractions() {
    check_of_two("cohens_d", cohens_d);
}

#[test]
fn rank_tests_are_those_of_scipy() {
    check_of_two("mann_whitney", mann_whitney);
}

#[test]
fn intervals_of_means_are_those_of_scipy() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        values: Vec<f64>,
        expected: Option<Estimate>,
    }
    for case in cases::<Case>("mean") {
        check(&case.name, mean(&case.values), &case.expected);
    }
}

#[test]
fn intervals_of_shares_are_percentiles_of_the_binomial_distribution() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        hits: usize,
        of: usize,
        expected: Option<Estimate>,
    }
    for case in cases::<Case>("share") {
        let actual = share(case.hits, case.of);
        check(&case.name, actual, &case.expected);
        // Nothing is drawn, so the ends are those and not only near them.
        let ends = |estimate: Option<Estimate>| estimate.map(|e| (e.low, e.high)).unzip();
        let ((low, high), (expected_low, expected_high)) = (ends(actual), ends(case.expected));
        check(&case.name, low, &expected_low);
        check(&case.name, high, &expected_high);
    }
}

#[test]
fn entropy_is_that_of_scipy() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        counts: Vec<usize>,
        expected: f64,
    }
    for case in cases::<Case>("entropy") {
        let actual = entropy(&case.counts);
        check(&case.name, actual, &case.expected);
        assert!(actual.is_sign_positive(), "{}: -0", case.name);
    }
}

#[test]
fn calibration_is_that_of_numpy_and_scikit_learn() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        confidences: Vec<f64>,
        right: Vec<bool>,
        bins: u16,
        expected: Calibration,
    }
    for case in cases::<Case>("calibration") {
        let actual = calibration(&case.confidences, &case.right, case.bins);
        check(&case.name, actual, &case.expected);
    }
}

#[test]
fn results_survive_json() {
    fn there_and_back<T: serde::Serialize + DeserializeOwned>(result: &T) -> T {
        serde_json::from_str(&serde_json::to_string(result).unwrap()).unwrap()
    }
    let share = share(1, 3).unwrap();
    assert_eq!(there_and_back(&share).n, share.n);
    let test = mann_whitney(&[0.5, 0.25], &[0.125]).unwrap();
    assert_eq!(there_and_back(&test).u, test.u);
    let measured = calibration(&[0.5, 0.25, 0.125], &[true, false, true], 4);
    assert_eq!(there_and_back(&measured).bins[0], measured.bins[0]);
}

#[test]
fn a_nan_gives_no_number_and_no_pair() {
    let (with, without) = ([0.5, f64::NAN, 0.25, -f64::NAN], [0.25, 0.5, 0.75]);
    for (a, b) in [(&with[..], &without[..]), (&without, &with)] {
        assert_eq!(auroc(a, b), None);
        assert_eq!(auroc_estimate(a, b), None);
        assert_eq!(cohens_d(a, b), None);
        assert_eq!(mann_whitney(a, b), None);
    }
    assert_eq!(mean(&with), None);
    assert_eq!(matched(&with, &without, 1.0), [(0, 1), (2, 0)]);
    assert_eq!(matched(&without, &without, f64::NAN), []);
    let measured = calibration(&with, &[true; 4], 2);
    assert_eq!((measured.ece, measured.bins[0].n, measured.bins[1].n), (None, 2, 0));
    // As many bins as there can be.
    assert_eq!(calibration(&without, &[true; 3], u16::MAX).bins.len(), 65_535);
}

/// Their ranks have no deviation, which rounding must not make the root of a negative number.
#[test]
fn equal_values_speak_for_no_difference() {
    for n in 1..60 {
        for m in [1, 2, 3, 7, 50, 1001] {
            let test = mann_whitney(&vec![0.1; n], &vec![0.1; m]).unwrap();
            assert_eq!((test.u, test.p), ((n * m) as f64 / 2.0, 1.0), "{n} {m}");
        }
    }
}

#[test]
fn infinities_have_ranks_but_no_mean_and_no_pair() {
    let (a, b) = ([f64::INFINITY, 1.0], [f64::NEG_INFINITY, 1.0, f64::INFINITY]);
    assert_eq!(auroc(&a, &b), auroc(&[2.0, 1.0], &[0.0, 1.0, 2.0]));
    assert_eq!(mann_whitney(&a, &b), mann_whitney(&[2.0, 1.0], &[0.0, 1.0, 2.0]));
    assert_eq!((mean(&a), cohens_d(&a, &b)), (None, None));
    assert_eq!((mean(&[f64::MAX; 2]), cohens_d(&[f64::MAX, f64::MIN], &[0.0; 2])), (None, None));
    assert_eq!(matched(&a, &b, f64::INFINITY), [(1, 1)]);
    assert_eq!(calibration(&a, &[true; 2], 2).bins[1].n, 2);
}

#[test]
fn tens_of_thousands_are_matched() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut sample = |n: usize| -> Vec<f64> { (0..n).map(|_| rng.random()).collect() };
    let (a, b) = (sample(20_000), sample(20_000));
    let caliper = 1e-3;
    let pairs = matched(&a, &b, caliper);
    let taken = |place: fn(&(usize, usize)) -> usize| {
        let mut taken = vec![false; 20_000];
        pairs.iter().for_each(|pair| assert!(!std::mem::replace(&mut taken[place(pair)], true)));
        taken
    };
    let (of_a, of_b) = (taken(|pair| pair.0), taken(|pair| pair.1));
    assert!(pairs.is_sorted() && pairs.iter().all(|&(i, j)| (a[i] - b[j]).abs() <= caliper));
    // No two that stay alone would have made a pair.
    let alone = |sample: &[f64], taken: &[bool]| -> Vec<f64> {
        sample.iter().zip(taken).filter(|(_, taken)| !**taken).map(|(&value, _)| value).collect()
    };
    let (a, b) = (alone(&a, &of_a), alone(&b, &of_b));
    assert!(pairs.len() > 15_000 && !a.is_empty());
    assert!(a.iter().all(|a| b.iter().all(|b| (a - b).abs() > caliper)));
}

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
    fn shares_are_means_of_zeros_and_ones(of in 1usize..400, part in 0.0..=1.0) {
        let hits = (of as f64 * part) as usize;
        let values: Vec<f64> = (0..of).map(|i| if i < hits { 1.0 } else { 0.0 }).collect();
        let (share, mean) = (share(hits, of).unwrap(), mean(&values).unwrap());
        prop_assert_eq!((share.value, share.n), (mean.value, mean.n));
        // The ends are multiples of 1 / n, and those that are drawn may be beside the true ones.
        let steps = 1.0 / of as f64 + INTERVAL_TOLERANCE * (share.high - share.low) + TOLERANCE;
        prop_assert!((share.low - mean.low).abs() <= steps, "{share:?} {mean:?}");
        prop_assert!((share.high - mean.high).abs() <= steps, "{share:?} {mean:?}");
    }

    #[test]
    fn the_same_input_gives_the_same_bits(a in values(1), b in values(1), threads in 1usize..5) {
        let both = || (bits(mean(&a)), bits(auroc_estimate(&a, &b)));
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
