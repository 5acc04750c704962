//! What every kernel is given; the Rust side of kernels/params.cuh.

use std::mem::offset_of;

use cudarc::driver::DeviceRepr;

/// An address on the device; 0 for what a kernel does not use.
pub(super) type Address = u64;

/// `struct Sets`: sets of tokens in CSR form, the largest first.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Sets {
    pub(super) starts: Address,
    pub(super) members: Address,
    pub(super) ids: Address,
    pub(super) by_block: u32,
    pub(super) by_warp: u32,
    pub(super) by_thread: u32,
    pub(super) largest: u32,
}

/// `struct Params`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Params {
    pub(super) logits: Address,
    pub(super) row_stride: u64,
    pub(super) sets: Sets,
    pub(super) concept_of: Address,
    pub(super) rank_of: Address,
    pub(super) rows: Address,
    pub(super) tokens: Address,
    pub(super) out: Address,
    pub(super) concentrations: Address,
    pub(super) partials: Address,
    pub(super) totals: Address,
    pub(super) tickets: Address,
    pub(super) noise: Address,
    pub(super) batch: u32,
    pub(super) vocab_size: u32,
    pub(super) width: u32,
    pub(super) inverse_temperature: f32,
}

// kernels/params.cuh asserts the same.
const _: () = {
    assert!(size_of::<Sets>() == 40);
    assert!(offset_of!(Params, concept_of) == 56);
    assert!(offset_of!(Params, noise) == 128);
    assert!(offset_of!(Params, batch) == 136);
    assert!(size_of::<Params>() == 152);
};

// SAFETY: it is `repr(C)`, without padding, and holds numbers only; the kernels take it by value.
unsafe impl DeviceRepr for Params {}
