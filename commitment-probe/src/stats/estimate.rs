//! Means and shares with their intervals.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::bootstrap::{bca, expanded, replicates};
use super::groups::{Groups, design_effect, least_size};
use super::members::FEW;
use super::normal::{Z, student};

/// A number with its 95 % interval.
///
/// ```
/// use commitment_probe::stats::{Estimate, Method, share};
///
/// let failures: Estimate = share(47, 100).unwrap();
/// assert_eq!((failures.value, failures.n, failures.method), (0.47, 100, Method::Wilson));
/// assert!((failures.low - 0.375).abs() < 1e-3 && (failures.high - 0.567).abs() < 1e-3);
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
    /// How the interval was made.
    pub method: Method,
    /// The variance under the groups over the variance if all values were independent: above 1
    /// where the values of a group are alike. `None` without groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub design_effect: Option<f64>,
}

/// How an interval was made.
///
/// ```
/// use commitment_probe::stats::Method;
///
/// assert_eq!(Method::Clustered.to_string(), "clustered BCa");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The score interval of a share (Wilson, 1927); where there is a design effect, with the sample
    /// size divided by it.
    Wilson,
    /// The bias-corrected and accelerated bootstrap (Efron, 1987).
    Bca,
    /// The score-like interval of an AUROC (Newcombe, 2006, method 5); where there is a design
    /// effect, with both sample sizes reduced.
    Newcombe,
    /// The same bootstrap with whole groups drawn, and with its levels widened for the number of
    /// groups.
    Clustered,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Wilson => "Wilson",
            Self::Bca => "BCa",
            Self::Newcombe => "Newcombe",
            Self::Clustered => "clustered BCa",
        })
    }
}

/// The proportion `hits / of`, with Wilson's score interval (1927), without a correction for
/// continuity.
///
/// From 0 to 1; `None` if `of` is 0, or less than `hits`. At a share of 0 the lower end is 0, and at
/// a share of 1 the upper end is 1; the other end is never there. O(1).
///
/// ```
/// use commitment_probe::stats::share;
///
/// let recovered = share(0, 40).unwrap();
/// assert_eq!((recovered.value, recovered.low), (0.0, 0.0));
/// assert!((recovered.high - 0.0876).abs() < 1e-4);
/// assert_eq!(share(0, 0), None);
/// ```
pub fn share(hits: usize, of: usize) -> Option<Estimate> {
    if of == 0 || hits > of {
        return None;
    }
    let value = hits as f64 / of as f64;
    let [low, high] = wilson(value, of as f64, Z);
    Some(Estimate { value, low, high, n: of, method: Method::Wilson, design_effect: None })
}

/// [`share`] of hits that belong to groups, such as the questions about one country.
///
/// `groups[i]` is the group of `hits[i]`. Without groups, and where each has one member, it is
/// [`share`]. Otherwise the interval is that of [`mean_of`] zeros and ones, if at least five groups
/// have hits, at least five have misses, and their shares differ. Where the bootstrap has so little
/// to draw, it is Wilson's, of `n / design_effect` trials, and with Student's quantile of one degree
/// of freedom less than there are groups. There the design effect is at least 1; and if all are hits
/// or all are misses, or if there is one group alone, nothing is known of it, so that each group
/// counts as one trial: `n_eff = n² / Σ m²`, for groups of `m`.
///
/// `None` if there are no hits and misses, or not as many groups.
/// O([`RESAMPLES`](super::RESAMPLES) G + n), for G groups.
///
/// ```
/// use commitment_probe::stats::{Method, share, share_of};
///
/// let hits: Vec<bool> = (0..60).map(|i| i % 20 < 10).collect();
/// let by_fives: Vec<usize> = (0..60).map(|i| i / 5).collect();
/// let (alone, grouped) = (share(30, 60).unwrap(), share_of(&hits, Some(&by_fives)).unwrap());
/// assert_eq!((grouped.value, grouped.n, grouped.method), (0.5, 60, Method::Clustered));
/// assert!(grouped.high - grouped.low > 1.5 * (alone.high - alone.low));
/// assert!(grouped.design_effect.unwrap() > 5.0);
/// ```
pub fn share_of(hits: &[bool], groups: Option<&[usize]>) -> Option<Estimate> {
    let ungrouped = share(hits.iter().filter(|hit| **hit).count(), hits.len())?;
    let Some(groups) = Groups::of_values(hits.len(), groups)? else { return Some(ungrouped) };
    let values: Vec<f64> = hits.iter().map(|&hit| if hit { 1.0 } else { 0.0 }).collect();
    let sums = groups.sums(&values);
    let with_hits = sums.iter().filter(|(hits, _)| *hits > 0.0).count();
    let with_misses = sums.iter().filter(|(hits, size)| hits < size).count();
    let fewest = with_hits.min(with_misses);
    if fewest >= FEW
        && let Some(estimate) = clustered(ungrouped.value, &values, &groups, &sums)
    {
        return Some(estimate);
    }
    let n = hits.len() as f64;
    let known = design_effect(&groups, values.iter().map(|x| x - ungrouped.value));
    let effect = match known {
        Some(effect) if fewest > 0 => effect.max(1.0),
        _ => n / least_size(sums.iter().map(|&(_, size)| size)),
    };
    let z = if groups.count > 1 { student(groups.count - 1) } else { Z };
    let [low, high] = wilson(ungrouped.value, n / effect, z);
    Some(Estimate { low, high, design_effect: Some(effect), ..ungrouped })
}

