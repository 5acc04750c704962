// A warp's share of a row, and the sums over it.
//
// A weight is e^(l - max) = 2^(l · log2 e - max · log2 e), which takes one fused multiply-add and one
// power of two: the product max · log2 e is rounded once, to `offset`. What that has taken from all
// weights alike, it has taken from the maximum's own, which is not 1 but a `unit`; sums are divided by
// that once, when those of all tiles have been brought to one scale.
//
// That needs an offset whose rounding error does not carry weights out of the range of f32. So
// tiles whose maximum is beyond EXACT subtract it first, which is exact for all logits that matter.
#pragma once

#include "row.cuh"

inline __device__ uint32_t tiles_in(uint32_t logits) { return (logits + TILE - 1) / TILE; }

// What a tile leaves: its maximum, and the sum of its weights relative to that, in units; `Sums` has
// Σ d · w, too, with d = log2 w.
struct alignas(8) TileSum {
    float max;
    float sum;
};

// log2 of a unit's scale, a quarter of it, since the whole may overflow: `offset`, or max · log2 e as
// the sum of two numbers.
template <class T> struct Scale {
    float high;
    float low;

    __device__ explicit Scale(float max) {
        const float finite = reference(max);
        high = finite * (LOG2_E / 4.0f);
        low = fabsf(max) <= Dtype<T>::EXACT ? 0.0f : fmaf(finite, LOG2_E / 4.0f, -high);
    }

    // log2 of what this unit is in another.
    __device__ float log2_in(const Scale& other) const {
        return 4.0f * ((high - other.high) + (low - other.low));
    }
};

// log2 of the weight that the maximum itself has, which is a tile's unit.
template <class T> __device__ float log2_unit(float max) {
    return fabsf(max) <= Dtype<T>::EXACT ? fmaf(max, LOG2_E, -(max * LOG2_E)) : 0.0f;
}

// A tile's logits in the registers of a warp.
template <class T> struct Tile {
    static constexpr uint32_t VECTORS = PER_LANE / Vector<T>::SIZE;

    Vector<T> vectors[VECTORS];
    uint32_t first; // the lane's first vector

    // The lane's first vector of a tile.
    static __device__ uint32_t first_vector(uint32_t tile) {
        return tile * (TILE / Vector<T>::SIZE) + lane();
    }

    __device__ Tile(const LogitRow<T>& row, uint32_t tile) : first(first_vector(tile)) {
        row.load(first, (tile + 1) * TILE <= row.size, vectors);
    }

    // Of the lane's logits, 0 to PER_LANE.
    __device__ float logit(uint32_t i) const {
        return vectors[i / Vector<T>::SIZE][i % Vector<T>::SIZE];
    }

    // Of the lane's logits, those that are not below a threshold, as rounded down to T: a bit each, the
    // sign of the difference. `token` tells whose.
    __device__ uint32_t from(float threshold) const {
        const uint32_t of = Dtype<T>::twice_rounded_down(threshold);
        uint32_t below = 0;
#pragma unroll
        for (uint32_t j = 0; j < VECTORS; ++j) {
#pragma unroll
            for (uint32_t k = 0; k < 4; ++k) {
                const uint32_t signs = Dtype<T>::difference(vectors[j].words[k], of) & Dtype<T>::SIGNS;
                below |= signs >> (4 * j + k);
            }
        }
        return ~below;
    }

    // Makes -inf of all logits whose bit is not set; each vector's are in a word of their own.
    __device__ void keep(const uint32_t (&bits)[VECTORS]) {
        constexpr uint32_t PER_WORD = Vector<T>::PER_WORD;
#pragma unroll
        for (uint32_t j = 0; j < VECTORS; ++j) {
#pragma unroll
            for (uint32_t k = 0; k < 4; ++k) {
                const auto all_if = [&](uint32_t i) { // a word of the bit alone
                    return static_cast<uint32_t>(static_cast<int32_t>(bits[j] << (31 - i)) >> 31);
                };
                const uint32_t low = all_if(k * PER_WORD);
                const uint32_t kept =
                    PER_WORD == 1 ? low : __byte_perm(low, all_if(k * PER_WORD + PER_WORD - 1), 0x5410);
                uint32_t& word = vectors[j].words[k];
                word = (word & kept) | (Dtype<T>::NEG_INF & ~kept);
            }
        }
    }

    // Whether a logit of the warp's tile is a NaN or +inf.
    __device__ bool is_bad() const {
        uint32_t worst = vectors[0].words[0];
#pragma unroll
        for (uint32_t j = 0; j < VECTORS; ++j) {
#pragma unroll
            for (uint32_t k = 0; k < 4; ++k) worst = Dtype<T>::max_or_nan(worst, vectors[j].words[k]);
        }
        float logits[Vector<T>::PER_WORD];
        Dtype<T>::widen(worst, logits);
        bool is_bad = false;
#pragma unroll
        for (uint32_t k = 0; k < Vector<T>::PER_WORD; ++k) {
            is_bad |= !(logits[k] < __uint_as_float(0x7f800000));
        }
        return __any_sync(ALL, is_bad);
    }

    __device__ uint32_t token(uint32_t bit) const {
        constexpr uint32_t WORDS = 4 * VECTORS;
        const uint32_t word = WORDS - 1 - bit % WORDS;
        const uint32_t vector = first + word / 4 * WARP;
        return vector * Vector<T>::SIZE + word % 4 * Vector<T>::PER_WORD + bit / WORDS;
    }

    // The largest in the warp's tile, in every lane; NaNs do not count, unless there is nothing else.
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

    // The sum of the weights in units of the maximum's, in every lane.
    __device__ float sum(float max) const {
        float sum = 0.0f;
        if (fabsf(max) <= Dtype<T>::EXACT) {
            const float offset = max * LOG2_E;
#pragma unroll
            for (uint32_t i = 0; i < PER_LANE; ++i) {
                sum += exp2_flushing(fmaf(logit(i), LOG2_E, -offset));
            }
        } else {
#pragma unroll
            for (uint32_t i = 0; i < PER_LANE; ++i) sum += weight(logit(i), reference(max));
        }
        return warp_sum(sum);
    }

    // The same, and Σ d · w, with d = log2 w.
    __device__ Sums sums(float max) const {
        float sum = 0.0f;
        float dot = 0.0f;
        if (fabsf(max) <= Dtype<T>::EXACT) {
            const float offset = max * LOG2_E;
#pragma unroll
            for (uint32_t j = 0; j < VECTORS; ++j) {
                // -inf · 0 would be NaN.
                const Vector<T> finite = vectors[j].finite();
#pragma unroll
                for (uint32_t k = 0; k < Vector<T>::SIZE; ++k) {
                    const float d = fmaf(finite[k], LOG2_E, -offset);
                    const float w = exp2_flushing(d);
                    sum += w;
                    dot += d * w;
                }
            }
        } else {
#pragma unroll
            for (uint32_t i = 0; i < PER_LANE; ++i) {
                const float d = distance(logit(i), reference(max)) * LOG2_E;
                const float w = exp2_flushing(d);
                sum += w;
                dot += d * w;
            }
        }
        warp_sums(sum, dot);
        return {max, sum, dot, 0.0f};
    }
};
