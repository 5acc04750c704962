//! Whether a rate rises with size.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::bootstrap::Draws;
use super::groups::Groups;

/// The number of permutations of a [`trend`].
pub const PERMUTATIONS: usize = 1999;

/// The outcome of [`trend`].
///
/// ```
/// use commitment_probe::stats::{Trend, trend};
///
/// let rising = vec![vec![Some(false), Some(false), Some(true)]; 20];
/// let found: Trend = trend(&[1.0, 2.0, 4.0], &rising, None).unwrap();
/// assert_eq!((found.runs, found.permutations), (3, 1999));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// By how much the rate rises where the size is e times as large.
    pub slope: f64,
    /// The probability of a slope at least as many standard errors from 0, up or down, if for each
    /// question it does not matter which run is which: over 0, and up to 1.
    pub p: f64,
    /// How many runs have a rate.
    pub runs: usize,
    /// How many permutations `p` was counted in.
    pub permutations: usize,
}

/// Whether a rate rises with the size of the model, over three sizes or more.
///
/// `sizes[r]` is the size of run `r`, such as its number of parameters, and `blocks[q][r]` whether
/// question `q` is a hit there; `None` if it is not in the population, such as a right answer where
/// the rate is one of wrong ones. The slope is that of least squares of the runs' rates on the
/// logarithms of the sizes, where all runs weigh the same; a run in which no question is in the
/// population is left out.
///
/// `p` is that of a permutation test: for each question, or jointly for all questions of a group,
/// the runs change places, [`PERMUTATIONS`] times, by a generator with a fixed seed. So questions
/// may differ as they like, and those of a group depend on each other. It is
/// `(1 + #{|t*| ≥ |t|}) / (1 + permutations)`, where t is the slope over its standard error, by the
/// groups. (The slope itself would be steep too often where the population is smaller in some runs
/// than in others: a small run's rate varies more, and permutations spread that over all runs.)
///
/// `None` with fewer than three distinct sizes that have a rate, if a size is not above 0 and
/// finite, if a block has not one place for each size, or if there are not as many `groups` as
/// blocks. O([`PERMUTATIONS`] G R + Q R), for G groups, Q questions and R runs.
///
/// ```
/// use commitment_probe::stats::trend;
///
/// // Of 40 questions 4 fail with the small model, 12 with the next, and 24 with the large one.
/// let sizes = [0.8e9, 8e9, 70e9];
/// let failed: Vec<_> = (0..40).map(|q| [4, 12, 24].map(|n| Some(q < n)).to_vec()).collect();
/// let rising = trend(&sizes, &failed, None).unwrap();
/// assert!(rising.slope > 0.1 && rising.p == 1.0 / 2000.0);
/// assert_eq!(trend(&sizes[..2], &[vec![Some(true); 2]], None), None);
/// ```
pub fn trend(
    sizes: &[f64],
    blocks: &[Vec<Option<bool>>],
    groups: Option<&[usize]>,
) -> Option<Trend> {
    let placed = blocks.iter().all(|block| block.len() == sizes.len());
    if !placed || sizes.iter().any(|size| !(*size > 0.0 && size.is_finite())) {
        return None;
    }
    let groups = match groups {
        Some(labels) if labels.len() != blocks.len() => return None,
        Some(labels) => Groups::new(labels.iter().copied()),
        None => Groups::new(0..blocks.len()),
    };
    let rated = |run: &usize| blocks.iter().any(|block| block[*run].is_some());
    let runs: Vec<usize> = (0..sizes.len()).filter(rated).collect();
    let logarithms: Vec<f64> = runs.iter().map(|&run| sizes[run].ln()).collect();
    let mut distinct: Vec<f64> = runs.iter().map(|&run| sizes[run]).collect();
    distinct.sort_unstable_by(f64::total_cmp);
    distinct.dedup();
    if distinct.len() < 3 {
        return None;
    }
    // Group by group, and in each run by run.
    let mut counts = vec![Count::default(); runs.len() * groups.count];
    for (block, &group) in blocks.iter().zip(&groups.of) {
        for (count, &run) in counts[group * runs.len()..].iter_mut().zip(&runs) {
            count.add(Count::of(block[run]));
        }
    }
    let found = Steepness::of(&logarithms, &counts)?;
    let as_steep = (0..PERMUTATIONS as u64).into_par_iter().filter(|&permutation| {
        let permuted = permuted(&counts, runs.len(), &mut Draws::new(permutation));
        Steepness::of(&logarithms, &permuted)
            .is_none_or(|steepness| steepness.is_as_steep_as(&found))
    });
    let p = (1 + as_steep.count()) as f64 / (1 + PERMUTATIONS) as f64;
    Some(Trend { slope: found.slope, p, runs: runs.len(), permutations: PERMUTATIONS })
}

