// A warp's share of a row, and the sums over it.
#pragma once

#include "row.cuh"

inline __device__ uint32_t tiles_in(uint32_t logits) { return (logits + TILE - 1) / TILE; }

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
