//! [`Isa`] on NEON: sixteen lanes are four registers.

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

use half::{bf16, f16};

use super::{Isa, Job, LANES, packed::PACKED};

/// Proof that the processor has NEON, and numbers bytes as this file does.
#[derive(Clone, Copy)]
pub(super) struct Neon(());

/// Lanes 0 to 3, 4 to 7, 8 to 11 and 12 to 15.
type Quad = [float32x4_t; 4];

impl Neon {
    /// Costs nothing where NEON is part of the target, as it is on all with a standard library.
    pub(super) fn detect() -> Option<Self> {
        let present = is_aarch64_feature_detected!("neon") && cfg!(target_endian = "little");
        present.then_some(Self(()))
    }
}

/// What is said of quarter `i`, for all four.
macro_rules! four {
    (|$i:ident| $of_quarter:expr) => {
        [
            {
                let $i = 0;
                $of_quarter
            },
            {
                let $i = 1;
                $of_quarter
            },
            {
                let $i = 2;
                $of_quarter
            },
            {
                let $i = 3;
                $of_quarter
            },
        ]
    };
}

// SAFETY, for every block below: `self` exists, so `detect` has seen the feature that the
// intrinsics need; loads and stores go through references to whole arrays of the right size (and
// ask for no alignment beyond that of the arrays' elements).
impl Isa for Neon {
    type F32s = Quad;

