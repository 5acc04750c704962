// The search for the two concepts with the largest masses, and for the greedy token.
//
// A concept of n tokens has at most n times the weight of its likeliest token. So if a concept is
// to have weight W, one of its tokens must have a logit of at least max + ln(W / n); and with the n
// of the largest concept of the map, only tokens above `threshold` = ln(W / n), as a distance to
// the maximum, need be looked at to find all concepts of weight W or more. The maximum alone
// guarantees W = 1 for the first place; the second place is known when something is found in it.
// Tiles whose maximum is below the threshold are passed by:
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
//         threshold = ln(second / n), or some way below the next lower logit if there is no second
//
// Two turns at most if the first one finds a second place, and on a peaked row both see a handful
// of tokens in a handful of tiles, whether the map pools ten tokens or the whole vocabulary. As
// long as there is no second place, each turn goes twice as far down as the one before: if one
// concept has all that can be told from 0, seven turns see it. If more concepts are noted than
// there is room for (flat rows of dense maps), all pooled concepts are gathered, once, and n is 1
// from then on. It is exact in every case: the threshold is a bound.
#pragma once

#include "sets.cuh"
#include "tile.cuh"

// Tokens that a warp can keep to be looked at, and concepts that it can note in one turn.
constexpr uint32_t ROOM = 256;

// How far below what it must the first turn looks, in nats, to find the second place as well.
constexpr float LOOKAHEAD = 2.0f;

// What rounding may cost a threshold.
constexpr float SLACK = 1e-3f;

// The best two of what was offered, in any order: the larger value, of equal ones the lower id.
struct Top2 {
    float first = -infinity();
    float second = -infinity();
    uint32_t first_id = NONE;
    uint32_t second_id = NONE;
    uint32_t first_token = NONE;

    __device__ void offer(float value, uint32_t id, uint32_t token) {
        if (id == NONE || id == first_id || id == second_id) return;
        if (value > first || (value == first && id < first_id)) {
            second = first;
            second_id = first_id;
            first = value;
            first_id = id;
            first_token = token;
        } else if (value > second || (value == second && id < second_id)) {
            second = value;
            second_id = id;
        }
    }

    __device__ void join(const Top2& other) {
        offer(other.first, other.first_id, other.first_token);
        // It cannot come first, so its token is of no interest.
        offer(other.second, other.second_id, NONE);
    }
};

// What a warp keeps for later.
struct Lists {
    uint32_t tokens[ROOM]; // to be looked at
    uint32_t ranks[ROOM];  // of pooled concepts, to be gathered
};

