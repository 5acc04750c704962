//! Where the operations of a set are done, as [`crate::reduce::backend`] has it for one map.

use std::sync::OnceLock;

use candle_core::{Device, Tensor};

use super::NO_MAP;
use crate::ConceptMap;
use crate::reduce::backend::{Found, NoiseBackend, with_kernels};
use crate::reduce::cpu::{self, MapOnHost, Maps, Tables};
use crate::reduce::cuda;
use crate::reduce::logits::Logits;
use crate::reduce::numbers::numbers_on_host;
use crate::reduce::{Decision, Noise, ReduceError, Row, advance};

/// The maps of a set, by place, in the form that the operations need. Logits and the tensors beside
/// them have been checked.
pub(super) enum MapSetBackend {
    Host(HostMaps),
    /// On the device, by which rows are sampled; and on the host, for what has no kernels.
    Cuda(cuda::DeviceMaps, HostMaps),
}

impl MapSetBackend {
    /// Room for `capacity` maps of a vocabulary, both of which have been checked.
    pub(super) fn new(
        vocab_size: usize,
        capacity: usize,
        device: &Device,
    ) -> Result<Self, ReduceError> {
        let host = HostMaps { vocab_size, places: Vec::new(), without: OnceLock::new() };
        Ok(match with_kernels(device) {
            Some(device) => Self::Cuda(cuda::DeviceMaps::new(vocab_size, capacity, device)?, host),
            None => Self::Host(host),
        })
    }

    pub(super) fn is_at(&self, device: &Device) -> bool {
        device.is_cpu()
    }

    fn host(&self) -> &HostMaps {
        match self {
            Self::Host(maps) | Self::Cuda(_, maps) => maps,
        }
    }

    /// The same, for an operation that has no kernels.
    fn host_alone(&self) -> Result<&HostMaps, ReduceError> {
        if let Self::Cuda(device, _) = self {
            device.check_host_may_help()?;
        }
        Ok(self.host())
    }

    /// Puts a map in a free place: one that was used before, or the next; `generation` is its own.
    pub(super) fn insert(
        &mut self,
        place: u32,
        map: &ConceptMap,
        generation: u64,
    ) -> Result<(), ReduceError> {
        match self {
            Self::Host(maps) => maps.insert(place, map),
            Self::Cuda(device, maps) => {
                device.insert(place, map, generation)?;
                maps.insert(place, map);
            }
        }
        Ok(())
    }

    /// Frees the place of a map.
    pub(super) fn remove(&mut self, place: u32) -> Result<(), ReduceError> {
        match self {
            Self::Host(maps) => maps.remove(place),
            Self::Cuda(device, maps) => {
                device.remove(place)?;
                maps.remove(place);
            }
        }
        Ok(())
    }

    /// The map of a place and what was derived from it.
    pub(super) fn on_host(&self, place: u32) -> Option<MapOnHost<'_>> {
        self.host().at(place)
    }

    /// The maps on a device with kernels.
    pub(super) fn on_device(&self) -> Option<&cuda::DeviceMaps> {
        match self {
            Self::Host(_) => None,
            Self::Cuda(device, _) => Some(device),
        }
    }

    pub(super) fn decide(
        &self,
        logits: &Logits,
        map_of_row: &Tensor,
    ) -> Result<Found<Decision>, ReduceError> {
        let maps = self.host_alone()?.of_rows(map_of_row)?;
        let decisions = cpu::decide(Maps::Each(&maps), &logits.on_host()?)?;
        Ok(Found::Host(decisions, logits.device().clone()))
    }

    pub(super) fn reduce(
        &self,
        logits: &Logits,
        map_of_row: &Tensor,
    ) -> Result<Found<Row>, ReduceError> {
        let maps = self.host_alone()?.of_rows(map_of_row)?;
        let rows = cpu::reduce(Maps::Each(&maps), &logits.on_host()?)?;
        Ok(Found::Host(rows, logits.device().clone()))
    }

    /// Draws a token for every row, whose step in `noise` moves on if there is one.
    pub(super) fn sample(
        &self,
        logits: &Logits,
        map_of_row: &Tensor,
        temperature: f64,
        noise: &mut Noise,
    ) -> Result<Tensor, ReduceError> {
        match (self, &mut noise.state) {
            (Self::Host(maps), NoiseBackend::Host { seed, steps }) => {
                let maps = maps.of_rows(map_of_row)?;
                let at = (*seed, &steps[..]);
                let tokens = cpu::draw(Maps::Each(&maps), &logits.on_host()?, temperature, at)?;
                let result = Tensor::new(&tokens[..], logits.device())?;
                advance(steps, &tokens);
                Ok(result)
            }
            (Self::Cuda(maps, _), NoiseBackend::Cuda(state)) => {
                cuda::sample_each(maps, logits, map_of_row, temperature, state)
            }
            _ => Err(noise.not_at(logits.device())),
        }
    }

    /// The masses of `concepts`, `[B, K]`, as [`super::MapSet::masses`] gives them.
    pub(super) fn masses(
        &self,
        logits: &Logits,
        map_of_row: &Tensor,
        concepts: &Tensor,
    ) -> Result<Tensor, ReduceError> {
        let (rows, width) = concepts.dims2()?;
        let maps = self.host_alone()?.of_rows(map_of_row)?;
        let concepts = numbers_on_host(concepts)?;
        let masses = cpu::chosen_masses(&maps, &concepts, width, &logits.on_host()?)?;
        Ok(Tensor::from_vec(masses, (rows, width), logits.device())?)
    }
}

/// A set in the host's memory.
pub(super) struct HostMaps {
    vocab_size: usize,
    places: Vec<Option<HostMap>>,
    /// What rows without a map have, once one asks for it.
    without: OnceLock<HostMap>,
}

struct HostMap {
    map: ConceptMap,
    /// Once they are asked for.
    tables: OnceLock<Tables>,
}

impl HostMap {
    fn new(map: &ConceptMap) -> Self {
        Self { map: map.clone(), tables: OnceLock::new() }
    }

    fn get(&self) -> MapOnHost<'_> {
        (&self.map, self.tables.get_or_init(|| Tables::new(&self.map)))
    }
}

impl HostMaps {
    fn insert(&mut self, place: u32, map: &ConceptMap) {
        let place = place as usize;
        if place == self.places.len() {
            self.places.push(None);
        }
        self.places[place] = Some(HostMap::new(map));
    }

    fn remove(&mut self, place: u32) {
        self.places[place as usize] = None;
    }

    fn at(&self, place: u32) -> Option<MapOnHost<'_>> {
        self.places.get(place as usize)?.as_ref().map(HostMap::get)
    }

    /// The map of every row; none where its place holds none.
    fn of_rows(&self, map_of_row: &Tensor) -> Result<Vec<Option<MapOnHost<'_>>>, ReduceError> {
        let without = || {
            let singletons =
                || ConceptMap::singletons(self.vocab_size).expect("its size is checked");
            self.without.get_or_init(|| HostMap::new(&singletons())).get()
        };
        let of_place = |&place: &u32| match place {
            NO_MAP => Some(without()),
            place => self.at(place),
        };
        Ok(numbers_on_host(map_of_row)?.iter().map(of_place).collect())
    }
}
