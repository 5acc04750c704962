//! Which of the candidates a filter keeps: a prefix of their order of preference, found by its last
//! key, without a sort.
//!
//! The order is that of the keys, larger ones first, and of the concept ids where keys are equal. So
//! a prefix is all that is larger than one key, and some of what equals it: those with the lowest
//! concepts.

use super::candidates::Candidates;
use super::quickselect::{Buffers, Last};
use super::weigh::{Law, Piece};
use crate::reduce::cpu::simd::{Isa, Job, LANES};

/// A prefix of the order of preference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cut {
    /// The last key that is kept.
    pub(super) key: f32,
    /// The candidates that equal it are kept up to this place among all.
    pub(super) until: usize,
}

impl Cut {
    /// Keeps everything.
    pub(super) const NONE: Self = Self { key: f32::NEG_INFINITY, until: usize::MAX };

    pub(super) fn keeps(&self, place: usize, key: f32) -> bool {
        key > self.key || key == self.key && place < self.until
    }
}

/// How candidates of equal keys are ordered.
pub(super) struct Order<'a, C> {
    /// The concept of an item.
    pub(super) concept_of: &'a C,
    /// Candidates below this item are in the order of their concepts.
    pub(super) in_order: u32,
}

impl<C> Clone for Order<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Order<'_, C> {}

/// The cut that keeps the `k` first, at least one.
pub(super) fn largest<I: Isa, C: Fn(u32) -> u32>(
    candidates: &mut Candidates,
    isa: I,
    k: usize,
    order: Order<'_, C>,
    buffers: &mut Buffers,
) -> Cut {
    if candidates.keys().len() <= k {
        return Cut::NONE;
    }
    buffers.copy(candidates.keys(), candidates.room());
    let last = buffers.last_of_largest(candidates.keys().len(), k);
    cut_at(candidates, isa, last, order, buffers.tied())
}

/// The cut that keeps the fewest whose weights reach `target`, which is above 0; all if they do not.
/// `left` is the weight of all candidates, about.
pub(super) fn heaviest<I: Isa, L: Law, C: Fn(u32) -> u32>(
    candidates: &mut Candidates,
    isa: I,
    law: L,
    (target, left): (f64, f64),
    order: Order<'_, C>,
    buffers: &mut Buffers,
) -> Cut {
    buffers.copy(candidates.keys(), candidates.room());
    match buffers.last_of_heaviest(isa, law, candidates.keys().len(), (target, left)) {
        Some(last) => cut_at(candidates, isa, last, order, buffers.tied()),
        None => Cut::NONE,
    }
}

/// The cut that keeps all up to `last`.
fn cut_at<I: Isa, C: Fn(u32) -> u32>(
    candidates: &mut Candidates,
    isa: I,
    Last { key, ties }: Last,
    Order { concept_of, in_order }: Order<'_, C>,
    tied: &mut Vec<u32>,
) -> Cut {
    // The others come last.
    let others = candidates.items().partition_point(|&item| item < in_order);
    if !candidates.keys()[others..].contains(&key) {
        let piece = Piece::of_keys(candidates.keys());
        return Cut { key, until: place_after(isa, &[piece], Last { key, ties }) };
    }
    let pairs = || candidates.keys().iter().zip(candidates.items());
    let equal = pairs().filter(|&(&this, _)| this == key);
    tied.clear();
    tied.extend(equal.map(|(_, &item)| concept_of(item)));
    if ties < tied.len() {
        let (_, &mut last, _) = tied.select_nth_unstable(ties - 1);
        // Those that are left out go below all keys.
        candidates.lower(|this, item| this == key && concept_of(item) > last);
    }
    Cut { key, until: usize::MAX }
}

/// The place after the last of the ties that are kept, counted over all pieces.
pub(super) fn place_after<I: Isa>(isa: I, pieces: &[Piece<'_>], Last { key, ties }: Last) -> usize {
    let mut left = ties;
    let mut start = 0;
    for block in pieces.iter().flat_map(Piece::blocks) {
        let (place, found) = isa.vectorize(PlaceAfter { block, key, ties: left });
        left -= found;
        start += place;
        if left == 0 {
            break;
        }
    }
    start
}

/// How many keys of all pieces equal `key`.
pub(super) fn count_of<I: Isa>(isa: I, pieces: &[Piece<'_>], key: f32) -> usize {
    let blocks = pieces.iter().flat_map(Piece::blocks);
    let of = |block| isa.vectorize(PlaceAfter { block, key, ties: usize::MAX }).1;
    blocks.map(of).sum()
}

/// The place after the `ties`-th key that equals `key`, and how many were found; the end of the
/// block if they are fewer.
struct PlaceAfter<'a> {
    block: Piece<'a>,
    key: f32,
    ties: usize,
}

impl Job for PlaceAfter<'_> {
    type Output = (usize, usize);

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> (usize, usize) {
        let (key, above) = (isa.splat(self.key), isa.splat(self.key.next_up()));
        let mut left = self.ties;
        for i in 0..self.block.values.len().div_ceil(LANES) {
            let (keys, counts) = self.block.vector(isa, i);
            let equal = counts & isa.ge(keys, key) & !isa.ge(keys, above);
            let count = equal.count_ones() as usize;
            if count >= left {
                let of_them = (0..LANES).filter(|lane| equal >> lane & 1 != 0);
                let last = of_them.take(left).last().unwrap_or(0);
                return (i * LANES + last + 1, self.ties);
            }
            left -= count;
        }
        (self.block.values.len(), self.ties - left)
    }
}
