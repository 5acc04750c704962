// The decision: from logits to rows, in one launch.
//
//     stream   A warp takes a tile of 1,024 logits of a row into registers, by loads of sixteen
//              bytes that are all in flight at once; finds their maximum; and adds up weights and
//              distances · weights against it (row.cuh). A tile's sums are all that is written.
//     merge    The last block of a row to come (a ticket tells) merges the tiles' sums in the
//              order of the tiles. That gives log Z, the token entropy and the maximum.
//     search   The same block looks for the two concepts with the largest masses, and the greedy
//              token, from the maximum downwards; on a peaked row it sees a handful of tokens,
//              whether the map pools ten of them or the whole vocabulary (search.cuh).
//
// Nothing depends on the order in which blocks, warps or lanes come: sums are merged by place, and
// the best two are the best two in any order. So a row's bits are the same in every run, and
// anywhere in a batch.

#include "search.cuh"

inline __device__ Row bad_row(uint32_t status) {
    return {NONE,  NONE,  NONE,  NONE,  status, nan(),
            nan(), nan(), nan(), nan(), nan(),  nan()};
}

// Why a row has no winner; called by the whole block.
template <class T> __device__ uint32_t reason(const LogitRow<T>& row) {
    bool any_nan = false;
    bool any_inf = false;
    bool all_neg_inf = true;
    for (uint32_t token = threadIdx.x; token < row.size; token += THREADS) {
        const float logit = row[token];
        any_nan |= logit != logit;
        any_inf |= logit == infinity();
        all_neg_inf &= logit == -infinity();
    }
    uint32_t status = __syncthreads_or(any_nan) ? STATUS_NAN : 0;
    status |= __syncthreads_or(any_inf) ? STATUS_POS_INF : 0;
    return __syncthreads_and(all_neg_inf) ? STATUS_ALL_NEG_INF : status;
}

template <class T> __device__ Row good_row(const Search<T>& found) {
    const Sums& total = found.total;
    const Top2 top = found.best();
    const uint32_t representative = top.first_token;
    const float representative_prob =
        at_most_1(weight(found.row[representative], total.max) / total.sum);
    Row row;
    row.winner = top.first_id;
    row.representative = representative;
    row.greedy = found.greedy;
    row.runner_up = top.second_id;
    row.status = 0;
    row.mass = fmaxf(at_most_1(top.first / total.sum), representative_prob);
    row.representative_prob = representative_prob;
    row.greedy_prob = at_most_1(1.0f / total.sum);
    row.runner_up_mass = top.second_id == NONE ? 0.0f : at_most_1(top.second / total.sum);
    row.log_z = total.max + logf(total.sum);
    row.token_entropy = fmaxf(logf(total.sum) - total.dot / total.sum, 0.0f);
    // Without pooled concepts, concepts are tokens; else gather.cu adds it where it is asked for.
    row.concept_entropy = found.p.sets.by_thread == 0 ? row.token_entropy : nan();
    return row;
}

template <class T> __device__ void decide(const Params& p) {
    const uint32_t batch_row = ::batch_row();
    if (batch_row >= p.batch) return;
    const LogitRow<T> row(p, batch_row);
    const uint32_t tile_count = tiles_in(row.size);
    Sums* const tiles = p.partials + static_cast<uint64_t>(batch_row) * tile_count;

    const uint32_t tile = blockIdx.x * WARPS + warp();
    if (tile < tile_count) {
        const Sums sums = Tile<T>(row, tile).sums();
        if (lane() == 0) tiles[tile] = sums;
    }
    if (!last_to_come(&p.tickets[batch_row], gridDim.x)) return;

    Sums total = no_sums();
    for (uint32_t i = threadIdx.x; i < tile_count; i += THREADS) {
        const float4 sums = __ldcg(reinterpret_cast<const float4*>(&tiles[i]));
        total = merge(total, {sums.x, sums.y, sums.z, 0.0f});
    }
    total = block_merge(total);

    const bool good = total.sum > 0.0f && total.sum < infinity() && total.max < infinity();
    if (!good) total.sum = nan();
    if (threadIdx.x == 0) p.totals[batch_row] = total;
    if (p.rows == nullptr) return;
    if (!good) {
        const uint32_t status = reason(row);
        if (threadIdx.x == 0) {
            p.rows[batch_row] = bad_row(status);
            p.tokens[batch_row] = NONE;
        }
        return;
    }
    __shared__ Lists lists[WARPS];
    Search<T> search{p, row, total, tiles, lists[warp()]};
    search.run();
    if (threadIdx.x == 0) {
        const Row found = good_row(search);
        p.rows[batch_row] = found;
        p.tokens[batch_row] = found.representative;
    }
}

// At least so many blocks shall fit on a multiprocessor: registers enough that nothing is spilled,
// and twice the bytes in flight (2 or 4 KiB a warp) that the memory of an H200 needs, some 25 KiB.
constexpr int BLOCKS = 7;

#define DECIDE(NAME, T) \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) \
        NAME(const __grid_constant__ Params p) { \
        decide<T>(p); \
    }
DECIDE(decide_f32, float)
DECIDE(decide_f16, __half)
DECIDE(decide_bf16, __nv_bfloat16)
