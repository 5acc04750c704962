//! What the kernels are told of a map or of sets of tokens, uploaded once.

use std::sync::Arc;

use super::gpu::Gpu;
use super::memory::Buffer;
use super::sections::{Section, Tables};
use crate::reduce::ReduceError;
use crate::reduce::abi::{
    MAX_BY_THREAD, MAX_BY_WARP, MAX_SMALL, NONE, POOLED, Sets, THREADS, TILE, WARP,
};
use crate::{ConceptMap, TokenSets};

/// Sets of tokens on the device, in the form of `Sets` in kernels/abi.rs.
pub(super) struct SetTable {
    starts: Section,
    members: Section,
    ids: Section,
    pub(super) by_thread: u32,
    pub(super) by_warp: u32,
    pub(super) by_block: u32,
}

impl SetTable {
    /// `sets` must be [ranked].
    pub(super) fn new(tables: &mut Tables, sets: &[(u32, &[u32])]) -> Self {
        let mut starts = vec![0u32];
        let mut members: Vec<u32> = Vec::new();
        for (_, tokens) in sets {
            members.extend_from_slice(tokens);
            starts.push(members.len() as u32);
        }
        let ids: Vec<u32> = sets.iter().map(|&(id, _)| id).collect();
        let up_to = |n: u32| sets.partition_point(|(_, tokens)| tokens.len() <= n as usize) as u32;
        Self {
            starts: tables.push(&starts),
            members: tables.push(&members),
            ids: tables.push(&ids),
            by_thread: up_to(MAX_BY_THREAD),
            by_warp: up_to(MAX_BY_WARP),
            by_block: sets.len() as u32,
        }
    }
}

impl SetTable {
    /// Its addresses in the buffer that was made of its [`Tables`].
    pub(super) fn view(&self, buffer: &Buffer<u32>) -> Sets {
        let address = |section: Section| section.address(buffer) as *const u32;
        Sets {
            starts: address(self.starts),
            members: address(self.members),
            ids: address(self.ids),
            by_thread: self.by_thread,
            by_warp: self.by_warp,
            by_block: self.by_block,
        }
    }
}

/// Sets and their numbers, in the order of their ranks.
pub(super) fn ranked<'a>(sets: impl Iterator<Item = &'a [u32]>) -> Vec<(u32, &'a [u32])> {
    let mut sets: Vec<_> = (0..).zip(sets).collect();
    sets.sort_by_key(|(_, tokens)| (tokens.len(), tokens.first().copied()));
    sets
}

/// The concepts that `decide` sums whole, in the form of `LargeSets` in kernels/abi.rs.
pub(super) struct LargeTable {
    pub(super) ids: Section,
    pub(super) members: Section,
    pub(super) huge_ends: Section,
    /// The ends of the ranks that are summed by so many threads each as [`WIDTHS`] says.
    pub(super) ends: [u32; 4],
    /// The blocks that sum them, as `search_large` in kernels/search.cuh counts them.
    pub(super) blocks: u32,
}

/// How many threads sum a large concept of at most four times as many tokens.
const WIDTHS: [u32; 4] = [4, 8, 16, WARP];

impl LargeTable {
    /// Of [ranked] concepts.
    fn new(tables: &mut Tables, pooled: &[(u32, &[u32])]) -> Self {
        let large: Vec<_> =
            pooled.iter().filter(|(_, tokens)| tokens.len() > MAX_SMALL as usize).collect();
        let ids: Vec<u32> = large.iter().map(|&&(id, _)| id).collect();
        let mut members: Vec<u32> = Vec::new();
        let mut huge_ends = Vec::new();
        let mut huge_from = None;
        for (_, tokens) in &large {
            let width = WIDTHS.into_iter().find(|&width| tokens.len() <= 4 * width as usize);
            let from = members.len();
            if width.is_none() {
                huge_from.get_or_insert(from);
            }
            members.extend_from_slice(tokens);
            let turn = width.map_or(4, |width| 4 * width as usize);
            members.resize(from + tokens.len().next_multiple_of(turn), NONE);
            if let Some(start) = huge_from {
                huge_ends.push(((members.len() - start) / 4) as u32);
            }
        }
        let mut blocks = huge_ends.len() as u32;
        let mut first = 0;
        let ends = WIDTHS.map(|width| {
            let fits = |set: &&(u32, &[u32])| set.1.len() <= 4 * width as usize;
            let end = large.partition_point(fits) as u32;
            blocks += (end - first).div_ceil(THREADS / width);
            first = end;
            end
        });
        Self {
            ids: tables.push(&ids),
            members: tables.push(&members),
            huge_ends: tables.push(&huge_ends),
            ends,
            blocks,
        }
    }
}

