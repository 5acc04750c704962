//! Whether pairs differ by chance.

use std::f64::consts::SQRT_2;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::bootstrap::Draws;
use super::groups::Groups;
use super::trend::PERMUTATIONS;

/// With so many differences, none of them 0 and no two of one size, the distribution is exact.
const EXACT: usize = 50;

/// With so many differences it is exact whatever they are.
const ALWAYS_EXACT: usize = 13;

/// The outcome of [`wilcoxon`].
///
/// ```
/// use commitment_probe::stats::{SignedRankTest, wilcoxon};
///
/// let test: SignedRankTest = wilcoxon(&[0.3, 0.1, -0.2, 0.0]).unwrap();
/// assert_eq!((test.w, test.n, test.p), (4.0, 3, 0.75));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignedRankTest {
    /// The sum of the ranks of the positive differences, by size: from 0 to `n (n + 1) / 2`.
    pub w: f64,
    /// The probability of a W at least as far from `n (n + 1) / 4`, if each difference is as likely
    /// to be negative: from 0 to 1.
    pub p: f64,
    /// How many differences are not 0. The others are not counted.
    pub n: usize,
}

/// The two-sided signed-rank test of Wilcoxon (1945), which asks whether the differences within
/// pairs tend to one side.
///
/// Differences of 0 are left out, and those of one size have the mean of their ranks. `p` is exact,
/// of all signs, for at most 13 differences, and for at most 50 of which none is 0 and no two are of
/// one size. Otherwise it is that of the normal distribution, without a correction for continuity,
/// `p = erfc(|W - n (n + 1) / 4| / (σ √2))`, with `σ² = (n (n + 1) (2 n + 1) - Σ (t³ - t) / 2) / 24`,
/// where `t` differences are of one size in each tie. That is SciPy's `wilcoxon(d,
/// zero_method="wilcox", correction=False, method="auto")`; but if all are 0, and nothing speaks for
/// a difference, `p` is 1.
///
/// Infinite differences have their ranks. `None` if there are no differences, or if one is a NaN.
/// O(n log n).
///
/// ```
/// use commitment_probe::stats::wilcoxon;
///
/// let test = wilcoxon(&[0.4, 0.1, 0.3, 0.2, 0.5, 0.6]).unwrap();
/// assert_eq!((test.w, test.p), (21.0, 2.0 / 64.0));     // two of 2⁶ signs are so extreme
/// assert_eq!(wilcoxon(&[0.0; 9]).unwrap().p, 1.0);
/// ```
pub fn wilcoxon(differences: &[f64]) -> Option<SignedRankTest> {
    let Ranked { nonzero, twice_ranks, twice_w, ties } = Ranked::new(differences)?;
    let n = nonzero.len();
    let w = twice_w as f64 / 2.0;
    let plain = n == differences.len() && ties == 0.0;
    let p = if n == 0 {
        1.0
    } else if differences.len() <= if plain { EXACT } else { ALWAYS_EXACT } {
        exact(&twice_ranks, twice_w)
    } else {
        let n = n as f64;
        let deviation = ((n * (n + 1.0) * (2.0 * n + 1.0) - ties / 2.0) / 24.0).sqrt();
        libm::erfc((w - n * (n + 1.0) / 4.0).abs() / (deviation * SQRT_2))
    };
    Some(SignedRankTest { w, p, n })
}

