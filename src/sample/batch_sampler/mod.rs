//! The step of a batch server: many requests, each in a slot that keeps what it remembers.

mod backend;
mod host;
mod sampled;
mod verify;

use candle_core::{Device, Tensor};

use self::backend::SlotsBackend;
pub use self::sampled::SampledBatch;
pub use self::verify::{AcceptSpelling, Draft, Verified, VerifiedBatch};
use super::{RowState, SamplingParams, range};
use crate::reduce::logits::{Logits, readable, room};
use crate::reduce::numbers::check_numbers;
use crate::reduce::{MapId, MapSet, ReduceError};
use crate::sample::SampleError;

/// Samples a token for every row of a batch, as an inference engine needs it: each row is a request of
/// its own, in a *slot* that keeps the request's parameters, its map, and what it remembers.
///
/// [`sample_batch`](super::sample_batch) does the same for [`RowSampler`](super::RowSampler)s that the
/// caller keeps, and the semantics are the same: a request's tokens follow from its own logits, map,
/// parameters, seed and [`RowState`], never from its slot, its row, its neighbours or the size of the
/// batch.
///
/// - **A request comes**: [`start`](Self::start) puts it into a slot, and leaves nothing there of the
///   one before.
/// - **A step**: [`sample`](Self::sample), with logits `[B, V]` and the slot of each row.
/// - **Several tokens at a step**: [`verify`](Self::verify) holds a draft against the model.
/// - **A request is preempted**: [`state`](Self::state) gives what it remembers, and `start` puts that
///   back later, in any slot.
/// - **A request goes**: [`end`](Self::end).
///
/// Maps are added and removed by [`maps_mut`](Self::maps_mut). The rows of a slot whose map was removed
/// fail until it has another.
///
/// A row that fails says why, changes nothing, and does not affect its neighbours.
///
/// # On a CUDA device
///
/// [`sample`](Self::sample) is three launches, copies nothing to the host and waits for nothing. While
/// any started slot asks for [log-probabilities](SamplingParams::with_log_probs), though, and in
/// `verify`, the logits, the masks and each row's state (some 4 bytes a token of the vocabulary) are
/// copied to the host, all rows are sampled there, and the call waits; a row's token may then be another
/// where its random number falls within rounding of a boundary. So serve such requests by a sampler of
/// their own. `state` waits, too. Each slot takes 4⅛ bytes a token of the vocabulary, whether it is used
/// or not, and each row of a step 7 to 9, and 33 KB.
///
/// A captured step serves whoever is in the slots when the graph is launched: docs/THREADS.md, and
/// [`threads`](crate::reduce::threads). Every method fails with [`ReduceError::DeviceFailed`] if the
/// device does; and those that change a slot or the set, and those that go by the host, with
/// [`ReduceError::Captured`] while the stream is captured.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use concept_mass::sample::{BatchSampler, RowState, SamplingParams};
/// use concept_mass::{ConceptMap, MapSet};
///
/// let mut sampler = BatchSampler::new(MapSet::new(4, 100, &Device::Cpu)?, 64)?;
/// let map = ConceptMap::builder(4).concept("right", [1, 3])?.build()?;
/// let right = sampler.maps_mut().insert(&map)?;
/// sampler.start(5, SamplingParams::greedy(), Some(right), RowState::default())?;
/// sampler.start(9, SamplingParams::at(0.8)?.with_seed(7), None, RowState::default())?;
/// sampler.see(9, &[0, 2])?; // the prompt, if penalties are to count it
///
/// let logits = Tensor::new(&[[0.4f32, 0.3, 0.05, 0.25], [0.4, 0.3, 0.05, 0.25]], &Device::Cpu)?;
/// let sampled = sampler.sample(&logits.log()?, &sampler.slots(&[5, 9])?, None)?;
/// let tokens: Tensor = sampled.tokens()?; // u32 [B], on the device: what the model reads next
/// assert_eq!(sampled.rows()?.remove(0)?.token, 1);
///
/// let state = sampler.state(9)?; // preempted …
/// sampler.end(9)?;
/// sampler.start(2, SamplingParams::at(0.8)?.with_seed(7), None, state)?; // … and back elsewhere
/// # assert_eq!(tokens.dims(), [2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BatchSampler {
    maps: MapSet,
    vocab_size: usize,
    device: Device,
    num_slots: usize,
    /// Up to the highest that was ever started.
    slots: Vec<Option<Slot>>,
    backend: SlotsBackend,
}

