#!/usr/bin/env bash
# Tests and measures the crate on this machine's GPU, in twenty minutes at most. It lies in the
# folder that scripts/pack-gpu.sh makes, and leaves there
#
#     results/results.md      to be read
#     results/results.json    the same for programs
#     results/logs/           what each part said
#
# It needs NVIDIA's driver and the libraries of the CUDA toolkit (cudart, cublas, curand), of the
# major version that `packed-from` names, in CUDA_HOME, /usr/local/cuda, LD_LIBRARY_PATH, or where
# PyTorch's wheels put them. compute-sanitizer, and Python with PyTorch, are used if they are there.
#
#     ./run.sh             # everything
#     QUICK=1 ./run.sh     # a few of the tests, answers without times: to see that this script works
set -uo pipefail
cd "$(dirname "$0")" || exit
quick=${QUICK:-}

# What all parts together may take, in seconds.
TOTAL=1200

# The rules that compute-sanitizer sees, which is some hundred times slower: every operation that
# they test, with several blocks and rows.
SANITIZED=(
    the_papers_example_flips
    ties_between_a_pooled_concept_and_a_singleton
    masses_add_up_to_one
    a_nan_anywhere_marks_its_row_alone
    the_same_bits_alone_and_anywhere_in_a_batch_in_any_layout
)

rm -rf results
mkdir -p results/logs
# Lines of name | state | seconds.
parts=results/logs/parts
: >"$parts"

note() {
    echo "$1 | $2 | $3" >>"$parts"
    echo "$1: $2 ($3 s)"
}

# How many tests passed, if it was tests that left this log.
tests_in() { sed -n 's/^test result: ok\. \([0-9]*\) passed.*/: \1 tests/p' "$1"; }

# part NAME SECONDS COMMAND...: runs it for so long at most, and notes how it ended. Its output goes
# to the logs.
part() {
    local name=$1 limit=$2 start=$SECONDS state log=results/logs/$1
    shift 2
    if ((TOTAL - SECONDS < limit)); then limit=$((TOTAL - SECONDS)); fi
    if ((limit < 5)); then
        note "$name" "skipped: no time left" 0
        return
    fi
    timeout -k 10 "$limit" "$@" >"$log.out" 2>"$log.err"
    case $? in
    0) state=passed$(tests_in "$log.out") ;;
    124 | 137) state="cut short after $limit s" ;;
    *) state="failed: see logs/$name.err and .out" ;;
    esac
    if [ "$state" = "passed: 0 tests" ]; then state="failed: no test of these names"; fi
    note "$name" "$state" $((SECONDS - start))
}

pip_libraries() {
    python3 -c 'import glob, nvidia
print(":".join(d for root in nvidia.__path__ for d in glob.glob(root + "/*/lib")))' 2>/dev/null
}

find_libraries() {
    local found missing
    callers_libraries=${LD_LIBRARY_PATH:-}
    cuda=${CUDA_HOME:-/usr/local/cuda}
    found=$cuda/lib64:$cuda/lib:$(pip_libraries)
    export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}${found%:}
    missing=$(ldd benches/gpu_reduction | sed -n 's/^\s*\(\S*\) => not found/\1/p')
    if [ -n "$missing" ]; then
        echo "not found: ${missing//$'\n'/, }" >&2
        echo "libcuda comes with the driver; the others with a CUDA toolkit, as of" \
            "$(tail -n 1 packed-from), whose folder belongs into CUDA_HOME" >&2
        exit 1
    fi
}

run_tests() {
    local test
    if [ -n "$quick" ]; then
        part test-rules 60 tests/rules "${SANITIZED[@]}"
        return
    fi
    for test in tests/*; do
        part "test-$(basename "$test")" 120 "$test"
    done
}

run_sanitizer() {
    local sanitizer tool test
    sanitizer=$(command -v compute-sanitizer || command -v "$cuda/bin/compute-sanitizer")
    for tool in memcheck racecheck initcheck synccheck; do
        for test in rules cuda; do
            [ -e "tests/$test" ] || continue
            if [ -z "$sanitizer" ]; then
                note "$tool-$test" "skipped: compute-sanitizer is not installed" 0
                continue
            fi
            # All of tests/cuda.rs, which is about CUDA alone; of the rules a few.
            local few=()
            if [ "$test" = rules ]; then few=("${SANITIZED[@]}"); fi
            part "$tool-$test" 60 "$sanitizer" --tool "$tool" --error-exitcode 3 \
                "tests/$test" --test-threads 1 ${few[@]+"${few[@]}"}
        done
    done
}

run_bench() {
    local arguments=()
    if [ -n "$quick" ]; then arguments=(--quick 32000/b1/f32/sparse); fi
    part bench 480 benches/gpu_reduction --json results/bench.json ${arguments[@]+"${arguments[@]}"}
}

# Compiling for each point takes most of the time, so only one vocabulary size is measured.
run_rivals() {
    local arguments=(131072/)
    if [ -n "$quick" ]; then arguments=(--quick --device cpu 32000/b1/f32/sparse); fi
    if [ -e results/bench.json ]; then arguments+=(--against results/bench.json); fi
    # PyTorch brings its own libraries, of another version maybe.
    local python=(env LD_LIBRARY_PATH="$callers_libraries" python3)
    if ! "${python[@]}" -c 'import torch' 2>results/logs/torch; then
        note rivals "skipped: no Python with PyTorch" 0
        return
    fi
    part rivals 300 "${python[@]}" benches/gpu_rivals.py --json results/rivals.json "${arguments[@]}"
}

machine() {
    nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,clocks.max.mem,memory.total \
        --format=csv,noheader 2>/dev/null || echo "no nvidia-smi"
}

# The text on stdin as a JSON string.
quote() {
    printf '"%s"' "$(tr -d '\000-\010\013-\037' | sed 's/\\/\\\\/g; s/"/\\"/g; s/\t/ /g' |
        sed -z 's/\n$//; s/\n/\\n/g')"
}

# The JSON in a file, or null.
embed() { if [ -s "$1" ]; then cat "$1"; else echo null; fi; }

results_json() {
    local name state seconds comma=
    echo "{\"packed_from\": $(quote <packed-from), \"machine\": $(machine | quote), \"parts\": ["
    while IFS='|' read -r name state seconds; do
        printf '%s{"part": %s, "state": %s, "seconds": %d}\n' "$comma" \
            "$(quote <<<"${name% }")" "$(quote <<<"$(xargs <<<"$state")")" "$seconds"
        comma=,
    done <"$parts"
    echo "], \"bench\": $(embed results/bench.json), \"rivals\": $(embed results/rivals.json)}"
}

results_md() {
    printf '# %s\n\n' "$(machine)"
    printf 'Packed from %s; run on %s.\n\n' "$(paste -sd, packed-from | sed 's/,/, /g')" "$(date -u +%F)"
    printf '| part | result | seconds |\n| --- | --- | ---: |\n'
    sed 's/^/| /; s/$/ |/' "$parts"
    local name
    for name in bench rivals; do
        if [ -s "results/logs/$name.out" ]; then
            printf '\n## %s\n\n' "$name"
            cat "results/logs/$name.out"
        fi
    done
}

find_libraries
run_tests
run_sanitizer
run_bench
run_rivals
results_json >results/results.json
results_md >results/results.md
echo "results/results.md, after $SECONDS s"
# A test that does not end is as bad as one that fails; a bench leaves what it has measured.
if grep -qE '\| failed|^(test|[a-z]+check)-.*\| cut short' "$parts"; then exit 1; fi
