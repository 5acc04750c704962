//! The dtypes that logits come in, widened to `f32` in registers.

use half::{bf16, f16};

use super::simd::{Isa, LANES, Picker};

/// A dtype of logits.
pub(crate) trait Logit: Copy + Send + Sync + Into<f32> + 'static {
    const NEG_INFINITY: Self;

    fn load<I: Isa>(isa: I, values: &[Self; LANES]) -> I::F32s;

    /// The values themselves, if they are `f32`.
    fn as_f32s(_: &[Self]) -> Option<&[f32]> {
        None
    }

    /// Thirty-two values, in an order of the dtype's own.
    #[inline(always)]
    fn load_pair<I: Isa>(isa: I, values: &[Self; 2 * LANES]) -> [I::F32s; 2] {
        let (halves, _) = values.as_chunks();
        [Self::load(isa, &halves[0]), Self::load(isa, &halves[1])]
    }

    /// The sixteen values that a slot names.
    #[inline(always)]
    fn pick<I: Isa>(isa: I, picker: &Picker<'_, Self>, slot: usize) -> I::F32s {
        Self::load(isa, &picker.pick(slot))
    }

    /// Up to sixteen values; the lanes beyond them hold `-inf`, probability 0.
    #[inline(always)]
    fn load_up_to<I: Isa>(isa: I, values: &[Self]) -> I::F32s {
        if let Ok(values) = values.try_into() {
            return Self::load(isa, values);
        }
        let mut lanes = [Self::NEG_INFINITY; LANES];
        lanes[..values.len()].copy_from_slice(values);
        Self::load(isa, &lanes)
    }

    /// The logits of up to sixteen tokens; the lanes beyond them hold `-inf`.
    #[inline(always)]
    fn gather<I: Isa>(isa: I, row: &[Self], tokens: &[u32]) -> I::F32s {
        let mut lanes = [Self::NEG_INFINITY; LANES];
        for (lane, &t) in lanes.iter_mut().zip(tokens) {
            *lane = row[t as usize];
        }
        Self::load(isa, &lanes)
    }
}

impl Logit for f32 {
    const NEG_INFINITY: Self = f32::NEG_INFINITY;

    #[inline(always)]
    fn load<I: Isa>(isa: I, values: &[Self; LANES]) -> I::F32s {
        isa.load(values)
    }

    fn as_f32s(values: &[Self]) -> Option<&[f32]> {
        Some(values)
    }
}

impl Logit for f16 {
    const NEG_INFINITY: Self = f16::NEG_INFINITY;

    #[inline(always)]
    fn load<I: Isa>(isa: I, values: &[Self; LANES]) -> I::F32s {
        isa.load_f16(values)
    }
}

impl Logit for bf16 {
    const NEG_INFINITY: Self = bf16::NEG_INFINITY;

    #[inline(always)]
    fn load<I: Isa>(isa: I, values: &[Self; LANES]) -> I::F32s {
        isa.load_bf16(values)
    }

    #[inline(always)]
    fn load_pair<I: Isa>(isa: I, values: &[Self; 2 * LANES]) -> [I::F32s; 2] {
        isa.load_bf16_pair(values)
    }

    #[cfg(target_endian = "little")]
    #[inline(always)]
    fn pick<I: Isa>(isa: I, picker: &Picker<'_, Self>, slot: usize) -> I::F32s {
        isa.load_bf16_upper(&picker.pick_with_neighbours(slot))
    }
}
