//! The floor: the largest logit and `Σ exp(logit − largest)` of every row, and nothing else.
//!
//! It is what any softmax must do, written by hand for each instruction set and apart from the
//! crate's own code, so that a slow exponential there could not flatter its own measure. Where the
//! processor has none of these instruction sets, or `CONCEPT_MASS_ISA` is `plain`, there is no
//! floor: scalar code would be no measure of anything.
//!
//! There are two ways, and the floor is the faster one on the logits at hand:
//!
//! ```text
//! two passes    m = log2 e · max logit
//!               s = Σ 2^(log2 e · logit - m)
//!
//! one pass      for 4,096 logits at a time, which the first-level cache keeps:
//!                   m' = max(m, log2 e · max logit)
//!                   s  = s · 2^(m - m') + Σ 2^(log2 e · logit - m')
//!                   m  = m'
//! ```
//!
//! Either way `ln Σ exp = ln 2 · (m + log2 s)`. That `m` is rounded does no harm: it is what the
//! sum is relative to, whatever it is. In one pass every lane has an `m` of its own until the end.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

use std::cell::RefCell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use candle_core::{CpuStorage, DType, Storage, Tensor};
use half::bf16;
use rayon::prelude::*;

/// `ln Σ exp` of every row of contiguous `[B, V]` logits in f32 or bf16, the faster way; `None`
/// where there is no floor.
pub fn log_sum_exp(logits: &Tensor) -> Option<Vec<f64>> {
    Some(fastest(logits)?.log_sum_exp(logits))
}

/// The instruction set and the way of [`log_sum_exp`], as in `AVX2, one pass`.
pub fn name(logits: &Tensor) -> Option<&'static str> {
    Some(fastest(logits)?.name)
}

/// The answers of all ways on all instruction sets that there are, with their names.
pub fn all_ways(logits: &Tensor) -> Vec<(&'static str, Vec<f64>)> {
    let ways = instruction_sets().into_iter().flat_map(|(_, ways)| ways);
    ways.map(|way| (way.name, way.log_sum_exp(logits))).collect()
}

/// Whether there is a floor.
pub fn exists() -> bool {
    !ways().is_empty()
}

/// A way to come to the floor's answer on one instruction set.
struct Way {
    name: &'static str,
    /// Both may be called if [`instruction_sets`] gives this way.
    of_f32: unsafe fn(&[f32]) -> f64,
    of_bf16: unsafe fn(&[bf16]) -> f64,
}

/// The ways of the best instruction set that there is and that `CONCEPT_MASS_ISA` allows.
fn ways() -> &'static [Way] {
    let sets = instruction_sets();
    let allowed = std::env::var("CONCEPT_MASS_ISA").unwrap_or_default();
    if allowed == "plain" {
        return &[];
    }
    sets.iter().find(|set| set.0 == allowed).or(sets.first()).map_or(&[], |set| set.1)
}

/// The instruction sets that the processor has and the floor is written for, the best first.
fn instruction_sets() -> Vec<(&'static str, &'static [Way])> {
    let mut sets: Vec<(&str, &[Way])> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
            sets.push(("avx512", &avx512::WAYS));
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            sets.push(("avx2", &avx2::WAYS));
        }
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("neon") {
        sets.push(("neon", &neon::WAYS));
    }
    sets
}

thread_local! {
    /// The ways that were the fastest, by the shape and dtype of the logits.
    static FASTEST: RefCell<Vec<(usize, usize, DType, &'static Way)>> = const { RefCell::new(Vec::new()) };
}

/// The fastest way on logits like these, measured at the first call.
fn fastest(logits: &Tensor) -> Option<&'static Way> {
    let (rows, width) = logits.dims2().expect("benchmark logits have rows");
    let dtype = logits.dtype();
    FASTEST.with_borrow_mut(|known| {
        let like = known.iter().find(|&&(r, w, d, _)| (r, w, d) == (rows, width, dtype));
        if let Some(&(_, _, _, way)) = like {
            return Some(way);
        }
        let way = measure(logits)?;
        known.push((rows, width, dtype, way));
        Some(way)
    })
}

/// All ways in turn, so that the machine's moods strike all of them alike; the one whose median is
/// the least.
fn measure(logits: &Tensor) -> Option<&'static Way> {
    const TIME: Duration = Duration::from_millis(100);
    const AT_LEAST: usize = 11;
    let mut times: Vec<(&Way, Vec<Duration>)> =
        ways().iter().map(|way| (way, Vec::new())).collect();
    let start = Instant::now();
    for round in 0.. {
        if round >= AT_LEAST && start.elapsed() >= TIME {
            break;
        }
        for (way, times) in &mut times {
            // The first of a pair warms the caches up in the way's own manner.
            black_box(way.log_sum_exp(black_box(logits)));
            let start = Instant::now();
            black_box(way.log_sum_exp(black_box(logits)));
            times.push(start.elapsed());
        }
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    times.into_iter().map(|(way, times)| (median(times), way)).min_by_key(|&(t, _)| t).map(|t| t.1)
}

