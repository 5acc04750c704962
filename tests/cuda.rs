//! What only a CUDA device can get wrong: streams, threads, graphs, memory, noise.
#![cfg(feature = "cuda")]

mod common;

use std::thread;

use candle_core::cuda_backend::CudaDevice;
use candle_core::{DType, Device, DeviceLocation, Tensor};
use common::*;
use concept_mass::reduce::{BadRow, NO_TOKEN, ReduceError};
use concept_mass::{ConceptMap, ConceptSampler, DeviceMap, Noise, Row, Sampling};
use cudarc::driver::CudaGraph;
use cudarc::driver::sys::{
    CUgraphInstantiate_flags as GraphFlags, CUstreamCaptureMode as CaptureMode,
};

fn words(rows: &[Result<Row, BadRow>]) -> Vec<u32> {
    all_bits_of(rows)
}

fn logits(profile: Profile, batch: usize, vocab_size: usize, seed: u64) -> Tensor {
    let mut rng = rng(seed);
    let rows: Vec<_> = (0..batch).map(|_| profile.row(vocab_size, &mut rng)).collect();
    Layout::Contiguous.tensor(&rows, vocab_size, DType::BF16).unwrap()
}

/// A map, logits, and all that is found in them, as bits.
fn everything(map: &DeviceMap, logits: &Tensor) -> Vec<u32> {
    let mut noise = Noise::new(5, map.device()).unwrap();
    let mut bits = words(&map.reduce(logits).unwrap().rows().unwrap());
    bits.extend(map.decide(logits).unwrap().tokens().unwrap().to_vec1::<u32>().unwrap());
    bits.extend(map.sample(logits, 0.8, &mut noise).unwrap().to_vec1::<u32>().unwrap());
    for floats in [map.masses(logits).unwrap(), map.pool(logits).unwrap()] {
        let floats = floats.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        bits.extend(floats.into_iter().map(f32::to_bits));
    }
    bits
}

// Sizes.

#[test]
fn a_million_tokens() {
    let vocab_size = 1 << 20;
    let mut rng = rng(1);
    for partition in [Partition::Sparse, Partition::Dense] {
        let map = partition.map(vocab_size, &mut rng);
        let logits = logits(Profile::Peaked, 1, vocab_size, 2);
        let row = map.to_device(&device()).unwrap().reduce(&logits).unwrap().rows().unwrap()[0];
        let exact = &in_f64(&logits)[0];
        let wrong = differences(&map, &row, exact);
        assert!(wrong.is_empty(), "{partition:?}: {wrong:?}");
    }
}

/// More than the second dimension of a grid could count.
#[test]
fn seventy_thousand_rows() {
    let map = ConceptMap::builder(3).unnamed([0, 2]).unwrap().build().unwrap();
    let map = map.to_device(&device()).unwrap();
    let rows: Vec<f32> = (0..70_000).flat_map(|i| [0.0, 1.0, (i % 5) as f32]).collect();
    let logits = Tensor::from_vec(rows, (70_000, 3), &device()).unwrap();
    let tokens = map.decide(&logits).unwrap().tokens().unwrap().to_vec1::<u32>().unwrap();
    let want = |i: usize| if i.is_multiple_of(5) { 1 } else { 2 };
    assert!(tokens.iter().enumerate().all(|(i, &token)| token == want(i)));
}

/// One row seen many times: rows may even lie upon each other.
#[test]
fn a_broadcast_row() {
    let map = Partition::Dense.map(5000, &mut rng(3)).to_device(&device()).unwrap();
    let one = logits(Profile::Peaked, 1, 5000, 3);
    let many = one.broadcast_as((9, 5000)).unwrap();
    let want = map.reduce(&one).unwrap().rows().unwrap();
    let rows = map.reduce(&many).unwrap().rows().unwrap();
    assert!(rows.len() == 9 && rows.iter().all(|row| words(&[*row]) == words(&want)));
}

// Threads and streams.

/// Candle's device has a stream of its own in every thread, so the map is on several at once.
#[test]
fn threads_share_a_map_on_streams_of_their_own() {
    let vocab_size = 9001;
    let map = Partition::EverySize.map(vocab_size, &mut rng(4)).to_device(&device()).unwrap();
    let work = |seed| everything(&map, &logits(Profile::Peaked, 3, vocab_size, seed));
    let alone: Vec<_> = (0..4).map(work).collect();
    for _ in 0..3 {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|seed| scope.spawn(move || work(seed))).collect();
            for (thread, alone) in threads.into_iter().zip(&alone) {
                assert!(thread.join().unwrap() == *alone);
            }
        });
    }
}

