//! Logits that fit: the checks that every operation begins with.

use std::ops::Deref;

use candle_core::{DType, Device, DeviceLocation, Storage, Tensor};

use super::ReduceError;

/// Logits of a dtype that maps read, if there is one for them: those of any other floating point
/// are converted, as candle's own sampler does it.
pub(crate) fn readable(logits: &Tensor, vocab_size: usize) -> Result<Tensor, ReduceError> {
    if is_read(logits.dtype()) || !logits.dtype().is_float() {
        return Ok(logits.clone());
    }
    let (rows, width) = Logits::check_shape(logits, vocab_size)?;
    Logits::check_room(rows, width, logits.device())?;
    Ok(logits.to_dtype(DType::F32)?)
}

/// Whether maps read logits of this dtype.
fn is_read(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F16 | DType::BF16)
}

/// Logits that fit: rank 1 or 2, the right width, dtype and device, rows without gaps.
pub(crate) struct Logits {
    tensor: Tensor,
    /// `B`: the number of rows; 1 for rank 1.
    rows: usize,
    /// `V`.
    width: usize,
}

/// A view in the host's memory; it alone is copied there, not all that it is a view of.
pub(crate) fn view_on_host(view: &Tensor) -> candle_core::Result<Tensor> {
    if view.device().is_cpu() {
        return Ok(view.clone());
    }
    view.force_contiguous()?.to_device(&Device::Cpu)
}

/// An empty vector with room for so many rows.
pub(crate) fn room<T>(rows: usize, width: usize) -> Result<Vec<T>, ReduceError> {
    let mut values = Vec::new();
    let has_room = rows.checked_mul(width).map(|len| values.try_reserve_exact(len));
    match has_room {
        Some(Ok(())) => Ok(values),
        _ => Err(ReduceError::TooLarge { rows, width }),
    }
}

/// So many rows of zeros.
pub(crate) fn zeros(rows: usize, width: usize) -> Result<Vec<f32>, ReduceError> {
    let mut values = room(rows, width)?;
    values.resize(rows * width, 0.0);
    Ok(values)
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
        let (rows, width) = Self::check_shape(logits, vocab_size)?;
        if !is_read(logits.dtype()) {
            return Err(ReduceError::LogitsDType { got: logits.dtype() });
        }
        Self::check_device(logits, device)?;
        let gapless = width == 1 || logits.stride().last() == Some(&1);
        let tensor = if gapless {
            logits.clone()
        } else {
            Self::check_room(rows, width, logits.device())?;
            logits.contiguous()?
        };
        Ok(Self { tensor, rows, width })
    }

    /// Fails for logits that are not at `device`.
    pub(crate) fn check_device(logits: &Tensor, device: &Device) -> Result<(), ReduceError> {
        if logits.device().same_device(device) {
            return Ok(());
        }
        let (expected, got) = (device.location(), logits.device().location());
        Err(ReduceError::LogitsDevice { expected, got })
    }

    /// `[B, V]`, or `[1, V]` for rank 1, if `V` is `vocab_size` and `B` is not beyond all bounds.
    pub(crate) fn check_shape(
        logits: &Tensor,
        vocab_size: usize,
    ) -> Result<(usize, usize), ReduceError> {
        let (rows, width) = match *logits.dims() {
            [width] => (1, width),
            [rows, width] => (rows, width),
            _ => return Err(ReduceError::LogitsRank { shape: logits.shape().clone() }),
        };
        if width != vocab_size {
            return Err(ReduceError::LogitsWidth { expected: vocab_size, got: width });
        }
        if u32::try_from(rows).is_err() {
            return Err(ReduceError::TooLarge { rows, width });
        }
        Ok((rows, width))
    }

    /// Fails if a copy of all rows, in `f32` or less, would not fit into the host's memory, where
    /// candle would abort the process. (Elsewhere candle itself fails.)
    pub(crate) fn check_room(
        rows: usize,
        width: usize,
        device: &Device,
    ) -> Result<(), ReduceError> {
        if device.is_cpu() {
            room::<f32>(rows, width)?;
        }
        Ok(())
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
        Ok(Self { tensor: view_on_host(&self.tensor)?, ..*self })
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
