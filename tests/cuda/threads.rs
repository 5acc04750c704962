//! What is made on one thread and read, moved on or dropped on another. `Device::new_cuda` has a
//! stream of its own in every thread, and nothing but this crate orders its results between them.

use std::sync::{Barrier, mpsc};
use std::thread;

use candle_core::{Device, Tensor};
use concept_mass::reduce::Decisions;
use concept_mass::{ConceptSampler, DeviceMap, Noise, Sampling, TokenSets};

use crate::common::*;
use crate::{everything, words};

const VOCAB_SIZE: usize = 9001;

/// A new candle device, whose memory no other test uses.
fn of_threads() -> Device {
    Device::new_cuda(0).unwrap()
}

fn map_on(device: &Device, seed: u64) -> DeviceMap {
    Partition::EverySize.map(VOCAB_SIZE, &mut rng(seed)).to_device(device).unwrap()
}

/// Logits that are only sure to be there for the thread that asks.
fn logits_on(device: &Device, batch: usize, seed: u64) -> Tensor {
    let mut rng = rng(seed);
    let rows: Vec<f32> =
        (0..batch).flat_map(|_| Profile::Peaked.row(VOCAB_SIZE, &mut rng)).collect();
    Tensor::from_vec(rows, (batch, VOCAB_SIZE), device).unwrap()
}

/// Runs it on a thread that then ends.
fn elsewhere<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(work).join().unwrap())
}

