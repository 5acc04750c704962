//! From the struct that a kernel writes to those that users see. Its sentinels end here.

use super::abi::{
    NONE, STATUS_NAN, STATUS_NO_MAP, STATUS_NO_SLOT, STATUS_NOTHING_ALLOWED, STATUS_POS_INF,
    STATUS_SLOT_TWICE,
};
pub(crate) use super::abi::{PackedDecision, PackedRow, PackedSampled};
use super::requests::{SampledRow, SlotRow, UnsampledRow};
use super::{BadRow, BadRowReason, Decision, NO_TOKEN, Row, RunnerUp};

/// What a tensor of tokens holds for a bad row is what the kernels write there.
const _: () = assert!(NO_TOKEN == NONE);

impl PackedRow {
    /// What is found in row `index`.
    pub(crate) fn row(&self, index: usize) -> Result<Row, BadRow> {
        let decision = self.decision.decision(index)?;
        let runner_up = RunnerUp { concept: self.runner_up, mass: self.runner_up_mass };
        Ok(Row {
            winner: decision.winner,
            representative: decision.representative,
            greedy: decision.greedy,
            mass: decision.mass,
            representative_prob: decision.representative_prob,
            greedy_prob: decision.greedy_prob,
            log_z: decision.log_z,
            runner_up: (self.runner_up != NONE).then_some(runner_up),
            token_entropy: self.token_entropy,
            concept_entropy: self.concept_entropy,
        })
    }
}

impl PackedDecision {
    /// What is decided for row `index`.
    pub(crate) fn decision(&self, index: usize) -> Result<Decision, BadRow> {
        if self.status != 0 {
            let has = |bit| self.status & bit != 0;
            let reason = BadRowReason::of(has(STATUS_NAN), has(STATUS_POS_INF));
            return Err(BadRow { row: index, reason });
        }
        Ok(Decision {
            winner: self.winner,
            representative: self.representative,
            greedy: self.greedy,
            mass: self.mass,
            representative_prob: self.representative_prob,
            greedy_prob: self.greedy_prob,
            log_z: self.log_z,
        })
    }
}

impl PackedSampled {
    /// With the slot of the row.
    pub(crate) fn sampled(&self) -> SlotRow {
        let has = |bit| self.status & bit != 0;
        let why = match self.status {
            0 => {
                let sampled = SampledRow { token: self.token, concept: self.concept };
                return (self.slot, Ok(sampled));
            }
            STATUS_NOTHING_ALLOWED => UnsampledRow::NothingAllowed,
            STATUS_NO_MAP => UnsampledRow::NoMap,
            STATUS_NO_SLOT => UnsampledRow::NoSlot,
            STATUS_SLOT_TWICE => UnsampledRow::SlotTwice,
            _ => UnsampledRow::Bad(BadRowReason::of(has(STATUS_NAN), has(STATUS_POS_INF))),
        };
        (self.slot, Err(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row whose every word tells its place.
    fn numbered() -> PackedRow {
        let words: [u32; 12] = std::array::from_fn(|i| if i == 3 { 0 } else { i as u32 });
        bytemuck::cast(words)
    }

    #[test]
    fn the_row_has_the_layout_that_kernels_write() {
        assert_eq!((size_of::<PackedRow>(), align_of::<PackedRow>()), (48, 4));
        let row = numbered().row(0).unwrap();
        assert_eq!((row.winner, row.representative, row.greedy), (0, 1, 2));
        let numbers = [row.mass, row.representative_prob, row.greedy_prob, row.log_z];
        assert_eq!(numbers.map(f32::to_bits), [4, 5, 6, 7]);
        let runner_up = row.runner_up.unwrap();
        assert_eq!((runner_up.concept, runner_up.mass.to_bits()), (8, 9));
        assert_eq!([row.token_entropy, row.concept_entropy].map(f32::to_bits), [10, 11]);
        assert_eq!(numbered().decision.decision(0).unwrap(), row.decision());
    }

    #[test]
    fn sentinels_end_here() {
        let alone = PackedRow { runner_up: NONE, runner_up_mass: 0.0, ..numbered() };
        assert_eq!(alone.row(0).unwrap().runner_up, None);
        for (status, reason) in [
            (1, BadRowReason::Nan),
            (2, BadRowReason::PosInf),
            (3, BadRowReason::NanAndPosInf),
            (4, BadRowReason::AllNegInf),
        ] {
            let decision = PackedDecision { winner: NONE, status, ..numbered().decision };
            let bad = PackedRow { decision, ..numbered() };
            assert_eq!(bad.row(7), Err(BadRow { row: 7, reason }));
            assert_eq!(decision.decision(7), Err(BadRow { row: 7, reason }));
        }
    }
}
