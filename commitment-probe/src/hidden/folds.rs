//! Which answers are held out together.
//!
//! No entity, and no answer, may be in what is learnt from and in what is scored: whoever has seen
//! that three questions about Nauru are answered wrongly has learnt of Nauru, not of the state. So
//! questions that are about one entity, or share a form, are held out together. Frequent answers may
//! link nearly all questions ("Europe", "euro"): then entities alone are held out together, and an
//! answer of the rest that shares a form with one of them is left out of what is learnt from.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::sample::Sample;
use crate::scorer::normalise_answer;
use crate::stats::Draws;

/// The number of folds, and of folds within what is left of one.
pub const FOLDS: usize = 5;

/// Questions that are held out together may be at most this share of all.
const LARGEST: f64 = 1.0 / FOLDS as f64;

/// What the generator of the folds is seeded with.
const SHUFFLE: u64 = 0;

/// What questions that are held out together have in common.
///
/// ```
/// use commitment_probe::Grouping;
///
/// assert_eq!(serde_json::to_string(&Grouping::EntityAndAnswer)?, r#""entity_and_answer""#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grouping {
    /// The entity, or a form of the answer, over any number of steps.
    EntityAndAnswer,
    /// The entity alone, as answers would link too many. What shares a form with a question that is
    /// held out is not learnt from.
    Entity,
}

/// Where a question is held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The fold in which it is scored, from 0.
    pub fold: usize,
    /// The fold in which it is scored to choose λ and the block, while another fold is held out.
    pub inner: usize,
    /// The number of the questions that are linked by forms of answers: those of one number are never
    /// on both sides.
    pub answer: usize,
    /// The number of the questions that are held out together.
    pub group: usize,
}

/// The folds of all answers that are right or wrong.
pub(super) struct Folds {
    pub grouping: Grouping,
    /// Of each sample.
    pub places: Vec<Place>,
}

impl Folds {
    /// The folds of `samples`, whose kinds, such as right and wrong, are spread evenly over them as
    /// far as groups allow.
    pub fn new(samples: &[&Sample], kinds: &[usize]) -> Self {
        let answers = linked(samples.len(), |links| links.by_answer(samples));
        let both = linked(samples.len(), |links| {
            links.by_answer(samples);
            links.by_entity(samples);
        });
        let largest = sizes(&both).into_iter().max().unwrap_or(0);
        let fits = largest as f64 <= LARGEST * samples.len() as f64;
        let (grouping, groups) = if fits {
            (Grouping::EntityAndAnswer, both)
        } else {
            (Grouping::Entity, linked(samples.len(), |links| links.by_entity(samples)))
        };
        let all: Vec<usize> = (0..samples.len()).collect();
        let mut draws = Draws::new(SHUFFLE);
        let outer = spread(&all, &groups, kinds, &mut draws);
        let mut inner = vec![0; samples.len()];
        // Anew in each fold: any other four are spread evenly as well.
        let mut before = vec![vec![0; FOLDS]; num(kinds)];
        for fold in 0..FOLDS {
            let members: Vec<usize> = all.iter().copied().filter(|&i| outer[i] == fold).collect();
            let within = spread_after(&mut before, &members, &groups, kinds, &mut draws);
            members.iter().zip(within).for_each(|(&i, fold)| inner[i] = fold);
        }
        let place = |i: usize| Place {
            fold: outer[i],
            inner: inner[i],
            answer: answers[i],
            group: groups[i],
        };
        Self { grouping, places: all.into_iter().map(place).collect() }
    }
}

/// How many numbers there are.
fn num(numbers: &[usize]) -> usize {
    numbers.iter().max().map_or(0, |most| most + 1)
}

fn sizes(groups: &[usize]) -> Vec<usize> {
    let mut sizes = vec![0; num(groups)];
    groups.iter().for_each(|&group| sizes[group] += 1);
    sizes
}

