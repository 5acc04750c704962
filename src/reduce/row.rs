use std::fmt;

use crate::reduce::ReduceError;
use bytemuck::{Pod, Zeroable};

use super::abi;

/// What the reduction finds in one row of logits.
///
/// Probabilities are those of the softmax over the row. Ties go to the lowest id: the lowest
/// token for [`greedy`](Self::greedy) and [`representative`](Self::representative), the lowest
/// concept for [`winner`](Self::winner) and [`runner_up`](Self::runner_up).
///
/// If [`status`](Self::status) is not [`Status::OK`], the row has no winner: all ids are
/// [`Row::NONE`] and all numbers NaN.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use concept_mass::{ConceptMap, Row};
///
/// let map = ConceptMap::builder(4).concept("right", [1, 3])?.build()?;
/// let probabilities = Tensor::new(&[0.4f32, 0.3, 0.05, 0.25], &Device::Cpu)?;
/// let row: Row = map.to_device(&Device::Cpu)?.reduce(&probabilities.log()?)?.rows()?[0];
///
/// assert_eq!(row.greedy, 0);
/// assert_eq!((row.winner, row.representative), (0, 1));
/// assert!(row.is_flip());
/// assert!((row.mass - 0.55).abs() < 1e-6);
/// assert!((row.concentration() - 0.3 / 0.55).abs() < 1e-6);
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
pub struct Row {
    /// The concept with the largest mass.
    pub winner: u32,
    /// The winner's likeliest token: what a decode loop emits.
    pub representative: u32,
    /// The likeliest token of all, plain argmax.
    pub greedy: u32,
    /// The concept with the second largest mass, or [`Row::NONE`] if no other concept has a
    /// probability that `f32` can tell from 0.
    pub runner_up: u32,
    /// Whether the row could be reduced.
    pub status: Status,
    /// The winner's probability, in `[0, 1]`.
    pub mass: f32,
    /// The representative's probability, in `[0, 1]`.
    pub representative_prob: f32,
    /// The greedy token's probability, in `[0, 1]`.
    pub greedy_prob: f32,
    /// The runner-up's probability, in `[0, 1]`; 0 if there is none.
    pub runner_up_mass: f32,
    /// `ln Σ exp(logit)`, the softmax's normaliser.
    pub log_z: f32,
    /// The entropy over tokens in nats, in `[0, ln V]`.
    pub token_entropy: f32,
    /// The entropy over concepts in nats, in `[0, token_entropy]`.
    pub concept_entropy: f32,
}

impl Row {
    /// The id that stands for "there is none".
    pub const NONE: u32 = abi::NONE;

    /// The row of logits that cannot be reduced, for the reason in `status`.
    pub(crate) fn bad(status: Status) -> Self {
        Self {
            winner: Self::NONE,
            representative: Self::NONE,
            greedy: Self::NONE,
            runner_up: Self::NONE,
            status,
            mass: f32::NAN,
            representative_prob: f32::NAN,
            greedy_prob: f32::NAN,
            runner_up_mass: f32::NAN,
            log_z: f32::NAN,
            token_entropy: f32::NAN,
            concept_entropy: f32::NAN,
        }
    }

    /// Whether counting meanings changes the decision: the winning concept is not the greedy
    /// token's.
    pub fn is_flip(&self) -> bool {
        // If the greedy token were in the winning concept, it would be its likeliest.
        self.representative != self.greedy
    }

    /// The representative's share of the winner's mass, in `(0, 1]`: 1 if one spelling holds all,
    /// small if the vote is split; NaN if the row has no winner.
    pub fn concentration(&self) -> f32 {
        at_most_1(self.representative_prob / self.mass)
    }

    /// How far the winner is ahead of the runner-up, in probability.
    pub fn margin(&self) -> f32 {
        self.mass - self.runner_up_mass
    }

    /// The token to emit; `index` is the row's place in the batch, for the error.
    ///
    /// # Errors
    ///
    /// [`ReduceError::BadRow`] if the row has no winner.
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # let map = concept_mass::ConceptMap::singletons(3)?.to_device(&Device::Cpu)?;
    /// let logits = Tensor::new(&[[1f32, 3., 2.], [f32::NAN, 3., 2.]], &Device::Cpu)?;
    /// let rows = map.reduce(&logits)?.rows()?;
    /// assert_eq!(rows[0].token(0)?, 1);
    /// let error = rows[1].token(1).unwrap_err();
    /// assert_eq!(error.to_string(), "row 1 of the logits has no winner: it holds NaN");
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn token(&self, index: usize) -> Result<u32, ReduceError> {
        if self.status.is_ok() {
            Ok(self.representative)
        } else {
            Err(ReduceError::BadRow { row: index, status: self.status })
        }
    }
}

/// What must not exceed 1, but may by rounding. NaN stays NaN, of which `f32::min` would make 1.
pub(crate) fn at_most_1(share: f32) -> f32 {
    if share > 1.0 { 1.0 } else { share }
}

/// Why a row has no winner: a set of bits, empty ([`Status::OK`]) for an ordinary row.
///
/// `-inf` is probability 0 and perfectly ordinary, as long as one logit is above it.
///
/// ```
/// use concept_mass::reduce::Status;
///
/// assert!(Status::OK.is_ok());
/// assert_eq!(Status::ALL_NEG_INF.to_string(), "is all -inf");
/// ```
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Pod, Zeroable)]
pub struct Status(u32);

impl Status {
    /// The row was reduced.
    pub const OK: Self = Self(0);
    /// The row holds a NaN.
    pub const NAN: Self = Self(abi::STATUS_NAN);
    /// The row holds `+inf`.
    pub const POS_INF: Self = Self(abi::STATUS_POS_INF);
    /// The row holds nothing but `-inf`.
    pub const ALL_NEG_INF: Self = Self(abi::STATUS_ALL_NEG_INF);

    /// Whether no bit is set.
    pub fn is_ok(self) -> bool {
        self == Self::OK
    }

    /// Whether every bit of `other` is set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    #[cfg(feature = "cuda")]
    pub(crate) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits of both.
    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for Status {
    /// A predicate, as in "the row *holds NaN and +inf*".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.contains(Self::NAN), self.contains(Self::POS_INF)) {
            (true, true) => f.write_str("holds NaN and +inf"),
            (true, false) => f.write_str("holds NaN"),
            (false, true) => f.write_str("holds +inf"),
            (false, false) if self.contains(Self::ALL_NEG_INF) => f.write_str("is all -inf"),
            (false, false) => f.write_str("is ok"),
        }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Status({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_a_winner_has_no_concentration() {
        assert!(Row::bad(Status::NAN).concentration().is_nan());
        assert_eq!(at_most_1(1.0000001), 1.0);
    }

    #[test]
    fn status_says_all_that_is_wrong() {
        let both = Status::NAN.union(Status::POS_INF);
        assert!(both.contains(Status::NAN) && both.contains(Status::POS_INF) && !both.is_ok());
        assert_eq!(both.to_string(), "holds NaN and +inf");
        assert_eq!(format!("{:?}", Status::OK), "Status(is ok)");
    }
}
