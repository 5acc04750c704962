//! From a tensor to rows of logits: the checks that every operation begins with.

use std::ops::Deref;

use candle_core::{CpuStorage, DType, Device, Storage, Tensor};
use half::{bf16, f16};

use super::cpu::Logit;
use crate::reduce::ReduceError;

/// Logits that fit: rank 1 or 2, the right width, dtype and device, rows without gaps.
pub(crate) struct Logits {
    tensor: Tensor,
    /// `B`: the number of rows; 1 for rank 1.
    rows: usize,
}

/// Work on rows of whichever dtype the logits have.
pub(crate) trait OnRows {
    type Output;
    fn run<T: Logit>(self, rows: Rows<'_, T>) -> Self::Output;
}

impl Logits {
    /// Checks `logits` against a vocabulary of `vocab_size` tokens on `device`.
    ///
    /// Rows may lie anywhere in memory, in any distance from each other; only a row whose logits
    /// are not next to each other is copied.
    pub(crate) fn check(
        logits: &Tensor,
        vocab_size: usize,
        device: &Device,
    ) -> Result<Self, ReduceError> {
        let (rows, width) = match *logits.dims() {
            [width] => (1, width),
            [rows, width] => (rows, width),
            _ => return Err(ReduceError::LogitsRank { shape: logits.shape().clone() }),
        };
        if width != vocab_size {
            return Err(ReduceError::LogitsWidth { expected: vocab_size, got: width });
        }
        if !matches!(logits.dtype(), DType::F32 | DType::F16 | DType::BF16) {
            return Err(ReduceError::LogitsDType { got: logits.dtype() });
        }
        if !logits.device().same_device(device) {
            let (expected, got) = (device.location(), logits.device().location());
            return Err(ReduceError::LogitsDevice { expected, got });
        }
        let gapless = width == 1 || logits.stride().last() == Some(&1);
        let tensor = if gapless { logits.clone() } else { logits.contiguous()? };
        Ok(Self { tensor, rows })
    }

    /// `B`: the number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The shape of a result with `width` numbers a row, of the logits' own rank.
    pub(crate) fn shape_of(&self, width: usize) -> Vec<usize> {
        match self.tensor.rank() {
            1 => vec![width],
            _ => vec![self.rows, width],
        }
    }

    /// Runs `work` on the rows; the tensor must be on the CPU.
    pub(crate) fn on_cpu<W: OnRows>(&self, work: W) -> Result<W::Output, ReduceError> {
        let storage = self.storage();
        let Storage::Cpu(storage) = &*storage else {
            return Err(self.unsupported_device());
        };
        Ok(match storage {
            CpuStorage::F32(data) => work.run(Rows::<f32>::new(data, self)),
            CpuStorage::F16(data) => work.run(Rows::<f16>::new(data, self)),
            CpuStorage::BF16(data) => work.run(Rows::<bf16>::new(data, self)),
            _ => return Err(ReduceError::LogitsDType { got: self.tensor.dtype() }),
        })
    }

    pub(crate) fn unsupported_device(&self) -> ReduceError {
        ReduceError::UnsupportedDevice { device: self.tensor.device().location() }
    }

    /// What the logits lie in, among other things.
    pub(crate) fn storage(&self) -> impl Deref<Target = Storage> {
        self.tensor.storage_and_layout().0
    }

    /// How many logits of the storage lie before the first.
    pub(crate) fn start_offset(&self) -> usize {
        self.tensor.layout().start_offset()
    }

    /// The distance from row to row, in logits.
    pub(crate) fn row_stride(&self) -> usize {
        match *self.tensor.stride() {
            [stride, _] => stride,
            _ => self.width(),
        }
    }

    /// `V`.
    pub(crate) fn width(&self) -> usize {
        *self.tensor.dims().last().expect("logits have rank 1 or 2")
    }

    #[cfg(feature = "cuda")]
    pub(crate) fn dtype(&self) -> DType {
        self.tensor.dtype()
    }
}

/// `[B, V]` in memory: rows of equal width, at equal distances.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a, T> {
    data: &'a [T],
    len: usize,
    width: usize,
    stride: usize,
}

impl<'a, T> Rows<'a, T> {
    fn new(data: &'a [T], logits: &Logits) -> Self {
        // A view of no rows may begin beyond the end.
        let data = data.get(logits.start_offset()..).unwrap_or_default();
        Self { data, len: logits.rows, width: logits.width(), stride: logits.row_stride() }
    }

    #[cfg(test)]
    pub(crate) fn of_one(row: &'a [T]) -> Self {
        Self { data: row, len: 1, width: row.len(), stride: row.len() }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// `V`.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn get(&self, row: usize) -> &'a [T] {
        let start = row * self.stride;
        &self.data[start..start + self.width]
    }
}
