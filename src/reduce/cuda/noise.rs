//! The seed and the steps of the noise, on the device, where a kernel moves the steps on.

use std::sync::Arc;

use candle_core::cuda_backend::CudaDevice;
use cudarc::driver::sys::CUstream;
use cudarc::driver::{DriverError, result};

use super::gpu::Gpu;
use super::memory::{Buffer, Used};
use super::workspace::Turn;
use crate::reduce::ReduceError;

/// The rows that there is room for at first.
const ROWS: usize = 255;

/// What kernels/draw.cu reads: a seed, and how many tokens each row has drawn.
///
/// It grows with the batch. A CUDA graph that has captured what it has outgrown keeps that.
pub(crate) struct NoiseState {
    gpu: Arc<Gpu>,
    /// `[1 + rows]`
    now: Buffer<u64>,
    /// After the last operation that was not captured.
    used: Option<Arc<Used>>,
}

impl NoiseState {
    pub(crate) fn new(seed: u64, steps: &[u64], device: &CudaDevice) -> Result<Self, ReduceError> {
        let gpu = Gpu::of(device)?;
        let mut state = vec![0; 1 + steps.len().max(ROWS)];
        state[0] = seed;
        state[1..=steps.len()].copy_from_slice(steps);
        let now = gpu.upload(&state)?;
        gpu.wait()?;
        Ok(Self { gpu, now, used: None })
    }

    /// The seed and the steps of at least so many rows, for an operation.
    pub(super) fn of_rows(
        &mut self,
        turn: &Turn<'_>,
        rows: usize,
    ) -> Result<&mut Buffer<u64>, ReduceError> {
        if let Some(used) = &self.used {
            let followed = self.gpu.follow(used, turn.capture());
            turn.try_to("wait for another thread's stream", followed)?;
        }
        if self.now.len() <= rows {
            let len = (1 + rows).max(2 * self.now.len());
            let larger = turn.try_to("enlarge the noise", self.enlarged(turn, len))?;
            self.now = larger;
        }
        if turn.capture().is_none() {
            self.used = Some(turn.used().clone());
        }
        Ok(&mut self.now)
    }

    /// A copy in a larger buffer, the rest of it zeros.
    fn enlarged(&self, turn: &Turn<'_>, len: usize) -> Result<Buffer<u64>, DriverError> {
        let aside = &self.gpu.aside;
        if turn.capture().is_none() {
            let larger = self.copied(len, self.gpu.stream.cu_stream())?;
            for buffer in [&self.now, &larger] {
                buffer.memory().used_by(turn.used());
            }
            turn.used().record(&self.gpu.stream)?;
            return Ok(larger);
        }
        // Each replay begins where the one before has ended, and not with this copy.
        if let Some(used) = &self.used {
            used.wait()?;
        }
        let larger = self.copied(len, aside.stream())?;
        aside.wait()?;
        Ok(larger)
    }

    fn copied(&self, len: usize, stream: CUstream) -> Result<Buffer<u64>, DriverError> {
        let larger = Buffer::new(&self.gpu.aside, len, stream)?;
        // SAFETY: both buffers are alive until the stream has come here, the larger one is
        // as long as it says, and the copy fits into it.
        unsafe {
            result::memset_d8_async(larger.address(), 0, larger.bytes(), stream)?;
            let (to, from) = (larger.address(), self.now.address());
            result::memcpy_dtod_async(to, from, self.now.bytes(), stream)?;
        }
        Ok(larger)
    }
}
