// The decision: from logits to the winning concept of every row, in one launch.
//
//     stream   A warp takes a tile of 1,024 logits of a row into registers, by loads of sixteen
//              bytes that are all in flight at once; finds their maximum; and adds up their weights
//              against it (tile.cuh). A tile's maximum and sum are all that is written. Meanwhile
//              other blocks sum the concepts of many tokens (search.cuh).
//     merge    The last block of a row to come (a ticket tells) reads the tiles' sums; each of its
//              warps merges all of them, so that none waits for another. That gives log Z and the
//              maximum.
//     search   The same block looks again at the tiles with logits that are within reach of the
//              maximum, and sums their concepts: on a peaked row a handful, whether the map pools
//              ten tokens or the whole vocabulary.
//
// The last block works alone while the others are done, so what counts there is how many loads wait
// for each other: the sums, the tile, the members of a token's concept, their logits.
//
// Nothing depends on the order in which blocks, warps or lanes come: sums are merged by place, and
// the best is the best in any order. So a row's bits are the same in every run, and anywhere in a
// batch.
//
// The kernel `survey` does the same and leaves the sums from which the token entropy is made, for
// `rows` in rows.cu; `sums` streams and merges alone, for the operations of masses.cu.

#include <type_traits>

#include "search.cuh"

// The memory of a row between its blocks, in the order in which it lies in `partials`. A tile leaves
// a TileSum, or Sums if Σ d · w is asked for.
template <class TileSum> struct RowScratch {
    Candidate* flat;  // a candidate for each tile, if it is flat
    Candidate* large; // and for each warp that sums large concepts
    TileSum* tiles;
    uint32_t tile_count;
    uint32_t large_count;

    __device__ RowScratch(const DecideArgs& p, uint32_t batch_row)
        : tile_count(tiles_in(p.logits.vocab_size)), large_count(p.large.blocks * WARPS) {
        flat = p.partials + static_cast<uint64_t>(batch_row) * p.partials_per_row;
        large = flat + tile_count;
        tiles = reinterpret_cast<TileSum*>(large + large_count);
    }
};

// What one lane reads of the tiles' sums at a time.
template <class TileSum> struct Chunk {
    static constexpr uint32_t PER_LANE = 8;
    static constexpr uint32_t TILES = PER_LANE * WARP;

    TileSum sums[PER_LANE];

    __device__ void load(const RowScratch<TileSum>& scratch, uint32_t chunk) {
        using Words = std::conditional_t<sizeof(TileSum) == sizeof(float4), float4, float2>;
        static_assert(sizeof(Words) == sizeof(TileSum), "one load");
#pragma unroll
        for (uint32_t i = 0; i < PER_LANE; ++i) {
            const uint32_t of = min(tile(chunk, i), scratch.tile_count - 1);
            const Words words = __ldcg(reinterpret_cast<const Words*>(&scratch.tiles[of]));
            memcpy(&sums[i], &words, sizeof(words));
        }
#pragma unroll
        for (uint32_t i = 0; i < PER_LANE; ++i) {
            if (tile(chunk, i) >= scratch.tile_count) sums[i].max = -infinity(), sums[i].sum = 0.0f;
        }
    }

    // The tile of a lane's place, 0 to PER_LANE.
    static __device__ uint32_t tile(uint32_t chunk, uint32_t i) {
        return chunk * TILES + i * WARP + lane();
    }

    __device__ const TileSum& operator[](uint32_t i) const { return sums[i]; }
};

// What a warp of the last block keeps for later; the last places of a list are for what is not kept.
struct Lists {
    static constexpr uint32_t TOKENS = 128;
    static constexpr uint32_t TILES = Chunk<TileSum>::TILES;

    uint32_t tiles[TILES + WARP];
    uint32_t tokens[TOKENS + WARP];
};

// Puts what some lanes have to the `count` things in a list with room for `room`; gives the new count.
// Every lane stores, since a branch would cost more.
inline __device__ uint32_t append(uint32_t* list, uint32_t room, uint32_t count, bool has,
                                  uint32_t thing) {
    const uint32_t lanes = __ballot_sync(ALL, has);
    const uint32_t place = count + __popc(lanes & ((1u << lane()) - 1));
    list[has ? place : room + lane()] = thing;
    return count + __popc(lanes);
}

