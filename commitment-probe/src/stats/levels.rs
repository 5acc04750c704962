//! Two samples in one order: all that a statistic of ranks needs to know.

/// The distinct values of two samples, in ascending order.
pub(super) struct Levels {
    /// How many of the first and of the second sample have each value.
    pub counts: Vec<[u64; 2]>,
    /// The place among `counts` of each value of the first and of the second sample.
    pub places: [Vec<usize>; 2],
}

impl Levels {
    /// `None` if either sample is empty, or if a value is a NaN. O((n + m) log(n + m)).
    pub fn new(a: &[f64], b: &[f64]) -> Option<Self> {
        if a.is_empty() || b.is_empty() || a.iter().chain(b).any(|value| value.is_nan()) {
            return None;
        }
        let of_a = a.iter().enumerate().map(|(i, &value)| (value, 0, i));
        let of_b = b.iter().enumerate().map(|(i, &value)| (value, 1, i));
        let mut values: Vec<(f64, usize, usize)> = of_a.chain(of_b).collect();
        values.sort_unstable_by(|x, y| x.0.total_cmp(&y.0));
        let mut levels = Self { counts: Vec::new(), places: [vec![0; a.len()], vec![0; b.len()]] };
        // By equality, as -0 and 0 differ in the total order.
        for level in values.chunk_by(|x, y| x.0 == y.0) {
            let mut count = [0; 2];
            for &(_, sample, i) in level {
                count[sample] += 1;
                levels.places[sample][i] = levels.counts.len();
            }
            levels.counts.push(count);
        }
        Some(levels)
    }
}

/// Twice the number of pairs in which the first sample's value is the larger, and once that of the
/// pairs in which both are equal: `2 U` of Mann and Whitney, without rounding.
pub(super) fn twice_u(counts: &[[u64; 2]]) -> u64 {
    let mut below = 0;
    let mut twice = 0;
    for [a, b] in counts {
        twice += a * (2 * below + b);
        below += b;
    }
    twice
}
