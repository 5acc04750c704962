// Which of many things a uniform number falls on, if each is as wide as its weight.
#pragma once

#include "row.cuh"

// To be called by the whole block. `weight_of(i)`, from 0 on, is the weight of one of `count` things: the
// same each time, without a barrier, since one thread asks twice. Every thread gets the first thing whose
// cumulative weight exceeds `uniform` (from 0 to below 1) times the sum of all, and in `uniform` what is
// left of it, scaled to a uniform number again. NONE if there is no weight, or if the sum is not a number.
//
// Each thread sums neighbours, then come the threads of a warp in their order, then the warps: one order,
// whatever the weights. Where rounding lets a sum end early, the last thing of the thread that has a weight
// is chosen, and never one without.
template <class Weight>
__device__ uint32_t choose(uint32_t count, double& uniform, const Weight& weight_of) {
    __shared__ double of_thread[THREADS];
    __shared__ double of_warp[WARPS];
    __shared__ uint32_t chosen;
    __shared__ double rest;
    const uint32_t each = (count + THREADS - 1) / THREADS;
    const uint32_t begin = min(threadIdx.x * each, count);
    const uint32_t end = min(begin + each, count);
    double mine = 0.0;
    for (uint32_t i = begin; i < end; ++i) mine += weight_of(i);
    of_thread[threadIdx.x] = mine;
    if (threadIdx.x == 0) chosen = NONE, rest = 0.0;
    __syncthreads();
    double before = 0.0;
    double sum = 0.0;
#pragma unroll 8
    for (uint32_t k = 0; k < WARP; ++k) {
        before = k == lane() ? sum : before;
        sum += of_thread[warp() * WARP + k];
    }
    double after = before + mine; // as the next lane's `before`
    if (lane() == 0) of_warp[warp()] = sum;
    __syncthreads();
    double total = 0.0;
    double before_warp = 0.0;
#pragma unroll
    for (uint32_t w = 0; w < WARPS; ++w) {
        before_warp = w == warp() ? total : before_warp;
        total += of_warp[w];
    }
    const double after_warp = before_warp + sum; // as the next warp's `before_warp`
    before += before_warp;
    after = lane() + 1 < WARP ? after + before_warp : after_warp;
    const double target = fmin(uniform * total, total * (1.0 - 0x1p-52));
    if (total > 0.0 && mine > 0.0 && before <= target && target < after) {
        double from = before;
        double at = before;
        double width = 0.0;
        uint32_t found = NONE;
        for (uint32_t i = begin; i < end; ++i) {
            const double weight = weight_of(i);
            if (weight > 0.0 && (found == NONE || at <= target)) found = i, from = at, width = weight;
            at += weight;
        }
        chosen = found;
        rest = fmin(fmax((target - from) / width, 0.0), 1.0 - 0x1p-53);
    }
    __syncthreads();
    uniform = rest;
    const uint32_t result = chosen;
    __syncthreads();
    return result;
}
