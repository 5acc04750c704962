//! Scores of answers by models that have not seen them: cross-validation within cross-validation.
//!
//! Of five folds, each is held out once. What is left is scaled, and split into five folds again, by
//! which a block and a penalty are chosen: those with the largest area under the ROC curve, over pairs
//! of answers within a fold. With these a model of all that is left scores what was held out, once.
//!
//! Features are scaled to a mean of 0 and a deviation of 1 in what is left, and then divided by the
//! root of their number, so that a penalty means the same whatever that number is. For models within,
//! they stay scaled so: no label goes into it, and nothing that is held out. So each product of two
//! answers' features is computed once for each outer fold, and all models share it.

use rayon::prelude::*;

use super::folds::{FOLDS, Place};
use super::logistic::{Kernel, Low, dot, fit};
use crate::stats::{Folded, auroc_within};

/// The penalties that are tried, the strongest first: of equals, the first is chosen.
const LAMBDAS: [f64; 6] = [1000.0, 100.0, 10.0, 1.0, 0.1, 0.01];

/// A model of fewer of a kind is none. Where no group is large, 40 of 50 are left to learn from; but
/// what shares a form with what is held out may be most of them.
pub(super) const LEARNT: usize = 20;

/// Numbers of each answer, row by row, `[n, width]`.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub rows: Vec<f32>,
    pub width: usize,
}

/// Answers, and where they are held out.
pub(super) struct Answers<'a> {
    pub labels: &'a [bool],
    pub places: &'a [Place],
}

/// What a model is made of: features of which there are many, of one of some blocks, or a few, or
/// both.
#[derive(Clone, Copy)]
pub(super) struct Features<'a> {
    /// The products of the features of each block; may be none.
    pub blocks: &'a [Vec<f64>],
    /// Few features, scaled; their penalty, or none if it is that of the block.
    pub few: Option<(&'a Scaled, Option<f64>)>,
}

/// What was chosen for the answers of one fold, and their scores.
#[derive(Debug, Clone)]
pub(super) struct Scored {
    /// The place of the best among the blocks; 0 without any.
    pub block: usize,
    /// For each block, the best penalty, and the scores of the fold's answers with it, in their order.
    pub by_block: Vec<(f64, Vec<f64>)>,
}

/// The answers of one fold, and those that may be learnt from.
pub(super) struct Split {
    pub train: Vec<usize>,
    pub test: Vec<usize>,
}

/// Scaled features, row by row, `[n, width]`.
#[derive(Debug, Clone)]
pub(super) struct Scaled {
    pub rows: Vec<f64>,
    pub width: usize,
}

impl Scored {
    /// The penalty and the scores of the best block.
    pub fn best(&self) -> (f64, &[f64]) {
        let (lambda, scores) = &self.by_block[self.block];
        (*lambda, scores)
    }
}

impl Split {
    /// What is held out is of `of`; no answer that is learnt from shares a form with it.
    fn new(of: &[usize], places: &[Place], is_out: impl Fn(&Place) -> bool) -> Self {
        let (test, rest): (Vec<usize>, Vec<usize>) = of.iter().partition(|&&i| is_out(&places[i]));
        let out: std::collections::HashSet<usize> =
            test.iter().map(|&i| places[i].answer).collect();
        let train = rest.into_iter().filter(|&i| !out.contains(&places[i].answer)).collect();
        Self { train, test }
    }

    /// Whether at least so many of each kind may be learnt from.
    fn has_of_each(&self, least: usize, labels: &[bool]) -> bool {
        let has = |kind| self.train.iter().filter(|&&i| labels[i] == kind).count() >= least;
        has(true) && has(false)
    }
}

impl Answers<'_> {
    /// The split in which a fold is held out; `None` if what is left to learn from has fewer than
    /// [`LEARNT`] of a kind, or what is held out has none.
    pub fn split(&self, fold: usize) -> Option<Split> {
        let all: Vec<usize> = (0..self.labels.len()).collect();
        let split = Split::new(&all, self.places, |place| place.fold == fold);
        let out = |kind: bool| split.test.iter().any(|&i| self.labels[i] == kind);
        (split.has_of_each(LEARNT, self.labels) && out(true) && out(false)).then_some(split)
    }

    /// Chooses by the folds within what may be learnt from, and scores what is held out.
    pub fn score(&self, split: &Split, of: Features) -> Scored {
        let inner = |fold| Split::new(&split.train, self.places, |place| place.inner == fold);
        let inner: Vec<Split> =
            (0..FOLDS).map(inner).filter(|inner| inner.has_of_each(1, self.labels)).collect();
        let blocks = of.blocks.len().max(1);
        let tasks: Vec<(usize, usize)> =
            (0..blocks).flat_map(|block| (0..inner.len()).map(move |i| (block, i))).collect();
        // Of each block and inner fold, the scores by each penalty.
        let scores: Vec<Vec<Vec<f64>>> = tasks
            .par_iter()
            .map(|&(block, i)| of.predict(block, &LAMBDAS, &inner[i], self.labels))
            .collect();
        let area = |block: usize, lambda: usize| {
            let of = &scores[block * inner.len()..][..inner.len()];
            let scores: Vec<f64> = of.iter().flat_map(|of| of[lambda].iter().copied()).collect();
            self.area(&inner, &scores)
        };
        let all = |block: usize| (0..LAMBDAS.len()).map(move |lambda| (lambda, block));
        let best = |all: Vec<(usize, usize)>| {
            let areas = all.iter().map(|&(lambda, block)| area(block, lambda));
            all[first_best(areas)]
        };
        let by_block: Vec<(usize, usize)> =
            (0..blocks).map(|block| best(all(block).collect())).collect();
        // The strongest penalty first, and then the lowest block.
        let mut every: Vec<(usize, usize)> = (0..blocks).flat_map(all).collect();
        every.sort_unstable();
        let (_, block) = best(every);
        let scored = by_block.par_iter().map(|&(lambda, block)| {
            let lambda = LAMBDAS[lambda];
            (lambda, of.predict(block, &[lambda], split, self.labels).swap_remove(0))
        });
        Scored { block, by_block: scored.collect() }
    }

    /// The area of scores of what is held out within, over pairs of one inner fold; 0 if there are
    /// none.
    fn area(&self, inner: &[Split], scores: &[f64]) -> f64 {
        let tests = inner
            .iter()
            .enumerate()
            .flat_map(|(fold, split)| split.test.iter().map(move |&i| (fold, self.labels[i], i)));
        let (mut folds, mut positives, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        for (fold, label, i) in tests {
            folds.push(fold);
            positives.push(label);
            groups.push(i);
        }
        let of = Folded { positives: &positives, folds: &folds, groups: &groups, learnt: None };
        auroc_within(scores, of).unwrap_or(0.0)
    }
}

