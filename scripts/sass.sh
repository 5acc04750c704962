#!/usr/bin/env bash
# Compiles the kernels to machine code (SASS) and prints what docs/PERFORMANCE.md says of it, as
# Markdown. Fails if the compiler warns, if a kernel spills registers, or if a decision over bf16
# takes more instructions a logit than scripts/sass.py allows.
#
#     bash scripts/sass.sh
#
# nvcc is NVCC, or that of CUDA_HOME, or that on the PATH; nvdisasm is NVDISASM, or that on the
# PATH, or the one beside nvcc, or is installed from PyPI into a folder that is removed again.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

nvcc=${NVCC:-${CUDA_HOME:+$CUDA_HOME/bin/nvcc}}
nvcc=$(command -v "${nvcc:-nvcc}") || { echo "there is no nvcc" >&2; exit 1; }
toolkit=$(dirname "$nvcc")
ptxas=$toolkit/ptxas

find_nvdisasm() {
    local candidate
    for candidate in "${NVDISASM:-}" nvdisasm "$toolkit/nvdisasm"; do
        if [ -n "$candidate" ] && command -v "$candidate"; then return; fi
    done
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check nvidia-cuda-nvdisasm >&2
    find "$work/venv" -name nvdisasm -type f
}
nvdisasm=$(find_nvdisasm)

# The build script by itself: it leaves the header that the kernels include, their PTX, and their
# fatbins for the GPUs that CONCEPT_MASS_CUDA_ARCHS names.
rustc --edition 2024 -o "$work/build" build.rs
OUT_DIR=$work CARGO_FEATURE_CUDA=1 NVCC=$nvcc NUM_JOBS=$(nproc) "$work/build" |
    sed -n 's/^cargo::error=//p' >&2

# Three ways to machine code: for each capability at once, and as a driver does it, from PTX. What
# ptxas says is kept beside the code.
for source in kernels/*.cu; do
    name=$work/$(basename "$source" .cu)
    for arch in sm_80 sm_90; do
        "$nvcc" -cubin -arch=$arch -std=c++17 -O3 -Werror all-warnings -Xptxas -v -I "$work" \
            -o "$name.$arch.cubin" "$source" \
            2> "$name.$arch.log" || { cat "$name.$arch.log" >&2; exit 1; }
    done
    for ptx in "$name"_*.ptx; do # one for each dtype
        "$ptxas" -v -arch=sm_90 -o "${ptx%.ptx}.ptx_90.cubin" "$ptx" 2> "${ptx%.ptx}.ptx_90.log"
    done
done
for cubin in "$work"/*.cubin; do
    "$nvdisasm" -c "$cubin" > "${cubin%.cubin}.sass"
done

for source in kernels/*.cu; do
    name=$work/$(basename "$source" .cu)
    cat "$name"_*.ptx_90.sass > "$name.ptx_90.sass"
done

python3 scripts/sass.py "$work"
