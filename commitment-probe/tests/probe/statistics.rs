//! The statistics against SciPy, scikit-learn and statsmodels, whose numbers are in `reference.json`, and in
//! degenerate cases.

use std::sync::LazyLock;

use commitment_probe::stats::{
    Calibration, Estimate, Method, RankTest, SignedRankTest, auroc, auroc_estimate, auroc_of,
    calibration, cohens_d, entropy, mann_whitney, matched, matched_within, mcnemar, mean, mean_of,
    share, share_of, trend, wilcoxon,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

pub const TOLERANCE: f64 = 1e-12;
/// Relative, since a p-value may be as small as it likes.
const P_TOLERANCE: f64 = 1e-9;
/// Of ends that are drawn, in widths of the interval. They scatter by 1.5 % of the width with 2,000
/// normal resamples, and the reference's by 0.7 % with 9,999.
const INTERVAL_TOLERANCE: f64 = 0.1;

/// Of ends that are not drawn.
const ENDS_TOLERANCE: f64 = 1e-10;

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

impl Compare for SignedRankTest {
    fn compare(&self, expected: &Self) -> Result<(), String> {
        same(self.n, expected.n)?;
        self.w.compare(&expected.w)?;
        within(self.p, expected.p, P_TOLERANCE * expected.p)
    }
}

impl Compare for Estimate {
    fn compare(&self, expected: &Self) -> Result<(), String> {
        same(self.n, expected.n)?;
        self.value.compare(&expected.value)?;
        if self.method != expected.method {
            return Err(format!("{}, not {}", self.method, expected.method));
        }
        self.design_effect.compare(&expected.design_effect)?;
        let part = match self.method {
            Method::Bca | Method::Clustered => INTERVAL_TOLERANCE,
            Method::Wilson | Method::Newcombe => 0.0,
        };
        let tolerance = ENDS_TOLERANCE + part * (expected.high - expected.low);
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
fn intervals_of_auroc_are_the_roots_of_a_polynomial() {
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
fn intervals_of_shares_are_those_of_statsmodels() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        hits: usize,
        of: usize,
        expected: Option<Estimate>,
    }
    for case in cases::<Case>("share") {
        check(&case.name, share(case.hits, case.of), &case.expected);
    }
}

#[test]
fn intervals_of_grouped_means_are_those_of_scipy() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        values: Vec<f64>,
        groups: Vec<usize>,
        expected: Option<Estimate>,
    }
    for case in cases::<Case>("mean_of") {
        check(&case.name, mean_of(&case.values, Some(&case.groups)), &case.expected);
    }
}

#[test]
fn intervals_of_grouped_auroc_are_those_of_scipy() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        positives: Vec<f64>,
        negatives: Vec<f64>,
        groups: [Vec<usize>; 2],
        expected: Option<Estimate>,
    }
    for Case { name, positives, negatives, groups: [p, n], expected } in cases("auroc_of") {
        check(&name, auroc_of(&positives, &negatives, Some([&p, &n])), &expected);
    }
}

#[test]
fn intervals_of_shares_in_few_groups_are_those_of_smaller_samples() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        hits: Vec<bool>,
        groups: Vec<usize>,
        expected: Option<Estimate>,
    }
    for Case { name, hits, groups, expected } in cases("share_of") {
        let mut actual = share_of(&hits, Some(&groups));
        // Student's quantile is within 0.2 %, which a narrow tolerance would see.
        if let (Some(actual), Some(expected)) = (&mut actual, &expected) {
            let close = |end: f64, expected: f64| (end - expected).abs() < 2e-3;
            assert!(close(actual.low, expected.low), "{name}: {actual:?} {expected:?}");
            assert!(close(actual.high, expected.high), "{name}: {actual:?} {expected:?}");
            (actual.low, actual.high) = (expected.low, expected.high);
        }
        check(&name, actual, &expected);
    }
}

#[test]
fn signed_rank_tests_are_those_of_scipy() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        differences: Vec<f64>,
        expected: Option<SignedRankTest>,
    }
    for case in cases::<Case>("wilcoxon") {
        check(&case.name, wilcoxon(&case.differences), &case.expected);
    }
}

#[test]
fn tests_of_mcnemar_are_those_of_statsmodels() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        only_first: usize,
        only_second: usize,
        expected: f64,
    }
    for Case { name, only_first, only_second, expected } in cases("mcnemar") {
        let p = mcnemar(only_first, only_second);
        assert!((p - expected).abs() <= P_TOLERANCE * expected, "{name}: {p:e}, not {expected:e}");
    }
}

/// Where the exact sum ends and the normal distribution begins, and as far as numbers go.
#[test]
fn any_number_of_pairs_has_a_test() {
    let p = |n: usize, apart: usize| mcnemar(n / 2 - apart, n / 2 + apart);
    let (exact, normal) = (p(1_000_000_000, 30_000), p(1_000_000_002, 30_000));
    assert!(exact > 0.05 && (exact - normal).abs() < 1e-6, "{exact} {normal}");
    assert_eq!((mcnemar(usize::MAX, usize::MAX), mcnemar(0, usize::MAX)), (1.0, 0.0));
}

