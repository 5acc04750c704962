//! Tables that lie one after the other in one buffer, so that a map is one allocation and one copy.

use std::sync::Arc;

use cudarc::driver::sys::CUdeviceptr;

use super::gpu::Gpu;
use super::memory::Buffer;
use crate::reduce::ReduceError;

/// The words by which kernels read tables at most: 16 bytes.
const ALIGNED: usize = 4;

/// A table's place in its buffer.
#[derive(Clone, Copy)]
pub(super) struct Section {
    start: usize,
    len: usize,
}

impl Section {
    pub(super) fn len(self) -> usize {
        self.len
    }

    /// Its address in the buffer that was made of its [`Tables`].
    pub(super) fn address(self, buffer: &Buffer<u32>) -> CUdeviceptr {
        assert!(self.start + self.len <= buffer.len(), "a section of another buffer");
        buffer.address() + (self.start * size_of::<u32>()) as u64
    }
}

/// Tables that are to be uploaded together.
#[derive(Default)]
pub(super) struct Tables(Vec<u32>);

impl Tables {
    pub(super) fn push(&mut self, table: &[u32]) -> Section {
        let start = self.0.len().next_multiple_of(ALIGNED);
        self.0.resize(start, 0);
        self.0.extend_from_slice(table);
        Section { start, len: table.len() }
    }

    /// All of them.
    pub(super) fn words(&self) -> &[u32] {
        &self.0
    }

    /// Copies all of them to the device, where they are when this returns.
    pub(super) fn upload(self, gpu: &Arc<Gpu>) -> Result<Buffer<u32>, ReduceError> {
        let buffer = gpu.upload(&self.0)?;
        gpu.wait()?;
        Ok(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_begins_at_sixteen_bytes() {
        let mut tables = Tables::default();
        let places = [&[1u32, 2, 3][..], &[], &[4], &[5, 6, 7, 8], &[9]].map(|t| tables.push(t));
        let starts = places.map(|section| section.start);
        assert_eq!(starts, [0, 4, 4, 8, 12]);
        assert_eq!(places.map(Section::len), [3, 0, 1, 4, 1]);
        assert_eq!(tables.0, [1, 2, 3, 0, 4, 0, 0, 0, 5, 6, 7, 8, 9]);
    }
}
