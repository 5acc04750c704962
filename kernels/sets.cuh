// The members of a set of tokens, a concept or one that is measured, gathered by a thread, a warp or a
// block, from several rows.
//
// Sets come smallest first, and are shared out by their size: up to MAX_BY_THREAD tokens to a thread each,
// up to MAX_BY_WARP to a warp each, and larger ones to a block each. Blocks are counted the other way round,
// so that what takes longest begins first:
//
//     | 1 set a block | WARPS sets a block | THREADS sets a block |
//
// The sets of neighbouring threads have one size, mostly, so that nobody waits for another. A block takes
// up to MAX_ROWS_PER_BLOCK rows, neighbours in the batch, and reads the map once for all of them; a row's
// sums do not depend on which they are.
//
// Whatever is found of a set is relative to its own maximum, so that it is exact however faint the set is.
#pragma once

#include "row.cuh"

// What is found of a set.
struct Gathered {
    float max;      // the largest logit
    float weight;   // Σ e^d, with the distances d of the members' logits to that
    float dot;      // Σ d e^d, if that is asked for
    uint32_t token; // the lowest token that has it: the representative
};

// One set; without members if there is none of this rank.
struct Set {
    const uint32_t* tokens;
    uint32_t size;
    uint32_t id;
    bool exists;

    __device__ Set(const Sets& sets, uint32_t rank, bool exists) : exists(exists) {
        const uint32_t first = exists ? rank : 0;
        const uint32_t start = __ldg(&sets.starts[first]);
        tokens = sets.members + start;
        size = exists ? __ldg(&sets.starts[first + 1]) - start : 0;
        id = __ldg(&sets.ids[first]);
    }
};

template <bool DOTS> __device__ void add(Gathered& got, float logit) {
    if constexpr (DOTS) {
        const float d = distance(logit, reference(got.max));
        const float w = weight_at(d);
        got.weight += w;
        got.dot += d * w;
    } else {
        got.weight += weight_at(logit - reference(got.max));
    }
}

// By a thread, of few members that it holds in registers.
template <bool DOTS, uint32_t COUNT, class Row, uint32_t ROOM>
__device__ Gathered gather_few(const Row& row, const uint32_t (&tokens)[ROOM]) {
    static_assert(COUNT <= ROOM, "they are there");
    uint32_t members[COUNT];
#pragma unroll
    for (uint32_t k = 0; k < COUNT; ++k) members[k] = tokens[k];
    float logits[COUNT];
    row.of(members, logits);
    Gathered got = {logits[0], 0.0f, 0.0f, tokens[0]};
#pragma unroll
    for (uint32_t k = 1; k < COUNT; ++k) {
        got.token = logits[k] > got.max ? tokens[k] : got.token;
        got.max = fmaxf(got.max, logits[k]);
    }
#pragma unroll
    for (uint32_t k = 0; k < COUNT; ++k) add<DOTS>(got, logits[k]);
    return got;
}

// The members of a set that fall to a thread, four at a time since their loads are independent of each
// other: calls `each` with a logit and its token.
template <uint32_t WIDTH, class Row, class Each>
__device__ void for_each_member(const Row& row, const Set& set, const Each& each) {
    constexpr uint32_t AT_ONCE = 4;
    for (uint32_t begin = threadIdx.x % WIDTH; begin < set.size; begin += WIDTH * AT_ONCE) {
        uint32_t tokens[AT_ONCE];
        float logits[AT_ONCE];
#pragma unroll
        for (uint32_t k = 0; k < AT_ONCE; ++k) {
            tokens[k] = __ldg(&set.tokens[min(begin + k * WIDTH, set.size - 1)]);
        }
        row.of(tokens, logits);
#pragma unroll
        for (uint32_t k = 0; k < AT_ONCE; ++k) {
            if (begin + k * WIDTH < set.size) each(logits[k], tokens[k]);
        }
    }
}

// By WIDTH threads, all of which call this and get the result: 1, WARP or THREADS (all of the block).
template <bool DOTS, uint32_t WIDTH, class Row>
__device__ Gathered gather(const Row& row, const Set& set) {
    Gathered got = {-infinity(), 0.0f, 0.0f, NONE};
    for_each_member<WIDTH>(row, set, [&got](float logit, uint32_t token) {
        got.token = logit > got.max || got.token == NONE ? token : got.token;
        got.max = fmaxf(got.max, logit);
    });
    if constexpr (WIDTH > 1) {
        struct Top {
            float max;
            uint32_t token;
        };
        const float max = warp_max(got.max);
        Top top = {max, __reduce_min_sync(ALL, got.max == max ? got.token : NONE)};
        if constexpr (WIDTH == THREADS) {
            top = block_join(top, [](Top& all, const Top& other) {
                const bool is_lower = other.max == all.max && other.token < all.token;
                if (other.max > all.max || is_lower) all = other;
            });
        }
        got.max = top.max;
        got.token = top.token;
    }
    for_each_member<WIDTH>(row, set, [&got](float logit, uint32_t) { add<DOTS>(got, logit); });
    if constexpr (WIDTH > 1) {
        float2 sums = {warp_sum(got.weight), DOTS ? warp_sum(got.dot) : 0.0f};
        if constexpr (WIDTH == THREADS) {
            sums = block_join(sums, [](float2& all, const float2& other) {
                all.x += other.x;
                all.y += other.y;
            });
        }
        got.weight = sums.x;
        got.dot = sums.y;
    }
    return got;
}