/// [`wilcoxon`] of differences that belong to groups, such as the questions about one country.
///
/// `groups[i]` is the group of `differences[i]`. Without groups, and where each has one member, it is
/// [`wilcoxon`]. Otherwise the differences of a group change their signs together, since those that
/// are alike would be so with the other sign, too: `p` is the share of [`PERMUTATIONS`] changes of
/// all groups' signs, by a generator with a fixed seed, and of what was found, in which W is at least
/// as far from its middle (Rosner, Glynn and Lee, 2006, have the normal approximation).
///
/// `None` where [`wilcoxon`] is, or if there are not as many groups. O([`PERMUTATIONS`] G + n log n),
/// for G groups.
///
/// ```
/// use commitment_probe::stats::{wilcoxon, wilcoxon_of};
///
/// // Twelve differences are in favour, but they are those of three countries.
/// let differences: Vec<f64> = (1..=12).map(f64::from).collect();
/// let countries = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2];
/// assert!(wilcoxon(&differences).unwrap().p < 0.001);
/// assert!(wilcoxon_of(&differences, Some(&countries)).unwrap().p > 0.2);
/// assert_eq!(wilcoxon_of(&differences, None), wilcoxon(&differences));
/// ```
pub fn wilcoxon_of(differences: &[f64], groups: Option<&[usize]>) -> Option<SignedRankTest> {
    let alone = wilcoxon(differences)?;
    let Some(groups) = Groups::of_values(differences.len(), groups)? else { return Some(alone) };
    let Ranked { nonzero, twice_ranks, .. } = Ranked::new(differences)?;
    let mut sums = vec![0.0; groups.count];
    for (&(place, difference), &twice_rank) in nonzero.iter().zip(&twice_ranks) {
        sums[groups.of[place]] += difference.signum() * twice_rank as f64;
    }
    Some(SignedRankTest { p: of_signs(&sums), ..alone })
}

/// The share of changes of all signs, and of what was found, in which the sum is at least as far from
/// 0. The sums are of whole numbers, so that they are exact.
fn of_signs(sums: &[f64]) -> f64 {
    let found = sums.iter().sum::<f64>().abs();
    let as_far = (0..PERMUTATIONS as u64).into_par_iter().filter(|&permutation| {
        let mut draws = Draws::new(permutation);
        let signed = sums.iter().map(|sum| if draws.place(2) == 0 { *sum } else { -sum });
        signed.sum::<f64>().abs() >= found
    });
    (1 + as_far.count()) as f64 / (1 + PERMUTATIONS) as f64
}

/// The differences that are not 0, and their ranks by size.
struct Ranked {
    /// With their places, in ascending order of their sizes.
    nonzero: Vec<(usize, f64)>,
    /// Twice the ranks, which are whole where those of ties are halves.
    twice_ranks: Vec<usize>,
    /// Their sum over the positive differences.
    twice_w: usize,
    /// `Σ (t³ - t)` over ties of `t`.
    ties: f64,
}

impl Ranked {
    /// `None` if there are no differences, or if one is a NaN.
    fn new(differences: &[f64]) -> Option<Self> {
        if differences.is_empty() || differences.iter().any(|d| d.is_nan()) {
            return None;
        }
        let places = differences.iter().copied().enumerate();
        let mut nonzero: Vec<(usize, f64)> = places.filter(|(_, d)| *d != 0.0).collect();
        nonzero.sort_unstable_by(|x, y| x.1.abs().total_cmp(&y.1.abs()));
        let (mut twice_ranks, mut twice_w, mut ties) = (Vec::new(), 0, 0.0);
        for tied in nonzero.chunk_by(|x, y| x.1.abs() == y.1.abs()) {
            let (before, t) = (twice_ranks.len(), tied.len());
            let twice_rank = 2 * before + t + 1;
            twice_w += twice_rank * tied.iter().filter(|(_, d)| *d > 0.0).count();
            twice_ranks.extend(std::iter::repeat_n(twice_rank, t));
            ties += (t as f64).powi(3) - t as f64;
        }
        Some(Self { nonzero, twice_ranks, twice_w, ties })
    }
}

