//! Logits in the host's memory, as rows of whichever dtype they have.

use candle_core::{CpuStorage, DeviceLocation, Storage};
use half::{bf16, f16};
use rayon::prelude::*;

use super::logit::Logit;
use super::simd::{Isa, WithIsa, with_best_isa};
use crate::reduce::ReduceError;
use crate::reduce::logits::Logits;

/// The least number of logits to share among threads. To wake them and wait for them takes some
/// 30 µs, time in which one thread streams through a hundred thousand logits.
const WORTH_A_FORK: usize = 1 << 19;

/// An operation on all rows of a batch, for every dtype and every instruction set.
pub(super) trait Operation {
    type Output;
    fn run<I: Isa, T: Logit>(self, isa: I, rows: Rows<'_, T>) -> Self::Output;
}

/// Runs `operation` on logits in the host's memory, with the processor's best instruction set.
pub(super) fn run<O: Operation>(operation: O, logits: &Logits) -> Result<O::Output, ReduceError> {
    let storage = logits.storage();
    let Storage::Cpu(storage) = &*storage else {
        return Err(logits.not_at(DeviceLocation::Cpu));
    };
    Ok(match storage {
        CpuStorage::F32(data) => with_best_isa(OnRows::<_, f32>::new(operation, data, logits)),
        CpuStorage::F16(data) => with_best_isa(OnRows::<_, f16>::new(operation, data, logits)),
        CpuStorage::BF16(data) => with_best_isa(OnRows::<_, bf16>::new(operation, data, logits)),
        _ => return Err(ReduceError::LogitsDType { got: logits.dtype() }),
    })
}

/// An operation and the rows to run it on.
#[derive(Clone, Copy)]
pub(super) struct OnRows<'a, O, T> {
    operation: O,
    rows: Rows<'a, T>,
}

impl<'a, O, T> OnRows<'a, O, T> {
    fn new(operation: O, data: &'a [T], logits: &Logits) -> Self {
        // A view of no rows may begin beyond the end.
        let data = data.get(logits.start_offset()..).unwrap_or_default();
        let (len, width, stride) = (logits.rows(), logits.width(), logits.row_stride());
        Self { operation, rows: Rows { data, len, width, stride } }
    }

    #[cfg(test)]
    pub(super) fn of_one(operation: O, row: &'a [T]) -> Self {
        let width = row.len();
        Self { operation, rows: Rows { data: row, len: 1, width, stride: width } }
    }
}

impl<O: Operation, T: Logit> WithIsa for OnRows<'_, O, T> {
    type Output = O::Output;

    fn run<I: Isa>(self, isa: I) -> O::Output {
        self.operation.run(isa, self.rows)
    }
}

/// `[B, V]` in memory: rows of equal width, at equal distances.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, T> {
    data: &'a [T],
    len: usize,
    width: usize,
    stride: usize,
}

impl<'a, T: Logit> Rows<'a, T> {
    /// `B`.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, row: usize) -> &'a [T] {
        let start = row * self.stride;
        &self.data[start..start + self.width]
    }

    /// Whether it pays to share the rows among threads.
    pub(super) fn are_worth_a_fork(&self) -> bool {
        self.len.saturating_mul(self.width) >= WORTH_A_FORK
    }

    /// Whether it pays to share a single row among threads.
    pub(super) fn is_each_worth_a_fork(&self) -> bool {
        self.width >= WORTH_A_FORK
    }

    /// Does `each` for every row and its element of `work`, on several threads if the rows are
    /// worth it.
    pub(super) fn for_each<W: Send>(
        &self,
        work: impl Iterator<Item = W>,
        each: impl Fn(&[T], W) + Sync + Send,
    ) {
        if self.are_worth_a_fork() {
            let work: Vec<W> = work.collect();
            work.into_par_iter().enumerate().for_each(|(i, work)| each(self.get(i), work));
        } else {
            work.enumerate().for_each(|(i, work)| each(self.get(i), work));
        }
    }
}
