// The search for the likeliest token that is a concept of its own and not the winner; with the pooled
// concepts, all of which rows.cu sums, that gives the runner-up.
//
// Tiles whose maximum is below `threshold` are passed by. The first threshold is the second largest
// maximum of a tile: two tokens at least are not below it. If neither will do (they may be pooled, or
// the winner), each turn goes twice as far down as the one before. What is found is the largest, since
// all that is not below the threshold has been seen.
#pragma once

#include "tile.cuh"

// How far down the second turn goes, in nats.
constexpr float LOOKAHEAD = 2.0f;

// A token that is a concept of its own.
struct Alone {
    float logit;
    uint32_t id;

    __device__ void join(const Alone& other) {
        const bool is_better = other.logit > logit || (other.logit == logit && other.id < id);
        if (is_better) *this = other;
    }
};

inline __device__ Alone nobody_alone() { return {-infinity(), NONE}; }

// A block's second largest of the tiles' maxima, in every thread.
inline __device__ float second_tile_max(const Sums* tiles, uint32_t count) {
    struct Two {
        float first, second;
        __device__ void join(const Two& other) {
            second = fmaxf(fminf(first, other.first), fmaxf(second, other.second));
            first = fmaxf(first, other.first);
        }
    };
    Two two = {-infinity(), -infinity()};
    for (uint32_t tile = threadIdx.x; tile < count; tile += THREADS) {
        two.join({tiles[tile].max, -infinity()});
    }
    warp_join(two);
    __shared__ Two of_warp[WARPS];
    if (lane() == 0) of_warp[warp()] = two;
    __syncthreads();
    two = of_warp[0];
#pragma unroll
    for (uint32_t w = 1; w < WARPS; ++w) two.join(of_warp[w]);
    return two.second;
}

// By a whole block, all threads of which get the result; nobody if none has a weight of `least`, as a
// distance to the maximum.
template <class T>
__device__ Alone best_alone(const LogitRow<T>& row, const uint32_t* concept_of, const Sums* tiles,
                            uint32_t winner, float max, float least) {
    const uint32_t count = tiles_in(row.size);
    const float floor = max + fmaxf(least, LEAST_DISTANCE);
    float threshold = fmaxf(second_tile_max(tiles, count), floor);
    float step = LOOKAHEAD;
    for (;;) {
        Alone best = nobody_alone();
        for (uint32_t tile = warp(); tile < count; tile += WARPS) {
            if (!(tiles[tile].max >= threshold)) continue;
#pragma unroll 16
            for (uint32_t i = 0; i < PER_LANE; ++i) {
                const uint32_t token = tile * TILE + i * WARP + lane();
                const uint32_t id = __ldg(&concept_of[min(token, row.size - 1)]);
                const float logit = row.or_nothing(token);
                const bool counts = logit >= threshold && id < POOLED && id != winner;
                best.join({counts ? logit : -infinity(), counts ? id : NONE});
            }
        }
        warp_join(best);
        best = block_join(best, [](Alone& all, const Alone& other) { all.join(other); });
        if (best.id != NONE || !(threshold > floor)) return best;
        threshold = fmaxf(max - step, floor);
        step *= 2.0f;
    }
}
