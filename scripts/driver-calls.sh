#!/usr/bin/env bash
# Counts the calls of the CUDA driver that a decision takes, as tests/cuda_calls.rs makes them, and
# prints them as Markdown. Fails if one takes more calls than that test allows.
#
#     bash scripts/driver-calls.sh [CARGO_ARGUMENT...]
#
# A library that is loaded before the driver's stands in for every function of it that the test is
# linked with, and counts its calls between cuProfilerStart and cuProfilerStop. It needs nvcc, a CUDA
# device, a C compiler and nm.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# All features, as for the other tests: candle would be compiled once more for others.
program=$(cargo test --release --all-features "$@" --test cuda_calls --no-run \
    --message-format=json-render-diagnostics |
    sed -n 's/.*"executable":"\([^"]*cuda_calls-[^"]*\)".*/\1/p')

nm -D --undefined-only "$program" |
    sed -n 's/^.* U \(cu[A-Z][A-Za-z0-9_]*\)\(@.*\)\?$/COUNTED(\1)/p' |
    grep -v 'cuProfiler' >"$work/names"
cat >"$work/counts.c" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>

/* Every argument of the driver's functions is a number or an address, and none has more of them. */
#define PARAMETERS long a, long b, long c, long d, long e, long f, long g, long h, long i, long j, \
    long k, long l
#define ARGUMENTS a, b, c, d, e, f, g, h, i, j, k, l

#define COUNTED(name) \
    static long count_##name; \
    int name(PARAMETERS) { \
        static int (*of_driver)(PARAMETERS); \
        if (!of_driver) of_driver = dlsym(RTLD_NEXT, #name); \
        __atomic_fetch_add(&count_##name, 1, __ATOMIC_RELAXED); \
        return of_driver(ARGUMENTS); \
    }
#include "names"
#undef COUNTED

int cuProfilerStart(void) {
#define COUNTED(name) count_##name = 0;
#include "names"
#undef COUNTED
    return 0;
}

int cuProfilerStop(void) {
#define COUNTED(name) if (count_##name) fprintf(stderr, "calls: %s: %ld\n", #name, count_##name);
#include "names"
    return 0;
}
END
cc -shared -fPIC -O1 -o "$work/counts.so" "$work/counts.c"
LD_PRELOAD=$work/counts.so "$program" --nocapture 2>"$work/log" >&2 || {
    cat "$work/log" >&2
    exit 1
}

awk -F': ' '
    function line() {
        if (name == "") return
        printf "| %s | %s | %g |%s |\n", name, use, total, each
        if (total > bound) {
            printf "%s, %s: %g calls, where %d are allowed\n", name, use, total, bound >"/dev/stderr"
            over = 1
        }
        if (total == 0) { print name ", " use ": nothing was counted" >"/dev/stderr"; over = 1 }
    }
    BEGIN {
        print "| device | a decision is | calls | of which |"
        print "| --- | --- | ---: | --- |"
    }
    $1 == "counted" { line(); name = $2; use = $3; decisions = $4; bound = $5; total = 0; each = "" }
    $1 == "calls" {
        total += $3 / decisions
        each = each (each == "" ? " " : ", ") sprintf("%s %g", $2, $3 / decisions)
    }
    END { line(); exit over || name == "" }
' "$work/log"