// The work of the last block on a row: a warp's share of it.
template <class T, class TileSum> struct Tail {
    using Chunk = ::Chunk<TileSum>;
    static constexpr bool DOTS = sizeof(TileSum) == sizeof(Sums);

    const DecideArgs& p;
    const LogitRow<T> row;
    const RowScratch<TileSum> scratch;
    Lists& lists;

    float max;
    float threshold; // what is below it cannot win
    float sum = 0.0f; // of the weights, in units (tile.cuh)
    float dot = 0.0f;
    float greedy_prob;
    float log_z;
    uint32_t max_tile = NONE; // twice the first tile with the maximum, and 1 if it is flat
    Best best = nobody();
    uint32_t greedy = NONE;
    uint32_t found = 0; // tokens in the list

    __device__ Tail(const DecideArgs& p, uint32_t batch_row, Lists& lists)
        : p(p), row(p.logits, batch_row), scratch(p, batch_row), lists(lists) {}

    // Every warp finds the row's maximum and sum by itself, and the best of its share of the tiles.
    // False if the row has no winner.
    __device__ bool run() {
        const uint32_t last = (scratch.tile_count - 1) / Chunk::TILES;
        // A load that waits together with the first chunk's.
        const bool any = threadIdx.x < scratch.large_count;
        const Candidate large = any ? load(&scratch.large[threadIdx.x]) : no_candidate();
        Chunk chunk;
        float highest = -infinity();
        for (uint32_t c = 0; c <= last; ++c) {
            chunk.load(scratch, c);
#pragma unroll
            for (uint32_t i = 0; i < Chunk::PER_LANE; ++i) {
                highest = max_or_nan(highest, chunk[i].max);
            }
        }
        max = warp_max(highest);
        threshold = reference(max) - p.reach;
        best.offer(large, reference(max));
        for (uint32_t i = threadIdx.x + THREADS; i < scratch.large_count; i += THREADS) {
            best.offer(load(&scratch.large[i]), reference(max));
        }
        for (uint32_t c = last + 1; c-- > 0;) {
            if (c != last) chunk.load(scratch, c);
            look_at(chunk, c);
        }
        __syncwarp();
        // While the first entries come, there is time to bring the lanes' sums together.
        const bool any_entry = lane() < found;
        const Entry entry(p, any_entry ? lists.tokens[lane()] : 0);
        join_sums();
        if (any_entry) look_at(entry);
        look_at_tokens(WARP);
        if (!(sum > 0.0f && sum < infinity() && max < infinity())) return false;
        // A flat tile has been looked at before the greedy token was known.
        if (max_tile & 1) find_greedy(max_tile / 2);
        greedy = __reduce_min_sync(ALL, greedy);
        best.join_warp();
        return true;
    }

    static __device__ Candidate load(const Candidate* of) {
        const uint4 words = __ldcg(reinterpret_cast<const uint4*>(of));
        return {__uint_as_float(words.x), __uint_as_float(words.y), words.z, words.w};
    }

    // Looks at the tiles of a chunk in which something may win; the warps take them in turn.
    __device__ void look_at(const Chunk& chunk, uint32_t c) {
        uint32_t count = 0;
        bool any_flat = false;
#pragma unroll
        for (uint32_t i = 0; i < Chunk::PER_LANE; ++i) {
            const bool may_win = chunk[i].max >= threshold;
            const bool is_flat = chunk[i].sum > FLAT;
            any_flat |= may_win && is_flat;
            count = append(lists.tiles, Lists::TILES, count, may_win && !is_flat,
                           Chunk::tile(c, i));
        }
        __syncwarp();
        if (any_flat) offer_flat(chunk, c);
        // While the first tile comes, there is time to add up.
        uint32_t i = warp();
        const Tile<T> first[1] = {{row, i < count ? lists.tiles[i] : 0}};
        add_up(chunk, c);
        look_at(first, i < count);
        for (i += WARPS; i < count;) {
            if constexpr (sizeof(T) == 2) { // two at a time, as there are registers for it
                const bool both = i + WARPS < count;
                const Tile<T> two[2] = {{row, lists.tiles[both ? i + WARPS : i]}, {row, lists.tiles[i]}};
                look_at(two, both);
                i += 2 * WARPS;
            } else {
                const Tile<T> one[1] = {{row, lists.tiles[i]}};
                look_at(one, true);
                i += WARPS;
            }
        }
    }

    // Adds the sums of a chunk to the lane's.
    __device__ void add_up(const Chunk& chunk, uint32_t c) {
        const Scale<T> of_row(max);
#pragma unroll
        for (uint32_t i = 0; i < Chunk::PER_LANE; ++i) {
            const TileSum& of = chunk[i];
            const float d = Scale<T>(of.max).log2_in(of_row);
            const float w = exp2_flushing(d);
            sum += of.sum * w;
            // -inf · 0 would be NaN.
            if constexpr (DOTS) dot += w > 0.0f ? (of.dot + d * of.sum) * w : 0.0f;
            const uint32_t tile = 2 * Chunk::tile(c, i) + (of.sum > FLAT);
            max_tile = min(max_tile, of.max == max ? tile : NONE);
        }
    }

    __device__ void join_sums() {
        sum = warp_sum(sum);
        if constexpr (DOTS) dot = warp_sum(dot);
        max_tile = __reduce_min_sync(ALL, max_tile);
        // The weight of the maximum over the sum, both in units: the greedy token's probability.
        greedy_prob = exp2_flushing(log2_unit<T>(max)) / sum;
        log_z = max - logf(greedy_prob);
    }

    // The sums over the row, relative to its maximum.
    __device__ Sums totals() const {
        const float lacks = log2_unit<T>(max);
        const float unit = exp2_flushing(lacks);
        return {max, sum / unit, (dot - lacks * sum) * LN_2 / unit, 0.0f};
    }

    __device__ void offer_flat(const Chunk& chunk, uint32_t c) {
#pragma unroll
        for (uint32_t i = 0; i < Chunk::PER_LANE; ++i) {
            const bool mine = lane() % WARPS == warp();
            if (mine && chunk[i].max >= threshold && chunk[i].sum > FLAT) {
                best.offer(load(&scratch.flat[Chunk::tile(c, i)]), reference(max));
            }
        }
    }

    // Lists the tokens of some tiles that may win; of the first tile only if it counts. Few lanes have
    // more than one.
    template <uint32_t COUNT>
    __device__ __forceinline__ void look_at(const Tile<T> (&tiles)[COUNT], bool first_counts) {
        uint32_t hits[COUNT];
        uint32_t any = 0;
#pragma unroll
        for (uint32_t k = 0; k < COUNT; ++k) {
            hits[k] = tiles[k].from(threshold);
            if (k == 0 && !first_counts) hits[k] = 0;
            any |= hits[k];
        }
        while (__any_sync(ALL, any != 0)) {
            if (found + COUNT * WARP > Lists::TOKENS) look_at_tokens();
            any = 0;
#pragma unroll
            for (uint32_t k = 0; k < COUNT; ++k) {
                const uint32_t token = tiles[k].token(__ffs(hits[k]) - 1);
                found = append(lists.tokens, Lists::TOKENS, found, hits[k] != 0, token);
                any |= hits[k] &= hits[k] - 1;
            }
        }
    }

    __device__ void look_at(const Entry& entry) {
        if (row[entry.token] == max) greedy = min(greedy, entry.token);
        best.offer(small_concept(entry, row, max), reference(max));
    }

    // Looks at the tokens in the list, but for some at its beginning.
    __device__ void look_at_tokens(uint32_t begin = 0) {
        __syncwarp();
        for (uint32_t i = begin + lane(); i < found; i += WARP) look_at(Entry(p, lists.tokens[i]));
        __syncwarp();
        found = 0;
    }

    __device__ void find_greedy(uint32_t tile) {
#pragma unroll 8
        for (uint32_t i = 0; i < PER_LANE; ++i) {
            const uint32_t token = tile * TILE + i * WARP + lane();
            greedy = min(greedy, row.or_nothing(token) == max ? token : NONE);
        }
    }
};

