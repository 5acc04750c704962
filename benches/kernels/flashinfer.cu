// Top-k and top-p sampling by dual-pivot rejection, as FlashInfer does it: include/flashinfer/
// sampling.cuh of github.com/flashinfer-ai/flashinfer (Apache-2.0), its OnlineSoftmaxMapKernel,
// OnlineSoftmaxReduceKernel, TopPSamplingFromProbKernel and TopKTopPSamplingFromProbKernel, read at
// commit 01e00b455209bc1dbde11af8d41e6731f51ee5f5 and in its form of 2026, which sums above the
// pivots within each thread and joins the block once a pass. The algorithm is theirs, the code is
// ours.
//
// Softmax, in two launches: blocks [row][slice] leave each slice's maximum and Σ exp, and a block a
// row joins them and writes the row's probabilities in f32.
//
// Sampling, one block a row. It never sorts, nor looks for the threshold itself:
//
//     low, high, mass = 0, 1, 1                  the mass is that of the tokens above low
//     loop
//         draw a token by its probability, of those above low: tile by tile, until the cumulative
//             sum is above uniform * mass
//         pivot0 = the token's probability, pivot1 = (pivot0 + high) / 2
//         for both pivots, in one pass over the row: how many tokens are above it, and their mass
//         pivot0 keeps to k and p   → done: so few are above the token that it is one of the kept
//         pivot1 keeps to k and p   → low, high, mass = pivot0, pivot1, what is above pivot0
//         else                      → low, mass = pivot1, what is above pivot1
//
// In joint mode p is a share of the whole row, whatever k leaves. Of tokens with equal
// probabilities all are kept, or none.
//
// What differs, each in the rival's favour: the softmax reads bf16 where FlashInfer has a copy of
// the logits in f32 made first, and loads sixteen bytes of it, which are eight logits for its four;
// parameters are arguments where FlashInfer may load them by row; one Philox counter a round stands
// for a cuRAND state.

#include <cub/block/block_adjacent_difference.cuh>
#include <cub/block/block_reduce.cuh>
#include <cuda/functional>

#include "sampling.cuh"

constexpr uint32_t BLOCK = 1024;
// The logits of a block of the softmax's first launch: FlashInfer's slices, and one load a thread.
constexpr uint32_t SLICE = BLOCK * PER_VECTOR;
// The probabilities of a thread's load, and of a block's.
constexpr uint32_t PER_LOAD = 4;
constexpr uint32_t TILE = BLOCK * PER_LOAD;
constexpr float INFINITY_F32 = __builtin_huge_valf();

// Of a part of a row.
struct Softmax {
    float max;
    // Of exp(logit - max).
    float sum;
};

struct Join {
    __device__ Softmax operator()(const Softmax& a, const Softmax& b) const {
        if (isinf(a.max)) return b;
        if (isinf(b.max)) return a;
        const float max = fmaxf(a.max, b.max);
        return {max, a.sum * __expf(a.max - max) + b.sum * __expf(b.max - max)};
    }
};

// Logits over the temperature; -inf past the row's end.
struct Logits {
    float of[PER_VECTOR];

    __device__ Logits(const uint4* row, uint32_t first, uint32_t width, float inverse_temperature) {
        const uint4 v = first < width ? __ldg(row + first / PER_VECTOR) : uint4{};
#pragma unroll
        for (uint32_t n = 0; n < PER_VECTOR; ++n) {
            // Rounded before anything is subtracted, so that no probability is above 1.
            const float scaled = __fmul_rn(widen(v, n), inverse_temperature);
            of[n] = first < width ? scaled : -INFINITY_F32;
        }
    }
};

__device__ const uint4* row_of(const uint4* logits, uint32_t width) {
    return logits + static_cast<uint64_t>(blockIdx.x) * (width / PER_VECTOR);
}

// Grid [row][slice].
extern "C" __global__ void __launch_bounds__(BLOCK)
    flashinfer_softmax_slices(const uint4* __restrict__ logits, uint32_t width,
                              float inverse_temperature, Softmax* __restrict__ slices) {
    using Reduce = cub::BlockReduce<float, BLOCK>;
    __shared__ typename Reduce::TempStorage storage;
    __shared__ float shared_max;
    const uint32_t first = blockIdx.y * SLICE + threadIdx.x * PER_VECTOR;
    const Logits mine(row_of(logits, width), first, width, inverse_temperature);
    float max = -INFINITY_F32;
#pragma unroll
    for (uint32_t n = 0; n < PER_VECTOR; ++n) max = fmaxf(max, mine.of[n]);
    max = Reduce(storage).Reduce(max, cuda::maximum<>{});
    if (threadIdx.x == 0) shared_max = max;
    __syncthreads();
    max = shared_max;
    float sum = 0;
    if (!isinf(max)) {
#pragma unroll
        for (uint32_t n = 0; n < PER_VECTOR; ++n) sum += __expf(mine.of[n] - max);
    }
    sum = Reduce(storage).Sum(sum);
    if (threadIdx.x == 0) slices[blockIdx.x * gridDim.y + blockIdx.y] = {max, sum};
}

