//! The seed and the offset of the noise, on the device, where a kernel moves the offset on.

use std::sync::Arc;

use candle_core::cuda_backend::CudaDevice;

use super::gpu::{Buffer, Gpu};
use crate::reduce::ReduceError;

/// What kernels/noise.cuh reads: a seed, and how many draws there were.
pub(crate) struct NoiseState {
    gpu: Arc<Gpu>,
    state: Buffer<u64>,
}

impl NoiseState {
    pub(crate) fn new(seed: u64, draws: u64, device: &CudaDevice) -> Result<Self, ReduceError> {
        let gpu = Gpu::of(device)?;
        let state = gpu.upload(&[seed, draws])?;
        gpu.wait()?;
        Ok(Self { gpu, state })
    }

    pub(super) fn state(&mut self) -> &mut Buffer<u64> {
        &mut self.state
    }
}

impl Drop for NoiseState {
    fn drop(&mut self) {
        self.gpu.wait_for_all();
    }
}
