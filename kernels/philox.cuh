// Random numbers that are counted, not stored: a function of seed, step and row, so that no state but
// each row's step has to live anywhere.
//
// Philox-4x32-10 is from Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
// src/reduce/cpu/philox.rs has the same numbers.
#pragma once

#include "abi.cuh"

// From 0 to below 1, with 53 bits. `step` is how many tokens the row has drawn before.
inline __device__ double philox_uniform(uint64_t seed, uint64_t step, uint32_t row) {
    uint32_t c[4] = {0, row, static_cast<uint32_t>(step), static_cast<uint32_t>(step >> 32)};
    uint32_t k[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const uint32_t high0 = __umulhi(0xD2511F53, c[0]);
        const uint32_t low0 = 0xD2511F53 * c[0];
        const uint32_t high1 = __umulhi(0xCD9E8D57, c[2]);
        const uint32_t low1 = 0xCD9E8D57 * c[2];
        c[0] = high1 ^ c[1] ^ k[0];
        c[1] = low1;
        c[2] = high0 ^ c[3] ^ k[1];
        c[3] = low0;
        k[0] += 0x9E3779B9;
        k[1] += 0xBB67AE85;
    }
    const uint64_t bits = static_cast<uint64_t>(c[0] >> 5) << 26 | c[1] >> 6;
    return static_cast<double>(bits) * 0x1p-53;
}
