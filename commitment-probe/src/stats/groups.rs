//! Values that belong together.

use std::collections::HashMap;

/// Which values are of one group: the groups are numbered from 0 in the order in which they appear.
pub(super) struct Groups {
    /// The group of each value.
    pub of: Vec<usize>,
    /// How many groups there are.
    pub count: usize,
}

impl Groups {
    /// The groups of as many values as there are labels.
    pub fn new(labels: impl Iterator<Item = usize>) -> Self {
        let mut numbers = HashMap::new();
        let of = labels
            .map(|label| {
                let next = numbers.len();
                *numbers.entry(label).or_insert(next)
            })
            .collect();
        Self { of, count: numbers.len() }
    }

    /// The groups of `n` values, if they say anything; `None` if there are not as many labels.
    pub fn of_values(n: usize, labels: Option<&[usize]>) -> Option<Option<Self>> {
        let Some(labels) = labels else { return Some(None) };
        let groups = Self::new(labels.iter().copied());
        (labels.len() == n).then(|| (!groups.are_single()).then_some(groups))
    }

    /// Whether each value is a group of its own, which says nothing.
    pub fn are_single(&self) -> bool {
        self.count == self.of.len()
    }

    /// The sum of the values of each group, and their number.
    pub fn sums(&self, values: &[f64]) -> Vec<(f64, f64)> {
        let mut sums = vec![(0.0, 0.0); self.count];
        for (&group, value) in self.of.iter().zip(values) {
            sums[group].0 += value;
            sums[group].1 += 1.0;
        }
        sums
    }
}

/// The sample size that is left if all members of a group are alike, so that each group is one
/// observation: `n² / Σ m²` for groups of `m` (Kish, 1965). It is the number of groups if they are
/// of one size.
pub(super) fn least_size(sizes: impl Iterator<Item = f64>) -> f64 {
    let (n, squares) = sizes.fold((0.0, 0.0), |(n, squares), m| (n + m, squares + m * m));
    n * n / squares
}

/// The variance under the groups over the variance if all were independent (Kish, 1965), from the
/// influences of all values: `G / (G - 1) Σ_g (Σ u)² / (n / (n - 1) Σ u²)`. `None` if there is no
/// variance, or one group alone.
pub(super) fn design_effect(groups: &Groups, influences: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sums = vec![0.0; groups.count];
    let mut squares = 0.0;
    for (&group, u) in groups.of.iter().zip(influences) {
        sums[group] += u;
        squares += u * u;
    }
    let corrected = |squares: f64, n: usize| squares * n as f64 / (n as f64 - 1.0);
    let grouped = corrected(sums.iter().map(|u| u * u).sum(), groups.count);
    let effect = grouped / corrected(squares, groups.of.len());
    effect.is_finite().then_some(effect)
}
