//! [`Isa`] on AVX-512: sixteen lanes are one register.

use std::arch::x86_64::*;

use half::{bf16, f16};

use super::{Isa, Job, LANES};

/// Proof that the processor has AVX-512 F, BW and DQ (and, as all such do, AVX2, FMA and
/// POPCNT).
#[derive(Clone, Copy)]
pub(super) struct Avx512(());

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        let present = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("popcnt");
        present.then_some(Self(()))
    }
}

// SAFETY, for every block below: `self` exists, so `detect` has seen the features that the
// intrinsics need; loads and stores go through references to whole arrays of the right size
// (unaligned instructions, so no alignment is asked for).
impl Isa for Avx512 {
    type F32s = __m512;

    #[inline]
    fn vectorize<J: Job>(self, job: J) -> J::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx2,fma,popcnt")]
        fn inner<J: Job>(isa: Avx512, job: J) -> J::Output {
            job.run(isa)
        }
        // SAFETY: as above.
        unsafe { inner(self, job) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, values: &[f32; LANES]) -> __m512 {
        // SAFETY: as above; 64 bytes are read, the size of the array.
        unsafe { _mm512_loadu_ps(values.as_ptr()) }
    }

    #[inline(always)]
    fn load_bf16(self, values: &[bf16; LANES]) -> __m512 {
        // SAFETY: as above; 32 bytes are read, the size of the array. A bf16 is the upper half
        // of the f32 of the same value.
        unsafe {
            let bits = _mm256_loadu_si256(values.as_ptr().cast());
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits)))
        }
    }

    #[inline(always)]
    fn load_bf16_pair(self, values: &[bf16; 2 * LANES]) -> [__m512; 2] {
        // SAFETY: as above; 64 bytes are read, the size of the array. Of two neighbours in 32
        // bits, the lower one is shifted into place and the upper one is in its place.
        unsafe {
            let bits = _mm512_loadu_si512(values.as_ptr().cast());
            let upper = _mm512_and_si512(bits, _mm512_set1_epi32(0xffff_0000_u32 as i32));
            [_mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits)), _mm512_castsi512_ps(upper)]
        }
    }

    #[inline(always)]
    fn load_bf16_upper(self, values: &[u32; LANES]) -> __m512 {
        // SAFETY: as above; 64 bytes are read, the size of the array.
        unsafe {
            let bits = _mm512_loadu_si512(values.as_ptr().cast());
            let mask = _mm512_set1_epi32(0xffff_0000_u32 as i32);
            _mm512_castsi512_ps(_mm512_and_si512(bits, mask))
        }
    }

    #[inline(always)]
    fn load_f16(self, values: &[f16; LANES]) -> __m512 {
        // SAFETY: as above; 32 bytes are read, the size of the array.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(values.as_ptr().cast())) }
    }

    #[inline(always)]
    fn to_array(self, a: __m512) -> [f32; LANES] {
        let mut lanes = [0.0; LANES];
        // SAFETY: as above; 64 bytes are written, the size of the array.
        unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), a) };
        lanes
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn ge(self, a: __m512, b: __m512) -> u16 {
        // SAFETY: as above.
        unsafe { _mm512_cmp_ps_mask::<_CMP_GE_OQ>(a, b) }
    }

    #[inline(always)]
    fn any_nan(self, a: __m512, b: __m512) -> bool {
        // SAFETY: as above.
        unsafe { _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, b) != 0 }
    }

    #[inline(always)]
    fn select(self, mask: u16, a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_mask_blend_ps(mask, b, a) }
    }

    #[inline(always)]
    fn compress(self, mask: u16, a: __m512) -> [f32; LANES] {
        // SAFETY: as above. Within registers: Zen 4 takes a hundred cycles and more to compress
        // to memory.
        self.to_array(unsafe { _mm512_maskz_compress_ps(mask, a) })
    }

    #[inline(always)]
    fn compress_places(self, mask: u16, first: u32) -> [u32; LANES] {
        let mut places = [0; LANES];
        // SAFETY: as above; 64 bytes are written, the size of the array.
        unsafe {
            let all = _mm512_add_epi32(
                _mm512_set1_epi32(first as i32),
                _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
            );
            let compressed = _mm512_maskz_compress_epi32(mask, all);
            _mm512_storeu_si512(places.as_mut_ptr().cast(), compressed);
        }
        places
    }

    #[inline(always)]
    fn fraction(self, q: __m512) -> __m512 {
        // SAFETY: as above. `reduce` subtracts q rounded down (1) to 0 binary places (0 << 4).
        unsafe { _mm512_reduce_ps::<1>(q) }
    }

    #[inline(always)]
    fn scale_exp2(self, p: __m512, q: __m512) -> __m512 {
        // SAFETY: as above. `scalef` takes the floor of q itself.
        unsafe { _mm512_scalef_ps(p, q) }
    }

    #[inline(always)]
    fn split_log2(self, x: __m512) -> (__m512, __m512) {
        // SAFETY: as above. Counted from √½, an exponent begins at √½ · 2^e instead of 2^e.
        unsafe {
            let bits = _mm512_castps_si512(x);
            let sqrt_half = _mm512_set1_epi32(std::f32::consts::FRAC_1_SQRT_2.to_bits() as i32);
            let exponent = _mm512_srai_epi32::<23>(_mm512_sub_epi32(bits, sqrt_half));
            let mantissa = _mm512_sub_epi32(bits, _mm512_slli_epi32::<23>(exponent));
            let f = _mm512_sub_ps(_mm512_castsi512_ps(mantissa), _mm512_set1_ps(1.0));
            (f, _mm512_cvtepi32_ps(exponent))
        }
    }
}
