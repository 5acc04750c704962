//! Sixteen `f32` lanes, whatever the processor.
//!
//! The reduction is written once, in [`super::stream`] and [`super::gather`], over the trait
//! [`Isa`]; the files beside this one hold one thin implementation each:
//!
//! | file | lanes are | chosen when |
//! | --- | --- | --- |
//! | `avx512.rs` | one `__m512` | x86-64 with AVX-512 F, BW and DQ |
//! | `avx2.rs` | two `__m256` | x86-64 with AVX2, FMA and F16C |
//! | `plain.rs` | `[f32; 16]` | everywhere else, and under Miri |
//!
//! Always sixteen lanes means that sums are formed in the same order everywhere and that one
//! precomputed table ([`super::gather::GatherTable`]) serves every processor.
//!
//! An [`Isa`] value is a *proof*: the AVX types can only be had from `detect`, which asks the
//! processor. So the trait's methods are safe to call, and the `unsafe` blocks of the two AVX
//! files all rest on that one fact. [`Slots`] is a proof of another kind, for reads without a
//! bounds check; there is no other `unsafe` on the CPU path.
//!
//! A method that is not inlined into a function compiled for its instruction set costs a call
//! per instruction. Hence `#[inline(always)]` on everything here and above, and
//! [`Isa::vectorize`], the single place where the instruction set is switched on.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod plain;
mod slots;

use half::{bf16, f16};

pub(crate) use slots::{Picker, Slots};

/// The number of lanes of every [`Isa::F32s`].
pub(crate) const LANES: usize = 16;

/// Work to which an instruction set is given. It is compiled for any processor; those of its loops
/// that are worth it are [`Job`]s, which it runs by [`Isa::vectorize`].
pub(crate) trait WithIsa {
    type Output;
    fn run<I: Isa>(self, isa: I) -> Self::Output;
}

/// A loop that is compiled once for each instruction set; run by [`Isa::vectorize`].
pub(crate) trait Job {
    type Output;
    fn run<I: Isa>(self, isa: I) -> Self::Output;
}

/// Runs `work` with the best instruction set that this processor has.
pub(crate) fn with_best_isa<W: WithIsa>(work: W) -> W::Output {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        if let Some(isa) = avx512::Avx512::detect() {
            return work.run(isa);
        }
        if let Some(isa) = avx2::Avx2::detect() {
            return work.run(isa);
        }
    }
    work.run(plain::Plain)
}

/// Runs `work` with every instruction set that this processor has, for tests.
#[cfg(test)]
pub(crate) fn on_every_isa<W: WithIsa + Copy>(work: W) -> Vec<(&'static str, W::Output)> {
    let mut outputs = vec![("plain", work.run(plain::Plain))];
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        outputs.extend(avx2::Avx2::detect().map(|isa| ("avx2", work.run(isa))));
        outputs.extend(avx512::Avx512::detect().map(|isa| ("avx512", work.run(isa))));
    }
    outputs
}

/// An instruction set, with the operations that the reduction needs on sixteen `f32` lanes.
pub(crate) trait Isa: Copy + Send + Sync {
    /// Sixteen `f32` lanes.
    type F32s: Copy;

    /// Runs `job` compiled for this instruction set.
    fn vectorize<J: Job>(self, job: J) -> J::Output;

    fn splat(self, value: f32) -> Self::F32s;
    fn load(self, values: &[f32; LANES]) -> Self::F32s;
    fn load_bf16(self, values: &[bf16; LANES]) -> Self::F32s;
    /// Thirty-two values in any order, the same for each call: for sums and maxima, where
    /// neighbours need not stay in place, that is two operations instead of four.
    fn load_bf16_pair(self, values: &[bf16; 2 * LANES]) -> [Self::F32s; 2];
    /// Sixteen values in the upper halves; the lower halves are ignored.
    fn load_bf16_upper(self, values: &[u32; LANES]) -> Self::F32s;
    fn load_f16(self, values: &[f16; LANES]) -> Self::F32s;
    fn to_array(self, a: Self::F32s) -> [f32; LANES];