#[test]
fn methods_have_names_in_reports_and_in_files() {
    let methods = [Method::Wilson, Method::Bca, Method::Newcombe, Method::Clustered];
    assert_eq!(methods.map(|m| m.to_string()), ["Wilson", "BCa", "Newcombe", "clustered BCa"]);
    let in_files = methods.map(|m| serde_json::to_value(m).unwrap());
    assert_eq!(in_files, ["wilson", "bca", "newcombe", "clustered"]);
    let alone = serde_json::to_value(share(1, 2).unwrap()).unwrap();
    assert!(alone.get("design_effect").is_none());
}

#[test]
fn groups_of_one_member_say_nothing() {
    let values: Vec<f64> = (0..40).map(|i| f64::from(i * 17 % 40)).collect();
    let hits: Vec<bool> = values.iter().map(|x| *x > 15.0).collect();
    let alone: Vec<usize> = (0..40).map(|i| 1000 - i * 3).collect();
    assert_eq!(mean_of(&values, Some(&alone)), mean(&values));
    assert_eq!(share_of(&hits, Some(&alone)), share(24, 40));
    let (p, n) = values.split_at(25);
    let groups = Some([&alone[..25], &alone[25..]]);
    assert_eq!(auroc_of(p, n, groups), auroc_estimate(p, n));
    assert_eq!((mean_of(&values, None), share_of(&hits, None)), (mean(&values), share(24, 40)));
    assert_eq!(auroc_of(p, n, None), auroc_estimate(p, n));
}

#[test]
fn groups_that_are_not_those_of_the_values_give_no_number() {
    assert_eq!(mean_of(&[1.0, 2.0], Some(&[1])), None);
    assert_eq!(share_of(&[true, false], Some(&[1, 2, 3])), None);
    assert_eq!(auroc_of(&[1.0, 2.0], &[0.5], Some([&[1], &[1, 2]])), None);
    assert_eq!(mean_of(&[], Some(&[])), None);
    assert_eq!(share_of(&[], Some(&[])), None);
    assert_eq!(auroc_of(&[], &[], Some([&[], &[]])), None);
    let sizes = [1.0, 2.0, 3.0];
    assert_eq!(trend(&sizes, &[vec![Some(true); 3]], Some(&[])), None);
}

/// The bootstrap has nothing to draw, but there is no certainty.
#[test]
fn what_does_not_vary_between_groups_has_a_width() {
    // Of six groups each has one hit and one miss.
    let hits: Vec<bool> = (0..12).map(|i| i % 2 == 0).collect();
    let groups: Vec<usize> = (0..12).map(|i| i / 2).collect();
    let share = share_of(&hits, Some(&groups)).unwrap();
    assert_eq!((share.method, share.design_effect), (Method::Wilson, Some(1.0)));
    assert!(share.low < 0.25 && share.high > 0.75, "{share:?}");

    let values: Vec<f64> = (0..12).map(|i| f64::from(i % 2)).collect();
    let mean = mean_of(&values, Some(&groups)).unwrap();
    assert_eq!((mean.method, mean.design_effect), (Method::Bca, Some(0.0)));
    assert!(mean.low < 0.3 && mean.high > 0.7, "{mean:?}");
    // A mean of one group has nothing to go by.
    assert_eq!(mean_of(&values, Some(&[3; 12])), None);

    // Separated, in as many groups as one likes.
    let (p, n): (Vec<f64>, Vec<f64>) = (0..12).map(|i| (f64::from(i) + 20.0, f64::from(i))).unzip();
    let area = auroc_of(&p, &n, Some([&groups, &groups])).unwrap();
    // Six groups of two of each kind.
    let six = auroc_estimate(&p[..6], &n[..6]).unwrap();
    assert_eq!((area.value, area.low, area.high), (1.0, six.low, 1.0));
    assert_eq!((area.method, area.design_effect), (Method::Newcombe, Some(2.0)));
    assert!(six.low < 0.75, "{six:?}");
}

/// 0.1 has no short binary fraction: the sum over n is not each of them.
#[test]
fn equal_values_have_a_mean_without_a_width() {
    for n in [1, 3, 9, 10, 11] {
        let mean = mean(&vec![0.1; n]).unwrap();
        assert_eq!((mean.value, mean.low, mean.high), (0.1, 0.1, 0.1), "{n}");
    }
}

#[test]
fn means_and_their_intervals_have_no_order() {
    let values: Vec<f64> = (0..50).map(|i| f64::from(i * 29 % 50) / 7.0).collect();
    let mut sorted = values.clone();
    sorted.sort_by(f64::total_cmp);
    assert_eq!(mean(&values), mean(&sorted));
}

