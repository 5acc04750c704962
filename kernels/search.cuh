// The search for the concept with the largest mass.
//
// A concept of n tokens has at most n times the weight of its likeliest token, and the row's likeliest
// token has the weight 1. So a concept of n tokens can win only if one of its logits is at least
// max - ln n. With the n of the map's largest concept that would be most of an ordinary row: real
// vocabularies have spellings in a hundred forms. So concepts are divided by their size:
//
//     large    More than MAX_SMALL tokens. They are few. All are summed, by blocks of their own, while
//              others stream.
//     small    Only tokens down to `reach` = ln MAX_SMALL below the maximum are looked at. Since each of
//              them has an eighth of the maximum's weight at least, there are at most 8 / p of them
//              in a row whose likeliest token has the probability p. One load tells all the members
//              of such a token's concept (`members_of`), another their logits.
//     alone    A token that is a concept of its own wins only if it is the row's maximum.
//
// A flat row has too many tokens within reach for one block. But then it has flat tiles, in which the
// sum of the weights, relative to the tile's maximum, is above FLAT; and the warp that streams such a
// tile looks at it at once. What is left to the last block is at most 8 · FLAT tokens a tile.
//
// Whoever finds a concept measures it against its own maximum, so that it has the same bits whoever
// finds it, and ties are ties.
#pragma once

#include "tile.cuh"

// Above it, a tile is flat. Those of a language model are seldom, far from the maximum or near it.
constexpr float FLAT = 32.0f;

inline __device__ Candidate no_candidate() { return {-infinity(), 0.0f, NONE, NONE}; }

// The best of what a thread has found, measured against the same reference. At first it is nobody.
struct Best {
    Candidate candidate;
    float weight;

    __device__ void offer(const Candidate& other, float reference) {
        join({other, other.sum * ::weight(other.max, reference)});
    }

    __device__ void join(const Best& other) {
        const bool is_better = (other.weight > weight) |
                               ((other.weight == weight) & (other.candidate.id < candidate.id));
        weight = is_better ? other.weight : weight;
        candidate.max = is_better ? other.candidate.max : candidate.max;
        candidate.sum = is_better ? other.candidate.sum : candidate.sum;
        candidate.id = is_better ? other.candidate.id : candidate.id;
        candidate.token = is_better ? other.candidate.token : candidate.token;
    }

    // Makes every lane know the best of the warp's.
    __device__ void join_warp() {
        const uint32_t bits = __float_as_uint(weight); // ordered as weights, which are not negative
        const uint32_t most = __reduce_max_sync(ALL, bits);
        const uint32_t id = __reduce_min_sync(ALL, bits == most ? candidate.id : NONE);
        const uint32_t winners = __ballot_sync(ALL, bits == most && candidate.id == id);
        const uint32_t winner = __ffs(winners) - 1;
        weight = __uint_as_float(most);
        candidate = {__shfl_sync(ALL, candidate.max, winner), __shfl_sync(ALL, candidate.sum, winner),
                     id, __shfl_sync(ALL, candidate.token, winner)};
    }
};

inline __device__ Best nobody() { return {no_candidate(), 0.0f}; }

// A token's concept, as it is loaded: its id, and its tokens if it is small.
struct Entry {
    uint32_t token;
    uint32_t id;
    uint4 low;
    uint4 high;

    __device__ Entry(const DecideArgs& p, uint32_t token) : token(token) {
        const uint4* const members = reinterpret_cast<const uint4*>(p.members_of) + 2 * token;
        id = __ldg(&p.concept_of[token]);
        low = __ldg(members);
        high = __ldg(members + 1);
    }
};

