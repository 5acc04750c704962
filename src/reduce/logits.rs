//! Logits that fit: the checks that every operation begins with.

use std::ops::Deref;

use candle_core::{DType, Device, DeviceLocation, Storage, Tensor};

use super::ReduceError;

/// Logits that fit: rank 1 or 2, the right width, dtype and device, rows without gaps.
pub(crate) struct Logits {
    tensor: Tensor,
    /// `B`: the number of rows; 1 for rank 1.
    rows: usize,
    /// `V`.
    width: usize,
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
        Ok(Self { tensor, rows, width })
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

    /// A result with `width` numbers a row, as a tensor on the logits' device.
    pub(crate) fn result(&self, numbers: Vec<f32>, width: usize) -> Result<Tensor, ReduceError> {
        Ok(Tensor::from_vec(numbers, self.shape_of(width), self.device())?)
    }

    /// The same logits in the host's memory; copied unless they are there.
    pub(crate) fn on_host(&self) -> Result<Self, ReduceError> {
        Ok(Self { tensor: self.tensor.to_device(&Device::Cpu)?, ..*self })
    }

    /// Where the logits are.
    pub(crate) fn device(&self) -> &Device {
        self.tensor.device()
    }

    /// The error of logits that are not at `expected`.
    pub(crate) fn not_at(&self, expected: DeviceLocation) -> ReduceError {
        ReduceError::LogitsDevice { expected, got: self.device().location() }
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
        self.width
    }

    pub(crate) fn dtype(&self) -> DType {
        self.tensor.dtype()
    }
}
