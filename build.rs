//! Compiles the kernels, if the feature `cuda` asks for it.
//!
//! They become PTX for compute capability 8.0, which the driver compiles on for the GPU at hand
//! when a map is first put on it: that is the oldest capability with the packed `bf16` maxima, the
//! warp-wide integer maxima and the NaN-keeping maxima that the kernels use. There is no second
//! build for later GPUs, since the kernels use nothing that only those have; docs/PERFORMANCE.md
//! compares the machine code of both.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// A file of kernels each, with its folder; headers are beside them. The last is what the bench
/// `gpu_reduction` measures the others against.
const KERNELS: [(&str, &str); 3] =
    [("kernels", "decide"), ("kernels", "gather"), ("benches/kernels", "rivals")];

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return ExitCode::SUCCESS;
    }
    println!("cargo::rerun-if-changed=kernels");
    println!("cargo::rerun-if-changed=benches/kernels");
    for variable in ["NVCC", "CUDA_HOME", "CUDA_PATH", "PATH"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    match KERNELS.iter().try_for_each(|(folder, kernel)| compile(folder, kernel)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("cargo::error={}", problem.trim().replace('\n', "\ncargo::error="));
            ExitCode::FAILURE
        }
    }
}

fn compile(folder: &str, kernel: &str) -> Result<(), String> {
    let nvcc = nvcc();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where"));
    let result = Command::new(&nvcc)
        .args(["--ptx", "-arch=compute_80", "-std=c++17", "-O3", "-o"])
        .arg(out.join(kernel).with_extension("ptx"))
        .arg(Path::new(folder).join(kernel).with_extension("cu"))
        .output();
    match result {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!(
            "{} cannot compile {folder}/{kernel}.cu:\n{}{}",
            nvcc.display(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )),
        Err(error) => Err(format!(
            "the feature `cuda` needs NVIDIA's compiler, and {} does not run ({error}): install \
             the CUDA toolkit, 12.0 or later, from https://developer.nvidia.com/cuda-downloads, \
             and put nvcc on the PATH, or name it in NVCC, or its toolkit in CUDA_HOME; or build \
             without the feature",
            nvcc.display()
        )),
    }
}

/// `NVCC`, or that of `CUDA_HOME` or `CUDA_PATH`, or that on the `PATH`.
fn nvcc() -> PathBuf {
    let named = |variable: &str| env::var_os(variable).filter(|value: &OsString| !value.is_empty());
    if let Some(nvcc) = named("NVCC") {
        return nvcc.into();
    }
    let of_toolkit = |root: OsString| Path::new(&root).join("bin").join("nvcc");
    ["CUDA_HOME", "CUDA_PATH"]
        .into_iter()
        .filter_map(named)
        .map(of_toolkit)
        .find(|nvcc| nvcc.with_extension(env::consts::EXE_EXTENSION).exists())
        .unwrap_or_else(|| "nvcc".into())
}
