//! Logistic regression with an L2 penalty, by kernels.
//!
//! Of features `z`, weights `w` and an intercept `b`, it minimises
//! `Σ ln(1 + exp(∓(z·w + b))) + λ/2 |w|²`, the sign being that of the label; the intercept is not
//! penalised. That is scikit-learn's `LogisticRegression` with `C = 1/λ`. States have more features
//! than there are answers, so that the solution is found as `w = Σ a z` over the answers: all it
//! needs of the features is the kernel `K`, the products of the answers' features (the representer
//! theorem).
//!
//! Newton's method: at the probabilities `p` with weights `W = p (1 - p)`, a step solves
//! `(K + λ/W) δ + β 1 = (y - p - λ a) / W` with `Σ δ = 0`. In units of `√W` the matrix is
//! symmetric and at least λ, and the constraint a projection, so that conjugate gradients solve it;
//! each of their steps is a product with `K`. They stop early: what they leave is what the next step
//! begins with.

/// The products of the features of `n` answers: a matrix, or few features, or the sum of both.
#[derive(Clone, Copy)]
pub(super) struct Kernel<'a> {
    /// Row by row, `[n, n]`.
    pub dense: Option<&'a [f64]>,
    pub low: Option<Low<'a>>,
    pub n: usize,
}

/// Features of which there are few, and how much larger their products count: that many times
/// smaller is the penalty of their weights.
#[derive(Clone, Copy)]
pub(super) struct Low<'a> {
    /// Row by row, `[n, width]`.
    pub rows: &'a [f64],
    pub width: usize,
    pub scale: f64,
}

/// A solution: `f(x) = Σ a K(x, ·) + b`.
#[derive(Debug, Clone)]
pub(super) struct Fit {
    pub a: Vec<f64>,
    pub b: f64,
}

/// Where what conjugate gradients leave is so much smaller than what they began with, they stop.
const FORCING: f64 = 0.03;

/// A solution is found when a step moves no answer's `f` by more than this.
const TOLERANCE: f64 = 1e-8;

/// More steps than a convex function ever took.
const STEPS: usize = 200;

impl Kernel<'_> {
    /// `K v`. Eight rows at a time: `K` is symmetric, so that its rows are its columns, and each is
    /// read once.
    fn times(&self, v: &[f64]) -> Vec<f64> {
        let mut product = vec![0.0; self.n];
        if let Some(dense) = self.dense {
            let rows = dense.chunks(8 * self.n).zip(v.chunks(8));
            for (rows, v) in rows {
                let mut of = rows.chunks_exact(self.n);
                if let (8, [v0, v1, v2, v3, v4, v5, v6, v7]) = (v.len(), v) {
                    let r: [&[f64]; 8] = std::array::from_fn(|_| of.next().unwrap_or_default());
                    let [r0, r1, r2, r3, r4, r5, r6, r7] = r.map(|row| &row[..self.n]);
                    for (j, x) in product.iter_mut().enumerate() {
                        *x += (r0[j] * v0 + r1[j] * v1 + r2[j] * v2 + r3[j] * v3)
                            + (r4[j] * v4 + r5[j] * v5 + r6[j] * v6 + r7[j] * v7);
                    }
                } else {
                    for (row, v) in of.zip(v) {
                        product.iter_mut().zip(row).for_each(|(x, k)| *x += k * v);
                    }
                }
            }
        }
        if let Some(low) = self.low {
            let weights = low.weights(v);
            for (x, row) in product.iter_mut().zip(low.rows.chunks_exact(low.width)) {
                *x += low.scale * dot(row, &weights);
            }
        }
        product
    }
}

impl Low<'_> {
    /// The features' sums, `Σ a z`.
    pub fn weights(&self, a: &[f64]) -> Vec<f64> {
        let mut weights = vec![0.0; self.width];
        for (row, a) in self.rows.chunks_exact(self.width).zip(a) {
            weights.iter_mut().zip(row).for_each(|(w, z)| *w += a * z);
        }
        weights
    }
}

