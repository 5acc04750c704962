//! Compiles the kernels, if the feature `cuda` asks for it.
//!
//! They become PTX for compute capability 8.0, the oldest with the packed `bf16` maxima, the
//! warp-wide integer maxima and the NaN-keeping maxima that the kernels use. There is no second PTX
//! for later GPUs, since the kernels use nothing that only those have; docs/PERFORMANCE.md compares
//! the machine code of both.
//!
//! The PTX becomes machine code for the usual GPUs, so that their drivers need not compile it. For
//! each file and dtype one fatbin holds both: a driver takes the machine code if there is some for
//! its GPU, and compiles the PTX otherwise. `CONCEPT_MASS_CUDA_ARCHS` names other GPUs.
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

/// The variable that names the compute capabilities for which there is to be machine code, as in
/// `8.0,9.0`; if it is empty there is none, and every driver compiles the PTX.
const ARCHS: &str = "CONCEPT_MASS_CUDA_ARCHS";

/// What is built without that variable, as far as the compiler has it. Code for x.y also runs on
/// x.z, if z is larger than y.
const USUAL_ARCHS: [&str; 6] = ["8.0", "8.6", "8.9", "9.0", "10.0", "12.0"];

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    if !has_feature("CUDA") {
        return ExitCode::SUCCESS;
    }
    println!("cargo::rerun-if-changed=kernels");
    println!("cargo::rerun-if-changed=benches/kernels");
    for variable in ["NVCC", "CUDA_HOME", "CUDA_PATH", "PATH", ARCHS] {
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
    write("abi.cuh", &header)?;
    write("abi_layout.rs", &layout)?;
    let archs = archs()?;
    let mut code = String::new();
    let mut cuda_version = None;
    for &(file, kernels) in KERNELS {
        code += "    [\n";
        for (dtype, _) in DTYPES {
            let name = format!("{file}_{dtype}");
            let arguments = [format!("-DONLY_{dtype}")];
            let ptx = compile("kernels", file, &name, MIN_CAPABILITY, &arguments)?;
            for kernel in kernels {
                if !ptx.contains(&format!(".entry {kernel}_{dtype}(")) {
                    return Err(format!(
                        "kernels/abi.rs has a kernel {kernel}, but kernels/{file}.cu does not \
                         define {kernel}_{dtype}"
                    ));
                }
            }
            cuda_version = cuda_version_of(&ptx);
            assemble(&name, &archs)?;
            let path = out_dir().join(&name).with_extension("fatbin");
            writeln!(code, "        include_bytes!({path:?}),").expect("a string takes all text");
        }
        code += "    ],\n";
    }
    let (major, minor) = cuda_version.ok_or("nvcc does not write its release into PTX")?;
    write(
        "code.rs",
        &format!(
            "/// `CODE[file][dtype]`: the kernels of a file for one dtype, as a fatbin.\n\
             pub(crate) static CODE: [[&[u8]; {}]; {}] = [\n{code}];\n\n\
             /// The version of CUDA whose compiler has made it.\n\
             pub(crate) const CUDA_VERSION: (u32, u32) = ({major}, {minor});\n",
            DTYPES.len(),
            KERNELS.len(),
        ),
    )
}

/// What the benches measure the crate against.
fn compile_rivals() -> Result<(), String> {
    /// The first with clusters of blocks, which one of the samplers is made of.
    const CLUSTERS: u32 = 90;
    let constants = [("THREADS", rivals::THREADS), ("PER_THREAD", rivals::PER_THREAD)];
    let constants = constants.map(|(name, value)| format!("-D{name}={value}u"));
    let compile = |file, capability, arguments: &[String]| {
        compile("benches/kernels", file, file, capability, arguments).map(drop)
    };
    compile("rivals", MIN_CAPABILITY, &constants)?;
    compile("attention_rs", MIN_CAPABILITY, &[])?;
    compile("flashinfer", MIN_CAPABILITY, &[])?;
    compile("flashinfer_split", CLUSTERS, &[])
}

