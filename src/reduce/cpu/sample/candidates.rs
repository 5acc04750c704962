//! The concepts that a filter may leave, found without a look at the others.

use super::keys::Pooled;
use super::quickselect::Buffers;
use super::select::{self, Order};
use super::weigh::Piece;
use crate::reduce::cpu::search::{MAX_LOOKED_AT, Search};
use crate::reduce::cpu::simd::{Isa, Job, LANES};
use crate::reduce::cpu::stream::BLOCK;

/// Keys and what they are of, in the order of the draw. Its memory is kept from row to row.
///
/// An *item* below `V` is a token, which is a concept of its own. From `V` on, it is a pooled
/// concept: its place in the table, or its id.
#[derive(Default)]
pub(super) struct Candidates {
    keys: Vec<f32>,
    items: Vec<u32>,
    len: usize,
}

impl Candidates {
    /// Room for so many, after which nothing is allocated.
    pub(super) fn clear(&mut self, room: usize) {
        // What is moved is moved by whole vectors.
        let room = room + LANES;
        if self.keys.len() < room {
            self.keys.resize(room, 0.0);
            self.items.resize(room, 0);
        }
        self.len = 0;
    }

    pub(super) fn keys(&self) -> &[f32] {
        &self.keys[..self.len]
    }

    pub(super) fn items(&self) -> &[u32] {
        &self.items[..self.len]
    }

    /// For how many there is room.
    pub(super) fn room(&self) -> usize {
        self.keys.len()
    }

    /// Puts those that `is_out` below all keys.
    pub(super) fn lower(&mut self, is_out: impl Fn(f32, u32) -> bool) {
        for (key, &item) in self.keys[..self.len].iter_mut().zip(&self.items) {
            if is_out(*key, item) {
                *key = f32::NEG_INFINITY;
            }
        }
    }

    /// The last concept of those that have a key.
    fn last_at<C: Fn(u32) -> u32>(&self, key: f32, order: Order<'_, C>) -> u32 {
        let pairs = self.keys().iter().zip(self.items());
        let tied = pairs.filter(|&(&this, _)| this == key);
        tied.map(|(_, &item)| (order.concept_of)(item)).max().unwrap_or(u32::MAX)
    }

    fn push(&mut self, key: f32, item: u32) {
        self.keys[self.len] = key;
        self.items[self.len] = item;
        self.len += 1;
    }

    /// Adds the keys of a piece from `from` on, above `-inf`; items are its places.
    pub(super) fn add<I: Isa>(&mut self, isa: I, piece: &Piece<'_>, from: f32) {
        for (i, block) in piece.blocks().enumerate() {
            if piece.may_hold(i, from) {
                let first = (i * BLOCK) as u32;
                isa.vectorize(CollectBlock { block, from, first, candidates: self });
            }
        }
    }

    /// Keeps only what a cut keeps.
    pub(super) fn keep(&mut self, cut: &select::Cut) {
        let mut len = 0;
        for i in 0..self.len {
            if cut.keeps(i, self.keys[i]) {
                (self.keys[len], self.items[len]) = (self.keys[i], self.items[i]);
                len += 1;
            }
        }
        self.len = len;
    }
}

/// At least the keys from `from` on of all pieces; of the `k` largest only, if there is a `k`.
pub(super) struct Collect<'a, C> {
    pub(super) pieces: &'a [Piece<'a>],
    /// Above `-inf`, and finite.
    pub(super) from: f32,
    pub(super) k: Option<usize>,
    /// The item of the first place of the first piece.
    pub(super) first_item: u32,
    pub(super) order: Order<'a, C>,
}

impl<C: Fn(u32) -> u32> Collect<'_, C> {
    pub(super) fn run<I: Isa>(&self, isa: I, candidates: &mut Candidates, buffers: &mut Buffers) {
        let mut bound = Bound { from: self.from, last: u32::MAX };
        if let (Some(k), [piece]) = (self.k, self.pieces)
            && piece.counts.is_none()
            && k <= piece.maxima.len()
            && let Some(max) = buffers.nth_largest(piece.maxima, k)
        {
            // So many blocks have one from there on.
            bound.from = bound.from.max(max - piece.max);
        }
        // Beyond so many, the k largest are found, and only what is preferred to them is added.
        let limit = self.k.map(|k| (k, k.saturating_mul(2).saturating_add(256)));
        let mut first_item = self.first_item;
        for piece in self.pieces {
            for (i, block) in piece.blocks().enumerate() {
                let from = bound.of_block(piece.lowest(i));
                if piece.may_hold(i, from) {
                    let first = first_item + (i * BLOCK) as u32;
                    isa.vectorize(CollectBlock { block, from, first, candidates });
                }
                if let Some((k, limit)) = limit
                    && candidates.len > limit
                {
                    let cut = select::largest(candidates, isa, k, self.order, buffers);
                    candidates.keep(&cut);
                    bound = Bound { from: cut.key, last: candidates.last_at(cut.key, self.order) };
                }
            }
            first_item += piece.values.len() as u32;
        }
    }
}