/// What the host knows of a request; what it remembers is the backend's.
struct Slot {
    params: SamplingParams,
    map: Option<MapId>,
}

/// The input of a step, checked.
struct Step<'a> {
    maps: &'a MapSet,
    num_slots: usize,
    slots: &'a [Option<Slot>],
    /// A row for each request, or some for each, one after the other.
    logits: &'a Logits,
    /// `[B]`
    slot_of_row: &'a Tensor,
    /// Of as many rows as the logits.
    mask: Option<&'a Tensor>,
}

impl Step<'_> {
    /// Whether that is so of a request in one of the slots.
    fn has(&self, is_so: impl Fn(&Slot) -> bool) -> bool {
        self.slots.iter().flatten().any(is_so)
    }
}

impl std::fmt::Debug for BatchSampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let started = self.slots.iter().flatten().count();
        f.debug_struct("BatchSampler")
            .field("maps", &self.maps)
            .field("slots", &self.num_slots)
            .field("started", &started)
            .finish_non_exhaustive()
    }
}

impl BatchSampler {
    /// The most slots that a sampler can have.
    pub const MAX_SLOTS: usize = 1 << 20;

    /// A sampler with so many slots, none of which is started, for the vocabulary and the device of
    /// `maps`.
    ///
    /// # Errors
    ///
    /// [`SampleError::Parameter`] for no slots, or more than [`MAX_SLOTS`](Self::MAX_SLOTS);
    /// [`ReduceError::DeviceFailed`](crate::reduce::ReduceError::DeviceFailed).
    pub fn new(maps: MapSet, slots: usize) -> Result<Self, SampleError> {
        if !(1..=Self::MAX_SLOTS).contains(&slots) {
            return Err(range::refuse("slots", slots as f64, "it must be from 1 to 2^20"));
        }
        let (vocab_size, device) = (maps.vocab_size(), maps.device().clone());
        let backend = SlotsBackend::new(slots, vocab_size, &device)?;
        Ok(Self { maps, vocab_size, device, num_slots: slots, slots: Vec::new(), backend })
    }

    /// The maps.
    pub fn maps(&self) -> &MapSet {
        &self.maps
    }

    /// The maps, to be added and removed.
    ///
    /// Another set may be put in their place, if it is for the same vocabulary and device; slots with
    /// a map are then as if it had been removed. A graph that was captured before goes on with the old
    /// set: capture anew.
    pub fn maps_mut(&mut self) -> &mut MapSet {
        &mut self.maps
    }

    /// Whether steps are sampled where the logits are: on the CPU, and on a CUDA device with the feature
    /// `cuda`. Elsewhere each step copies the logits to the host.
    ///
    /// ```
    /// # use candle_core::Device;
    /// # use concept_mass::{MapSet, sample::BatchSampler};
    /// let sampler = BatchSampler::new(MapSet::new(100, 1, &Device::Cpu)?, 4)?;
    /// assert!(sampler.runs_on_device());
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn runs_on_device(&self) -> bool {
        self.device.is_cpu() || self.backend.has_kernels()
    }

    /// How many slots there are.
    pub fn num_slots(&self) -> usize {
        self.num_slots
    }

    /// Puts a request into a slot: its parameters, its map (none pools nothing), and what it
    /// remembers, which is [`RowState::default`] for a new one. Of the request that the slot has
    /// served before, nothing is left.
    ///
    /// # Errors
    ///
    /// [`SampleError::SlotOutOfRange`]; [`SampleError::Map`] for a bias of a token that the vocabulary
    /// does not have; [`ReduceError::NoSuchMap`](crate::reduce::ReduceError::NoSuchMap); those of
    /// [`RowSampler::restore`](super::RowSampler::restore). The slot is then as it was.
    pub fn start(
        &mut self,
        slot: usize,
        params: SamplingParams,
        map: Option<MapId>,
        state: RowState,
    ) -> Result<(), SampleError> {
        self.check_maps()?;
        self.check_range(slot)?;
        params.check_bias(self.vocab_size)?;
        state.check(self.vocab_size)?;
        map.map(|id| self.maps.check(id)).transpose()?;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        let request = Slot { params, map };
        self.backend.start(slot, &request, &self.maps, state)?;
        self.slots[slot] = Some(request);
        Ok(())
    }

