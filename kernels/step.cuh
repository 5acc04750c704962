// A row of a step: the request in its slot, its map, and its logits after all changes.
//
// Changes are made where logits are read, so that no changed row is written anywhere. Tokens that were
// seen, or that have a bias, are `touched`; they are few, so that a warp leaves them out of the tile that it
// holds in registers, and each lane looks at those among its 32 neighbours one by one.
//
// A key is log2 of a concept's mass, relative to the row's largest logit after all changes.
#pragma once

#include "parts.cuh"
#include "sparse.cuh"

// What is left to do on a row.
constexpr uint32_t PHASE_DONE = 0;
constexpr uint32_t PHASE_COLLECT = 1;
constexpr uint32_t PHASE_SETTLE = 2;

// One row of logits after all changes: penalties, bias, mask, in this order.
template <class T> class StepLogits {
    const SlotParams& params;
    const uint32_t* seen; // null if nothing is paid for it
    const uint32_t* counts;
    const uint32_t* mask; // null if all is allowed
    uint32_t mask_words;

  public:
    const LogitRow<T> raw;
    const uint32_t size;
    const bool has_changes;

    __device__ StepLogits(const StepArgs& p, const SlotParams& params, uint32_t flags,
                          uint32_t batch_row, uint32_t slot)
        : params(params), seen(nullptr), counts(nullptr), mask(nullptr),
          mask_words(p.mask_words), raw(p.logits, batch_row), size(raw.size),
          has_changes(p.mask != nullptr || flags & (SLOT_PENALISED | SLOT_BIASED)) {
        if (flags & SLOT_PENALISED) {
            seen = p.seen + static_cast<uint64_t>(slot) * tiles_in(size) * WARP;
            counts = p.counts + static_cast<uint64_t>(slot) * size;
        }
        if (p.mask != nullptr) mask = p.mask + batch_row * p.mask_stride;
    }

    __device__ float operator[](uint32_t token) const {
        const float logit = raw[token];
        if (!has_changes) return logit;
        if (!has_bit(allowed(token / 32), token)) return -infinity();
        return changed_apart(params, seen, counts, token, logit);
    }

    // Several at once: what tells which of them are changed is loaded for all before it is looked at.
    template <uint32_t COUNT>
    __device__ void of(const uint32_t (&tokens)[COUNT], float (&logits)[COUNT]) const {
        raw.of(tokens, logits);
        if (!has_changes) return;
        uint32_t allowed_in[COUNT];
        uint32_t touched_in[COUNT];
#pragma unroll
        for (uint32_t k = 0; k < COUNT; ++k) allowed_in[k] = allowed(tokens[k] / 32);
#pragma unroll
        for (uint32_t k = 0; k < COUNT; ++k) touched_in[k] = touched(tokens[k] / 32);
#pragma unroll
        for (uint32_t k = 0; k < COUNT; ++k) {
            if (!has_bit(allowed_in[k], tokens[k])) {
                logits[k] = -infinity();
            } else if (has_bit(touched_in[k], tokens[k])) {
                logits[k] = changed_apart(params, seen, counts, tokens[k], logits[k]);
            }
        }
    }

    // Bits of the tokens from 32 · `word` on.
    __device__ uint32_t allowed(uint32_t word) const {
        if (mask == nullptr) return 0xffffffff;
        return word < mask_words ? __ldg(&mask[word]) : 0;
    }

    __device__ uint32_t touched(uint32_t word) const {
        return seen_in(seen, word) | sparse_word(params.bias, word).tokens;
    }

    // A token's logit after penalties and bias.
    __device__ float changed(uint32_t token, float logit) const {
        return changed(params, seen, counts, token, logit);
    }

  private:
    // As the CPU rounds it: no product and sum become one.
    static __device__ __forceinline__ float changed(const SlotParams& params, const uint32_t* seen,
                                                    const uint32_t* counts, uint32_t token,
                                                    float logit) {
        if (logit == -infinity()) return logit;
        if (has_bit(seen_in(seen, token / 32), token)) {
            logit = logit > 0.0f ? logit / params.repetition : logit * params.repetition;
            const float times = static_cast<float>(__ldcg(&counts[token]));
            const float for_times = __fmul_rn(params.frequency, times);
            logit = __fsub_rn(logit, __fadd_rn(params.presence, for_times));
        }
        const SparseWord word = sparse_word(params.bias, token / 32);
        if (has_bit(word.tokens, token)) {
            const float bias = __uint_as_float(__ldg(&params.bias.values[before(word, token)]));
            // A penalty may have made +inf of it.
            logit = bias == -infinity() ? bias : __fadd_rn(logit, bias);
        }
        return logit;
    }

    // Where many logits are read in one place, the code for it is elsewhere.
    static __device__ __noinline__ float changed_apart(const SlotParams& params, const uint32_t* seen,
                                                       const uint32_t* counts, uint32_t token,
                                                       float logit) {
        return changed(params, seen, counts, token, logit);
    }

    // The row's own step writes them, when nothing of it reads them any more; so not by the cache
    // for what nobody writes.
    static __device__ uint32_t seen_in(const uint32_t* seen, uint32_t word) {
        return seen == nullptr ? 0 : __ldcg(&seen[word]);
    }
};

