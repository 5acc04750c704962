//! Compiles the kernels, if the feature `cuda` asks for it.
//!
//! They become PTX for compute capability 8.0, which the driver compiles on for the GPU at hand
//! when a map is first put on it: that is the oldest capability with the packed `bf16` maxima, the
//! warp-wide integer maxima and the NaN-keeping maxima that the kernels use. There is no second
//! build for later GPUs, since the kernels use nothing that only those have; docs/PERFORMANCE.md
//! compares the machine code of both.
//!
//! What the kernels and the crate must agree on is in `kernels/abi.rs`. Here it becomes the header
//! `abi.cuh`, which every kernel includes, and `abi_layout.rs`, by which the crate asserts that it
//! knows the structs by the same layout.

use std::ffi::{OsString, c_void};
use std::fmt::Write;
use std::mem::{align_of, offset_of, size_of};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

/// The constants of the bench `gpu_reduction`, whose kernels share nothing with the crate's.
#[path = "benches/kernels/shape.rs"]
mod rivals;

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    if !has_feature("CUDA") {
        return ExitCode::SUCCESS;
    }
    println!("cargo::rerun-if-changed=kernels");
    println!("cargo::rerun-if-changed=benches/kernels");
    for variable in ["NVCC", "CUDA_HOME", "CUDA_PATH", "PATH"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let rivals = if has_feature("BENCH_RIVALS") { compile_rivals } else { || Ok(()) };
    match compile_kernels().and_then(|()| rivals()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("cargo::error={}", problem.trim().replace('\n', "\ncargo::error="));
            ExitCode::FAILURE
        }
    }
}

fn has_feature(name: &str) -> bool {
    env::var_os(format!("CARGO_FEATURE_{name}")).is_some()
}

fn out_dir() -> PathBuf {
    env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR").into()
}

