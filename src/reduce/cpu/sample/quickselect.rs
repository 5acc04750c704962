//! The last key of a prefix whose weights reach a target, by partitions and without a sort.
//!
//! ```text
//! active = all keys;  kept = 0
//! while the active are many:
//!     pivot = one of them, by a sample, near to where the target is reached
//!     if kept + the weight of those above the pivot reaches it:  active = those above
//!     else if with those that equal the pivot it does:           the pivot is the last key
//!     else:  kept = kept + all these;                            active = those below
//! ```

use super::weigh::{Law, Piece};
use crate::reduce::cpu::logit::Logit;
use crate::reduce::cpu::simd::{Isa, Job, LANES};
use crate::reduce::cpu::stream::BLOCK;

/// The last key of a prefix, and how many of those that equal it are in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Last {
    pub(super) key: f32,
    pub(super) ties: usize,
}

/// Memory for keys that are still undecided, kept from row to row.
#[derive(Default)]
pub(super) struct Buffers {
    active: Vec<f32>,
    larger: Vec<f32>,
    smaller: Vec<f32>,
    tied: Vec<u32>,
}

impl Buffers {
    /// The `n`-th largest of some numbers; the least, if there are fewer.
    pub(super) fn nth_largest(&mut self, numbers: &[f32], n: usize) -> Option<f32> {
        let n = n.min(numbers.len());
        self.copy(numbers, numbers.len());
        (n > 0).then(|| self.last_of_largest(numbers.len(), n).key)
    }

    /// Makes keys the active ones; there may be `room` of them in other rows.
    pub(super) fn copy(&mut self, keys: &[f32], room: usize) {
        self.make_room(room.max(keys.len()));
        self.active[..keys.len()].copy_from_slice(keys);
    }

    /// The last of the `k` largest of `len` active keys, from 1 to `len`.
    pub(super) fn last_of_largest(&mut self, len: usize, k: usize) -> Last {
        let active = &mut self.active[..len];
        let (_, &mut key, _) = active.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
        Last { key, ties: active[..k].iter().filter(|&&active| active == key).count() }
    }

    /// Memory for the concepts of what ties.
    pub(super) fn tied(&mut self) -> &mut Vec<u32> {
        &mut self.tied
    }

    /// Room for so many, after which nothing is allocated.
    fn make_room(&mut self, len: usize) {
        self.tied.clear();
        self.tied.reserve(len);
        for buffer in [&mut self.active, &mut self.larger, &mut self.smaller] {
            if buffer.len() < len + LANES {
                buffer.resize(len + LANES, 0.0);
            }
        }
    }
}