/// The GPUs for which there is to be machine code, as nvcc names them: `sm_80`.
fn archs() -> Result<Vec<String>, String> {
    let known = run_nvcc("list GPUs", Command::new(nvcc()).arg("--list-gpu-code"))?;
    let named = |arch: &str| format!("sm_{}", arch.replace('.', ""));
    let is_known = |arch: &String| known.lines().any(|line| line.trim() == arch);
    let Ok(asked) = env::var(ARCHS) else {
        return Ok(USUAL_ARCHS.map(named).into_iter().filter(is_known).collect());
    };
    let asked = asked.split([',', ' ']).filter(|arch| !arch.is_empty());
    asked
        .map(|arch| {
            Some(named(arch)).filter(is_known).ok_or_else(|| {
                format!(
                    "{ARCHS} names {arch:?}, which {} cannot compile for; it is to be a list of \
                     compute capabilities, as 8.0,9.0, from {}.{} on: \
                     `nvcc --list-gpu-code` has those that are known",
                    nvcc().display(),
                    MIN_CAPABILITY / 10,
                    MIN_CAPABILITY % 10
                )
            })
        })
        .collect()
}

/// Of `// Cuda compilation tools, release 13.0, V13.0.88`, which nvcc writes into PTX.
fn cuda_version_of(ptx: &str) -> Option<(u32, u32)> {
    let (release, _) = ptx.split_once(" release ")?.1.split_once(',')?;
    let (major, minor) = release.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Compiles a file to PTX for GPUs of a compute capability and later ones, puts that into the output
/// folder under the name, and returns it.
fn compile(
    folder: &str,
    file: &str,
    name: &str,
    capability: u32,
    arguments: &[String],
) -> Result<String, String> {
    let out = out_dir();
    let ptx = out.join(name).with_extension("ptx");
    let mut command = Command::new(nvcc());
    command
        .args(["--ptx", &format!("-arch=compute_{capability}"), "-std=c++17", "-O3"])
        .args(line_info())
        .args(arguments)
        .arg("-I")
        .arg(&out)
        .arg("-o")
        .arg(&ptx)
        .arg(Path::new(folder).join(file).with_extension("cu"));
    run_nvcc(&format!("compile {folder}/{file}.cu"), &mut command)?;
    fs::read_to_string(&ptx).map_err(|error| format!("cannot read {}: {error}", ptx.display()))
}

/// Makes a fatbin of PTX in the output folder: the PTX, and machine code made of it.
fn assemble(name: &str, archs: &[String]) -> Result<(), String> {
    let path = out_dir().join(name);
    let ptx = format!("compute_{MIN_CAPABILITY}");
    let code = [std::slice::from_ref(&ptx), archs].concat().join(",");
    let mut command = Command::new(nvcc());
    command
        // Not compressed: then tools that know no compression, emulators among them, read the PTX.
        .args(["-fatbin", "--no-compress", "-gencode", &format!("arch={ptx},code=[{code}]")])
        .args(line_info())
        .args(["--threads", &env::var("NUM_JOBS").unwrap_or_else(|_| "1".into())])
        .arg("-o")
        .arg(path.with_extension("fatbin"))
        .arg(path.with_extension("ptx"));
    run_nvcc(&format!("assemble {name}"), &mut command).map(drop)
}

/// With it, profilers and compute-sanitizer know lines of source. It changes no instruction, but
/// makes the code three times as large; so it is there if the crate has debug information, too.
fn line_info() -> Option<&'static str> {
    env::var("DEBUG").is_ok_and(|debug| debug != "false").then_some("-lineinfo")
}

/// Runs nvcc, and returns what it prints.
fn run_nvcc(action: &str, command: &mut Command) -> Result<String, String> {
    let nvcc = Path::new(command.get_program()).display().to_string();
    match command.output() {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => Err(format!(
            "{nvcc} cannot {action}:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )),
        Err(error) => Err(format!(
            "the feature `cuda` needs NVIDIA's compiler, and {nvcc} does not run ({error}): \
             install the CUDA toolkit, 12.0 or later, from \
             https://developer.nvidia.com/cuda-downloads, and put nvcc on the PATH, or name it in \
             NVCC, or its toolkit in CUDA_HOME; or build without the feature"
        )),
    }
}

fn write(file: &str, text: &str) -> Result<(), String> {
    let path = out_dir().join(file);
    fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
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
            text += "\n// A dtype's part of a kernel's name, and its type: of all dtypes, or of one \
                     that is chosen.\n";
            let each = |(dtype, cuda): &(&str, &str)| format!(" MACRO({dtype}, {cuda})");
            for dtype in DTYPES {
                let (name, only) = (dtype.0, each(dtype));
                text += &format!(
                    "#ifdef ONLY_{name}\n#define FOR_EACH_DTYPE(MACRO){only}\n#endif\n"
                );
            }
            let all: String = DTYPES.iter().map(each).collect();
            text += "#ifndef FOR_EACH_DTYPE\n";
            text += &format!("#define FOR_EACH_DTYPE(MACRO){all}\n#endif\n");
            text += "\n// A definition with another parameter does not compile.\n";
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