impl Way {
    fn log_sum_exp(&self, logits: &Tensor) -> Vec<f64> {
        let width = logits.dims()[1];
        let (storage, layout) = logits.storage_and_layout();
        assert!(
            layout.is_contiguous() && layout.start_offset() == 0,
            "benchmark rows are contiguous"
        );
        match &*storage {
            Storage::Cpu(CpuStorage::F32(data)) => each_row(data, width, |row| {
                // SAFETY: `instruction_sets` has seen that the processor has this one.
                unsafe { (self.of_f32)(row) }
            }),
            Storage::Cpu(CpuStorage::BF16(data)) => each_row(data, width, |row| {
                // SAFETY: as above.
                unsafe { (self.of_bf16)(row) }
            }),
            _ => unreachable!("benchmark rows are f32 or bf16"),
        }
    }
}

fn each_row<T: Sync>(data: &[T], width: usize, of: impl Fn(&[T]) -> f64 + Sync + Send) -> Vec<f64> {
    if rayon::current_num_threads() == 1 {
        data.chunks(width).map(of).collect()
    } else {
        data.par_chunks(width).map(of).collect()
    }
}

/// `COUNT` lanes of f32 in a register, on an instruction set that the floor is written for.
///
/// # Safety
///
/// The processor must have it when a method is called, and pointers must be valid for reading twice
/// `COUNT` values.
trait Lanes: Copy {
    const COUNT: usize;