    fn add(self, a: Self::F32s, b: Self::F32s) -> Self::F32s;
    fn sub(self, a: Self::F32s, b: Self::F32s) -> Self::F32s;
    fn mul(self, a: Self::F32s, b: Self::F32s) -> Self::F32s;
    /// `a · b + c`, rounded once where the processor can.
    fn mul_add(self, a: Self::F32s, b: Self::F32s, c: Self::F32s) -> Self::F32s;
    /// The larger of `a` and `b` in each lane; `b` where either is NaN, as on x86.
    fn max(self, a: Self::F32s, b: Self::F32s) -> Self::F32s;
    /// Bit `i` is set where `a[i] ≥ b[i]`; never for a NaN.
    fn ge(self, a: Self::F32s, b: Self::F32s) -> u16;

    /// `q − ⌊q⌋`, for `q` in `[-160, 0]`; NaN for NaN.
    fn fraction(self, q: Self::F32s) -> Self::F32s;
    /// `p · 2^⌊q⌋`, for `p` in `[1, 2]` and `q` in `[-160, 0]`; 0 where that is below what the
    /// lanes can hold; NaN where `p` is NaN.
    fn scale_exp2(self, p: Self::F32s, q: Self::F32s) -> Self::F32s;
    /// `(f, e)` with `x = (1 + f) · 2^e`, `e` whole and `1 + f` in `[√½, √2)`, for normal
    /// positive `x`.
    fn split_log2(self, x: Self::F32s) -> (Self::F32s, Self::F32s);

    /// The sum of the lanes, added as a balanced tree: halves, quarters, eighths, pairs.
    #[inline(always)]
    fn sum(self, a: Self::F32s) -> f32 {
        fold(self.to_array(a), |x, y| x + y)
    }

    /// The largest lane; unspecified if a lane is NaN.
    #[inline(always)]
    fn largest(self, a: Self::F32s) -> f32 {
        fold(self.to_array(a), f32::max)
    }
}

#[inline(always)]
fn fold(mut lanes: [f32; LANES], combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] = combine(lanes[i], lanes[i + width]);
        }
    }
    lanes[0]
}

/// Below this power of two a probability is 0: `2^-160` vanishes in `f32` on every processor,
/// and `-160 · 0` is a number where `-∞ · 0` would be NaN.
const LOWEST_EXPONENT: f32 = -160.0;

/// `(q, 2^q)` for `q` ≤ 0, with `q` raised to [`LOWEST_EXPONENT`] where it is lower (`-∞`
/// included). NaN stays NaN. The relative error of `2^q` is below 2e-7.
///
/// `2^q = 2^⌊q⌋ · 2^f` with `f` in `[0, 1]`, where `2^f = 1 + f · P(f)` and `P` is the minimax
/// polynomial of degree 4 for the relative error.
#[inline(always)]
pub(crate) fn exp2<I: Isa>(isa: I, q: I::F32s) -> (I::F32s, I::F32s) {
    const P: [f32; 6] = [1.0, 0.6931513, 0.24016444, 0.055799913, 0.009017031, 0.00186713];
    let q = isa.max(isa.splat(LOWEST_EXPONENT), q);
    let power = isa.scale_exp2(polynomial(isa, &P, isa.fraction(q)), q);
    (q, power)
}

/// `log2(x)` for normal positive `x`, within 3e-6 absolute plus the rounding of the result.
///
/// `log2 x = e + log2(1 + f)` with `1 + f` in `[√½, √2)`, where `log2(1 + f) = f · P(f)` and `P`
/// is the minimax polynomial of degree 5.
#[inline(always)]
pub(crate) fn log2<I: Isa>(isa: I, x: I::F32s) -> I::F32s {
    const P: [f32; 6] = [1.4427135, -0.7211319, 0.47934815, -0.36748928, 0.322154, -0.20659399];
    let (f, exponent) = isa.split_log2(x);
    isa.mul_add(f, polynomial(isa, &P, f), exponent)
}

