//! A draw from pieces by one uniform number, through a filter or without one.

use super::candidates::{Candidates, Collect};
use super::left::each_weighed;
use super::quickselect::Buffers;
use super::select::{Cut, Order, count_of, heaviest, largest, place_after};
use super::weigh::{Law, Piece, Power, count, pick, weigh};
use super::{Filter, TopP};
use crate::reduce::cpu::simd::Isa;

/// What is drawn from, and how it is weighed.
pub(super) struct Draw<'a, I, L, C> {
    pub(super) isa: I,
    pub(super) law: L,
    /// In the order of the draw.
    pub(super) pieces: &'a [Piece<'a>],
    /// The item of the first place; see [`Candidates`].
    pub(super) first_item: u32,
    /// The concept of an item.
    pub(super) concept_of: C,
    /// Items below it are in the order of their concepts.
    pub(super) in_order: u32,
    pub(super) asked: AskedOfLeft,
}

/// What is asked of the concepts that the filter leaves.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum AskedOfLeft {
    Nothing,
    /// How many they are.
    Count,
    /// All of them and their keys, in the order of the draw: in [`Memory::left`].
    List,
}

/// Memory for a draw.
pub(super) struct Memory<'a> {
    pub(super) sums: &'a mut Vec<f64>,
    pub(super) candidates: &'a mut Candidates,
    pub(super) buffers: &'a mut Buffers,
    /// Concepts and keys.
    pub(super) left: &'a mut Vec<(u32, f32)>,
}

/// What was drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct DrawnItem {
    pub(super) item: u32,
    /// What is left of the uniform number: one itself.
    pub(super) rest: f64,
    /// The weight of all that was left.
    pub(super) total: f64,
    /// How many concepts were left, if that was asked.
    pub(super) kept: Option<usize>,
}

/// Weights that have been summed.
#[derive(Clone, Copy, Default)]
pub(super) struct Weighed {
    /// Of everything.
    all: Option<f64>,
    /// Of the candidates.
    left: Option<f64>,
}

/// The least key with a share of the largest weight.
pub(super) fn min_key<L: Law>(law: L, share: f64) -> f32 {
    if share > 0.0 { law.key_at(share) } else { f32::NEG_INFINITY }
}

impl<I: Isa, C: Fn(u32) -> u32> Draw<'_, I, Power, C> {
    /// The item on which `uniform` falls, by the quickest form of the law.
    pub(super) fn run_by_power(
        self,
        filter: Filter,
        uniform: f64,
        memory: &mut Memory<'_>,
    ) -> Option<DrawnItem> {
        let Some(law) = self.law.plain() else { return self.run(filter, uniform, memory) };
        let Self { isa, pieces, first_item, concept_of, in_order, asked, .. } = self;
        let draw = Draw { isa, law, pieces, first_item, concept_of, in_order, asked };
        draw.run(filter, uniform, memory)
    }
}

