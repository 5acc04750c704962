// What the rivals of the crate's sampler share: logits in bf16, and a number for each draw.
//
// They sample plain tokens and share nothing with kernels/, as rivals.cu says.
#pragma once

#include <cstdint>

constexpr uint32_t WARP = 32;
constexpr uint32_t ALL = 0xffffffff;

// Logits in sixteen bytes.
constexpr uint32_t PER_VECTOR = 8;

// The n-th logit of a vector.
__device__ inline float widen(const uint4& v, uint32_t n) {
    const uint32_t word = n < 2 ? v.x : n < 4 ? v.y : n < 6 ? v.z : v.w;
    return __uint_as_float(n % 2 == 0 ? word << 16 : word & 0xffff0000);
}

// Philox4x32-10 of a seed and a counter: four words, of which no draw needs more than the first.
// Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011).
__device__ inline uint32_t philox(uint64_t seed, uint32_t row, uint32_t round) {
    uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
    uint4 c = make_uint4(round, 0, row, 0);
#pragma unroll
    for (uint32_t i = 0; i < 10; ++i) {
        c = make_uint4(__umulhi(0xcd9e8d57, c.z) ^ c.y ^ key0, 0xcd9e8d57 * c.z,
                       __umulhi(0xd2511f53, c.x) ^ c.w ^ key1, 0xd2511f53 * c.x);
        key0 += 0x9e3779b9;
        key1 += 0xbb67ae85;
    }
    return c.x;
}

// From 0 to below 1, for a row's draw of this round.
__device__ inline float uniform(uint64_t seed, uint32_t row, uint32_t round) {
    return static_cast<float>(philox(seed, row, round) >> 8) * 0x1p-24f;
}
