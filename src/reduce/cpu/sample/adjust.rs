//! What changes a row's logits before anything is pooled: penalties, bias, mask.

use crate::reduce::BadRowReason;
use crate::reduce::cpu::logit::Logit;
use crate::reduce::cpu::pass::reason;
use crate::reduce::cpu::simd::{Isa, Job, LANES};

/// The changes to a row; none of them is the caller's to check any more: penalties and biases are
/// finite (a bias may be `-inf`), and tokens are below the vocabulary's size.
#[derive(Clone, Copy)]
pub(crate) struct Adjust<'a> {
    pub(crate) repetition: f32,
    pub(crate) presence: f32,
    pub(crate) frequency: f32,
    /// Tokens that the row has seen, each once, and how often.
    pub(crate) seen: &'a [(u32, u32)],
    /// Tokens and what is added to their logits.
    pub(crate) bias: &'a [(u32, f32)],
    /// Bit `t mod 32` of word `t / 32` allows token `t`; tokens beyond the last word are banned.
    pub(crate) mask: Option<&'a [u32]>,
}

impl Adjust<'_> {
    /// Changes nothing.
    pub(crate) const NONE: Self =
        Self { repetition: 1.0, presence: 0.0, frequency: 0.0, seen: &[], bias: &[], mask: None };

    fn has_penalties(&self) -> bool {
        (self.repetition, self.presence, self.frequency) != (1.0, 0.0, 0.0) && !self.seen.is_empty()
    }

    /// Whether nothing is changed.
    pub(crate) fn is_none(&self) -> bool {
        !self.has_penalties() && self.bias.is_empty() && self.mask.is_none()
    }

    /// Writes the row as it is after all changes, in `f32`.
    ///
    /// # Errors
    ///
    /// What makes the row a bad one before the changes: a NaN is one even where the mask hides it.
    pub(super) fn write<I: Isa, T: Logit>(
        &self,
        isa: I,
        row: &[T],
        out: &mut [f32],
    ) -> Result<(), BadRowReason> {
        let max = isa.vectorize(Copy { row, mask: self.mask, out });
        if !max.is_finite() {
            return Err(reason(row));
        }
        if self.has_penalties() {
            for &(token, count) in self.seen {
                let logit = &mut out[token as usize];
                if *logit == f32::NEG_INFINITY {
                    continue;
                }
                *logit =
                    if *logit > 0.0 { *logit / self.repetition } else { *logit * self.repetition };
                *logit -= self.presence + self.frequency * count as f32;
            }
        }
        for &(token, bias) in self.bias {
            let logit = &mut out[token as usize];
            let is_banned = bias == f32::NEG_INFINITY || *logit == f32::NEG_INFINITY;
            *logit = if is_banned { f32::NEG_INFINITY } else { *logit + bias };
        }
        Ok(())
    }
}

/// Copies a row, widened, with `-inf` for what the mask bans; gives the largest logit before that,
/// or NaN if there is one.
struct Copy<'a, T> {
    row: &'a [T],
    mask: Option<&'a [u32]>,
    /// As long as the row.
    out: &'a mut [f32],
}

impl<T: Logit> Job for Copy<'_, T> {
    type Output = f32;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> f32 {
        let banned = isa.splat(f32::NEG_INFINITY);
        let mut max = banned;
        let mut has_nan = false;
        let (pairs, rest) = self.row.as_chunks::<{ 2 * LANES }>();
        let (outs, rest_out) = self.out.as_chunks_mut::<{ 2 * LANES }>();
        for (i, (logits, out)) in pairs.iter().zip(outs).enumerate() {
            let (logits, _) = logits.as_chunks();
            let (out, _) = out.as_chunks_mut();
            let mut halves = [T::load(isa, &logits[0]), T::load(isa, &logits[1])];
            has_nan |= isa.any_nan(halves[0], halves[1]);
            max = isa.max(max, isa.max(halves[0], halves[1]));
            let allowed = allowed(self.mask, i);
            if allowed != u32::MAX {
                halves[0] = isa.select(allowed as u16, halves[0], banned);
                halves[1] = isa.select((allowed >> 16) as u16, halves[1], banned);
            }
            out[0] = isa.to_array(halves[0]);
            out[1] = isa.to_array(halves[1]);
        }
        let mut max = isa.largest(max);
        let allowed = allowed(self.mask, pairs.len());
        for (i, (&logit, out)) in rest.iter().zip(rest_out).enumerate() {
            let logit: f32 = logit.into();
            has_nan |= logit.is_nan();
            max = max.max(logit);
            *out = if allowed >> i & 1 != 0 { logit } else { f32::NEG_INFINITY };
        }
        if has_nan { f32::NAN } else { max }
    }
}

/// The bits of word `i` of a mask: none beyond its end, and all where there is no mask.
fn allowed(mask: Option<&[u32]>, i: usize) -> u32 {
    mask.map_or(u32::MAX, |words| words.get(i).copied().unwrap_or(0))
}
