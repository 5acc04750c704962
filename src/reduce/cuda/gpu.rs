//! A CUDA device as the reduction uses it: memory, and the launch of kernels.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use candle_core::cuda_backend::{CudaDType, CudaDevice, DeviceId, WrapErr};
use candle_core::{CudaStorage, DType, Device, Storage, Tensor};
use cudarc::driver::{
    CudaFunction, CudaSlice, CudaStream, DevicePtrMut, DeviceRepr, DriverError, ValidAsZeroBits,
};

use crate::reduce::ReduceError;
use crate::reduce::abi::{DTYPES, KERNELS, Kernel};

/// Memory on a device.
pub(super) type Buffer<T> = CudaSlice<T>;

/// A device and its kernels; one for each candle device, as long as something uses it.
pub(crate) struct Gpu {
    pub(super) device: CudaDevice,
    /// All that is launched here is launched on it.
    pub(super) stream: Arc<CudaStream>,
    /// `functions[kernel][dtype]`.
    functions: [[CudaFunction; DTYPES.len()]; KERNELS.len()],
}

impl Gpu {
    /// That of `device`, which loads the kernels if nothing else uses the device yet.
    pub(super) fn of(device: &CudaDevice) -> Result<Arc<Self>, ReduceError> {
        static GPUS: LazyLock<Mutex<HashMap<DeviceId, Weak<Gpu>>>> = LazyLock::new(Mutex::default);
        let mut gpus = GPUS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gpu) = gpus.get(&device.id()).and_then(Weak::upgrade) {
            return Ok(gpu);
        }
        gpus.retain(|_, gpu| gpu.strong_count() > 0);
        let gpu = Arc::new(Self::load(device)?);
        gpus.insert(device.id(), Arc::downgrade(&gpu));
        Ok(gpu)
    }

    fn load(device: &CudaDevice) -> Result<Self, ReduceError> {
        let load = |(kernel, file, ptx): (&str, &str, &str), dtype: &str| {
            // Candle keeps modules by name alone; the version is there for two of this crate.
            let module = concat!("concept-mass ", env!("CARGO_PKG_VERSION"));
            device
                .get_or_load_custom_func(
                    &format!("{kernel}_{dtype}"),
                    &format!("{module} {file}"),
                    ptx,
                )
                .map(|function| function.into_cuda_function())
                .map_err(|e| failed(device, "load the kernels", e))
        };
        let mut functions = Vec::with_capacity(KERNELS.len());
        for &kernel in KERNELS {
            let [f32, f16, bf16] = DTYPES.map(|(_, dtype)| load(kernel, dtype));
            functions.push([f32?, f16?, bf16?]);
        }
        let functions =
            functions.try_into().unwrap_or_else(|_| unreachable!("one for each kernel"));
        Ok(Self { device: device.clone(), stream: device.cuda_stream(), functions })
    }

    /// The kernel for logits of `dtype`, which must be one that is reduced.
    pub(super) fn function(
        &self,
        kernel: Kernel,
        dtype: DType,
    ) -> Result<&CudaFunction, ReduceError> {
        match DTYPES.iter().position(|&(known, _)| known == dtype) {
            Some(place) => Ok(&self.functions[kernel as usize][place]),
            None => Err(ReduceError::LogitsDType { got: dtype }),
        }
    }

    pub(super) fn try_to<T>(
        &self,
        action: &'static str,
        result: Result<T, DriverError>,
    ) -> Result<T, ReduceError> {
        result.w().map_err(|e| failed(&self.device, action, e))
    }

    /// Copies to the device; not sure to be there for other streams before [`wait`](Self::wait).
    pub(super) fn upload<T: DeviceRepr>(&self, data: &[T]) -> Result<Buffer<T>, ReduceError> {
        if data.is_empty() {
            return self.alloc(0);
        }
        self.try_to("copy to the device", self.stream.clone_htod(data))
    }

    /// Waits until the stream has done all that it was given.
    pub(super) fn wait(&self) -> Result<(), ReduceError> {
        self.try_to("wait for the device", self.stream.synchronize())
    }

    /// Waits until every stream has done all that it was given: what is about to be freed may be
    /// in use on the streams of other threads.
    pub(super) fn wait_for_all(&self) {
        // An error shows again where there is somebody to tell.
        let _ = self.stream.context().synchronize();
    }

    /// Memory for `len` values, or one if that is none, that hold anything.
    pub(super) fn alloc<T: DeviceRepr>(&self, len: usize) -> Result<Buffer<T>, ReduceError> {
        // SAFETY: the values are unset. Whoever asks has them written, by a copy or by a kernel
        // that writes all of them, before anything reads them in the order of the stream.
        let memory = unsafe { self.stream.alloc(len.max(1)) };
        self.try_to("allocate memory", memory)
    }

    pub(super) fn alloc_zeros<T: DeviceRepr + ValidAsZeroBits>(
        &self,
        len: usize,
    ) -> Result<Buffer<T>, ReduceError> {
        self.try_to("allocate memory", self.stream.alloc_zeros(len))
    }

    /// A copy of `memory` in a larger one of `len` values, the rest of them zeros.
    pub(super) fn enlarged<T: DeviceRepr + ValidAsZeroBits>(
        &self,
        memory: &Buffer<T>,
        len: usize,
    ) -> Result<Buffer<T>, ReduceError> {
        let mut larger = self.alloc_zeros(len)?;
        let copied = self.stream.memcpy_dtod(memory, &mut larger.slice_mut(..memory.len()));
        self.try_to("copy within the device", copied)?;
        Ok(larger)
    }

    pub(super) fn address<T>(&self, memory: &mut Buffer<T>) -> *mut T {
        let (address, _) = memory.device_ptr_mut(&self.stream);
        address as *mut T
    }

    /// Whether a CUDA graph is being recorded from the stream.
    pub(super) fn is_capturing(&self) -> bool {
        use cudarc::driver::sys::CUstreamCaptureStatus as Status;
        self.stream.capture_status().is_ok_and(|s| s != Status::CU_STREAM_CAPTURE_STATUS_NONE)
    }

    /// A tensor that has its memory from here.
    pub(super) fn tensor<T: CudaDType + DeviceRepr>(
        &self,
        buffer: Buffer<T>,
        shape: impl Into<candle_core::Shape>,
    ) -> Tensor {
        let storage = CudaStorage::wrap_cuda_slice(buffer, self.device.clone());
        Tensor::from((Storage::Cuda(storage), shape))
    }
}

fn failed(device: &CudaDevice, action: &'static str, error: candle_core::Error) -> ReduceError {
    let device = Device::Cuda(device.clone()).location();
    ReduceError::DeviceFailed { device, action, source: Box::new(error) }
}