/// Hits, and how many are in the population.
#[derive(Clone, Copy, Default)]
struct Count {
    hits: f64,
    of: f64,
}

impl Count {
    fn of(hit: Option<bool>) -> Self {
        Self {
            hits: if hit == Some(true) { 1.0 } else { 0.0 },
            of: if hit.is_some() { 1.0 } else { 0.0 },
        }
    }

    fn add(&mut self, other: Self) {
        self.hits += other.hits;
        self.of += other.of;
    }
}

/// The counts after the runs of each group have changed places.
fn permuted(counts: &[Count], runs: usize, draws: &mut Draws) -> Vec<Count> {
    let mut permuted = counts.to_vec();
    for group in permuted.chunks_exact_mut(runs) {
        for last in (1..runs).rev() {
            group.swap(last, draws.place(last + 1));
        }
    }
    permuted
}

/// How steep a trend is.
struct Steepness {
    slope: f64,
    /// The slope without its sign, in standard errors; infinite if there is a slope without one.
    errors: f64,
}

impl Steepness {
    /// Of least squares of the rates on `x`, over the runs that have one; `None` if their `x` does
    /// not vary.
    fn of(x: &[f64], counts: &[Count]) -> Option<Self> {
        /// Relative to the weights, what rounding leaves of nothing.
        const NOTHING: f64 = 1e-12;
        let mut totals = vec![Count::default(); x.len()];
        for group in counts.chunks_exact(x.len()) {
            totals.iter_mut().zip(group).for_each(|(total, count)| total.add(*count));
        }
        let rated = || x.iter().zip(&totals).filter(|(_, total)| total.of > 0.0);
        let mean = rated().map(|(x, _)| x).sum::<f64>() / rated().count() as f64;
        let squares: f64 = rated().map(|(x, _)| (x - mean).powi(2)).sum();
        // For each run, its weight in the slope over its population, and its rate.
        let weigh = |(x, total): (&f64, &Count)| {
            if total.of == 0.0 {
                return (0.0, 0.0);
            }
            ((x - mean) / squares / total.of, total.hits / total.of)
        };
        let weights: Vec<(f64, f64)> = x.iter().zip(&totals).map(weigh).collect();
        let slope: f64 = weights.iter().zip(&totals).map(|((w, rate), t)| w * rate * t.of).sum();
        // What the questions of a group add to the slope beyond what their runs' rates would.
        let residual = |group: &[Count]| -> f64 {
            let runs = weights.iter().zip(group);
            runs.map(|((w, rate), count)| w * (count.hits - rate * count.of)).sum()
        };
        let error =
            counts.chunks_exact(x.len()).map(|group| residual(group).powi(2)).sum::<f64>().sqrt();
        let unit = 1.0 / squares.sqrt();
        let errors = if slope.abs() <= NOTHING * unit {
            0.0
        } else if error <= NOTHING * unit {
            f64::INFINITY
        } else {
            slope.abs() / error
        };
        slope.is_finite().then_some(Self { slope, errors })
    }

    /// Whether it is at least as steep as another, up to rounding.
    fn is_as_steep_as(&self, other: &Self) -> bool {
        const LEAST: f64 = 1.0 - 1e-9;
        if self.errors.is_infinite() && other.errors.is_infinite() {
            return self.slope.abs() >= LEAST * other.slope.abs();
        }
        self.errors >= LEAST * other.errors
    }
}
