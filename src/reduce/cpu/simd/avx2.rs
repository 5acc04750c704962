//! [`Isa`] on AVX2 with FMA and F16C: sixteen lanes are two registers.

use std::arch::x86_64::*;

use half::{bf16, f16};

use super::{Isa, Job, LANES, packed::PACKED};

/// Proof that the processor has AVX2, FMA and F16C (and, as all such do, POPCNT).
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

/// Lanes 0 to 7 and lanes 8 to 15.
type Pair = [__m256; 2];

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        let present = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
            && is_x86_feature_detected!("popcnt");
        present.then_some(Self(()))
    }
}

// SAFETY, for every block below: `self` exists, so `detect` has seen the features that the
// intrinsics need; loads and stores go through references to whole arrays of the right size
// (unaligned instructions, so no alignment is asked for).
impl Isa for Avx2 {
    type F32s = Pair;

    #[inline]
    fn vectorize<J: Job>(self, job: J) -> J::Output {
        #[target_feature(enable = "avx2,fma,f16c,popcnt")]
        fn inner<J: Job>(isa: Avx2, job: J) -> J::Output {
            job.run(isa)
        }
        // SAFETY: as above.
        unsafe { inner(self, job) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Pair {
        // SAFETY: as above.
        unsafe { [_mm256_set1_ps(value); 2] }
    }

    #[inline(always)]
    fn load(self, values: &[f32; LANES]) -> Pair {
        let [low, high] = halves(values);
        // SAFETY: as above; 32 bytes are read from each half.
        unsafe { [_mm256_loadu_ps(low.as_ptr()), _mm256_loadu_ps(high.as_ptr())] }
    }

    #[inline(always)]
    fn load_bf16(self, values: &[bf16; LANES]) -> Pair {
        let [low, high] = halves(values);
        // SAFETY: as above; 16 bytes are read from each half. A bf16 is the upper half of the f32
        // of the same value.
        unsafe {
            let low = _mm256_cvtepu16_epi32(_mm_loadu_si128(low.as_ptr().cast()));
            let high = _mm256_cvtepu16_epi32(_mm_loadu_si128(high.as_ptr().cast()));
            [
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(low)),
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(high)),
            ]
        }
    }

