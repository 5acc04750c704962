// The state of a softmax over part of a row, how two such states become one, and how the blocks of
// a row find out which of them is the last.
//
// A logit's weight is e^(l - max), with the maximum of the logits at hand, so that no weight
// overflows. The maximum is subtracted first, which is exact for all logits that matter. (Where a
// warp streams a tile, both are one fused multiply-add; tile.cuh says what that takes.)
//
// A logit more than 110 below the maximum has weight 0, even times its distance, and so has -inf:
// distances are cut off there, which also keeps 0 · inf away. A NaN, and a +inf (less itself),
// make a NaN of the sum; nothing else tests for them on the way.
#pragma once

#include "load.cuh"

constexpr uint32_t ALL = 0xffffffff;

constexpr float LOG2_E = 1.44269504f;
constexpr float LN_2 = 0.69314718f;
constexpr float LEAST_DISTANCE = -110.0f;
constexpr float SLACK = 1e-3f; // what rounding may cost a threshold
constexpr float LEAST_NORMAL = 1.17549435e-38f;
constexpr float MOST_NEGATIVE = -3.40282347e38f;

inline __device__ float infinity() { return __uint_as_float(0x7f800000); }
inline __device__ float nan() { return __uint_as_float(0x7fc00000); }

static_assert(sizeof(Sums) == sizeof(float4) && alignof(Sums) == alignof(float4),
              "sums are read and written in one go");

inline __device__ float exp2_flushing(float x) {
    float result;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
    return result;
}

// What logits with the maximum `max` are measured against.
inline __device__ float reference(float max) { return fmaxf(max, MOST_NEGATIVE); }

inline __device__ float distance(float logit, float reference) {
    return max_or_nan(logit - reference, LEAST_DISTANCE);
}

inline __device__ float weight_at(float distance) { return exp2_flushing(distance * LOG2_E); }

inline __device__ float weight(float logit, float reference) {
    return weight_at(distance(logit, reference));
}

// Two sums are rounded differently, so that all of the mass may seem a little more. Keeps NaN.
inline __device__ float at_most_1(float x) { return x > 1.0f ? 1.0f : x; }

inline __device__ Sums no_sums() { return {-infinity(), 0.0f, 0.0f, 0.0f}; }

// Brings the sums onto the scale of a maximum not below their own.
inline __device__ Sums rescale(Sums x, float max) {
    const float d = distance(x.max, reference(max));
    const float w = weight_at(d);
    return {max, x.sum * w, (x.dot + d * x.sum) * w, 0.0f};
}

inline __device__ Sums merge(Sums a, Sums b) {
    const float max = fmaxf(a.max, b.max);
    a = rescale(a, max);
    b = rescale(b, max);
    return {max, a.sum + b.sum, a.dot + b.dot, 0.0f};
}

// The row that a block works on; rows beyond the grid's second dimension are in its third, and
// what remains of that is no row.
inline __device__ uint32_t batch_row() { return blockIdx.z * gridDim.y + blockIdx.y; }

inline __device__ uint32_t lane() { return threadIdx.x % WARP; }
inline __device__ uint32_t warp() { return threadIdx.x / WARP; }

// f32 as integers in the same order, to be compared by integer instructions. NaN is somewhere.
inline __device__ uint32_t ordered(float x) {
    const uint32_t bits = __float_as_uint(x);
    return bits ^ (static_cast<int32_t>(bits) < 0 ? 0xffffffff : 0x80000000);
}
inline __device__ float from_ordered(uint32_t x) {
    return __uint_as_float(x ^ (static_cast<int32_t>(x) < 0 ? 0x80000000 : 0xffffffff));
}

inline __device__ float warp_max(float x) {
    return from_ordered(__reduce_max_sync(ALL, ordered(x)));
}

// What the lane has whose number differs by `step`.
template <class T> __device__ T from_partner(const T& x, uint32_t step) {
    constexpr uint32_t WORDS = sizeof(T) / sizeof(uint32_t);
    uint32_t words[WORDS];
    memcpy(words, &x, sizeof(T));
#pragma unroll
    for (uint32_t i = 0; i < WORDS; ++i) words[i] = __shfl_xor_sync(ALL, words[i], step);
    T other;
    memcpy(&other, words, sizeof(T));
    return other;
}

