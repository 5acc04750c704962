//! Maps that come and go: a directory on the device, which kernels read anew at every launch.
//!
//! Adding or removing a map is an operation of the stream of the thread that does it, as a launch is:
//! what was given to the stream before, launches of graphs as well, finds the directory as it was, and
//! what follows as it is then. Nothing waits for the device. The memory of a map that was removed is
//! freed in the order of the streams that have used the directory; and whatever keeps the directory, as a
//! graph does, keeps the maps that it lists.

use std::sync::Arc;

use candle_core::cuda_backend::CudaDevice;
use cudarc::driver::DeviceRepr;

use super::gpu::Gpu;
use super::memory::{Allocation, Buffer};
use super::sections::Tables;
use super::sparse::{EMPTY, Sparse, SparseToken};
use super::tables::{SetTable, ranked};
use super::workspace::{Lane, Turn};
use crate::ConceptMap;
use crate::reduce::ReduceError;
use crate::reduce::abi::{MapView, Sets};

// SAFETY: it holds numbers and addresses only, and nvcc has checked that it lays them out as rustc does.
unsafe impl DeviceRepr for MapView {}

/// The maps of a set on a device.
pub(crate) struct DeviceMaps {
    pub(super) gpu: Arc<Gpu>,
    pub(super) vocab_size: usize,
    /// `[capacity]`
    pub(super) directory: Buffer<MapView>,
    /// The memory of the map at each place.
    maps: Vec<Option<Arc<Allocation>>>,
}

/// The entry of a place without a map.
const NO_MAP: MapView = MapView {
    sets: Sets {
        starts: std::ptr::null(),
        members: std::ptr::null(),
        ids: std::ptr::null(),
        by_thread: 0,
        by_warp: 0,
        by_block: 0,
    },
    named: EMPTY,
    first_id: 0,
    num_concepts: 0,
    generation: 0,
    names_single_tokens: 0,
    unused: 0,
};

impl DeviceMaps {
    pub(crate) fn new(
        vocab_size: usize,
        capacity: usize,
        device: &CudaDevice,
    ) -> Result<Self, ReduceError> {
        let gpu = Gpu::of(device)?;
        let directory = {
            let lane = Lane::of(&gpu)?;
            let turn = Turn::new(&gpu, &lane)?;
            turn.refuse_capture("make a set of maps")?;
            let made = lane.buffer(capacity, gpu.stream.cu_stream());
            let directory: Buffer<MapView> = turn.try_to("allocate memory", made)?;
            turn.clear(directory.address(), directory.bytes())?;
            directory
        };
        Ok(Self { gpu, vocab_size, directory, maps: vec![None; capacity] })
    }

    /// Lists a map at a free place; `generation` is its own.
    pub(crate) fn insert(
        &mut self,
        place: u32,
        map: &ConceptMap,
        generation: u64,
    ) -> Result<(), ReduceError> {
        let lane = Lane::of(&self.gpu)?;
        let turn = Turn::new(&self.gpu, &lane)?;
        turn.refuse_capture("add a map")?;
        turn.follow_users(self.directory.memory())?;
        let mut tables = Tables::default();
        let shape = MapShape::new(&mut tables, map);
        let buffer = turn.upload(tables.words())?;
        self.write(&turn, place, shape.view(&buffer, generation))?;
        self.directory.memory().hold(buffer.memory());
        self.maps[place as usize] = Some(buffer.memory().clone());
        Ok(())
    }

    /// Lists none at a place any more.
    pub(crate) fn remove(&mut self, place: u32) -> Result<(), ReduceError> {
        let lane = Lane::of(&self.gpu)?;
        let removed = {
            let turn = Turn::new(&self.gpu, &lane)?;
            turn.refuse_capture("remove a map")?;
            turn.follow_users(self.directory.memory())?;
            self.write(&turn, place, NO_MAP)?;
            self.maps[place as usize].take()
        };
        // After the turn, so that it is freed after what the turn has recorded.
        if let Some(removed) = removed {
            self.directory.memory().release(&removed);
        }
        Ok(())
    }

    /// Fails if the stream is captured, where the host cannot do the work.
    pub(crate) fn check_host_may_help(&self) -> Result<(), ReduceError> {
        self.gpu.refuse_capture("decide or reduce by a set of maps")
    }

    fn write(&self, turn: &Turn<'_>, place: u32, view: MapView) -> Result<(), ReduceError> {
        assert!((place as usize) < self.maps.len(), "a place of the directory");
        let at = self.directory.address() + u64::from(place) * size_of::<MapView>() as u64;
        turn.write(at, &[view])
    }
}

/// Where the tables of a map lie: what it pools, and the concepts that were named.
struct MapShape {
    sets: SetTable,
    named: Sparse,
    first_id: u32,
    num_concepts: u32,
    names_single_tokens: bool,
}

impl MapShape {
    fn new(tables: &mut Tables, map: &ConceptMap) -> Self {
        let mut pooled = ranked(map.iter());
        pooled.retain(|(_, tokens)| tokens.len() > 1);
        let first_id = first_unnamed(map);
        let mut named: Vec<SparseToken> = (0..)
            .zip(map.concept_ids())
            .filter(|&(token, &id)| id < first_id && map.tokens(id) == Some(&[token]))
            .map(|(token, &id)| SparseToken { token, value: id, is_marked: false })
            .collect();
        let names_single_tokens = !named.is_empty();
        for (rank, (_, tokens)) in (0..).zip(&pooled) {
            let of_set = |&token: &u32| SparseToken { token, value: rank, is_marked: true };
            named.extend(tokens.iter().map(of_set));
        }
        named.sort_unstable_by_key(|of| of.token);
        Self {
            sets: SetTable::new(tables, &pooled),
            named: Sparse::new(tables, map.vocab_size(), &named),
            first_id,
            num_concepts: map.num_concepts() as u32,
            names_single_tokens,
        }
    }

    fn view(&self, buffer: &Buffer<u32>, generation: u64) -> MapView {
        MapView {
            sets: self.sets.view(buffer),
            named: self.named.view(buffer),
            first_id: self.first_id,
            num_concepts: self.num_concepts,
            generation,
            names_single_tokens: self.names_single_tokens.into(),
            unused: 0,
        }
    }
}

/// The first of the ids at the end that tokens have which are concepts of their own, in the order of the
/// tokens: those that nobody named, if a builder has made the map.
fn first_unnamed(map: &ConceptMap) -> u32 {
    let mut next = u32::MAX;
    let mut first = map.num_concepts() as u32;
    while first > 0 {
        match map.tokens(first - 1) {
            Some(&[token]) if token < next => next = token,
            _ => break,
        }
        first -= 1;
    }
    first
}
