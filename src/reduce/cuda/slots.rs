//! The requests of a batch server, one in each slot: what they ask for and what they remember, on the
//! device, where a step reads it and moves it on.
//!
//! Each change of a slot is an operation of the stream, as in `maps.rs`.

use std::sync::Arc;

use candle_core::DType;
use candle_core::cuda_backend::CudaDevice;
use cudarc::driver::{DeviceRepr, result};

use super::capture;
use super::gpu::Gpu;
use super::memory::{Allocation, Buffer};
use super::sections::Tables;
use super::sparse::{EMPTY, Sparse, SparseToken};
use super::workspace::{Lane, Turn};
use crate::reduce::ReduceError;
use crate::reduce::abi::{
    NONE, SLOT_BIASED, SLOT_BY_SHARE, SLOT_MIN_P, SLOT_OF_MASSES, SLOT_PENALISED, SLOT_POOLING,
    SLOT_STARTED, SLOT_TOP_K, SLOT_TOP_P, SLOT_TOTAL, SeeArgs, SlotParams, SparseTable, THREADS,
    TILE,
};
use crate::reduce::requests::{SlotRequest, SlotState};

// SAFETY: it holds numbers and addresses only, and nvcc has checked that it lays them out as rustc does.
unsafe impl DeviceRepr for SlotParams {}

/// The slots of a server.
pub(crate) struct DeviceSlots {
    pub(super) gpu: Arc<Gpu>,
    pub(super) vocab_size: usize,
    /// `[slots]`. It has been used by whatever has used the others.
    pub(super) params: Buffer<SlotParams>,
    pub(super) steps: Buffer<u64>,
    pub(super) seen: Buffer<u32>,
    pub(super) counts: Buffer<u32>,
    /// The memory of each slot's bias.
    bias: Vec<Option<Arc<Allocation>>>,
}

impl SlotRequest<'_> {
    pub(super) fn params(&self, bias: SparseTable) -> SlotParams {
        let is_greedy = self.temperature == 0.0;
        let top_k = if is_greedy { Some(1) } else { self.top_k };
        // To leave as many concepts as there are is to leave all.
        let top_k = top_k.filter(|&k| k < self.num_concepts);
        let has_top_p = self.top_p < 1.0 && !is_greedy;
        let has_min_p = self.min_p > 0.0 && !is_greedy;
        let is_filtered = top_k.is_some() || has_top_p || has_min_p;
        let needs_total = if has_top_p { top_k.is_none() } else { !is_filtered };
        let has_penalties = (self.repetition, self.presence, self.frequency) != (1.0, 0.0, 0.0);
        let flags = [
            (true, SLOT_STARTED),
            (self.by_share, SLOT_BY_SHARE),
            (has_penalties, SLOT_PENALISED),
            (!bias.tiles.is_null(), SLOT_BIASED),
            (self.pooling, SLOT_POOLING),
            (top_k.is_some(), SLOT_TOP_K),
            (has_top_p, SLOT_TOP_P),
            (has_min_p, SLOT_MIN_P),
            (needs_total, SLOT_TOTAL),
            (needs_total && !is_greedy && self.temperature != 1.0, SLOT_OF_MASSES),
        ];
        let (map, generation) = self.map.unwrap_or((NONE, 0));
        // Beyond these bounds every weight is 0 or 1 in f32.
        let root = (1.0 / self.temperature).sqrt().clamp(1e-37, 1e37) as f32;
        SlotParams {
            seed: self.seed,
            generation,
            top_p: self.top_p,
            bias,
            map,
            flags: flags.into_iter().filter(|&(is_set, _)| is_set).map(|(_, flag)| flag).sum(),
            top_k: top_k.unwrap_or_default() as u32,
            min_key: (self.temperature * self.min_p.log2()) as f32,
            root: if is_greedy { 1.0 } else { root },
            repetition: self.repetition,
            presence: self.presence,
            frequency: self.frequency,
        }
    }
}

impl DeviceSlots {
    pub(crate) fn new(
        slots: usize,
        vocab_size: usize,
        device: &CudaDevice,
    ) -> Result<Self, ReduceError> {
        let gpu = Gpu::of(device)?;
        let lane = Lane::of(&gpu)?;
        let turn = Turn::new(&gpu, &lane)?;
        turn.refuse_capture("make slots")?;
        let stream = gpu.stream.cu_stream();
        let made = lane.buffer(slots, stream).and_then(|params| {
            let seen = slots * words_of(vocab_size);
            let (steps, seen) = (lane.buffer(slots, stream)?, lane.buffer(seen, stream)?);
            Ok((params, steps, seen, lane.buffer(slots * vocab_size, stream)?))
        });
        let (params, steps, seen, counts) = turn.try_to("allocate memory", made)?;
        let params: Buffer<SlotParams> = params;
        turn.clear(params.address(), params.bytes())?;
        drop(turn);
        Ok(Self { gpu, vocab_size, params, steps, seen, counts, bias: vec![None; slots] })
    }

