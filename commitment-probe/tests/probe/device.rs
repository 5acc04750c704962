//! The device that is tested: with the feature `cuda`, the first CUDA device, else the CPU.

use std::sync::OnceLock;

use candle_core::Device;

pub fn device() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    let open = || if cfg!(feature = "cuda") { Device::new_cuda(0) } else { Ok(Device::Cpu) };
    DEVICE.get_or_init(|| open().expect("a CUDA device, or an emulated one")).clone()
}
