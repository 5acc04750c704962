//! Requests that a device remembers, in the form in which a device with kernels is told of them, and what it
//! says of their rows.

use super::BadRowReason;

/// What a request asks for. All of it has been checked.
#[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "only devices with kernels read it"))]
pub(crate) struct SlotRequest<'a> {
    /// The place and the generation of its map, if it has one, and whether that applies.
    pub(crate) map: Option<(u32, u64)>,
    pub(crate) pooling: bool,
    /// Of what applies.
    pub(crate) num_concepts: usize,
    /// 0 for the likeliest concept.
    pub(crate) temperature: f64,
    pub(crate) top_k: Option<usize>,
    pub(crate) top_p: f64,
    pub(crate) min_p: f64,
    pub(crate) repetition: f32,
    pub(crate) presence: f32,
    pub(crate) frequency: f32,
    /// By token, each once.
    pub(crate) bias: &'a [(u32, f32)],
    pub(crate) by_share: bool,
    pub(crate) seed: u64,
}

/// What a request remembers: how many tokens it has drawn, and which it has seen how often, each once.
pub(crate) struct SlotState {
    pub(crate) step: u64,
    pub(crate) seen: Vec<(u32, u32)>,
}

#[cfg(feature = "cuda")]
impl SlotRequest<'static> {
    /// A draw from all concepts, without any past.
    pub(crate) fn at(temperature: f64) -> Self {
        Self {
            map: None,
            pooling: true,
            num_concepts: usize::MAX,
            temperature,
            top_k: None,
            top_p: 1.0,
            min_p: 0.0,
            repetition: 1.0,
            presence: 0.0,
            frequency: 0.0,
            bias: &[],
            by_share: false,
            seed: 0,
        }
    }
}

/// What was sampled from a row of a slot, or why nothing was.
pub(crate) type SlotRow = (u32, Result<SampledRow, UnsampledRow>);

/// What was sampled from a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SampledRow {
    pub(crate) token: u32,
    pub(crate) concept: u32,
}

/// Why nothing was sampled from a row.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "only devices with kernels say it"))]
pub(crate) enum UnsampledRow {
    Bad(BadRowReason),
    NothingAllowed,
    NoMap,
    NoSlot,
    SlotTwice,
}
