//! From the struct that a kernel writes to the one that users see.

pub(crate) use super::abi::PackedRow;
use super::row::{Row, Status};

impl From<PackedRow> for Row {
    fn from(packed: PackedRow) -> Self {
        let PackedRow {
            winner,
            representative,
            greedy,
            runner_up,
            status,
            mass,
            representative_prob,
            greedy_prob,
            runner_up_mass,
            log_z,
            token_entropy,
            concept_entropy,
        } = packed;
        Self {
            winner,
            representative,
            greedy,
            runner_up,
            status: Status::from_bits(status),
            mass,
            representative_prob,
            greedy_prob,
            runner_up_mass,
            log_z,
            token_entropy,
            concept_entropy,
        }
    }
}
