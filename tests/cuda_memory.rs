//! By itself, since the other tests take memory at the same time.
#![cfg(feature = "cuda")]

mod common;

use std::thread;

use candle_core::{DType, Device, Tensor};
use common::*;
use concept_mass::{Noise, TokenSets};

#[test]
fn the_memory_is_as_it_was() {
    a_thousand_calls_leave_it();
    threads_and_devices_leave_it();
}

fn a_thousand_calls_leave_it() {
    let stream = device().as_cuda_device().unwrap().cuda_stream();
    let map = Partition::EverySize.map(700, &mut rng(9)).to_device(&device()).unwrap();
    let sets = TokenSets::builder(700).set("p", 5..60).unwrap().build().unwrap();
    let sets = sets.to_device(&device()).unwrap();
    let logits = Tensor::zeros((2, 700), DType::F16, &device()).unwrap();
    let mut noise = Noise::new(1, &device()).unwrap();
    let mut call = || {
        map.reduce(&logits).unwrap();
        map.decide(&logits).unwrap().tokens().unwrap();
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

/// Whatever is dropped last: a result, the device, or the thread.
fn threads_and_devices_leave_it() {
    let context = device().as_cuda_device().unwrap().cuda_stream().context().clone();
    let elsewhere = |device: Device| {
        let map = Partition::EverySize.map(700, &mut rng(9)).to_device(&device).unwrap();
        let logits = Tensor::zeros((2, 700), DType::F16, &device).unwrap();
        drop(map.decide(&logits).unwrap());
        let (taken, last) = (map.decide(&logits).unwrap(), map.reduce(&logits).unwrap());
        let tokens = taken.tokens().unwrap();
        drop((map, logits, device, taken, tokens));
        last
    };
    let devices = || [Device::new_cuda(0).unwrap(), Device::new_cuda_with_stream(0).unwrap()];
    let memory_after = || {
        for device in devices() {
            let last = thread::scope(|scope| scope.spawn(|| elsewhere(device)).join().unwrap());
            assert_eq!(last.rows().unwrap().len(), 2);
        }
        context.synchronize().unwrap();
        context.mem_get_info().unwrap()
    };
    let before = memory_after();
    (0..20).for_each(|_| assert_eq!(memory_after(), before));
}
