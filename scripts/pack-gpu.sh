#!/usr/bin/env bash
# Packs the CUDA tests and benches into a folder that runs where there is a GPU, and no Rust:
#
#     scripts/pack-gpu.sh OUT_DIR     # here, with nvcc; no GPU is needed
#     OUT_DIR/run.sh                  # there; see the head of scripts/run-gpu.sh
set -euo pipefail
if [ $# -ne 1 ]; then
    echo "usage: $0 OUT_DIR" >&2
    exit 2
fi
mkdir -p "$1"
if [ -n "$(ls -A "$1")" ] && [ ! -e "$1/packed-from" ]; then
    echo "$1 has other things in it, and this script would replace some: name a new folder" >&2
    exit 1
fi
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."

# executables CARGO_ARGUMENT...: builds, and prints the paths of the programs that came of it. Of
# the core only: no other crate has tests or benches of the kernels.
executables() {
    # All features, as in the tests before: candle would be compiled once more for others.
    cargo "$@" --no-run --all-features --message-format=json-render-diagnostics |
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

tests=(--lib --test oracle --test rules --test sampler --test cuda --test cuda_memory)
rm -rf "$out/tests" "$out/benches"
executables test --release "${tests[@]}" | pack tests
executables bench --bench gpu_reduction | pack benches
cp benches/gpu_rivals.py benches/gpu_rivals_triton.py "$out/benches"
install scripts/run-gpu.sh "$out/run.sh"
{
    git describe --always --dirty 2>/dev/null || echo "not under git"
    rustc --version
    "${NVCC:-nvcc}" --version | sed -n 's/.*release \([0-9.]*\),.*/CUDA \1/p'
} >"$out/packed-from"

echo "packed into $out, $(du -sh "$out" | cut -f1):"
(cd "$out" && find tests benches -type f | sort)