// The concept of an entry, if it is small and may win, and the token is its representative.
template <class T>
__device__ Candidate small_concept(const Entry& entry, const LogitRow<T>& row, float row_max) {
    const uint32_t token = entry.token;
    const uint32_t id = entry.id;
    const uint32_t tokens[MAX_SMALL] = {entry.low.x,  entry.low.y,  entry.low.z,  entry.low.w,
                                        entry.high.x, entry.high.y, entry.high.z, entry.high.w};
    float logits[MAX_SMALL];
#pragma unroll
    for (uint32_t k = 0; k < MAX_SMALL; ++k) {
        logits[k] = row.or_nothing(tokens[k]);
    }
    // In a tree, which is shorter than a chain; of equal logits the left one is the lower token's.
    float max[MAX_SMALL];
    uint32_t representative[MAX_SMALL];
#pragma unroll
    for (uint32_t k = 0; k < MAX_SMALL; ++k) max[k] = logits[k], representative[k] = tokens[k];
#pragma unroll
    for (uint32_t step = 1; step < MAX_SMALL; step *= 2) {
#pragma unroll
        for (uint32_t k = 0; k < MAX_SMALL; k += 2 * step) {
            if (max[k + step] > max[k]) {
                max[k] = max[k + step];
                representative[k] = representative[k + step];
            }
        }
    }
    float weights[MAX_SMALL];
#pragma unroll
    for (uint32_t k = 0; k < MAX_SMALL; ++k) weights[k] = weight(logits[k], reference(max[0]));
#pragma unroll
    for (uint32_t step = 1; step < MAX_SMALL; step *= 2) {
#pragma unroll
        for (uint32_t k = 0; k < MAX_SMALL; k += 2 * step) weights[k] += weights[k + step];
    }
    const bool may_win = representative[0] == token && (id & POOLED || max[0] >= row_max);
    return {max[0], may_win ? weights[0] : 0.0f, may_win ? id & ~POOLED : NONE, token};
}

// The best of what may win in a tile, by its maximum; called by a warp. It is apart from the kernel,
// which is to be short where rows are ordinary.
template <class T>
__device__ __noinline__ void search_flat_tile(const DecideArgs& p, uint32_t batch_row, uint32_t tile,
                                              float max, Candidate* result) {
    const LogitRow<T> row(p.logits, batch_row);
    const float threshold = max - p.reach;
    uint32_t pooled = 0; // one bit for each of the lane's tokens that may win with others
    uint32_t first_id = POOLED; // the lowest of those that are alone
    uint32_t first_token = NONE;
#pragma unroll 8
    for (uint32_t i = 0; i < PER_LANE; ++i) {
        const uint32_t token = tile * TILE + i * WARP + lane();
        const uint32_t id = __ldg(&p.concept_of[min(token, row.size - 1)]);
        const float logit = row.or_nothing(token);
        pooled |= static_cast<uint32_t>(id >= POOLED && logit >= threshold) << i;
        const bool is_best = logit == max && id < first_id;
        first_id = is_best ? id : first_id;
        first_token = is_best ? token : first_token;
    }
    Best best = nobody();
    if (first_id != POOLED) best = {{max, 1.0f, first_id, first_token}, 1.0f};
    // Two at a time, since one waits for memory as long as many.
    const auto next = [&pooled, tile] {
        const uint32_t i = __ffs(pooled) - 1;
        pooled &= pooled - 1;
        return tile * TILE + i * WARP + lane();
    };
    while (pooled != 0) {
        const uint32_t one = next();
        const uint32_t another = pooled != 0 ? next() : one;
        const Entry entries[2] = {{p, one}, {p, another}};
        const Candidate candidates[2] = {small_concept(entries[0], row, max),
                                         small_concept(entries[1], row, max)};
        best.offer(candidates[0], reference(max));
        best.offer(candidates[1], reference(max));
    }
    __syncwarp();
    best.join_warp();
    if (lane() == 0) *result = best.candidate;
}

// What threads have found of a large concept.
struct Part {
    float max = -infinity();
    float sum = 0.0f; // relative to the maximum
    uint32_t token = NONE;

    // Four tokens, or NONE.
    template <class T> __device__ void add(const LogitRow<T>& row, const uint4& of) {
        const uint32_t tokens[4] = {of.x, of.y, of.z, of.w};
        float logits[4];
#pragma unroll
        for (uint32_t k = 0; k < 4; ++k) logits[k] = row.or_nothing(tokens[k]);
        const float before = max;
#pragma unroll
        for (uint32_t k = 0; k < 4; ++k) {
            token = logits[k] > max ? tokens[k] : token;
            max = fmaxf(max, logits[k]);
        }
        sum *= weight(before, reference(max));
#pragma unroll
        for (uint32_t k = 0; k < 4; ++k) sum += weight(logits[k], reference(max));
    }

