// The rejection of flashinfer.cu with each row split over the blocks of a cluster, as FlashInfer does
// it on GPUs of compute capability 9.0 from 2026 on: SplitRowRejectionSamplingFromProbKernel of
// include/flashinfer/sampling.cuh, github.com/flashinfer-ai/flashinfer (Apache-2.0). The algorithm is
// theirs, the code is ours.
//
// Every block copies its part of the row's probabilities into shared memory once, and no round reads
// the row again. In a pass over its part, each warp sums up what is above two pivots, and tells every
// block of the cluster. By these sums all warps find, alike, the block that holds the token drawn;
// it finds the warp, then the thread's few tokens, then the token, and tells the others. A warp's
// part is a contiguous one, so that the cumulative sum has the order of the tokens.
//
// What differs is what differs in flashinfer.cu.

#include <cooperative_groups.h>
#include <cub/block/block_reduce.cuh>
#include <cub/block/block_scan.cuh>
#include <cuda/functional>

#include "sampling.cuh"

constexpr uint32_t BLOCK = 256;
constexpr uint32_t WARPS = BLOCK / WARP;
constexpr uint32_t MAX_BLOCKS = 8;
constexpr uint32_t PER_LOAD = 4;

struct Above {
    float mass;
    uint32_t count;

    __device__ Above operator+(const Above& other) const {
        return {mass + other.mass, count + other.count};
    }
};

using Scan = cub::BlockScan<float, BLOCK, cub::BLOCK_SCAN_WARP_SCANS>;
using Maxima = cub::BlockReduce<int, BLOCK>;

struct alignas(16) Shared {
    // Above each of two pivots, by the warps of all blocks.
    Above above[2][MAX_BLOCKS * WARPS];
    // A token, and its probability. No token is -1.
    int token;
    float prob;
    int thread;
    union {
        typename Scan::TempStorage scan;
        typename Maxima::TempStorage maxima;
    };
};
static_assert(sizeof(Shared) <= 2048, "as benches/samplers/kernels.rs has it");

__device__ Above over_warp(Above mine) {
#pragma unroll
    for (uint32_t step = WARP / 2; step > 0; step /= 2) {
        mine.mass += __shfl_xor_sync(ALL, mine.mass, step);
        mine.count += __shfl_xor_sync(ALL, mine.count, step);
    }
    return mine;
}

// The first lane at which the cumulative sum of the lanes' masses exceeds `target`, from which the
// masses before it are then taken; the last with any mass if rounding leaves the target above the
// sum; -1 if no lane has any.
__device__ int select_lane(float mass, float& target) {
    const uint32_t lane = threadIdx.x % WARP;
    float sum = mass;
#pragma unroll
    for (uint32_t step = 1; step < WARP; step *= 2) {
        const float other = __shfl_up_sync(ALL, sum, step);
        if (lane >= step) sum += other;
    }
    const uint32_t beyond = __ballot_sync(ALL, sum > target && mass > 0);
    const uint32_t any = __ballot_sync(ALL, mass > 0);
    if (any == 0) return -1;
    const int selected = beyond != 0 ? __ffs(beyond) - 1 : 31 - __clz(any);
    target -= __shfl_sync(ALL, sum - mass, selected);
    return selected;
}

// One block of a cluster.
template <bool COUNTS>
struct Part {
    cooperative_groups::cluster_group cluster;
    Shared& shared;
    float* const probs;
    // The first token of the block's part, and how many it has.
    uint32_t start;
    uint32_t count;
    // Of each warp's part.
    uint32_t per_warp;

