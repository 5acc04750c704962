#!/usr/bin/env bash
# Packs the CUDA tests and benches into one archive, which runs where there is a GPU, and no Rust:
#
#     scripts/pack-gpu.sh OUT.tar.xz     # here, with nvcc; no GPU is needed
#     tar -xf OUT.tar.xz                 # there (or python3 -m tarfile -e OUT.tar.xz, without xz)
#     concept-mass-gpu/run.sh            # see the head of scripts/run-gpu.sh
#
# With machine code for the usual GPUs, or for those that CONCEPT_MASS_CUDA_ARCHS names.
set -euo pipefail
if [ $# -ne 1 ] || [[ $1 != *.tar.xz ]]; then
    echo "usage: $0 OUT.tar.xz" >&2
    exit 2
fi
archive=$(realpath -m "$1")
cd "$(dirname "$0")/.."

# So much may be carried to the machine.
MAX_MIB=64

if [ -z "${CONCEPT_MASS_CUDA_ARCHS-unset}" ] && [ -z "${PTX_ONLY:-}" ]; then
    echo "CONCEPT_MASS_CUDA_ARCHS is empty, so that drivers would have to compile the kernels, and" \
        "what is measured would not be what users get: unset it, or set PTX_ONLY=1" >&2
    exit 2
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=$work/concept-mass-gpu

# executables TARGET...: builds, and prints the paths of the programs that came of it. The bench as
# well as the tests by `cargo test`, since nothing is compiled twice then: the profile for benches
# differs in a crate that this one does not use.
executables() {
    cargo test --release --all-features "$@" --no-run --message-format=json-render-diagnostics |
        sed -n '/#concept-mass@/s/.*"executable":"\([^"]*\)".*/\1/p'
}

# pack FOLDER: copies the programs whose paths come on stdin, under the names of their targets and
# without their debugging symbols.
pack() {
    local path name
    mkdir -p "$out/$1"
    while read -r path; do
        name=$(basename "$path")
        name=${name%-*}
        install "$path" "$out/$1/$name"
        strip "$out/$1/$name" || echo "$1/$name keeps its symbols"
    done
}

# CUB's argmax, as a library for Python, for the same GPUs as the crate's kernels. It has the CUDA
# runtime in it, and needs nothing.
pack_cub() {
    local arch named archs=()
    IFS=', ' read -ra named <<<"${CONCEPT_MASS_CUDA_ARCHS-}"
    for arch in ${named[@]+"${named[@]}"}; do
        arch=${arch//./}
        archs+=(-gencode "arch=compute_$arch,code=sm_$arch")
    done
    if [ -z "${CONCEPT_MASS_CUDA_ARCHS-unset}" ]; then archs=(-arch=compute_80); fi
    "$nvcc" -shared -Xcompiler -fPIC -cudart static -std=c++17 -O3 --threads 0 \
        "${archs[@]--arch=all-major}" -o "$out/benches/libcub_argmax.so" benches/kernels/cub_argmax.cu
}

# The tests in src/ need no device.
nvcc=${NVCC:-nvcc}
tests=()
for test in oracle rules sampler sampler_batch cuda cuda_graphs cuda_loading cuda_memory; do
    tests+=(--test "$test")
done
executables "${tests[@]}" | pack tests
executables --bench gpu_reduction | pack benches
cp benches/gpu_rivals.py benches/gpu_rivals_*.py "$out/benches"
pack_cub
# The names of the crate's kernels, without their dtypes: what ncu is to look at.
grep -oE '[a-z_]+\([A-Z][A-Za-z]*Args\)' kernels/abi.rs | sed 's/(.*//' | sort -u >"$out/kernels"
install scripts/run-gpu.sh "$out/run.sh"
{
    git describe --always --dirty 2>/dev/null || echo "not under git"
    rustc --version
    echo "machine code for ${CONCEPT_MASS_CUDA_ARCHS-the usual GPUs}"
    "$nvcc" --version | sed -n 's/.*release \([0-9.]*\),.*/CUDA \1/p'
} >"$out/packed-from"

# The programs have much in common, which xz finds if its dictionary holds two of them: that makes a
# sixth of it in seconds, where more effort gains little in minutes.
XZ_OPT="--threads=1 --lzma2=preset=0,dict=128MiB" \
    tar -cJf "$archive" -C "$work" --sort=name concept-mass-gpu
mib=$(($(stat -c %s "$archive") / 1024 / 1024))
echo "packed into $archive, $mib MiB:"
(cd "$out" && find . -type f -printf '%P %s\n' | sort)
if ((mib >= MAX_MIB)); then
    echo "$archive is larger than the $MAX_MIB MiB that a GPU machine takes: name fewer GPUs in" \
        "CONCEPT_MASS_CUDA_ARCHS" >&2
    exit 1
fi
