// The weights of a row's concepts, in parts that are neighbours in the order of the draw (draw.cu says which
// that is), and the choice of one of them.
//
// Each part has a logit m and a `lead`, and its weights are (mass / (e^m · 2^lead))^(1/T). `Sums` holds that
// as {max: m, sum, dot: lead}:
//
//     a tile            m is its largest logit, the lead is 0.
//     a larger set      m is its largest logit, and the lead log2(mass / e^m): its weight is 1.
//     a warp's sets     m is their largest logit, the lead is 0. But a set of n tokens may weigh n^(1/T). If
//                       that may be beyond 2^100, m and lead are those of the heaviest set, as of a larger
//                       one; then sets of one mass have one weight, to the bit, in whatever part they are.
#pragma once

#include "choose.cuh"
#include "sets.cuh"
#include "tile.cuh"

// A power of a weight that is given by log2 of it. In two factors: 1 / T may lie outside the range of f32,
// and so may its product with a small or a large number.
struct Power {
    const float root;

    __device__ float of(float log2) const { return exp2_flushing(log2 * root * root); }

    // Whether the weights of sets that a thread gathers may be too large to be added up in f32.
    __device__ bool is_cold() const;
};

// Neighbours in the order of the concepts. Their `Sums` are the logit and the sum of the weights relative
// to it and to the lead, which is the third.
struct Part {
    float max;
    float sum;
    float lead;

    __device__ Part(const Sums* parts, uint32_t i) {
        const float4 of = __ldcg(reinterpret_cast<const float4*>(&parts[i]));
        max = of.x;
        sum = of.y;
        lead = of.z;
    }

    // log2 of what its weights are relative to, before the power, relative to a logit. (What has no
    // maximum has no sum, or a NaN.)
    __device__ float log2_unit(float reference) const {
        return max > -infinity() ? (max - reference) * LOG2_E + lead : -infinity();
    }
};

// The parts of a row: its tiles, then those of the warps that have gathered sets a thread, then one for
// each larger set.
struct Layout {
    uint32_t tiles;
    uint32_t by_warp; // where the parts of larger sets begin
    uint32_t count;

    __device__ Layout(uint32_t vocab_size, const Sets& sets)
        : tiles(tiles_in(vocab_size)), by_warp(tiles + blocks_for(sets.by_thread, WARP)),
          count(by_warp + sets.by_block - sets.by_thread) {}
};

// What log2(mass / e^m) is at most of a set that a thread gathers.
constexpr float MAX_LEAD = 5.0f;
static_assert(MAX_BY_THREAD == 32, "log2 of that");
// The largest power of two of a weight: 32 of them fit into f32.
constexpr float MAX_LOG2 = 100.0f;

inline __device__ bool Power::is_cold() const { return root * root * MAX_LEAD > MAX_LOG2; }

// log2 of a set's mass relative to a logit. One formula, so that equal masses stay equal.
inline __device__ float log2_mass(const Gathered& got, float relative_to) {
    return (got.max - reference(relative_to)) * LOG2_E + __log2f(got.weight);
}

// Leaves the weights of a row's sets, called by `for_each_set` (sets.cuh) with each of them.
struct WeighSets {
    const Layout& layout;
    const Power power;
    Sums* const parts;
    const uint32_t by_thread;

    template <uint32_t WIDTH> __device__ void set(uint32_t rank, const Set& set, const Gathered& got) {
        if constexpr (WIDTH > 1) {
            const float lead = __log2f(got.weight);
            const bool has = !(got.weight == 0.0f); // or is a NaN
            const Sums part = {got.max, has ? power.of(lead - lead) : 0.0f, has ? lead : 0.0f, 0.0f};
            if (set.exists && threadIdx.x % WIDTH == 0) parts[layout.by_warp + rank - by_thread] = part;
        } else {
            Sums part = {warp_max(got.max), 0.0f, 0.0f, 0.0f};
            float log2 = log2_mass(got, part.max);
            if (power.is_cold()) {
                const float top = warp_max(log2);
                const uint32_t leader = __ffs(__ballot_sync(ALL, log2 == top)) - 1;
                log2 -= reference(top);
                part.max = __shfl_sync(ALL, got.max, leader % WARP);
                part.dot = __shfl_sync(ALL, __log2f(got.weight), leader % WARP);
            }
            part.sum = warp_sum(power.of(log2));
            if (lane() == 0 && set.exists) parts[layout.tiles + rank / WARP] = part;
        }
    }
};

