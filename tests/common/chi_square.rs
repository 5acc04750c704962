//! Pearson's test, by which a distribution is told from another.

/// What a right sampler falls below once in so many tests; seeds are fixed, so that it does not do so
/// at random.
pub const LEAST_P: f64 = 1e-4;

/// The probability that counts are as far from expected ones as these, or farther, if they are drawn
/// by them. Cells of fewer than 5 are one.
///
/// It panics for a count where none is expected, and if there is nothing to tell cells by.
pub fn p_value(counts: &[u64], weights: &[f64]) -> f64 {
    assert_eq!(counts.len(), weights.len());
    let (statistic, freedom) = statistic(counts, weights);
    assert!(freedom > 0, "there is one cell only: {counts:?} {weights:?}");
    upper_tail(statistic, freedom)
}

fn statistic(counts: &[u64], weights: &[f64]) -> (f64, usize) {
    let draws: u64 = counts.iter().sum();
    let sum: f64 = weights.iter().sum();
    let (mut rest, mut cells) = ((0.0, 0.0), Vec::new());
    for (i, (&count, weight)) in counts.iter().zip(weights).enumerate() {
        assert!(count == 0 || *weight > 0.0, "{i} was drawn {count} times, and has no weight");
        let cell = (count as f64, draws as f64 * weight / sum);
        if cell.1 >= 5.0 {
            cells.push(cell);
        } else {
            rest = (rest.0 + cell.0, rest.1 + cell.1);
        }
    }
    // What is still too small alone goes to the smallest of the others.
    match cells.iter_mut().min_by(|a, b| a.1.total_cmp(&b.1)) {
        Some(least) if rest.1 < 5.0 => *least = (least.0 + rest.0, least.1 + rest.1),
        _ => cells.push(rest),
    }
    let terms = cells.iter().map(|(got, expected)| (got - expected).powi(2) / expected);
    (terms.sum(), cells.len() - 1)
}

/// The probability that a chi-square variable of so many degrees of freedom is above `x`.
pub fn upper_tail(x: f64, freedom: usize) -> f64 {
    let (a, x) = (freedom as f64 / 2.0, x / 2.0);
    let scale = (a * x.ln() - x - ln_gamma(a)).exp();
    if x <= 0.0 {
        1.0
    } else if x < a + 1.0 {
        // The series of the lower incomplete gamma function.
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-16 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        1.0 - sum * scale
    } else {
        // Legendre's continued fraction of the upper one, from its far end.
        let far = 500 + freedom;
        let fraction = (1..far).rev().fold(0.0, |fraction, i| {
            let i = i as f64;
            i * (i - a) / (x + 2.0 * i + 1.0 - a - fraction)
        });
        scale / (x + 1.0 - a - fraction)
    }
}

/// Stirling's series, for which small arguments are moved up.
fn ln_gamma(a: f64) -> f64 {
    if a < 20.0 {
        return ln_gamma(a + 1.0) - a.ln();
    }
    let series = 1.0 / (12.0 * a) - 1.0 / (360.0 * a.powi(3)) + 1.0 / (1260.0 * a.powi(5));
    (a - 0.5) * a.ln() - a + 0.5 * (2.0 * std::f64::consts::PI).ln() + series
}

/// Counts of draws each of which has probabilities of its own: how many of each cell there are, how
/// many are expected, and how these numbers vary together.
pub struct Sums {
    counts: Vec<f64>,
    expected: Vec<f64>,
    covariance: Vec<Vec<f64>>,
}

impl Sums {
    pub fn new(cells: usize) -> Self {
        let zeros = vec![0.0; cells];
        let covariance = vec![zeros.clone(); cells];
        Self { counts: zeros.clone(), expected: zeros, covariance }
    }

    /// A draw of `cell`, where the cells had these probabilities.
    pub fn add(&mut self, cell: usize, probs: &[f64]) {
        self.counts[cell] += 1.0;
        for (i, p) in probs.iter().enumerate() {
            self.expected[i] += p;
            self.covariance[i][i] += p;
            for (j, q) in probs.iter().enumerate() {
                self.covariance[i][j] -= p * q;
            }
        }
    }

    pub fn counts(&self) -> &[f64] {
        &self.counts
    }

    pub fn expected(&self) -> &[f64] {
        &self.expected
    }

    /// The probability that the counts are as far from what is expected as they are, or farther: by
    /// the quadratic form of their covariance, which is Pearson's statistic if all draws have the same
    /// probabilities. The last cell follows from the others.
    pub fn p_value(&self) -> f64 {
        let n = self.counts.len() - 1;
        let distance: Vec<f64> = (0..n).map(|i| self.counts[i] - self.expected[i]).collect();
        assert!(self.expected.iter().all(|&expected| expected >= 5.0), "{:?}", self.expected);
        // Gauss, with the distance as the right side; what is left of the diagonal are variances.
        let mut rows: Vec<Vec<f64>> =
            (0..n).map(|i| [&self.covariance[i][..n], &distance[i..=i]].concat()).collect();
        let mut statistic = 0.0;
        for i in 0..n {
            let row = rows[i].clone();
            assert!(row[i] > 1e-6, "cells {i} follows from others: {rows:?}");
            statistic += row[n] * row[n] / row[i];
            for other in &mut rows[i + 1..] {
                let factor = other[i] / row[i];
                other.iter_mut().zip(&row).for_each(|(x, y)| *x -= factor * y);
            }
        }
        upper_tail(statistic, n)
    }
}
