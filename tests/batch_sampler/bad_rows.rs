//! Rows that hold what no logit can be, wherever that is.

use candle_core::{DType, Tensor};
use concept_mass::MapSet;
use concept_mass::reduce::{BadRowReason, ReduceError};
use concept_mass::sample::{BatchSampler, Penalties, RowState, SampleError};
use rand::Rng;

use crate::common::chain::Request;
use crate::common::*;

const V: usize = 2500;

/// Pooled or alone, seen, banned or neither: one NaN spoils the row, and `+inf` as well.
#[test]
fn one_bad_logit_spoils_the_row_wherever_it_is() {
    let mut rng = rng(1);
    let penalties = Penalties { repetition: 1.2, presence: 0.1, frequency: 0.0 };
    let requests = [
        Request::at(0.0),
        Request::at(1.0),
        Request::at(0.7),
        Request { top_p: 0.9, ..Request::at(1.0) },
        Request { top_p: 0.9, ..Request::at(0.7) },
        Request { top_k: Some(5), penalties, ..Request::at(1.3) },
        Request { min_p: 0.1, pooling: false, ..Request::at(1.0) },
    ];
    for partition in [Partition::Singletons, Partition::Sparse, Partition::Dense, Partition::Giant]
    {
        let mut maps = MapSet::new(V, 1, &device()).unwrap();
        let id = maps.insert(&partition.map(V, &mut rng)).unwrap();
        let mut sampler = BatchSampler::new(maps, requests.len()).unwrap();
        for (slot, request) in requests.iter().enumerate() {
            let seen = (0..V as u32).step_by(3).map(|token| (token, 1));
            sampler.start(slot, request.params(), Some(id), RowState::new(0, seen)).unwrap();
        }
        let slots = sampler.slots(&(0..requests.len()).collect::<Vec<_>>()).unwrap();
        let mask = vec![0x5555_ffffu32; requests.len() * V.div_ceil(32)];
        let mask = Tensor::from_vec(mask, (requests.len(), V.div_ceil(32)), &device()).unwrap();
        for (bad, reason) in [(f32::NAN, BadRowReason::Nan), (f32::INFINITY, BadRowReason::PosInf)]
        {
            for masked in [false, true] {
                let row = |_| {
                    let mut row = Profile::Peaked.row(V, &mut rng);
                    row[rng.random_range(0..V)] = bad;
                    row
                };
                let rows: Vec<Vec<f32>> = requests.iter().map(row).collect();
                let logits = Layout::Contiguous.tensor(&rows, V, DType::BF16).unwrap();
                let sampled = sampler.sample(&logits, &slots, masked.then_some(&mask)).unwrap();
                for (i, row) in sampled.rows().unwrap().into_iter().enumerate() {
                    let Err(SampleError::Reduce(ReduceError::BadRow(is))) = row else {
                        panic!("{partition:?}, request {i}: {row:?}")
                    };
                    assert_eq!((is.row, is.reason), (i, reason), "{partition:?}");
                }
            }
        }
        for slot in 0..requests.len() {
            assert_eq!(sampler.state(slot).unwrap().step(), 0);
        }
    }
}