fn spread(members: &[usize], groups: &[usize], kinds: &[usize], draws: &mut Draws) -> Vec<usize> {
    let mut before = vec![vec![0; FOLDS]; num(kinds)];
    spread_after(&mut before, members, groups, kinds, draws)
}

/// The fold of each of `members`: whole groups, the most uneven first, each to the fold where it leaves
/// all kinds most evenly spread (as scikit-learn's `StratifiedGroupKFold` does); equals in an order
/// that is drawn. `counts[kind][fold]` has what is there already, and is added to.
fn spread_after(
    counts: &mut [Vec<usize>],
    members: &[usize],
    groups: &[usize],
    kinds: &[usize],
    draws: &mut Draws,
) -> Vec<usize> {
    let mut of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &i in members {
        of.entry(groups[i]).or_insert_with(|| vec![0; counts.len()])[kinds[i]] += 1;
    }
    let mut totals: Vec<usize> = counts.iter().map(|folds| folds.iter().sum()).collect();
    of.values().flatten().zip((0..counts.len()).cycle()).for_each(|(n, kind)| totals[kind] += n);
    let mut order: Vec<(usize, Vec<usize>)> = of.into_iter().collect();
    draws.shuffle(&mut order);
    order.sort_by_key(|(_, sizes)| std::cmp::Reverse(sizes.iter().copied().max()));
    let mut folds = HashMap::new();
    for (group, sizes) in order {
        // The sum of squares of all shares is least where they are most even; of it, what this group
        // would change. Of equals, the fold with the fewest.
        let cost = |fold: usize| {
            let kinds = sizes.iter().zip(counts.iter()).zip(&totals);
            let change: f64 = kinds
                .filter(|(_, total)| **total > 0)
                .map(|((&n, counts), &total)| {
                    let (n, there, total) = (n as f64, counts[fold] as f64, total as f64);
                    n * (2.0 * there + n) / (total * total)
                })
                .sum();
            let all: usize = counts.iter().map(|folds| folds[fold]).sum();
            (change, all)
        };
        let less = |a: &usize, b: &usize| {
            let (a, b) = (cost(*a), cost(*b));
            a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
        };
        let fold = (0..FOLDS).min_by(less).unwrap_or(0);
        sizes.iter().zip(counts.iter_mut()).for_each(|(n, folds)| folds[fold] += n);
        folds.insert(group, fold);
    }
    members.iter().map(|i| folds[&groups[*i]]).collect()
}

/// The groups of `n` questions that `link` links, numbered from 0 in the order in which they appear.
fn linked(n: usize, link: impl FnOnce(&mut Links)) -> Vec<usize> {
    let mut links = Links((0..n).collect());
    link(&mut links);
    let mut numbers = HashMap::new();
    (0..n)
        .map(|i| {
            let next = numbers.len();
            *numbers.entry(links.first(i)).or_insert(next)
        })
        .collect()
}

/// What is linked: each points at one that it is linked with, the first of all at itself.
struct Links(Vec<usize>);

impl Links {
    fn first(&mut self, mut i: usize) -> usize {
        while self.0[i] != i {
            self.0[i] = self.0[self.0[i]];
            i = self.0[i];
        }
        i
    }

    fn link<K: std::hash::Hash + Eq>(&mut self, seen: &mut HashMap<K, usize>, key: K, i: usize) {
        let first = *seen.entry(key).or_insert(i);
        let (a, b) = (self.first(first), self.first(i));
        self.0[a.max(b)] = a.min(b);
    }

    fn by_entity(&mut self, samples: &[&Sample]) {
        let mut seen = HashMap::new();
        for (i, sample) in samples.iter().enumerate() {
            if let Some(group) = &sample.group {
                self.link(&mut seen, group.as_str(), i);
            }
        }
    }

    fn by_answer(&mut self, samples: &[&Sample]) {
        let mut seen = HashMap::new();
        for (i, sample) in samples.iter().enumerate() {
            for form in &sample.forms {
                self.link(&mut seen, normalise_answer(form), i);
            }
        }
    }
}
