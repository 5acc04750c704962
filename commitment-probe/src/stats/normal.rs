//! The distributions of Gauss and of Student.

use std::f64::consts::{SQRT_2, TAU};

/// The quantile 0.975 of the standard normal distribution.
pub(super) const Z: f64 = 1.959_963_984_540_054;

/// The probability of a standard normal variable of at most `x`.
pub(super) fn cumulative(x: f64) -> f64 {
    libm::erfc(-x / SQRT_2) / 2.0
}

/// The value that a standard normal variable does not exceed with probability `p`, which is at
/// least 1e-20 from 0, and not 1.
pub(super) fn quantile(p: f64) -> f64 {
    // In the lower tail, where a small probability keeps its digits. There the distribution is
    // convex, so that Newton's steps from the middle fall towards the quantile and never pass it.
    let tail = p.min(1.0 - p);
    let mut x = 0.0f64;
    for _ in 0..100 {
        let density = (-x * x / 2.0).exp() / TAU.sqrt();
        let step = (cumulative(x) - tail) / density;
        if step.is_nan() || step.abs() <= 1e-15 * x.abs() {
            break;
        }
        x -= step;
    }
    if p > 0.5 { -x } else { x }
}

/// The quantile 0.975 of Student's distribution, to within 0.2 %: exact for one and two degrees of
/// freedom, then by the expansion in `1 / freedom` of Abramowitz and Stegun (1964, 26.7.5).
pub(super) fn student(freedom: usize) -> f64 {
    const P: f64 = 0.975;
    match freedom {
        0 => f64::INFINITY,
        1 => (std::f64::consts::PI * (P - 0.5)).tan(),
        2 => (2.0 * P - 1.0) * (2.0 / (4.0 * P * (1.0 - P))).sqrt(),
        _ => {
            let [one, two, three, four] = [
                &[1.0, 1.0][..],
                &[3.0, 16.0, 5.0],
                &[-15.0, 17.0, 19.0, 3.0],
                &[-945.0, -1920.0, 1482.0, 776.0, 79.0],
            ]
            .map(|odd| odd.iter().rev().fold(0.0, |sum, c| sum * Z * Z + c) * Z);
            let terms = [four / 92_160.0, three / 384.0, two / 96.0, one / 4.0, Z];
            terms.iter().fold(0.0, |sum, term| sum / freedom as f64 + term)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_the_inverse() {
        assert!((quantile(0.975) - Z).abs() < 1e-14);
        assert_eq!(quantile(0.5), 0.0);
        for p in [1e-20, 1e-4, 0.02, 0.3, 0.5, 0.7, 0.98] {
            assert!((cumulative(quantile(p)) / p - 1.0).abs() < 1e-11, "{p}");
        }
        assert!((quantile(0.001) + quantile(0.999)).abs() < 1e-12);
    }

    #[test]
    fn quantiles_of_student_are_those_of_tables() {
        let table = [(1, 12.7062), (2, 4.3027), (3, 3.1824), (5, 2.5706), (19, 2.0930)];
        for (freedom, expected) in table.into_iter().chain([(199, 1.9720), (usize::MAX, Z)]) {
            let actual = student(freedom);
            assert!((actual / expected - 1.0).abs() < 2e-3, "{freedom}: {actual}");
        }
    }
}
