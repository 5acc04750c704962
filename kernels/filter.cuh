// Which of a row's concepts the filters leave, which of these is drawn, and what is emitted for it.
//
// Concepts are items: a key, and a place in the order of the draw (tokens that are alone by their number, then
// sets by their rank). All that a filter leaves is a beginning of one order, by key and then by concept, so
// it is known by its last: a cut. min_p is a least key besides.
#pragma once

#include "philox.cuh"
#include "seen.cuh"
#include "select.cuh"
#include "step.cuh"

// Items in shared memory.
struct ListedItems {
    static constexpr uint32_t AT_ONCE = 1;
    const Listed* listed;
    uint32_t count;

    __device__ Listed at(uint32_t i) const { return listed[i]; }
};

// All items of a row, by their keys in global memory.
struct AllItems {
    static constexpr uint32_t AT_ONCE = 8;
    const float* keys;
    uint32_t count;

    __device__ Listed at(uint32_t i) const { return {__ldcg(&keys[i]), i}; }
};

// The last that is left: keys above its own are, and of those that equal it the concepts up to its own.
struct Cut {
    float key;
    uint32_t order; // of the concept; NONE for all
};

// A weight of 1, as a whole number: so small that the sum over all concepts fits, so large that no weight
// above 2^-40 of the largest is lost.
constexpr float ONE = 0x1p40f;

// A number by which items are ordered as by their concepts, without looking for these: tokens that nobody
// named follow all named concepts, in their own order.
template <class T> __device__ uint32_t order_of(const StepRow<T>& row, uint32_t item) {
    if (row.map == nullptr) return item;
    const uint32_t size = row.logits.size;
    if (item >= size) return __ldg(&row.map->sets.ids[item - size]);
    if (row.map->names_single_tokens) {
        const SparseWord word = row.named(item / 32);
        if (has_bit(word.tokens, item)) return __ldg(&row.map->named.values[before(word, item)]);
    }
    return row.map->first_id + item;
}

// The concepts of a row, as far as a cut leaves them.
template <class T> struct Left {
    const StepRow<T>& row;
    const float top;
    Cut cut;
    float least; // no key below it is left

    __device__ uint32_t order(const Listed& of) const { return order_of(row, of.item); }

    __device__ bool has(const Listed& of) const {
        const bool is_equal = of.key == cut.key && cut.order != NONE;
        return of.key >= cut.key && of.key >= least && of.key > -infinity() &&
               (!is_equal || order(of) <= cut.order);
    }

    __device__ uint64_t weight(const Listed& of) const {
        return has(of) ? __float2ull_rn(row.power.of(of.key - top) * ONE) : 0;
    }

    // Cuts after a concept.
    __device__ void cut_after(const Listed& last) { cut = {last.key, order(last)}; }
};

// The order by key: of all that are left, each weighs 1 or its own weight.
template <class T, bool COUNTS> struct ByKey {
    const Left<T>& left;

    // Eighths of a factor of two below the largest, of which few are far away.
    __device__ uint32_t bin(const Listed& of) const {
        return static_cast<uint32_t>(fminf(fmaxf(8.0f * (left.top - of.key), 0.0f), 255.0f));
    }
    // (-0 is 0.)
    __device__ uint32_t major(const Listed& of) const { return ~ordered(of.key + 0.0f); }
    __device__ uint32_t minor(const Listed& of) const { return left.order(of); }
    __device__ uint64_t weight(const Listed& of) const { return COUNTS ? left.has(of) : left.weight(of); }
};

// The order of the draw.
template <class T> struct ByItem {
    const Left<T>& left;
    const uint32_t shift; // so that 256 bins are enough

    __device__ uint32_t bin(const Listed& of) const { return of.item >> shift; }
    __device__ uint32_t major(const Listed& of) const { return of.item; }
    __device__ uint32_t minor(const Listed&) const { return 0; }
    __device__ uint64_t weight(const Listed& of) const { return left.weight(of); }
};

