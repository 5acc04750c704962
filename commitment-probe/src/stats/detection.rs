//! How well a score tells two kinds apart.

use rand::{Rng, rngs::StdRng};

use super::estimate::{Estimate, bootstrap};
use super::levels::{Levels, twice_u};

/// The area under the ROC curve: the probability that a positive has a higher score than a
/// negative, `(#{p > q} + ½ #{p = q}) / n m` over all pairs (Hanley and McNeil, 1982).
///
/// From 0 to 1; ½ is what a coin would do. It is `U / n m` of
/// [`mann_whitney`](super::mann_whitney), and depends on the order of the scores alone, so they may
/// be infinite. `None` if there are no positives, or no negatives, or if a score is a NaN. O((n +
/// m) log(n + m)).
///
/// ```
/// use commitment_probe::stats::auroc;
///
/// // Of six pairs, the positive is higher in four and equal in one.
/// assert_eq!(auroc(&[0.9, 0.5], &[0.5, 0.7, 0.1]), Some(0.75));
/// assert_eq!(auroc(&[0.9], &[]), None);
/// ```
pub fn auroc(positives: &[f64], negatives: &[f64]) -> Option<f64> {
    let levels = Levels::new(positives, negatives)?;
    Some(area(&levels.counts, positives.len(), negatives.len()))
}

/// [`auroc`] with its interval. `n` counts positives and negatives.
///
/// Positives are drawn from the positives and negatives from the negatives, so that every resample
/// has as many of each as there are. Otherwise resamples are as for [`mean`](super::mean). Scores
/// that are separated without an overlap have an interval of no width.
///
/// `None` where [`auroc`] is. O((n + m) log(n + m)) once and O(n + m) for each resample, on rayon's
/// threads.
///
/// ```
/// use commitment_probe::stats::{auroc, auroc_estimate};
///
/// let (failures, correct) = ([0.3, 0.8, 0.6, 0.7], [0.1, 0.4, 0.2, 0.65, 0.3]);
/// let estimate = auroc_estimate(&failures, &correct).unwrap();
/// assert_eq!((Some(estimate.value), estimate.n), (auroc(&failures, &correct), 9));
/// assert!(estimate.low < estimate.value && estimate.value < estimate.high);
/// ```
pub fn auroc_estimate(positives: &[f64], negatives: &[f64]) -> Option<Estimate> {
    let Levels { counts, places } = Levels::new(positives, negatives)?;
    let (n, m) = (positives.len(), negatives.len());
    Some(bootstrap(area(&counts, n, m), n + m, |rng: &mut StdRng| {
        let mut drawn = vec![[0; 2]; counts.len()];
        for (sample, places) in places.iter().enumerate() {
            for _ in places {
                drawn[places[rng.random_range(0..places.len())]][sample] += 1;
            }
        }
        area(&drawn, n, m)
    }))
}

fn area(counts: &[[u64; 2]], n: usize, m: usize) -> f64 {
    twice_u(counts) as f64 / (2.0 * n as f64 * m as f64)
}
