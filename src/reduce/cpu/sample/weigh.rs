//! Weights, their sums block by block, and the place that a uniform number falls on.
//!
//! What is weighed lies in *pieces*, one after the other: the tokens of a row, the concepts of a
//! table, or the few that a filter has left. Each has a *key*, the logarithm of its mass relative to
//! the row's likeliest token, and a weight that follows from it. Sums are formed in vectors within a
//! block of 2,048 and in `f64` over the blocks, always from the first to the last, so that the same
//! row has the same sums to the bit; and the pick goes the same way:
//!
//! ```text
//! total = Σ over the blocks of all pieces; target = uniform · total
//! the first block whose cumulative sum exceeds the target, and in it the first place
//! ```

use super::super::simd::{self, Isa, Job, LANES};
use super::super::stream::BLOCK;

/// The weight of a key.
pub(super) trait Law: Copy + Send + Sync {
    fn weight<I: Isa>(self, isa: I, keys: I::F32s) -> I::F32s;

    /// The largest weight there is.
    fn largest(self) -> f64;

    /// The key whose weight is a share of the largest.
    fn key_at(self, share: f64) -> f32;
}

/// `exp((key - top) / T)`: the mass to the power `1 / T`, relative to that of the largest key.
#[derive(Clone, Copy)]
pub(super) struct Power {
    top: f32,
    temperature: f64,
    /// Their product is `log2 e / T`, which alone may be beyond `f32`. Neither is 0 or infinite: a
    /// difference of 0 must give a weight of 1, and one of `-inf` a weight of 0, at every temperature.
    rates: [f32; 2],
}

impl Power {
    /// The law at a temperature above 0 for keys that are at most `top`.
    pub(super) fn new(temperature: f64, top: f32) -> Self {
        let rate = std::f64::consts::LOG2_E / temperature;
        let first: f32 = match rate {
            _ if rate > 1e30 => 1e30,
            _ if rate < 1e-30 => 1e-30,
            _ => 1.0,
        };
        let rest = (rate / f64::from(first)) as f32;
        let rates = [first, rest.clamp(f32::MIN_POSITIVE, f32::MAX)];
        Self { top, temperature, rates }
    }

    /// The same law in two operations less, where there is nothing to subtract and one rate.
    pub(super) fn plain(self) -> Option<Plain> {
        let is_plain = self.top == 0.0 && self.rates[0] == 1.0;
        is_plain.then_some(Plain { temperature: self.temperature, rate: self.rates[1] })
    }

    /// The logarithm of a key's weight.
    pub(super) fn ln_weight(self, key: f32) -> f64 {
        (f64::from(key) - f64::from(self.top)) / self.temperature
    }
}

impl Law for Power {
    #[inline(always)]
    fn weight<I: Isa>(self, isa: I, keys: I::F32s) -> I::F32s {
        let below = isa.sub(keys, isa.splat(self.top));
        let scaled = isa.mul(below, isa.splat(self.rates[0]));
        simd::exp2(isa, isa.mul(scaled, isa.splat(self.rates[1]))).1
    }

    fn largest(self) -> f64 {
        1.0
    }

    fn key_at(self, share: f64) -> f32 {
        (f64::from(self.top) + share.ln() * self.temperature) as f32
    }
}

/// [`Power`] for keys of at most 0, at a temperature that is not extreme; to the bit.
#[derive(Clone, Copy)]
pub(super) struct Plain {
    temperature: f64,
    rate: f32,
}

impl Law for Plain {
    #[inline(always)]
    fn weight<I: Isa>(self, isa: I, keys: I::F32s) -> I::F32s {
        simd::exp2(isa, isa.mul(keys, isa.splat(self.rate))).1
    }

    fn largest(self) -> f64 {
        1.0
    }

    fn key_at(self, share: f64) -> f32 {
        (share.ln() * self.temperature) as f32
    }
}

/// The key is the weight itself, a number from 0 on; this is the largest.
#[derive(Clone, Copy)]
pub(super) struct Itself(pub(super) f32);

impl Law for Itself {
    #[inline(always)]
    fn weight<I: Isa>(self, _: I, keys: I::F32s) -> I::F32s {
        keys
    }

    fn largest(self) -> f64 {
        self.0.into()
    }

    fn key_at(self, share: f64) -> f32 {
        (share * f64::from(self.0)) as f32
    }
}

/// A stretch of what is weighed.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    /// Keys, or logits of which `max` is subtracted to have keys.
    pub(super) values: &'a [f32],
    pub(super) max: f32,
    /// Where there is one, bit `i mod 16` of element `i / 16` says whether place `i` counts.
    pub(super) counts: Option<&'a [u16]>,
    /// Keys below it have no weight, and those that equal it only before the place `until`.
    pub(super) from: f32,
    pub(super) until: usize,
    /// The largest value of every block, or more; empty if that is not known.
    pub(super) maxima: &'a [f32],
    pub(super) lowest: Lowest<'a>,
}

