//! All that has a weight, one by one.

use super::weigh::Piece;
use crate::reduce::cpu::simd::{Isa, Job, LANES};

/// Calls `each` with the place, counted over all pieces, and the key of everything that has a weight,
/// and a key above `-inf`.
pub(super) fn each_weighed<I: Isa>(isa: I, pieces: &[Piece<'_>], mut each: impl FnMut(usize, f32)) {
    let mut start = 0;
    for block in pieces.iter().flat_map(Piece::blocks) {
        isa.vectorize(EachOfBlock { block, start, each: &mut each });
        start += block.values.len();
    }
}

struct EachOfBlock<'a, F> {
    block: Piece<'a>,
    /// The place of its first.
    start: usize,
    each: &'a mut F,
}

impl<F: FnMut(usize, f32)> Job for EachOfBlock<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { block, start, each } = self;
        for i in 0..block.values.len().div_ceil(LANES) {
            let (keys, counts) = block.vector(isa, i);
            let weighed = counts & block.kept(isa, keys, i) & isa.ge(keys, isa.splat(f32::MIN));
            if weighed != 0 {
                for (lane, key) in isa.to_array(keys).into_iter().enumerate() {
                    if weighed >> lane & 1 != 0 {
                        each(start + i * LANES + lane, key);
                    }
                }
            }
        }
    }
}
