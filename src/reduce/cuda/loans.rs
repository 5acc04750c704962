//! What a launch borrows, and the addresses by which kernels know it.

use std::sync::Arc;

use cudarc::driver::{CudaStream, DevicePtrMut, SyncOnDrop};

use super::found::Found;
use super::gpu::Output;
use super::memory::Buffer;
use super::sections::Section;
use super::tables::{LargeTable, SetTable};
use super::workspace::Turn;
use crate::reduce::abi::{LargeSets, Sets};

/// Memory that is borrowed for a launch. (Where cudarc keeps account of several streams, borrowing
/// an output also waits for those who have used it, and tells those who will.)
pub(super) struct Loans<'a> {
    stream: &'a Arc<CudaStream>,
    turn: &'a Turn<'a>,
    tables: Option<&'a Buffer<u32>>,
    borrowed: Vec<SyncOnDrop<'a>>,
}

impl<'a> Loans<'a> {
    /// For a launch of `turn` that reads these `tables`, if any.
    pub(super) fn new(
        stream: &'a Arc<CudaStream>,
        turn: &'a Turn<'a>,
        tables: Option<&'a Buffer<u32>>,
    ) -> Self {
        if let Some(tables) = tables {
            turn.lend(tables.memory());
        }
        Self { stream, turn, tables, borrowed: Vec::new() }
    }

    /// A table that the kernel reads.
    pub(super) fn read(&self, table: Section) -> *const u32 {
        table.address(self.tables()) as *const u32
    }

    fn tables(&self) -> &'a Buffer<u32> {
        self.tables.expect("a launch that reads tables")
    }

    /// Memory that the kernel reads and writes.
    pub(super) fn update<T>(&mut self, memory: &'a mut Buffer<T>) -> *mut T {
        self.turn.lend(memory.memory());
        memory.address() as *mut T
    }

    /// Memory that the kernel writes.
    pub(super) fn write<T>(&mut self, memory: &'a mut Output<T>) -> *mut T {
        let (address, borrowed) = memory.device_ptr_mut(self.stream);
        self.borrowed.push(borrowed);
        address as *mut T
    }

    /// Where the kernel writes tokens, and where it writes rows.
    pub(super) fn found(&mut self, found: &'a mut Found) -> (*mut u32, *mut u32) {
        let rows_at = found.layout.rows_at();
        let tokens = self.write(&mut found.memory.output);
        (tokens, tokens.wrapping_add(rows_at))
    }

    pub(super) fn large(&self, large: &LargeTable) -> LargeSets {
        let [by_4, by_8, by_16, by_warp] = large.ends;
        LargeSets {
            ids: self.read(large.ids),
            members: self.read(large.members),
            huge_ends: self.read(large.huge_ends),
            by_4,
            by_8,
            by_16,
            by_warp,
            blocks: large.blocks,
        }
    }

    pub(super) fn sets(&self, sets: &SetTable) -> Sets {
        sets.view(self.tables())
    }
}
