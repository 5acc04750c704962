//! Passes that stream through the row, block by block.
//!
//! A block is a fixed stretch of the row, so that sums are formed in the same order however many
//! threads share the blocks, and short enough for the first-level cache and for `f32` lanes to
//! add up without losing small terms; blocks add up in `f64`.

use std::f32::consts::LOG2_E;

use super::gather::TokenSums;
use super::logit::Logit;
use super::scale::Scale;
use super::simd::{self, Isa, Job, LANES};

/// Logits in a block.
pub(crate) const BLOCK: usize = 2048;

/// Block `i` of a row, the last of what is left.
pub(crate) fn block<T>(row: &[T], i: usize) -> &[T] {
    let start = i * BLOCK;
    &row[start..row.len().min(start + BLOCK)]
}

/// Chains of operations in flight: enough to hide the latency of one operation.
const CHAINS: usize = 4;

/// What a pass keeps while vectors of logits go by.
trait Accumulator<I: Isa>: Copy {
    fn add(&mut self, isa: I, logits: I::F32s);
    fn merge(self, isa: I, other: Self) -> Self;
}

/// Adds up a block, the last vector padded with `-inf`. (A trait rather than a closure: only a
/// function can be told to be inlined, see `simd`.)
#[inline(always)]
fn accumulate<I: Isa, T: Logit, A: Accumulator<I>>(isa: I, block: &[T], empty: A) -> A {
    let mut chains = [empty; CHAINS];
    let (pairs, tail) = block.as_chunks::<{ 2 * LANES }>();
    let (groups, rest) = pairs.as_chunks::<{ CHAINS / 2 }>();
    let [a, b, c, d] = &mut chains;
    for [first, second] in groups {
        let [x, y] = T::load_pair(isa, first);
        a.add(isa, x);
        b.add(isa, y);
        let [x, y] = T::load_pair(isa, second);
        c.add(isa, x);
        d.add(isa, y);
    }
    for pair in rest {
        let [x, y] = T::load_pair(isa, pair);
        a.add(isa, x);
        b.add(isa, y);
    }
    for (chain, values) in [c, d].into_iter().zip(tail.chunks(LANES)) {
        chain.add(isa, T::load_up_to(isa, values));
    }
    let [a, b, c, d] = chains;
    a.merge(isa, b).merge(isa, c.merge(isa, d))
}

/// The largest logit of a block; unspecified if the block holds a NaN.
pub(crate) struct BlockMax<'a, T>(pub(crate) &'a [T]);

#[derive(Clone, Copy)]
struct Largest<V>(V);

impl<I: Isa> Accumulator<I> for Largest<I::F32s> {
    #[inline(always)]
    fn add(&mut self, isa: I, logits: I::F32s) {
        self.0 = isa.max(self.0, logits);
    }

    #[inline(always)]
    fn merge(self, isa: I, other: Self) -> Self {
        Self(isa.max(self.0, other.0))
    }
}

impl<T: Logit> Job for BlockMax<'_, T> {
    type Output = f32;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> f32 {
        let lowest = Largest(isa.splat(f32::NEG_INFINITY));
        isa.largest(accumulate(isa, self.0, lowest).0)
    }
}

/// The sums over a block's tokens; `s` is NaN if and only if the block holds a NaN.
pub(crate) struct SumBlock<'a, T> {
    pub(crate) block: &'a [T],
    pub(crate) scale: Scale,
}

#[derive(Clone, Copy)]
struct Sums<V> {
    scale: Scale,
    s: V,
    u: V,
}

impl<I: Isa> Accumulator<I> for Sums<I::F32s> {
    #[inline(always)]
    fn add(&mut self, isa: I, logits: I::F32s) {
        let (q, power) = self.scale.weights(isa, logits);
        self.s = isa.add(self.s, power);
        self.u = isa.mul_add(q, power, self.u);
    }

    #[inline(always)]
    fn merge(self, isa: I, other: Self) -> Self {
        Self { scale: self.scale, s: isa.add(self.s, other.s), u: isa.add(self.u, other.u) }
    }
}

impl<T: Logit> Job for SumBlock<'_, T> {
    type Output = TokenSums;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> TokenSums {
        let zero = isa.splat(0.0);
        let sums = accumulate(isa, self.block, Sums { scale: self.scale, s: zero, u: zero });
        TokenSums { s: isa.sum(sums.s).into(), u: isa.sum(sums.u).into() }
    }
}

/// `Σ 2^q` over a block's tokens; NaN if and only if the block holds a NaN.
pub(crate) struct WeightOfBlock<'a, T> {
    pub(crate) block: &'a [T],
    pub(crate) scale: Scale,
}

#[derive(Clone, Copy)]
struct Weight<V> {
    scale: Scale,
    s: V,
}

impl<I: Isa> Accumulator<I> for Weight<I::F32s> {
    #[inline(always)]
    fn add(&mut self, isa: I, logits: I::F32s) {
        self.s = isa.add(self.s, self.scale.weights(isa, logits).1);
    }

    #[inline(always)]
    fn merge(self, isa: I, other: Self) -> Self {
        Self { scale: self.scale, s: isa.add(self.s, other.s) }
    }
}