#[test]
fn a_map_may_be_dropped_by_another_thread_than_uses_it() {
    let one = logits(Profile::Peaked, 2, 4001, 5);
    let want = {
        let map = Partition::Dense.map(4001, &mut rng(5)).to_device(&device()).unwrap();
        words(&map.reduce(&one).unwrap().rows().unwrap())
    };
    for _ in 0..10 {
        let map = Partition::Dense.map(4001, &mut rng(5)).to_device(&device()).unwrap();
        let reduction = map.reduce(&one).unwrap();
        thread::spawn(move || drop(map)).join().unwrap();
        assert_eq!(words(&reduction.rows().unwrap()), want);
    }
}

#[test]
fn a_map_on_one_device_refuses_logits_of_another() {
    let map = ConceptMap::singletons(4).unwrap();
    let zeros = |device: &Device| Tensor::zeros(4, DType::F32, device).unwrap();
    let other = Device::new_cuda(0).unwrap();
    for (on, logits) in [
        (device(), zeros(&Device::Cpu)),
        (Device::Cpu, zeros(&device())),
        (device(), zeros(&other)),
    ] {
        let error = map.to_device(&on).unwrap().reduce(&logits).unwrap_err();
        assert!(matches!(error, ReduceError::LogitsDevice { .. }), "{error}");
    }
    let mut noise = Noise::new(1, &Device::Cpu).unwrap();
    let on_cuda = map.to_device(&device()).unwrap();
    let error = on_cuda.sample(&zeros(&device()), 1.0, &mut noise).unwrap_err();
    assert!(matches!(error, ReduceError::NoiseDevice { got: DeviceLocation::Cpu, .. }), "{error}");
}

// Graphs.

/// A device whose work can be recorded: with a stream of its own, and no events that wait across
/// the border of a recording.
fn recordable() -> (Device, CudaDevice) {
    let device = Device::new_cuda_with_stream(0).unwrap();
    let cuda = device.as_cuda_device().unwrap().clone();
    // SAFETY: all tensors of these tests stay on this device's one stream.
    unsafe { cuda.disable_event_tracking() };
    (device, cuda)
}

fn record<T>(cuda: &CudaDevice, work: impl FnOnce() -> T) -> (T, CudaGraph) {
    let stream = cuda.cuda_stream();
    stream.begin_capture(CaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).unwrap();
    let result = work();
    let flags = GraphFlags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
    (result, stream.end_capture(flags).unwrap().expect("something was recorded"))
}

#[test]
fn a_decode_step_replays_from_a_graph_over_changing_logits() {
    let (device, cuda) = recordable();
    for partition in [Partition::Sparse, Partition::EverySize] {
        let vocab_size = 20_001;
        let map = partition.map(vocab_size, &mut rng(6)).to_device(&device).unwrap();
        let new_logits = |seed: u64| {
            let rows: Vec<_> = (0..2)
                .flat_map(|i| Profile::Peaked.row(vocab_size, &mut rng(2 * seed + i)))
                .collect();
            Tensor::from_vec(rows, (2, vocab_size), &device).unwrap()
        };
        let logits = new_logits(0);
        let mut noise = Noise::new(8, &device).unwrap();
        let mut step = || {
            let tokens = map.decide(&logits).unwrap().tokens().unwrap();
            let rows = map.reduce(&logits).unwrap();
            (tokens, rows, map.sample(&logits, 1.0, &mut noise).unwrap())
        };
        step(); // sets the memory aside that recording cannot
        let ((tokens, rows, drawn), graph) = record(&cuda, &mut step);

        let mut same_noise = Noise::new(8, &device).unwrap();
        map.sample(&logits, 1.0, &mut same_noise).unwrap();
        let mut draws = Vec::new();
        for seed in 1..6 {
            let new = new_logits(seed);
            logits.slice_set(&new, 0, 0).unwrap();
            graph.launch().unwrap();
            let want = map.reduce(&new).unwrap().rows().unwrap();
            assert_eq!(words(&rows.rows().unwrap()), words(&want), "{partition:?} {seed}");
            let winners: Vec<u32> = want.iter().map(|row| row.unwrap().representative).collect();
            assert_eq!(tokens.to_vec1::<u32>().unwrap(), winners);
            let drawn = drawn.to_vec1::<u32>().unwrap();
            let want = map.sample(&new, 1.0, &mut same_noise).unwrap().to_vec1::<u32>().unwrap();
            assert_eq!(drawn, want, "each replay draws with noise of its own");
            draws.push(drawn);
        }
        draws.dedup();
        assert!(draws.len() > 1);
    }
}

