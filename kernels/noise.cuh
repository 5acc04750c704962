// Gumbel noise that is counted, not stored: a function of seed, step, row and concept, so that no
// state but each row's step has to live anywhere, and threads can draw in any order.
//
// Philox-4x32-10 is from Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
// src/reduce/cpu/noise.rs draws the same numbers.
#pragma once

#include "abi.cuh"

struct Noise {
    uint32_t key[2];     // the seed
    uint32_t counter[2]; // the step: how many tokens the row has drawn before
    uint32_t row;
    // Four numbers serve four neighbouring concepts. Kept are those of eight, from 4 · `first` on,
    // which serve any four neighbours: so all lanes of a warp need new ones at the same time.
    uint32_t first = NONE / 2; // neighbour of none
    uint32_t kept[8];

    __device__ Noise(const uint64_t* noise, uint32_t batch_row) : row(batch_row) {
        const uint64_t seed = noise[0];
        const uint64_t step = noise[1 + batch_row];
        key[0] = static_cast<uint32_t>(seed);
        key[1] = static_cast<uint32_t>(seed >> 32);
        counter[0] = static_cast<uint32_t>(step);
        counter[1] = static_cast<uint32_t>(step >> 32);
    }

    // A number above 0 and below 1 for each concept.
    __device__ float uniform(uint32_t id) const {
        uint32_t numbers[4];
        philox(id / 4, numbers);
        return uniform_of(pick(numbers, id));
    }

    // The same, for concepts that are mostly asked for in fours.
    __device__ float uniform_in_turn(uint32_t id) {
        if (id / 4 - first > 1) {
            first = id / 4;
            philox(first, kept);
            philox(first + 1, kept + 4);
        }
        return uniform_of(id / 4 == first ? pick(kept, id) : pick(kept + 4, id));
    }

    // From a uniform number one with the distribution function e^(-e^-x), from -2.8 to 22.9. Large
    // ones come from numbers near 0, where f32 is finest: they decide.
    static __device__ float gumbel(float uniform) { return -logf(-log1pf(-uniform)); }

    // What `gumbel` is below, for a fraction of the work.
    static __device__ float above_gumbel(float uniform) {
        return -0.69314718f * __log2f(uniform) + 1e-3f;
    }

  private:
    static __device__ uint32_t pick(const uint32_t* numbers, uint32_t id) {
        const uint32_t low = id & 1 ? numbers[1] : numbers[0];
        const uint32_t high = id & 1 ? numbers[3] : numbers[2];
        return id & 2 ? high : low;
    }

    static __device__ float uniform_of(uint32_t bits) {
        return fminf((static_cast<float>(bits) + 0.5f) * 2.3283064e-10f, 0.99999994f);
    }

    __device__ void philox(uint32_t four, uint32_t* numbers) const {
        uint32_t c[4] = {four, row, counter[0], counter[1]};
        uint32_t k[2] = {key[0], key[1]};
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
#pragma unroll
        for (int i = 0; i < 4; ++i) numbers[i] = c[i];
    }
};

// `Noise::gumbel` is above it.
constexpr float LEAST_NOISE = -2.82f;
