//! Maps of one vocabulary on a device, from which each row of a batch takes its own.

mod backend;

use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{Device, Tensor};

use self::backend::MapSetBackend;
use super::cpu::MapOnHost;
use super::cuda;
use super::logits::{Logits, room};
use super::numbers::check_numbers;
use super::{Decisions, Noise, ReduceError, Reduction, positive};
use crate::ConceptMap;

/// What a tensor of the maps of rows holds for a row without a map, which pools nothing: each of its
/// tokens is a concept of its own, with the token's id.
pub const NO_MAP: u32 = u32::MAX;

/// Maps of one vocabulary on a device, which come and go while a batch server runs: each row of
/// logits is reduced by its own.
///
/// [`DeviceMap`](crate::DeviceMap) has one map for all rows. Here, `map_of_row`, `u32` `[B]` on the
/// device of the logits, says which map is whose: it holds [places](MapId::place), or [`NO_MAP`] for a
/// row that pools nothing. A row is reduced as by a [`DeviceMap`](crate::DeviceMap) of its map, to the
/// bit. A row whose place holds no map is a bad row ([`BadRowReason::NoMap`]); its neighbours do not
/// notice.
///
/// On a CUDA device, a map takes memory for what it names: about 16 bytes a named token, and 512 for
/// each 1,024 tokens of the vocabulary among which one is named. [`sample`](Self::sample), and the
/// [`BatchSampler`](crate::sample::BatchSampler) that has the set, work there; `decide`, `reduce` and
/// `masses` still copy the logits to the host. Maps are added and removed in the order of the stream:
/// work that was queued before, such as the launch of a graph, sees the set as it was, and work that is
/// queued later sees it as it is then. (The driver may wait for the stream before it takes the copy of a
/// large map.) A graph that has captured an operation of the set uses the maps that are there when it is
/// launched, so it must be launched on the device's stream, or in order with it; it keeps the memory of
/// the maps that are left when the set is dropped. While the stream is captured, no map can be added or
/// removed ([`ReduceError::Captured`]).
///
/// ```
/// use candle_core::{Device, Tensor};
/// use concept_mass::{ConceptMap, MapSet};
///
/// let mut maps = MapSet::new(4, 100, &Device::Cpu)?; // a vocabulary of 4, at most 100 maps at a time
/// let right = maps.insert(&ConceptMap::builder(4).concept("right", [1, 3])?.build()?)?;
///
/// let logits = Tensor::new(&[[0.4f32, 0.3, 0.05, 0.25], [0.4, 0.3, 0.05, 0.25]], &Device::Cpu)?;
/// let map_of_row = maps.rows(&[Some(right), None])?;
/// let decisions = maps.decide(&logits.log()?, &map_of_row)?;
/// assert_eq!(decisions.tokens()?.to_vec1::<u32>()?, [1, 0]);
///
/// maps.remove(right)?; // its place is free for another
/// assert!(maps.rows(&[Some(right)]).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`BadRowReason::NoMap`]: crate::reduce::BadRowReason::NoMap
pub struct MapSet {
    vocab_size: usize,
    capacity: usize,
    device: Device,
    /// By place, up to the highest that was ever used.
    places: Vec<Option<Held>>,
    backend: MapSetBackend,
}

/// A map in its place.
struct Held {
    map: ConceptMap,
    generation: u64,
}

/// A map of a [`MapSet`].
///
/// It names that map for good: when the map has been removed, the id is refused, even if another map
/// has its place; and other sets refuse it, too.
///
/// ```
/// # use candle_core::Device;
/// use concept_mass::{ConceptMap, MapSet};
///
/// let mut maps = MapSet::new(4, 10, &Device::Cpu)?;
/// let first = maps.insert(&ConceptMap::singletons(4)?)?;
/// maps.remove(first)?;
/// let second = maps.insert(&ConceptMap::singletons(4)?)?;
/// assert_eq!(first.place(), second.place());
/// assert!(maps.get(first).is_none() && maps.get(second).is_some());
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MapId {
    place: u32,
    /// No other map of the process has it.
    generation: u64,
}

impl MapId {
    /// The map's place in its set, below the set's capacity: what `map_of_row` holds for the map.
    pub fn place(self) -> u32 {
        self.place
    }
}

impl std::fmt::Debug for MapSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MapSet")
            .field("vocab_size", &self.vocab_size)
            .field("capacity", &self.capacity)
            .field("len", &self.len())
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

impl MapSet {
    /// The most maps that a set can have room for.
    pub const MAX_CAPACITY: usize = 1 << 20;

    /// A set without maps, with room for `capacity` at a time.
    ///
    /// # Errors
    ///
    /// [`ReduceError::Map`] for a vocabulary of no tokens or of too many;
    /// [`ReduceError::MapSetCapacity`] for more than [`MAX_CAPACITY`](Self::MAX_CAPACITY) maps;
    /// [`ReduceError::DeviceFailed`].
    pub fn new(vocab_size: usize, capacity: usize, device: &Device) -> Result<Self, ReduceError> {
        let vocab_size = crate::map::check_vocab_size(vocab_size)?;
        if capacity > Self::MAX_CAPACITY {
            return Err(ReduceError::MapSetCapacity { capacity, max: Self::MAX_CAPACITY });
        }
        let backend = MapSetBackend::new(vocab_size, capacity, device)?;
        Ok(Self { vocab_size, capacity, device: device.clone(), places: Vec::new(), backend })
    }