/// The mean `Σ x / n`, with its BCa interval of [`RESAMPLES`](super::RESAMPLES) resamples.
///
/// Anything that is finite; `None` if there are no values, or if one of them or their sum is not
/// finite. The interval has no width if all values are equal, as one value is.
/// O([`RESAMPLES`](super::RESAMPLES) n), on rayon's threads.
///
/// Resample `r` draws by a generator that is seeded with ([`SEED`](super::SEED), `r`), so that the
/// interval is the same on any number of threads. The values are drawn from in ascending order, so
/// that it is also the same in any order of the values.
///
/// ```
/// use commitment_probe::stats::{Method, mean};
///
/// let mass = mean(&[0.2, 0.5, 0.4, 0.7, 0.3, 0.6]).unwrap();
/// assert_eq!(((mass.value * 100.0).round(), mass.method), (45.0, Method::Bca));
/// assert!(0.3 < mass.low && mass.low < mass.value && mass.value < mass.high && mass.high < 0.6);
/// assert_eq!(mean(&[]), None);
/// ```
pub fn mean(values: &[f64]) -> Option<Estimate> {
    let n = values.len();
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let value = sorted.iter().sum::<f64>() / n as f64;
    if !value.is_finite() {
        return None;
    }
    let estimate = |value, [low, high]: [f64; 2]| Estimate {
        value,
        low,
        high,
        n,
        method: Method::Bca,
        design_effect: None,
    };
    let (least, most) = (sorted[0], sorted[n - 1]);
    if least == most {
        // Their sum over n may differ by rounding.
        return Some(estimate(least, [least; 2]));
    }
    let replicates = replicates(|draws| {
        let sum: f64 = (0..n).map(|_| sorted[draws.place(n)]).sum();
        sum / n as f64
    });
    // Without one value, the others' mean is the lower, the larger it is.
    let jackknife: Vec<f64> = sorted.iter().map(|x| -x).collect();
    let ends = bca(value, &replicates, &jackknife, Z, rounding(&sorted));
    // The sum of a resample may overflow where that of the sample does not.
    ends.iter().all(|end| end.is_finite()).then(|| estimate(value, ends))
}

/// [`mean`] of values that belong to groups, such as the questions about one country.
///
/// `groups[i]` is the group of `values[i]`. Without groups, and where each has one member, it is
/// [`mean`]. Otherwise whole groups are drawn, as many as there are, and the mean is the sum of what
/// is drawn over its number, so that groups may be of any sizes; the jackknife of BCa leaves out one
/// group at a time.
///
/// With few groups that interval is too narrow: of 20 it covers the true mean in 91 %. So its ends
/// are not at the quantiles of ±1.96, but of ±√(G / (G - 1)) t, where t is Student's quantile of
/// G - 1 degrees of freedom (the expanded percentiles of Hesterberg, 2015): about 94 % of 20 groups,
/// and the same as ever of many. Uneven groups are as good as fewer, so that for their number G is
/// `n² / Σ m²`, rounded down, for groups of `m`. Of less than ten, an end depends on the few resamples
/// that are the farthest out.
///
/// Groups whose means are all equal show no variance between them, and the interval is that of
/// [`mean`], with its method. `None` where [`mean`] is, if there are not as many groups as values,
/// or if there is one group alone, of several members: what another group would have is unknown.
/// O([`RESAMPLES`](super::RESAMPLES) G + n log n), for G groups.
///
/// ```
/// use commitment_probe::stats::{Method, mean, mean_of};
///
/// let (masses, countries) = ([0.2, 0.3, 0.7, 0.8, 0.5, 0.4, 0.9, 0.8], [0, 0, 1, 1, 2, 2, 3, 3]);
/// let mass = mean_of(&masses, Some(&countries)).unwrap();
/// assert_eq!((mass.method, mass.n), (Method::Clustered, 8));
/// assert!((mass.value - 0.575).abs() < 1e-12 && mass.design_effect.unwrap() > 1.5);
/// assert_eq!(mean_of(&masses, Some(&[0; 8])), None);
/// assert_eq!(mean_of(&masses, Some(&[0, 1, 2, 3, 4, 5, 6, 7])), mean(&masses));
/// ```
pub fn mean_of(values: &[f64], groups: Option<&[usize]>) -> Option<Estimate> {
    let Some(groups) = Groups::of_values(values.len(), groups)? else { return mean(values) };
    let value = values.iter().sum::<f64>() / values.len() as f64;
    if !value.is_finite() || groups.count < 2 {
        return None;
    }
    let sums = groups.sums(values);
    let estimate = clustered(value, values, &groups, &sums);
    let estimate = estimate.or_else(|| {
        // Groups of one mean do not vary; if nothing else does, there is no effect to speak of.
        let varies = values.iter().any(|x| (x - value).abs() > rounding(values));
        Some(Estimate { design_effect: varies.then_some(0.0), ..mean(values)? })
    })?;
    (estimate.low.is_finite() && estimate.high.is_finite()).then_some(estimate)
}