/// `Σ c[i] · xⁱ` by Estrin's rule, three dependent operations deep where Horner's has five.
#[inline(always)]
fn polynomial<I: Isa>(isa: I, c: &[f32; 6], x: I::F32s) -> I::F32s {
    let x2 = isa.mul(x, x);
    let c01 = isa.mul_add(isa.splat(c[1]), x, isa.splat(c[0]));
    let c23 = isa.mul_add(isa.splat(c[3]), x, isa.splat(c[2]));
    let c45 = isa.mul_add(isa.splat(c[5]), x, isa.splat(c[4]));
    isa.mul_add(isa.mul_add(c45, x2, c23), x2, c01)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A job alone.
    #[derive(Clone, Copy)]
    struct Vectorized<J>(J);

    impl<J: Job> WithIsa for Vectorized<J> {
        type Output = J::Output;
        fn run<I: Isa>(self, isa: I) -> J::Output {
            isa.vectorize(self.0)
        }
    }

    fn vectorized_on_every_isa<J: Job + Copy>(job: J) -> Vec<(&'static str, J::Output)> {
        on_every_isa(Vectorized(job))
    }

    #[derive(Clone, Copy)]
    struct Map<'a, F>(&'a [f32], F);

    trait Lanewise: Copy {
        fn call<I: Isa>(self, isa: I, x: I::F32s) -> I::F32s;
    }

    impl<F: Lanewise> Job for Map<'_, F> {
        type Output = Vec<f32>;
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) -> Vec<f32> {
            let (chunks, rest) = self.0.as_chunks::<LANES>();
            assert!(rest.is_empty(), "test inputs come in whole vectors");
            chunks.iter().flat_map(|c| isa.to_array(self.1.call(isa, isa.load(c)))).collect()
        }
    }

    #[derive(Clone, Copy)]
    struct Exp2;
    impl Lanewise for Exp2 {
        #[inline(always)]
        fn call<I: Isa>(self, isa: I, x: I::F32s) -> I::F32s {
            exp2(isa, x).1
        }
    }

    #[derive(Clone, Copy)]
    struct Log2;
    impl Lanewise for Log2 {
        #[inline(always)]
        fn call<I: Isa>(self, isa: I, x: I::F32s) -> I::F32s {
            log2(isa, x)
        }
    }

    const STEPS: usize = if cfg!(miri) { 1 << 8 } else { 1 << 20 };

    #[test]
    fn exp2_is_within_2e_7_of_the_true_value() {
        let q: Vec<f32> = (0..STEPS).map(|i| -126.0 * i as f32 / STEPS as f32).collect();
        for (isa, powers) in vectorized_on_every_isa(Map(&q, Exp2)) {
            for (&q, power) in q.iter().zip(powers) {
                let exact = f64::from(q).exp2();
                let error = (f64::from(power) / exact - 1.0).abs();
                assert!(error < 2e-7, "{isa}: 2^{q} = {power:e}, off by {error:e}");
            }
        }
    }

    #[test]
    fn exp2_of_what_is_no_ordinary_exponent() {
        let mut q = [0.0; LANES];
        q[1..6].copy_from_slice(&[f32::NEG_INFINITY, f32::NAN, -160.0, -1e30, -1e-30]);
        for (isa, powers) in vectorized_on_every_isa(Map(&q, Exp2)) {
            assert_eq!(powers[0], 1.0, "{isa}");
            assert_eq!(powers[1], 0.0, "{isa}: -inf is probability 0");
            assert!(powers[2].is_nan(), "{isa}: NaN must not vanish");
            assert_eq!(powers[3..5], [0.0; 2], "{isa}");
            assert!((powers[5] - 1.0).abs() < 2e-7, "{isa}");
        }
    }

    #[test]
    fn log2_is_within_3e_6_of_the_true_value() {
        let x: Vec<f32> = (0..STEPS)
            .map(|i| {
                f32::from_bits(0x0080_0000 + (i * ((0x4f00_0000 - 0x0080_0000) / STEPS)) as u32)
            })
            .collect();
        for (isa, logs) in vectorized_on_every_isa(Map(&x, Log2)) {
            for (&x, log) in x.iter().zip(logs) {
                let exact = f64::from(x).log2();
                let error = (f64::from(log) - exact).abs();
                assert!(
                    error < 3e-6 + 1e-7 * exact.abs(),
                    "{isa}: log2 {x:e} = {log}, off by {error:e}"
                );
            }
        }
    }

    #[derive(Clone, Copy)]
    struct Halves<'a>(&'a [f16; LANES], &'a [bf16; LANES]);
    impl Job for Halves<'_> {
        type Output = ([f32; LANES], [f32; LANES]);
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) -> Self::Output {
            (isa.to_array(isa.load_f16(self.0)), isa.to_array(isa.load_bf16(self.1)))
        }
    }

    #[test]
    fn every_half_precision_value_widens_exactly() {
        let step = if cfg!(miri) { 509 } else { 1 };
        for bits in (0..=u16::MAX).step_by(step) {
            let (h, b) = (f16::from_bits(bits), bf16::from_bits(bits));
            for (isa, (from_h, from_b)) in vectorized_on_every_isa(Halves(&[h; LANES], &[b; LANES]))
            {
                let same = |a: f32, b: f32| a == b || a.is_nan() && b.is_nan();
                assert!(from_h.iter().all(|&x| same(x, h.to_f32())), "{isa}: f16 {bits:#06x}");
                assert!(from_b.iter().all(|&x| same(x, b.to_f32())), "{isa}: bf16 {bits:#06x}");
            }
        }
    }

    #[derive(Clone, Copy)]
    struct Pair<'a>(&'a [bf16; 2 * LANES]);
    impl Job for Pair<'_> {
        type Output = [[f32; LANES]; 2];
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) -> Self::Output {
            isa.load_bf16_pair(self.0).map(|half| isa.to_array(half))
        }
    }

    #[test]
    fn a_pair_holds_every_value_once() {
        let values = std::array::from_fn(|i| bf16::from_f32(i as f32 - 7.0));
        for (isa, pair) in vectorized_on_every_isa(Pair(&values)) {
            let mut pair = pair.concat();
            pair.sort_by(f32::total_cmp);
            assert_eq!(pair, values.map(bf16::to_f32), "{isa}");
        }
    }

    #[derive(Clone, Copy)]
    struct Orders<'a>(&'a [f32; LANES], &'a [f32; LANES]);
    impl Job for Orders<'_> {
        type Output = (u16, f32, f32, [f32; LANES]);
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) -> Self::Output {
            let (a, b) = (isa.load(self.0), isa.load(self.1));
            (isa.ge(a, b), isa.sum(a), isa.largest(a), isa.to_array(isa.max(a, b)))
        }
    }

    #[test]
    fn comparisons_and_folds() {
        let a: [f32; LANES] = std::array::from_fn(|i| i as f32 - 3.0);
        let mut b = [0.0; LANES];
        b[5] = f32::NAN;
        for (isa, (ge, sum, largest, max)) in vectorized_on_every_isa(Orders(&a, &b)) {
            assert_eq!(ge, 0b1111_1111_1101_1000, "{isa}");
            assert_eq!((sum, largest), (72.0, 12.0), "{isa}");
            assert_eq!((max[0], max[7]), (0.0, 4.0), "{isa}");
            assert!(max[5].is_nan(), "{isa}: max gives the second operand beside a NaN");
        }
    }
}
