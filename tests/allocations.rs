//! After the first step, sampling allocates nothing whose size grows with the vocabulary or the map.
//!
//! By itself, since the other tests allocate at the same time. What is measured: every allocation of
//! any thread during a step of one row on one thread of rayon's, in f32, after two steps that set
//! aside what is kept; the largest, and all together. A vocabulary of 2^17 tokens has a bit mask of 16
//! KiB and logits of half a MiB, so that nothing of its size fits into the few KiB that are allowed for
//! what is returned and what a row has seen.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use candle_core::{Device, Tensor};
use common::chain::Request;
use common::{Partition, Profile, rng};
use concept_mass::sample::{Distribution, Emission, Penalties, TokenMask, sample_batch_masked};
use concept_mass::{ConceptMap, ConceptSampler, DeviceMap, Sampling};

/// What a step may allocate: all of it, and at once.
const MAX_BYTES: usize = 8 << 10;
const MAX_LARGEST: usize = 4 << 10;

/// The system's allocator, which counts while it is asked to.
struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static BYTES: AtomicUsize = AtomicUsize::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);

fn count(bytes: usize) {
    if COUNTS.load(Relaxed) {
        BYTES.fetch_add(bytes, Relaxed);
        LARGEST.fetch_max(bytes, Relaxed);
    }
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is that of this call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The bytes that a call allocates, all together and the most at once.
fn allocated(call: impl FnOnce()) -> (usize, usize) {
    BYTES.store(0, Relaxed);
    LARGEST.store(0, Relaxed);
    COUNTS.store(true, Relaxed);
    call();
    COUNTS.store(false, Relaxed);
    (BYTES.load(Relaxed), LARGEST.load(Relaxed))
}

/// What of some steps after the first two allocates more than it may.
fn too_much(context: &str, mut step: impl FnMut()) -> Option<String> {
    (0..2).for_each(|_| step());
    let all: Vec<(usize, usize)> = (0..4).map(|_| allocated(&mut step)).collect();
    let is_little =
        |&(bytes, largest): &(usize, usize)| bytes <= MAX_BYTES && largest <= MAX_LARGEST;
    (!all.iter().all(is_little)).then(|| format!("bytes, and at once, {all:?}: {context}"))
}

fn maps(vocab_size: usize) -> Vec<DeviceMap> {
    let partitions = [Partition::Sparse, Partition::Dense, Partition::Giant, Partition::EverySize];
    let mut rng = rng(1);
    let maps = partitions.into_iter().map(|partition| partition.map(vocab_size, &mut rng));
    let maps = [ConceptMap::singletons(vocab_size).unwrap()].into_iter().chain(maps);
    maps.map(|map| map.to_device(&Device::Cpu).unwrap()).collect()
}

/// Every mode: greedy, all, each filter, and all of them.
fn requests(vocab_size: usize) -> Vec<Request> {
    let (raw, after) = (Some((20, Distribution::Raw)), Some((20, Distribution::Final)));
    let by_share = Emission::ByShare;
    let at = Request::at;
    vec![
        at(0.0),
        Request { log_probs: raw, emission: by_share, ..at(0.0) },
        at(1.0),
        at(0.8),
        Request { emission: by_share, log_probs: after, ..at(0.8) },
        Request { top_k: Some(40), ..at(0.8) },
        Request { top_k: Some(usize::MAX), ..at(0.8) },
        Request { top_p: 0.9, ..at(0.8) },
        Request { top_p: 0.999_999, ..at(1.5) },
        Request { min_p: 0.05, ..at(0.8) },
        Request { top_k: Some(200), top_p: 0.95, pooling: false, ..at(0.7) },
        Request {
            top_k: Some(100),
            top_p: 0.95,
            min_p: 0.01,
            penalties: Penalties { repetition: 1.1, presence: 0.1, frequency: 0.1 },
            seen: (0..300).map(|token| (token * 7, 1)).collect(),
            bias: [(5, 1.0)].into_iter().collect(),
            mask: Some(vec![0x7FFF_FFFF; vocab_size.div_ceil(32)]),
            log_probs: raw,
            emission: by_share,
            ..at(0.8)
        },
    ]
}

/// A typical row and two that leave no filter much to pass over.
fn rows(vocab_size: usize) -> Vec<Tensor> {
    let mut rng = rng(2);
    let heads = Profile::Peaked.row(vocab_size, &mut rng);
    let noise = Profile::NoiseWithinATenth.row(vocab_size, &mut rng);
    let equal = Profile::AllEqual.row(vocab_size, &mut rng);
    let tensor = |row| Tensor::from_vec(row, (1, vocab_size), &Device::Cpu).unwrap();
    vec![tensor(heads), tensor(noise), tensor(equal)]
}

/// One test, so that nothing else allocates.
#[test]
fn after_the_first_step_nothing_of_the_vocabularys_size_is_allocated() {
    let vocab_size = 1 << 17;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    // What counts does count.
    let (bytes, largest) = allocated(|| drop(std::hint::black_box(vec![0u8; 5000])));
    assert!(bytes >= 5000 && largest >= 5000);
    assert!(largest > MAX_LARGEST);
    let too_much: Vec<String> = pool.install(|| {
        let pairs = maps(vocab_size)
            .into_iter()
            .flat_map(|map| rows(vocab_size).into_iter().map(move |logits| (map.clone(), logits)));
        pairs
            .flat_map(|(map, logits)| {
                let batches = requests(vocab_size).into_iter();
                let batches: Vec<_> =
                    batches.filter_map(|request| of_batch(&map, &logits, &request)).collect();
                batches.into_iter().chain(of_candles_modes(&map, &logits))
            })
            .collect()
    });
    assert!(too_much.is_empty(), "{}", too_much.join("\n"));
}

fn of_batch(map: &DeviceMap, logits: &Tensor, request: &Request) -> Option<String> {
    let vocab_size = map.map().vocab_size();
    let all = vec![u32::MAX; vocab_size.div_ceil(32)];
    let words = request.mask.as_deref().unwrap_or(&all);
    let of_rows = [request.mask.is_some().then_some(0)];
    let mask = TokenMask::new(words, words.len()).unwrap().of_rows(&of_rows);
    let mut rows = [request.row(map, 0)];
    let request = Request { mask: None, ..request.clone() };
    too_much(&format!("{:?} {request:?}", map.map().stats()), || {
        sample_batch_masked(logits, &mut rows, mask).unwrap().remove(0).unwrap();
    })
}

fn of_candles_modes(map: &DeviceMap, logits: &Tensor) -> Vec<String> {
    let temperature = 0.8;
    let modes = [
        Sampling::ArgMax,
        Sampling::All { temperature },
        Sampling::TopK { k: 40, temperature },
        Sampling::TopP { p: 0.9, temperature },
        Sampling::TopKThenTopP { k: 200, p: 0.9, temperature },
        Sampling::GumbelSoftmax { temperature },
    ];
    let of = |sampling: Sampling| {
        let context = format!("{:?} {sampling:?}", map.map().stats());
        let mut sampler = ConceptSampler::from_sampling(7, sampling, map.clone()).unwrap();
        too_much(&context, || {
            sampler.sample(logits).unwrap();
        })
    };
    modes.into_iter().filter_map(of).collect()
}