fn compile_kernels() -> Result<(), String> {
    let (header, layout) = abi();
    for (file, text) in [("abi.cuh", header), ("abi_layout.rs", layout)] {
        let path = out_dir().join(file);
        fs::write(&path, text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    for &(file, kernels) in KERNELS {
        let ptx = compile("kernels", file, &[])?;
        for (kernel, dtype) in kernels.iter().flat_map(|k| DTYPES.iter().map(move |d| (k, d.0))) {
            if !ptx.contains(&format!(".entry {kernel}_{dtype}(")) {
                return Err(format!(
                    "kernels/abi.rs has a kernel {kernel}, but kernels/{file}.cu does not define \
                     {kernel}_{dtype}"
                ));
            }
        }
    }
    Ok(())
}

/// What the bench `gpu_reduction` measures the crate against.
fn compile_rivals() -> Result<(), String> {
    let constants = [("THREADS", rivals::THREADS), ("PER_THREAD", rivals::PER_THREAD)];
    let constants = constants.map(|(name, value)| format!("-D{name}={value}u"));
    compile("benches/kernels", "rivals", &constants).map(drop)
}

/// Compiles a file to PTX, puts that into the output folder, and returns it.
fn compile(folder: &str, file: &str, arguments: &[String]) -> Result<String, String> {
    let nvcc = nvcc();
    let out = out_dir();
    let ptx = out.join(file).with_extension("ptx");
    let result = Command::new(&nvcc)
        // With -lineinfo, profilers and compute-sanitizer know lines of source. It changes no
        // instruction.
        .args(["--ptx", "-arch=compute_80", "-std=c++17", "-O3", "-lineinfo"])
        .args(arguments)
        .arg("-I")
        .arg(&out)
        .arg("-o")
        .arg(&ptx)
        .arg(Path::new(folder).join(file).with_extension("cu"))
        .output();
    match result {
        Ok(output) if output.status.success() => fs::read_to_string(&ptx)
            .map_err(|error| format!("cannot read {}: {error}", ptx.display())),
        Ok(output) => Err(format!(
            "{} cannot compile {folder}/{file}.cu:\n{}{}",
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

/// A type of `kernels/abi.rs` in CUDA.
trait Cuda {
    fn name() -> String;
}

macro_rules! names_in_cuda {
    ($($type:ty => $name:literal,)*) => {
        $(impl Cuda for $type {
            fn name() -> String {
                $name.into()
            }
        })*
    };
}

names_in_cuda! {
    c_void => "void",
    f32 => "float",
    f64 => "double",
    u32 => "uint32_t",
    u64 => "uint64_t",
}

impl<T: Cuda> Cuda for *const T {
    fn name() -> String {
        format!("const {}*", T::name())
    }
}

impl<T: Cuda> Cuda for *mut T {
    fn name() -> String {
        format!("{}*", T::name())
    }
}

/// A field of a struct: what it says of itself, its type in CUDA, its name, and its offset.
struct Field(&'static [&'static str], String, &'static str, usize);

/// The lines that define a struct, and check that nvcc lays it out as rustc does.
fn define<T: Cuda>(docs: &[&str], fields: &[Field]) -> String {
    let name = T::name();
    let mut text =
        format!("\n{}struct alignas({}) {name} {{\n", comment("", docs), align_of::<T>());
    for Field(docs, r#type, field, _) in fields {
        text += &format!("{}    {type} {field};\n", comment("    ", docs));
    }
    text += "};\n";
    let why = "\"nvcc and rustc lay it out alike\"";
    text += &format!("static_assert(sizeof({name}) == {}, {why});\n", size_of::<T>());
    for Field(_, _, field, offset) in fields {
        text += &format!("static_assert(offsetof({name}, {field}) == {offset}, {why});\n");
    }
    text
}

/// What the crate asserts of a struct.
fn assert_layout<T: Cuda>(fields: &[Field]) -> String {
    let name = T::name();
    let (size, align) = (size_of::<T>(), align_of::<T>());
    let mut text =
        format!("assert!(size_of::<{name}>() == {size} && align_of::<{name}>() == {align});\n");
    for Field(_, _, field, offset) in fields {
        text += &format!("assert!(std::mem::offset_of!({name}, {field}) == {offset});\n");
    }
    text
}

fn comment(indent: &str, docs: &[&str]) -> String {
    docs.iter().map(|line| format!("{indent}//{line}\n")).collect()
}

/// Defines, of `kernels/abi.rs`, the structs, so that their layout is known; the names of the
/// files, kernels and dtypes; and `abi`, which gives `abi.cuh` and `abi_layout.rs`.
macro_rules! table {
    (
        constants { $($(#[doc = $constant_doc:literal])* $constant:ident = $value:expr;)* }
        structs { $(
            $(#[doc = $struct_doc:literal])*
            #[repr($($repr:tt)*)]
            $(#[derive($($derive:path),*)])?
            struct $struct:ident {
                $($(#[doc = $field_doc:literal])* $field:ident: $type:ty,)*
            }
        )* }
        dtypes { $($dtype:ident: $candle:ident = $cuda:literal;)* }
        kernels { $($file:ident { $($kernel:ident($args:ident)),* $(,)? })* }
    ) => {
        $(const $constant: u32 = $value;)*
        $(
            #[repr($($repr)*)]
            #[allow(dead_code)]
            struct $struct {
                $($field: $type,)*
            }

            impl Cuda for $struct {
                fn name() -> String {
                    stringify!($struct).into()
                }
            }
        )*

        /// Each dtype as the names of kernels have it, and as CUDA has it.
        const DTYPES: &[(&str, &str)] = &[$((stringify!($dtype), $cuda)),*];

        /// Each file, and the kernels in it.
        const KERNELS: &[(&str, &[&str])] =
            &[$((stringify!($file), &[$(stringify!($kernel)),*])),*];

        fn abi() -> (String, String) {
            let mut layout = String::from("{\n");
            let mut text = String::from(
                "// Made by build.rs of kernels/abi.rs.\n\
                 #pragma once\n\n#include <cstddef>\n#include <cstdint>\n\n",
            );
            $(
                text += &comment("", &[$($constant_doc),*]);
                let name = stringify!($constant);
                text += &format!("constexpr uint32_t {name} = {}u;\n", $constant);
            )*
            $(
                let fields = [$(Field(
                    &[$($field_doc),*],
                    <$type as Cuda>::name(),
                    stringify!($field),
                    offset_of!($struct, $field),
                )),*];
                text += &define::<$struct>(&[$($struct_doc),*], &fields);
                layout += &assert_layout::<$struct>(&fields);
            )*
            text += "\n// A dtype's part of a kernel's name, and its type.\n";
            text += "#define FOR_EACH_DTYPE(MACRO)";
            for (dtype, cuda) in DTYPES {
                write!(text, " MACRO({dtype}, {cuda})").expect("a string takes all text");
            }
            text += "\n\n// A definition with another parameter does not compile.\n";
            for (dtype, _) in DTYPES {
                $($(
                    text += &format!(
                        "extern \"C\" __global__ void {}_{dtype}(const __grid_constant__ {});\n",
                        stringify!($kernel),
                        <$args as Cuda>::name(),
                    );
                )*)*
            }
            (text, layout + "}\n")
        }
    };
}

include!("kernels/abi.rs");
