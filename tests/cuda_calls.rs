//! Decisions whose calls of the CUDA driver scripts/driver-calls.sh counts: those between the start
//! and the stop of a profiler. Without the script it only runs.
#![cfg(feature = "cuda")]

mod common;

use candle_core::{DType, Device, Tensor};
use common::*;
use concept_mass::reduce::Decisions;
use cudarc::driver::safe::{profiler_start, profiler_stop};

const DECISIONS: usize = 10;

type Use = fn(Decisions);

/// What becomes of a decision, by name.
const USES: [(&str, Use); 4] = [
    ("dropped", drop),
    ("rows read", |decisions| drop(decisions.rows().unwrap())),
    ("tokens taken", |decisions| drop(decisions.tokens().unwrap())),
    ("tokens read", |decisions| drop(decisions.tokens().unwrap().to_vec1::<u32>().unwrap())),
];

/// A device, its name, and how many calls each of [`USES`] may take.
fn devices() -> [(&'static str, Device, [usize; 4]); 3] {
    let untracked = Device::new_cuda_with_stream(0).unwrap();
    // SAFETY: its tensors stay on its stream.
    unsafe { untracked.as_cuda_device().unwrap().disable_event_tracking() };
    [
        ("one stream, tracked", Device::new_cuda_with_stream(0).unwrap(), [14, 20, 31, 37]),
        ("one stream, not tracked", untracked, [4, 6, 9, 11]),
        ("streams of threads", Device::new_cuda(0).unwrap(), [4, 6, 17, 19]),
    ]
}

#[test]
fn decisions_call_the_driver() {
    let mut rng = rng(1);
    let map = Partition::EverySize.map(5000, &mut rng);
    let row = Profile::Peaked.row(5000, &mut rng);
    for (name, device, bounds) in devices() {
        let map = map.to_device(&device).unwrap();
        let logits = Tensor::new(&row[..], &device).unwrap().to_dtype(DType::BF16).unwrap();
        for ((is, use_it), bound) in USES.into_iter().zip(bounds) {
            // What is made at the first call only, and what one use leaves for the next.
            (0..3).for_each(|_| use_it(map.decide(&logits).unwrap()));
            eprintln!("\ncounted: {name}: {is}: {DECISIONS}: {bound}");
            profiler_start().unwrap();
            (0..DECISIONS).for_each(|_| use_it(map.decide(&logits).unwrap()));
            profiler_stop().unwrap();
        }
    }
}
