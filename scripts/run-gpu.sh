#!/usr/bin/env bash
# Measures and tests the crate on this machine's GPU, in nine minutes at most. It lies in the folder
# that comes out of the archive of scripts/pack-gpu.sh, and leaves
#
#     results/results.md      to be read
#     results/results.json    the same for programs
#     results/log.txt         what each part said
#     results/*.json, *.csv   what the parts themselves have written
#
# All of these are written anew after each part, so that a run that is killed leaves what it had. What
# is wanted most comes first: loading, the bench, its rivals, the tests, compute-sanitizer, ncu.
#
# It needs NVIDIA's driver and the libraries of the CUDA toolkit (cudart, cublas, curand), of the
# major version that `packed-from` names, in CUDA_HOME, /usr/local/cuda, LD_LIBRARY_PATH, or where
# PyTorch's wheels put them. compute-sanitizer, ncu, and Python with PyTorch are used if they are there.
#
#     ./run.sh               # everything
#     LIMIT=1200 ./run.sh    # in so many seconds
#     RESULTS=DIR ./run.sh   # results in another folder
#     QUICK=1 ./run.sh       # a few of the tests, answers without times: to see that this script works
set -uo pipefail
results=$(realpath -m "${RESULTS:-$(dirname "$0")/results}")
cd "$(dirname "$0")" || exit
quick=${QUICK:-}
limit=${LIMIT:-540}

# The rules that compute-sanitizer sees, which is some hundred times slower: every operation that
# they test, with several blocks and rows.
SANITIZED=(
    the_papers_example_flips
    ties_between_a_pooled_concept_and_a_singleton
    masses_add_up_to_one
    a_nan_anywhere_marks_its_row_alone
    the_same_bits_alone_and_anywhere_in_a_batch_in_any_layout
)

# What ncu counts of each kernel.
METRICS=gpu__time_duration.sum
METRICS+=,dram__bytes_read.sum,dram__throughput.avg.pct_of_peak_sustained_elapsed
METRICS+=,lts__t_sectors_op_read.sum,sm__throughput.avg.pct_of_peak_sustained_elapsed
METRICS+=,sm__warps_active.avg.pct_of_peak_sustained_active,smsp__inst_executed.sum
METRICS+=,launch__registers_per_thread,launch__grid_size,launch__block_size

mkdir -p "$results"
rm -f "$results"/{results.md,{results,load,bench,rivals}.json,ncu-*.csv,log.txt}
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
# Lines of name | state | seconds.
parts=$logs/parts
: >"$parts"

note() {
    echo "$1 | $2 | $3" >>"$parts"
    echo "$1: $2 ($3 s)"
    write_results
}

# share PERCENT PARTS: so many parts follow, which together may take so much of the time that is left.
# What they leave is for those after them.
share() {
    deadline=$((SECONDS + (limit - SECONDS) * $1 / 100))
    parts_left=$2
}

# How many tests passed, if it was tests that left this log.
tests_in() { sed -n 's/^test result: ok\. \([0-9]*\) passed.*/: \1 tests/p' "$1"; }

# part NAME COMMAND...: runs it, for twice its even part of its group's time at most, and notes how it
# ended. Its output goes to the logs.
part() {
    local name=$1 start=$SECONDS state log=$logs/$1
    local most=$(((deadline - SECONDS) * 2 / (parts_left + 1)))
    parts_left=$((parts_left - 1))
    shift
    if ((most < 3)); then
        note "$name" "skipped: no time left" 0
        return
    fi
    timeout -k 5 "$most" "$@" >"$log.out" 2>"$log.err"
    case $? in
    0) state=passed$(tests_in "$log.out") ;;
    124 | 137) state="cut short after $most s" ;;
    *) state="failed: see log.txt" ;;
    esac
    # Where only the administrator may look at counters, that is no fault of the kernels.
    if grep -qs ERR_NVGPUCTRPERM "$log".*; then state="skipped: not permitted on this machine"; fi
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

# What loading takes comes first, since the disk has not read anything yet.
run_bench() {
    local arguments=()
    if [ -n "$quick" ]; then arguments=(--quick 32000/b1/bf16/sparse); fi
    share 8 1
    part load benches/gpu_reduction --load --json "$results/load.json"
    share 36 1
    part bench benches/gpu_reduction --json "$results/bench.json" ${arguments[@]+"${arguments[@]}"}
}

run_rivals() {
    local arguments=(--json "$results/rivals.json")
    if [ -n "$quick" ]; then arguments+=(--quick --device cpu 32000/b1/bf16/sparse); fi
    if [ -e "$results/bench.json" ]; then arguments+=(--against "$results/bench.json"); fi
    # PyTorch brings its own libraries, of another version maybe.
    local python=(env LD_LIBRARY_PATH="$callers_libraries" python3)
    if ! "${python[@]}" -c 'import torch' 2>/dev/null; then
        note rivals "skipped: no Python with PyTorch" 0
        return
    fi
    share 40 1
    part rivals "${python[@]}" benches/gpu_rivals.py "${arguments[@]}"
}

