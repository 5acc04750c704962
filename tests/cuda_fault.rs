//! By itself, since a kernel's fault is the end of all work on its GPU in this process.
#![cfg(feature = "cuda")]

mod common;

use candle_core::cuda_backend::cudarc::driver::LaunchConfig;
use candle_core::{DType, Tensor};
use common::*;
use concept_mass::{Noise, TokenSets, reduce::ReduceError};

/// Writes to where nothing is.
const FAULTY: &str = "
.version 7.0
.target sm_80
.address_size 64
.visible .entry faulty() {
    .reg .b64 %address;
    .reg .b32 %value;
    mov.u64 %address, 64;
    mov.u32 %value, 1;
    st.global.u32 [%address], %value;
    ret;
}
";

/// Scratch memory may then hold anything. No operation computes with it: each says that the device has
/// failed, also those whose results were made before, and dropping them is no panic.
#[test]
fn after_a_kernels_fault_every_operation_is_an_error() {
    let map = Partition::EverySize.map(700, &mut rng(9)).to_device(&device()).unwrap();
    let sets = TokenSets::builder(700).set("p", 5..60).unwrap().build().unwrap();
    let sets = sets.to_device(&device()).unwrap();
    let logits = Tensor::zeros((2, 700), DType::F32, &device()).unwrap();
    let mut noise = Noise::new(1, &device()).unwrap();
    let before = map.reduce(&logits).unwrap();
    map.sample(&logits, 0.7, &mut noise).unwrap();

    let gpu = device().as_cuda_device().unwrap().clone();
    let faulty = gpu.get_or_load_custom_func("faulty", "faulty", FAULTY).unwrap();
    let one = LaunchConfig { grid_dim: (1, 1, 1), block_dim: (1, 1, 1), shared_mem_bytes: 0 };
    // SAFETY: it takes no arguments, and the driver is to find that its address is nobody's.
    let launched = unsafe { faulty.builder().launch(one) };
    let is_lost = launched.is_err() || gpu.cuda_stream().synchronize().is_err();
    assert!(is_lost, "the driver should have noticed");

    for _ in 0..2 {
        let is_error = |error: Option<ReduceError>| {
            let error = error.expect("nothing can be computed");
            assert!(
                matches!(error, ReduceError::DeviceFailed { .. } | ReduceError::Candle(_)),
                "{error}"
            );
        };
        is_error(before.rows().err());
        is_error(map.reduce(&logits).and_then(|rows| rows.rows()).err());
        is_error(map.decide(&logits).and_then(|rows| rows.rows()).err());
        is_error(map.masses(&logits).err());
        is_error(map.pool(&logits).err());
        is_error(map.sample(&logits, 0.7, &mut noise).err());
        is_error(sets.measure(&logits).err());
        is_error(map.map().clone().to_device(&device()).err());
    }
    drop((before, map, sets, noise));
}