// What all lanes have, joined in pairs, in every lane. In each the same, if it does not matter
// which of two joins the other.
template <class T> __device__ void warp_join(T& x) {
#pragma unroll
    for (uint32_t step = WARP / 2; step > 0; step /= 2) x.join(from_partner(x, step));
}

// In every lane the same bits: a + b is b + a.
inline __device__ float warp_sum(float x) {
#pragma unroll
    for (uint32_t step = WARP / 2; step > 0; step /= 2) x += __shfl_xor_sync(ALL, x, step);
    return x;
}

// The sums of both over a warp, in every lane, with the bits of `warp_sum`. After the first step, half
// of the lanes go on with one of them, and half with the other.
inline __device__ void warp_sums(float& a, float& b) {
    const bool low = lane() < WARP / 2;
    float mine = low ? a : b;
    mine += __shfl_xor_sync(ALL, low ? b : a, WARP / 2);
#pragma unroll
    for (uint32_t step = WARP / 4; step > 0; step /= 2) mine += __shfl_xor_sync(ALL, mine, step);
    a = __shfl_sync(ALL, mine, 0);
    b = __shfl_sync(ALL, mine, WARP / 2);
}

// The sum over the lanes up to this one.
template <class X> __device__ X warp_sum_up_to(X x) {
#pragma unroll
    for (uint32_t step = 1; step < WARP; step *= 2) {
        const X other = __shfl_up_sync(ALL, x, step);
        x += lane() >= step ? other : 0;
    }
    return x;
}

// What all threads of a block have, joined, in every thread.
template <class X, class Join> __device__ X block_join(const X& of_this_warp, const Join& join) {
    __shared__ X of_warp[WARPS];
    __syncthreads();
    if (lane() == 0) of_warp[warp()] = of_this_warp;
    __syncthreads();
    X all = of_warp[0];
#pragma unroll
    for (uint32_t w = 1; w < WARPS; ++w) join(all, of_warp[w]);
    return all;
}

// What the threads before this one have together; and in `all`, what all of them have.
inline __device__ uint32_t before_in_block(uint32_t mine, uint32_t& all) {
    __shared__ uint32_t of_warp[WARPS];
    const uint32_t up_to = warp_sum_up_to(mine);
    __syncthreads();
    if (lane() == WARP - 1) of_warp[warp()] = up_to;
    __syncthreads();
    uint32_t before = up_to - mine;
    all = 0;
#pragma unroll
    for (uint32_t w = 0; w < WARPS; ++w) {
        before += w < warp() ? of_warp[w] : 0;
        all += of_warp[w];
    }
    return before;
}

// All threads' sums merged in a fixed order, in every thread.
inline __device__ Sums block_merge(Sums x) {
    __shared__ Sums of_warp[WARPS];
#pragma unroll
    for (uint32_t step = WARP / 2; step > 0; step /= 2) {
        Sums other;
        other.max = __shfl_down_sync(ALL, x.max, step);
        other.sum = __shfl_down_sync(ALL, x.sum, step);
        other.dot = __shfl_down_sync(ALL, x.dot, step);
        x = merge(x, other);
    }
    if (lane() == 0) of_warp[warp()] = x;
    __syncthreads();
    x = of_warp[0];
#pragma unroll
    for (uint32_t w = 1; w < WARPS; ++w) x = merge(x, of_warp[w]);
    return x;
}

// Whether this is the last of `count` threads to take a ticket, each of them for its block: it
// releases what the block has written and a barrier has ordered before, and acquires what the
// others have. A ticket counts from 0 to count - 1 and wraps round by itself, so that it is 0 again
// for the next launch, and nobody has to set it.
inline __device__ bool take_last_ticket(uint32_t* ticket, uint32_t count) {
    uint32_t before;
    asm volatile("atom.acq_rel.gpu.global.inc.u32 %0, [%1], %2;"
                 : "=r"(before)
                 : "l"(__cvta_generic_to_global(ticket)), "r"(count - 1)
                 : "memory");
    return before == count - 1;
}

// Whether this block is the last of `blocks` to come here; it then sees what all of them wrote to
// global memory before. One thread answers for the block, since a fence in each would cost more.
inline __device__ bool last_to_come(uint32_t* ticket, uint32_t blocks) {
    if (blocks == 1) {
        __syncthreads();
        return true;
    }
    __shared__ bool last;
    __syncthreads();
    if (threadIdx.x == 0) last = take_last_ticket(ticket, blocks);
    __syncthreads();
    return last;
}