run_tests() {
    local test all=(tests/*)
    if [ -n "$quick" ]; then
        share 50 1
        part test-rules tests/rules "${SANITIZED[@]}"
        return
    fi
    share 55 ${#all[@]}
    for test in "${all[@]}"; do
        part "test-$(basename "$test")" "$test"
    done
}

run_sanitizer() {
    local sanitizer tool test few options
    sanitizer=$(command -v compute-sanitizer || command -v "$cuda/bin/compute-sanitizer")
    if [ -z "$sanitizer" ]; then
        note sanitizer "skipped: compute-sanitizer is not installed" 0
        return
    fi
    share 75 8
    for tool in memcheck racecheck initcheck synccheck; do
        options=(--tool "$tool" --error-exitcode 3)
        # Tests provoke errors of the driver's calls (memory that is not there, captures that end
        # early), and look at what the crate says of them. What counts here are those of kernels.
        if [ "$tool" = memcheck ]; then options+=(--report-api-errors no); fi
        for test in rules cuda; do
            # All of tests/cuda.rs, which is about CUDA alone; of the rules a few.
            few=()
            if [ "$test" = rules ]; then few=("${SANITIZED[@]}"); fi
            part "$tool-$test" "$sanitizer" "${options[@]}" \
                "tests/$test" --test-threads 1 ${few[@]+"${few[@]}"}
        done
    done
}

# The kernels of all operations on one row, and on 64.
run_ncu() {
    local ncu
    ncu=$(command -v ncu || command -v "$cuda/bin/ncu" || find /opt/nvidia -name ncu -type f 2>/dev/null | tail -n 1)
    if [ -z "$ncu" ]; then
        note ncu "skipped: ncu is not installed" 0
        return
    fi
    share 100 2
    # The crate's, and those that are the bench's floor.
    local point names
    names="regex:^($(paste -sd'|' kernels)|read_all|argmax)"
    for point in b64 b1; do
        part "ncu-$point" "$ncu" --kernel-name "$names" --launch-count 24 --metrics "$METRICS" \
            --csv --page raw --log-file "$logs/ncu-$point.csv" \
            benches/gpu_reduction --answers "128256/$point/bf16/spellings62"
        # Lines with == are what ncu says, not what it has counted.
        grep -hsv '^==' "$logs/ncu-$point.csv" >"$results/ncu-$point.csv"
        write_results
    done
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
    echo "{\"packed_from\": $(quote <packed-from), \"machine\": $(quote <<<"$machine"), \"parts\": ["
    while IFS='|' read -r name state seconds; do
        printf '%s{"part": %s, "state": %s, "seconds": %d}\n' "$comma" \
            "$(quote <<<"${name% }")" "$(quote <<<"$(xargs <<<"$state")")" "$seconds"
        comma=,
    done <"$parts"
    echo "]"
    for name in load bench rivals; do
        echo ", \"$name\": $(embed "$results/$name.json")"
    done
    echo "}"
}

# The columns of ncu's CSV that are wanted, as a table: kernel, block, grid, and what was counted.
ncu_table() {
    sed 's/^"//; s/"$//; s/|/ /g' "$1" | awk -F '","' '
        function line(rule,  i) {
            printf "|"
            for (i = 1; i <= NF; i++)
                if (i == 5 || i == 8 || i == 9 || i > 11) printf " %s |", rule ? "---" : $i
            print ""
        }
        { line(0) }
        NR == 1 { line(1) }'
}

results_md() {
    printf '# %s\n\n' "$machine"
    printf 'Packed from %s; run on %s.\n\n' "$(paste -sd';' packed-from | sed 's/;/, /g')" "$(date -u +%F)"
    printf '| part | result | seconds |\n| --- | --- | ---: |\n'
    sed 's/^/| /; s/$/ |/' "$parts"
    local name
    for name in load bench rivals; do
        if [ -s "$logs/$name.out" ]; then
            printf '\n## %s\n\n' "$name"
            cat "$logs/$name.out"
        fi
    done
    for name in "$results"/ncu-*.csv; do
        if [ -s "$name" ]; then
            printf '\n## %s\n\n' "$(basename "$name" .csv)"
            ncu_table "$name"
        fi
    done
}

# One file, for machines from which few may be fetched; the end of what each part has said.
all_logs() {
    local log
    for log in "$logs"/*.out "$logs"/*.err; do
        if [ -s "$log" ]; then
            echo "=== $(basename "$log")"
            tail -c 250000 "$log"
        fi
    done
}

# Under another name first, so that what is there is always whole.
write_results() {
    local name
    results_json >"$logs/results.json"
    results_md >"$logs/results.md"
    all_logs >"$logs/log.txt"
    for name in results.json results.md log.txt; do
        mv "$logs/$name" "$results/$name"
    done
}

machine=$(nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,clocks.max.mem,memory.total \
    --format=csv,noheader 2>/dev/null || echo "no nvidia-smi")
find_libraries
run_bench
run_rivals
run_tests
run_sanitizer
run_ncu
echo "$results/results.md, after $SECONDS s"
# A test that does not end is as bad as one that fails; a bench leaves what it has measured.
if grep -qE '\| failed|^(test|[a-z]+check)-.*\| cut short' "$parts"; then exit 1; fi