#[test]
fn pairs_are_of_one_stratum() {
    let (a, b) = ([0.5, 0.5, 0.2], [0.5, 0.21, 0.5]);
    assert_eq!(matched_within(&a, &b, &[1, 2, 1], &[2, 2, 1], 0.05), [(0, 2), (1, 0)]);
    assert_eq!(matched_within(&a, &b, &[4; 3], &[4; 3], 0.05), matched(&a, &b, 0.05));
    // Without a stratum, or without values, there is no pair.
    assert_eq!(matched_within(&a, &b, &[4], &[4; 3], 0.05), [(0, 0)]);
    assert_eq!(matched_within(&a, &[], &[4; 3], &[4; 3], 0.05), []);
}

#[test]
fn trends_by_hand() {
    let hit = |hits: [u8; 3]| hits.map(|hit| (hit < 2).then_some(hit == 1)).to_vec();
    // Rates 0, ½ and 1 at sizes e⁰, e¹ and e².
    let sizes = [1.0, 1f64.exp(), 2f64.exp()];
    let found = trend(&sizes, &[hit([0, 0, 1]), hit([0, 1, 1])], None).unwrap();
    assert!((found.slope - 0.5).abs() < 1e-12 && found.runs == 3);
    // It takes the one hit at one end and the one miss at the other: 2 of 9 pairs of places.
    assert!((found.p - 2.0 / 9.0).abs() < 0.04, "{found:?}");
    // As one group, both change places at once.
    let grouped = trend(&sizes, &[hit([0, 0, 1]), hit([0, 1, 1])], Some(&[7, 7])).unwrap();
    assert!((grouped.p - 1.0 / 3.0).abs() < 0.04, "{grouped:?}");
    // A 2 is outside of the population: rates 0, 1 and 1.
    let part = trend(&sizes, &[hit([0, 2, 1]), hit([0, 1, 2])], None).unwrap();
    assert!((part.slope - 0.5).abs() < 1e-12);
    // Nothing varies, so nothing speaks for a trend.
    let flat = trend(&sizes, &vec![hit([1, 1, 1]); 9], None).unwrap();
    assert_eq!((flat.slope, flat.p), (0.0, 1.0));
    // A run without a rate leaves two; so do two of one size. A size of 0 has no logarithm.
    assert_eq!(trend(&sizes, &[hit([0, 1, 2])], None), None);
    assert_eq!(trend(&[1.0, 2.0, 2.0], &[hit([0, 1, 1])], None), None);
    assert_eq!(trend(&[0.0, 1.0, 2.0], &[hit([0, 1, 1])], None), None);
    assert_eq!(trend(&[1.0, 2.0, f64::NAN], &[hit([0, 1, 1])], None), None);
    assert_eq!(trend(&sizes, &[hit([0, 1, 1]), vec![None]], None), None);
    assert_eq!(trend(&[], &[], None), None);
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
    let grouped = share_of(&[true, false, true], Some(&[1, 1, 2])).unwrap();
    assert_eq!((there_and_back(&share), there_and_back(&grouped)), (share, grouped));
    let pairs = wilcoxon(&[0.5, 0.25, -0.125]).unwrap();
    assert_eq!(there_and_back(&pairs), pairs);
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
    assert_eq!((mean(&with), wilcoxon(&with)), (None, None));
    assert_eq!(mean_of(&with, Some(&[1, 1, 2, 2])), None);
    assert_eq!(auroc_of(&with, &without, Some([&[1, 1, 2, 2], &[1, 2, 3]])), None);
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
    assert_eq!(mean_of(&b, Some(&[1, 1, 2])), None);
    assert_eq!(mean_of(&[f64::MAX, f64::MIN, f64::MAX, f64::MIN], Some(&[1, 2, 1, 2])), None);
    assert_eq!(wilcoxon(&b), wilcoxon(&[-2.0, 1.0, 2.0]));
    let grouped = |a: &[f64], b: &[f64]| auroc_of(a, b, Some([&[1, 1], &[1, 2, 2]]));
    assert_eq!(grouped(&a, &b), grouped(&[2.0, 1.0], &[0.0, 1.0, 2.0]));
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

/// Three times the logarithm of 3 is a sum whose third is not that logarithm: rounding is no spread.
#[test]
fn equal_values_in_groups_have_no_design_effect() {
    let values = [3f64.ln(); 9];
    let groups = [0, 0, 0, 1, 1, 2, 2, 2, 2];
    let mean = mean_of(&values, Some(&groups)).unwrap();
    assert_eq!((mean.low, mean.high, mean.design_effect), (mean.value, mean.value, None));
    // Groups of one mean whose members differ.
    let mean = mean_of(&[0.1, 0.5, 0.5, 0.1], Some(&[0, 0, 1, 1])).unwrap();
    assert_eq!(mean.design_effect, Some(0.0));
}