impl<I: Isa, L: Law, C: Fn(u32) -> u32> Draw<'_, I, L, C> {
    /// The item on which `uniform` falls; none if nothing has a weight.
    pub(super) fn run(
        &self,
        filter: Filter,
        uniform: f64,
        memory: &mut Memory<'_>,
    ) -> Option<DrawnItem> {
        let all = filter.needs_total();
        let all = all.then(|| weigh(self.isa, self.pieces, self.law, memory.sums));
        match filter {
            Filter { k: None, p: None, min_p } => {
                let cut = Cut { key: min_key(self.law, min_p), ..Cut::NONE };
                self.draw_pieces(cut, all, uniform, memory)
            }
            _ => {
                if let Some(cut) = self.top_p_of_flat(filter, all, memory) {
                    return self.draw_pieces(cut, None, uniform, memory);
                }
                let left = self.collect(filter, all, memory);
                self.draw_candidates(filter, Weighed { all, left }, uniform, memory)
            }
        }
    }

    /// Draws from what a cut keeps of all, without a list of it. `all` is the weight of that, if it has
    /// been summed.
    fn draw_pieces(
        &self,
        cut: Cut,
        all: Option<f64>,
        uniform: f64,
        memory: &mut Memory<'_>,
    ) -> Option<DrawnItem> {
        let Self { isa, law, .. } = *self;
        let mut pieces = [Piece::of_keys(&[]); 2];
        let mut start = 0;
        for (piece, given) in pieces.iter_mut().zip(self.pieces) {
            *piece = Piece { from: cut.key, until: cut.until.saturating_sub(start), ..*given };
            start += given.values.len();
        }
        let total = all.unwrap_or_else(|| weigh(isa, &pieces, law, memory.sums));
        let pick = pick(isa, &pieces, law, memory.sums, uniform * total)?;
        let item = self.first_item + pick.place as u32;
        let kept = self.ask(&pieces, |place| self.first_item + place as u32, memory.left);
        Some(DrawnItem { item, rest: pick.rest, total, kept })
    }

    /// The cut of a row so flat that the share `p` is of a good part of all: none if it is not, or if
    /// candidates have to be listed to find the cut.
    fn top_p_of_flat(
        &self,
        Filter { k, p, min_p }: Filter,
        all: Option<f64>,
        memory: &mut Memory<'_>,
    ) -> Option<Cut> {
        let TopP { p, .. } = p.filter(|p| k.is_none() && p.p > 0.0)?;
        let all = all.filter(|all| all / self.law.largest() > self.count() as f64 / 8.0)?;
        let last =
            memory.buffers.last_of_pieces(self.isa, self.law, self.pieces, (p * all, all))?;
        let least = min_key(self.law, min_p);
        if least > last.key {
            return Some(Cut { key: least, ..Cut::NONE });
        }
        let equal = count_of(self.isa, self.pieces, last.key);
        if last.ties == equal {
            return Some(Cut { key: last.key, until: usize::MAX });
        }
        // Of what ties, the lowest concepts are kept, which have to be the first.
        let width: usize = self.pieces.first()?.values.len();
        let is_in_order = self.first_item as usize + width <= self.in_order as usize;
        let others_tie = self.pieces[1..].iter().any(|piece| piece.values.contains(&last.key));
        let cut = || Cut { key: last.key, until: place_after(self.isa, self.pieces, last) };
        (is_in_order && !others_tie).then(cut)
    }

    /// Collects what the filter may leave; `all` is the weight of everything, if it is needed. Gives
    /// the weight of what was collected, if it has been summed.
    fn collect(&self, filter: Filter, all: Option<f64>, memory: &mut Memory<'_>) -> Option<f64> {
        let Filter { k, p, min_p } = filter;
        let lowest = min_key(self.law, min_p).max(f32::MIN);
        let (Some(TopP { p, .. }), Some(all), None) = (p, all, k) else {
            // With top_p, min_p must not prune: p is a share of weights that min_p removes.
            self.collect_from(if p.is_some() { f32::MIN } else { lowest }, k, memory);
            return None;
        };
        // All that weigh less than this have less than 1 - p together. Most rows reach p long
        // before, so that a nearer bound is tried first.
        let bound = (1.0 - p) * all / (self.count() as f64 * self.law.largest());
        let lowest = lowest.max(self.law.key_at(bound));
        let near = self.law.key_at((-8f64).exp()).max(lowest);
        self.collect_from(near, None, memory);
        let left = match memory.candidates.keys().len() == self.count() {
            true => all,
            false => self.weight_of_candidates(memory),
        };
        if near > lowest && left < p * all {
            self.collect_from(lowest, None, memory);
            return None;
        }
        Some(left)
    }

    /// How much there is to draw from.
    fn count(&self) -> usize {
        self.pieces.iter().map(|piece| piece.values.len()).sum()
    }

    /// Collects the keys from `from` on; of the `k` largest only, if there is a `k`.
    pub(super) fn collect_from(&self, from: f32, k: Option<usize>, memory: &mut Memory<'_>) {
        memory.candidates.clear(self.count());
        let collect = Collect {
            pieces: self.pieces,
            // Masked keys are below it.
            from: from.max(f32::MIN),
            k,
            first_item: self.first_item,
            order: self.order(),
        };
        collect.run(self.isa, memory.candidates, memory.buffers);
    }

    fn order(&self) -> Order<'_, C> {
        Order { concept_of: &self.concept_of, in_order: self.in_order }
    }

    fn weight_of_candidates(&self, memory: &mut Memory<'_>) -> f64 {
        let keys = Piece::of_keys(memory.candidates.keys());
        weigh(self.isa, &[keys], self.law, memory.sums)
    }

    /// Draws from the candidates, among which is all that the filter leaves.
    pub(super) fn draw_candidates(
        &self,
        filter: Filter,
        weighed: Weighed,
        uniform: f64,
        memory: &mut Memory<'_>,
    ) -> Option<DrawnItem> {
        let isa = self.isa;
        if let Some(k) = filter.k {
            let cut = largest(memory.candidates, isa, k, self.order(), memory.buffers);
            memory.candidates.keep(&cut);
        }
        let mut cut = Cut::NONE;
        if let Some(p) = filter.p {
            cut = self.top_p(p, weighed, memory);
        }
        let min_key = min_key(self.law, filter.min_p);
        let (from, until) = match cut {
            Cut { key, until } if key >= min_key => (key, until),
            _ => (min_key, usize::MAX),
        };
        let kept = Piece { from, until, ..Piece::of_keys(memory.candidates.keys()) };
        let total = weigh(isa, &[kept], self.law, memory.sums);
        let pick = pick(isa, &[kept], self.law, memory.sums, uniform * total)?;
        let items = memory.candidates.items();
        let item = items[pick.place];
        let kept = self.ask(&[kept], |place| items[place], memory.left);
        Some(DrawnItem { item, rest: pick.rest, total, kept })
    }

    /// Answers what is asked of what has a weight in pieces: how many concepts they are, if anything is.
    fn ask(
        &self,
        pieces: &[Piece<'_>],
        item_of: impl Fn(usize) -> u32,
        left: &mut Vec<(u32, f32)>,
    ) -> Option<usize> {
        match self.asked {
            AskedOfLeft::Nothing => None,
            AskedOfLeft::Count => Some(count(self.isa, pieces)),
            AskedOfLeft::List => {
                left.clear();
                let push = |place, key| left.push(((self.concept_of)(item_of(place)), key));
                each_weighed(self.isa, pieces, push);
                Some(left.len())
            }
        }
    }

    /// The cut that leaves the share `p`.
    fn top_p(&self, TopP { p, of_all }: TopP, weighed: Weighed, memory: &mut Memory<'_>) -> Cut {
        if p == 0.0 {
            return largest(memory.candidates, self.isa, 1, self.order(), memory.buffers);
        }
        let left = weighed.left.unwrap_or_else(|| self.weight_of_candidates(memory));
        let whole = weighed.all.filter(|_| of_all).unwrap_or(left);
        let target = p * whole;
        // The candidates may all be needed, and the sum of their weights is rounded.
        if target >= left {
            return Cut::NONE;
        }
        let weights = (target, left);
        heaviest(memory.candidates, self.isa, self.law, weights, self.order(), memory.buffers)
    }
}
