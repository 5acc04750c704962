// A number for some tokens of the vocabulary: found by three loads, in memory that grows with these tokens
// alone. A tile of 1,024 tokens that has some of them has a bit for each token and, for each 32, the number
// of those before; so a token's number is at the place that its bit has among all.
#pragma once

#include "row.cuh"

// What a table knows of the 32 tokens from 32 · `word` on.
inline __device__ SparseWord sparse_word(const SparseTable& table, uint32_t word) {
    if (table.tiles == nullptr) return {0, 0, 0, 0};
    static_assert(TILE == 32 * WARP, "a tile has 32 words of 32 tokens");
    const uint2 tile = __ldg(reinterpret_cast<const uint2*>(table.tiles) + word / WARP);
    if (tile.x == NONE) return {0, 0, tile.y, 0};
    const uint4 of = __ldg(reinterpret_cast<const uint4*>(table.words) + tile.x + word % WARP);
    return {of.x, of.y, of.z, of.w};
}

inline __device__ bool has_bit(uint32_t word, uint32_t token) { return word >> token % 32 & 1; }

// How many tokens of the table lie before this one.
inline __device__ uint32_t before(const SparseWord& word, uint32_t token) {
    return word.before + __popc(word.tokens & ((1u << token % 32) - 1));
}