    // What the whole cluster's warps have above the pivots, in every block's shared memory.
    __device__ void pass(float pivot0, float pivot1) {
        const uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
        const uint32_t begin = min(warp * per_warp, count), end = min(begin + per_warp, count);
        const float pivots[2] = {pivot0, pivot1};
        // Of each of a load's four places alone, so that no sum waits for another.
        Above above[2][PER_LOAD] = {};
#pragma unroll 2
        for (uint32_t i = begin + lane * PER_LOAD; i < end; i += WARP * PER_LOAD) {
            const float4 v = *reinterpret_cast<const float4*>(probs + i);
            const float all[PER_LOAD] = {v.x, v.y, v.z, v.w};
#pragma unroll
            for (uint32_t n = 0; n < PER_LOAD; ++n) {
#pragma unroll
                for (uint32_t of = 0; of < 2; ++of) {
                    const bool is_above = all[n] > pivots[of];
                    above[of][n].mass += is_above ? all[n] : 0;
                    if (COUNTS) above[of][n].count += is_above;
                }
            }
        }
#pragma unroll
        for (uint32_t of = 0; of < 2; ++of) {
            const Above* const a = above[of];
            const Above sum = over_warp((a[0] + a[1]) + (a[2] + a[3]));
            if (lane < cluster.num_blocks()) {
                Above* const mine = &shared.above[of][cluster.block_rank() * WARPS + warp];
                *cluster.map_shared_rank(mine, lane) = sum;
            }
        }
        cluster.sync();
    }

    // Of the block whose number is the lane's, above a pivot.
    __device__ Above of_block(uint32_t of) const {
        const uint32_t lane = threadIdx.x % WARP;
        Above sum = {};
        if (lane < cluster.num_blocks()) {
#pragma unroll
            for (uint32_t w = 0; w < WARPS; ++w) sum = sum + shared.above[of][lane * WARPS + w];
        }
        return sum;
    }

    // Finds the token of this block's part at which the cumulative sum of what is above `low`, and so
    // above pivot `of` of the last pass, exceeds `target`, and tells all blocks.
    __device__ void find(uint32_t of, float low, float target) {
        const uint32_t lane = threadIdx.x % WARP;
        const Above* const of_warps = shared.above[of] + cluster.block_rank() * WARPS;
        const uint32_t warp = select_lane(lane < WARPS ? of_warps[lane].mass : 0, target);
        // An odd number of tokens each, so that the threads' reads are from different banks.
        const uint32_t first = min(warp * per_warp, count), end = min(first + per_warp, count);
        const uint32_t each = (end - first + BLOCK - 1) / BLOCK | 1;
        const uint32_t begin = min(first + threadIdx.x * each, end);
        const uint32_t stop = min(begin + each, end);
        float mass = 0;
        for (uint32_t i = begin; i < stop; ++i) mass += probs[i] > low ? probs[i] : 0;
        float sum;
        Scan(shared.scan).InclusiveSum(mass, sum);
        if (threadIdx.x == 0) shared.thread = BLOCK;
        __syncthreads();
        if (mass > 0 && sum > target) atomicMin(&shared.thread, static_cast<int>(threadIdx.x));
        __syncthreads();
        int thread = shared.thread;
        if (thread == static_cast<int>(BLOCK)) {
            // Where rounding leaves the target above the sum.
            const int possible = mass > 0 ? static_cast<int>(threadIdx.x) : -1;
            thread = Maxima(shared.maxima).Reduce(possible, cuda::maximum<>{});
            __syncthreads();
            if (threadIdx.x == 0) shared.thread = thread;
            __syncthreads();
            thread = shared.thread;
        }
        if (static_cast<int>(threadIdx.x) != thread) return;
        float before = sum - mass;
        uint32_t found = begin;
        for (uint32_t i = begin; i < stop; ++i) {
            if (probs[i] > low) {
                found = i;
                before += probs[i];
                if (before > target) break;
            }
        }
        tell(static_cast<int>(start + found), probs[found]);
    }

    __device__ void tell(int token, float prob) {
        for (uint32_t block = 0; block < cluster.num_blocks(); ++block) {
            *cluster.map_shared_rank(&shared.token, block) = token;
            *cluster.map_shared_rank(&shared.prob, block) = prob;
        }
    }
};