/// Four threads use one map, and find what each of them finds alone.
fn threads_share_a_map_on(device: &Device) {
    let map = map_on(device, 4);
    let work = |seed| everything(&map, &logits_on(map.device(), 3, seed));
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
fn threads_share_a_map_on_streams_of_their_own() {
    threads_share_a_map_on(&of_threads());
}

#[test]
fn threads_share_a_map_on_one_stream() {
    threads_share_a_map_on(&Device::new_cuda_with_stream(0).unwrap());
}

#[test]
fn results_are_read_on_another_thread() {
    let device = of_threads();
    let map = map_on(&device, 1);
    let logits = logits_on(&device, 8, 2);
    let want = words(&map.reduce(&logits).unwrap().rows().unwrap());
    let reduction = map.reduce(&logits).unwrap();
    let decisions = map.decide(&logits).unwrap();
    elsewhere(|| {
        assert_eq!(words(&reduction.rows().unwrap()), want);
        assert_eq!(words(&reduction.clone().rows().unwrap()), want);
        let tokens = decisions.tokens().unwrap().to_vec1::<u32>().unwrap();
        let rows = decisions.rows().unwrap();
        let of_rows: Vec<_> = rows.iter().map(|row| row.unwrap().representative).collect();
        assert_eq!(tokens, of_rows);
    });
    assert_eq!(words(&reduction.rows().unwrap()), want);
}

#[test]
fn results_are_read_when_the_thread_that_made_them_has_ended() {
    let device = of_threads();
    let map = map_on(&device, 1);
    let made = || map.reduce(&logits_on(&device, 8, 2)).unwrap();
    let want = words(&made().rows().unwrap());
    let reductions: Vec<_> = (0..3).map(|_| elsewhere(made)).collect();
    for reduction in reductions {
        assert_eq!(words(&reduction.rows().unwrap()), want);
    }
}

#[test]
fn results_are_dropped_on_another_thread() {
    let device = of_threads();
    let map = map_on(&device, 1);
    let logits = logits_on(&device, 8, 2);
    for _ in 0..4 {
        let (reduction, decisions) = (map.reduce(&logits).unwrap(), map.decide(&logits).unwrap());
        elsewhere(|| {
            drop((reduction, decisions));
            // What is freed too early is now somebody else's.
            everything(&map, &logits_on(&device, 8, 3))
        });
    }
    let want = elsewhere(|| everything(&map, &logits_on(&device, 8, 2)));
    assert!(everything(&map, &logits) == want);
}

#[test]
fn noise_is_moved_between_threads() {
    let device = of_threads();
    let map = map_on(&device, 1);
    let batches = [3, 300, 5, 700, 1];
    let draw = |noise: &mut Noise, batch| {
        let logits = logits_on(&device, batch, batch as u64);
        map.sample(&logits, 0.9, noise).unwrap().to_vec1::<u32>().unwrap()
    };
    let mut alone = Noise::new(6, &device).unwrap();
    let want: Vec<_> = batches.iter().map(|&batch| draw(&mut alone, batch)).collect();
    let mut moved = Noise::new(6, &device).unwrap();
    for (&batch, want) in batches.iter().zip(&want) {
        assert_eq!(elsewhere(|| draw(&mut moved, batch)), *want);
    }
    // Unread, and so still running when the noise moves on.
    let (mut alone, mut moved) = (Noise::new(7, &device).unwrap(), Noise::new(7, &device).unwrap());
    let logits = logits_on(&device, 4, 1);
    for _ in 0..2 {
        map.sample(&logits, 0.9, &mut alone).unwrap();
    }
    let _first = map.sample(&logits, 0.9, &mut moved).unwrap();
    elsewhere(|| drop(map.sample(&logits_on(&device, 4, 1), 0.9, &mut moved).unwrap()));
    assert_eq!(draw(&mut moved, 4), draw(&mut alone, 4));
}

#[test]
fn samplers_are_moved_between_threads() {
    let device = of_threads();
    let map = map_on(&device, 1);
    for sampling in [Sampling::ArgMax, Sampling::GumbelSoftmax { temperature: 0.9 }] {
        let new = || ConceptSampler::from_sampling(3, sampling.clone(), map.clone()).unwrap();
        let sample = |sampler: &mut ConceptSampler, seed| {
            sampler.sample(&logits_on(&device, 1, seed).get(0).unwrap()).unwrap()
        };
        let mut alone = new();
        let want: Vec<_> = (0..6).map(|seed| sample(&mut alone, seed)).collect();
        let mut moved = new();
        let got: Vec<_> = (0..6).map(|seed| elsewhere(|| sample(&mut moved, seed))).collect();
        assert_eq!(got, want, "{sampling:?}");
    }
}

/// A task goes on with another thread after each `await`.
#[test]
fn tasks_change_threads() {
    let device = of_threads();
    let map = map_on(&device, 1);
    let want: Vec<_> = (0..8)
        .map(|seed| {
            let logits = logits_on(&device, 3, seed);
            let mut noise = Noise::new(seed, &device).unwrap();
            map.sample(&logits, 1.0, &mut noise).unwrap();
            let drawn = map.sample(&logits, 1.0, &mut noise).unwrap().to_vec1::<u32>().unwrap();
            (words(&map.reduce(&logits).unwrap().rows().unwrap()), drawn)
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).build().unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|seed| {
            let (device, map) = (device.clone(), map.clone());
            runtime.spawn(async move {
                let mut noise = Noise::new(seed, &device).unwrap();
                let reduction = {
                    let logits = logits_on(&device, 3, seed);
                    map.sample(&logits, 1.0, &mut noise).unwrap();
                    map.reduce(&logits).unwrap()
                };
                tokio::task::yield_now().await;
                let rows = words(&reduction.rows().unwrap());
                tokio::task::yield_now().await;
                let logits = logits_on(&device, 3, seed);
                let drawn = map.sample(&logits, 1.0, &mut noise).unwrap();
                let drawn = drawn.to_vec1::<u32>().unwrap();
                // Candle's tensors stay on the thread that has made them.
                drop(logits);
                tokio::task::yield_now().await;
                drop((reduction, noise));
                (rows, drawn)
            })
        })
        .collect();
    for (task, want) in tasks.into_iter().zip(want) {
        assert_eq!(runtime.block_on(task).unwrap(), want);
    }
}

#[test]
fn handles_are_dropped_by_another_thread_than_uses_them() {
    let device = of_threads();
    let logits = logits_on(&device, 2, 5);
    let want = words(&map_on(&device, 5).reduce(&logits).unwrap().rows().unwrap());
    let token_sets = TokenSets::builder(VOCAB_SIZE).set("p", 5..600).unwrap().build().unwrap();
    for _ in 0..5 {
        let map = map_on(&device, 5);
        let sets = token_sets.to_device(&device).unwrap();
        let mut noise = Noise::new(1, &device).unwrap();
        let reduction = map.reduce(&logits).unwrap();
        let drawn = map.sample(&logits, 1.0, &mut noise).unwrap();
        let measured = sets.measure(&logits).unwrap();
        elsewhere(|| {
            drop((map, sets, noise));
            map_on(&device, 6)
        });
        assert_eq!(words(&reduction.rows().unwrap()), want);
        drop((drawn, measured));
    }
}

/// Of many threads, which all use the map until one drops it.
#[test]
fn the_last_of_many_threads_drops_a_map() {
    let device = of_threads();
    for round in 0..3 {
        let map = map_on(&device, round);
        let barrier = Barrier::new(4);
        thread::scope(|scope| {
            for seed in 0..4 {
                let (map, device, barrier) = (map.clone(), &device, &barrier);
                scope.spawn(move || {
                    let logits = logits_on(device, 2, seed);
                    barrier.wait();
                    let reduction = map.reduce(&logits).unwrap();
                    drop(map);
                    assert_eq!(reduction.rows().unwrap().len(), 2);
                });
            }
            drop(map);
        });
    }
}

/// On a stream of the device's own, candle's tensors may go where they like, too.
#[test]
fn tensors_change_threads_on_one_stream() {
    let device = Device::new_cuda_with_stream(0).unwrap();
    let map = map_on(&device, 1);
    let want = everything(&map, &logits_on(&device, 3, 2));
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            for (logits, masses) in receiver {
                let masses: Tensor = masses;
                assert!(everything(&map, &logits) == want);
                assert_eq!(masses.dims()[0], 3);
            }
        });
        for _ in 0..4 {
            let logits = logits_on(&device, 3, 2);
            let masses = map.masses(&logits).unwrap();
            sender.send((logits, masses)).unwrap();
        }
        drop(sender);
    });
}