    #[inline(always)]
    fn vectorize<J: Job>(self, job: J) -> J::Output {
        job.run(self)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Quad {
        // SAFETY: as above.
        unsafe { [vdupq_n_f32(value); 4] }
    }

    #[inline(always)]
    fn load(self, values: &[f32; LANES]) -> Quad {
        let [a, b, c, d] = quarters(values);
        // SAFETY: as above; 16 bytes are read from each quarter.
        unsafe {
            [
                vld1q_f32(a.as_ptr()),
                vld1q_f32(b.as_ptr()),
                vld1q_f32(c.as_ptr()),
                vld1q_f32(d.as_ptr()),
            ]
        }
    }

    #[inline(always)]
    fn load_bf16(self, values: &[bf16; LANES]) -> Quad {
        let [a, b, c, d] = quarters(values);
        /// A bf16 is the upper half of the f32 of the same value.
        #[inline(always)]
        fn widen(values: &[bf16; 4]) -> float32x4_t {
            // SAFETY: as above; 8 bytes are read.
            unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(values.as_ptr().cast()))) }
        }
        [widen(a), widen(b), widen(c), widen(d)]
    }

    #[inline(always)]
    fn load_bf16_pair(self, values: &[bf16; 2 * LANES]) -> [Quad; 2] {
        // In order: widening four neighbours is one instruction.
        let (halves, _) = values.as_chunks();
        [self.load_bf16(&halves[0]), self.load_bf16(&halves[1])]
    }

    #[inline(always)]
    fn load_bf16_upper(self, values: &[u32; LANES]) -> Quad {
        let [a, b, c, d] = quarters(values);
        #[inline(always)]
        fn upper(values: &[u32; 4]) -> float32x4_t {
            // SAFETY: as above; 16 bytes are read.
            unsafe {
                let bits = vandq_u32(vld1q_u32(values.as_ptr()), vdupq_n_u32(0xffff_0000));
                vreinterpretq_f32_u32(bits)
            }
        }
        [upper(a), upper(b), upper(c), upper(d)]
    }

    #[inline(always)]
    fn load_f16(self, values: &[f16; LANES]) -> Quad {
        let [a, b, c, d] = quarters(values);
        /// By an instruction that is part of NEON, but not of what Rust offers of it so far.
        #[inline(always)]
        fn widen(values: &[f16; 4]) -> float32x4_t {
            let widened: float32x4_t;
            // SAFETY: as above; 8 bytes are read. The instruction reads one register and writes
            // another, apart from the flags of floating-point exceptions, which are not said to be
            // preserved.
            unsafe {
                let values = vld1_u16(values.as_ptr().cast());
                asm!(
                    "fcvtl {widened:v}.4s, {values:v}.4h",
                    widened = lateout(vreg) widened,
                    values = in(vreg) values,
                    options(pure, nomem, nostack),
                );
            }
            widened
        }
        [widen(a), widen(b), widen(c), widen(d)]
    }

    #[inline(always)]
    fn to_array(self, a: Quad) -> [f32; LANES] {
        let mut lanes = [[0.0; 4]; 4];
        // SAFETY: as above; 16 bytes are written to each quarter.
        unsafe {
            vst1q_f32(lanes[0].as_mut_ptr(), a[0]);
            vst1q_f32(lanes[1].as_mut_ptr(), a[1]);
            vst1q_f32(lanes[2].as_mut_ptr(), a[2]);
            vst1q_f32(lanes[3].as_mut_ptr(), a[3]);
        }
        bytemuck::must_cast(lanes)
    }

    #[inline(always)]
    fn add(self, a: Quad, b: Quad) -> Quad {
        // SAFETY: as above.
        unsafe { four!(|i| vaddq_f32(a[i], b[i])) }
    }

    #[inline(always)]
    fn sub(self, a: Quad, b: Quad) -> Quad {
        // SAFETY: as above.
        unsafe { four!(|i| vsubq_f32(a[i], b[i])) }
    }

    #[inline(always)]
    fn mul(self, a: Quad, b: Quad) -> Quad {
        // SAFETY: as above.
        unsafe { four!(|i| vmulq_f32(a[i], b[i])) }
    }

    #[inline(always)]
    fn mul_add(self, a: Quad, b: Quad, c: Quad) -> Quad {
        // SAFETY: as above.
        unsafe { four!(|i| vfmaq_f32(c[i], a[i], b[i])) }
    }

    #[inline(always)]
    fn max(self, a: Quad, b: Quad) -> Quad {
        // SAFETY: as above.
        unsafe { four!(|i| vmaxq_f32(a[i], b[i])) }
    }

    #[inline(always)]
    fn ge(self, a: Quad, b: Quad) -> u16 {
        // SAFETY: as above. Every lane keeps its own bit, so that their sum is the mask.
        unsafe {
            let bits = lane_bits();
            let [x, y, z, w] = four!(|i| vandq_u32(vcgeq_f32(a[i], b[i]), bits[i]));
            vaddvq_u32(vorrq_u32(vorrq_u32(x, y), vorrq_u32(z, w))) as u16
        }
    }

    #[inline(always)]
    fn any_nan(self, a: Quad, b: Quad) -> bool {
        // SAFETY: as above. A maximum is NaN where one of the two is.
        unsafe {
            let [x, y, z, w] = four!(|i| vmaxq_f32(a[i], b[i]));
            vmaxvq_f32(vmaxq_f32(vmaxq_f32(x, y), vmaxq_f32(z, w))).is_nan()
        }
    }

    #[inline(always)]
    fn select(self, mask: u16, a: Quad, b: Quad) -> Quad {
        // SAFETY: as above.
        unsafe {
            let (mask, bits) = (vdupq_n_u32(mask.into()), lane_bits());
            four!(|i| vbslq_f32(vtstq_u32(mask, bits[i]), a[i], b[i]))
        }
    }

    #[inline(always)]
    fn compress(self, mask: u16, a: Quad) -> [f32; LANES] {
        // SAFETY: as above; 16 bytes are read from each row of `EACH_FOUR_TIMES`.
        self.to_array(unsafe {
            // A lane is four bytes of sixty-four, the first of them at four times its number.
            let [x, y, z, w] = four!(|i| vreinterpretq_u8_f32(a[i]));
            let first = vshlq_n_u8::<2>(packed(mask));
            let bytes = vreinterpretq_u8_u32(vdupq_n_u32(0x0302_0100));
            four!(|i| {
                let first = vqtbl1q_u8(first, vld1q_u8(EACH_FOUR_TIMES[i].as_ptr()));
                let lanes = vqtbl4q_u8(uint8x16x4_t(x, y, z, w), vorrq_u8(first, bytes));
                vreinterpretq_f32_u8(lanes)
            })
        })
    }

    #[inline(always)]
    fn compress_places(self, mask: u16, first: u32) -> [u32; LANES] {
        let mut places = [[0; 4]; 4];
        // SAFETY: as above; 16 bytes are written to each quarter.
        unsafe {
            let (packed, first) = (packed(mask), vdupq_n_u32(first));
            let (low, high) = (vmovl_u8(vget_low_u8(packed)), vmovl_high_u8(packed));
            vst1q_u32(places[0].as_mut_ptr(), vaddw_u16(first, vget_low_u16(low)));
            vst1q_u32(places[1].as_mut_ptr(), vaddw_high_u16(first, low));
            vst1q_u32(places[2].as_mut_ptr(), vaddw_u16(first, vget_low_u16(high)));
            vst1q_u32(places[3].as_mut_ptr(), vaddw_high_u16(first, high));
        }
        bytemuck::must_cast(places)
    }

    #[inline(always)]
    fn fraction(self, q: Quad) -> Quad {
        // SAFETY: as above.
        unsafe { four!(|i| vsubq_f32(q[i], vrndmq_f32(q[i]))) }
    }

    #[inline(always)]
    fn scale_exp2(self, p: Quad, q: Quad) -> Quad {
        // SAFETY: as above. Below -126 the biased exponent would fall under 1: there the factor is
        // the f32 with exponent 0, which is 0.
        unsafe {
            let (bias, zero) = (vdupq_n_s32(127), vdupq_n_s32(0));
            four!(|i| {
                let biased = vmaxq_s32(vaddq_s32(vcvtmq_s32_f32(q[i]), bias), zero);
                vmulq_f32(p[i], vreinterpretq_f32_s32(vshlq_n_s32::<23>(biased)))
            })
        }
    }

    #[inline(always)]
    fn split_log2(self, x: Quad) -> (Quad, Quad) {
        // SAFETY: as above. Counted from √½, an exponent begins at √½ · 2^e instead of 2^e.
        unsafe {
            let sqrt_half = vdupq_n_s32(std::f32::consts::FRAC_1_SQRT_2.to_bits() as i32);
            let bits = four!(|i| vreinterpretq_s32_f32(x[i]));
            let exponents = four!(|i| vshrq_n_s32::<23>(vsubq_s32(bits[i], sqrt_half)));
            let f = four!(|i| {
                let mantissa = vsubq_s32(bits[i], vshlq_n_s32::<23>(exponents[i]));
                vsubq_f32(vreinterpretq_f32_s32(mantissa), vdupq_n_f32(1.0))
            });
            (f, four!(|i| vcvtq_f32_s32(exponents[i])))
        }
    }
}

