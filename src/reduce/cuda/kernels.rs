//! The kernels' code on a GPU.
//!
//! A file of kernels for one dtype is loaded when its first kernel is needed. That takes
//! milliseconds if the fatbin has machine code for the GPU, and seconds if the driver has to
//! compile its PTX. Threads that need other files or dtypes do not wait for it.
//!
//! What is loaded stays until the process ends: a CUDA graph may launch a kernel after the last map
//! is gone, and unloading while a graph is captured would spoil the capture.

use std::array;
use std::sync::{Arc, Mutex, OnceLock};

use candle_core::cuda_backend::{CudaDevice, WrapErr};
use candle_core::{DType, Device, DeviceLocation};
use cudarc::driver::sys::{self, CUresult};
use cudarc::driver::{CudaContext, CudaFunction, DriverError};
use cudarc::nvrtc::Ptx;

use super::capture;
use super::gpu::failed;
use super::memory::lock;
use crate::reduce::ReduceError;
use crate::reduce::abi::{CODE, CUDA_VERSION, DTYPES, FILES, Kernel, MIN_CAPABILITY};

const LOAD: &str = "load the kernels";

/// The kernels on a GPU, for all maps on it.
pub(super) struct Kernels {
    /// Kept, so that there is no other with its address and none of the code.
    context: Arc<CudaContext>,
    /// `functions[kernel][dtype]`, as far as they are loaded.
    functions: [[OnceLock<CudaFunction>; DTYPES.len()]; Kernel::COUNT],
    /// `loading[file][dtype]`: locked by the thread that loads it.
    loading: [[Mutex<()>; DTYPES.len()]; FILES.len()],
}

impl Kernels {
    /// Those of the device's GPU, which must be new enough.
    pub(super) fn of(device: &CudaDevice) -> Result<&'static Self, ReduceError> {
        static KNOWN: Mutex<Vec<&Kernels>> = Mutex::new(Vec::new());
        let stream = device.cuda_stream();
        let context = stream.context();
        let mut known = lock(&KNOWN);
        if let Some(kernels) = known.iter().find(|kernels| kernels.context == *context) {
            return Ok(kernels);
        }
        let capability = context.compute_capability();
        let (major, minor) = capability.w().map_err(|e| failed(device, LOAD, e))?;
        check_capability((major as u32, minor as u32), location(device))?;
        let kernels: &Self = Box::leak(Box::new(Self {
            context: context.clone(),
            functions: array::from_fn(|_| Default::default()),
            loading: Default::default(),
        }));
        known.push(kernels);
        Ok(kernels)
    }

    /// A kernel for logits of `dtype`, which must be one that is reduced. `device` is one on the
    /// GPU.
    pub(super) fn function(
        &self,
        device: &CudaDevice,
        kernel: Kernel,
        dtype: DType,
    ) -> Result<&CudaFunction, ReduceError> {
        let Some(dtype) = DTYPES.iter().position(|&(known, _)| known == dtype) else {
            return Err(ReduceError::LogitsDType { got: dtype });
        };
        let function = &self.functions[kernel as usize][dtype];
        if let Some(function) = function.get() {
            return Ok(function);
        }
        let defines = |kernels: &&[(&str, Kernel)]| kernels.iter().any(|&(_, k)| k == kernel);
        let file = FILES.iter().position(defines).expect("every kernel is in a file");
        let _loading = lock(&self.loading[file][dtype]);
        if function.get().is_none() {
            self.load(file, dtype).map_err(|error| {
                driver_too_old(error, driver_version(), location(device))
                    .unwrap_or_else(|| failed(device, LOAD, Err::<(), _>(error).w().unwrap_err()))
            })?;
        }
        Ok(function.get().expect("all kernels of the file are loaded"))
    }

    /// Loading takes memory, which a capture anywhere would forbid.
    fn load(&self, file: usize, dtype: usize) -> Result<(), DriverError> {
        capture::relaxed(|| {
            let module = self.context.load_module(Ptx::from_binary(CODE[file][dtype].to_vec()))?;
            for &(name, kernel) in FILES[file] {
                let function = module.load_function(&format!("{name}_{}", DTYPES[dtype].1))?;
                // It is set already only if loading has failed half way before.
                let _ = self.functions[kernel as usize][dtype].set(function);
            }
            Ok(())
        })
    }
}

/// The version of CUDA that the driver is for; none if it does not tell.
fn driver_version() -> Option<(u32, u32)> {
    let mut version = 0;
    // SAFETY: it writes the number, which is borrowed for the call.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result().ok()?;
    let version = u32::try_from(version).ok()?;
    Some((version / 1000, version % 1000 / 10))
}

fn location(device: &CudaDevice) -> DeviceLocation {
    Device::Cuda(device.clone()).location()
}

fn check_capability(found: (u32, u32), device: DeviceLocation) -> Result<(), ReduceError> {
    let needed = (MIN_CAPABILITY / 10, MIN_CAPABILITY % 10);
    if found < needed {
        return Err(ReduceError::DeviceTooOld { device, found, needed });
    }
    Ok(())
}

/// The error of a driver of version `found` that did not load the code, if its age is why.
fn driver_too_old(
    error: DriverError,
    found: Option<(u32, u32)>,
    device: DeviceLocation,
) -> Option<ReduceError> {
    // What drivers say of PTX and of machine code that are newer than they are.
    let unknown_code = matches!(
        error.0,
        CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION
            | CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU
            | CUresult::CUDA_ERROR_INVALID_IMAGE
            | CUresult::CUDA_ERROR_INVALID_PTX
            | CUresult::CUDA_ERROR_INVALID_SOURCE
    );
    let found = found.filter(|&found| unknown_code && found < CUDA_VERSION)?;
    Some(ReduceError::DriverTooOld { device, found, needed: CUDA_VERSION })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceLocation = DeviceLocation::Cuda { gpu_id: 0 };

    #[test]
    fn a_gpu_is_refused_below_the_oldest_capability() {
        for found in [(5, 2), (7, 5)] {
            let error = check_capability(found, DEVICE).unwrap_err();
            let text = error.to_string();
            let (is, needs) = (format!("{}.{}", found.0, found.1), "8.0 or later");
            assert!(text.contains(&is) && text.contains(needs), "{text}");
        }
        for found in [(8, 0), (8, 6), (9, 0), (10, 0), (12, 1)] {
            check_capability(found, DEVICE).unwrap();
        }
    }

    #[test]
    fn a_driver_is_too_old_if_it_does_not_know_the_code_and_is_older_than_the_compiler() {
        let (major, minor) = CUDA_VERSION;
        let too_old = |error, found| driver_too_old(DriverError(error), found, DEVICE);
        for error in [
            CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION,
            CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU,
            CUresult::CUDA_ERROR_INVALID_IMAGE,
        ] {
            let text = too_old(error, Some((major - 1, 9))).unwrap().to_string();
            assert!(text.contains(&format!("CUDA {}.9", major - 1)), "{text}");
            assert!(text.contains(&format!("CUDA {major}.{minor}")), "{text}");
            for new_enough in [Some(CUDA_VERSION), Some((major + 1, 0)), None] {
                assert!(too_old(error, new_enough).is_none(), "{error:?}, {new_enough:?}");
            }
        }
        for other in [CUresult::CUDA_ERROR_OUT_OF_MEMORY, CUresult::CUDA_ERROR_ILLEGAL_ADDRESS] {
            assert!(too_old(other, Some((major - 1, 9))).is_none(), "{other:?}");
        }
    }
}