/// Its memory is the next one's of its size, whoever had it and dropped it, and nobody's sooner.
#[test]
fn what_is_made_in_the_memory_of_a_dropped_result_is_whole() {
    for device in [of_threads(), Device::new_cuda_with_stream(0).unwrap()] {
        let map = map_on(&device, 1);
        let logits: Vec<_> = (0..4).map(|seed| logits_on(&device, 5, seed)).collect();
        let rows = |i: usize| words(&map.reduce(&logits[i]).unwrap().rows().unwrap());
        let want: Vec<_> = (0..4).map(rows).collect();
        // The tokens of this one are the caller's, and stay.
        let first = map.decide(&logits[0]).unwrap();
        let tokens = first.tokens().unwrap();
        let want_tokens = tokens.to_vec1::<u32>().unwrap();
        drop(first);
        for i in 0..4 {
            let reduction = map.reduce(&logits[i]).unwrap();
            let other = map.reduce(&logits[(i + 1) % 4]).unwrap();
            elsewhere(|| {
                assert_eq!(words(&reduction.rows().unwrap()), want[i]);
                drop(reduction);
            });
            let unread = map.reduce(&logits[(i + 2) % 4]).unwrap();
            elsewhere(|| drop(unread));
            assert_eq!(rows(i), want[i]);
            assert_eq!(words(&other.rows().unwrap()), want[(i + 1) % 4]);
            drop(map.decide(&logits[i]).unwrap());
        }
        assert_eq!(tokens.to_vec1::<u32>().unwrap(), want_tokens);
    }
}

/// Of a result whose thread has ended, and of one that is the last to have the device.
#[test]
fn results_outlive_what_has_made_them() {
    let device = of_threads();
    let map = map_on(&device, 1);
    let made = || map.decide(&logits_on(&device, 8, 2)).unwrap();
    let want = made().tokens().unwrap().to_vec1::<u32>().unwrap();
    let (unread, read) = elsewhere(|| (made(), made()));
    let representatives = |decisions: &Decisions| -> Vec<u32> {
        decisions.rows().unwrap().iter().map(|row| row.unwrap().representative).collect()
    };
    assert_eq!(representatives(&read), want);
    assert_eq!(read.tokens().unwrap().to_vec1::<u32>().unwrap(), want);
    drop((unread, read));
    let last = made();
    drop((map, device));
    assert_eq!(representatives(&last), want);
    let tokens = last.tokens().unwrap();
    drop(last);
    assert_eq!(tokens.to_vec1::<u32>().unwrap(), want);
}