    // Makes WIDTH neighbouring lanes know what all of them have found, with the same bits.
    template <uint32_t WIDTH> __device__ void join_lanes() {
        const float mine = max;
#pragma unroll
        for (uint32_t step = WIDTH / 2; step > 0; step /= 2) {
            max = fmaxf(max, __shfl_xor_sync(ALL, max, step));
        }
        sum *= weight(mine, reference(max));
        token = mine == max ? token : NONE;
#pragma unroll
        for (uint32_t step = WIDTH / 2; step > 0; step /= 2) {
            sum += __shfl_xor_sync(ALL, sum, step);
            token = min(token, __shfl_xor_sync(ALL, token, step));
        }
    }

    __device__ void join_block() {
        __shared__ Part of_warp[WARPS];
        join_lanes<WARP>();
        if (lane() == 0) of_warp[warp()] = *this;
        __syncthreads();
#pragma unroll
        for (uint32_t w = 0; w < WARPS; ++w) max = fmaxf(max, of_warp[w].max);
        sum = 0.0f;
        token = NONE;
#pragma unroll
        for (uint32_t w = 0; w < WARPS; ++w) {
            sum += of_warp[w].sum * weight(of_warp[w].max, reference(max));
            token = min(token, of_warp[w].max == max ? of_warp[w].token : NONE);
        }
    }
};

// The best of the concepts that a block sums, WIDTH threads each, four tokens a thread; each warp
// leaves what it has found.
template <uint32_t WIDTH, class T>
__device__ void sum_large(const LargeSets& sets, const LogitRow<T>& row, uint32_t block,
                          uint32_t first, uint32_t end, const uint4* members, Candidate* result) {
    const uint32_t place = block * (THREADS / WIDTH) + threadIdx.x / WIDTH;
    const bool any = first + place < end;
    const uint32_t last = end - first - 1;
    const uint32_t id = __ldg(&sets.ids[first + min(place, last)]);
    const uint4 tokens = __ldg(&members[min(place, last) * WIDTH + threadIdx.x % WIDTH]);
    Part part;
    part.add(row, tokens);
    part.join_lanes<WIDTH>();
    Best best = nobody();
    best.offer({part.max, any ? part.sum : 0.0f, any ? id : NONE, part.token},
               reference(warp_max(part.max)));
    best.join_warp();
    if (lane() == 0) result[block * WARPS + warp()] = best.candidate;
}

// A concept that is too large for a warp, by a block.
template <class T>
__device__ void sum_huge(const LogitRow<T>& row, const LargeSets& sets, uint32_t rank,
                         const uint4* members, Candidate* result) {
    const uint32_t end = sets.huge_ends[rank - sets.by_warp];
    const uint32_t start = rank == sets.by_warp ? 0 : sets.huge_ends[rank - sets.by_warp - 1];
    Part part;
    for (uint32_t i = start + threadIdx.x; i < end; i += THREADS) part.add(row, __ldg(&members[i]));
    part.join_block();
    if (lane() == 0) {
        const bool mine = warp() == 0;
        result[warp()] = mine ? Candidate{part.max, part.sum, sets.ids[rank], part.token} : no_candidate();
    }
}

// The share of the large concepts that falls to a block.
template <class T>
__device__ __noinline__ void search_large(const DecideArgs& p, uint32_t batch_row, uint32_t block,
                                          Candidate* result) {
    const LogitRow<T> row(p.logits, batch_row);
    const LargeSets& sets = p.large;
    const uint4* members = reinterpret_cast<const uint4*>(sets.members);
    uint32_t first = 0;
#define SHARE(WIDTH, END) \
    { \
        const uint32_t blocks = (END - first + THREADS / WIDTH - 1) / (THREADS / WIDTH); \
        if (block < blocks) { \
            return sum_large<WIDTH>(sets, row, block, first, END, members, result); \
        } \
        block -= blocks; \
        members += (END - first) * WIDTH; \
        result += blocks * WARPS; \
        first = END; \
    }
    SHARE(4, sets.by_4)
    SHARE(8, sets.by_8)
    SHARE(16, sets.by_16)
    SHARE(WARP, sets.by_warp)
#undef SHARE
    sum_huge(row, sets, first + block, members, result + block * WARPS);
}
