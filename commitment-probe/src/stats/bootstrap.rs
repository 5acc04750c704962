//! The bootstrap, bias-corrected and accelerated.

use rayon::prelude::*;

use super::normal::{cumulative, quantile, student};

/// The number of resamples of an interval.
pub const RESAMPLES: usize = 2000;

/// The seed of the generators of all resamples, together with the resample's number.
pub const SEED: u64 = 260_522_007;

/// The statistic of each of [`RESAMPLES`] resamples, in ascending order. Each has a generator of its
/// own, so that they are the same on any number of threads.
pub(super) fn replicates(resample: impl Fn(&mut Draws) -> f64 + Sync) -> Vec<f64> {
    let mut replicates: Vec<f64> =
        (0..RESAMPLES as u64).into_par_iter().map(|r| resample(&mut Draws::new(r))).collect();
    replicates.sort_unstable_by(f64::total_cmp);
    replicates
}

/// The ends of the BCa interval (Efron, 1987; Efron and Tibshirani, 1993, chapter 14) between the
/// normal quantiles `±z`, of a statistic with this `value` and these sorted `replicates`.
///
/// `jackknife` has the statistic without each of the independent observations, in any unit and from
/// any origin. A replicate within `rounding` of the value counts as equal to it.
pub(super) fn bca(
    value: f64,
    replicates: &[f64],
    jackknife: &[f64],
    z: f64,
    rounding: f64,
) -> [f64; 2] {
    let all = replicates.len() as f64;
    let below = replicates.partition_point(|x| *x < value - rounding) as f64;
    let up_to = replicates.partition_point(|x| *x <= value + rounding) as f64;
    // At least half a resample is on either side: the quantile of 0 is not finite.
    let bias = quantile(((below + up_to) / 2.0).clamp(0.5, all - 0.5) / all);
    let acceleration = acceleration(jackknife);
    [-z, z].map(|z| {
        let shifted = bias + z;
        let shrunk = 1.0 - acceleration * shifted;
        // Beyond its pole the formula would turn back.
        let place = if shrunk > 0.0 { bias + shifted / shrunk } else { z.signum() * f64::INFINITY };
        percentile(replicates, cumulative(place))
    })
}

/// The normal quantile at which the ends of an interval are that is drawn of so many groups of one
/// size, or as good as (the expanded percentiles of Hesterberg, 2015): the bootstrap takes the
/// variance over `G`, not over `G - 1`, and knows it no better than Student does.
pub(super) fn expanded(groups: f64) -> f64 {
    let groups = groups.floor().max(2.0);
    student(groups as usize - 1) * (groups / (groups - 1.0)).sqrt()
}

/// A sixth of the skewness of the jackknife's influences, `Σ u³ / 6 (Σ u²)^(3/2)`; 0 if all are
/// equal.
fn acceleration(jackknife: &[f64]) -> f64 {
    let mean = jackknife.iter().sum::<f64>() / jackknife.len() as f64;
    let largest = jackknife.iter().map(|x| (mean - x).abs()).fold(0.0, f64::max);
    // In units of the largest, so that no power overflows.
    let powers = jackknife.iter().map(|x| (mean - x) / largest);
    let (squares, cubes) =
        powers.fold((0.0, 0.0), |(squares, cubes), u| (squares + u * u, cubes + u * u * u));
    let acceleration = cubes / (6.0 * squares.powf(1.5));
    if acceleration.is_finite() { acceleration } else { 0.0 }
}

/// The quantile `q` of sorted values, on the line between its neighbours: the seventh definition
/// of Hyndman and Fan (1996), which NumPy and R take.
fn percentile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let below = sorted[place as usize];
    below + (sorted[place.ceil() as usize] - below) * place.fract()
}

/// A number all of whose bits depend on all of `bits`: the finaliser of SplitMix64.
pub(crate) fn mixed(bits: u64) -> u64 {
    let mixed = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A generator of places: SplitMix64 (Steele, Lea and Flood, 2014), whose numbers no other version
/// of a library changes.
pub(crate) struct Draws(u64);

impl Draws {
    /// The generator of resample `r`.
    pub fn new(r: u64) -> Self {
        // Starts that are near each other would give the same numbers, one place apart.
        Self(Self(SEED).next() ^ Self(r).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// One of the places from 0 to `n - 1`, each as likely up to `n` in 2⁶⁴.
    pub fn place(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// Puts `values` into a random order (Fisher and Yates, from the last place down).
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        (1..values.len()).rev().for_each(|i| values.swap(i, self.place(i + 1)));
    }
}
