// What the decision lacks of a row: the runner-up and the entropies.
//
// `survey` in decide.cu ran before, on the same stream, and left the decision, the row's sums, and
// those of its tiles. Here all pooled concepts are gathered (sets.cuh); each warp leaves what it has
// found of a row, and the last block of a row to come joins that, and looks for a runner-up that is a
// token alone (runner_up.cuh).
//
// Pooling a concept of weight W from tokens of weight w = e^d takes W ln W - Σ w d from the entropy, over
// the sum of all weights.

#include "runner_up.cuh"
#include "sets.cuh"

// What is found of a row's pooled concepts.
struct Found {
    float lost;   // of the entropy
    float weight; // of the best one but the winner
    uint32_t id;
    uint32_t unused;

    __device__ void join(const Found& other) {
        lost += other.lost;
        const bool is_better = other.weight > weight || (other.weight == weight && other.id < id);
        weight = is_better ? other.weight : weight;
        id = is_better ? other.id : id;
    }

    // Makes every lane know what all of the warp have found.
    __device__ void join_warp() {
        const uint32_t bits = __float_as_uint(weight); // in the order of weights, none negative
        const uint32_t most = __reduce_max_sync(ALL, bits);
        id = __reduce_min_sync(ALL, bits == most ? id : NONE);
        weight = __uint_as_float(most);
        lost = warp_sum(lost);
    }
};
static_assert(sizeof(Found) == sizeof(Sums), "both lie in `partials`");

inline __device__ Found found_nothing() { return {0.0f, 0.0f, NONE, 0}; }

// What the warps of all blocks leave of a row.
inline __device__ Found* found_by_warps(const RowsArgs& p, uint32_t row) {
    const uint64_t per_row = gridDim.x * WARPS;
    return reinterpret_cast<Found*>(p.partials) + row * per_row;
}

inline __device__ void write(PackedRow& packed, uint32_t runner_up, float mass, float token_entropy,
                             float concept_entropy) {
    packed.runner_up = runner_up;
    packed.runner_up_mass = mass;
    packed.token_entropy = token_entropy;
    packed.concept_entropy = concept_entropy;
}

// The work of the last block on a row. It is apart from the kernel, which has a place for it in each
// way to gather.
template <class T> __device__ __noinline__ void conclude(const RowsArgs& p, uint32_t row) {
    Found found = found_nothing();
    const Found* const of_warp = found_by_warps(p, row);
    for (uint32_t i = threadIdx.x; i < gridDim.x * WARPS; i += THREADS) {
        const uint4 of = __ldcg(reinterpret_cast<const uint4*>(&of_warp[i]));
        found.join({__uint_as_float(of.x), __uint_as_float(of.y), of.z, 0});
    }
    found.join_warp();
    found = block_join(found, [](Found& all, const Found& other) { all.join(other); });
    PackedRow& packed = p.rows[row];
    const Sums total = p.totals[row];
    if (!(total.sum == total.sum)) {
        if (threadIdx.x == 0) write(packed, NONE, nan(), nan(), nan());
        return;
    }
    const PackedDecision& decision = packed.decision;
    const Candidate* const surveyed = p.surveyed + row * p.surveyed_per_row;
    const Sums* const tiles = reinterpret_cast<const Sums*>(surveyed + p.tiles_at);
    // What has less than the best pooled concept does not matter.
    const float least = found.weight > 0.0f ? logf(found.weight) - SLACK : -infinity();
    const Alone alone = best_alone(LogitRow<T>(p.logits, row), p.concept_of, tiles, decision.winner,
                                   total.max, least);
    if (threadIdx.x != 0) return;
    const float weight = ::weight(alone.logit, total.max);
    if (weight >= LEAST_NORMAL) found.join({0.0f, weight, alone.id, 0});
    const float tokens = fmaxf(logf(total.sum) - total.dot / total.sum, 0.0f);
    // What is certain has none, however the sums were rounded.
    const float left = decision.mass < 1.0f ? tokens - found.lost / total.sum : 0.0f;
    const float concepts = fminf(fmaxf(left, 0.0f), tokens);
    const float mass = fminf(at_most_1(found.weight / total.sum), decision.mass);
    write(packed, found.id, mass, tokens, concepts);
}

template <class T> struct Row {
    const RowsArgs& p;
    const uint32_t row;

    template <uint32_t WIDTH>
    __device__ void set(uint32_t, const Set& set, const Gathered& got) {
        Found found = found_nothing();
        const float scale = weight(got.max, p.totals[row].max);
        const float of_set = got.weight * scale;
        if (set.exists && threadIdx.x % WIDTH == 0 && of_set >= LEAST_NORMAL) {
            // Of the weights relative to the set's own maximum; on the row's scale as much remains.
            found.lost = (got.weight * logf(got.weight) - got.dot) * scale;
            if (set.id != p.rows[row].decision.winner) found.weight = of_set, found.id = set.id;
        }
        finish(found);
    }

    // By the whole block.
    __device__ void finish(Found found) {
        found.join_warp();
        if (lane() == 0) found_by_warps(p, row)[blockIdx.x * WARPS + warp()] = found;
        if (last_to_come(&p.tickets[row], gridDim.x)) conclude<T>(p, row);
    }
};

template <class T> struct Rows {
    const RowsArgs& p;
    __device__ Row<T> at(uint32_t row) const { return {p, row}; }
};

template <class T> __device__ void rows(const RowsArgs& p) {
    const RowGroup rows(p.logits, p.rows_per_block);
    if (rows.first >= p.logits.batch) return;
    Rows<T> op = {p};
    uint32_t block = blockIdx.x;
    if (for_each_set<T, true>(p.logits, p.sets, rows, block, op)) return;
    // Nothing is pooled.
    for (uint32_t row = rows.first; row < rows.end; ++row) op.at(row).finish(found_nothing());
}

// So many blocks shall fit on a multiprocessor: gathering is bound by latency.
constexpr int BLOCKS = 8;

#define KERNELS(DTYPE, T) \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) \
        rows_##DTYPE(const __grid_constant__ RowsArgs p) { \
        rows<T>(p); \
    }
FOR_EACH_DTYPE(KERNELS)