/// What rounding may cost a threshold, in nats.
const SLACK: f32 = 1e-3;

/// A map on a device.
pub(crate) struct MapTables {
    pub(super) gpu: Arc<Gpu>,
    /// All tables of the map.
    pub(super) buffer: Buffer<u32>,
    /// The pooled concepts.
    pub(super) sets: SetTable,
    pub(super) concept_of: Section,
    pub(super) members_of: Section,
    /// A bit for each token, whether others are in its concept.
    pub(super) pooled: Section,
    pub(super) large: LargeTable,
    /// How far below a row's maximum a logit may be, for a small concept of it to win.
    pub(super) reach: f32,
    pub(super) num_concepts: usize,
}

impl MapTables {
    pub(super) fn new(gpu: Arc<Gpu>, map: &ConceptMap) -> Result<Self, ReduceError> {
        let mut pooled = ranked(map.iter());
        pooled.retain(|(_, tokens)| tokens.len() > 1);
        let mut concept_of = map.concept_ids().to_vec();
        const ROOM: usize = MAX_SMALL as usize;
        let mut members_of = vec![[NONE; ROOM]; map.vocab_size()];
        for (token, members) in (0..).zip(&mut members_of) {
            members[0] = token;
        }
        let mut pooled_bits = vec![0; map.vocab_size().next_multiple_of(TILE as usize) / 32];
        let mut largest_small = 1;
        for (rank, (_, tokens)) in (0..).zip(&pooled) {
            let mut members = [NONE; ROOM];
            if tokens.len() <= ROOM {
                members[..tokens.len()].copy_from_slice(tokens);
                largest_small = largest_small.max(tokens.len() as u32);
            } else {
                members[ROOM - 1] = POOLED | rank;
            }
            for &token in *tokens {
                concept_of[token as usize] |= POOLED;
                members_of[token as usize] = members;
                pooled_bits[token as usize / 32] |= 1 << (token % 32);
            }
        }
        let mut tables = Tables::default();
        Ok(Self {
            sets: SetTable::new(&mut tables, &pooled),
            concept_of: tables.push(&concept_of),
            members_of: tables.push(members_of.as_flattened()),
            pooled: tables.push(&pooled_bits),
            large: LargeTable::new(&mut tables, &pooled),
            reach: (largest_small as f32).ln() + SLACK,
            num_concepts: map.num_concepts(),
            buffer: tables.upload(&gpu)?,
            gpu,
        })
    }
}

/// Sets of tokens on a device.
pub(crate) struct SetTables {
    pub(super) gpu: Arc<Gpu>,
    /// All tables of the sets.
    pub(super) buffer: Buffer<u32>,
    pub(super) sets: SetTable,
    pub(super) num_sets: usize,
    pub(super) vocab_size: usize,
}

impl SetTables {
    pub(super) fn new(gpu: Arc<Gpu>, sets: &TokenSets) -> Result<Self, ReduceError> {
        let tokens = |i| sets.tokens(i).expect("the index of a set");
        let ordered = ranked((0..sets.len()).map(tokens));
        let mut tables = Tables::default();
        Ok(Self {
            sets: SetTable::new(&mut tables, &ordered),
            num_sets: sets.len(),
            vocab_size: sets.vocab_size(),
            buffer: tables.upload(&gpu)?,
            gpu,
        })
    }
}