// The rows that a block works on: the grid counts groups of so many where others count rows.
struct RowGroup {
    uint32_t first;
    uint32_t end;

    __device__ RowGroup(const LogitsView& logits, uint32_t rows)
        : first(batch_row() * rows), end(min(first + rows, logits.batch)) {}

    __device__ explicit RowGroup(uint32_t row) : first(row), end(row + 1) {}
};

inline __device__ uint32_t blocks_for(uint32_t sets, uint32_t per_block) {
    return (sets + per_block - 1) / per_block;
}

// Calls `op.at(row).set<WIDTH>(rank, set, got)`, by all threads of a block, with each row of the group
// and each set of the block's share; `row_of(row)` has the logits. False if the block has no sets; `block`
// is then its number among those that come after them.
template <bool DOTS, class RowOf, class Op>
__device__ __forceinline__ bool for_each_set_in(const RowOf& row_of, const Sets& sets,
                                                const RowGroup& rows, uint32_t& block, Op& op) {
    if (block < sets.by_block - sets.by_warp) {
        const uint32_t rank = sets.by_warp + block;
        const Set set(sets, rank, true);
        for (uint32_t row = rows.first; row < rows.end; ++row) {
            const Gathered got = gather<DOTS, THREADS>(row_of(row), set);
            op.at(row).template set<THREADS>(rank, set, got);
        }
        return true;
    }
    block -= sets.by_block - sets.by_warp;
    const uint32_t warp_blocks = blocks_for(sets.by_warp - sets.by_thread, WARPS);
    if (block < warp_blocks) {
        const uint32_t rank = sets.by_thread + block * WARPS + warp();
        const Set set(sets, rank, rank < sets.by_warp);
        for (uint32_t row = rows.first; row < rows.end; ++row) {
            const Gathered got = gather<DOTS, WARP>(row_of(row), set);
            op.at(row).template set<WARP>(rank, set, got);
        }
        return true;
    }
    block -= warp_blocks;
    const uint32_t thread_blocks = blocks_for(sets.by_thread, THREADS);
    if (block < thread_blocks) {
        const uint32_t rank = block * THREADS + threadIdx.x;
        const Set set(sets, rank, rank < sets.by_thread);
        constexpr uint32_t FEW = 4;
        uint32_t tokens[FEW];
#pragma unroll
        for (uint32_t k = 0; k < FEW; ++k) {
            tokens[k] = k < set.size ? __ldg(&set.tokens[k]) : 0;
        }
        for (uint32_t row = rows.first; row < rows.end; ++row) {
            const auto of = row_of(row);
            const Gathered got = set.size == 2   ? gather_few<DOTS, 2>(of, tokens)
                                 : set.size == 3 ? gather_few<DOTS, 3>(of, tokens)
                                 : set.size == 4 ? gather_few<DOTS, 4>(of, tokens)
                                                 : gather<DOTS, 1>(of, set);
            op.at(row).template set<1>(rank, set, got);
        }
        return true;
    }
    block -= thread_blocks;
    return false;
}

// The same for the rows of a batch as they are.
template <class T, bool DOTS, class Op>
__device__ bool for_each_set(const LogitsView& logits, const Sets& sets, const RowGroup& rows,
                             uint32_t& block, Op& op) {
    const auto row_of = [&logits](uint32_t row) { return LogitRow<T>(logits, row); };
    return for_each_set_in<DOTS>(row_of, sets, rows, block, op);
}

// Calls `op.at(row).token(token, id, logit)` with each row of the group and each token of the block's
// share that is a concept of its own.
template <class T, class Op>
__device__ void for_each_token(const LogitsView& logits, const uint32_t* concept_of,
                               const RowGroup& rows, uint32_t block, Op& op) {
    constexpr uint32_t AT_ONCE = 4;
    const uint32_t end = min((block + 1) * TOKENS_PER_BLOCK, logits.vocab_size);
    for (uint32_t first = block * TOKENS_PER_BLOCK + threadIdx.x; first < end;
         first += AT_ONCE * THREADS) {
        uint32_t tokens[AT_ONCE];
        uint32_t ids[AT_ONCE];
        uint32_t all = POOLED;
#pragma unroll
        for (uint32_t k = 0; k < AT_ONCE; ++k) {
            tokens[k] = min(first + k * THREADS, end - 1);
            ids[k] = __ldg(&concept_of[tokens[k]]);
            if (first + k * THREADS >= end) ids[k] = POOLED;
            all &= ids[k];
        }
        if (all & POOLED) continue;
        for (uint32_t row = rows.first; row < rows.end; ++row) {
            const LogitRow<T> of(logits, row);
            auto of_row = op.at(row);
            float of_token[AT_ONCE];
#pragma unroll
            for (uint32_t k = 0; k < AT_ONCE; ++k) of_token[k] = of[tokens[k]];
#pragma unroll
            for (uint32_t k = 0; k < AT_ONCE; ++k) {
                if (!(ids[k] & POOLED)) of_row.token(tokens[k], ids[k], of_token[k]);
            }
        }
    }
}
