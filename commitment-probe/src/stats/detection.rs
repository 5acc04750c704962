//! How well a score tells two kinds apart.

use super::bootstrap::{bca, expanded, replicates};
use super::estimate::{Estimate, Method};
use super::groups::{Groups, design_effect};
use super::levels::{Levels, twice_u};
use super::members::{FEW, Member, Members, jackknife, resampled};
use super::normal::Z;

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

/// [`auroc`] with Newcombe's interval (2006, method 5). `n` counts positives and negatives.
///
/// The ends are the areas θ that are 1.96 standard errors from the one that was found, where the
/// error is that of θ itself: `V(θ) = θ (1 - θ) (1 + N (1 - θ) / (2 - θ) + N θ / (1 + θ)) / n m`,
/// with `N = (n + m) / 2 - 1`. That is the variance of Hanley and McNeil (1982) for scores of
/// exponential distributions, between both kinds; it needs no resamples, stays within 0 and 1, and
/// has a width where scores are separated without an overlap. There one end is 0 or 1.
///
/// `None` where [`auroc`] is. O((n + m) log(n + m)).
///
/// ```
/// use commitment_probe::stats::{Method, auroc, auroc_estimate};
///
/// let (failures, correct) = ([0.3, 0.8, 0.6, 0.7], [0.1, 0.4, 0.2, 0.65, 0.3]);
/// let estimate = auroc_estimate(&failures, &correct).unwrap();
/// assert_eq!((Some(estimate.value), estimate.n), (auroc(&failures, &correct), 9));
/// assert!(estimate.low < estimate.value && estimate.value < estimate.high);
/// assert_eq!(estimate.method, Method::Newcombe);
/// ```
pub fn auroc_estimate(positives: &[f64], negatives: &[f64]) -> Option<Estimate> {
    let value = auroc(positives, negatives)?;
    let (n, m) = (positives.len(), negatives.len());
    let [low, high] = newcombe(value, [n as f64, m as f64]);
    Some(Estimate { value, low, high, n: n + m, method: Method::Newcombe, design_effect: None })
}

/// [`auroc_estimate`] of scores that belong to groups, such as the questions about one country.
///
/// `groups` has the group of each positive, and the group of each negative; one group may have both.
/// Without groups, and where each has one member, it is [`auroc_estimate`]. Otherwise whole groups
/// are drawn, as many as there are, until both kinds are among them, and the interval is that of
/// [`mean_of`](super::mean_of): BCa, with ends for as few groups as there are of the rarer kind. The
/// design effect is that of the placements of DeLong et al. (1988), summed by groups as by Obuchowski
/// (1997).
///
/// If fewer than five groups have positives, or fewer than five have negatives, or at an area of 0
/// or 1, the bootstrap has too little to draw. Then it is Newcombe's interval for `n² / Σ k²`
/// positives, of groups of `k`, and as many negatives by the same rule, so that a group counts as
/// one score; and the design effect is what all scores are over those.
///
/// `None` where [`auroc`] is, or if there are not as many groups as scores.
/// O([`RESAMPLES`](super::RESAMPLES) (n + m) + G (n + m)), for G groups.
///
/// ```
/// use commitment_probe::stats::{Method, auroc_estimate, auroc_of};
///
/// let failures: Vec<f64> = (0..40).map(|i| f64::from(i / 4 * 7 % 10) + 3.5).collect();
/// let correct: Vec<f64> = (0..40).map(|i| f64::from(i / 4 * 3 % 10)).collect();
/// let (by_fours, others): (Vec<_>, Vec<_>) = (0..40).map(|i| (i / 4, 10 + i / 4)).unzip();
/// let grouped = auroc_of(&failures, &correct, Some([&by_fours, &others])).unwrap();
/// let alone = auroc_estimate(&failures, &correct).unwrap();
/// assert_eq!((grouped.value, grouped.method), (alone.value, Method::Clustered));
/// assert!(grouped.high - grouped.low > 1.5 * (alone.high - alone.low));
/// ```
pub fn auroc_of(
    positives: &[f64],
    negatives: &[f64],
    groups: Option<[&[usize]; 2]>,
) -> Option<Estimate> {
    let ungrouped = auroc_estimate(positives, negatives)?;
    let Some(labels) = groups else { return Some(ungrouped) };
    if [labels[0].len(), labels[1].len()] != [positives.len(), negatives.len()] {
        return None;
    }
    let groups = Groups::new(labels.into_iter().flatten().copied());
    if groups.are_single() {
        return Some(ungrouped);
    }
    let levels = Levels::new(positives, negatives)?;
    let members = members(&levels, &groups);
    let fewest = members.fewest();
    if fewest >= FEW
        && let Some(effect) = design_effect(&groups, influences(&levels, ungrouped.value))
        && effect > 0.0
    {
        let area = |times: &[u64]| members.area(times);
        let replicates = replicates(|draws| resampled(groups.count, draws, area));
        let jackknife = jackknife(groups.count, area);
        let [low, high] =
            bca(ungrouped.value, &replicates, &jackknife, expanded(fewest as f64), 1e-14);
        let (method, design_effect) = (Method::Clustered, Some(effect));
        return Some(Estimate { low, high, method, design_effect, ..ungrouped });
    }
    let least = members.least();
    let [low, high] = newcombe(ungrouped.value, least);
    let design_effect = Some(ungrouped.n as f64 / (least[0] + least[1]));
    Some(Estimate { low, high, design_effect, ..ungrouped })
}