// The search of one row, by one block.
template <class T> struct Search {
    const DecideArgs& p;
    const LogitRow<T>& row;
    const Sums total;
    const Sums* tiles; // the sums of the row's tiles
    Lists& lists;      // the warp's

    // How many pooled concepts the warp has noted in this turn.
    uint32_t noted = 0;

    // Each thread's part of what was found.
    Top2 alone;  // concepts of one token, by logit
    Top2 pooled; // others, by weight
    uint32_t greedy = NONE;
    float next = -infinity(); // the largest distance that was seen, and passed by

    __device__ float distance_of(float logit) const { return logit - reference(total.max); }

    __device__ void run() {
        float n = p.sets.largest;
        float ceiling = infinity();
        float step = LOOKAHEAD;
        float threshold = -logf(n) - step;
        for (;;) {
            next = -infinity();
            noted = 0;
            scan(threshold, ceiling);
            if (n > 1.0f) {
                if (__syncthreads_or(noted > ROOM)) {
                    gather_all();
                    n = 1.0f;
                } else {
                    gather_noted();
                }
            }
            join_block();
            const float second = this->second();
            if (next < LEAST_DISTANCE || second >= n * expf(threshold + SLACK)) return;
            ceiling = threshold;
            if (second > 0.0f) {
                threshold = fminf(logf(second) - logf(n) - 2.0f * SLACK, threshold - SLACK);
            } else {
                threshold = next - logf(n) - step;
                step *= 2.0f;
            }
        }
    }

    // Looks at all tokens with threshold <= distance < ceiling.
    __device__ void scan(float threshold, float ceiling) {
        const uint32_t tile_count = tiles_in(row.size);
        uint32_t found = 0;
        for (uint32_t begin = 0; begin < tile_count; begin += THREADS) {
            const uint32_t mine = begin + lane() * WARPS + warp();
            const float d = mine < tile_count ? distance_of(__ldcg(&tiles[mine].max)) : -infinity();
            if (d < threshold) next = fmaxf(next, d);
            uint32_t left = __ballot_sync(ALL, d >= threshold);
            while (left != 0) {
                const uint32_t tile = begin + (__ffs(left) - 1) * WARPS + warp();
                left &= left - 1;
                found = scan_tile(tile, threshold, ceiling, found);
            }
        }
        look_at_found(found);
    }

    // Puts the tokens of a tile that are to be looked at to the `found` ones before them. They are
    // looked at together, since one waits for memory as long as many.
    __device__ uint32_t scan_tile(uint32_t tile, float threshold, float ceiling, uint32_t found) {
        const Tile<T> logits(row, tile);
        uint32_t hits = 0; // one bit for each of the lane's logits
#pragma unroll
        for (uint32_t i = 0; i < PER_LANE; ++i) {
            const float d = distance_of(logits.logit(i));
            if (d < threshold) next = fmaxf(next, d);
            if (d >= threshold && d < ceiling) hits |= 1u << i;
        }
        while (__any_sync(ALL, hits != 0)) {
            if (found + WARP > ROOM) {
                look_at_found(found);
                found = 0;
            }
            const uint32_t token = hits != 0 ? logits.token(__ffs(hits) - 1) : NONE;
            found = append(lists.tokens, found, token);
            hits &= hits - 1;
        }
        return found;
    }

    // Puts what the lanes of a warp have, if it is not NONE, to the `count` things in a list. Gives
    // the new count, which goes on where there is no room.
    __device__ static uint32_t append(uint32_t (&list)[ROOM], uint32_t count, uint32_t thing) {
        const uint32_t things = __ballot_sync(ALL, thing != NONE);
        const uint32_t place = count + __popc(things & ((1u << lane()) - 1));
        if (thing != NONE && place < ROOM) list[place] = thing;
        return count + __popc(things);
    }

    __device__ void look_at_found(uint32_t found) {
        __syncwarp();
        for (uint32_t begin = 0; begin < found; begin += WARP) {
            const uint32_t i = begin + lane();
            look_at(i < found ? lists.tokens[i] : NONE);
        }
        __syncwarp();
    }

    // Called by a whole warp, with NONE in lanes that have nothing to look at.
    __device__ void look_at(uint32_t token) {
        uint32_t rank = NONE;
        if (token != NONE) {
            const uint32_t id = p.concept_of[token];
            const float logit = row[token];
            if (logit == total.max) greedy = min(greedy, token);
            if (id & POOLED) {
                rank = p.rank_of[token];
            } else {
                alone.offer(logit, id, token);
            }
        }
        noted = append(lists.ranks, noted, rank);
    }

    __device__ void gather_noted() {
        __syncwarp();
        for (uint32_t begin = 0; begin < noted; begin += WARP) {
            const uint32_t i = begin + lane();
            gather_ranks(i < noted ? lists.ranks[i] : NONE);
        }
        __syncwarp();
    }

    __device__ void gather_all() {
        const uint32_t count = p.sets.by_thread;
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
            large = members.size > MAX_BY_THREAD;
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
        warp_join(alone);
        warp_join(pooled);
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
        if (second >= LEAST_NORMAL) both.offer(second, alone.second_id, NONE);
        return both;
    }
};
