//! The floor: the largest logit and `Σ exp(logit − largest)` of every row, and nothing else.
//!
//! It is what any softmax must do, written for AVX-512 by hand and apart from the crate's own
//! code, so that a slow exponential there could not flatter its own measure. Two passes over the
//! row; `2^q` as a polynomial of degree 5, `vreduceps` and `vscalefps`. Without AVX-512 it is
//! plain Rust, and no measure of anything.

use candle_core::{CpuStorage, Storage, Tensor};
use half::bf16;
use rayon::prelude::*;

/// `ln Σ exp` of every row of contiguous `[B, V]` logits in f32 or bf16.
pub fn log_sum_exp(logits: &Tensor) -> Vec<f64> {
    let width = logits.dims()[1];
    let (storage, layout) = logits.storage_and_layout();
    assert!(layout.is_contiguous() && layout.start_offset() == 0, "benchmark rows are contiguous");
    match &*storage {
        Storage::Cpu(CpuStorage::F32(data)) => each_row(data, width),
        Storage::Cpu(CpuStorage::BF16(data)) => each_row(data, width),
        _ => unreachable!("benchmark rows are f32 or bf16"),
    }
}

fn each_row<T: Value>(data: &[T], width: usize) -> Vec<f64> {
    if rayon::current_num_threads() == 1 {
        data.chunks(width).map(row).collect()
    } else {
        data.par_chunks(width).map(row).collect()
    }
}

fn row<T: Value>(row: &[T]) -> f64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
        // SAFETY: the features are there.
        return unsafe { avx512::log_sum_exp(row) };
    }
    let max = row.iter().map(|&x| x.into()).fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|&x| f64::from(x.into() - max).exp()).sum();
    f64::from(max) + sum.ln()
}

pub trait Value: Copy + Into<f32> + Send + Sync {
    /// Thirty-two values from `at`, widened, in any order.
    ///
    /// # Safety
    ///
    /// AVX-512 F must be there, and `at` must be valid for reading thirty-two values.
    #[cfg(target_arch = "x86_64")]
    unsafe fn load(at: *const Self) -> [std::arch::x86_64::__m512; 2];
}

impl Value for f32 {
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load(at: *const Self) -> [std::arch::x86_64::__m512; 2] {
        use std::arch::x86_64::_mm512_loadu_ps;
        // SAFETY: the caller's promise.
        unsafe { [_mm512_loadu_ps(at), _mm512_loadu_ps(at.add(16))] }
    }
}

impl Value for bf16 {
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load(at: *const Self) -> [std::arch::x86_64::__m512; 2] {
        use std::arch::x86_64::*;
        // SAFETY: the caller's promise.
        unsafe {
            let bits = _mm512_loadu_si512(at.cast());
            let upper = _mm512_and_si512(bits, _mm512_set1_epi32(0xffff_0000_u32 as i32));
            [_mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits)), _mm512_castsi512_ps(upper)]
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::Value;

    const CHAINS: usize = 8;
    const STEP: usize = 16 * CHAINS;

    #[target_feature(enable = "avx512f,avx512dq")]
    pub fn log_sum_exp<T: Value>(row: &[T]) -> f64 {
        let whole = row.len() / STEP * STEP;
        let mut max = [_mm512_set1_ps(f32::NEG_INFINITY); CHAINS];
        for step in row[..whole].chunks_exact(STEP) {
            for (pair, max) in max.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                // SAFETY: pair < CHAINS / 2, so that thirty-two values from there are in the step.
                let [x, y] = unsafe { T::load(step.as_ptr().add(32 * pair)) };
                *max = [_mm512_max_ps(max[0], x), _mm512_max_ps(max[1], y)];
            }
        }
        let max = max.into_iter().map(|m| _mm512_reduce_max_ps(m)).fold(f32::MIN, f32::max);
        let max = row[whole..].iter().map(|&x| x.into()).fold(max, f32::max);

        let mut sum = [_mm512_setzero_ps(); CHAINS];
        for step in row[..whole].chunks_exact(STEP) {
            for (pair, sum) in sum.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                // SAFETY: as above.
                let [x, y] = unsafe { T::load(step.as_ptr().add(32 * pair)) };
                let max = _mm512_set1_ps(max);
                sum[0] = _mm512_add_ps(sum[0], exp(_mm512_sub_ps(x, max)));
                sum[1] = _mm512_add_ps(sum[1], exp(_mm512_sub_ps(y, max)));
            }
        }
        let sum: f32 = sum.into_iter().map(|s| _mm512_reduce_add_ps(s)).sum();
        let rest: f64 = row[whole..].iter().map(|&x| f64::from(x.into() - max).exp()).sum();
        f64::from(max) + (f64::from(sum) + rest).ln()
    }

    #[target_feature(enable = "avx512f,avx512dq")]
    #[inline]
    fn exp(x: __m512) -> __m512 {
        const P: [f32; 6] = [1.0, 0.6931513, 0.24016444, 0.055799913, 0.009017031, 0.00186713];
        let q = _mm512_mul_ps(x, _mm512_set1_ps(std::f32::consts::LOG2_E));
        let f = _mm512_reduce_ps::<1>(q);
        let mut p = _mm512_set1_ps(P[5]);
        for c in P[..5].iter().rev() {
            p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(*c));
        }
        _mm512_scalef_ps(p, q)
    }
}