// Whether a tile with +inf has a NaN, too; called by the whole block.
template <class T, class TileSum>
__device__ bool has_nan_beside_inf(const DecideArgs& p, uint32_t batch_row,
                                   const RowScratch<TileSum>& scratch) {
    const LogitRow<T> row(p.logits, batch_row);
    bool any = false;
    for (uint32_t tile = warp(); tile < scratch.tile_count; tile += WARPS) {
        if (__ldcg(&scratch.tiles[tile].max) != infinity()) continue;
        for (uint32_t i = 0; i < PER_LANE; ++i) {
            const float logit = row.or_nothing(tile * TILE + i * WARP + lane());
            any |= logit != logit;
        }
    }
    return __syncthreads_or(any);
}

// Why a row has no winner; called by the whole block. A sum that is no number comes of a NaN, if it
// does not come of +inf, which the maximum tells.
template <class T, class TileSum>
__device__ uint32_t reason(const DecideArgs& p, uint32_t batch_row) {
    const RowScratch<TileSum> scratch(p, batch_row);
    bool any_nan = false;
    bool any_inf = false;
    bool all_neg_inf = true;
    for (uint32_t tile = threadIdx.x; tile < scratch.tile_count; tile += THREADS) {
        const float2 of = __ldcg(reinterpret_cast<const float2*>(&scratch.tiles[tile]));
        any_inf |= of.x == infinity();
        all_neg_inf &= of.x == -infinity() && of.y == of.y;
        any_nan |= of.x != of.x || (of.x < infinity() && of.y != of.y);
    }
    if (__syncthreads_and(all_neg_inf)) return STATUS_ALL_NEG_INF;
    const bool has_inf = __syncthreads_or(any_inf);
    const bool has_nan = __syncthreads_or(any_nan) || (has_inf && has_nan_beside_inf<T>(p, batch_row, scratch));
    return (has_nan ? STATUS_NAN : 0) | (has_inf ? STATUS_POS_INF : 0);
}

