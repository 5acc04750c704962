//! The floor on AVX2 with FMA.

use std::arch::x86_64::*;

use half::bf16;

use super::{EXP2, LOWEST_EXPONENT, Lanes, MAX_LANES, ROUND, Value, Way};

pub(super) const WAYS: [Way; 2] = [
    Way { name: "AVX2, two passes", of_f32: two_passes, of_bf16: two_passes },
    Way { name: "AVX2, one pass", of_f32: one_pass, of_bf16: one_pass },
];

#[target_feature(enable = "avx2,fma")]
fn two_passes<T: Value>(row: &[T]) -> f64 {
    // SAFETY: whoever calls this has seen the features.
    unsafe { super::two_passes::<__m256, T>(row) }
}

#[target_feature(enable = "avx2,fma")]
fn one_pass<T: Value>(row: &[T]) -> f64 {
    // SAFETY: as above.
    unsafe { super::one_pass::<__m256, T>(row) }
}

// SAFETY, for every block below: the trait's conditions.
impl Lanes for __m256 {
    const COUNT: usize = 8;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: as above.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load_f32(at: *const f32) -> [Self; 2] {
        // SAFETY: as above.
        unsafe { [_mm256_loadu_ps(at), _mm256_loadu_ps(at.add(8))] }
    }

    #[inline(always)]
    unsafe fn load_bf16(at: *const bf16) -> [Self; 2] {
        // SAFETY: as above.
        unsafe {
            let bits = _mm256_loadu_si256(at.cast());
            let upper = _mm256_and_si256(bits, _mm256_set1_epi32(0xffff_0000_u32 as i32));
            [_mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits)), _mm256_castsi256_ps(upper)]
        }
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm256_max_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm256_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm256_mul_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn mul_sub(self, factor: Self, less: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm256_fmsub_ps(self, factor, less) }
    }

    #[inline(always)]
    unsafe fn exp2(self) -> Self {
        // SAFETY: as above.
        unsafe {
            let q = _mm256_max_ps(self, _mm256_set1_ps(LOWEST_EXPONENT));
            let rounded = _mm256_add_ps(q, _mm256_set1_ps(ROUND));
            let f = _mm256_sub_ps(q, _mm256_sub_ps(rounded, _mm256_set1_ps(ROUND)));
            let mut p = _mm256_set1_ps(EXP2[5]);
            p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(EXP2[4]));
            p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(EXP2[3]));
            p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(EXP2[2]));
            p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(EXP2[1]));
            p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(EXP2[0]));
            let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(rounded));
            _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), exponent))
        }
    }

    #[inline(always)]
    unsafe fn store(self, lanes: &mut [f32; MAX_LANES]) {
        // SAFETY: as above.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), self) }
    }
}