template <class X> __device__ X block_sum(X x) {
#pragma unroll
    for (uint32_t step = WARP / 2; step > 0; step /= 2) x += __shfl_xor_sync(ALL, x, step);
    return block_join(x, [](X& all, const X& other) { all += other; });
}

template <class T, class Items>
__device__ uint64_t weight_of(const Left<T>& left, const Items& items) {
    uint64_t sum = 0;
    for_each_item(items, [&](const Listed& of) { sum += left.weight(of); });
    return block_sum(sum);
}

// Writes what was sampled, and moves the request's state on; called by one thread.
template <class T>
__device__ void finish(const StepRow<T>& row, uint32_t token, uint32_t concept_id) {
    const StepArgs& p = row.p;
    reinterpret_cast<uint4*>(p.sampled)[row.batch_row] = {token, concept_id, 0, row.slot};
    p.tokens[row.batch_row] = token;
    if (p.slot_of_row != nullptr) {
        const uint64_t slot = row.slot;
        p.steps[slot] += 1;
        see(p.seen + slot * tiles_in(row.logits.size) * WARP, p.counts + slot * row.logits.size, token, 1);
    } else {
        p.noise[1 + row.batch_row] += 1;
    }
    row.work.phase = PHASE_DONE;
}

// Writes that nothing was; called by the whole block.
template <class T> __device__ void fail(const StepArgs& p, uint32_t batch_row, uint32_t status) {
    if (threadIdx.x != 0) return;
    const uint32_t slot = StepRow<T>::slot_of(p, batch_row);
    reinterpret_cast<uint4*>(p.sampled)[batch_row] = {NONE, NONE, status, slot};
    p.tokens[batch_row] = NONE;
    StepRow<T>::work_of(p, batch_row).phase = PHASE_DONE;
}

// The number that decides, from 0 to below 1.
template <class T> __device__ double uniform_of(const StepRow<T>& row) {
    const StepArgs& p = row.p;
    if (p.slot_of_row != nullptr) return philox_uniform(row.params.seed, p.steps[row.slot], NONE);
    return philox_uniform(p.noise[0], p.noise[1 + row.batch_row], row.batch_row);
}

// Emits a token of a set: the representative, or by `uniform` one by its share; called by the whole block.
template <class T>
__device__ __noinline__ void emit_set(const StepArgs& p, uint32_t batch_row, uint32_t rank,
                                      double uniform) {
    const StepRow<T> row(p, batch_row);
    const Set set(row.map->sets, rank, true);
    const Gathered got = gather<false, THREADS>(row.logits, set);
    uint32_t token = got.token;
    if (row.params.flags & SLOT_BY_SHARE) {
        const uint32_t i = choose(set.size, uniform, [&](uint32_t i) {
            return weight(row.logits[__ldg(&set.tokens[i])], reference(got.max));
        });
        if (i != NONE) token = __ldg(&set.tokens[i]);
    }
    if (threadIdx.x == 0) finish(row, token, set.id);
}

// Emits an item.
template <class T> __device__ void emit(const StepRow<T>& row, uint32_t item, double uniform) {
    const uint32_t size = row.logits.size;
    if (item >= size) return emit_set<T>(row.p, row.batch_row, item - size, uniform);
    if (threadIdx.x == 0) finish(row, item, row.concept_and_rank(item).x);
}