    unsafe fn splat(value: f32) -> Self;
    unsafe fn load_f32(at: *const f32) -> [Self; 2];
    /// In any order.
    unsafe fn load_bf16(at: *const bf16) -> [Self; 2];
    unsafe fn max(self, other: Self) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self · factor − less`.
    unsafe fn mul_sub(self, factor: Self, less: Self) -> Self;
    /// `2^self`, for what is at most 0 but for rounding, within 2e-7; 0 or as good as 0 for `-inf`.
    unsafe fn exp2(self) -> Self;
    unsafe fn store(self, lanes: &mut [f32; MAX_LANES]);
}

/// The most lanes that there are in a register.
const MAX_LANES: usize = 16;

trait Value: Copy + Send + Sync {
    const NEG_INFINITY: Self;

    /// # Safety
    ///
    /// That of [`Lanes`].
    unsafe fn load<L: Lanes>(at: *const Self) -> [L; 2];
}

impl Value for f32 {
    const NEG_INFINITY: Self = f32::NEG_INFINITY;

    #[inline(always)]
    unsafe fn load<L: Lanes>(at: *const Self) -> [L; 2] {
        // SAFETY: the caller's promise.
        unsafe { L::load_f32(at) }
    }
}

impl Value for bf16 {
    const NEG_INFINITY: Self = bf16::NEG_INFINITY;

    #[inline(always)]
    unsafe fn load<L: Lanes>(at: *const Self) -> [L; 2] {
        // SAFETY: the caller's promise.
        unsafe { L::load_bf16(at) }
    }
}

// For `exp2` where it takes the nearest whole number `n` from its argument, so that what is left
// lies between -½ and ½, and adds `n` to the exponent of the polynomial of that.

/// Added to a number, it leaves the nearest whole one in the lowest bits of the sum.
const ROUND: f32 = 12_582_912.0;

/// What is below leaves this power, which is as good as 0 and the least whose exponent is one.
const LOWEST_EXPONENT: f32 = -126.0;

/// `2^f` for `f` from -½ to ½.
const EXP2: [f32; 6] = [1.0000001, 0.69314724, 0.24021912, 0.055500835, 0.009685554, 0.0013521445];

/// Below all that is a logit, and finite after a multiplication by log2 e.
const LOWEST: f32 = f32::MIN / 2.0;

/// # Safety
///
/// The processor must have the instruction set of `L`; so for the functions below.
#[inline(always)]
unsafe fn two_passes<L: Lanes, T: Value>(row: &[T]) -> f64 {
    // SAFETY: the caller's promise; so below.
    unsafe {
        let max = lanes(largest::<L, T>(row)).into_iter().take(L::COUNT).fold(LOWEST, f32::max);
        let m = L::splat(max * std::f32::consts::LOG2_E);
        combine(m, sum(row, m))
    }
}

/// # Safety
///
/// As above.
#[inline(always)]
unsafe fn one_pass<L: Lanes, T: Value>(row: &[T]) -> f64 {
    const CHUNK: usize = 4096;
    // SAFETY: as above.
    unsafe {
        let zero = L::splat(0.0);
        let (mut m, mut s) = (L::splat(LOWEST), zero);
        for chunk in row.chunks(CHUNK) {
            let log2_e = L::splat(std::f32::consts::LOG2_E);
            let new = m.max(largest::<L, T>(chunk).mul(log2_e));
            let scale = m.mul_sub(L::splat(1.0), new).exp2();
            s = s.mul(scale).add(sum(chunk, new));
            m = new;
        }
        combine(m, s)
    }
}

/// The largest logit of every lane, or [`LOWEST`].
///
/// # Safety
///
/// As above.
#[inline(always)]
unsafe fn largest<L: Lanes, T: Value>(logits: &[T]) -> L {
    /// Enough for two loads and maxima a cycle, of a latency of four.
    const CHAINS: usize = 8;
    // SAFETY: as above; a pair lies within its step or its buffer.
    unsafe {
        let mut max = [L::splat(LOWEST); CHAINS];
        let steps = logits.chunks_exact(CHAINS * L::COUNT);
        let rest = steps.remainder();
        for step in steps {
            for (i, max) in max.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                let [x, y] = T::load::<L>(step.as_ptr().add(2 * L::COUNT * i));
                *max = [max[0].max(x), max[1].max(y)];
            }
        }
        for pair in rest.chunks(2 * L::COUNT) {
            let [x, y] = load_up_to::<L, T>(pair);
            max[0] = max[0].max(x.max(y));
        }
        let [a, b, c, d, e, f, g, h] = max;
        a.max(b).max(c.max(d)).max(e.max(f).max(g.max(h)))
    }
}

/// The sum of `2^(log2 e · logit − m)` of every lane.
///
/// # Safety
///
/// As above.
#[inline(always)]
unsafe fn sum<L: Lanes, T: Value>(logits: &[T], m: L) -> L {
    /// Few, as there are many operations between two additions, and not too many registers.
    const CHAINS: usize = 4;
    // SAFETY: as above.
    unsafe {
        let log2_e = L::splat(std::f32::consts::LOG2_E);
        let mut sum = [L::splat(0.0); CHAINS];
        let steps = logits.chunks_exact(CHAINS * L::COUNT);
        let rest = steps.remainder();
        for step in steps {
            for (i, sum) in sum.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                let [x, y] = T::load::<L>(step.as_ptr().add(2 * L::COUNT * i));
                sum[0] = sum[0].add(x.mul_sub(log2_e, m).exp2());
                sum[1] = sum[1].add(y.mul_sub(log2_e, m).exp2());
            }
        }
        for pair in rest.chunks(2 * L::COUNT) {
            let [x, y] = load_up_to::<L, T>(pair);
            sum[0] = sum[0].add(x.mul_sub(log2_e, m).exp2());
            sum[1] = sum[1].add(y.mul_sub(log2_e, m).exp2());
        }
        let [a, b, c, d] = sum;
        a.add(b).add(c.add(d))
    }
}

/// Up to `2 · COUNT` values, and `-inf` after them.
///
/// # Safety
///
/// As above.
#[inline(always)]
unsafe fn load_up_to<L: Lanes, T: Value>(values: &[T]) -> [L; 2] {
    let mut buffer = [T::NEG_INFINITY; 2 * MAX_LANES];
    buffer[..values.len()].copy_from_slice(values);
    // SAFETY: as above; the buffer is long enough.
    unsafe { T::load(buffer.as_ptr()) }
}

/// `ln Σ exp` from what each lane's sum is relative to, and the sums.
///
/// # Safety
///
/// As above.
#[inline(always)]
unsafe fn combine<L: Lanes>(m: L, s: L) -> f64 {
    // SAFETY: as above.
    let (m, s) = unsafe { (lanes(m), lanes(s)) };
    let max = m[..L::COUNT].iter().copied().fold(f32::MIN, f32::max);
    let relative = |i: usize| f64::from(s[i]) * f64::from(m[i] - max).exp2();
    let sum: f64 = (0..L::COUNT).map(relative).sum();
    (f64::from(max) + sum.log2()) * std::f64::consts::LN_2
}

/// # Safety
///
/// As above.
#[inline(always)]
unsafe fn lanes<L: Lanes>(lanes: L) -> [f32; MAX_LANES] {
    let mut array = [0.0; MAX_LANES];
    // SAFETY: as above.
    unsafe { lanes.store(&mut array) };
    array
}
