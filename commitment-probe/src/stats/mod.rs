//! The statistics of the probe: plain functions over slices of `f64`.
//!
//! | question | function |
//! | --- | --- |
//! | how much, and how sure is that? | [`mean`], [`share`] |
//! | and if some of the values belong together? | [`mean_of`], [`share_of`], [`auroc_of`] |
//! | does a score tell two kinds apart? | [`auroc`], [`auroc_estimate`] |
//! | and if its scores are comparable within folds alone? | [`auroc_within`], [`auroc_within_of`] |
//! | does another score do so better? | [`auroc_gain`] |
//! | by how much do two samples differ? | [`cohens_d`] |
//! | might chance alone make them differ so? | [`mann_whitney`] |
//! | which members of two samples are alike in a third respect? | [`matched`], [`matched_within`] |
//! | might chance alone make pairs differ so? | [`wilcoxon`], for yes and no [`mcnemar`] |
//! | and if some of the pairs belong together? | [`wilcoxon_of`], [`mcnemar_of`] |
//! | does a rate rise with the size of a model? | [`trend`] |
//! | is a confidence of 80 % right in 80 %? | [`calibration`] |
//! | how far are answers spread over meanings? | [`entropy()`] |
//!
//! The same input gives the same bits, on any number of threads. Nothing panics. Where a number is
//! not defined, there is none: an empty sample, a spread of 0 or a NaN among the values gives
//! `None`, and therefore no result holds a NaN, which JSON could not.
//!
//! ```
//! use commitment_probe::stats::{auroc, cohens_d, mann_whitney};
//!
//! // The confidence of five commitment failures, and of five other hallucinations.
//! let failures = [0.81, 0.64, 0.77, 0.59, 0.92];
//! let others = [0.34, 0.61, 0.28, 0.45, 0.39];
//! assert_eq!(auroc(&failures, &others), Some(0.96));
//! assert!(cohens_d(&failures, &others).unwrap() > 2.0);
//! assert!(mann_whitney(&failures, &others).unwrap().p < 0.05);
//! ```

mod bootstrap;
mod calibration;
mod detection;
mod effect;
mod entropy;
mod estimate;
mod groups;
mod levels;
mod matching;
mod members;
mod normal;
mod paired;
mod trend;
mod within;

pub(crate) use bootstrap::{Draws, mixed};
pub use bootstrap::{RESAMPLES, SEED};
pub use calibration::{Bin, Calibration, calibration};
pub use detection::{auroc, auroc_estimate, auroc_of};
pub use effect::{RankTest, cohens_d, mann_whitney};
pub use entropy::entropy;
pub use estimate::{Estimate, Method, mean, mean_of, share, share_of};
pub use matching::{matched, matched_within};
pub use paired::{SignedRankTest, mcnemar, mcnemar_of, wilcoxon, wilcoxon_of};
pub use trend::{PERMUTATIONS, Trend, trend};
pub use within::{Folded, auroc_gain, auroc_within, auroc_within_of};
