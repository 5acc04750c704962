//! When and where the kernels are loaded. By itself, so that nothing else has loaded them before.
#![cfg(feature = "cuda")]

mod common;

use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::{env, thread};

use candle_core::{DType, Device, Tensor};
use common::*;
use concept_mass::reduce::ReduceError;
use concept_mass::{ConceptMap, Noise, TokenSets};
use cudarc::driver::sys::{
    CUgraphInstantiate_flags as GraphFlags, CUstreamCaptureMode as CaptureMode,
};

const VOCAB_SIZE: usize = 3000;

/// What is captured in the global mode must be alone: it forbids all threads to take memory.
static ALONE: Mutex<()> = Mutex::new(());

fn logits(dtype: DType, device: &Device) -> Tensor {
    let row = Profile::Peaked.row(VOCAB_SIZE, &mut rng(1));
    Tensor::from_vec(row, (1, VOCAB_SIZE), device).unwrap().to_dtype(dtype).unwrap()
}

fn capability() -> (i32, i32) {
    let device = device();
    let stream = device.as_cuda_device().unwrap().cuda_stream();
    stream.context().compute_capability().unwrap()
}

/// On a GPU that is not emulated this is only the other half: that it is not refused.
#[test]
fn a_gpu_that_is_too_old_is_refused() {
    let stream = device().as_cuda_device().unwrap().cuda_stream();
    let is_emulated = stream.context().name().unwrap().starts_with("Emulated");
    for (of_device, is_refused) in [("7.5", true), ("8.0", false)] {
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture", "what_is_too_old_is_refused"])
            .env("CUDA_EMU_CC", of_device)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
        assert_eq!(text.contains("the GPU is refused"), is_refused && is_emulated, "{text}");
    }
}

#[test]
#[ignore = "started by the test above, in a process that emulates another GPU"]
fn what_is_too_old_is_refused() {
    let is_too_old = capability() < (8, 0);
    let map = ConceptMap::singletons(5).unwrap();
    let sets = TokenSets::builder(5).set("p", 1..3).unwrap().build().unwrap();
    for error in [
        map.to_device(&device()).err(),
        sets.to_device(&device()).err(),
        Noise::new(1, &device()).err(),
    ] {
        match error {
            None => assert!(!is_too_old),
            Some(ReduceError::DeviceTooOld { found: (major, minor), needed, .. }) => {
                assert_eq!((major as i32, minor as i32), capability());
                assert_eq!(needed, (8, 0));
                assert!(is_too_old);
                println!("the GPU is refused");
            }
            Some(other) => panic!("{other:?}"),
        }
    }
}

/// All at once, on devices of their own, which share what is loaded; and once more after the last
/// of them is gone.
#[test]
fn threads_load_the_kernels_at_once() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let map = Partition::Sparse.map(VOCAB_SIZE, &mut rng(2));
    let everything = || {
        let device = Device::new_cuda_with_stream(0).unwrap();
        let map = map.to_device(&device).unwrap();
        [DType::F32, DType::BF16].map(|dtype| {
            let logits = logits(dtype, &device);
            let row = map.reduce(&logits).unwrap().rows().unwrap();
            let masses = map.masses(&logits).unwrap().flatten_all().unwrap();
            (all_bits_of(&row), masses.to_vec1::<f32>().unwrap())
        })
    };
    let found: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(everything)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for each in &found {
        assert_eq!(*each, everything());
    }
}

/// No other test here has logits of `f16`, so that the kernels for them are loaded in the capture.
#[test]
fn what_is_not_loaded_is_loaded_in_a_capture() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let device = Device::new_cuda_with_stream(0).unwrap();
    let cuda = device.as_cuda_device().unwrap();
    // SAFETY: all tensors of this test stay on this device's one stream.
    unsafe { cuda.disable_event_tracking() };
    let stream = cuda.cuda_stream();
    let map = Partition::Sparse.map(VOCAB_SIZE, &mut rng(3)).to_device(&device).unwrap();
    let (before, logits) = (logits(DType::F32, &device), logits(DType::F16, &device));
    map.decide(&before).unwrap(); // sets the memory aside that is scratch

    stream.begin_capture(CaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL).unwrap();
    let decided = map.decide(&logits).unwrap();
    let flags = GraphFlags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
    let graph = stream.end_capture(flags).unwrap().expect("a launch was captured");

    graph.launch().unwrap();
    let replayed = decided.rows().unwrap();
    assert_eq!(replayed, map.decide(&logits).unwrap().rows().unwrap());
}
