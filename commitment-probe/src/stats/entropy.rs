//! The entropy of a distribution that is given by counts.

/// The entropy of a discrete distribution that is given by counts, in nats:
/// `Σ p ln(1/p)`, where `p` is a count's share of all (Shannon, 1948).
///
/// From 0, for one outcome or none, to `ln k`, for `k` counts that are alike; a count of 0 adds
/// nothing. O(k).
///
/// Of the sizes of clusters of sampled answers, it is the discrete semantic entropy of Farquhar
/// et al. (2024).
///
/// ```
/// use commitment_probe::stats::entropy;
///
/// // Ten answers: five of one meaning, five of another.
/// assert!((entropy(&[5, 5]) - 2f64.ln()).abs() < 1e-12);
/// assert_eq!(entropy(&[10, 0]), 0.0);
/// assert_eq!(entropy(&[]), 0.0);
/// ```
pub fn entropy(counts: &[usize]) -> f64 {
    let total = counts.iter().fold(0.0, |sum, &count| sum + count as f64);
    let counts = counts.iter().filter(|&&count| count > 0).map(|&count| count as f64);
    // Not `sum()`, which of nothing is -0.
    counts.fold(0.0, |sum, count| sum + count / total * (total / count).ln())
}