// Writes sixteen bytes at a time.
inline __device__ void write(const DecideArgs& p, uint32_t batch_row, const PackedDecision& found) {
    static_assert(sizeof(found) == 2 * sizeof(uint4), "two stores");
    uint4* const out = reinterpret_cast<uint4*>(p.decisions) + batch_row * p.decision_stride;
    out[0] = {found.winner, found.representative, found.greedy, found.status};
    out[1] = {__float_as_uint(found.mass), __float_as_uint(found.representative_prob),
              __float_as_uint(found.greedy_prob), __float_as_uint(found.log_z)};
    p.tokens[batch_row] = found.representative;
}

// What the warps of the last block have found, as one; called by all of it.
template <class Tail>
__device__ void conclude(const DecideArgs& p, uint32_t batch_row, Tail& tail) {
    __shared__ Best best_of[WARPS];
    __shared__ uint32_t greedy_of[WARPS];
    if (lane() == 0) {
        best_of[warp()] = tail.best;
        greedy_of[warp()] = tail.greedy;
    }
    __syncthreads();
    if (threadIdx.x != 0) return;
#pragma unroll
    for (uint32_t w = 1; w < WARPS; ++w) {
        tail.best.join(best_of[w]);
        tail.greedy = min(tail.greedy, greedy_of[w]);
    }
    const Candidate& winner = tail.best.candidate;
    const float representative_prob =
        at_most_1(weight(winner.max, tail.max) * tail.greedy_prob);
    // A concept of everything is certain, however its sum was rounded.
    const float share = p.num_concepts == 1 ? 1.0f : tail.best.weight * tail.greedy_prob;
    const float mass = fmaxf(at_most_1(share), representative_prob);
    write(p, batch_row, {winner.id, winner.token, tail.greedy, 0, mass, representative_prob,
                         at_most_1(tail.greedy_prob), tail.log_z});
}

template <class T>
__device__ void sum_tile(const Tile<T>& logits, float max, TileSum& tile) {
    tile = {max, logits.sum(max)};
}

template <class T> __device__ void sum_tile(const Tile<T>& logits, float max, Sums& tile) {
    tile = logits.sums(max);
}

