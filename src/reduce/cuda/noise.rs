//! The seed and the steps of the noise, on the device, where a kernel moves the steps on.

use std::sync::Arc;

use candle_core::cuda_backend::CudaDevice;

use super::gpu::{Buffer, Gpu};
use crate::reduce::ReduceError;

/// The rows that there is room for at first.
const ROWS: usize = 255;

/// What kernels/noise.cuh reads: a seed, and how many tokens each row has drawn.
///
/// It grows with the batch, and what it has outgrown is kept, since a CUDA graph may have recorded
/// it. Each size is at least twice the one before, so that is not much.
pub(crate) struct NoiseState {
    gpu: Arc<Gpu>,
    /// `[1 + rows]`
    now: Buffer<u64>,
    outgrown: Vec<Buffer<u64>>,
}

impl NoiseState {
    pub(crate) fn new(seed: u64, steps: &[u64], device: &CudaDevice) -> Result<Self, ReduceError> {
        let gpu = Gpu::of(device)?;
        let mut state = vec![0; 1 + steps.len().max(ROWS)];
        state[0] = seed;
        state[1..=steps.len()].copy_from_slice(steps);
        let now = gpu.upload(&state)?;
        gpu.wait()?;
        Ok(Self { gpu, now, outgrown: Vec::new() })
    }

    /// The seed and the steps of at least so many rows.
    pub(super) fn of_rows(&mut self, rows: usize) -> Result<&mut Buffer<u64>, ReduceError> {
        if self.now.len() <= rows {
            if self.gpu.is_capturing() {
                return Err(ReduceError::CaptureBeforeUse);
            }
            let larger = self.gpu.enlarged(&self.now, (1 + rows).max(2 * self.now.len()))?;
            self.outgrown.push(std::mem::replace(&mut self.now, larger));
        }
        Ok(&mut self.now)
    }
}

impl Drop for NoiseState {
    fn drop(&mut self) {
        self.gpu.wait_for_all();
    }
}
