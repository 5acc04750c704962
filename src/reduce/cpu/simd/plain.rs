//! [`Isa`] in plain Rust: arrays and loops, which the compiler vectorises for the baseline of
//! the target (SSE2, NEON). No `unsafe`.

use half::{bf16, f16};

use super::{Isa, Job, LANES};

#[derive(Clone, Copy)]
pub(super) struct Plain;

type Lanes = [f32; LANES];

#[inline(always)]
fn map2(a: Lanes, b: Lanes, f: impl Fn(f32, f32) -> f32) -> Lanes {
    std::array::from_fn(|i| f(a[i], b[i]))
}

/// `⌊q⌋` for `q` in `[-160, 0]`; anything for NaN.
///
/// Added to 1.5 · 2²³, a number leaves its nearest integer in the lowest bits of the sum: that is
/// an addition and a subtraction, where a conversion to `i32` checks for overflow lane by lane. A
/// `q` that is whole, or less than 1e-5 below, may be rounded the other way, which leaves a
/// fraction of 1 or of about -1e-5, where the polynomial of `exp2` is still good.
#[inline(always)]
fn floor(q: f32) -> i32 {
    const SHIFT: f32 = 12_582_912.0;
    (q - 0.5 + SHIFT).to_bits().wrapping_sub(SHIFT.to_bits()) as i32
}

/// Writes every lane, and goes on to the next place after those whose bit is set: no branch depends
/// on the mask.
#[inline(always)]
fn compress<T: Copy + Default>(mask: u16, lanes: [T; LANES]) -> [T; LANES] {
    let mut compressed = [T::default(); LANES];
    let mut len = 0;
    for (i, lane) in lanes.into_iter().enumerate() {
        // At most `i` before, so that the remainder changes nothing but spares a bounds check.
        compressed[len % LANES] = lane;
        len += usize::from(mask >> i & 1);
    }
    compressed
}

impl Isa for Plain {
    type F32s = Lanes;

    #[inline(always)]
    fn vectorize<J: Job>(self, job: J) -> J::Output {
        job.run(self)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Lanes {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, values: &[f32; LANES]) -> Lanes {
        *values
    }

    #[inline(always)]
    fn load_bf16(self, values: &[bf16; LANES]) -> Lanes {
        values.map(|x| f32::from_bits(u32::from(x.to_bits()) << 16))
    }

    #[inline(always)]
    fn load_bf16_pair(self, values: &[bf16; 2 * LANES]) -> [Lanes; 2] {
        let (halves, _) = values.as_chunks();
        [self.load_bf16(&halves[0]), self.load_bf16(&halves[1])]
    }

    #[inline(always)]
    fn load_bf16_upper(self, values: &[u32; LANES]) -> Lanes {
        values.map(|x| f32::from_bits(x & 0xffff_0000))
    }

    #[inline(always)]
    fn load_f16(self, values: &[f16; LANES]) -> Lanes {
        values.map(f16::to_f32)
    }

    #[inline(always)]
    fn to_array(self, a: Lanes) -> [f32; LANES] {
        a
    }

    #[inline(always)]
    fn add(self, a: Lanes, b: Lanes) -> Lanes {
        map2(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Lanes, b: Lanes) -> Lanes {
        map2(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Lanes, b: Lanes) -> Lanes {
        map2(a, b, |a, b| a * b)
    }

    /// Two roundings: `f32::mul_add` is a library call where the target has no such instruction.
    #[inline(always)]
    fn mul_add(self, a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    fn max(self, a: Lanes, b: Lanes) -> Lanes {
        map2(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn ge(self, a: Lanes, b: Lanes) -> u16 {
        (0..LANES).fold(0, |mask, i| mask | u16::from(a[i] >= b[i]) << i)
    }

    #[inline(always)]
    fn any_nan(self, a: Lanes, b: Lanes) -> bool {
        // Without a way out in the middle, which would keep the compiler from using vectors.
        (0..LANES).fold(false, |any, i| any | a[i].is_nan() | b[i].is_nan())
    }

    #[inline(always)]
    fn select(self, mask: u16, a: Lanes, b: Lanes) -> Lanes {
        std::array::from_fn(|i| if u32::from(mask) & 1 << i != 0 { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn compress(self, mask: u16, a: Lanes) -> [f32; LANES] {
        compress(mask, a)
    }

    #[inline(always)]
    fn compress_places(self, mask: u16, first: u32) -> [u32; LANES] {
        compress(mask, std::array::from_fn(|i| first + i as u32))
    }

    #[inline(always)]
    fn fraction(self, q: Lanes) -> Lanes {
        q.map(|q| q - floor(q) as f32)
    }

    #[inline(always)]
    fn scale_exp2(self, p: Lanes, q: Lanes) -> Lanes {
        // Below -126 the factor is the f32 with exponent 0, which is 0.
        map2(p, q, |p, q| p * f32::from_bits((floor(q).wrapping_add(127).max(0) as u32) << 23))
    }

    #[inline(always)]
    fn split_log2(self, x: Lanes) -> (Lanes, Lanes) {
        // Counted from √½, an exponent begins at √½ · 2^e instead of 2^e.
        let exponent =
            |x: f32| (x.to_bits() as i32 - std::f32::consts::FRAC_1_SQRT_2.to_bits() as i32) >> 23;
        let mantissa = |x: f32| f32::from_bits((x.to_bits() as i32 - (exponent(x) << 23)) as u32);
        (x.map(|x| mantissa(x) - 1.0), x.map(|x| exponent(x) as f32))
    }
}
