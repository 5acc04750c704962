//! CUDA graphs: what they own, what they keep alive, and what may go on beside a capture.
#![cfg(feature = "cuda")]

mod common;
mod cuda_graphs {
    mod steps;
}

use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use candle_core::cuda_backend::CudaDevice;
use candle_core::{DType, Device, Tensor};
use concept_mass::{ConceptMap, DeviceMap, Noise, TokenSets};
use cudarc::driver::CudaGraph;
use cudarc::driver::sys::{
    CUgraphInstantiate_flags as GraphFlags, CUstreamCaptureMode as CaptureMode,
};

use common::*;

const GLOBAL: CaptureMode = CaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL;
const THREAD_LOCAL: CaptureMode = CaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
const RELAXED: CaptureMode = CaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;

/// Lets one test after the other run: cudarc synchronises the context when it makes a device with a
/// stream, which ends every capture.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A device whose work can be captured: with a stream of its own, and no events that wait across
/// the border of a capture.
fn capturable() -> (Device, CudaDevice) {
    let device = Device::new_cuda_with_stream(0).unwrap();
    let cuda = device.as_cuda_device().unwrap().clone();
    // SAFETY: all tensors of these tests stay on this device's one stream.
    unsafe { cuda.disable_event_tracking() };
    (device, cuda)
}

fn capture_in<T>(mode: CaptureMode, cuda: &CudaDevice, work: impl FnOnce() -> T) -> (T, CudaGraph) {
    let stream = cuda.cuda_stream();
    stream.begin_capture(mode).unwrap();
    let result = work();
    let flags = GraphFlags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
    (result, stream.end_capture(flags).unwrap().expect("something was captured"))
}

fn capture<T>(cuda: &CudaDevice, work: impl FnOnce() -> T) -> (T, CudaGraph) {
    capture_in(THREAD_LOCAL, cuda, work)
}

fn peaked(batch: usize, vocab_size: usize, seed: u64, device: &Device) -> Tensor {
    let mut rng = rng(seed);
    let rows: Vec<f32> =
        (0..batch).flat_map(|_| Profile::Peaked.row(vocab_size, &mut rng)).collect();
    Tensor::from_vec(rows, (batch, vocab_size), device).unwrap()
}

fn map_on(device: &Device) -> DeviceMap {
    Partition::EverySize.map(5000, &mut rng(6)).to_device(device).unwrap()
}