#[test]
fn a_graph_outlives_what_the_workspace_outgrows() {
    let (device, cuda) = recordable();
    let map = Partition::Sparse.map(3000, &mut rng(7)).to_device(&device).unwrap();
    let zeros = |rows| Tensor::zeros((rows, 3000), DType::F32, &device).unwrap();
    let one = zeros(1);
    map.decide(&one).unwrap();
    let (found, graph) = record(&cuda, || map.decide(&one).unwrap());
    // Larger batches need a larger workspace; other memory takes the place of what is freed.
    for rows in [10, 1000] {
        map.decide(&zeros(rows)).unwrap();
    }
    let _other: Vec<_> = (0..50).map(|_| zeros(7)).collect();
    let new = Tensor::new(Profile::Peaked.row(3000, &mut rng(8)), &device).unwrap();
    one.slice_set(&new.unsqueeze(0).unwrap(), 0, 0).unwrap();
    graph.launch().unwrap();
    let want = map.decide(&new).unwrap().rows().unwrap();
    assert_eq!(found.rows().unwrap(), want);
}

#[test]
fn recording_what_was_never_done_is_refused() {
    let (device, cuda) = recordable();
    let map = ConceptMap::singletons(100).unwrap().to_device(&device).unwrap();
    let logits = Tensor::zeros((3, 100), DType::F32, &device).unwrap();
    let (result, _) = record(&cuda, || {
        let result = map.decide(&logits);
        let _something = logits.affine(1.0, 1.0).unwrap();
        result
    });
    assert!(matches!(result, Err(ReduceError::CaptureBeforeUse)), "{result:?}");
    assert_eq!(
        map.decide(&logits).unwrap().rows().unwrap()[2].unwrap().greedy,
        0,
        "all is well after it"
    );
}

// Noise.

#[test]
fn the_cpu_draws_the_same_from_the_same_seed() {
    let vocab_size = 5000;
    for partition in PARTITIONS {
        let map = partition.map(vocab_size, &mut rng(10));
        let logits = logits(Profile::Peaked, 40, vocab_size, 11);
        let draws = |device: &Device| {
            let mut noise = Noise::new(0x1234_5678_9abc_def0, device).unwrap();
            let map = map.to_device(device).unwrap();
            let logits = logits.to_device(device).unwrap();
            let draw = |_| map.sample(&logits, 0.9, &mut noise).unwrap().to_vec1::<u32>().unwrap();
            (0..3).flat_map(draw).collect::<Vec<_>>()
        };
        let (cpu, cuda) = (draws(&Device::Cpu), draws(&device()));
        // Their sums differ in the last bits, so that a near tie may go either way.
        let differ = cpu.iter().zip(&cuda).filter(|(a, b)| a != b).count();
        assert!(differ <= 1, "{partition:?}: {differ} of {}", cpu.len());
    }
}

#[test]
fn draws_follow_the_masses_and_the_temperature() {
    let probabilities = [0.24f32, 0.13, 0.12, 0.31, 0.2];
    let map = ConceptMap::builder(5).unnamed([0, 1, 2]).unwrap().build().unwrap();
    let map = map.to_device(&device()).unwrap();
    let batch = 20_000;
    let row = Tensor::new(&probabilities.map(f32::ln), &device()).unwrap();
    let logits = row.broadcast_as((batch, 5)).unwrap();
    for temperature in [1.0, 0.5] {
        let mut noise = Noise::new(12, &device()).unwrap();
        let drawn = map.sample(&logits, temperature, &mut noise).unwrap().to_vec1::<u32>().unwrap();
        let weights = [0.49, 0.0, 0.0, 0.31, 0.2].map(|p: f64| p.powf(1.0 / temperature));
        for (token, weight) in (0..).zip(weights) {
            let want = weight / weights.iter().sum::<f64>();
            let got = drawn.iter().filter(|&&t| t == token).count() as f64 / batch as f64;
            // Five standard deviations.
            let deviation = (want * (1.0 - want) / batch as f64).sqrt();
            assert!((got - want).abs() <= 5.0 * deviation, "{token} at {temperature}: {got}");
        }
    }
}

#[test]
fn rows_that_cannot_be_drawn_from_say_so() {
    let map = ConceptMap::builder(3).unnamed([0, 2]).unwrap().build().unwrap();
    let map = map.to_device(&device()).unwrap();
    let inf = f32::INFINITY;
    let rows = [[0f32, 1.0, f32::NAN], [-inf; 3], [0.0, inf, 0.0], [-inf, -3.0, -inf]];
    let logits = Tensor::new(&rows, &device()).unwrap();
    let mut noise = Noise::new(1, &device()).unwrap();
    let drawn = map.sample(&logits, 1.0, &mut noise).unwrap().to_vec1::<u32>().unwrap();
    assert_eq!(drawn, [NO_TOKEN, NO_TOKEN, NO_TOKEN, 1]);
    let sampling = Sampling::GumbelSoftmax { temperature: 1.0 };
    let mut sampler = ConceptSampler::from_sampling(1, sampling, map).unwrap();
    let mut sample = |row| sampler.sample(&logits.get(row).unwrap());
    let error = sample(0).unwrap_err();
    assert_eq!(sample(3).unwrap(), 1);
    assert_eq!(error.to_string(), "row 0 of the logits has no winner: it holds NaN");
}
