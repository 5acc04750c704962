//! The percentile bootstrap.

use rand::{Rng, SeedableRng, rngs::StdRng};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// The number of resamples of an interval.
pub const RESAMPLES: usize = 2000;

/// The seed of the generators of all resamples, together with the resample's number.
pub const SEED: u64 = 260_522_007;

/// The quantiles between which 95 % lie.
const LOW: f64 = 0.025;
const HIGH: f64 = 0.975;

/// A number with its 95 % bootstrap interval.
///
/// The interval is that of the percentile bootstrap (Efron, 1979; Efron and Tibshirani, 1993,
/// chapter 13): the 2.5th and the 97.5th percentile of the number, computed again on samples that
/// are drawn from the sample with replacement. It is too narrow for a sample of few values, and has
/// no width for a sample of one.
///
/// ```
/// use commitment_probe::stats::{Estimate, share};
///
/// let failures: Estimate = share(47, 100).unwrap();
/// assert_eq!(failures, Estimate { value: 0.47, low: 0.37, high: 0.57, n: 100 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The number, of the whole sample.
    pub value: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
    /// The size of the sample.
    pub n: usize,
}

/// The mean `Σ x / n`, with its interval of [`RESAMPLES`] resamples.
///
/// Anything that is finite; `None` if there are no values, or if one of them or their sum is not
/// finite. O([`RESAMPLES`] n), on rayon's threads.
///
/// Resample `r` draws by a generator that is seeded with ([`SEED`], `r`), so that the interval is
/// the same on any number of threads. It does depend on the order of the values, as much as it does
/// on the seed.
///
/// ```
/// use commitment_probe::stats::mean;
///
/// let mass = mean(&[0.2, 0.5, 0.4, 0.7, 0.3, 0.6]).unwrap();
/// assert_eq!((mass.value * 100.0).round(), 45.0);
/// assert!(0.3 < mass.low && mass.low < mass.value && mass.value < mass.high && mass.high < 0.6);
/// assert_eq!(mean(&[]), None);
/// ```
pub fn mean(values: &[f64]) -> Option<Estimate> {
    let n = values.len();
    let value = values.iter().sum::<f64>() / n as f64;
    if !value.is_finite() {
        return None;
    }
    let estimate = bootstrap(value, n, |rng| {
        let sum: f64 = (0..n).map(|_| values[rng.random_range(0..n)]).sum();
        sum / n as f64
    });
    // The sum of a resample may overflow where that of the sample does not.
    (estimate.low.is_finite() && estimate.high.is_finite()).then_some(estimate)
}

/// The proportion `hits / of`, with its interval.
///
/// From 0 to 1; `None` if `of` is 0, or less than `hits`. At 0 and at 1 the interval has no width.
///
/// The interval is the one that [`mean`] of zeros and ones approaches as the resamples become more:
/// the number of hits in a resample is binomial, so its percentiles are known, and nothing is
/// drawn. O(√of); constant from a billion on, where they are those of the normal distribution to
/// within two hits.
///
/// ```
/// use commitment_probe::stats::share;
///
/// let recovered = share(3, 40).unwrap();
/// assert_eq!((recovered.value, recovered.low, recovered.high), (0.075, 0.0, 0.175));
/// assert_eq!(share(0, 0), None);
/// ```
pub fn share(hits: usize, of: usize) -> Option<Estimate> {
    if of == 0 || hits > of {
        return None;
    }
    let [low, high] = binomial_quantiles(hits, of).map(|hits| hits as f64 / of as f64);
    Some(Estimate { value: hits as f64 / of as f64, low, high, n: of })
}

/// A number with the interval of its resamples, each by a generator of its own.
pub(super) fn bootstrap(
    value: f64,
    n: usize,
    resample: impl Fn(&mut StdRng) -> f64 + Sync,
) -> Estimate {
    let mut replicates: Vec<f64> =
        (0..RESAMPLES).into_par_iter().map(|r| resample(&mut generator(r))).collect();
    replicates.sort_unstable_by(f64::total_cmp);
    Estimate { value, low: percentile(&replicates, LOW), high: percentile(&replicates, HIGH), n }
}

/// The generator of resample `r`.
fn generator(r: usize) -> StdRng {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&SEED.to_le_bytes());
    seed[8..16].copy_from_slice(&(r as u64).to_le_bytes());
    StdRng::from_seed(seed)
}