template <class T, class TileSum>
__device__ void stream(const DecideArgs& p, uint32_t batch_row, const RowScratch<TileSum>& scratch) {
    const uint32_t tile = blockIdx.x * WARPS + warp();
    if (tile >= scratch.tile_count) return;
    const Tile<T> logits({p.logits, batch_row}, tile);
    TileSum of;
    sum_tile(logits, logits.max(), of);
    if (lane() == 0) scratch.tiles[tile] = of;
    if (of.sum > FLAT) search_flat_tile<T>(p, batch_row, tile, of.max, &scratch.flat[tile]);
}

// If a tile leaves Sums, so does the row, in `totals`.
template <class T, class TileSum> __device__ void decide(const DecideArgs& p, Sums* totals) {
    const uint32_t batch_row = ::batch_row();
    if (batch_row >= p.logits.batch) return;
    const RowScratch<TileSum> scratch(p, batch_row);
    const uint32_t tile_blocks = gridDim.x - p.large.blocks;
    if (blockIdx.x < tile_blocks) {
        stream<T>(p, batch_row, scratch);
    } else {
        search_large<T>(p, batch_row, blockIdx.x - tile_blocks, scratch.large);
    }
    if (!last_to_come(&p.tickets[batch_row], gridDim.x)) return;

    __shared__ Lists lists[WARPS];
    Tail<T, TileSum> tail(p, batch_row, lists[warp()]);
    const bool good = tail.run();
    if (tail.DOTS && threadIdx.x == 0) {
        totals[batch_row] = good ? tail.totals() : Sums{tail.max, nan(), nan(), 0.0f};
    }
    if (good) return conclude(p, batch_row, tail);
    const uint32_t status = reason<T, TileSum>(p, batch_row);
    if (threadIdx.x == 0) {
        write(p, batch_row, {NONE, NONE, NONE, status, nan(), nan(), nan(), nan()});
    }
}

// The sums over each row, for the operations of masses.cu, in `totals`; `sum` is NaN if the row has no
// winner.
template <class T> __device__ void sums(const SumsArgs& p) {
    const uint32_t batch_row = ::batch_row();
    if (batch_row >= p.logits.batch) return;
    const LogitRow<T> row(p.logits, batch_row);
    const uint32_t tile_count = tiles_in(row.size);
    Sums* const tiles = p.scratch.partials + static_cast<uint64_t>(batch_row) * tile_count;
    const uint32_t tile = blockIdx.x * WARPS + warp();
    if (tile < tile_count) {
        const Tile<T> logits(row, tile);
        const Sums sums = logits.sums(logits.max());
        if (lane() == 0) tiles[tile] = sums;
    }
    if (!last_to_come(&p.scratch.tickets[batch_row], gridDim.x)) return;
    Sums total = no_sums();
    for (uint32_t i = threadIdx.x; i < tile_count; i += THREADS) {
        const float4 of = __ldcg(reinterpret_cast<const float4*>(&tiles[i]));
        const float lacks = log2_unit<T>(of.x);
        const float scale = exp2_flushing(-lacks);
        total = merge(total, {of.x, of.y * scale, (of.z - lacks * of.y) * LN_2 * scale, 0.0f});
    }
    total = block_merge(total);
    const bool good = total.sum > 0.0f && total.sum < infinity() && total.max < infinity();
    if (!good) total.sum = nan();
    if (threadIdx.x == 0) p.scratch.totals[batch_row] = total;
}

// At least so many blocks shall fit on a multiprocessor: registers enough that nothing is spilled,
// and twice the bytes in flight (2 or, in f32, 4 KiB a warp) that the memory of an H200 needs, some 25 KiB.
template <class T> constexpr int BLOCKS = sizeof(T) == sizeof(float) ? 3 : 5;

#define KERNELS(DTYPE, T) \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS<T>) \
        sums_##DTYPE(const __grid_constant__ SumsArgs p) { \
        sums<T>(p); \
    } \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS<T>) \
        decide_##DTYPE(const __grid_constant__ DecideArgs p) { \
        decide<T, TileSum>(p, nullptr); \
    } \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS<T> > 4 ? 4 : BLOCKS<T>) \
        survey_##DTYPE(const __grid_constant__ SurveyArgs p) { \
        decide<T, Sums>(p.decide, p.totals); \
    }
FOR_EACH_DTYPE(KERNELS)