impl Buffers {
    /// The last of the fewest keys of all pieces whose weights reach `target`, which is above 0; of all
    /// if they do not. `all` is the weight of all.
    ///
    /// A sample tells two keys between which the last one lies, most likely. Only what is between them
    /// is copied.
    pub(super) fn last_of_pieces<I: Isa, L: Law>(
        &mut self,
        isa: I,
        law: L,
        pieces: &[Piece<'_>],
        (target, all): (f64, f64),
    ) -> Option<Last> {
        self.make_room(pieces.iter().map(|piece| piece.values.len()).sum());
        let mut between = bracket(isa, law, pieces, target / all);
        loop {
            let (mut len, mut above) = (0, 0.0);
            for block in pieces.iter().flat_map(Piece::blocks) {
                let keys = &mut self.active[len..];
                let (taken, weight) = isa.vectorize(TakeBlock { law, block, between, keys });
                (len, above) = (len + taken, above + weight);
            }
            let left = weight_of_all(isa, law, &self.active[..len]);
            let is_between = above < target && (above + left >= target || between.0 == f32::MIN);
            if is_between || between == (f32::MIN, f32::MAX) {
                return self.last_of_heaviest(isa, law, len, (target - above, left));
            }
            between = (f32::MIN, f32::MAX);
        }
    }

    /// The last of the fewest of `len` active keys whose weights reach `target`, which is above 0;
    /// of all if they do not. `left` is the weight of all, about.
    pub(super) fn last_of_heaviest<I: Isa, L: Law>(
        &mut self,
        isa: I,
        law: L,
        mut len: usize,
        (target, mut left): (f64, f64),
    ) -> Option<Last> {
        /// So few are sorted.
        const FEW: usize = 4 * LANES;
        let Self { active, larger, smaller, .. } = self;
        // What is larger than all that are active is kept, and weighs `kept`, which is less than the
        // target; the active weigh `left`, about; and the last key that is kept is among them.
        let mut kept = 0.0;
        while len > FEW {
            let pivot = pivot(isa, law, &active[..len], (target - kept) / left);
            let halves = partition(isa, law, &active[..len], pivot, larger, smaller);
            if kept + halves.weight >= target {
                std::mem::swap(active, larger);
                (len, left) = (halves.larger, halves.weight);
                continue;
            }
            let equal = len - halves.larger - halves.smaller;
            let weight = weight_of(isa, law, pivot);
            let missing = target - (kept + halves.weight);
            if equal as f64 * weight >= missing || halves.smaller == 0 {
                let ties = (missing / weight).ceil().clamp(1.0, equal as f64) as usize;
                return Some(Last { key: pivot, ties });
            }
            let gone = halves.weight + equal as f64 * weight;
            (kept, left) = (kept + gone, left - gone);
            std::mem::swap(active, smaller);
            len = halves.smaller;
        }
        let active = &mut active[..len];
        active.sort_unstable_by(|a, b| b.total_cmp(a));
        let reached = active.iter().position(|&key| {
            kept += weight_of(isa, law, key);
            kept >= target
        });
        let last = reached.or(len.checked_sub(1))?;
        let key = active[last];
        let ties = active[..=last].iter().filter(|&&active| active == key).count();
        Some(Last { key, ties })
    }
}

/// Copies the keys of a block between two, both included; gives how many, and the weight of the larger
/// ones.
struct TakeBlock<'a, 'b, L> {
    law: L,
    block: Piece<'a>,
    between: (f32, f32),
    keys: &'b mut [f32],
}

impl<L: Law> Job for TakeBlock<'_, '_, L> {
    type Output = (usize, f64);

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> (usize, f64) {
        let Self { law, block, between: (low, high), keys: out } = self;
        let (low, above) = (isa.splat(low), isa.splat(high.next_up()));
        let mut sum = isa.splat(0.0);
        let mut len = 0;
        for i in 0..block.values.len().div_ceil(LANES) {
            let (keys, counts) = block.vector(isa, i);
            let is_above = counts & isa.ge(keys, above);
            let taken = counts & isa.ge(keys, low) & !is_above;
            sum = isa.add(sum, isa.select(is_above, law.weight(isa, keys), isa.splat(0.0)));
            if taken != 0 {
                out[len..][..LANES].copy_from_slice(&isa.compress(taken, keys));
                len += taken.count_ones() as usize;
            }
        }
        (len, isa.sum(sum).into())
    }
}

/// The weight of some keys.
fn weight_of_all<I: Isa, L: Law>(isa: I, law: L, keys: &[f32]) -> f64 {
    keys.chunks(BLOCK).map(|keys| isa.vectorize(WeighKeys(law, keys))).sum()
}

struct WeighKeys<'a, L>(L, &'a [f32]);

impl<L: Law> Job for WeighKeys<'_, L> {
    type Output = f64;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> f64 {
        let mut sum = isa.splat(0.0);
        for keys in self.1.chunks(LANES) {
            sum = isa.add(sum, self.0.weight(isa, f32::load_up_to(isa, keys)));
        }
        isa.sum(sum).into()
    }
}

