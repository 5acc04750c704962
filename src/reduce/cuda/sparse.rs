//! Tables of a number for some tokens of the vocabulary, in the form of `SparseTable` in kernels/abi.rs.

use super::memory::Buffer;
use super::sections::{Section, Tables};
use crate::reduce::abi::{NONE, SparseTable, SparseTile, SparseWord, TILE};

/// The tokens of a word.
const BITS: u32 = u32::BITS;

/// Where such a table lies in its buffer.
#[derive(Clone, Copy)]
pub(super) struct Sparse {
    tiles: Section,
    words: Section,
    values: Section,
}

/// A token of a table.
pub(super) struct SparseToken {
    pub(super) token: u32,
    pub(super) value: u32,
    pub(super) is_marked: bool,
}

impl Sparse {
    /// Of tokens in ascending order, below `vocab_size`.
    pub(super) fn new(tables: &mut Tables, vocab_size: usize, tokens: &[SparseToken]) -> Self {
        let (tiles, words) = index(vocab_size, tokens);
        let values: Vec<u32> = tokens.iter().map(|t| t.value).collect();
        Self {
            tiles: tables.push(bytemuck::cast_slice(&tiles)),
            words: tables.push(bytemuck::cast_slice(&words)),
            values: tables.push(&values),
        }
    }

    /// Its addresses in the buffer that was made of its [`Tables`].
    pub(super) fn view(&self, buffer: &Buffer<u32>) -> SparseTable {
        SparseTable {
            tiles: self.tiles.address(buffer) as *const SparseTile,
            words: self.words.address(buffer) as *const SparseWord,
            values: self.values.address(buffer) as *const u32,
        }
    }
}

/// The table of no tokens.
pub(super) const EMPTY: SparseTable =
    SparseTable { tiles: std::ptr::null(), words: std::ptr::null(), values: std::ptr::null() };

/// Where the tokens are: what is known of each tile, and the words of those that have some.
fn index(vocab_size: usize, tokens: &[SparseToken]) -> (Vec<SparseTile>, Vec<SparseWord>) {
    let mut words = Vec::new();
    let mut rest = tokens;
    let tiles = (0..(vocab_size as u32).div_ceil(TILE)).map(|tile| {
        let before = (tokens.len() - rest.len()) as u32;
        let (of_tile, others) = rest.split_at(rest.partition_point(|t| t.token / TILE == tile));
        rest = others;
        if of_tile.is_empty() {
            return SparseTile { words_at: NONE, before };
        }
        let words_at = words.len() as u32;
        push_words(&mut words, of_tile, before);
        SparseTile { words_at, before }
    });
    (tiles.collect(), words)
}

/// Adds the words of a tile.
fn push_words(words: &mut Vec<SparseWord>, tokens: &[SparseToken], mut before: u32) {
    let first = tokens[0].token / TILE * TILE;
    let mut rest = tokens;
    for start in (first..first + TILE).step_by(BITS as usize) {
        let (of_word, others) = rest.split_at(rest.partition_point(|t| t.token < start + BITS));
        rest = others;
        let mut word = SparseWord { tokens: 0, marked: 0, before, unused: 0 };
        for &SparseToken { token, is_marked, .. } in of_word {
            word.tokens |= 1 << (token % BITS);
            word.marked |= u32::from(is_marked) << (token % BITS);
        }
        words.push(word);
        before += of_word.len() as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a kernel finds.
    fn find(tiles: &[SparseTile], words: &[SparseWord], token: u32) -> (bool, u32) {
        let tile = tiles[(token / TILE) as usize];
        if tile.words_at == NONE {
            return (false, tile.before);
        }
        let word = words[(tile.words_at + token % TILE / BITS) as usize];
        let below = word.tokens & ((1 << (token % BITS)) - 1);
        (word.tokens >> (token % BITS) & 1 != 0, word.before + below.count_ones())
    }

    #[test]
    fn every_token_is_found_at_its_place() {
        let vocab_size = 5 * TILE as usize + 7;
        let listed: Vec<u32> =
            (0..vocab_size as u32).filter(|t| t % 7 == 3 && t / TILE != 2).collect();
        let tokens: Vec<SparseToken> = listed
            .iter()
            .map(|&token| SparseToken { token, value: token + 1, is_marked: token % 2 == 0 })
            .collect();
        let (tiles, words) = index(vocab_size, &tokens);
        assert_eq!((tiles.len(), words.len()), (6, 5 * 32));
        for token in 0..vocab_size as u32 {
            let before = listed.partition_point(|&t| t < token) as u32;
            assert_eq!(find(&tiles, &words, token), (listed.contains(&token), before), "{token}");
        }
    }
}
