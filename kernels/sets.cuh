// The members of one set, a concept or one that is measured, gathered by a thread, a warp or a
// block.
#pragma once

#include "row.cuh"

// What is found of a set, measured against some reference.
struct Gathered {
    float weight;   // Σ e^d, with the distances d of the members' logits to the reference
    float dot;      // Σ d e^d
    float max;      // the largest logit
    uint32_t token; // the lowest token that has it: the representative

    __device__ void add(float logit, uint32_t member, float reference) {
        const float d = distance(logit, reference);
        const float w = weight_at(d);
        weight += w;
        dot += d * w;
        better(logit, member);
    }

    __device__ void better(float logit, uint32_t member) {
        if (logit > max || (logit == max && member < token)) {
            max = logit;
            token = member;
        }
    }

    // a + b is b + a, so that all partners get the same bits.
    __device__ void join(const Gathered& other) {
        weight += other.weight;
        dot += other.dot;
        better(other.max, other.token);
    }
};

inline __device__ Gathered gathered_nothing() { return {0.0f, 0.0f, -infinity(), NONE}; }

// The members of one set.
struct Members {
    const uint32_t* tokens;
    uint32_t size;

    __device__ Members(const Sets& sets, uint32_t rank) {
        const uint32_t start = sets.starts[rank];
        tokens = sets.members + start;
        size = sets.starts[rank + 1] - start;
    }
};

// Gathers a set by WIDTH threads, all of which call this and get the result: 1, WARP or THREADS
// (all of the block).
template <uint32_t WIDTH, class T>
__device__ Gathered gather(const LogitRow<T>& row, const Members& members, float reference) {
    Gathered got = gathered_nothing();
    // Loads first: they are independent of each other, the sums are not.
    constexpr uint32_t AT_ONCE = 4;
    for (uint32_t begin = threadIdx.x % WIDTH; begin < members.size; begin += WIDTH * AT_ONCE) {
        uint32_t token[AT_ONCE];
        float logit[AT_ONCE];
#pragma unroll
        for (uint32_t k = 0; k < AT_ONCE; ++k) {
            const uint32_t i = begin + k * WIDTH;
            token[k] = i < members.size ? members.tokens[i] : NONE;
        }
#pragma unroll
        for (uint32_t k = 0; k < AT_ONCE; ++k) {
            logit[k] = token[k] != NONE ? row[token[k]] : -infinity();
        }
#pragma unroll
        for (uint32_t k = 0; k < AT_ONCE; ++k) {
            if (token[k] != NONE) got.add(logit[k], token[k], reference);
        }
    }
    if constexpr (WIDTH > 1) warp_join(got);
    if constexpr (WIDTH == THREADS) {
        __shared__ Gathered of_warp[WARPS];
        __syncthreads();
        if (lane() == 0) of_warp[warp()] = got;
        __syncthreads();
        got = of_warp[0];
#pragma unroll
        for (uint32_t w = 1; w < WARPS; ++w) got.join(of_warp[w]);
    }
    return got;
}
