//! How well a score tells two kinds apart, where scores are comparable within folds alone.

use std::collections::BTreeMap;

use super::bootstrap::{bca, expanded, replicates};
use super::detection::newcombe;
use super::estimate::{Estimate, Method};
use super::groups::Groups;
use super::members::{FEW, Member, Members, jackknife, resampled};
use super::normal::Z;

/// What is scored: of each, its kind, its fold and its group.
///
/// Scores of one fold come from one model, learnt from the other folds, and those of another fold from
/// another model, whose scores may have another origin or scale.
#[derive(Debug, Clone, Copy)]
pub struct Folded<'a> {
    /// Whether it is a positive.
    pub positives: &'a [bool],
    /// Its fold; only pairs within one fold are compared.
    pub folds: &'a [usize],
    /// Its group: those of one group are not independent. A group is in one fold.
    pub groups: &'a [usize],
    /// How many others its model has learnt from; if not given, all that are in other folds.
    pub learnt: Option<&'a [usize]>,
}

/// The area under the ROC curve over all pairs of a positive and a negative that are in one fold:
/// `Σ_k U_k / Σ_k n_k m_k`, with `U` of [`mann_whitney`](super::mann_whitney).
///
/// From 0 to 1; in one fold it is [`auroc`](super::auroc). `None` if no fold has both kinds, if a
/// score is a NaN, or if there is not a score, a kind, a fold and a group for each. O(n log n).
///
/// ```
/// use commitment_probe::stats::{Folded, auroc_within};
///
/// let of = Folded {
///     positives: &[true, false, true, false],
///     folds: &[0, 0, 1, 1],
///     groups: &[0, 1, 2, 3],
///     learnt: None,
/// };
/// // In the second fold all scores are higher, which says nothing.
/// assert_eq!(auroc_within(&[0.2, 0.1, 0.9, 0.8], of), Some(1.0));
/// assert_eq!(auroc_within(&[0.2, 0.1, 0.8, 0.9], of), Some(0.5));
/// ```
pub fn auroc_within(scores: &[f64], of: Folded) -> Option<f64> {
    let members = members(scores, of)?;
    members.area(&vec![1; members.groups()])
}

/// [`auroc_within`] with its interval: BCa, of whole groups that are drawn with all their scores, as
/// [`auroc_of`](super::auroc_of) does; if every group has one member, at the usual levels. `n` counts
/// all scores.
///
/// If fewer than five groups have positives, or fewer than five have negatives, or at an area of 0
/// or 1, it is Newcombe's interval of as many scores as the groups are worth.
///
/// A bootstrap takes the models as they are. Those learnt from other answers would be others, and the
/// five have most of their answers in common. So both ends are as many times farther from the value
/// as Nadeau and Bengio (2003) find: `√(1 + Σ_k n_k / m_k)`, for `n` that are scored in fold k by a
/// model that has learnt from `m` others, 1.5 for five equal folds; within 0 and 1.
/// In simulations that is about right where nothing is to be learnt, and too wide where few features
/// are. Of one fold it is 1: then nothing was learnt from the others.
///
/// O([`RESAMPLES`](super::RESAMPLES) n + G n), for G groups.
///
/// ```
/// use commitment_probe::stats::{Folded, Method, auroc_within_of};
///
/// let scores: Vec<f64> = (0..60).map(|i| f64::from(i * 7 % 60 + i % 2 * 20)).collect();
/// let positives: Vec<bool> = (0..60).map(|i| i % 2 == 1).collect();
/// let (folds, groups): (Vec<usize>, Vec<usize>) = (0..60).map(|i| (i / 30, i)).unzip();
/// let of = Folded { positives: &positives, folds: &folds, groups: &groups, learnt: None };
/// let area = auroc_within_of(&scores, of).unwrap();
/// assert!(area.method == Method::Bca && area.low < area.value && area.value < area.high);
/// ```
pub fn auroc_within_of(scores: &[f64], of: Folded) -> Option<Estimate> {
    let members = members(scores, of)?;
    let area = |times: &[u64]| members.area(times);
    let value = area(&vec![1; members.groups()])?;
    if members.fewest() < FEW || value == 0.0 || value == 1.0 {
        let [low, high] = widened(of, value, newcombe(value, members.least()), 0.0);
        let method = Method::Newcombe;
        return Some(Estimate { value, low, high, n: scores.len(), method, design_effect: None });
    }
    Some(interval(value, of, &members, area, 0.0))
}