template <bool COUNTS>
__device__ void sample(const float* __restrict__ all, uint32_t width, uint32_t part, uint32_t k,
                       float p, uint64_t seed, uint32_t* __restrict__ tokens) {
    extern __shared__ __align__(16) uint8_t memory[];
    Shared& shared = *reinterpret_cast<Shared*>(memory);
    const auto cluster = cooperative_groups::this_cluster();
    const uint32_t row = blockIdx.x / cluster.num_blocks();
    const uint32_t start = min(cluster.block_rank() * part, width);
    const uint32_t count = min(part, width - start);
    const uint32_t per_warp = ((count + WARPS - 1) / WARPS + PER_LOAD - 1) / PER_LOAD * PER_LOAD;
    float* const probs = reinterpret_cast<float*>(memory + sizeof(Shared));
    Part<COUNTS> mine = {cluster, shared, probs, start, count, per_warp};

    const float* const from = all + static_cast<uint64_t>(row) * width + start;
    for (uint32_t i = threadIdx.x * PER_LOAD; i < count; i += BLOCK * PER_LOAD) {
        const uint32_t to = static_cast<uint32_t>(__cvta_generic_to_shared(probs + i));
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;\n" ::"r"(to), "l"(from + i));
    }
    asm volatile("cp.async.commit_group;\n" ::);
    // No block may touch another's memory before that one runs.
    mine.cluster.sync();
    asm volatile("cp.async.wait_all;\n" ::);
    __syncthreads();

    mine.pass(0, 0);
    uint32_t of = 0;
    float low = 0, high = 1, mass = 1;
    uint32_t round = 0;
    do {
        float target = uniform(seed, row, round++) * mass;
        const int owner = select_lane(mine.of_block(of).mass, target);
        if (owner == static_cast<int>(mine.cluster.block_rank())) {
            mine.find(of, low, target);
        } else if (owner == -1 && mine.cluster.block_rank() == 0 && threadIdx.x == 0) {
            mine.tell(-1, 0);
        }
        mine.cluster.sync();
        if (shared.token == -1) break;
        const float pivots[2] = {shared.prob, (shared.prob + high) * 0.5f};
        mine.pass(pivots[0], pivots[1]);
        const Above above[2] = {over_warp(mine.of_block(0)), over_warp(mine.of_block(1))};
        const auto keeps = [&](const Above& above) {
            return above.mass < p && (!COUNTS || above.count < k);
        };
        if (keeps(above[0])) break;
        if (keeps(above[1])) {
            low = pivots[0];
            high = pivots[1];
            of = 0;
        } else {
            low = pivots[1];
            of = 1;
        }
        mass = above[of].mass;
    } while (low < high);
    if (mine.cluster.block_rank() == 0 && threadIdx.x == 0) {
        tokens[row] = static_cast<uint32_t>(shared.token);
    }
}

#define FOR_CLUSTERS_OF(BLOCKS)                                                                   \
    extern "C" __global__ void __cluster_dims__(BLOCKS) __launch_bounds__(BLOCK)                   \
        flashinfer_split_top_p_##BLOCKS(const float* all, uint32_t width, uint32_t part,           \
                                        uint32_t k, float p, uint64_t seed, uint32_t* tokens) {    \
        sample<false>(all, width, part, k, p, seed, tokens);                                       \
    }                                                                                             \
    extern "C" __global__ void __cluster_dims__(BLOCKS) __launch_bounds__(BLOCK)                   \
        flashinfer_split_top_k_top_p_##BLOCKS(const float* all, uint32_t width, uint32_t part,     \
                                              uint32_t k, float p, uint64_t seed,                  \
                                              uint32_t* tokens) {                                  \
        sample<true>(all, width, part, k, p, seed, tokens);                                        \
    }

FOR_CLUSTERS_OF(2)
FOR_CLUSTERS_OF(4)
FOR_CLUSTERS_OF(8)
