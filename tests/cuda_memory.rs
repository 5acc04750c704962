//! By itself, since the other tests take memory at the same time.
#![cfg(feature = "cuda")]

mod common;

use candle_core::{DType, Tensor};
use common::*;
use concept_mass::{Noise, TokenSets};

#[test]
fn a_thousand_calls_leave_the_memory_as_it_was() {
    let stream = device().as_cuda_device().unwrap().cuda_stream();
    let map = Partition::EverySize.map(700, &mut rng(9)).to_device(&device()).unwrap();
    let sets = TokenSets::builder(700).set("p", 5..60).unwrap().build().unwrap();
    let sets = sets.to_device(&device()).unwrap();
    let logits = Tensor::zeros((2, 700), DType::F16, &device()).unwrap();
    let mut noise = Noise::new(1, &device()).unwrap();
    let mut call = || {
        map.reduce(&logits).unwrap();
        map.masses(&logits).unwrap();
        map.pool(&logits).unwrap();
        map.sample(&logits, 1.0, &mut noise).unwrap();
        sets.measure(&logits).unwrap();
        stream.synchronize().unwrap();
    };
    call();
    let before = stream.context().mem_get_info().unwrap();
    (0..200).for_each(|_| call());
    assert_eq!(stream.context().mem_get_info().unwrap(), before);
}
