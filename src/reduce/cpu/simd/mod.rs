//! Sixteen `f32` lanes, whatever the processor.
//!
//! The reduction is written once, in [`super::stream`], [`super::gather`] and [`super::sample`], over the trait
//! [`Isa`]; the files beside this one hold one thin implementation each, of which `dispatch.rs`
//! chooses:
//!
//! | file | lanes are | chosen when |
//! | --- | --- | --- |
//! | `avx512.rs` | one `__m512` | x86-64 with AVX-512 F, BW and DQ |
//! | `avx2.rs` | two `__m256` | x86-64 with AVX2, FMA and F16C |
//! | `neon.rs` | four `float32x4_t` | AArch64 with NEON, little-endian |
//! | `plain.rs` | `[f32; 16]` | everywhere else, and under Miri |
//!
//! Always sixteen lanes means that sums are formed in the same order everywhere and that one
//! precomputed table ([`super::gather::GatherTable`]) serves every processor.
//!
//! An [`Isa`] value is a *proof*: all but the plain one can only be had from `detect`,
//! which asks the processor. So the trait's methods are safe to call, and the `unsafe` blocks of
//! these files all rest on that one fact. [`Slots`] is a proof of another kind, for reads without
//! a bounds check; there is no other `unsafe` on the CPU path.
//!
//! A method that is not inlined into a function compiled for its instruction set costs a call
//! per instruction. Hence `#[inline(always)]` on everything here and above, and
//! [`Isa::vectorize`], the single place where the instruction set is switched on.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod dispatch;
mod math;
#[cfg(all(target_arch = "aarch64", not(miri)))]
mod neon;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod packed;
mod plain;
mod slots;

use half::{bf16, f16};

#[cfg(test)]
pub(crate) use dispatch::on_every_isa;
pub(crate) use dispatch::with_best_isa;
pub(crate) use math::{exp2, log2};
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
    /// The larger of `a` and `b` in each lane; NaN where `b` is NaN, and where `a` alone is, either
    /// of them: x86 gives `b` then, and NEON gives the NaN.
    fn max(self, a: Self::F32s, b: Self::F32s) -> Self::F32s;
    /// Bit `i` is set where `a[i] ≥ b[i]`; never for a NaN.
    fn ge(self, a: Self::F32s, b: Self::F32s) -> u16;
    /// Whether a lane of `a` or of `b` is NaN.
    fn any_nan(self, a: Self::F32s, b: Self::F32s) -> bool;
    /// The lanes of `a` whose bit is set, and those of `b` for the others.
    fn select(self, mask: u16, a: Self::F32s, b: Self::F32s) -> Self::F32s;
    /// The lanes whose bit is set, moved to the front in their order; the lanes after them hold
    /// anything.
    fn compress(self, mask: u16, a: Self::F32s) -> [f32; LANES];
    /// `first + i` for every bit `i` that is set, in order; the lanes after them hold anything.
    /// `first + 15` must not overflow.
    fn compress_places(self, mask: u16, first: u32) -> [u32; LANES];

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

#[cfg(test)]
mod tests;