extern "C" __global__ void __launch_bounds__(BLOCK)
    flashinfer_softmax_rows(const uint4* __restrict__ logits, uint32_t width,
                            float inverse_temperature, const Softmax* __restrict__ slices,
                            float4* __restrict__ probs) {
    using Reduce = cub::BlockReduce<Softmax, BLOCK>;
    __shared__ typename Reduce::TempStorage storage;
    __shared__ Softmax shared_row;
    const uint32_t count = (width + SLICE - 1) / SLICE;
    Softmax row = {-INFINITY_F32, 0};
    for (uint32_t i = threadIdx.x; i < count; i += BLOCK) {
        row = Join{}(row, slices[blockIdx.x * count + i]);
    }
    row = Reduce(storage).Reduce(row, Join{});
    if (threadIdx.x == 0) shared_row = row;
    __syncthreads();
    const float max = shared_row.max;
    const float scale = 1 / shared_row.sum;
    float4* const out = probs + static_cast<uint64_t>(blockIdx.x) * (width / PER_LOAD);
    for (uint32_t i = threadIdx.x * PER_VECTOR; i < width; i += SLICE) {
        const Logits mine(row_of(logits, width), i, width, inverse_temperature);
        float p[PER_VECTOR];
#pragma unroll
        for (uint32_t n = 0; n < PER_VECTOR; ++n) p[n] = __expf(mine.of[n] - max) * scale;
        out[i / PER_LOAD] = make_float4(p[0], p[1], p[2], p[3]);
        out[i / PER_LOAD + 1] = make_float4(p[4], p[5], p[6], p[7]);
    }
}

// What is above a pivot.
struct Above {
    float mass;
    uint32_t count;

    __device__ Above operator+(const Above& other) const {
        return {mass + other.mass, count + other.count};
    }
};

struct Differ {
    __device__ bool operator()(bool a, bool b) const { return a != b; }
};

using Sums = cub::BlockReduce<float, BLOCK>;
using Maxima = cub::BlockReduce<int, BLOCK>;
using Aboves = cub::BlockReduce<Above, BLOCK>;
using Heads = cub::BlockAdjacentDifference<bool, BLOCK>;

struct Shared {
    union {
        typename Sums::TempStorage sums;
        typename Maxima::TempStorage maxima;
        typename Aboves::TempStorage aboves;
        typename Heads::TempStorage heads;
    };
    float of_warps[BLOCK / WARP];
    float mass;
    Above above;
    // The token found, and the last that might have been.
    int token;
    int last;
};

// The sum over the lanes before this one, in an order that is always the same: Blelloch's sweep up a
// tree and down again. Gives the sum over all lanes, too.
__device__ float sum_before(float mine, float* all) {
    const uint32_t lane = threadIdx.x % WARP;
#pragma unroll
    for (uint32_t step = 1; step < WARP; step *= 2) {
        const float other = __shfl_up_sync(ALL, mine, step);
        if ((lane + 1) % (step * 2) == 0) mine += other;
    }
    *all = __shfl_sync(ALL, mine, WARP - 1);
    if (lane == WARP - 1) mine = 0;
#pragma unroll
    for (uint32_t step = WARP / 2; step > 0; step /= 2) {
        const float other = __shfl_xor_sync(ALL, mine, step);
        if ((lane + 1) % (step * 2) == 0) mine = other + mine;
        if ((lane + 1) % (step * 2) == step) mine = other;
    }
    return mine;
}

// The cumulative sums of a tile, each with its own probability.
__device__ void cumulative(const float (&p)[PER_LOAD], float (&sums)[PER_LOAD], Shared& shared) {
    float mine = 0;
#pragma unroll
    for (uint32_t n = 0; n < PER_LOAD; ++n) sums[n] = mine += p[n];
    float of_warp;
    const float before = sum_before(mine, &of_warp);
    const uint32_t warp = threadIdx.x / WARP;
    if (threadIdx.x % WARP == 0) shared.of_warps[warp] = of_warp;
    __syncthreads();
    if (warp == 0) {
        float all;
        shared.of_warps[threadIdx.x] = sum_before(shared.of_warps[threadIdx.x], &all);
    }
    __syncthreads();
#pragma unroll
    for (uint32_t n = 0; n < PER_LOAD; ++n) sums[n] += shared.of_warps[warp] + before;
}