// What is known of a row before its logits are read.
template <class T> struct StepRow {
    const StepArgs& p;
    const uint32_t batch_row;
    const uint32_t slot;
    const SlotParams& params;
    const uint32_t flags;
    const MapView* const map; // null if nothing is pooled
    const StepLogits<T> logits;
    const Power power;
    StepWork& work;
    Sums* const parts;

    // `status` must be 0.
    __device__ StepRow(const StepArgs& p, uint32_t batch_row)
        : p(p), batch_row(batch_row), slot(slot_of(p, batch_row)), params(params_of(p, slot)),
          flags(params.flags),
          map(flags & SLOT_POOLING ? map_at(p, place_of(p, batch_row, params)) : nullptr),
          logits(p, params, flags, batch_row, slot), power{params.root}, work(work_of(p, batch_row)),
          parts(reinterpret_cast<Sums*>(&work + 1)) {}

    // What the warps of `collect` have listed, LISTED_BY_WARP each, by tile and then by set warp; how many
    // each; and the keys of tokens, then of sets.
    __device__ Listed* list() const { return reinterpret_cast<Listed*>(parts + p.parts_per_row); }
    __device__ uint32_t list_warps() const { return tiles_in(logits.size) + SET_WARPS; }
    __device__ uint32_t* listed() const {
        return reinterpret_cast<uint32_t*>(list() + list_warps() * LISTED_BY_WARP);
    }
    __device__ float* keys() const { return reinterpret_cast<float*>(listed() + list_warps()); }

    static __device__ StepWork& work_of(const StepArgs& p, uint32_t batch_row) {
        return *reinterpret_cast<StepWork*>(p.work + batch_row * p.work_per_row);
    }

    static __device__ uint32_t slot_of(const StepArgs& p, uint32_t batch_row) {
        return p.slot_of_row ? __ldg(&p.slot_of_row[batch_row]) : batch_row;
    }

    static __device__ const SlotParams& params_of(const StepArgs& p, uint32_t slot) {
        return p.slot_of_row ? p.slots[slot] : p.shared;
    }

    static __device__ uint32_t place_of(const StepArgs& p, uint32_t batch_row, const SlotParams& params) {
        return p.slot_of_row ? params.map : __ldg(&p.map_of_row[batch_row]);
    }

    static __device__ const MapView* map_at(const StepArgs& p, uint32_t place) {
        return place == NONE ? nullptr : &p.maps[place];
    }

    // What is wrong with a row's slot, or its map.
    static __device__ uint32_t status(const StepArgs& p, uint32_t batch_row) {
        const uint32_t slot = slot_of(p, batch_row);
        if (p.slot_of_row && (slot >= p.num_slots || !(p.slots[slot].flags & SLOT_STARTED))) {
            return STATUS_NO_SLOT;
        }
        const SlotParams& params = params_of(p, slot);
        const uint32_t place = place_of(p, batch_row, params);
        if (place == NONE) return 0;
        if (place >= p.num_maps || p.maps[place].num_concepts == 0) return STATUS_NO_MAP;
        const bool is_meant = !p.slot_of_row || p.maps[place].generation == params.generation;
        return is_meant ? 0 : STATUS_NO_MAP;
    }

    // C
    __device__ uint32_t num_concepts() const { return map ? map->num_concepts : logits.size; }
    __device__ uint32_t num_sets() const { return map ? map->sets.by_block : 0; }

    __device__ bool has(uint32_t flag) const { return flags & flag; }

    // Whether the sum of all weights is one of masses. At temperature 1, it is that over tokens, whatever is
    // pooled.
    __device__ bool weighs_sets() const { return has(SLOT_OF_MASSES) && num_sets() > 0; }

    __device__ Layout layout() const {
        Layout layout(logits.size, map ? map->sets : Sets{});
        if (!weighs_sets()) layout.count = layout.tiles;
        return layout;
    }

    __device__ SparseWord named(uint32_t word) const {
        return map ? sparse_word(map->named, word) : SparseWord{0, 0, 0, 0};
    }

    // A token's concept, and its rank among the sets; that is NONE if the token is alone.
    __device__ uint2 concept_and_rank(uint32_t token) const {
        if (map == nullptr) return {token, NONE};
        const SparseWord word = named(token / 32);
        const uint32_t before = ::before(word, token);
        const uint32_t of_table = has_bit(word.tokens, token) ? __ldg(&map->named.values[before]) : NONE;
        if (has_bit(word.marked, token)) return {__ldg(&map->sets.ids[of_table]), of_table};
        return {of_table != NONE ? of_table : map->first_id + token - before, NONE};
    }

    // The key of a logit.
    __device__ float key(float logit) const { return (logit - work.max) * LOG2_E; }
};

// Words of a tile's tokens, one for each lane.
struct TileWords {
    uint32_t alone;   // neither banned nor touched
    uint32_t touched; // those that are not banned
    uint32_t pooled;  // those that are with others, if that is asked for

    template <class T>
    __device__ TileWords(const StepRow<T>& row, uint32_t tile, bool needs_pooled)
        : alone(0xffffffff), touched(0), pooled(0) {
        const uint32_t word = tile * WARP + lane();
        if (needs_pooled && row.map != nullptr) pooled = row.named(word).marked;
        if (row.logits.has_changes) {
            const uint32_t allowed = row.logits.allowed(word);
            touched = row.logits.touched(word) & allowed;
            alone = allowed & ~touched;
        }
    }
};
