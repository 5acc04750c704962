use std::fmt;

/// A row of logits that has no winner, and why.
///
/// It spoils no other row of its batch. `-inf` is probability 0 and perfectly ordinary, as long as
/// one logit of the row is above it.
///
/// ```
/// # use candle_core::{Device, Tensor};
/// use concept_mass::reduce::{BadRow, BadRowReason};
///
/// # let map = concept_mass::ConceptMap::singletons(3)?.to_device(&Device::Cpu)?;
/// let logits = Tensor::new(&[[1f32, 3., 2.], [f32::NAN, 3., 2.]], &Device::Cpu)?;
/// let rows = map.decide(&logits)?.rows()?;
/// assert_eq!(rows[0]?.representative, 1);
/// let bad: BadRow = rows[1].unwrap_err();
/// assert_eq!((bad.row, bad.reason), (1, BadRowReason::Nan));
/// assert_eq!(bad.to_string(), "row 1 of the logits has no winner: it holds NaN");
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("row {row} of the logits has no winner: it {reason}")]
#[non_exhaustive]
pub struct BadRow {
    /// The row's index in the batch; 0 for logits `[V]`.
    pub row: usize,
    /// What is wrong with it.
    pub reason: BadRowReason,
}

/// What is wrong with a [`BadRow`].
///
/// Its text is a predicate, as in "the row *holds NaN and +inf*".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BadRowReason {
    /// The row holds a NaN, and no `+inf`.
    Nan,
    /// The row holds `+inf`, and no NaN.
    PosInf,
    /// The row holds both a NaN and `+inf`.
    NanAndPosInf,
    /// The row holds nothing but `-inf`.
    AllNegInf,
    /// The row's map is not among those of the [`MapSet`](crate::MapSet), whatever its logits hold.
    NoMap,
}

impl BadRowReason {
    /// The reason for which a row without a winner has none, from whether it holds a NaN, and
    /// whether it holds `+inf`.
    pub(super) fn of(nan: bool, pos_inf: bool) -> Self {
        match (nan, pos_inf) {
            (true, true) => Self::NanAndPosInf,
            (true, false) => Self::Nan,
            (false, true) => Self::PosInf,
            (false, false) => Self::AllNegInf,
        }
    }
}

impl fmt::Display for BadRowReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nan => "holds NaN",
            Self::PosInf => "holds +inf",
            Self::NanAndPosInf => "holds NaN and +inf",
            Self::AllNegInf => "is all -inf",
            Self::NoMap => "names a place of the set that holds no map",
        })
    }
}