/// By how much the second scores tell the kinds apart better than the first: the difference of both
/// [areas](auroc_within), with its interval. Both are resampled together, so that what is hard for
/// both is not counted twice.
///
/// From -1 to 1. `None` where [`auroc_within`] is of either. As [`auroc_within_of`] otherwise, but
/// there is no other interval for few groups.
///
/// ```
/// use commitment_probe::stats::{Folded, auroc_gain};
///
/// let positives: Vec<bool> = (0..60).map(|i| i % 2 == 1).collect();
/// let noise: Vec<f64> = (0..60).map(|i| f64::from(i * 7 % 60)).collect();
/// let better: Vec<f64> = (0..60).map(|i| noise[i] + (i % 2 * 20) as f64).collect();
/// let groups: Vec<usize> = (0..60).collect();
/// let of = Folded { positives: &positives, folds: &[0; 60], groups: &groups, learnt: None };
/// assert!(auroc_gain([&noise, &better], of).unwrap().low > 0.0);
/// ```
pub fn auroc_gain(scores: [&[f64]; 2], of: Folded) -> Option<Estimate> {
    let [first, second] = [members(scores[0], of)?, members(scores[1], of)?];
    let gain = |times: &[u64]| Some(second.area(times)? - first.area(times)?);
    let value = gain(&vec![1; first.groups()])?;
    Some(interval(value, of, &first, gain, -1.0))
}

/// The interval of a statistic of how often each group counts, which is from `least` to 1.
fn interval(
    value: f64,
    of: Folded,
    members: &Members,
    statistic: impl Fn(&[u64]) -> Option<f64> + Sync,
    least: f64,
) -> Estimate {
    let (groups, n) = (members.groups(), members.len());
    let replicates = replicates(|draws| resampled(groups, draws, &statistic));
    let jackknife = jackknife(groups, &statistic);
    let (method, z) = match groups == n {
        true => (Method::Bca, Z),
        false => (Method::Clustered, expanded(members.fewest() as f64)),
    };
    let ends = bca(value, &replicates, &jackknife, z, 1e-14);
    let [low, high] = widened(of, value, ends, least);
    Estimate { value, low, high, n, method, design_effect: None }
}

/// The ends as far from the value as those learn that have other answers to learn from.
fn widened(of: Folded, value: f64, ends: [f64; 2], least: f64) -> [f64; 2] {
    let factor = factor(of.folds, of.learnt);
    ends.map(|end| (value + factor * (end - value)).clamp(least, 1.0))
}

/// `√(1 + Σ_k n_k / m_k)`. Where nothing is to be learnt from, it is that of one fold, 1.
fn factor(folds: &[usize], learnt: Option<&[usize]>) -> f64 {
    let mut sizes: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for (i, fold) in folds.iter().enumerate() {
        let (size, of) = sizes.entry(*fold).or_default();
        (*size, *of) = (*size + 1, learnt.map_or(0, |learnt| learnt[i]));
    }
    let ratio = |&(size, of): &(usize, usize)| {
        let of = if learnt.is_some() { of } else { folds.len() - size };
        if of > 0 { size as f64 / of as f64 } else { 0.0 }
    };
    (1.0 + sizes.values().map(ratio).sum::<f64>()).sqrt()
}

/// `None` if a score is a NaN, or if there are not as many of everything.
fn members(scores: &[f64], of: Folded) -> Option<Members> {
    let Folded { positives, folds, groups, learnt } = of;
    let n = scores.len();
    let sizes = [positives.len(), folds.len(), groups.len(), learnt.map_or(n, <[usize]>::len)];
    let fits = sizes.iter().all(|&len| len == n);
    if !fits || scores.iter().any(|score| score.is_nan()) {
        return None;
    }
    let groups = Groups::new(groups.iter().copied());
    let mut order: Vec<usize> = (0..n).collect();
    // Adding 0 makes -0 the 0 that it equals.
    let by = |a: &usize, b: &usize| {
        let scores = [a, b].map(|i| scores[*i] + 0.0);
        folds[*a].cmp(&folds[*b]).then(scores[0].total_cmp(&scores[1]))
    };
    order.sort_by(by);
    let mut level = 0;
    let mut members: Vec<Member> = Vec::with_capacity(n);
    for (place, &i) in order.iter().enumerate() {
        if place > 0 && by(&order[place - 1], &i).is_lt() {
            level += 1;
        }
        let kind = usize::from(!positives[i]);
        members.push(Member { fold: folds[i], level, kind, group: groups.of[i] });
    }
    Some(Members::new(members, groups.count))
}
