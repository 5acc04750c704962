// The decision: from logits to rows, in one launch.
//
//     stream   A warp takes a tile of 1,024 logits of a row into registers, by loads of sixteen
//              bytes that are all in flight at once; finds their maximum; and adds up weights and
//              distances · weights against it (row.cuh). A tile's sums are all that is written.
//     merge    The last block of a row to come (a ticket tells) merges the tiles' sums in the
//              order of the tiles. That gives log Z, the token entropy and the maximum.
//     search   The same block looks for the two concepts with the largest masses, and the greedy
//              token, from the maximum downwards.
//
// The search is what makes this cheap. A concept of n tokens has at most n times the weight of its
// likeliest token. So if a concept is to have weight W, one of its tokens must have a logit of at
// least max + ln(W / n), and for the n of the largest concept of the map, only tokens above
// `threshold` = ln(W / n), as a distance to the maximum, need be looked at to find all concepts of
// weight W or more. The maximum alone guarantees W = 1 for the first place; the second place is
// known when something is found in it. Tiles whose maximum is below the threshold are passed by:
//
//     ceiling = +inf; threshold = -ln n - a little more
//     loop
//         for every tile whose maximum reaches the threshold
//             for every token with threshold <= distance < ceiling
//                 if it is a concept of its own: offer it to the best two of those
//                 else: note its concept
//         for every concept that was noted: gather its members, offer its mass to the best two
//         second = the second best weight of all offered
//         if second >= n · e^threshold: nothing unseen can matter: stop
//         ceiling = threshold
//         threshold = ln(second / n), or below the next lower logit if there is no second yet
//
// Two turns at most if the first one finds a second place, and on a peaked row both see a handful
// of tokens in a handful of tiles, whether the map pools ten tokens or the whole vocabulary. If
// more concepts are noted than there is room for (flat rows of dense maps), all pooled concepts are
// gathered, once, and n is 1 from then on. It is exact in every case: the threshold is a bound.
//
// Nothing depends on the order in which blocks, warps or lanes come: sums are merged by place, and
// the best two are the best two in any order. So a row's bits are the same in every run, and
// anywhere in a batch.

#include "sets.cuh"

// Logits that a lane and a warp take.
constexpr uint32_t PER_LANE = 32;
constexpr uint32_t TILE = PER_LANE * WARP;

// Concepts that a warp can note in one turn of the search.
constexpr uint32_t ROOM = 256;

// A concept of at most so many tokens is gathered by one thread.
constexpr uint32_t BY_THREAD = 32;

// How far below what it must the first turn looks, in nats, to find the second place as well.
constexpr float LOOKAHEAD = 2.0f;

// What rounding may cost a threshold.
constexpr float SLACK = 1e-3f;

// A tile's logits in the registers of a warp.
template <class T> struct Tile {
    static constexpr uint32_t VECTORS = PER_LANE / Vector<T>::SIZE;

    Vector<T> vectors[VECTORS];
    uint32_t first;

    __device__ Tile(const LogitRow<T>& row, uint32_t tile)
        : first(tile * (TILE / Vector<T>::SIZE) + lane()) {
        row.load(first, (tile + 1) * TILE <= row.size, vectors);
    }

    // Of the lane's logits, 0 to PER_LANE.
    __device__ float logit(uint32_t i) const {
        return vectors[i / Vector<T>::SIZE][i % Vector<T>::SIZE];
    }

    __device__ uint32_t token(uint32_t i) const {
        const uint32_t vector = first + i / Vector<T>::SIZE * WARP;
        return vector * Vector<T>::SIZE + i % Vector<T>::SIZE;
    }

    // The largest in the warp's tile, in every lane.
    __device__ float max() const {
        uint32_t best[4];
#pragma unroll
        for (uint32_t k = 0; k < 4; ++k) best[k] = vectors[0].words[k];
#pragma unroll
        for (uint32_t j = 1; j < VECTORS; ++j) {
#pragma unroll
            for (uint32_t k = 0; k < 4; ++k) best[k] = Dtype<T>::max(best[k], vectors[j].words[k]);
        }
        const uint32_t word =
            Dtype<T>::max(Dtype<T>::max(best[0], best[1]), Dtype<T>::max(best[2], best[3]));
        float logits[Vector<T>::PER_WORD];
        Dtype<T>::widen(word, logits);
        float max = logits[0];
#pragma unroll
        for (uint32_t k = 1; k < Vector<T>::PER_WORD; ++k) max = fmaxf(max, logits[k]);
        return warp_max(max);
    }

    // In every lane.
    __device__ Sums sums() const {
        const float max = this->max();
        const float against = reference(max);
        float sum = 0.0f;
        float dot = 0.0f;
#pragma unroll
        for (uint32_t i = 0; i < PER_LANE; ++i) {
            const float d = distance(logit(i), against);
            const float w = weight_at(d);
            sum += w;
            dot += d * w;
        }
        return {max, warp_sum(sum), warp_sum(dot), 0.0f};
    }
};