// A bit for each logit that a lane has of a tile.
template <class T> struct TileBits {
    static constexpr uint32_t SIZE = Vector<T>::SIZE;
    uint32_t bits[Tile<T>::VECTORS];

    // Of a table with a bit for each token.
    __device__ TileBits(const uint32_t* table, uint32_t first_vector) {
#pragma unroll
        for (uint32_t j = 0; j < Tile<T>::VECTORS; ++j) {
            const uint32_t token = (first_vector + j * WARP) * SIZE;
            const uint8_t byte = __ldg(reinterpret_cast<const uint8_t*>(table) + token / 8);
            bits[j] = byte >> token % 8;
        }
    }

    // Of words of 32 neighbouring tokens each, of which every lane has one.
    __device__ explicit TileBits(uint32_t word) {
#pragma unroll
        for (uint32_t j = 0; j < Tile<T>::VECTORS; ++j) {
            const uint32_t first = (j * WARP + lane()) * SIZE; // the vector's first token
            bits[j] = __shfl_sync(ALL, word, first / 32) >> first % 32;
        }
    }

    __device__ bool has(uint32_t i) const { return bits[i / SIZE] >> i % SIZE & 1; }
};

struct NonePooled {
    __device__ bool has(uint32_t) const { return false; }
};

// The weights of a tile's tokens that are not pooled, relative to its maximum.
template <class T, class Pooled>
__device__ float sum_tile(const Tile<T>& tile, float max, const Pooled& pooled, float root) {
    float sum = 0.0f;
    const float scale = LOG2_E * root * root;
    // The rounding error of the product is the same for all, as in tile.cuh.
    const float offset = max * scale;
    if (fabsf(offset) <= Dtype<T>::EXACT && scale > 1e-30f) {
#pragma unroll
        for (uint32_t i = 0; i < PER_LANE; ++i) {
            const float w = exp2_flushing(fmaf(tile.logit(i), scale, -offset));
            if (!pooled.has(i)) sum += w;
        }
        return warp_sum(sum) / exp2_flushing(fmaf(max, scale, -offset));
    }
    const Power power = {root};
#pragma unroll
    for (uint32_t i = 0; i < PER_LANE; ++i) {
        const float w = power.of((tile.logit(i) - reference(max)) * LOG2_E);
        if (!pooled.has(i)) sum += w;
    }
    return warp_sum(sum);
}

inline __device__ float block_max(float x) {
    return block_join(warp_max(x), [](float& all, float other) { all = fmaxf(all, other); });
}

// Which of a row's parts a uniform number falls on, as `choose` (choose.cuh); NONE if none has a weight, or
// one is not a number.
inline __device__ uint32_t choose_part(const Sums* parts, uint32_t count, const Power& power,
                                       double& uniform) {
    float max = -infinity();
    for (uint32_t i = threadIdx.x; i < count; i += THREADS) max = max_or_nan(max, Part(parts, i).max);
    max = block_max(max);
    if (!(max < infinity())) return NONE;
    float top = -infinity();
    for (uint32_t i = threadIdx.x; i < count; i += THREADS) {
        const Part part(parts, i);
        if (part.sum > 0.0f) top = fmaxf(top, part.log2_unit(reference(max)));
    }
    top = block_max(top);
    return choose(count, uniform, [&](uint32_t i) {
        const Part part(parts, i);
        // A NaN is one of its sum, too.
        const float weight = power.of(part.log2_unit(reference(max)) - top);
        return part.sum == 0.0f ? 0.0 : static_cast<double>(part.sum) * weight;
    });
}

// Which set of a part, that of the warp which has gathered those from `first` on.
template <class Row>
__device__ uint32_t choose_set(const Row& row, const Sets& sets, const Part& part, uint32_t first,
                               const Power& power, double& uniform) {
    const uint32_t i = choose(min(WARP, sets.by_thread - first), uniform, [&](uint32_t i) {
        const Gathered got = gather<false, 1>(row, Set(sets, first + i, true));
        return power.of(log2_mass(got, part.max) - part.lead);
    });
    return i == NONE ? NONE : first + i;
}
