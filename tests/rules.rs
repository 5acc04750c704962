//! The rules of the result, each a named test.

mod common;

mod rules {
    use candle_core::{DType, DeviceLocation, IndexOp, Tensor};
    use concept_mass::reduce::{BadRowReason, NO_TOKEN, ReduceError};
    use concept_mass::{ConceptMap, DeviceMap, Noise, Row, TokenSets, reference};
    use rand::Rng;

    use crate::common::*;

    mod bad_rows;
    mod decisions;
    mod determinism;
    mod draws;
    mod shapes;
    mod ties;

    fn on_device(map: &ConceptMap) -> DeviceMap {
        map.to_device(&device()).unwrap()
    }

    fn row_of(map: &ConceptMap, logits: &[f32]) -> Row {
        let logits = Tensor::new(logits, &device()).unwrap();
        on_device(map).reduce(&logits).unwrap().rows().unwrap()[0].unwrap()
    }

    fn runner_up(row: &Row) -> Option<u32> {
        row.runner_up.map(|runner_up| runner_up.concept)
    }
}