// Looks in a tile for the first token at which the cumulative sum of what is above `low` exceeds
// `target`, `before` being the sum over earlier tiles. Gives the sum with this tile.
__device__ float find_in_tile(uint32_t tile, const float4& v, float low, float target, float before,
                              Shared& shared) {
    const int first = static_cast<int>((tile * BLOCK + threadIdx.x) * PER_LOAD);
    const float all[PER_LOAD] = {v.x, v.y, v.z, v.w};
    float p[PER_LOAD];
#pragma unroll
    for (uint32_t n = 0; n < PER_LOAD; ++n) p[n] = all[n] > low ? all[n] : 0;
    const float sum = Sums(shared.sums).Sum(p);
    if (threadIdx.x == 0) shared.mass = sum;
    __syncthreads();
    const float of_tile = shared.mass;

    if (before + of_tile > target) {
        float sums[PER_LOAD];
        cumulative(p, sums, shared);
        bool beyond[PER_LOAD], heads[PER_LOAD];
#pragma unroll
        for (uint32_t n = 0; n < PER_LOAD; ++n) beyond[n] = sums[n] + before > target && p[n] > 0;
        Heads(shared.heads).SubtractLeft(beyond, heads, Differ{});
        __syncthreads();
#pragma unroll
        for (int n = 0; n < static_cast<int>(PER_LOAD); ++n) {
            if (heads[n]) atomicMin(&shared.token, first + n);
        }
        __syncthreads();
    }

    int possible[PER_LOAD];
#pragma unroll
    for (int n = 0; n < static_cast<int>(PER_LOAD); ++n) possible[n] = p[n] > 0 ? first + n : -1;
    const int last = Maxima(shared.maxima).Reduce(possible, cuda::maximum<>{});
    if (threadIdx.x == 0 && last != -1) shared.last = last;
    __syncthreads();
    return before + of_tile;
}

// The sum over the block, for all threads.
template <bool COUNTS>
__device__ Above join(const Above& mine, Shared& shared) {
    if constexpr (COUNTS) {
        const Above all = Aboves(shared.aboves).Sum(mine);
        if (threadIdx.x == 0) shared.above = all;
    } else {
        const float mass = Sums(shared.sums).Sum(mine.mass);
        if (threadIdx.x == 0) shared.above = {mass, 0};
    }
    __syncthreads();
    return shared.above;
}

// Without COUNTS k is no bound, and nothing is counted.
template <bool COUNTS>
__device__ void sample(const float* __restrict__ probs, uint32_t width, uint32_t k, float p,
                       uint64_t seed, uint32_t* __restrict__ tokens) {
    __shared__ Shared shared;
    const float* const row = probs + static_cast<uint64_t>(blockIdx.x) * width;
    const uint32_t tiles = (width + TILE - 1) / TILE;
    const auto load = [&](uint32_t tile) {
        const uint32_t first = (tile * BLOCK + threadIdx.x) * PER_LOAD;
        return first < width ? __ldg(reinterpret_cast<const float4*>(row + first)) : float4{};
    };
    float low = 0, high = 1, mass = 1;
    int token;
    uint32_t round = 0;
    do {
        if (threadIdx.x == 0) {
            shared.token = static_cast<int>(width);
            shared.last = -1;
        }
        __syncthreads();
        const float target = uniform(seed, blockIdx.x, round++) * mass;
        float sum = 0;
#pragma unroll 2
        for (uint32_t tile = 0; tile < tiles && sum <= target; ++tile) {
            sum = find_in_tile(tile, load(tile), low, target, sum, shared);
        }
        token = shared.token;
        // Where rounding leaves the target above the sum.
        if (token == static_cast<int>(width)) token = shared.last;
        // A row without any probability.
        if (token == -1) break;

        const float pivots[2] = {row[token], (row[token] + high) * 0.5f};
        Above above[2] = {};
#pragma unroll 2
        for (uint32_t tile = 0; tile < tiles; ++tile) {
            const float4 v = load(tile);
            const float all[PER_LOAD] = {v.x, v.y, v.z, v.w};
#pragma unroll
            for (uint32_t n = 0; n < PER_LOAD; ++n) {
#pragma unroll
                for (uint32_t i = 0; i < 2; ++i) {
                    const bool is_above = all[n] > pivots[i];
                    above[i].mass += is_above ? all[n] : 0;
                    if (COUNTS) above[i].count += is_above;
                }
            }
        }
#pragma unroll
        for (uint32_t i = 0; i < 2; ++i) above[i] = join<COUNTS>(above[i], shared);
        const auto keeps = [&](const Above& above) {
            return above.mass < p && (!COUNTS || above.count < k);
        };
        if (keeps(above[0])) break;
        if (keeps(above[1])) {
            low = pivots[0];
            high = pivots[1];
            mass = above[0].mass;
        } else {
            low = pivots[1];
            mass = above[1].mass;
        }
    } while (low < high);
    if (threadIdx.x == 0) tokens[blockIdx.x] = static_cast<uint32_t>(token);
}

extern "C" __global__ void __launch_bounds__(BLOCK)
    flashinfer_top_p(const float* probs, uint32_t width, uint32_t k, float p, uint64_t seed,
                     uint32_t* tokens) {
    sample<false>(probs, width, k, p, seed, tokens);
}

extern "C" __global__ void __launch_bounds__(BLOCK)
    flashinfer_top_k_top_p(const float* probs, uint32_t width, uint32_t k, float p, uint64_t seed,
                           uint32_t* tokens) {
    sample<true>(probs, width, k, p, seed, tokens);
}