/// Lanes 0 to 3, 4 to 7, 8 to 11 and 12 to 15.
#[inline(always)]
fn quarters<T>(values: &[T; LANES]) -> [&[T; LANES / 4]; 4] {
    let (quarters, _) = values.as_chunks();
    four!(|i| &quarters[i])
}

/// Bit `i` alone in every lane `i`.
#[inline(always)]
fn lane_bits() -> [uint32x4_t; 4] {
    static BITS: [[u32; 4]; 4] = [
        [1, 2, 4, 8],
        [16, 32, 64, 128],
        [1 << 8, 1 << 9, 1 << 10, 1 << 11],
        [1 << 12, 1 << 13, 1 << 14, 1 << 15],
    ];
    // SAFETY: as above; 16 bytes are read from each quarter.
    unsafe { four!(|i| vld1q_u32(BITS[i].as_ptr())) }
}

/// Row `i` has the places of four lanes, each four times.
static EACH_FOUR_TIMES: [[u8; 16]; 4] = {
    let mut rows = [[0; 16]; 4];
    let mut i = 0;
    while i < 64 {
        rows[i / 16][i % 16] = i as u8 / 4;
        i += 1;
    }
    rows
};

/// The numbers of the lanes whose bit is set, in order; after them, those of any lanes.
#[inline(always)]
fn packed(mask: u16) -> uint8x16_t {
    static PLACES: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    let [low, high] = mask.to_le_bytes();
    // The lower half has so many that as many places less than eight are free before the upper one.
    let len = low.count_ones() as u8;
    // SAFETY: as above; 8 bytes are read from a row of `PACKED`, and 16 from `PLACES`.
    unsafe {
        let low = vld1_u8(PACKED[usize::from(low)].as_ptr());
        let high = vadd_u8(vld1_u8(PACKED[usize::from(high)].as_ptr()), vdup_n_u8(8));
        let places = vld1q_u8(PLACES.as_ptr());
        let from_high = vcgeq_u8(places, vdupq_n_u8(len));
        let from = vaddq_u8(places, vandq_u8(from_high, vdupq_n_u8(8 - len)));
        vqtbl1q_u8(vcombine_u8(low, high), from)
    }
}