/// The quantile `q` of sorted values, on the line between its neighbours: the seventh definition
/// of Hyndman and Fan (1996), which NumPy and R take.
fn percentile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let below = sorted[place as usize];
    below + (sorted[place.ceil() as usize] - below) * place.fract()
}

/// The standard deviation of a binomial variable, of `n` trials at `hits / n` each.
fn deviation(hits: usize, n: usize) -> f64 {
    (hits as f64 * ((n - hits) as f64 / n as f64)).sqrt()
}

/// A deviation from which on weights are too many to be listed: within nine deviations on either
/// side, a million.
const WIDE: f64 = 50_000.0;

/// The quantiles of [`binomial_quantiles`] where the deviation is large, by the normal distribution
/// of the same mean and deviation. They miss by the skewness, which is half a hit at most, and by
/// rounding.
fn normal_quantiles(hits: usize, n: usize) -> [usize; 2] {
    /// The quantile [`HIGH`] of the standard normal distribution.
    const Z: f64 = 1.959_963_984_540_054;
    let half = (Z * deviation(hits, n)).round() as usize;
    [hits.saturating_sub(half), hits.saturating_add(half).min(n)]
}

/// The least numbers of hits that a binomial variable, of `n` trials at `hits / n` each, does not
/// exceed with a probability of at least [`LOW`] and [`HIGH`].
fn binomial_quantiles(hits: usize, n: usize) -> [usize; 2] {
    /// Of the mode's probability; what is less likely adds nothing that an `f64` could hold.
    const NEGLIGIBLE: f64 = 1e-18;
    if hits == 0 || hits == n {
        return [hits; 2];
    }
    if deviation(hits, n) > WIDE {
        return normal_quantiles(hits, n);
    }
    // By recurrence from the mode, which is `hits`, whose own weight is 1: factorials would
    // overflow, and (1 - p)^n would vanish.
    let odds = hits as f64 / (n - hits) as f64;
    let down = |&(k, weight): &(usize, f64)| {
        (k > 0).then(|| (k - 1, weight * k as f64 / ((n - k + 1) as f64 * odds)))
    };
    let up = |&(k, weight): &(usize, f64)| {
        (k < n).then(|| (k + 1, weight * (n - k) as f64 * odds / (k + 1) as f64))
    };
    let likely = |&(_, weight): &(usize, f64)| weight > NEGLIGIBLE;
    let mode = Some((hits, 1.0));
    let mut weights: Vec<_> = std::iter::successors(mode, down).take_while(likely).collect();
    weights.reverse();
    weights.extend(std::iter::successors(mode, up).take_while(likely).skip(1));
    let total: f64 = weights.iter().map(|&(_, weight)| weight).sum();
    [LOW, HIGH].map(|q| {
        let mut cumulated = 0.0;
        let reached = weights.iter().find(|&&(_, weight)| {
            cumulated += weight;
            cumulated >= q * total
        });
        reached.map_or(n, |&(k, _)| k)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_both_work_the_normal_quantiles_are_the_exact_ones() {
        for n in [1_000_000, 123_456_789, 9_000_000_000] {
            for part in [0.004, 0.1, 0.5, 0.93, 0.999] {
                let hits = (n as f64 * part) as usize;
                assert!(deviation(hits, n) <= WIDE, "{hits} of {n} is not exact");
                let (exact, normal) = (binomial_quantiles(hits, n), normal_quantiles(hits, n));
                for (exact, normal) in exact.into_iter().zip(normal) {
                    assert!(exact.abs_diff(normal) <= 2, "{hits} of {n}: {exact} {normal}");
                }
            }
        }
    }

    #[test]
    fn a_share_of_any_size_takes_no_time() {
        let sizes = [1, 2, 1_000_003, 9_999_999_999, 20_000_000_000, usize::MAX / 2, usize::MAX];
        for of in sizes {
            let hits = [0, 1, 7, of / 1000, of / 2, of - of / 9, of - 1, of];
            for hits in hits.into_iter().filter(|hits| *hits <= of) {
                let Some(share) = share(hits, of) else { panic!("{hits} of {of}") };
                let Estimate { value, low, high, n } = share;
                assert!(n == of && 0.0 <= low && low <= value && value <= high && high <= 1.0);
                assert!(high - low <= 1.0, "{share:?}");
            }
        }
        let half = share(usize::MAX / 2, usize::MAX).unwrap();
        assert!((half.high - half.low) < 1e-9 && half.value == 0.5, "{half:?}");
    }
}