pub(super) fn dot(x: &[f64], y: &[f64]) -> f64 {
    // In four sums, which a processor adds up at once.
    let mut sums = [0.0; 4];
    let (x4, y4) = (x.chunks_exact(4), y.chunks_exact(4));
    let rest: f64 = x4.remainder().iter().zip(y4.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in x4.zip(y4) {
        for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *sum += x * y;
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

/// Fits the labels by the kernel, with the penalty `lambda` above 0. There must be answers of both
/// labels.
///
/// O(n²) for each step of conjugate gradients: of 500 answers, about thirty at λ = 10 and a hundred
/// and thirty at λ = 0.1, of 25 µs each. Another penalty's solution saves next to none of them.
pub(super) fn fit(kernel: &Kernel, labels: &[bool], lambda: f64) -> Fit {
    let n = kernel.n;
    let (mut a, mut b) = (vec![0.0; n], 0.0);
    let mut own = vec![0.0; n];
    for _ in 0..STEPS {
        // With y of 0 or 1: y - p, and p (1 - p).
        let (mut gap, mut weight) = (vec![0.0; n], vec![0.0; n]);
        for i in 0..n {
            let p = logistic(own[i] + b);
            gap[i] = if labels[i] { 1.0 - p } else { -p };
            // What is as good as certain has a weight still, so that nothing is divided by 0.
            weight[i] = (p * (1.0 - p)).max(1e-10);
        }
        let root: Vec<f64> = weight.iter().map(|w| w.sqrt()).collect();
        let rest: Vec<f64> = (0..n).map(|i| (gap[i] - lambda * a[i]) / root[i]).collect();
        let (step, beta) = newton(kernel, &root, lambda, &rest);
        let moved = kernel.times(&step);
        let length = length(&State { own: &own, a: &a, b }, &moved, &step, beta, labels, lambda);
        for i in 0..n {
            a[i] += length * step[i];
            own[i] += length * moved[i];
        }
        b += length * beta;
        let most = moved.iter().map(|m| (m + beta).abs()).fold(0.0, f64::max);
        if length == 0.0 || (length == 1.0 && most <= TOLERANCE) {
            break;
        }
    }
    Fit { a, b }
}

/// Solves `(K + λ/W) δ + β 1 = rest / √W` with `Σ δ = 0`, roughly: `δ` and `β`, from `root = √W`.
fn newton(kernel: &Kernel, root: &[f64], lambda: f64, rest: &[f64]) -> (Vec<f64>, f64) {
    let norm = dot(root, root);
    // Onto what is perpendicular to `root`.
    let project = |x: &mut [f64]| {
        let along = dot(x, root) / norm;
        x.iter_mut().zip(root).for_each(|(x, d)| *x -= along * d);
    };
    let times = |u: &[f64]| -> Vec<f64> {
        let inner: Vec<f64> = u.iter().zip(root).map(|(u, d)| u * d).collect();
        let mut product = kernel.times(&inner);
        product.iter_mut().zip(root).zip(u).for_each(|((x, d), u)| *x = *x * d + lambda * u);
        product
    };
    let n = root.len();
    let mut residual = rest.to_vec();
    project(&mut residual);
    let (mut u, mut whole) = (vec![0.0; n], vec![0.0; n]);
    let mut direction = residual.clone();
    let mut squares = dot(&residual, &residual);
    let enough = squares * FORCING * FORCING;
    for _ in 0..2 * n {
        if squares <= enough {
            break;
        }
        let unprojected = times(&direction);
        let along = squares / dot(&direction, &unprojected);
        for i in 0..n {
            u[i] += along * direction[i];
            whole[i] += along * unprojected[i];
            residual[i] -= along * unprojected[i];
        }
        project(&mut residual);
        let next = dot(&residual, &residual);
        let kept = next / squares;
        squares = next;
        for (direction, residual) in direction.iter_mut().zip(&residual) {
            *direction = residual + kept * *direction;
        }
    }
    let unmet: f64 = (0..n).map(|i| root[i] * (rest[i] - whole[i])).sum();
    let step = u.iter().zip(root).map(|(u, d)| u * d).collect();
    (step, unmet / norm)
}

/// Where a step begins.
struct State<'a> {
    /// `K a`.
    own: &'a [f64],
    a: &'a [f64],
    b: f64,
}

/// How much of a step to take: all of it, or half as often as it takes to come lower; 0 if rounding
/// alone is left.
fn length(at: &State, moved: &[f64], step: &[f64], beta: f64, labels: &[bool], lambda: f64) -> f64 {
    let value = |t: f64| -> f64 {
        let terms = (0..labels.len()).map(|i| {
            let own = at.own[i] + t * moved[i];
            let f = own + at.b + t * beta;
            let against = if labels[i] { -f } else { f };
            let loss = against.max(0.0) + (-against.abs()).exp().ln_1p();
            loss + lambda / 2.0 * (at.a[i] + t * step[i]) * own
        });
        terms.sum()
    };
    let (now, mut t) = (value(0.0), 1.0);
    let rounding = 1e-13 * now.abs();
    while value(t) > now + rounding {
        t /= 2.0;
        if t < 1e-8 {
            return 0.0;
        }
    }
    t
}

fn logistic(x: f64) -> f64 {
    // Without an overflow at either end.
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers of three features, of which the third is loud and says nothing.
    fn answers() -> (Vec<f64>, Vec<bool>) {
        let rows: Vec<[f64; 3]> = (0..40)
            .map(f64::from)
            .map(|i| [(i * 0.7).sin(), (i * 1.3).cos(), 5.0 * (i * 2.9).sin()])
            .collect();
        let labels = rows.iter().enumerate();
        let labels = labels.map(|(i, [x, y, _])| x - 0.5 * y + 0.4 * (i as f64 * 4.1).sin() > 0.1);
        (rows.concat(), labels.collect())
    }

    /// The gradient by weights and intercept, which is 0 at the minimum and nowhere else.
    fn gradient(rows: &[f64], labels: &[bool], lambda: f64, scale: f64, fit: &Fit) -> f64 {
        let low = Low { rows, width: 3, scale };
        let weights: Vec<f64> = low.weights(&fit.a).iter().map(|w| w * scale).collect();
        let (mut of_weights, mut of_b): (Vec<f64>, f64) =
            (weights.iter().map(|w| lambda / scale * w).collect(), 0.0);
        for (row, &label) in rows.chunks_exact(3).zip(labels) {
            let gap = logistic(dot(row, &weights) + fit.b) - f64::from(u8::from(label));
            of_weights.iter_mut().zip(row).for_each(|(g, z)| *g += gap * z);
            of_b += gap;
        }
        of_weights.iter().fold(of_b.abs(), |most, g| most.max(g.abs()))
    }

    #[test]
    fn a_fit_is_the_minimum_however_its_features_are_given() {
        let (rows, labels) = answers();
        let n = labels.len();
        let products = |scale: f64| -> Vec<f64> {
            let pairs = (0..n * n).map(|at| (at / n, at % n));
            pairs.map(|(i, j)| scale * dot(&rows[3 * i..][..3], &rows[3 * j..][..3])).collect()
        };
        for lambda in [1000.0, 1.0, 0.01] {
            for scale in [1.0, 100.0] {
                let low =
                    Kernel { dense: None, low: Some(Low { rows: &rows, width: 3, scale }), n };
                let dense = Kernel { dense: Some(&products(scale)), low: None, n };
                let both = Kernel {
                    dense: Some(&products(0.25 * scale)),
                    low: Some(Low { rows: &rows, width: 3, scale: 0.75 * scale }),
                    n,
                };
                for kernel in [low, dense, both] {
                    let fit = fit(&kernel, &labels, lambda);
                    let gradient = gradient(&rows, &labels, lambda, scale, &fit);
                    assert!(gradient < 1e-6, "λ {lambda}, scale {scale}: {gradient}");
                }
            }
        }
    }

    /// Labels that a feature separates have a minimum all the same, and those of one kind are no
    /// reason to go on for ever.
    #[test]
    fn what_is_separated_is_fitted() {
        let rows: Vec<f64> = (0..20).map(|i| f64::from(i) - 9.5).collect();
        for labels in [rows.iter().map(|x| *x > 0.0).collect::<Vec<bool>>(), vec![true; 20]] {
            let low = Some(Low { rows: &rows, width: 1, scale: 1.0 });
            let found = fit(&Kernel { dense: None, low, n: 20 }, &labels, 0.01);
            assert!(found.b.is_finite() && found.a.iter().all(|a| a.is_finite()));
        }
    }
}