/// By how much each positive, and then each negative, moves the area.
fn influences(levels: &Levels, area: f64) -> impl Iterator<Item = f64> {
    let sizes = [0, 1].map(|kind| levels.places[kind].len() as f64);
    let mut below = [0, 0];
    let moved = levels.counts.iter().map(|[n, m]| {
        let positive = (2 * below[1] + m) as f64 / (2.0 * sizes[1]) - area;
        let negative = 1.0 - (2 * below[0] + n) as f64 / (2.0 * sizes[0]) - area;
        below = [below[0] + n, below[1] + m];
        [positive / sizes[0], negative / sizes[1]]
    });
    let moved: Vec<[f64; 2]> = moved.collect();
    let all = levels.places.iter().enumerate();
    all.flat_map(|(kind, places)| places.iter().map(move |&place| (kind, place)))
        .map(move |(kind, place)| moved[place][kind])
}

/// All in one fold.
fn members(levels: &Levels, groups: &Groups) -> Members {
    let kinds = levels.places.iter().enumerate();
    let places = kinds.flat_map(|(kind, places)| places.iter().map(move |&level| (kind, level)));
    let member = |((kind, level), &group)| Member { fold: 0, level, kind, group };
    Members::new(places.zip(&groups.of).map(member), groups.count)
}

/// The ends of Newcombe's interval about an area, of so many positives and negatives.
pub(super) fn newcombe(value: f64, [n, m]: [f64; 2]) -> [f64; 2] {
    let half = (n + m) / 2.0 - 1.0;
    let within = |area: f64| {
        let factor = 1.0 + half * ((1.0 - area) / (2.0 - area) + area / (1.0 + area));
        (area - value).powi(2) <= Z * Z * area * (1.0 - area) * factor / (n * m)
    };
    [0.0, 1.0].map(|end| {
        // There is no error at 0 and 1, so that they are within only if they are the value.
        if value == end {
            return end;
        }
        let (mut inside, mut outside) = (value, end);
        loop {
            let middle = f64::midpoint(inside, outside);
            if middle == inside || middle == outside {
                return inside;
            }
            *(if within(middle) { &mut inside } else { &mut outside }) = middle;
        }
    })
}

fn area(counts: &[[u64; 2]], n: usize, m: usize) -> f64 {
    twice_u(counts) as f64 / (2.0 * n as f64 * m as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of `NAP` in the documentation of the R package SingleCaseES, which has the ends
    /// to four digits.
    #[test]
    fn newcombe_is_the_published_example() {
        let baseline = [20.0, 20.0, 26.0, 25.0, 22.0, 23.0];
        let treated = [28.0, 25.0, 24.0, 27.0, 30.0, 30.0, 29.0];
        let found = auroc_estimate(&treated, &baseline).unwrap();
        assert!((found.value - 0.916_666_7).abs() < 1e-7);
        assert!((found.low - 0.597_340_6).abs() < 1e-4, "{found:?}");
        assert!((found.high - 0.986_017_6).abs() < 1e-4, "{found:?}");
    }
}