/// Twice the probability of a sum of signed ranks as far out as this, if all signs are as likely; at
/// most 1.
fn exact(twice_ranks: &[usize], twice_w: usize) -> f64 {
    let all: usize = twice_ranks.iter().sum();
    // The distribution is even about its middle.
    let least = twice_w.min(all - twice_w);
    // In how many ways ranks add up to each sum; at most 2⁵⁰, which an f64 holds.
    let mut ways = vec![0.0; least + 1];
    ways[0] = 1.0;
    for &rank in twice_ranks {
        for sum in (rank..=least).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    let signs = 2f64.powi(twice_ranks.len() as i32);
    (2.0 * ways.iter().sum::<f64>() / signs).min(1.0)
}

/// The exact test of McNemar (1947), two-sided: the probability that of all the pairs of which one
/// alone is a hit, it is the first so much more or less often than the second, if both are as
/// likely.
///
/// From 0 to 1; 1 if no pair differs. It is twice the tail of the binomial distribution with a
/// probability of ½, and at most 1: the true level of such a test is under the one that is asked
/// for, the more so the fewer pairs differ. From 10⁹ pairs on it is that of the normal distribution.
/// O(√n).
///
/// ```
/// use commitment_probe::stats::mcnemar;
///
/// // Seven questions are right with the one decoder alone, and one with the other.
/// assert!((mcnemar(7, 1) - 2.0 * 9.0 / 256.0).abs() < 1e-12);
/// assert_eq!(mcnemar(3, 3), 1.0);
/// ```
pub fn mcnemar(only_first: usize, only_second: usize) -> f64 {
    const MANY: f64 = 1e9;
    let (least, most) = (only_first.min(only_second), only_first.max(only_second));
    let all = least as f64 + most as f64;
    if least == most {
        return 1.0;
    }
    if all > MANY {
        return libm::erfc(((most - least) as f64 - 1.0) / (2.0 * all).sqrt()).min(1.0);
    }
    // In units of the likeliest number's weight, since 2⁻ⁿ would vanish. Below the middle each
    // weight is k / (n - k + 1) of the one above it.
    let n = least + most;
    let (mut weight, mut below, mut tail) = (1.0, 0.0, 0.0);
    for k in (0..=n / 2).rev() {
        if 2 * k < n {
            below += weight;
        }
        if k <= least {
            tail += weight;
        }
        weight *= k as f64 / (n - k + 1) as f64;
        if weight == 0.0 {
            break;
        }
    }
    let middle = if n % 2 == 0 { 1.0 } else { 0.0 };
    (2.0 * tail / (2.0 * below + middle)).min(1.0)
}

/// [`mcnemar`] of pairs that belong to groups, such as the questions about one country.
///
/// `pairs[i]` is whether the first and the second are a hit, and `groups[i]` its group. Without
/// groups, and where each has one member, it is [`mcnemar`]. Otherwise the two change places in all
/// pairs of a group together, since what makes one of them a hit for one question of a group may do
/// so for the others: `p` is the share of [`PERMUTATIONS`] such changes, by a generator with a fixed
/// seed, and of what was found, in which the numbers of hits differ at least as much.
///
/// `None` if there are no pairs, or not as many groups. O([`PERMUTATIONS`] G + n), for G groups.
///
/// ```
/// use commitment_probe::stats::{mcnemar, mcnemar_of};
///
/// // Of eight questions about two countries, the second model alone is wrong.
/// let (pairs, countries) = ([(false, true); 8], [0, 0, 0, 0, 1, 1, 1, 1]);
/// assert!(mcnemar(0, 8) < 0.01);
/// assert!(mcnemar_of(&pairs, Some(&countries)).unwrap() > 0.4);
/// assert_eq!(mcnemar_of(&pairs, None), Some(mcnemar(0, 8)));
/// ```
pub fn mcnemar_of(pairs: &[(bool, bool)], groups: Option<&[usize]>) -> Option<f64> {
    if pairs.is_empty() {
        return None;
    }
    let Some(groups) = Groups::of_values(pairs.len(), groups)? else {
        let count = |pair| pairs.iter().filter(|other| **other == pair).count();
        return Some(mcnemar(count((true, false)), count((false, true))));
    };
    let mut sums = vec![0.0; groups.count];
    for (&(first, second), &group) in pairs.iter().zip(&groups.of) {
        sums[group] += f64::from(i8::from(second) - i8::from(first));
    }
    Some(of_signs(&sums))
}