// Draws a token from a tile, by its part's weights; called by the whole block.
template <class T>
__device__ void draw_from_tile(const StepRow<T>& row, uint32_t tile, double uniform) {
    const float max = Part(row.parts, tile).max;
    const bool weighs_sets = row.weighs_sets();
    const uint32_t first = tile * TILE;
    const uint32_t i = choose(min(TILE, row.logits.size - first), uniform, [&](uint32_t i) {
        const uint32_t token = first + i;
        if (weighs_sets && has_bit(row.named(token / 32).marked, token)) return 0.0f;
        return row.power.of((row.logits[token] - reference(max)) * LOG2_E);
    });
    if (i == NONE) return fail<T>(row.p, row.batch_row, STATUS_NAN);
    // A token drawn by its probability is of a concept drawn by its mass.
    const uint32_t token = first + i;
    const uint2 of = row.concept_and_rank(token);
    if (of.y != NONE && !(row.params.flags & SLOT_BY_SHARE)) {
        return emit_set<T>(row.p, row.batch_row, of.y, uniform);
    }
    if (threadIdx.x == 0) finish(row, token, of.x);
}

// Draws from all concepts, by the parts' weights; called by the whole block.
template <class T> __device__ __noinline__ void draw_by_parts(const StepArgs& p, uint32_t batch_row) {
    const StepRow<T> row(p, batch_row);
    double uniform = uniform_of(row);
    const Layout layout = row.layout();
    const uint32_t part = choose_part(row.parts, layout.count, row.power, uniform);
    if (part == NONE) return fail<T>(p, batch_row, STATUS_NAN);
    if (part < layout.tiles) return draw_from_tile(row, part, uniform);
    const Sets& sets = row.map->sets;
    if (part >= layout.by_warp) {
        return emit_set<T>(p, batch_row, sets.by_thread + part - layout.by_warp, uniform);
    }
    const uint32_t first = (part - layout.tiles) * WARP;
    const uint32_t rank =
        choose_set(row.logits, sets, Part(row.parts, part), first, row.power, uniform);
    if (rank == NONE) return fail<T>(row.p, row.batch_row, STATUS_NAN);
    emit_set<T>(p, batch_row, rank, uniform);
}

// What a row asks of the items that were found for it. `top` is their largest key, and `total` the weight of
// all concepts relative to it, if the row needs that. If not `is_all`, the items are only those not below
// some key.
struct Question {
    float top;
    double total;
    bool is_all;
};

// The weight that top_p leaves of `whole`.
inline __device__ uint64_t share(double top_p, double whole) {
    return max(static_cast<uint64_t>(1), static_cast<uint64_t>(ceil(top_p * whole)));
}

// Which of `weight` a uniform number falls on; in `place`, where exactly.
inline __device__ uint64_t target_of(double uniform, uint64_t weight, double& place) {
    place = uniform * static_cast<double>(weight);
    return min(static_cast<uint64_t>(place) + 1, weight);
}

// What is left of the uniform number within what it has fallen on.
inline __device__ double rest_of(double place, uint64_t before, uint64_t weight) {
    const double rest = (place - static_cast<double>(before)) / static_cast<double>(weight);
    return fmin(fmax(rest, 0.0), 1.0 - 0x1p-53);
}

// Emits what was drawn, with what is left of the uniform number.
template <class T>
__device__ void emit_drawn(const StepRow<T>& row, const Selected& drawn, double rest) {
    if (drawn.exists()) return emit(row, drawn.of.item, rest);
    fail<T>(row.p, row.batch_row, STATUS_NAN);
}