/// The same by one operation less, where the logits are not so large that their scale would lose
/// digits: relative to `zero`, see [`Scale::zero`].
#[derive(Clone, Copy)]
struct QuickWeight<V> {
    zero: f32,
    s: V,
}

impl<I: Isa> Accumulator<I> for QuickWeight<I::F32s> {
    #[inline(always)]
    fn add(&mut self, isa: I, logits: I::F32s) {
        let q = isa.mul_add(logits, isa.splat(LOG2_E), isa.splat(-self.zero));
        self.s = isa.add(self.s, simd::exp2(isa, q).1);
    }

    #[inline(always)]
    fn merge(self, isa: I, other: Self) -> Self {
        Self { zero: self.zero, s: isa.add(self.s, other.s) }
    }
}

impl<T: Logit> Job for WeightOfBlock<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> f64 {
        let s = isa.splat(0.0);
        match self.scale.zero() {
            Some((zero, factor)) => {
                let sums = accumulate(isa, self.block, QuickWeight { zero, s });
                f64::from(isa.sum(sums.s)) * factor
            }
            None => {
                let sums = accumulate(isa, self.block, Weight { scale: self.scale, s });
                isa.sum(sums.s).into()
            }
        }
    }
}

/// Writes the weight of every token of a block.
pub(crate) struct WriteWeights<'a, T> {
    pub(crate) block: &'a [T],
    pub(crate) scale: Scale,
    /// As long as `block`.
    pub(crate) weights: &'a mut [f32],
}

impl<T: Logit> Job for WriteWeights<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let chunks = self.block.chunks(LANES).zip(self.weights.chunks_mut(LANES));
        for (logits, out) in chunks {
            let (_, power) = self.scale.weights(isa, T::load_up_to(isa, logits));
            out.copy_from_slice(&isa.to_array(power)[..out.len()]);
        }
    }
}

/// Writes every logit of a row relative to its maximum.
pub(crate) struct WriteRelative<'a, T> {
    pub(crate) row: &'a [T],
    pub(crate) scale: Scale,
    /// As long as `row`.
    pub(crate) out: &'a mut [f32],
}

impl<T: Logit> Job for WriteRelative<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        for (logits, out) in self.row.chunks(LANES).zip(self.out.chunks_mut(LANES)) {
            let relative = self.scale.relatives(isa, T::load_up_to(isa, logits));
            out.copy_from_slice(&isa.to_array(relative)[..out.len()]);
        }
    }
}

/// Calls `each` with the places of a block whose logit is at least what `each` last returned (at
/// first `threshold`), in ascending order; both are above `-inf`.
pub(crate) struct AtLeast<'a, T, F> {
    pub(crate) block: &'a [T],
    pub(crate) threshold: f32,
    pub(crate) each: F,
}

impl<T: Logit, F: FnMut(usize, f32) -> f32> Job for AtLeast<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(mut self, isa: I) {
        let mut threshold = self.threshold;
        for (i, values) in self.block.chunks(LANES).enumerate() {
            let mut mask = isa.ge(T::load_up_to(isa, values), isa.splat(threshold));
            while mask != 0 {
                let lane = mask.trailing_zeros() as usize;
                threshold = (self.each)(i * LANES + lane, values[lane].into());
                mask &= mask - 1;
            }
        }
    }
}

/// Writes the places of a block that count and whose logit is at least `threshold`, which is above
/// `-inf`, and gives them.
pub(crate) struct PlacesAtLeast<'a, 'b, T> {
    pub(crate) block: &'a [T],
    /// Sixteen places to an element, whether each counts.
    pub(crate) lanes: &'a [u16],
    pub(crate) threshold: f32,
    pub(crate) places: &'b mut [u16; BLOCK],
}

impl<'b, T: Logit> Job for PlacesAtLeast<'_, 'b, T> {
    type Output = &'b [u16];

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> &'b [u16] {
        let threshold = isa.splat(self.threshold);
        let mut len = 0;
        for (i, values) in self.block.chunks(LANES).enumerate() {
            let mut mask = isa.ge(T::load_up_to(isa, values), threshold) & self.lanes[i];
            while mask != 0 {
                self.places[len] = (i * LANES) as u16 + mask.trailing_zeros() as u16;
                len += 1;
                mask &= mask - 1;
            }
        }
        &self.places[..len]
    }
}

/// The place of the first logit that is the row's maximum, of a row without NaN; `maxima` are those of
/// its blocks.
pub(crate) fn first_maximum<I: Isa, T: Logit>(
    isa: I,
    row: &[T],
    maxima: &[f32],
    max: f32,
) -> Option<usize> {
    let i = maxima.iter().position(|&block_max| block_max == max)?;
    let place = isa.vectorize(FirstAtLeast(block(row, i), max))?;
    Some(i * BLOCK + place)
}

/// The first place of a block whose logit is at least `self.1`, which is above `-inf`.
struct FirstAtLeast<'a, T>(&'a [T], f32);

impl<T: Logit> Job for FirstAtLeast<'_, T> {
    type Output = Option<usize>;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Option<usize> {
        let threshold = isa.splat(self.1);
        for (i, values) in self.0.chunks(LANES).enumerate() {
            let mask = isa.ge(T::load_up_to(isa, values), threshold);
            if mask != 0 {
                return Some(i * LANES + mask.trailing_zeros() as usize);
            }
        }
        None
    }
}
