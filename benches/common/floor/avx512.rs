//! The floor on AVX-512: `vreduceps` and `vscalefps` leave only the polynomial to be written.

use std::arch::x86_64::*;

use half::bf16;

use super::{Lanes, MAX_LANES, Value, Way};

pub(super) const WAYS: [Way; 2] = [
    Way { name: "AVX-512, two passes", of_f32: two_passes, of_bf16: two_passes },
    Way { name: "AVX-512, one pass", of_f32: one_pass, of_bf16: one_pass },
];

#[target_feature(enable = "avx512f,avx512dq")]
fn two_passes<T: Value>(row: &[T]) -> f64 {
    // SAFETY: whoever calls this has seen the features.
    unsafe { super::two_passes::<__m512, T>(row) }
}

#[target_feature(enable = "avx512f,avx512dq")]
fn one_pass<T: Value>(row: &[T]) -> f64 {
    // SAFETY: as above.
    unsafe { super::one_pass::<__m512, T>(row) }
}

// SAFETY, for every block below: the trait's conditions.
impl Lanes for __m512 {
    const COUNT: usize = 16;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load_f32(at: *const f32) -> [Self; 2] {
        // SAFETY: as above.
        unsafe { [_mm512_loadu_ps(at), _mm512_loadu_ps(at.add(16))] }
    }

    #[inline(always)]
    unsafe fn load_bf16(at: *const bf16) -> [Self; 2] {
        // SAFETY: as above.
        unsafe {
            let bits = _mm512_loadu_si512(at.cast());
            let upper = _mm512_and_si512(bits, _mm512_set1_epi32(0xffff_0000_u32 as i32));
            [_mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits)), _mm512_castsi512_ps(upper)]
        }
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_max_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_mul_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn mul_sub(self, factor: Self, less: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_fmsub_ps(self, factor, less) }
    }

    #[inline(always)]
    unsafe fn exp2(self) -> Self {
        const P: [f32; 6] = [1.0, 0.6931513, 0.24016444, 0.055799913, 0.009017031, 0.00186713];
        // SAFETY: as above.
        unsafe {
            // From 0 to 1; of `-inf`, 0.
            let f = _mm512_reduce_ps::<1>(self);
            let mut p = _mm512_set1_ps(P[5]);
            p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(P[4]));
            p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(P[3]));
            p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(P[2]));
            p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(P[1]));
            p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(P[0]));
            _mm512_scalef_ps(p, self)
        }
    }

    #[inline(always)]
    unsafe fn store(self, lanes: &mut [f32; MAX_LANES]) {
        // SAFETY: as above.
        unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), self) }
    }
}