/// The place of the largest, the first of equals.
fn first_best(values: impl Iterator<Item = f64>) -> usize {
    let better = |best: (usize, f64), next: (usize, f64)| if next.1 > best.1 { next } else { best };
    values.enumerate().reduce(better).map_or(0, |(place, _)| place)
}

impl Features<'_> {
    /// The scores of what is held out, by each penalty.
    fn predict(
        &self,
        block: usize,
        lambdas: &[f64],
        split: &Split,
        labels: &[bool],
    ) -> Vec<Vec<f64>> {
        let Split { train, test } = split;
        let labels: Vec<bool> = train.iter().map(|&i| labels[i]).collect();
        let dense = self.blocks.get(block).map(|products| {
            let n = products.len().isqrt();
            move |of: usize| {
                let row = &products[of * n..][..n];
                train.iter().map(|&i| row[i]).collect::<Vec<f64>>()
            }
        });
        let own =
            dense.as_ref().map(|row| train.iter().flat_map(|&i| row(i)).collect::<Vec<f64>>());
        let few = self.few.map(|(scaled, lambda)| {
            let rows = train.iter().flat_map(|&i| scaled.row(i).iter().copied());
            (scaled, lambda, rows.collect::<Vec<f64>>())
        });
        let by = |&lambda: &f64| {
            let low = few.as_ref().map(|(scaled, own, rows)| {
                let scale = own.map_or(1.0, |own| lambda / own);
                Low { rows, width: scaled.width, scale }
            });
            let kernel = Kernel { dense: own.as_deref(), low, n: train.len() };
            let found = fit(&kernel, &labels, lambda);
            let weights = low.map(|low| (low.weights(&found.a), low.scale));
            let score = |&i: &usize| {
                let of_block = dense.as_ref().map_or(0.0, |row| dot(&row(i), &found.a));
                let of_few = few.as_ref().zip(weights.as_ref());
                let of_few = of_few.map_or(0.0, |((scaled, ..), (weights, scale))| {
                    scale * dot(scaled.row(i), weights)
                });
                of_block + of_few + found.b
            };
            test.iter().map(score).collect()
        };
        lambdas.iter().map(by).collect()
    }
}

impl Table {
    pub fn row(&self, i: usize) -> &[f32] {
        &self.rows[i * self.width..][..self.width]
    }

    /// Scaled as in what may be learnt from. A feature that is the same in all of it is left out: 0.
    pub fn scaled(&self, train: &[usize]) -> Scaled {
        let n = train.len() as f64;
        let mut mean = vec![0.0; self.width];
        let mut least = vec![f32::INFINITY; self.width];
        let mut most = vec![f32::NEG_INFINITY; self.width];
        for &i in train {
            for (j, &x) in self.row(i).iter().enumerate() {
                mean[j] += f64::from(x);
                (least[j], most[j]) = (least[j].min(x), most[j].max(x));
            }
        }
        mean.iter_mut().for_each(|mean| *mean /= n);
        let mut squares = vec![0.0; self.width];
        for &i in train {
            for (j, &x) in self.row(i).iter().enumerate() {
                squares[j] += (f64::from(x) - mean[j]).powi(2);
            }
        }
        let root = (self.width as f64).sqrt();
        let factor = |j: usize| {
            if least[j] < most[j] { 1.0 / ((squares[j] / n).sqrt() * root) } else { 0.0 }
        };
        let factors: Vec<f64> = (0..self.width).map(factor).collect();
        let row = |row: &[f32]| -> Vec<f64> {
            row.iter().enumerate().map(|(j, &x)| (f64::from(x) - mean[j]) * factors[j]).collect()
        };
        let rows = self.rows.chunks_exact(self.width.max(1)).flat_map(row).collect();
        Scaled { rows, width: self.width }
    }
}

impl Scaled {
    fn row(&self, i: usize) -> &[f64] {
        &self.rows[i * self.width..][..self.width]
    }

    /// The products of all rows, `[n, n]`. O(n² width).
    pub fn products(&self) -> Vec<f64> {
        let n = self.rows.len() / self.width.max(1);
        let mut products: Vec<f64> = (0..n * n)
            .into_par_iter()
            .with_min_len(n.max(1))
            .map(|at| {
                let (i, j) = (at / n, at % n);
                if j <= i { dot(self.row(i), self.row(j)) } else { 0.0 }
            })
            .collect();
        for i in 0..n {
            for j in i + 1..n {
                products[i * n + j] = products[j * n + i];
            }
        }
        products
    }
}
