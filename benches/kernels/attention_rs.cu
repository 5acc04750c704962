// Top-k and top-p sampling in two stages, as attention.rs does it: src/kernels/src/gpu_sampling.cu of
// github.com/guoqingbao/attention.rs (Apache-2.0), its stageA_local_topk and
// stageB_reduce_and_sample, read at commit 530c7e7d6b13dd20cbadb2d2cbacf9e684f92dc6. The algorithm
// is theirs, the code is ours.
//
// Stage one, blocks [row][tile]: a block sorts its 1,024 logits by CUB's radix sort, and leaves the
// largest K with their tokens, where K is k rounded up to 32, 64, 128 or 256.
//
// Stage two, a block a row: one thread merges the lists of all tiles, one after the other, into the
// row's largest K; then takes the softmax over the first k of them, the shortest prefix that holds p
// of it, and a token of that by its share.
//
// So p is a share of what k leaves, and k is 256 at most: where a request names no k, p is a share of
// the 256 likeliest tokens.
//
// What differs: a block's sort leaves ranks striped over its threads, as the code that stores them
// expects, where attention.rs has them blocked, so that of four candidates it keeps one; and, in the
// rival's favour, the merge goes to and fro between two lists in shared memory, where attention.rs
// merges into local memory and copies.

#include <cub/block/block_radix_sort.cuh>

#include "sampling.cuh"

constexpr uint32_t BLOCK = 256;
constexpr uint32_t PER_THREAD = 4;
constexpr uint32_t TILE = BLOCK * PER_THREAD;
constexpr float INFINITY_F32 = __builtin_huge_valf();

// Grid [row][tile]. `logits` and `tokens` have places [row][tile][K].
template <uint32_t K>
__device__ void largest_of_tile(const uint16_t* __restrict__ all, uint32_t width,
                                float inverse_temperature, float* __restrict__ logits,
                                uint32_t* __restrict__ tokens) {
    using Sort = cub::BlockRadixSort<float, BLOCK, PER_THREAD, uint32_t>;
    __shared__ typename Sort::TempStorage storage;
    const uint16_t* const row = all + static_cast<uint64_t>(blockIdx.x) * width;
    float logit[PER_THREAD];
    uint32_t token[PER_THREAD];
#pragma unroll
    for (uint32_t j = 0; j < PER_THREAD; ++j) {
        const uint32_t i = blockIdx.y * TILE + j * BLOCK + threadIdx.x;
        const bool is_inside = i < width;
        const uint32_t bits = is_inside ? __ldg(row + i) : 0;
        logit[j] = is_inside ? __uint_as_float(bits << 16) * inverse_temperature : -INFINITY_F32;
        token[j] = is_inside ? i : ALL;
    }
    Sort(storage).SortDescendingBlockedToStriped(logit, token);
    const uint32_t start = (blockIdx.x * gridDim.y + blockIdx.y) * K;
#pragma unroll
    for (uint32_t j = 0; j < PER_THREAD; ++j) {
        const uint32_t rank = j * BLOCK + threadIdx.x;
        if (rank < K) {
            logits[start + rank] = logit[j];
            tokens[start + rank] = token[j];
        }
    }
}

// Likely tokens, the likeliest first.
template <uint32_t K>
struct List {
    float logits[K];
    uint32_t tokens[K];
};

template <uint32_t K>
__device__ void merge(const List<K>& a, const List<K>& b, List<K>& out) {
    uint32_t of_a = 0, of_b = 0;
    for (uint32_t rank = 0; rank < K; ++rank) {
        // Together they are at most K - 1 here.
        const bool takes_b = b.logits[of_b] > a.logits[of_a];
        out.logits[rank] = takes_b ? b.logits[of_b] : a.logits[of_a];
        out.tokens[rank] = takes_b ? b.tokens[of_b] : a.tokens[of_a];
        of_a += !takes_b;
        of_b += takes_b;
    }
}

// A token of the list's first k, by one thread. Overwrites the logits.
template <uint32_t K>
__device__ uint32_t pick(List<K>& list, uint32_t k, float p, uint64_t seed) {
    float* const probs = list.logits;
    const float max = list.logits[0];
    double sum = 0;
    for (uint32_t i = 0; i < k; ++i) {
        probs[i] = expf(list.logits[i] - max);
        sum += probs[i];
    }
    const float total = fmaxf(static_cast<float>(sum), 1e-20f);
    for (uint32_t i = 0; i < k; ++i) probs[i] /= total;
    uint32_t kept = k;
    double before = 0;
    for (uint32_t i = 0; i < k && p < 1; ++i) {
        before += probs[i];
        if (before >= static_cast<double>(p)) {
            kept = i + 1;
            break;
        }
    }
    float of_kept = 0;
    for (uint32_t i = 0; i < kept; ++i) of_kept += probs[i];
    const float u = uniform(seed, blockIdx.x, 0);
    float cumulative = 0;
    for (uint32_t i = 0; i < kept; ++i) {
        cumulative += probs[i] / of_kept;
        if (u < cumulative) return list.tokens[i];
    }
    return list.tokens[0];
}

template <uint32_t K>
__device__ void sample(const float* __restrict__ logits, const uint32_t* __restrict__ tokens,
                       uint32_t tiles, uint32_t k, float p, uint64_t seed,
                       uint32_t* __restrict__ sampled) {
    __shared__ List<K> best[2];
    __shared__ List<K> of_tile;
    for (uint32_t i = threadIdx.x; i < K; i += BLOCK) {
        best[0].logits[i] = -INFINITY_F32;
        best[0].tokens[i] = ALL;
    }
    for (uint32_t tile = 0; tile < tiles; ++tile) {
        const uint32_t start = (blockIdx.x * tiles + tile) * K;
        for (uint32_t i = threadIdx.x; i < K; i += BLOCK) {
            of_tile.logits[i] = __ldg(logits + start + i);
            of_tile.tokens[i] = __ldg(tokens + start + i);
        }
        __syncthreads();
        if (threadIdx.x == 0) merge(best[tile % 2], of_tile, best[(tile + 1) % 2]);
        __syncthreads();
    }
    if (threadIdx.x == 0) sampled[blockIdx.x] = pick(best[tiles % 2], k, p, seed);
}

#define FOR_K(K)                                                                                  \
    extern "C" __global__ void __launch_bounds__(BLOCK) attention_rs_tiles_##K(                   \
        const uint16_t* all, uint32_t width, float inverse_temperature, float* logits,            \
        uint32_t* tokens) {                                                                       \
        largest_of_tile<K>(all, width, inverse_temperature, logits, tokens);                      \
    }                                                                                             \
    extern "C" __global__ void __launch_bounds__(BLOCK) attention_rs_rows_##K(                    \
        const float* logits, const uint32_t* tokens, uint32_t tiles, uint32_t k, float p,         \
        uint64_t seed, uint32_t* sampled) {                                                       \
        sample<K>(logits, tokens, tiles, k, p, seed, sampled);                                    \
    }

FOR_K(32)
FOR_K(64)
FOR_K(128)
FOR_K(256)
