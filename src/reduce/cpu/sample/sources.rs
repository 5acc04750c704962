//! What is drawn from: the tokens of a row, the concepts of a table, or candidates; and the concept of
//! each item, see [`super::candidates::Candidates`].

use super::draw::{AskedOfLeft, Draw};
use super::row::View;
use super::weigh::{Lowest, Piece, Power};
use crate::ConceptMap;
use crate::reduce::cpu::Tables;
use crate::reduce::cpu::simd::Isa;

/// The concept of a token that is one by itself, with an id of its own or the token's; and the first
/// item that is not in the order of its concept.
pub(super) fn concepts_of_tokens(ids: Option<&[u32]>) -> (impl Fn(u32) -> u32 + Copy + '_, u32) {
    let in_order = if ids.is_none() { u32::MAX } else { 0 };
    (move |token: u32| ids.map_or(token, |ids| ids[token as usize]), in_order)
}

impl<'a, I: Isa> View<'a, I> {
    /// A draw from pieces, of which the last ends with the last item.
    pub(super) fn draw<'b, C: Fn(u32) -> u32>(
        self,
        law: Power,
        pieces: &'b [Piece<'b>],
        concept_of: C,
        in_order: u32,
        asked: AskedOfLeft,
    ) -> Draw<'b, I, Power, C> {
        // The tokens come first, unless the table has all of them.
        let tokens = pieces.first().map_or(0, |piece| piece.values.len());
        let first_item = (self.row.len() - tokens) as u32;
        Draw { isa: self.isa, law, pieces, first_item, concept_of, in_order, asked }
    }

    /// The concept of a token or of a place in the table.
    pub(super) fn concepts_of_table(
        self,
        map: &'a ConceptMap,
        tables: &'a Tables,
    ) -> impl Fn(u32) -> u32 + Copy + 'a {
        let (ids, table) = (map.concept_ids(), tables.gather.concepts());
        let width = ids.len() as u32;
        move |item: u32| match item.checked_sub(width) {
            Some(place) => table[place as usize],
            None => ids[item as usize],
        }
    }

    /// The concept of a token, or the one that a candidate names.
    pub(super) fn concepts_of_candidates(
        self,
        map: &'a ConceptMap,
    ) -> impl Fn(u32) -> u32 + Copy + 'a {
        let ids = map.concept_ids();
        let width = ids.len() as u32;
        move |item: u32| if item < width { ids[item as usize] } else { item - width }
    }

    /// All tokens, each a concept with an id of its own or the token's.
    pub(super) fn tokens(self, ids: Option<&[u32]>) -> Piece<'a> {
        let lowest = if ids.is_none() { Lowest::Place } else { Lowest::Unknown };
        Piece { lowest, ..Piece::of_row(self.row, self.max, self.maxima) }
    }

    /// The tokens that are concepts of their own, unless the table has them; and the table.
    pub(super) fn pieces<'b>(
        self,
        tables: &'b Tables,
        (keys, maxima): (&'b [f32], &'b [f32]),
    ) -> [Piece<'b>; 2]
    where
        'a: 'b,
    {
        let singletons = match tables.gather.covers_vocabulary() {
            true => Piece::of_keys(&[]),
            false => self.singletons(tables),
        };
        let lowest = Lowest::Of(tables.gather.lowest_in_block());
        [singletons, Piece { lowest, maxima, ..Piece::of_keys(keys) }]
    }

    /// The tokens that are concepts of their own.
    pub(super) fn singletons<'b>(self, tables: &'b Tables) -> Piece<'b>
    where
        'a: 'b,
    {
        Piece {
            counts: Some(tables.singletons.lanes()),
            lowest: Lowest::Of(tables.singletons.lowest_in_block()),
            ..Piece::of_row(self.row, self.max, self.maxima)
        }
    }

    /// The first item that is not in the order of its concept.
    pub(super) fn in_order(self, tables: &Tables) -> u32 {
        if tables.singletons.are_in_order() { self.row.len() as u32 } else { 0 }
    }
}
