//! What the kernels are told of a map or of sets of tokens, uploaded once.

use std::sync::Arc;

use super::gpu::{Buffer, Gpu};
use crate::reduce::ReduceError;
use crate::reduce::abi::{MAX_BY_THREAD, MAX_BY_WARP, POOLED};
use crate::{ConceptMap, TokenSets};

/// Sets of tokens on the device, in the form of `Sets` in kernels/abi.rs.
pub(super) struct SetTable {
    pub(super) starts: Buffer<u32>,
    pub(super) members: Buffer<u32>,
    pub(super) ids: Buffer<u32>,
    pub(super) by_block: u32,
    pub(super) by_warp: u32,
    pub(super) by_thread: u32,
    pub(super) largest: u32,
}

impl SetTable {
    /// `sets` must come largest first.
    fn new(gpu: &Arc<Gpu>, sets: &[(u32, &[u32])]) -> Result<Self, ReduceError> {
        let mut starts = vec![0u32];
        let mut members: Vec<u32> = Vec::new();
        for (_, tokens) in sets {
            members.extend_from_slice(tokens);
            starts.push(members.len() as u32);
        }
        let ids: Vec<u32> = sets.iter().map(|&(id, _)| id).collect();
        let larger_than =
            |n: u32| sets.partition_point(|(_, tokens)| tokens.len() > n as usize) as u32;
        Ok(Self {
            starts: gpu.upload(&starts)?,
            members: gpu.upload(&members)?,
            ids: gpu.upload(&ids)?,
            by_block: larger_than(MAX_BY_WARP),
            by_warp: larger_than(MAX_BY_THREAD),
            by_thread: sets.len() as u32,
            largest: sets.first().map_or(1, |(_, tokens)| tokens.len() as u32),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_thread == 0
    }
}

/// Puts the largest first; equally large ones stay in the order of their ids.
fn largest_first<'a>(sets: impl Iterator<Item = &'a [u32]>) -> Vec<(u32, &'a [u32])> {
    let mut sets: Vec<_> = (0..).zip(sets).collect();
    sets.sort_by_key(|(_, tokens)| std::cmp::Reverse(tokens.len()));
    sets
}

/// A map on a device.
pub(crate) struct MapTables {
    pub(super) gpu: Arc<Gpu>,
    /// The pooled concepts.
    pub(super) sets: SetTable,
    pub(super) concept_of: Buffer<u32>,
    pub(super) rank_of: Buffer<u32>,
    pub(super) num_concepts: usize,
}

impl MapTables {
    pub(super) fn new(gpu: Arc<Gpu>, map: &ConceptMap) -> Result<Self, ReduceError> {
        let mut pooled = largest_first(map.iter());
        pooled.truncate(map.stats().pooled_concepts);
        let mut concept_of = map.concept_ids().to_vec();
        let mut rank_of = vec![0; map.vocab_size()];
        for (rank, (_, tokens)) in (0..).zip(&pooled) {
            for &token in *tokens {
                concept_of[token as usize] |= POOLED;
                rank_of[token as usize] = rank;
            }
        }
        let tables = Self {
            sets: SetTable::new(&gpu, &pooled)?,
            concept_of: gpu.upload(&concept_of)?,
            rank_of: gpu.upload(&rank_of)?,
            num_concepts: map.num_concepts(),
            gpu,
        };
        tables.gpu.wait()?;
        Ok(tables)
    }
}

/// Sets of tokens on a device.
pub(crate) struct SetTables {
    pub(super) gpu: Arc<Gpu>,
    pub(super) sets: SetTable,
    pub(super) num_sets: usize,
    pub(super) vocab_size: usize,
}

impl SetTables {
    pub(super) fn new(gpu: Arc<Gpu>, sets: &TokenSets) -> Result<Self, ReduceError> {
        let tokens = |i| sets.tokens(i).expect("the index of a set");
        let ordered = largest_first((0..sets.len()).map(tokens));
        let tables = Self {
            sets: SetTable::new(&gpu, &ordered)?,
            num_sets: sets.len(),
            vocab_size: sets.vocab_size(),
            gpu,
        };
        tables.gpu.wait()?;
        Ok(tables)
    }
}

impl Drop for MapTables {
    fn drop(&mut self) {
        self.gpu.wait_for_all();
    }
}

impl Drop for SetTables {
    fn drop(&mut self) {
        self.gpu.wait_for_all();
    }
}
