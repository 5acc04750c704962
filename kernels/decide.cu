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

inline __device__ PackedRow bad_row(uint32_t status) {
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

template <class T> __device__ PackedRow good_row(const Search<T>& found) {
    const Sums& total = found.total;
    const Top2 top = found.best();
    const uint32_t representative = top.first_token;
    const float representative_prob =
        at_most_1(weight(found.row[representative], total.max) / total.sum);
    PackedRow row;
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

// Streams and merges: leaves the row's sums in `totals`. Only the last block of the row to come
// returns true, and has them in `total`; their sum is NaN if the row has no winner.
template <class T>
__device__ bool sum_up(const Scratch& scratch, uint32_t batch_row, const LogitRow<T>& row,
                       Sums* tiles, Sums& total) {
    const uint32_t tile_count = tiles_in(row.size);
    const uint32_t tile = blockIdx.x * WARPS + warp();
    if (tile < tile_count) {
        const Sums sums = Tile<T>(row, tile).sums();
        if (lane() == 0) tiles[tile] = sums;
    }
    if (!last_to_come(&scratch.tickets[batch_row], gridDim.x)) return false;

    total = no_sums();
    for (uint32_t i = threadIdx.x; i < tile_count; i += THREADS) {
        const float4 sums = __ldcg(reinterpret_cast<const float4*>(&tiles[i]));
        total = merge(total, {sums.x, sums.y, sums.z, 0.0f});
    }
    total = block_merge(total);
    const bool good = total.sum > 0.0f && total.sum < infinity() && total.max < infinity();
    if (!good) total.sum = nan();
    if (threadIdx.x == 0) scratch.totals[batch_row] = total;
    return true;
}

// The sums of the row's tiles.
inline __device__ Sums* tiles_of(const Scratch& scratch, uint32_t batch_row, uint32_t row_size) {
    return scratch.partials + static_cast<uint64_t>(batch_row) * tiles_in(row_size);
}

// Without the search: for the operations of gather.cu.
template <class T> __device__ void sums(const SumsArgs& p) {
    const uint32_t batch_row = ::batch_row();
    if (batch_row >= p.logits.batch) return;
    const LogitRow<T> row(p.logits, batch_row);
    Sums total;
    sum_up(p.scratch, batch_row, row, tiles_of(p.scratch, batch_row, row.size), total);
}

template <class T> __device__ void decide(const DecideArgs& p) {
    const uint32_t batch_row = ::batch_row();
    if (batch_row >= p.logits.batch) return;
    const LogitRow<T> row(p.logits, batch_row);
    Sums* const tiles = tiles_of(p.scratch, batch_row, row.size);
    Sums total;
    if (!sum_up(p.scratch, batch_row, row, tiles, total)) return;
    if (!(total.sum == total.sum)) {
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
        const PackedRow found = good_row(search);
        p.rows[batch_row] = found;
        p.tokens[batch_row] = found.representative;
    }
}

// At least so many blocks shall fit on a multiprocessor: registers enough that nothing is spilled,
// and twice the bytes in flight (2 or 4 KiB a warp) that the memory of an H200 needs, some 25 KiB.
constexpr int BLOCKS = 7;

#define KERNELS(DTYPE, T) \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) \
        sums_##DTYPE(const __grid_constant__ SumsArgs p) { \
        sums<T>(p); \
    } \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) \
        decide_##DTYPE(const __grid_constant__ DecideArgs p) { \
        decide<T>(p); \
    }
FOR_EACH_DTYPE(KERNELS)