// The best two of what was offered, in any order: the larger value, of equal ones the lower id.
struct Top2 {
    float first = -infinity();
    float second = -infinity();
    uint32_t first_id = NONE;
    uint32_t second_id = NONE;
    uint32_t first_token = NONE;
    uint32_t second_token = NONE;

    __device__ void offer(float value, uint32_t id, uint32_t token) {
        if (id == NONE || id == first_id || id == second_id) return;
        if (value > first || (value == first && id < first_id)) {
            second = first;
            second_id = first_id;
            second_token = first_token;
            first = value;
            first_id = id;
            first_token = token;
        } else if (value > second || (value == second && id < second_id)) {
            second = value;
            second_id = id;
            second_token = token;
        }
    }

    __device__ void join(const Top2& other) {
        offer(other.first, other.first_id, other.first_token);
        offer(other.second, other.second_id, other.second_token);
    }
};

inline __device__ Top2 warp_join(Top2 top) {
#pragma unroll
    for (uint32_t step = WARP / 2; step > 0; step /= 2) {
        Top2 other;
        other.first = __shfl_xor_sync(ALL, top.first, step);
        other.second = __shfl_xor_sync(ALL, top.second, step);
        other.first_id = __shfl_xor_sync(ALL, top.first_id, step);
        other.second_id = __shfl_xor_sync(ALL, top.second_id, step);
        other.first_token = __shfl_xor_sync(ALL, top.first_token, step);
        other.second_token = __shfl_xor_sync(ALL, top.second_token, step);
        top.join(other);
    }
    return top;
}