/// The clustered interval of the mean of two groups or more, from the sum and the size of each;
/// `None` if the groups have one mean.
fn clustered(value: f64, values: &[f64], groups: &Groups, sums: &[(f64, f64)]) -> Option<Estimate> {
    let (count, rounding) = (sums.len(), rounding(values));
    if sums.iter().all(|(sum, size)| (sum / size - value).abs() <= rounding) {
        return None;
    }
    let replicates = replicates(|draws| {
        let drawn = (0..count).map(|_| sums[draws.place(count)]);
        let (sum, size) = drawn.fold((0.0, 0.0), |(s, n), (sum, size)| (s + sum, n + size));
        sum / size
    });
    let (all, n): (f64, f64) =
        sums.iter().fold((0.0, 0.0), |(s, n), (sum, size)| (s + sum, n + size));
    let jackknife: Vec<f64> = sums.iter().map(|(sum, size)| (all - sum) / (n - size)).collect();
    let effective = least_size(sums.iter().map(|&(_, size)| size));
    let [low, high] = bca(value, &replicates, &jackknife, expanded(effective), rounding);
    let design_effect = design_effect(groups, values.iter().map(|x| x - value));
    let n = values.len();
    Some(Estimate { value, low, high, n, method: Method::Clustered, design_effect })
}

/// What two sums of the same values, in different orders, over their number may differ by.
fn rounding(values: &[f64]) -> f64 {
    1e-14 * values.iter().map(|x| x.abs()).fold(0.0, f64::max)
}

/// The ends of Wilson's interval, with `n` trials, between the quantiles `±z`:
/// `(p + z²/2n ± z √(p (1 - p) / n + z²/4n²)) / (1 + z²/n)`.
fn wilson(p: f64, n: f64, z: f64) -> [f64; 2] {
    let part = z * z / n;
    let (middle, half) = (p + part / 2.0, (part * (p * (1.0 - p) + part / 4.0)).sqrt());
    let end = |sum: f64| sum / (1.0 + part);
    // At 0 and 1 an end is exact, and no rounding may leave the value outside.
    let low = if p == 0.0 { 0.0 } else { end(middle - half).clamp(0.0, p) };
    let high = if p == 1.0 { 1.0 } else { end(middle + half).clamp(p, 1.0) };
    [low, high]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_any_size_takes_no_time() {
        let sizes = [1, 2, 1_000_003, 9_999_999_999, 20_000_000_000, usize::MAX / 2, usize::MAX];
        for of in sizes {
            let hits = [0, 1, 7, of / 1000, of / 2, of - of / 9, of - 1, of];
            for hits in hits.into_iter().filter(|hits| *hits <= of) {
                let Some(share) = share(hits, of) else { panic!("{hits} of {of}") };
                let Estimate { value, low, high, n, .. } = share;
                assert!(n == of && 0.0 <= low && low <= value && value <= high && high <= 1.0);
                assert!(high - low <= 1.0, "{share:?}");
            }
        }
        let half = share(usize::MAX / 2, usize::MAX).unwrap();
        assert!((half.high - half.low) < 1e-9 && half.value == 0.5, "{half:?}");
    }
}
