//! A CUDA device as the reduction uses it: memory, and the launch of kernels.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, Weak};

use candle_core::cuda_backend::{CudaDType, CudaDevice, DeviceId, WrapErr};
use candle_core::{CudaStorage, DType, Device, Storage, Tensor};
use cudarc::driver::{CudaFunction, CudaSlice, CudaStream, DeviceRepr, DriverError, result};

use super::capture::Capture;
use super::kernels::Kernels;
use super::memory::{Aside, Buffer, Used, bind, lock};
use super::workspace::Lane;
use crate::reduce::ReduceError;
use crate::reduce::abi::Kernel;

/// Memory of a result, which will be a tensor's.
pub(super) type Output<T> = CudaSlice<T>;

/// A device and its kernels; one for each candle device, as long as something uses it.
pub(crate) struct Gpu {
    pub(super) device: CudaDevice,
    /// All that is launched here is launched on it.
    pub(super) stream: Arc<CudaStream>,
    kernels: &'static Kernels,
    /// What is done beside it.
    pub(super) aside: Arc<Aside>,
    /// The stream's, unless each thread has one.
    pub(super) lane: Mutex<Option<Arc<Lane>>>,
}

impl Gpu {
    /// That of `device`, whose GPU must be new enough.
    pub(super) fn of(device: &CudaDevice) -> Result<Arc<Self>, ReduceError> {
        static GPUS: LazyLock<Mutex<HashMap<DeviceId, Weak<Gpu>>>> = LazyLock::new(Mutex::default);
        let mut gpus = lock(&GPUS);
        if let Some(gpu) = gpus.get(&device.id()).and_then(Weak::upgrade) {
            return Ok(gpu);
        }
        gpus.retain(|_, gpu| gpu.strong_count() > 0);
        let gpu = Arc::new(Self::open(device)?);
        gpus.insert(device.id(), Arc::downgrade(&gpu));
        Ok(gpu)
    }

    fn open(device: &CudaDevice) -> Result<Self, ReduceError> {
        let kernels = Kernels::of(device)?;
        let stream = device.cuda_stream();
        let aside = Aside::new(stream.context()).w();
        let aside = aside.map_err(|e| failed(device, "make a stream", e))?;
        let (device, aside) = (device.clone(), Arc::new(aside));
        Ok(Self { device, stream, kernels, aside, lane: Mutex::default() })
    }

    /// Whether the stream is CUDA's per-thread default stream: a different one in each thread.
    pub(super) fn has_streams_of_threads(&self) -> bool {
        const PER_THREAD: usize = 2;
        self.stream.cu_stream() as usize == PER_THREAD
    }

    /// The kernel for logits of `dtype`, which must be one that is reduced.
    pub(super) fn function(
        &self,
        kernel: Kernel,
        dtype: DType,
    ) -> Result<&CudaFunction, ReduceError> {
        self.kernels.function(&self.device, kernel, dtype)
    }

    pub(super) fn try_to<T>(
        &self,
        action: &'static str,
        result: Result<T, DriverError>,
    ) -> Result<T, ReduceError> {
        result.w().map_err(|e| failed(&self.device, action, e))
    }

    /// Copies to the device; not sure to be there before [`wait`](Self::wait).
    pub(super) fn upload<T: DeviceRepr>(&self, data: &[T]) -> Result<Buffer<T>, ReduceError> {
        let copied = bind(self.stream.context()).and_then(|()| {
            let buffer = Buffer::new(&self.aside, data.len(), self.aside.stream())?;
            if !data.is_empty() {
                // SAFETY: the buffer is as long as the data, which is pageable memory: the driver
                // has read it when the call returns.
                unsafe {
                    let stream = self.aside.stream();
                    result::memcpy_htod_async(buffer.address(), data, stream)?;
                }
            }
            Ok(buffer)
        });
        self.try_to("copy to the device", copied)
    }

    /// Waits until all that was uploaded is there, for every stream.
    pub(super) fn wait(&self) -> Result<(), ReduceError> {
        self.try_to("wait for the device", self.aside.wait())
    }

    /// Memory for `len` values, or one if that is none, that hold anything.
    pub(super) fn alloc<T: DeviceRepr>(&self, len: usize) -> Result<Output<T>, ReduceError> {
        // SAFETY: the values are unset. Whoever asks has them written, by a kernel that writes all of
        // them, before anything reads them in the order of the stream.
        let memory = unsafe { self.stream.alloc(len.max(1)) };
        self.try_to("allocate memory", memory)
    }

    /// The capture of the stream, if it is captured; this device is then that of the thread's next
    /// calls.
    pub(super) fn capture(&self) -> Result<Option<Capture>, DriverError> {
        bind(self.stream.context())?;
        Capture::of(self.stream.cu_stream())
    }

    /// Fails if the stream is captured, where something else is done than a launch of a graph could
    /// repeat.
    pub(super) fn refuse_capture(&self, action: &'static str) -> Result<(), ReduceError> {
        let capture = self.try_to("ask whether it is captured", self.capture())?;
        self.refuse(capture, action)
    }

    /// Fails if there is a capture.
    pub(super) fn refuse(
        &self,
        capture: Option<Capture>,
        action: &'static str,
    ) -> Result<(), ReduceError> {
        let device = || Device::Cuda(self.device.clone()).location();
        capture.map_or(Ok(()), |_| Err(ReduceError::Captured { device: device(), action }))
    }

    /// Lets what this thread gives to the stream next follow what `used` stands for. A stream that
    /// is captured cannot follow work that is not; the thread waits for it then.
    pub(super) fn follow(&self, used: &Used, capture: Option<Capture>) -> Result<(), DriverError> {
        match capture {
            _ if used.is_here() => Ok(()),
            Some(_) => used.wait(),
            None => used.before(self.stream.cu_stream()),
        }
    }

    /// A tensor that has its memory from here.
    pub(super) fn tensor<T: CudaDType + DeviceRepr>(
        &self,
        buffer: Output<T>,
        shape: impl Into<candle_core::Shape>,
    ) -> Tensor {
        let storage = CudaStorage::wrap_cuda_slice(buffer, self.device.clone());
        Tensor::from((Storage::Cuda(storage), shape))
    }
}

pub(super) fn failed(
    device: &CudaDevice,
    action: &'static str,
    error: candle_core::Error,
) -> ReduceError {
    let device = Device::Cuda(device.clone()).location();
    ReduceError::DeviceFailed { device, action, source: Box::new(error) }
}
