// The tokens that a request has seen: a bit for each token, and a count that means something where the bit
// is set. So a slot is cleared by clearing the bits.
#pragma once

#include "sparse.cuh"

// Counts a token; no other thread counts the same one of the same request.
inline __device__ void see(uint32_t* seen, uint32_t* counts, uint32_t token, uint32_t times) {
    const bool again = has_bit(atomicOr(&seen[token / 32], 1u << token % 32), token);
    const uint32_t before = again ? counts[token] : 0;
    counts[token] = before + min(times, 0xffffffff - before);
}