/// The lowest concept of what counts in every block of a piece.
#[derive(Clone, Copy)]
pub(super) enum Lowest<'a> {
    Unknown,
    /// A place is its own concept.
    Place,
    Of(&'a [u32]),
}

impl<'a> Piece<'a> {
    /// Keys, all of which count.
    pub(super) fn of_keys(keys: &'a [f32]) -> Self {
        let (from, maxima, lowest) = (f32::NEG_INFINITY, &[], Lowest::Unknown);
        Self { values: keys, max: -0.0, counts: None, from, until: usize::MAX, maxima, lowest }
    }

    /// The logits of a row, whose maximum is the largest of its blocks'.
    pub(super) fn of_row(row: &'a [f32], max: f32, maxima: &'a [f32]) -> Self {
        Self { max, maxima, ..Self::of_keys(row) }
    }

    /// Whether block `i` may hold a key from `from` on.
    pub(super) fn may_hold(&self, i: usize, from: f32) -> bool {
        self.maxima.get(i).is_none_or(|max| max - self.max >= from)
    }

    /// Whether a place counts.
    pub(super) fn counts_at(&self, place: usize) -> bool {
        self.counts.is_none_or(|counts| counts[place / LANES] >> (place % LANES) & 1 != 0)
    }

    /// The lowest concept of block `i`, if it is known.
    pub(super) fn lowest(&self, i: usize) -> Option<u32> {
        match self.lowest {
            Lowest::Unknown => None,
            Lowest::Place => Some((i * BLOCK) as u32),
            Lowest::Of(blocks) => blocks.get(i).copied(),
        }
    }

    /// A part of the piece, that begins at a whole vector.
    fn block(&self, i: usize) -> Self {
        let range = i * BLOCK..self.values.len().min((i + 1) * BLOCK);
        let counts = |all: &'a [u16]| &all[range.start / LANES..range.end.div_ceil(LANES)];
        let (maxima, lowest) = (&[][..], Lowest::Unknown);
        let values = &self.values[range.clone()];
        let until = self.until.saturating_sub(range.start);
        Self { values, counts: self.counts.map(counts), until, maxima, lowest, ..*self }
    }

    pub(super) fn blocks(&self) -> impl Iterator<Item = Self> {
        let piece = *self;
        (0..self.values.len().div_ceil(BLOCK)).map(move |i| piece.block(i))
    }

    /// The keys of one vector, and which of them count.
    #[inline(always)]
    pub(super) fn vector<I: Isa>(&self, isa: I, i: usize) -> (I::F32s, u16) {
        let rest = &self.values[i * LANES..];
        let (values, whole) = match rest.first_chunk() {
            Some(values) => (isa.load(values), u16::MAX),
            None => {
                let mut values = [f32::NEG_INFINITY; LANES];
                values[..rest.len()].copy_from_slice(rest);
                (isa.load(&values), (1 << rest.len()) - 1)
            }
        };
        let counts = self.counts.map_or(u16::MAX, |counts| counts[i]);
        (isa.sub(values, isa.splat(self.max)), whole & counts)
    }

    /// Which keys of vector `i` are not below `from`.
    #[inline(always)]
    pub(super) fn kept<I: Isa>(&self, isa: I, keys: I::F32s, i: usize) -> u16 {
        let is_from = isa.ge(keys, isa.splat(self.from));
        match lanes_before(self.until, i) {
            u16::MAX => is_from,
            lanes => is_from & lanes | isa.ge(keys, isa.splat(self.from.next_up())),
        }
    }
}

/// The lanes of vector `i` that are before a place.
#[inline(always)]
fn lanes_before(place: usize, i: usize) -> u16 {
    match place.saturating_sub(i * LANES) {
        lanes @ 0..LANES => (1 << lanes) - 1,
        _ => u16::MAX,
    }
}

/// What of a piece has a weight, for loops that are compiled for each: everything; what counts; or
/// what counts and is not below `from`.
const ALL: u8 = 0;
const COUNTED: u8 = 1;
const FROM: u8 = 2;

/// The weights of one vector of a piece.
#[inline(always)]
fn weights<I: Isa, L: Law, const WHAT: u8>(isa: I, piece: &Piece, law: L, i: usize) -> I::F32s {
    let (keys, counts) = piece.vector(isa, i);
    let weights = law.weight(isa, keys);
    let lanes = match WHAT {
        ALL => return weights,
        COUNTED => counts,
        _ => counts & piece.kept(isa, keys, i),
    };
    isa.select(lanes, weights, isa.splat(0.0))
}

/// The sum of the weights of a block.
struct WeighBlock<'a, L, const WHAT: u8>(Piece<'a>, L);