/// Two keys around the one that `share` of the weight lies above, by a sample.
fn bracket<I: Isa, L: Law>(isa: I, law: L, pieces: &[Piece<'_>], share: f64) -> (f32, f32) {
    const SAMPLE: usize = 512;
    const MARGIN: f64 = 0.06;
    let count: usize = pieces.iter().map(|piece| piece.values.len()).sum();
    let step = count.div_ceil(SAMPLE);
    let mut sample = [f32::NEG_INFINITY; SAMPLE];
    let mut len = 0;
    for piece in pieces {
        let counts = |&place: &usize| piece.counts_at(place);
        for place in (0..piece.values.len()).step_by(step).filter(counts) {
            let key = piece.values[place] - piece.max;
            if len < SAMPLE && key > f32::NEG_INFINITY {
                sample[len] = key;
                len += 1;
            }
        }
    }
    let sample = &mut sample[..len];
    sample.sort_unstable_by(|a, b| b.total_cmp(a));
    let total = weight_of_all(isa, law, sample);
    let reached = |share: f64| {
        let mut sum = 0.0;
        sample.iter().find(|&&key| {
            sum += weight_of(isa, law, key);
            sum > share * total
        })
    };
    let high = reached(share - MARGIN).filter(|_| share > MARGIN).copied();
    let low = reached(share + MARGIN).copied();
    (low.unwrap_or(f32::MIN), high.unwrap_or(f32::MAX))
}

/// A key below which, by a sample, lies a little more or less than `share` of the weight: so that the
/// larger part is the one that is settled.
fn pivot<I: Isa, L: Law>(isa: I, law: L, keys: &[f32], share: f64) -> f32 {
    const SAMPLE: usize = 31;
    const MARGIN: f64 = 0.08;
    let mut sample: [f32; SAMPLE] =
        std::array::from_fn(|i| keys[i * (keys.len() - 1) / (SAMPLE - 1)]);
    sample.sort_unstable_by(|a, b| b.total_cmp(a));
    let weights = sample.map(|key| weight_of(isa, law, key));
    let share = if share > 0.5 { share - MARGIN } else { share + MARGIN };
    let target = share * weights.iter().sum::<f64>();
    let mut sum = 0.0;
    let reached = weights.iter().position(|weight| {
        sum += weight;
        sum > target
    });
    sample[reached.unwrap_or(SAMPLE / 2)]
}

/// How many keys are on either side of a pivot, and what the larger ones weigh.
struct Halves {
    larger: usize,
    smaller: usize,
    weight: f64,
}

/// Copies what is larger than `pivot`, and what is smaller.
fn partition<I: Isa, L: Law>(
    isa: I,
    law: L,
    keys: &[f32],
    pivot: f32,
    larger: &mut [f32],
    smaller: &mut [f32],
) -> Halves {
    let mut halves = Halves { larger: 0, smaller: 0, weight: 0.0 };
    // Block by block, so that lanes add few weights before they go on to f64.
    for keys in keys.chunks(BLOCK) {
        isa.vectorize(PartitionBlock { law, keys, pivot, larger, smaller, halves: &mut halves });
    }
    halves
}

struct PartitionBlock<'a, L> {
    law: L,
    keys: &'a [f32],
    pivot: f32,
    larger: &'a mut [f32],
    smaller: &'a mut [f32],
    halves: &'a mut Halves,
}

impl<L: Law> Job for PartitionBlock<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { law, keys, pivot, larger, smaller, halves } = self;
        let (at, above) = (isa.splat(pivot), isa.splat(pivot.next_up()));
        let mut sum = isa.splat(0.0);
        for keys in keys.chunks(LANES) {
            let lanes = f32::load_up_to(isa, keys);
            let whole = if keys.len() == LANES { u16::MAX } else { (1 << keys.len()) - 1 };
            let is_larger = isa.ge(lanes, above);
            let is_smaller = !isa.ge(lanes, at) & whole;
            if is_larger != 0 {
                sum = isa.add(sum, isa.select(is_larger, law.weight(isa, lanes), isa.splat(0.0)));
                larger[halves.larger..][..LANES].copy_from_slice(&isa.compress(is_larger, lanes));
                halves.larger += is_larger.count_ones() as usize;
            }
            if is_smaller != 0 {
                smaller[halves.smaller..][..LANES]
                    .copy_from_slice(&isa.compress(is_smaller, lanes));
                halves.smaller += is_smaller.count_ones() as usize;
            }
        }
        halves.weight += f64::from(isa.sum(sum));
    }
}

/// The weight of one key.
fn weight_of<I: Isa, L: Law>(isa: I, law: L, key: f32) -> f64 {
    struct WeightOf<L>(L, f32);

    impl<L: Law> Job for WeightOf<L> {
        type Output = f32;

        #[inline(always)]
        fn run<I: Isa>(self, isa: I) -> f32 {
            isa.to_array(self.0.weight(isa, isa.splat(self.1)))[0]
        }
    }

    isa.vectorize(WeightOf(law, key)).into()
}