/// Nothing has been done on the device before the capture.
#[test]
fn a_decode_step_replays_from_a_graph_over_changing_logits() {
    let _alone = alone();
    for partition in [Partition::Sparse, Partition::EverySize] {
        let (device, cuda) = capturable();
        let vocab_size = 20_001;
        let map = partition.map(vocab_size, &mut rng(6)).to_device(&device).unwrap();
        let new_logits = |seed: u64| peaked(2, vocab_size, seed, &device);
        let logits = new_logits(0);
        let mut noise = Noise::new(8, &device).unwrap();
        let ((tokens, rows, drawn), graph) = capture(&cuda, || {
            let tokens = map.decide(&logits).unwrap().tokens().unwrap();
            let rows = map.reduce(&logits).unwrap();
            drop(map.reduce(&logits).unwrap()); // which the graph frees
            (tokens, rows, map.sample(&logits, 1.0, &mut noise).unwrap())
        });

        let mut same_noise = Noise::new(8, &device).unwrap();
        let mut draws = Vec::new();
        for seed in 1..6 {
            let new = new_logits(seed);
            logits.slice_set(&new, 0, 0).unwrap();
            graph.launch().unwrap();
            let want = map.reduce(&new).unwrap().rows().unwrap();
            assert_eq!(
                all_bits_of(&rows.rows().unwrap()),
                all_bits_of(&want),
                "{partition:?} {seed}"
            );
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
fn a_graph_has_scratch_memory_of_its_own() {
    let _alone = alone();
    let (device, cuda) = capturable();
    let map = Partition::Sparse.map(3000, &mut rng(7)).to_device(&device).unwrap();
    let zeros = |rows| Tensor::zeros((rows, 3000), DType::F32, &device).unwrap();
    let one = zeros(1);
    let (found, graph) = capture(&cuda, || map.decide(&one).unwrap());
    // Other memory takes the place of what is freed.
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
fn anything_is_dropped_during_a_capture() {
    let _alone = alone();
    let token_sets = TokenSets::builder(5000).set("p", 5..600).unwrap().build().unwrap();
    for mode in [GLOBAL, THREAD_LOCAL, RELAXED] {
        let (device, cuda) = capturable();
        let map = map_on(&device);
        let logits = peaked(3, 5000, 1, &device);
        let want = all_bits_of(&map.reduce(&logits).unwrap().rows().unwrap());
        let things = || {
            let (map, sets) = (map_on(&device), token_sets.to_device(&device).unwrap());
            let mut noise = Noise::new(2, &device).unwrap();
            sets.measure(&logits).unwrap();
            map.sample(&logits, 1.0, &mut noise).unwrap();
            let reduction = map.reduce(&logits).unwrap();
            (map, sets, noise, reduction)
        };
        let (here, there) = (things(), things());
        let threads = Device::new_cuda(0).unwrap();
        let (reduction, graph) = capture_in(mode, &cuda, || {
            let reduction = map.reduce(&logits).unwrap();
            drop(here);
            thread::scope(|scope| {
                scope.spawn(|| drop(there));
                scope.spawn(|| {
                    let map = map_on(&threads);
                    let logits = peaked(2, 5000, 2, &threads);
                    let decisions = map.decide(&logits).unwrap();
                    drop(map);
                    thread::scope(|scope| scope.spawn(|| drop(decisions)).join().unwrap());
                });
            });
            reduction
        });
        graph.launch().unwrap();
        assert_eq!(all_bits_of(&reduction.rows().unwrap()), want, "{mode:?}");
        assert_eq!(all_bits_of(&map.reduce(&logits).unwrap().rows().unwrap()), want, "{mode:?}");
    }
}

/// A graph that is launched on the stream of whoever launches it.
struct Moved(CudaGraph);

// SAFETY: one thread at a time has it.
unsafe impl Send for Moved {}

impl Moved {
    fn launch(&self) {
        self.0.launch().unwrap();
    }
}

#[test]
fn threads_capture_at_the_same_time_and_end_before_the_replay() {
    let _alone = alone();
    let device = Device::new_cuda(0).unwrap();
    let map = map_on(&device);
    let barrier = Barrier::new(2);
    let work = |seed| {
        let cuda = device.as_cuda_device().unwrap();
        let logits = peaked(3, 5000, seed, &device);
        // The logits are read on another thread later.
        cuda.cuda_stream().synchronize().unwrap();
        let (found, graph) = capture(cuda, || {
            barrier.wait();
            let found = (map.reduce(&logits).unwrap(), map.decide(&logits).unwrap());
            barrier.wait();
            found
        });
        (logits, found, Moved(graph))
    };
    let captured = thread::scope(|scope| {
        let threads = [1, 2].map(|seed| scope.spawn(move || work(seed)));
        threads.map(|thread| thread.join().unwrap())
    });
    for _ in 0..2 {
        captured.iter().for_each(|(_, _, graph)| graph.launch());
        for (logits, (reduction, decisions), _) in &captured {
            let want = map.reduce(logits).unwrap().rows().unwrap();
            assert_eq!(all_bits_of(&reduction.rows().unwrap()), all_bits_of(&want));
            assert_eq!(decisions.rows().unwrap(), map.decide(logits).unwrap().rows().unwrap());
        }
    }
}

#[test]
fn a_graph_keeps_what_it_reads() {
    let _alone = alone();
    let (device, cuda) = capturable();
    let token_sets = TokenSets::builder(5000).set("p", 5..600).unwrap().build().unwrap();
    let logits = peaked(3, 5000, 1, &device);
    let all = || {
        let (map, sets) = (map_on(&device), token_sets.to_device(&device).unwrap());
        let mut noise = Noise::new(2, &device).unwrap();
        let masses = sets.measure(&logits).unwrap().masses;
        (map.reduce(&logits).unwrap(), map.sample(&logits, 1.0, &mut noise).unwrap(), masses)
    };
    let memory = || {
        cuda.cuda_stream().synchronize().unwrap();
        cuda.cuda_stream().context().mem_get_info().unwrap().0
    };
    let (rows, drawn, masses) = all();
    let want = all_bits_of(&rows.rows().unwrap());
    let (want_drawn, want_masses) = (drawn.to_vec1::<u32>(), masses.to_vec2::<f32>());
    drop((rows, drawn, masses));
    let before = memory();
    // The maps are made before the capture, and dropped before the replay.
    let (map, sets) = (map_on(&device), token_sets.to_device(&device).unwrap());
    let mut noise = Noise::new(2, &device).unwrap();
    let ((rows, drawn, masses), graph) = capture(&cuda, || {
        let masses = sets.measure(&logits).unwrap().masses;
        (map.reduce(&logits).unwrap(), map.sample(&logits, 1.0, &mut noise).unwrap(), masses)
    });
    drop((map, sets, noise));
    let other: Vec<_> = (0..50).map(|_| Tensor::ones(5000, DType::F32, &device)).collect();
    graph.launch().unwrap();
    assert_eq!(all_bits_of(&rows.rows().unwrap()), want);
    assert_eq!(drawn.to_vec1::<u32>().unwrap(), want_drawn.unwrap());
    assert_eq!(masses.to_vec2::<f32>().unwrap(), want_masses.unwrap());
    drop((rows, drawn, masses, graph, other));
    // The driver gives it up on a thread of its own, and the next operation frees it.
    let start = Instant::now();
    let one = ConceptMap::singletons(5000).unwrap().to_device(&device).unwrap();
    while {
        one.decide(&logits).unwrap();
        memory() + (1 << 20) < before
    } {
        assert!(start.elapsed() < Duration::from_secs(10), "nothing is freed");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn noise_grows_in_a_capture() {
    let _alone = alone();
    let (device, cuda) = capturable();
    let map = map_on(&device);
    let logits = peaked(600, 5000, 1, &device);
    let few = logits.narrow(0, 0, 3).unwrap();
    let draw = |logits: &Tensor, noise: &mut Noise| map.sample(logits, 1.0, noise).unwrap();
    let mut noise = Noise::new(4, &device).unwrap();
    draw(&few, &mut noise);
    let ((small, large), graph) = capture(&cuda, || {
        let small = draw(&few, &mut noise); // from what is then outgrown
        (small, draw(&logits, &mut noise))
    });
    graph.launch().unwrap();
    let mut same = Noise::new(4, &device).unwrap();
    draw(&few, &mut same);
    let want = draw(&few, &mut same).to_vec1::<u32>().unwrap();
    assert_eq!(small.to_vec1::<u32>().unwrap(), want);
    let mut same = Noise::new(4, &device).unwrap();
    draw(&few, &mut same);
    let want = |same: &mut Noise| draw(&logits, same).to_vec1::<u32>().unwrap();
    assert_eq!(large.to_vec1::<u32>().unwrap(), want(&mut same));
    assert_eq!(draw(&logits, &mut noise).to_vec1::<u32>().unwrap(), want(&mut same));
}

/// What is given up half-way leaves nothing that a later operation, or a later capture, could trip
/// over.
#[test]
fn a_capture_that_fails_leaves_no_trace() {
    let _alone = alone();
    let (device, cuda) = capturable();
    let map = map_on(&device);
    let logits = peaked(3, 5000, 1, &device);
    let want = all_bits_of(&map.reduce(&logits).unwrap().rows().unwrap());
    let stream = cuda.cuda_stream();
    for _ in 0..3 {
        stream.begin_capture(THREAD_LOCAL).unwrap();
        let reduction = map.reduce(&logits).unwrap();
        // Waiting for a stream that is captured is an error of the capture.
        assert!(stream.synchronize().is_err());
        let error = map.reduce(&logits).unwrap_err().to_string();
        assert!(error.contains("failed to"), "{error}");
        let flags = GraphFlags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
        assert!(stream.end_capture(flags).is_err());
        drop(reduction);
        assert_eq!(all_bits_of(&map.reduce(&logits).unwrap().rows().unwrap()), want);
        let (reduction, graph) = capture(&cuda, || map.reduce(&logits).unwrap());
        graph.launch().unwrap();
        assert_eq!(all_bits_of(&reduction.rows().unwrap()), want);
    }
}
