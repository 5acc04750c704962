//! Whether confidence is what it says.

use serde::{Deserialize, Serialize};

/// The outcome of [`calibration()`].
///
/// ```
/// use commitment_probe::stats::{Calibration, calibration};
///
/// let sure: Calibration = calibration(&[0.9, 0.9], &[true, false], 10);
/// assert!((sure.ece.unwrap() - 0.4).abs() < 1e-12);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The expected calibration error, from 0 to 1; `None` if nothing was counted, or if a
    /// confidence is a NaN.
    pub ece: Option<f64>,
    /// The bins, in ascending order: a reliability diagram.
    pub bins: Vec<Bin>,
}

/// One bin of a [`Calibration`]: the confidences over `low`, up to and with `high`.
///
/// ```
/// use commitment_probe::stats::{Bin, calibration};
///
/// let bins = calibration(&[0.5, 0.25], &[true, false], 2).bins;
/// let lower = Bin { low: 0.0, high: 0.5, n: 2, confidence: Some(0.375), accuracy: Some(0.5) };
/// assert_eq!(bins, [lower, Bin { low: 0.5, high: 1.0, n: 0, confidence: None, accuracy: None }]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// The edge below; the confidence 0 is in the first bin nevertheless.
    pub low: f64,
    /// The edge above, which is in the bin.
    pub high: f64,
    /// How many confidences are in the bin.
    pub n: usize,
    /// Their mean; `None` if there are none.
    pub confidence: Option<f64>,
    /// The share of them that is right; `None` if there are none.
    pub accuracy: Option<f64>,
}

/// How far confidences are from the shares that are right, in bins of equal width.
///
/// The expected calibration error is `Σ (n_b / n) |accuracy_b - confidence_b|` over the bins
/// (Naeini et al., 2015; Guo et al., 2017): from 0, where confidence is what it says, to 1, where
/// it is the opposite. It depends on the number of bins; 10 and 15 are usual.
///
/// Confidences are clamped to [0, 1]. Those without a `right`, and the reverse, are not counted.
/// Without confidences or without bins there is no error; a NaN belongs to no bin, and where there
/// is one there is no error either. O(n log `bins`).
///
/// ```
/// use commitment_probe::stats::calibration;
///
/// // Sure of four answers, of which three are right; unsure of two, of which one is right.
/// let (confidences, right) =
///     ([0.95, 0.95, 0.95, 0.95, 0.5, 0.5], [true, true, true, false, true, false]);
/// let measured = calibration(&confidences, &right, 10);
/// assert!((measured.ece.unwrap() - 4.0 / 6.0 * 0.2).abs() < 1e-12);
/// assert_eq!(measured.bins[9].accuracy, Some(0.75));
/// ```
pub fn calibration(confidences: &[f64], right: &[bool], bins: u16) -> Calibration {
    let bins = usize::from(bins);
    let edge = |i: usize| i as f64 / bins as f64;
    let uppers: Vec<f64> = (1..=bins).map(edge).collect();
    let mut sums = vec![(0, 0.0, 0); bins];
    let mut unplaced = 0;
    for (&confidence, &right) in confidences.iter().zip(right) {
        let confidence = confidence.clamp(0.0, 1.0);
        // By the edges themselves: confidence × bins may round to beyond one.
        let place = uppers.partition_point(|&upper| upper < confidence);
        match sums.get_mut(place).filter(|_| !confidence.is_nan()) {
            Some((n, sum, hits)) => {
                *n += 1;
                *sum += confidence;
                *hits += usize::from(right);
            }
            None => unplaced += 1,
        }
    }
    let bins: Vec<Bin> = (0..)
        .zip(sums)
        .map(|(b, (n, sum, hits))| {
            let (low, high) = (edge(b), edge(b + 1));
            let of_bin = |sum: f64| (n > 0).then(|| sum / n as f64);
            Bin { low, high, n, confidence: of_bin(sum), accuracy: of_bin(hits as f64) }
        })
        .collect();
    let n: usize = bins.iter().map(|bin| bin.n).sum();
    let error = bins
        .iter()
        .filter_map(|bin| Some(bin.n as f64 / n as f64 * (bin.accuracy? - bin.confidence?).abs()));
    let ece = (n > 0 && unplaced == 0).then(|| error.sum());
    Calibration { ece, bins }
}