    /// Puts a request into a slot; nothing of another is left.
    pub(crate) fn start(
        &mut self,
        slot: usize,
        request: &SlotRequest<'_>,
        state: &SlotState,
    ) -> Result<(), ReduceError> {
        let lane = Lane::of(&self.gpu)?;
        let turn = self.turn(&lane, "start a request")?;
        // What may fail comes first.
        let seen = Seen::upload(&turn, &state.seen, self.vocab_size)?;
        let (params, bias) = self.params(&turn, request)?;
        self.restore_in(&turn, slot, state.step, &seen)?;
        self.write(&turn, slot, params)?;
        drop(turn);
        self.replace_bias(slot, bias);
        Ok(())
    }

    /// Lets a request remember something else.
    pub(crate) fn restore(&mut self, slot: usize, state: &SlotState) -> Result<(), ReduceError> {
        let lane = Lane::of(&self.gpu)?;
        let turn = self.turn(&lane, "restore a request")?;
        let seen = Seen::upload(&turn, &state.seen, self.vocab_size)?;
        self.restore_in(&turn, slot, state.step, &seen)
    }

    /// Changes what the request in a slot asks for.
    pub(crate) fn update(
        &mut self,
        slot: usize,
        request: &SlotRequest<'_>,
    ) -> Result<(), ReduceError> {
        let lane = Lane::of(&self.gpu)?;
        let turn = self.turn(&lane, "change a request")?;
        let (params, bias) = self.params(&turn, request)?;
        self.write(&turn, slot, params)?;
        drop(turn);
        self.replace_bias(slot, bias);
        Ok(())
    }

    /// Counts tokens, each of which is listed once, as seen.
    pub(crate) fn see(&mut self, slot: usize, seen: &[(u32, u32)]) -> Result<(), ReduceError> {
        let lane = Lane::of(&self.gpu)?;
        let turn = self.turn(&lane, "count tokens of the host's")?;
        let seen = Seen::upload(&turn, seen, self.vocab_size)?;
        self.see_in(&turn, slot, &seen)
    }

    /// Leaves a slot empty.
    pub(crate) fn end(&mut self, slot: usize) -> Result<(), ReduceError> {
        let lane = Lane::of(&self.gpu)?;
        let turn = self.turn(&lane, "end a request")?;
        let size = size_of::<SlotParams>();
        turn.clear(self.params.address() + (slot * size) as u64, size)?;
        drop(turn);
        self.replace_bias(slot, None);
        Ok(())
    }

    /// Fails if the stream is captured, where the host cannot do a part of the work.
    pub(crate) fn check_host_may_help(&self) -> Result<(), ReduceError> {
        self.gpu.refuse_capture("sample with log-probabilities, or verify drafts")
    }

    /// What the request in a slot remembers, copied to the host, which waits for it.
    pub(crate) fn state(&self, slot: usize) -> Result<SlotState, ReduceError> {
        let lane = Lane::of(&self.gpu)?;
        let turn = self.turn(&lane, "be asked for a request's state")?;
        let words = words_of(self.vocab_size);
        let (mut step, mut seen) = ([0u64], vec![0u32; words]);
        let mut counts = vec![0u32; self.vocab_size];
        let stream = self.gpu.stream.cu_stream();
        // SAFETY: each buffer is as large for every slot, and all is copied before the host's memory is
        // read.
        let copied = unsafe {
            result::memcpy_dtoh_async(&mut step, self.steps.address() + slot as u64 * 8, stream)
                .and_then(|()| {
                    let at = self.seen.address() + (slot * words * 4) as u64;
                    result::memcpy_dtoh_async(&mut seen, at, stream)
                })
                .and_then(|()| {
                    let at = self.counts.address() + (slot * self.vocab_size * 4) as u64;
                    result::memcpy_dtoh_async(&mut counts, at, stream)
                })
                .and_then(|()| capture::relaxed(|| result::stream::synchronize(stream)))
        };
        turn.try_to("copy from the device", copied)?;
        let is_seen = |&(token, _): &(u32, u32)| seen[token as usize / 32] >> (token % 32) & 1 != 0;
        Ok(SlotState { step: step[0], seen: (0..).zip(counts).filter(is_seen).collect() })
    }