    /// Changes a request's parameters from the next step on; its step and what was seen stay.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start), and [`SampleError::SlotNotStarted`]; the slot is then as it was.
    pub fn set_params(&mut self, slot: usize, params: SamplingParams) -> Result<(), SampleError> {
        self.check_maps()?;
        let Slot { map, .. } = *self.started(slot)?;
        params.check_bias(self.vocab_size)?;
        self.update(slot, Slot { params, map })
    }

    /// Changes a request's map from the next step on; `None` pools nothing.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start), and [`SampleError::SlotNotStarted`]; the slot is then as it was.
    ///
    /// ```
    /// # use candle_core::Device;
    /// # use concept_mass::sample::{BatchSampler, RowState, SampleError, SamplingParams};
    /// # use concept_mass::{ConceptMap, MapSet};
    /// # let mut sampler = BatchSampler::new(MapSet::new(4, 9, &Device::Cpu)?, 8)?;
    /// let map = sampler.maps_mut().insert(&ConceptMap::singletons(4)?)?;
    /// sampler.start(0, SamplingParams::greedy(), None, RowState::default())?;
    /// sampler.set_map(0, Some(map))?;
    /// assert!(matches!(sampler.set_map(1, None), Err(SampleError::SlotNotStarted { slot: 1 })));
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn set_map(&mut self, slot: usize, map: Option<MapId>) -> Result<(), SampleError> {
        self.check_maps()?;
        let params = self.started(slot)?.params.clone();
        map.map(|id| self.maps.check(id)).transpose()?;
        self.update(slot, Slot { params, map })
    }

    /// Counts tokens as seen, such as those of the prompt; what is sampled is counted by itself.
    ///
    /// # Errors
    ///
    /// [`SampleError::SlotOutOfRange`], [`SampleError::SlotNotStarted`]; [`SampleError::Map`] for a
    /// token that the vocabulary does not have; nothing is counted then.
    pub fn see(&mut self, slot: usize, tokens: &[u32]) -> Result<(), SampleError> {
        self.started(slot)?;
        super::row_state::check_seen(tokens, self.vocab_size)?;
        self.backend.see(slot, tokens)
    }

    /// What a request remembers: to be kept while it is preempted, and put back by
    /// [`start`](Self::start). Its parameters and map are the caller's to keep.
    ///
    /// # Errors
    ///
    /// [`SampleError::SlotOutOfRange`], [`SampleError::SlotNotStarted`].
    ///
    /// ```
    /// # use candle_core::Device;
    /// # use concept_mass::sample::{BatchSampler, RowState, SamplingParams};
    /// # use concept_mass::MapSet;
    /// # let mut sampler = BatchSampler::new(MapSet::new(4, 9, &Device::Cpu)?, 8)?;
    /// sampler.start(3, SamplingParams::greedy(), None, RowState::default())?;
    /// sampler.see(3, &[2, 2])?;
    /// assert_eq!(sampler.state(3)?, RowState::new(0, [(2, 2)]));
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn state(&self, slot: usize) -> Result<RowState, SampleError> {
        self.started(slot)?;
        self.backend.state(slot)
    }

    /// Ends a request: its slot serves none until another is [started](Self::start) there.
    ///
    /// # Errors
    ///
    /// [`SampleError::SlotOutOfRange`], [`SampleError::SlotNotStarted`].
    pub fn end(&mut self, slot: usize) -> Result<(), SampleError> {
        self.started(slot)?;
        self.backend.end(slot)?;
        self.slots[slot] = None;
        Ok(())
    }

    /// The slots of the rows of a batch, in the form that [`sample`](Self::sample) takes: `u32` `[B]`,
    /// on the device.
    ///
    /// # Errors
    ///
    /// [`SampleError::SlotOutOfRange`]; [`SampleError::Reduce`] for an error of candle.
    pub fn slots(&self, slots: &[usize]) -> Result<Tensor, SampleError> {
        let mut numbers = room(slots.len(), 1)?;
        for &slot in slots {
            self.check_range(slot)?;
            numbers.push(slot as u32);
        }
        Ok(Tensor::from_vec(numbers, slots.len(), &self.device)?)
    }