// Filters no more items than threads, draws one of what is left, and emits it. False, and nothing is done, if
// the filters may leave other concepts. Called by the whole block.
template <class T, class Items>
__device__ bool draw_from_few(const StepRow<T>& row, const Items& items, const Question& question,
                              Selecting& shared) {
    const SlotParams& params = row.params;
    const uint32_t count = items.count;
    const bool exists = threadIdx.x < count;
    const uint32_t me = min(threadIdx.x, count - 1);
    const Left<T> all = {row, question.top, {-infinity(), NONE}, -infinity()};
    const Listed mine = items.at(me);
    uint64_t weight = all.weight(mine);
    const ByKey<T, false> by_key = {all};
    if (exists) {
        shared.item[me] = mine;
        shared.major[me] = by_key.major(mine);
        shared.weight[me] = weight;
    }
    uint32_t rank = 0;
    uint64_t before = 0;
    shared.sum_before(count, by_key, rank, before);
    const double uniform = uniform_of(row);
    bool is_left = exists && mine.key > -infinity();
    if (row.has(SLOT_TOP_K)) is_left &= rank < params.top_k;
    if (row.has(SLOT_TOP_P)) {
        const uint64_t listed = block_sum(is_left ? weight : 0);
        const double whole = row.has(SLOT_TOP_K) ? static_cast<double>(listed) : question.total * ONE;
        const uint64_t target = share(params.top_p, whole);
        if (target > listed && !question.is_all && !row.has(SLOT_TOP_K)) return false;
        is_left &= before < target;
    }
    if (row.has(SLOT_MIN_P)) is_left &= mine.key >= question.top + params.min_key;
    weight = is_left ? weight : 0;
    const uint64_t left = block_sum(weight);
    if (threadIdx.x == 0) shared.result = {{0.0f, NONE}, 0, 0};
    if (exists) shared.major[me] = mine.item, shared.weight[me] = weight;
    before = 0;
    shared.sum_before(count, ByItem<T>{all, 0}, rank, before);
    double place;
    const uint64_t target = target_of(uniform, left, place);
    if (exists && before < target && target <= before + weight) shared.result = {mine, before, weight};
    __syncthreads();
    const Selected drawn = shared.result;
    // A greedy request takes no number for the choice of its concept.
    const bool is_sure = params.top_k == 1 && row.has(SLOT_TOP_K);
    emit_drawn(row, drawn, is_sure ? uniform : rest_of(place, drawn.before, drawn.weight));
    return true;
}

// The same of any number of items.
template <class T, class Items>
__device__ bool draw_from_many(const StepRow<T>& row, const Items& items, const Question& question,
                               Selecting& shared) {
    const SlotParams& params = row.params;
    Left<T> left = {row, question.top, {-infinity(), NONE}, -infinity()};
    const double uniform = uniform_of(row);
    bool is_known = false; // `weight` is that of what is left
    uint64_t weight = 0;
    if (row.has(SLOT_TOP_K) && items.count > params.top_k) {
        const Selected last = select(items, params.top_k, ByKey<T, true>{left}, shared);
        if (params.top_k == 1 && last.exists()) {
            emit(row, last.of.item, uniform);
            return true;
        }
        if (last.exists()) left.cut_after(last.of);
    }
    if (row.has(SLOT_TOP_P)) {
        double whole = question.total * ONE;
        if (row.has(SLOT_TOP_K)) {
            weight = weight_of(left, items);
            whole = static_cast<double>(weight);
            is_known = true;
        }
        const uint64_t target = share(params.top_p, whole);
        const Selected last = select(items, target, ByKey<T, false>{left}, shared);
        if (last.exists()) {
            left.cut_after(last.of);
            weight = last.before + last.weight;
            is_known = true;
        } else if (!question.is_all && !row.has(SLOT_TOP_K)) {
            return false;
        }
    }
    if (row.has(SLOT_MIN_P)) {
        left.least = question.top + params.min_key;
        is_known = false;
    }
    if (!is_known) weight = weight_of(left, items);
    double place;
    const uint64_t target = target_of(uniform, weight, place);
    const uint32_t places = row.logits.size + row.num_sets();
    const ByItem<T> order = {left, places <= BINS ? 0u : 24u - __clz(places - 1)};
    const Selected drawn = select(items, target, order, shared);
    emit_drawn(row, drawn, rest_of(place, drawn.before, drawn.weight));
    return true;
}

template <class T, class Items>
__device__ bool filter_and_draw(const StepRow<T>& row, const Items& items, const Question& question) {
    __shared__ Selecting shared;
    if (items.count <= THREADS) return draw_from_few(row, items, question, shared);
    return draw_from_many(row, items, question, shared);
}
