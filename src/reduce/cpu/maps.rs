//! Whose map each row of a batch is reduced by.

use super::Tables;
use crate::ConceptMap;
use crate::reduce::BadRowReason;

/// A map, and what was derived from it.
pub(crate) type MapOnHost<'a> = (&'a ConceptMap, &'a Tables);

/// The maps of a batch.
#[derive(Clone, Copy)]
pub(crate) enum Maps<'a> {
    /// One for all rows.
    Shared(&'a ConceptMap, &'a Tables),
    /// One for each row; none where a row names a map that is not there.
    Each(&'a [Option<MapOnHost<'a>>]),
}

impl<'a> Maps<'a> {
    /// The map of a row, or why the row has no winner.
    pub(crate) fn of(self, row: usize) -> Result<MapOnHost<'a>, BadRowReason> {
        match self {
            Self::Shared(map, tables) => Ok((map, tables)),
            Self::Each(maps) => maps.get(row).copied().flatten().ok_or(BadRowReason::NoMap),
        }
    }
}