    /// Adds a map, in the lowest place that is free: derives what the operations need, as
    /// [`ConceptMap::to_device`] does. Rows that use other maps do not notice.
    ///
    /// # Errors
    ///
    /// [`ReduceError::MapSetVocabulary`] for a map of another vocabulary; [`ReduceError::MapSetFull`];
    /// [`ReduceError::DeviceFailed`]. The set is then as it was.
    pub fn insert(&mut self, map: &ConceptMap) -> Result<MapId, ReduceError> {
        static GENERATIONS: AtomicU64 = AtomicU64::new(0);
        if map.vocab_size() != self.vocab_size {
            let (expected, got) = (self.vocab_size, map.vocab_size());
            return Err(ReduceError::MapSetVocabulary { expected, got });
        }
        let free = self.places.iter().position(Option::is_none).unwrap_or(self.places.len());
        if free == self.capacity {
            return Err(ReduceError::MapSetFull { capacity: self.capacity });
        }
        let place = free as u32;
        let generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
        self.backend.insert(place, map, generation)?;
        let held = Some(Held { map: map.clone(), generation });
        match self.places.get_mut(free) {
            Some(empty) => *empty = held,
            None => self.places.push(held),
        }
        Ok(MapId { place, generation })
    }

    /// Removes a map. Rows that still name its place are bad rows, until another map is inserted
    /// there.
    ///
    /// # Errors
    ///
    /// [`ReduceError::NoSuchMap`] for a map that is not there, or not any more;
    /// [`ReduceError::DeviceFailed`].
    pub fn remove(&mut self, id: MapId) -> Result<(), ReduceError> {
        self.check(id)?;
        self.backend.remove(id.place)?;
        self.places[id.place as usize] = None;
        Ok(())
    }

    /// The map of an id, if it is still there.
    pub fn get(&self, id: MapId) -> Option<&ConceptMap> {
        let held = self.places.get(id.place as usize)?.as_ref()?;
        (held.generation == id.generation).then_some(&held.map)
    }

    /// How many maps the set holds.
    pub fn len(&self) -> usize {
        self.places.iter().flatten().count()
    }

    /// Whether the set holds no map.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For how many maps there is room.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many tokens the vocabulary of the maps has.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Where the maps are, and where logits must be.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Whether `decide`, `reduce` and `masses` work where the logits are: only on the CPU. (On a CUDA
    /// device `sample` does, and a [`BatchSampler`](crate::sample::BatchSampler) that has the set.)
    pub fn runs_on_device(&self) -> bool {
        self.backend.is_at(&self.device)
    }

    /// The maps of the rows of a batch, in the form that the operations take: `u32` `[B]`, on the
    /// device, with [`NO_MAP`] for `None`.
    ///
    /// Such a tensor holds places, and no ids: where a map is removed and another one takes its
    /// place, it names that one. Make it anew when maps come and go.
    ///
    /// # Errors
    ///
    /// [`ReduceError::NoSuchMap`]; [`ReduceError::Candle`].
    pub fn rows(&self, ids: &[Option<MapId>]) -> Result<Tensor, ReduceError> {
        let mut places = room(ids.len(), 1)?;
        for id in ids {
            places.push(match *id {
                Some(id) => self.check(id)?,
                None => NO_MAP,
            });
        }
        Ok(Tensor::from_vec(places, ids.len(), &self.device)?)
    }

    /// [`DeviceMap::decide`](crate::DeviceMap::decide), with each row's own map.
    ///
    /// # Errors
    ///
    /// As for [`DeviceMap::reduce`](crate::DeviceMap::reduce); [`ReduceError::RowsShape`],
    /// [`ReduceError::RowsDType`] and [`ReduceError::RowsDevice`] for a `map_of_row` that is not
    /// `u32` `[B]` on the set's device.
    ///
    /// For an example, see [`MapSet`].
    pub fn decide(&self, logits: &Tensor, map_of_row: &Tensor) -> Result<Decisions, ReduceError> {
        let logits = self.check_rows(logits, map_of_row)?;
        Ok(Decisions(self.backend.decide(&logits, map_of_row)?))
    }

