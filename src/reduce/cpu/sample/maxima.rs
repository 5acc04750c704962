//! The largest logit of every block of a row.

use crate::reduce::cpu::simd::{Isa, Job, LANES};
use crate::reduce::cpu::stream::BLOCK;

/// Writes the maximum of each block, and gives that of the row; NaN if the row holds one. A
/// maximum of zero has the negative sign, which makes no difference but to [`super::weigh`]'s keys:
/// of them no zero is negative then.
pub(super) struct Maxima<'a> {
    pub(super) row: &'a [f32],
    /// One for each block.
    pub(super) blocks: &'a mut [f32],
}

impl Job for Maxima<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> f32 {
        let mut row_max = f32::NEG_INFINITY;
        let mut has_nan = false;
        for (block, block_max) in self.row.chunks(BLOCK).zip(self.blocks) {
            let mut max = [isa.splat(f32::NEG_INFINITY); 4];
            let (quads, rest) = block.as_chunks::<{ 4 * LANES }>();
            for quad in quads {
                let (vectors, _) = quad.as_chunks::<LANES>();
                let vectors = [&vectors[0], &vectors[1], &vectors[2], &vectors[3]];
                let [a, b, c, d] = vectors.map(|lanes| isa.load(lanes));
                has_nan |= isa.any_nan(a, b) | isa.any_nan(c, d);
                max[0] = isa.max(max[0], a);
                max[1] = isa.max(max[1], b);
                max[2] = isa.max(max[2], c);
                max[3] = isa.max(max[3], d);
            }
            let max = isa.max(isa.max(max[0], max[1]), isa.max(max[2], max[3]));
            let rest_max = rest.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            has_nan |= rest.iter().any(|logit| logit.is_nan());
            *block_max = isa.largest(max).max(rest_max);
            row_max = row_max.max(*block_max);
        }
        match row_max {
            _ if has_nan => f32::NAN,
            0.0 => -0.0,
            max => max,
        }
    }
}