/// What a candidate must beat: a key, and at that key a concept.
struct Bound {
    from: f32,
    /// The last concept that has this key and is still among the `k` largest.
    last: u32,
}

impl Bound {
    /// The least key that matters of a block whose lowest concept this is.
    fn of_block(&self, lowest: Option<u32>) -> f32 {
        let cannot_tie = lowest.is_some_and(|lowest| lowest > self.last);
        if cannot_tie { self.from.next_up() } else { self.from }
    }
}

struct CollectBlock<'a, 'b> {
    block: Piece<'a>,
    from: f32,
    first: u32,
    candidates: &'b mut Candidates,
}

impl Job for CollectBlock<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { block, first, candidates, .. } = self;
        let from = isa.splat(self.from);
        let (keys, items) = (&mut candidates.keys[..], &mut candidates.items[..]);
        let mut len = candidates.len;
        for i in 0..block.values.len().div_ceil(LANES) {
            let (lanes_keys, counts) = block.vector(isa, i);
            let lanes = counts & isa.ge(lanes_keys, from);
            if lanes != 0 {
                let item = first + (i * LANES) as u32;
                keys[len..][..LANES].copy_from_slice(&isa.compress(lanes, lanes_keys));
                items[len..][..LANES].copy_from_slice(&isa.compress_places(lanes, item));
                len += lanes.count_ones() as usize;
            }
        }
        candidates.len = len;
    }
}

/// Adds every pooled concept whose key is at least `from`, which is at most 0, to the candidates: the
/// large ones by their `keys`, which begin with the first large one of the table, the small ones by
/// their tokens near `from`; see [`super::super::search`]. Their items are `V` and the concept's id.
///
/// Gives up if there are too many such tokens, with `false`.
pub(super) fn add_pooled<I: Isa>(
    search: Search<'_, I, f32>,
    pooled: Pooled<'_>,
    keys: &[f32],
    from: f32,
    candidates: &mut Candidates,
    is_listed: &mut Vec<u64>,
) -> bool {
    let map = pooled.map;
    let vocab_size = pooled.row.len() as u32;
    let mut near = [0; MAX_LOOKED_AT];
    let Some(near) = search.near(from, &mut near) else { return false };
    // Each once.
    let mut small = [0; MAX_LOOKED_AT];
    let mut len = 0;
    is_listed.resize(map.num_concepts().div_ceil(64), 0);
    for &concept in near {
        let (word, bit) = (concept as usize / 64, 1 << (concept % 64));
        if is_listed[word] & bit == 0 {
            is_listed[word] |= bit;
            small[len] = concept;
            len += 1;
        }
    }
    let small = &mut small[..len];
    small.iter().for_each(|&concept| is_listed[concept as usize / 64] = 0);
    let size_and_first = |&concept: &u32| {
        let tokens = map.tokens(concept).unwrap_or_default();
        (tokens.len(), tokens.first().copied())
    };
    small.sort_unstable_by_key(size_and_first);
    for concepts in small.chunks(LANES) {
        let keys = pooled.keys_of(search, concepts);
        for (&concept, key) in concepts.iter().zip(keys) {
            if key >= from {
                candidates.push(key, vocab_size + concept);
            }
        }
    }
    let first_large = pooled.table.first_large();
    for (&key, &concept) in keys.iter().zip(&pooled.table.concepts()[first_large..]) {
        if key >= from {
            candidates.push(key, vocab_size + concept);
        }
    }
    true
}

/// The concepts and keys of the `n` largest, largest first.
pub(super) fn likeliest(
    candidates: &Candidates,
    n: usize,
    concept_of: impl Fn(u32) -> u32,
) -> Vec<(u32, f32)> {
    let items = candidates.items().iter().map(|&item| concept_of(item));
    let mut all: Vec<(u32, f32)> = items.zip(candidates.keys().iter().copied()).collect();
    all.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all.truncate(n);
    all
}