// The search of one row, by one block.
template <class T> struct Search {
    const Params& p;
    const LogitRow<T>& row;
    const Sums total;
    const Sums* tiles;        // the sums of the row's tiles
    uint32_t (*noted)[ROOM];  // ranks of concepts, for each warp

    // Each thread's part of what was found.
    Top2 alone;  // concepts of one token, by logit
    Top2 pooled; // others, by weight
    uint32_t greedy = NONE;
    float next = -infinity(); // the largest distance that was seen, and passed by

    __device__ float distance_of(float logit) const { return logit - reference(total.max); }

    __device__ void run() {
        float n = p.sets.largest;
        float ceiling = infinity();
        float threshold = -logf(n) - LOOKAHEAD;
        for (;;) {
            next = -infinity();
            const uint32_t count = scan(threshold, ceiling);
            if (__syncthreads_or(count > ROOM)) {
                gather_all(p.sets.by_thread);
                n = 1.0f;
            } else if (n > 1.0f) {
                gather_noted(count);
            }
            join_block();
            const float second = this->second();
            if (next < LEAST_DISTANCE || second >= n * expf(threshold + SLACK)) return;
            ceiling = threshold;
            const float enough = second > 0.0f ? logf(second) : fminf(next, threshold);
            threshold = fminf(enough - logf(n) - 2.0f * SLACK, threshold - SLACK);
        }
    }

    // Looks at all tokens with threshold <= distance < ceiling. Gives the number of pooled
    // concepts that the warp noted, or would have noted if there had been room.
    __device__ uint32_t scan(float threshold, float ceiling) {
        const uint32_t tile_count = (row.size + TILE - 1) / TILE;
        uint32_t count = 0;
        for (uint32_t begin = 0; begin < tile_count; begin += THREADS) {
            const uint32_t mine = begin + lane() * WARPS + warp();
            const float d = mine < tile_count ? distance_of(__ldcg(&tiles[mine].max)) : -infinity();
            if (d < threshold) next = fmaxf(next, d);
            uint32_t left = __ballot_sync(ALL, d >= threshold);
            while (left != 0) {
                const uint32_t tile = begin + (__ffs(left) - 1) * WARPS + warp();
                left &= left - 1;
                count = scan_tile(tile, threshold, ceiling, count);
            }
        }
        return count;
    }

    __device__ uint32_t scan_tile(uint32_t tile, float threshold, float ceiling, uint32_t count) {
        const Tile<T> logits(row, tile);
        uint32_t hits = 0; // one bit for each of the lane's logits
#pragma unroll
        for (uint32_t i = 0; i < PER_LANE; ++i) {
            const float d = distance_of(logits.logit(i));
            if (d < threshold) next = fmaxf(next, d);
            if (d >= threshold && d < ceiling) hits |= 1u << i;
        }
        while (__any_sync(ALL, hits != 0)) {
            const uint32_t token = hits != 0 ? logits.token(__ffs(hits) - 1) : NONE;
            hits &= hits - 1;
            count = look_at(token, count);
        }
        return count;
    }

    // Called by a whole warp, with NONE in lanes that have nothing to look at.
    __device__ uint32_t look_at(uint32_t token, uint32_t count) {
        bool note = false;
        if (token != NONE) {
            const uint32_t id = p.concept_of[token];
            const float logit = row[token];
            if (logit == total.max) greedy = min(greedy, token);
            note = id & POOLED;
            if (!note) alone.offer(logit, id, token);
        }
        const uint32_t notes = __ballot_sync(ALL, note);
        const uint32_t place = count + __popc(notes & ((1u << lane()) - 1));
        if (note && place < ROOM) noted[warp()][place] = p.rank_of[token];
        return count + __popc(notes);
    }

    __device__ void gather_noted(uint32_t count) {
        __syncwarp();
        for (uint32_t begin = 0; begin < count; begin += WARP) {
            const uint32_t i = begin + lane();
            gather_ranks(i < count ? noted[warp()][i] : NONE);
        }
        __syncwarp();
    }

    __device__ void gather_all(uint32_t count) {
        for (uint32_t begin = warp() * WARP; begin < count; begin += THREADS) {
            const uint32_t rank = begin + lane();
            gather_ranks(rank < count ? rank : NONE);
        }
    }

    // Each lane of a warp brings a rank, or NONE.
    __device__ void gather_ranks(uint32_t rank) {
        bool large = false;
        if (rank != NONE) {
            const Members members(p.sets, rank);
            large = members.size > BY_THREAD;
            if (!large) offer(rank, gather<1>(row, members, total.max));
        }
        uint32_t left = __ballot_sync(ALL, large);
        while (left != 0) {
            const uint32_t of_lane = __shfl_sync(ALL, rank, __ffs(left) - 1);
            left &= left - 1;
            offer(of_lane, gather<WARP>(row, Members(p.sets, of_lane), total.max));
        }
    }

    __device__ void offer(uint32_t rank, const Gathered& concept_) {
        if (concept_.weight >= LEAST_NORMAL) {
            pooled.offer(concept_.weight, p.sets.ids[rank], concept_.token);
        }
    }

    // Makes every thread know what all of the block have found.
    __device__ void join_block() {
        __shared__ Top2 alone_of[WARPS], pooled_of[WARPS];
        __shared__ uint32_t greedy_of[WARPS];
        __shared__ float next_of[WARPS];
        alone = warp_join(alone);
        pooled = warp_join(pooled);
        greedy = __reduce_min_sync(ALL, greedy);
        next = warp_max(next);
        __syncthreads();
        if (lane() == 0) {
            alone_of[warp()] = alone;
            pooled_of[warp()] = pooled;
            greedy_of[warp()] = greedy;
            next_of[warp()] = next;
        }
        __syncthreads();
#pragma unroll
        for (uint32_t w = 0; w < WARPS; ++w) {
            alone.join(alone_of[w]);
            pooled.join(pooled_of[w]);
            greedy = min(greedy, greedy_of[w]);
            next = fmaxf(next, next_of[w]);
        }
    }

    // The second largest weight found, or 0.
    __device__ float second() const {
        const Top2 both = best();
        return fmaxf(both.second, 0.0f);
    }

    // The best two of both kinds, by weight.
    __device__ Top2 best() const {
        Top2 both = pooled;
        // Logits closer than weights can tell apart still have the order of argmax.
        const float first = weight(alone.first, total.max);
        float second = weight(alone.second, total.max);
        if (alone.second < alone.first) second = fminf(second, __uint_as_float(__float_as_uint(first) - 1));
        if (first >= LEAST_NORMAL) both.offer(first, alone.first_id, alone.first_token);
        if (second >= LEAST_NORMAL) both.offer(second, alone.second_id, alone.second_token);
        return both;
    }
};

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

inline __device__ float at_most_1(float x) { return x > 1.0f ? 1.0f : x; }

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
    const uint32_t batch_row = blockIdx.x / p.blocks_per_row;
    const uint32_t chunk = blockIdx.x % p.blocks_per_row;
    const LogitRow<T> row(p, batch_row);
    const uint32_t tile_count = (row.size + TILE - 1) / TILE;
    Sums* const tiles = p.partials + static_cast<uint64_t>(batch_row) * tile_count;

    const uint32_t tile = chunk * WARPS + warp();
    if (tile < tile_count) {
        const Sums sums = Tile<T>(row, tile).sums();
        if (lane() == 0) tiles[tile] = sums;
    }
    if (!last_to_come(&p.tickets[batch_row], p.blocks_per_row)) return;

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
    __shared__ uint32_t noted[WARPS][ROOM];
    Search<T> search{p, row, total, tiles, noted};
    search.run();
    if (threadIdx.x == 0) {
        const Row found = good_row(search);
        p.rows[batch_row] = found;
        p.tokens[batch_row] = found.representative;
    }
}

#define DECIDE(NAME, T) \
    extern "C" __global__ void __launch_bounds__(THREADS) NAME(const __grid_constant__ Params p) { \
        decide<T>(p); \
    }
DECIDE(decide_f32, float)
DECIDE(decide_f16, __half)
DECIDE(decide_bf16, __nv_bfloat16)