    #[inline(always)]
    fn load_bf16_pair(self, values: &[bf16; 2 * LANES]) -> [Pair; 2] {
        let (halves, _) = values.as_chunks::<LANES>();
        // SAFETY: as above; 32 bytes are read from each half. Of two neighbours in 32 bits, the
        // lower one is shifted into place and the upper one is in its place.
        unsafe {
            let low = _mm256_loadu_si256(halves[0].as_ptr().cast());
            let high = _mm256_loadu_si256(halves[1].as_ptr().cast());
            let mask = _mm256_set1_epi32(0xffff_0000_u32 as i32);
            [
                [
                    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(low)),
                    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(high)),
                ],
                [
                    _mm256_castsi256_ps(_mm256_and_si256(low, mask)),
                    _mm256_castsi256_ps(_mm256_and_si256(high, mask)),
                ],
            ]
        }
    }

    #[inline(always)]
    fn load_bf16_upper(self, values: &[u32; LANES]) -> Pair {
        let [low, high] = halves(values);
        // SAFETY: as above; 32 bytes are read from each half.
        unsafe {
            let mask = _mm256_set1_epi32(0xffff_0000_u32 as i32);
            let low = _mm256_loadu_si256(low.as_ptr().cast());
            let high = _mm256_loadu_si256(high.as_ptr().cast());
            [
                _mm256_castsi256_ps(_mm256_and_si256(low, mask)),
                _mm256_castsi256_ps(_mm256_and_si256(high, mask)),
            ]
        }
    }

    #[inline(always)]
    fn load_f16(self, values: &[f16; LANES]) -> Pair {
        let [low, high] = halves(values);
        // SAFETY: as above; 16 bytes are read from each half.
        unsafe {
            [
                _mm256_cvtph_ps(_mm_loadu_si128(low.as_ptr().cast())),
                _mm256_cvtph_ps(_mm_loadu_si128(high.as_ptr().cast())),
            ]
        }
    }

    #[inline(always)]
    fn to_array(self, a: Pair) -> [f32; LANES] {
        let mut lanes = [[0.0; LANES / 2]; 2];
        // SAFETY: as above; 32 bytes are written to each half.
        unsafe {
            _mm256_storeu_ps(lanes[0].as_mut_ptr(), a[0]);
            _mm256_storeu_ps(lanes[1].as_mut_ptr(), a[1]);
        }
        bytemuck::must_cast(lanes)
    }

    #[inline(always)]
    fn add(self, a: Pair, b: Pair) -> Pair {
        // SAFETY: as above.
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn sub(self, a: Pair, b: Pair) -> Pair {
        // SAFETY: as above.
        unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul(self, a: Pair, b: Pair) -> Pair {
        // SAFETY: as above.
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul_add(self, a: Pair, b: Pair, c: Pair) -> Pair {
        // SAFETY: as above.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    fn max(self, a: Pair, b: Pair) -> Pair {
        // SAFETY: as above.
        unsafe { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn ge(self, a: Pair, b: Pair) -> u16 {
        // SAFETY: as above. A movemask sets the lowest eight bits only.
        unsafe {
            let low = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(a[0], b[0]));
            let high = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(a[1], b[1]));
            (low | high << 8) as u16
        }
    }

    #[inline(always)]
    fn any_nan(self, a: Pair, b: Pair) -> bool {
        // SAFETY: as above.
        unsafe {
            let low = _mm256_cmp_ps::<_CMP_UNORD_Q>(a[0], b[0]);
            let high = _mm256_cmp_ps::<_CMP_UNORD_Q>(a[1], b[1]);
            _mm256_movemask_ps(_mm256_or_ps(low, high)) != 0
        }
    }

    #[inline(always)]
    fn select(self, mask: u16, a: Pair, b: Pair) -> Pair {
        // SAFETY: as above. A lane of the mask's copies is compared with its own bit.
        unsafe {
            let mask = _mm256_set1_epi32(mask.into());
            let low = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            let high = _mm256_slli_epi32::<8>(low);
            let low = _mm256_cmpeq_epi32(_mm256_and_si256(mask, low), low);
            let high = _mm256_cmpeq_epi32(_mm256_and_si256(mask, high), high);
            [
                _mm256_blendv_ps(b[0], a[0], _mm256_castsi256_ps(low)),
                _mm256_blendv_ps(b[1], a[1], _mm256_castsi256_ps(high)),
            ]
        }
    }

    #[inline(always)]
    fn compress(self, mask: u16, a: Pair) -> [f32; LANES] {
        // SAFETY: as above.
        self.to_array(unsafe {
            let [low, high] = packing(mask);
            let low = _mm256_permutevar8x32_ps(a[0], low);
            let high = _mm256_permutevar8x32_ps(a[1], high);
            join(mask, low, high)
        })
    }

    #[inline(always)]
    fn compress_places(self, mask: u16, first: u32) -> [u32; LANES] {
        // SAFETY: as above. A permutation of places is the permuted places.
        let places = self.to_array(unsafe {
            let first = _mm256_set1_epi32(first as i32);
            let [low, high] = packing(mask);
            let low = _mm256_add_epi32(first, low);
            let high = _mm256_add_epi32(_mm256_add_epi32(first, _mm256_set1_epi32(8)), high);
            join(mask, _mm256_castsi256_ps(low), _mm256_castsi256_ps(high))
        });
        places.map(f32::to_bits)
    }

    #[inline(always)]
    fn fraction(self, q: Pair) -> Pair {
        // SAFETY: as above.
        unsafe {
            [_mm256_sub_ps(q[0], _mm256_floor_ps(q[0])), _mm256_sub_ps(q[1], _mm256_floor_ps(q[1]))]
        }
    }

    #[inline(always)]
    fn scale_exp2(self, p: Pair, q: Pair) -> Pair {
        /// Below -126 the biased exponent would fall under 1: there the factor is the f32 with
        /// exponent 0, which is 0.
        #[target_feature(enable = "avx2")]
        #[inline]
        fn half(p: __m256, q: __m256) -> __m256 {
            let exponent = _mm256_cvttps_epi32(_mm256_floor_ps(q));
            let biased = _mm256_add_epi32(exponent, _mm256_set1_epi32(127));
            let biased = _mm256_max_epi32(biased, _mm256_setzero_si256());
            _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased)))
        }
        // SAFETY: as above.
        unsafe { [half(p[0], q[0]), half(p[1], q[1])] }
    }

    #[inline(always)]
    fn split_log2(self, x: Pair) -> (Pair, Pair) {
        /// Counted from √½, an exponent begins at √½ · 2^e instead of 2^e.
        #[target_feature(enable = "avx2")]
        #[inline]
        fn half(x: __m256) -> (__m256, __m256) {
            let bits = _mm256_castps_si256(x);
            let sqrt_half = _mm256_set1_epi32(std::f32::consts::FRAC_1_SQRT_2.to_bits() as i32);
            let exponent = _mm256_srai_epi32::<23>(_mm256_sub_epi32(bits, sqrt_half));
            let mantissa = _mm256_sub_epi32(bits, _mm256_slli_epi32::<23>(exponent));
            let f = _mm256_sub_ps(_mm256_castsi256_ps(mantissa), _mm256_set1_ps(1.0));
            (f, _mm256_cvtepi32_ps(exponent))
        }
        // SAFETY: as above.
        let ((f0, e0), (f1, e1)) = unsafe { (half(x[0]), half(x[1])) };
        ([f0, f1], [e0, e1])
    }
}

/// Lanes 0 to 7 and lanes 8 to 15.
#[inline(always)]
fn halves<T>(values: &[T; LANES]) -> [&[T; LANES / 2]; 2] {
    let (halves, _) = values.as_chunks();
    [&halves[0], &halves[1]]
}

/// The permutations that move to the front of each half its lanes whose bit is set.
#[target_feature(enable = "avx2")]
#[inline]
fn packing(mask: u16) -> [__m256i; 2] {
    let [low, high] = mask.to_le_bytes().map(|half| i64::from_le_bytes(PACKED[half as usize]));
    [_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(low)), _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(high))]
}

/// The packed lanes of the upper half, moved down to follow those of the lower half.
///
/// Within registers: two stores, the second over the end of the first, would be as short, but
/// whoever loads what they have written waits until both have reached the cache.
#[target_feature(enable = "avx2,popcnt")]
#[inline]
fn join(mask: u16, low: __m256, high: __m256) -> Pair {
    let len = (mask & 0xff).count_ones();
    // Lane i takes lane i - len of the upper half, counted modulo 8, which is what permutations do:
    // so both results are the same rotation, but for the lanes below len, which are negative here.
    let from =
        _mm256_sub_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(len as i32));
    let rotated = _mm256_permutevar8x32_ps(high, from);
    [_mm256_blendv_ps(rotated, low, _mm256_castsi256_ps(from)), rotated]
}
