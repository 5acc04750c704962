# What .ci/run and .ci/extended share. Both source it from the root of the repository.
set -euo pipefail

host=$(rustc --print host-tuple)
target=${CARGO_TARGET_DIR:-target}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
times=()

# What is compiled once needs no state for the next time, which takes gigabytes.
export CARGO_INCREMENTAL=0

# step HEADLINE COMMAND...: prints the headline, runs the command, and notes how long it took.
step() {
    local start=$SECONDS
    printf '\n=== %s\n' "$1"
    "${@:2}"
    times+=("$(printf '%5d s  %s' $((SECONDS - start)) "$1")")
    echo "--- $((SECONDS - start)) s"
}

# The last line of a script: it is reached only if every step has passed.
all_is_well() {
    printf '\n=== All is well\n'
    printf '%s\n' "${times[@]}" "$(printf '%5d s  in all' "$SECONDS")"
}

# The Rust version that a manifest states, as 1.N.
stated_rust() { sed -n 's/^rust-version = "\(1\.[0-9]*\)".*$/\1/p' "$1"; }

# Runs a command that needs nvcc and a CUDA device: the emulated one where there is no other.
cuda() {
    if [[ -x ../shared/cuda-emulator/with-emulator ]]; then
        ../shared/cuda-emulator/with-emulator "$@"
    else
        "$@"
    fi
}

# The tests that have something to do with a device. All the others of the workspace have passed
# without the feature `cuda`, which changes nothing for them.
cuda_tests() {
    cuda cargo test --release --all-features "$@"
}

# Fuzzes the reader of map files for so many seconds, without AddressSanitizer, which finds nothing
# in a parser that is all safe code.
fuzz() {
    cargo fuzz --version || cargo install cargo-fuzz --locked
    mkdir -p fuzz/corpus/map_file
    RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none map_file fuzz/corpus/map_file fuzz/seeds -- \
        -dict=fuzz/map_file.dict -max_total_time="$1" -timeout=10 -print_final_stats=1
}