    /// [`DeviceMap::reduce`](crate::DeviceMap::reduce), with each row's own map.
    ///
    /// # Errors
    ///
    /// As for [`decide`](Self::decide).
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::{ConceptMap, MapSet, reduce::{BadRowReason, NO_MAP}};
    /// let mut maps = MapSet::new(3, 8, &Device::Cpu)?;
    /// let ends = maps.insert(&ConceptMap::builder(3).concept("ends", [0, 2])?.build()?)?;
    /// let logits = Tensor::new(&[[0f32, 0.5, 0.], [0., 0.5, 0.], [0., 0.5, 0.]], &Device::Cpu)?;
    /// // Places may come from anywhere; there is no map at 7.
    /// let map_of_row = Tensor::new(&[ends.place(), NO_MAP, 7], &Device::Cpu)?;
    /// let rows = maps.reduce(&logits, &map_of_row)?.rows()?;
    /// assert_eq!((rows[0]?.winner, rows[1]?.winner), (0, 1));
    /// assert_eq!(rows[2].unwrap_err().reason, BadRowReason::NoMap);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reduce(&self, logits: &Tensor, map_of_row: &Tensor) -> Result<Reduction, ReduceError> {
        let logits = self.check_rows(logits, map_of_row)?;
        Ok(Reduction(self.backend.reduce(&logits, map_of_row)?))
    }

    /// [`DeviceMap::sample`](crate::DeviceMap::sample), with each row's own map.
    ///
    /// The random numbers are those of places in the batch. For requests with parameters, seeds and a
    /// past of their own, see [`BatchSampler`](crate::sample::BatchSampler).
    ///
    /// # Errors
    ///
    /// As for [`decide`](Self::decide); [`ReduceError::Temperature`] and [`ReduceError::NoiseDevice`]
    /// as for [`DeviceMap::sample`](crate::DeviceMap::sample).
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::{ConceptMap, MapSet, Noise};
    /// let mut maps = MapSet::new(3, 8, &Device::Cpu)?;
    /// let ends = maps.insert(&ConceptMap::builder(3).concept("ends", [0, 2])?.build()?)?;
    /// let mut noise = Noise::new(42, &Device::Cpu)?;
    /// let logits = Tensor::new(&[[0f32, 0.5, 0.1]], &Device::Cpu)?;
    /// let map_of_row = maps.rows(&[Some(ends)])?;
    /// let token = maps.sample(&logits, &map_of_row, 1.0, &mut noise)?.to_vec1::<u32>()?[0];
    /// assert!(token == 1 || token == 2); // never 0, which stands for nothing
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn sample(
        &self,
        logits: &Tensor,
        map_of_row: &Tensor,
        temperature: f64,
        noise: &mut Noise,
    ) -> Result<Tensor, ReduceError> {
        let logits = self.check_rows(logits, map_of_row)?;
        let temperature = positive(temperature)?;
        noise.check(&self.device)?;
        self.backend.sample(&logits, map_of_row, temperature, noise)
    }

    /// The probabilities of some concepts of each row's own map: `f32` `[B, K]` for `concepts`, `u32`
    /// `[B, K]`.
    ///
    /// NaN for a concept that the row's map does not have, and throughout a row that has no winner.
    /// The concept of a row without a map is a token.
    ///
    /// # Errors
    ///
    /// As for [`decide`](Self::decide), of `concepts` as well.
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::{ConceptMap, MapSet};
    /// let mut maps = MapSet::new(3, 8, &Device::Cpu)?;
    /// let ends = maps.insert(&ConceptMap::builder(3).concept("ends", [0, 2])?.build()?)?;
    /// let logits = Tensor::new(&[[0f32, 0., 0.], [0., 0., 0.]], &Device::Cpu)?;
    /// let concepts = Tensor::new(&[[0u32, 9], [2, 1]], &Device::Cpu)?;
    /// let map_of_row = maps.rows(&[Some(ends), None])?;
    /// let masses = maps.masses(&logits, &map_of_row, &concepts)?.to_vec2::<f32>()?;
    /// assert!(masses[0][0] == 2. / 3. && masses[0][1].is_nan()); // the map has no concept 9
    /// assert_eq!(masses[1], [1. / 3., 1. / 3.]);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn masses(
        &self,
        logits: &Tensor,
        map_of_row: &Tensor,
        concepts: &Tensor,
    ) -> Result<Tensor, ReduceError> {
        let logits = self.check_rows(logits, map_of_row)?;
        check_numbers(concepts, "concepts", &[Some(logits.rows()), None], &self.device)?;
        self.backend.masses(&logits, map_of_row, concepts)
    }

    /// The place of an id, if its map is still there.
    pub(crate) fn check(&self, id: MapId) -> Result<u32, ReduceError> {
        match self.get(id) {
            Some(_) => Ok(id.place),
            None => Err(ReduceError::NoSuchMap { place: id.place }),
        }
    }

    /// The maps on a device with kernels.
    pub(crate) fn on_device(&self) -> Option<&cuda::DeviceMaps> {
        self.backend.on_device()
    }

    /// The place and the generation of an id, whether its map is still there or not.
    pub(crate) fn place_of(id: MapId) -> (u32, u64) {
        (id.place, id.generation)
    }

    /// A map and what was derived from it, for sampling on the host; none if it is not there any more.
    pub(crate) fn on_host(&self, id: MapId) -> Option<MapOnHost<'_>> {
        self.get(id).and_then(|_| self.backend.on_host(id.place))
    }

    fn check_rows(&self, logits: &Tensor, map_of_row: &Tensor) -> Result<Logits, ReduceError> {
        let logits = Logits::check(logits, self.vocab_size, &self.device)?;
        check_numbers(map_of_row, "map_of_row", &[Some(logits.rows())], &self.device)?;
        Ok(logits)
    }
}
