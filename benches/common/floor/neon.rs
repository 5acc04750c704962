//! The floor on NEON.

use std::arch::aarch64::*;

use half::bf16;

use super::{EXP2, LOWEST_EXPONENT, Lanes, MAX_LANES, ROUND, Value, Way};

pub(super) const WAYS: [Way; 2] = [
    Way { name: "NEON, two passes", of_f32: two_passes, of_bf16: two_passes },
    Way { name: "NEON, one pass", of_f32: one_pass, of_bf16: one_pass },
];

#[target_feature(enable = "neon")]
fn two_passes<T: Value>(row: &[T]) -> f64 {
    // SAFETY: whoever calls this has seen the feature.
    unsafe { super::two_passes::<float32x4_t, T>(row) }
}

#[target_feature(enable = "neon")]
fn one_pass<T: Value>(row: &[T]) -> f64 {
    // SAFETY: as above.
    unsafe { super::one_pass::<float32x4_t, T>(row) }
}

// SAFETY, for every block below: the trait's conditions.
impl Lanes for float32x4_t {
    const COUNT: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: as above.
        unsafe { vdupq_n_f32(value) }
    }

    #[inline(always)]
    unsafe fn load_f32(at: *const f32) -> [Self; 2] {
        // SAFETY: as above.
        unsafe { [vld1q_f32(at), vld1q_f32(at.add(4))] }
    }

    #[inline(always)]
    unsafe fn load_bf16(at: *const bf16) -> [Self; 2] {
        // SAFETY: as above.
        unsafe {
            let bits = vld1q_u16(at.cast());
            let low = vshll_n_u16::<16>(vget_low_u16(bits));
            [vreinterpretq_f32_u32(low), vreinterpretq_f32_u32(vshll_high_n_u16::<16>(bits))]
        }
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { vmaxq_f32(self, other) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { vaddq_f32(self, other) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { vmulq_f32(self, other) }
    }

    #[inline(always)]
    unsafe fn mul_sub(self, factor: Self, less: Self) -> Self {
        // SAFETY: as above.
        unsafe { vfmaq_f32(vnegq_f32(less), self, factor) }
    }

    #[inline(always)]
    unsafe fn exp2(self) -> Self {
        // SAFETY: as above.
        unsafe {
            let q = vmaxq_f32(self, vdupq_n_f32(LOWEST_EXPONENT));
            let rounded = vaddq_f32(q, vdupq_n_f32(ROUND));
            let f = vsubq_f32(q, vsubq_f32(rounded, vdupq_n_f32(ROUND)));
            let mut p = vdupq_n_f32(EXP2[5]);
            p = vfmaq_f32(vdupq_n_f32(EXP2[4]), p, f);
            p = vfmaq_f32(vdupq_n_f32(EXP2[3]), p, f);
            p = vfmaq_f32(vdupq_n_f32(EXP2[2]), p, f);
            p = vfmaq_f32(vdupq_n_f32(EXP2[1]), p, f);
            p = vfmaq_f32(vdupq_n_f32(EXP2[0]), p, f);
            let exponent = vshlq_n_s32::<23>(vreinterpretq_s32_f32(rounded));
            vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p), exponent))
        }
    }

    #[inline(always)]
    unsafe fn store(self, lanes: &mut [f32; MAX_LANES]) {
        // SAFETY: as above.
        unsafe { vst1q_f32(lanes.as_mut_ptr(), self) }
    }
}