    /// An operation on the slots.
    fn turn<'a>(
        &'a self,
        lane: &'a Arc<Lane>,
        action: &'static str,
    ) -> Result<Turn<'a>, ReduceError> {
        let turn = Turn::new(&self.gpu, lane)?;
        turn.refuse_capture(action)?;
        self.lend(&turn)?;
        Ok(turn)
    }

    /// Says that an operation uses the slots.
    pub(super) fn lend(&self, turn: &Turn<'_>) -> Result<(), ReduceError> {
        turn.follow_users(self.params.memory())?;
        for memory in [self.steps.memory(), self.seen.memory(), self.counts.memory()] {
            turn.lend(memory);
        }
        Ok(())
    }

    /// The slot's bias has other memory. That which it had before is freed after all that was given to
    /// the device.
    fn replace_bias(&mut self, slot: usize, bias: Option<Arc<Allocation>>) {
        let params = self.params.memory();
        if let Some(bias) = &bias {
            params.hold(bias);
        }
        if let Some(before) = std::mem::replace(&mut self.bias[slot], bias) {
            params.release(&before);
        }
    }

    fn restore_in(
        &self,
        turn: &Turn<'_>,
        slot: usize,
        step: u64,
        seen: &Seen,
    ) -> Result<(), ReduceError> {
        let words = words_of(self.vocab_size);
        turn.clear(self.seen.address() + (slot * words * 4) as u64, words * 4)?;
        turn.write(self.steps.address() + slot as u64 * 8, &[step])?;
        self.see_in(turn, slot, seen)
    }

    /// Counts tokens, which were uploaded in the same turn.
    fn see_in(&self, turn: &Turn<'_>, slot: usize, seen: &Seen) -> Result<(), ReduceError> {
        if seen.len == 0 {
            return Ok(());
        }
        let words = words_of(self.vocab_size);
        let arguments = SeeArgs {
            tokens: seen.tokens.address() as *const u32,
            times: seen.times.address() as *const u32,
            len: seen.len,
            unused: 0,
            seen: (self.seen.address() + (slot * words * 4) as u64) as *mut u32,
            counts: (self.counts.address() + (slot * self.vocab_size * 4) as u64) as *mut u32,
        };
        let blocks = arguments.len.div_ceil(THREADS);
        // SAFETY: both lists are as long, and alive until the turn is over; their tokens are below the
        // vocabulary's size; and the slot has as many bits and counts.
        unsafe { turn.launch(arguments, DType::F32, (blocks, 1, 1)) }
    }

    /// What a request asks for, in the kernels' form, and the memory of its bias.
    fn params(
        &self,
        turn: &Turn<'_>,
        request: &SlotRequest<'_>,
    ) -> Result<(SlotParams, Option<Arc<Allocation>>), ReduceError> {
        if request.bias.is_empty() {
            return Ok((request.params(EMPTY), None));
        }
        let token = |&(token, bias): &(u32, f32)| SparseToken {
            token,
            value: bias.to_bits(),
            is_marked: false,
        };
        let tokens: Vec<SparseToken> = request.bias.iter().map(token).collect();
        let mut tables = Tables::default();
        let sparse = Sparse::new(&mut tables, self.vocab_size, &tokens);
        let buffer = turn.upload(tables.words())?;
        Ok((request.params(sparse.view(&buffer)), Some(buffer.memory().clone())))
    }

    /// Writes what a request asks for.
    fn write(&self, turn: &Turn<'_>, slot: usize, params: SlotParams) -> Result<(), ReduceError> {
        turn.write(self.params.address() + (slot * size_of::<SlotParams>()) as u64, &[params])
    }
}

/// Tokens and how often each was seen, on the device.
struct Seen {
    tokens: Buffer<u32>,
    times: Buffer<u32>,
    len: u32,
}

impl Seen {
    fn upload(
        turn: &Turn<'_>,
        seen: &[(u32, u32)],
        vocab_size: usize,
    ) -> Result<Self, ReduceError> {
        assert!(seen.iter().all(|&(token, _)| (token as usize) < vocab_size));
        let (tokens, times): (Vec<u32>, Vec<u32>) = seen.iter().copied().unzip();
        let (tokens, times) = (turn.upload(&tokens)?, turn.upload(&times)?);
        Ok(Self { tokens, times, len: seen.len() as u32 })
    }
}

/// The words of the bits of all tokens, up to a whole number of tiles.
pub(super) fn words_of(vocab_size: usize) -> usize {
    vocab_size.next_multiple_of(TILE as usize) / 32
}