impl<L: Law, const WHAT: u8> Job for WeighBlock<'_, L, WHAT> {
    type Output = f64;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> f64 {
        let Self(piece, law) = self;
        let mut sums = [isa.splat(0.0); 4];
        let whole = piece.values.len() / LANES;
        let quads = whole / 4;
        for i in 0..quads {
            for (j, sum) in sums.iter_mut().enumerate() {
                *sum = isa.add(*sum, weights::<_, _, WHAT>(isa, &piece, law, 4 * i + j));
            }
        }
        for i in 4 * quads..whole {
            sums[0] = isa.add(sums[0], weights::<_, _, WHAT>(isa, &piece, law, i));
        }
        if !piece.values.len().is_multiple_of(LANES) {
            sums[1] = isa.add(sums[1], weights::<_, _, FROM>(isa, &piece, law, whole));
        }
        isa.sum(isa.add(isa.add(sums[0], sums[1]), isa.add(sums[2], sums[3]))).into()
    }
}

/// Writes the sums of all blocks of the pieces, and gives their total.
pub(super) fn weigh<I: Isa, L: Law>(isa: I, pieces: &[Piece], law: L, sums: &mut Vec<f64>) -> f64 {
    sums.clear();
    for piece in pieces {
        for (i, block) in piece.blocks().enumerate() {
            let is_cut = block.from > f32::NEG_INFINITY;
            sums.push(match is_cut {
                true if !piece.may_hold(i, piece.from) => 0.0,
                true => isa.vectorize(WeighBlock::<_, FROM>(block, law)),
                false if block.counts.is_some() => {
                    isa.vectorize(WeighBlock::<_, COUNTED>(block, law))
                }
                false => isa.vectorize(WeighBlock::<_, ALL>(block, law)),
            });
        }
    }
    sums.iter().sum()
}

/// How many keys of the pieces have a weight, if they are not `-inf`.
pub(super) fn count<I: Isa>(isa: I, pieces: &[Piece]) -> usize {
    struct CountBlock<'a>(Piece<'a>);

    impl Job for CountBlock<'_> {
        type Output = usize;

        #[inline(always)]
        fn run<I: Isa>(self, isa: I) -> usize {
            let vectors = 0..self.0.values.len().div_ceil(LANES);
            let of = |i| {
                let (keys, counts) = self.0.vector(isa, i);
                counts & self.0.kept(isa, keys, i) & isa.ge(keys, isa.splat(f32::MIN))
            };
            vectors.map(|i| of(i).count_ones() as usize).sum()
        }
    }

    pieces.iter().flat_map(Piece::blocks).map(|block| isa.vectorize(CountBlock(block))).sum()
}

/// Where a uniform number falls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pick {
    /// The place, counted over all pieces.
    pub(super) place: usize,
    /// How far into its weight the number falls, from 0 to below 1.
    pub(super) rest: f64,
}

/// The place where the cumulative weight first exceeds `target`, which is below the total of `sums`
/// up to rounding; the last that has a weight, if by rounding none does.
pub(super) fn pick<I: Isa, L: Law>(
    isa: I,
    pieces: &[Piece],
    law: L,
    sums: &[f64],
    target: f64,
) -> Option<Pick> {
    let last = sums.iter().rposition(|&sum| sum > 0.0)?;
    let mut before = 0.0;
    let mut start = 0;
    for (i, block) in pieces.iter().flat_map(Piece::blocks).enumerate() {
        if before + sums[i] > target || i == last {
            let found = isa.vectorize(PickInBlock { block, law, before, target });
            return found.map(|pick| Pick { place: start + pick.place, ..pick });
        }
        before += sums[i];
        start += block.values.len();
    }
    None
}

struct PickInBlock<'a, L> {
    block: Piece<'a>,
    law: L,
    /// The weight before the block.
    before: f64,
    target: f64,
}

impl<L: Law> Job for PickInBlock<'_, L> {
    type Output = Option<Pick>;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Option<Pick> {
        let Self { block, law, mut before, target } = self;
        let mut last = None;
        for i in 0..block.values.len().div_ceil(LANES) {
            let weights = weights::<_, _, FROM>(isa, &block, law, i);
            let sum = f64::from(isa.sum(weights));
            if sum == 0.0 {
                continue;
            }
            if before + sum <= target {
                before += sum;
                last = Some((i, weights));
                continue;
            }
            if let Some(pick) = in_vector(&isa.to_array(weights), before, target) {
                return Some(Pick { place: i * LANES + pick.place, ..pick });
            }
            before += sum;
            last = Some((i, weights));
        }
        // By rounding the block's sum is more than that of its vectors.
        let (i, weights) = last?;
        let weights = isa.to_array(weights);
        let place = weights.iter().rposition(|&weight| weight > 0.0)?;
        let rest = 1.0 - f64::EPSILON;
        Some(Pick { place: i * LANES + place, rest })
    }
}

/// The lane where the cumulative weight first exceeds the target.
#[inline(always)]
fn in_vector(weights: &[f32; LANES], mut before: f64, target: f64) -> Option<Pick> {
    for (place, &weight) in weights.iter().enumerate() {
        let weight = f64::from(weight);
        if weight > 0.0 && before + weight > target {
            let rest = ((target - before) / weight).clamp(0.0, 1.0 - f64::EPSILON);
            return Some(Pick { place, rest });
        }
        before += weight;
    }
    None
}
