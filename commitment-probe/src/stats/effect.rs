//! By how much two samples differ, and whether by chance.

use std::f64::consts::SQRT_2;

use serde::{Deserialize, Serialize};

use super::levels::{Levels, twice_u};

/// Where one sample has no more values than this, and none are equal, the distribution of U is
/// exact.
const EXACT: usize = 8;

/// Cohen's d: the difference of the means in units of the pooled standard deviation (Cohen, 1988),
/// `(ā - b̄) / √(((n - 1) s²ₐ + (m - 1) s²_b) / (n + m - 2))`, with the variances `s²` over `n - 1`
/// and `m - 1`.
///
/// Anything that is finite; positive where `a` is larger. By Cohen's own words 0.2 is small, 0.5
/// medium and 0.8 large. `None` if either sample has fewer than two values, if neither varies, or
/// if the values, or their squares, are not finite. O(n + m).
///
/// ```
/// use commitment_probe::stats::cohens_d;
///
/// let (correct, failures) = ([0.7, 0.8, 0.9], [0.2, 0.3, 0.4]);
/// assert!((cohens_d(&correct, &failures).unwrap() - 5.0).abs() < 1e-12);
/// assert_eq!(cohens_d(&[0.1, 0.1], &[0.2, 0.2, 0.2]), None);
/// ```
pub fn cohens_d(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() < 2 || b.len() < 2 {
        return None;
    }
    let ((mean_a, squares_a), (mean_b, squares_b)) = (moments(a), moments(b));
    let deviation = ((squares_a + squares_b) / (a.len() + b.len() - 2) as f64).sqrt();
    // In two steps, so that a large origin takes no digits off a small difference.
    let d = ((a[0] - b[0]) + (mean_a - mean_b)) / deviation;
    (deviation > 0.0 && deviation.is_finite() && d.is_finite()).then_some(d)
}

/// The mean, and the sum of the squared deviations from it, both from the first value on: so values
/// that are all equal have no deviation by rounding.
fn moments(values: &[f64]) -> (f64, f64) {
    let origin = values[0];
    let mean = values.iter().map(|x| x - origin).sum::<f64>() / values.len() as f64;
    let squares = values.iter().map(|x| (x - origin - mean).powi(2)).sum();
    (mean, squares)
}

/// The outcome of [`mann_whitney`].
///
/// ```
/// use commitment_probe::stats::{RankTest, mann_whitney};
///
/// let test: RankTest = mann_whitney(&[3.0, 4.0], &[1.0, 2.0]).unwrap();
/// assert_eq!(test.u, 4.0);
/// assert!((test.p - 1.0 / 3.0).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankTest {
    /// The number of pairs in which the first sample's value is the larger, and half of those in
    /// which both are equal: from 0 to `n m`.
    pub u: f64,
    /// The probability of a U at least as far from `n m / 2`, if both samples are of one kind: from
    /// 0 to 1.
    pub p: f64,
}

/// The two-sided rank test of Mann and Whitney (1947), which asks whether one of two samples tends
/// to be the larger.
///
/// Where one sample has at most 8 values and no two values are equal, `p` is exact, of all
/// arrangements of the ranks. Otherwise it is that of the normal distribution,
/// `p = erfc((|U - n m / 2| - ½) / (σ √2))` and at most 1, with
/// `σ² = n m / 12 · (N + 1 - Σ (t³ - t) / (N (N - 1)))`, where `N = n + m` and `t` values are equal
/// in each tie. That is SciPy's `mannwhitneyu(a, b, method="auto")`, which also decides what `p` is
/// if all values are equal: 1, as nothing speaks for a difference.
///
/// Infinite values have their ranks. `None` if either sample is empty, or if a value is a NaN.
/// O((n + m) log(n + m)), and for an exact `p` O(n m) more.
///
/// ```
/// use commitment_probe::stats::mann_whitney;
///
/// let test = mann_whitney(&[0.9, 0.8, 0.7, 0.6], &[0.5, 0.4, 0.3, 0.2]).unwrap();
/// assert_eq!(test.u, 16.0);
/// assert!((test.p - 2.0 / 70.0).abs() < 1e-12);   // two of (8 over 4) arrangements are so extreme
/// assert_eq!(mann_whitney(&[1.0; 5], &[1.0; 7]).unwrap().p, 1.0);
/// ```
pub fn mann_whitney(a: &[f64], b: &[f64]) -> Option<RankTest> {
    let Levels { counts, .. } = Levels::new(a, b)?;
    let (n, m) = (a.len().min(b.len()), a.len().max(b.len()));
    let twice = twice_u(&counts);
    let u = twice as f64 / 2.0;
    let tied = counts.iter().any(|[a, b]| a + b > 1);
    if n <= EXACT && !tied {
        // Without ties, twice U is even; and U is distributed evenly about the middle.
        let least = (twice / 2).min((n * m) as u64 - twice / 2);
        return Some(RankTest { u, p: exact(n, m, least as usize) });
    }
    if counts.len() == 1 {
        // All values are equal, and their ranks have no deviation.
        return Some(RankTest { u, p: 1.0 });
    }
    let ties: f64 = counts.iter().map(|[a, b]| (a + b) as f64).map(|t| t.powi(3) - t).sum();
    let (pairs, all) = (n as f64 * m as f64, (n + m) as f64);
    let deviation = (pairs / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)))).sqrt();
    let z = ((u - pairs / 2.0).abs() - 0.5) / deviation;
    Some(RankTest { u, p: libm::erfc(z / SQRT_2).min(1.0) })
}

/// Twice the probability of a U of at most `least`, which is no more than `n m / 2`; at most 1.
///
/// The numbers of arrangements with U = 0, 1, … are the coefficients of the Gaussian binomial
/// `Π (1 - q^(m + i)) / (1 - q^i)`, for `i` from 1 to `n`, which is a polynomial at every step.
fn exact(n: usize, m: usize, least: usize) -> f64 {
    let mut ways = vec![0.0; least + 1];
    ways[0] = 1.0;
    let mut all = 1.0;
    for i in 1..=n {
        for u in (m + i..=least).rev() {
            ways[u] -= ways[u - m - i];
        }
        for u in i..=least {
            ways[u] += ways[u - i];
        }
        all *= (m + i) as f64 / i as f64;
    }
    (2.0 * ways.iter().sum::<f64>() / all).min(1.0)
}
