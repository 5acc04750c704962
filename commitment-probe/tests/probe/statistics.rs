//! The statistics against SciPy and scikit-learn, whose numbers are in `reference.json`, and in
//! degenerate cases.

use std::sync::LazyLock;

use commitment_probe::stats::{
    Calibration, Estimate, RankTest, auroc, auroc_estimate, calibration, cohens_d, entropy,
    mann_whitney, matched, mean, share,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

pub const TOLERANCE: f64 = 1e-12;
/// Relative, since a p-value may be as small as it likes.
const P_TOLERANCE: f64 = 1e-9;
/// In widths of the interval. Its ends scatter by 1.5 % of the width with 2,000 normal resamples,
/// and the reference's by 0.7 % with 9,999.
pub const INTERVAL_TOLERANCE: f64 = 0.1;

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