    /// Samples a token for every row of logits `[B, V]` (`[V]` for a batch of one), each by what its
    /// slot keeps, which moves on by that token.
    ///
    /// `slot_of_row` is `u32` `[B]`, made by [`slots`](Self::slots) or otherwise. `mask`, `u32` `[B, W]`
    /// with `W` = ⌈V / 32⌉ or fewer, says which tokens each row may emit, as
    /// [`TokenMask`](super::TokenMask) does; a row that may emit anything has all bits set. Both are on
    /// the device of the maps.
    ///
    /// # Errors
    ///
    /// Those of [`DeviceMap::reduce`](crate::DeviceMap::reduce) for logits that do not fit;
    /// [`ReduceError::RowsShape`], [`ReduceError::RowsDType`] and [`ReduceError::RowsDevice`] for the
    /// other tensors; [`SampleError::MaskShape`] for masks of no words; nothing has changed then.
    ///
    /// Of a row: those of [`sample_batch`](super::sample_batch); [`SampleError::SlotOutOfRange`],
    /// [`SampleError::SlotNotStarted`] and [`SampleError::SlotTwice`] for its slot;
    /// [`SampleError::SlotMapGone`] if the slot's map was removed.
    ///
    /// [`ReduceError::RowsShape`]: crate::reduce::ReduceError::RowsShape
    /// [`ReduceError::RowsDType`]: crate::reduce::ReduceError::RowsDType
    /// [`ReduceError::RowsDevice`]: crate::reduce::ReduceError::RowsDevice
    ///
    /// ```
    /// # use candle_core::{Device, DType, Tensor};
    /// # use concept_mass::sample::{BatchSampler, RowState, SampleError, SamplingParams};
    /// # use concept_mass::{ConceptMap, MapSet, reduce::NO_TOKEN};
    /// # let mut sampler = BatchSampler::new(MapSet::new(40, 9, &Device::Cpu)?, 8)?;
    /// sampler.start(3, SamplingParams::greedy(), None, RowState::default())?;
    /// let logits = Tensor::zeros((2, 40), DType::F32, &Device::Cpu)?;
    /// let only_6 = Tensor::new(&[[0b100_0000u32, 0], [0b100_0000, 0]], &Device::Cpu)?;
    /// let sampled = sampler.sample(&logits, &sampler.slots(&[3, 4])?, Some(&only_6))?;
    /// assert_eq!(sampled.tokens()?.to_vec1::<u32>()?, [6, NO_TOKEN]);
    /// let nobody = sampled.rows()?.remove(1);
    /// assert!(matches!(nobody, Err(SampleError::SlotNotStarted { slot: 4 })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sample(
        &mut self,
        logits: &Tensor,
        slot_of_row: &Tensor,
        mask: Option<&Tensor>,
    ) -> Result<SampledBatch, SampleError> {
        self.check_maps()?;
        let logits = &readable(logits, self.vocab_size)?;
        let logits = &Logits::check(logits, self.vocab_size, &self.device)?;
        let rows = Some(logits.rows());
        check_numbers(slot_of_row, "slot_of_row", &[rows], &self.device)?;
        if let Some(mask) = mask {
            check_numbers(mask, "the mask", &[rows, None], &self.device)?;
            check_words(mask)?;
        }
        let Self { maps, num_slots, slots, backend, .. } = self;
        let step = Step { maps, num_slots: *num_slots, slots, logits, slot_of_row, mask };
        Ok(SampledBatch(backend.sample(&step)?))
    }

    fn update(&mut self, slot: usize, request: Slot) -> Result<(), SampleError> {
        self.backend.update(slot, &request, &self.maps)?;
        self.slots[slot] = Some(request);
        Ok(())
    }

    /// The request in a slot.
    fn started(&self, slot: usize) -> Result<&Slot, SampleError> {
        self.check_range(slot)?;
        let request = self.slots.get(slot).and_then(Option::as_ref);
        request.ok_or(SampleError::SlotNotStarted { slot })
    }

    fn check_range(&self, slot: usize) -> Result<(), SampleError> {
        let slots = self.num_slots;
        if slot < slots { Ok(()) } else { Err(SampleError::SlotOutOfRange { slot, slots }) }
    }

    /// Fails if the maps are not those of the vocabulary and the device any more.
    fn check_maps(&self) -> Result<(), ReduceError> {
        let (expected, got) = (self.vocab_size, self.maps.vocab_size());
        if got != expected {
            return Err(ReduceError::MapSetVocabulary { expected, got });
        }
        if !self.maps.device().same_device(&self.device) {
            let (expected, got) = (self.device.location(), self.maps.device().location());
            return Err(ReduceError::RowsDevice { tensor: "the sampler's new set", expected, got });
        }
        Ok(())
    }
}

/// Fails for masks of no words.
fn check_words(mask: &Tensor) -> Result<(), SampleError> {
    match mask.dims().last() {
        Some(0) => Err(SampleError::MaskShape { words: 0, words_per_row: 0 }),
        _ => Ok(()),
    }
}
