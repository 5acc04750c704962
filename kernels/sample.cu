// A step of a batch whose rows are requests, each with its own map, parameters, penalties, bias and mask: a
// token for each row (docs/SAMPLING.md has the formulas), in three launches, whatever the requests ask for,
// so that a graph that was captured serves all of them.
//
//     prepare  A warp streams a tile of the row, after all changes (step.cuh), and leaves its largest logit
//              and the sum of its weights. The last block of a row to come draws the token, if no filter and
//              no mass is needed for it. If one is, it sets a threshold below which, most likely, nothing
//              is left by the filters.
//     collect  Warps list the tokens that are alone and not below the threshold, from the tiles that
//              have one; other blocks gather all concepts of the row's map, and list them, too. The last
//              block filters what is listed, and draws from what is left (filter.cuh).
//     settle   If more were listed than there is room for, or if what is listed may not be all that is
//              left: all keys are written to memory, and the last block filters these.
//
// The threshold follows
//
//     from min_p     for certain: what is below it is not left.
//     from top_k     from the k-th largest of the tiles' largest logits, if there are as many tiles.
//                    So many tokens are not below it, but they may be of fewer concepts.
//     from top_p     from the sum W of all weights: if C concepts weigh (1 - p) W / C each at most, they are
//                    not needed. That would list most of what a model's long tail holds; concepts of
//                    four times that weight are nearly always enough, and whether they are is seen from
//                    the sum of what is listed.
//
// So no result depends on the threshold, nor on the order in which concepts are listed: they are added up
// as whole numbers (select.cuh).

#include "filter.cuh"

// The tile's part: its largest logit and the sum of its weights; if masses are weighed, only of the tokens
// that are alone. The sum is a NaN if there is a NaN or a +inf, even where it is banned.
template <class T> __device__ Sums weigh_tile(const StepRow<T>& row, uint32_t i) {
    const bool weighs_sets = row.weighs_sets();
    Tile<T> tile(row.logits.raw, i);
    const TileWords words(row, i, weighs_sets);
    // Where the sum is not one of all logits, it does not tell.
    const bool is_bad = (row.logits.has_changes || weighs_sets) && tile.is_bad();
    if (row.logits.has_changes) {
        if (!__all_sync(ALL, words.alone == 0xffffffff)) tile.keep(TileBits<T>(words.alone).bits);
    }
    // What the lane has of the touched tokens.
    float touched_max = -infinity();
    float touched_sum = 0.0f;
    for (uint32_t left = words.touched; left != 0; left &= left - 1) {
        const uint32_t token = i * TILE + lane() * 32 + __ffs(left) - 1;
        const float logit = row.logits.changed(token, row.logits.raw[token]);
        const float max = fmaxf(touched_max, logit);
        const bool counts = !weighs_sets || !has_bit(words.pooled, token);
        const float before = row.power.of((touched_max - reference(max)) * LOG2_E);
        const float weight = row.power.of((logit - reference(max)) * LOG2_E);
        touched_sum = touched_sum * before + (counts ? weight : 0.0f);
        touched_max = max;
    }
    float max = tile.max();
    const bool any_touched = __any_sync(ALL, words.touched != 0);
    if (any_touched) max = fmaxf(max, warp_max(touched_max));
    float sum = weighs_sets ? sum_tile(tile, max, TileBits<T>(words.pooled), row.params.root)
                            : sum_tile(tile, max, NonePooled(), row.params.root);
    if (any_touched) {
        sum += warp_sum(touched_sum * row.power.of((touched_max - reference(max)) * LOG2_E));
    }
    return {max, is_bad ? nan() : sum, 0.0f, 0.0f};
}

// Why nothing can be sampled from a row; called by the whole block.
template <class T> __device__ __noinline__ uint32_t reason(const StepArgs& p, uint32_t batch_row) {
    const StepRow<T> row(p, batch_row);
    bool any_nan = false;
    bool any_inf = false;
    bool any_finite = false;
    for (uint32_t token = threadIdx.x; token < row.logits.size; token += THREADS) {
        const float logit = row.logits.raw[token];
        any_nan |= logit != logit;
        any_inf |= logit == infinity();
        any_finite |= fabsf(logit) < infinity();
    }
    const uint32_t has_nan = __syncthreads_or(any_nan);
    const uint32_t has_inf = __syncthreads_or(any_inf);
    if (has_nan || has_inf) return (has_nan ? STATUS_NAN : 0) | (has_inf ? STATUS_POS_INF : 0);
    if (!__syncthreads_or(any_finite)) return STATUS_ALL_NEG_INF;
    bool is_lifted = false; // beyond f32
    for (uint32_t token = threadIdx.x; token < row.logits.size; token += THREADS) {
        is_lifted |= row.logits[token] == infinity();
    }
    return __syncthreads_or(is_lifted) ? STATUS_POS_INF : STATUS_NOTHING_ALLOWED;
}

// Whether an earlier row has the same slot; called by the whole block.
inline __device__ bool is_taken(const StepArgs& p, uint32_t batch_row) {
    if (p.slot_of_row == nullptr) return false;
    const uint32_t slot = __ldg(&p.slot_of_row[batch_row]);
    bool is_taken = false;
    for (uint32_t i = threadIdx.x; i < batch_row; i += THREADS) {
        is_taken |= __ldg(&p.slot_of_row[i]) == slot;
    }
    return __syncthreads_or(is_taken);
}

// The n-th largest of the largest logits of groups of tiles, for n up to THREADS groups: at least n tokens are
// not below it. -inf if there are fewer. Called by the whole block.
template <class T> __device__ float nth_largest_of_groups(const StepRow<T>& row, uint32_t n) {
    __shared__ float4 of_group[THREADS / 4];
    __shared__ float found;
    const uint32_t tiles = tiles_in(row.logits.size);
    float mine = -infinity();
    for (uint32_t i = threadIdx.x; i < tiles; i += THREADS) mine = fmaxf(mine, Part(row.parts, i).max);
    reinterpret_cast<float*>(of_group)[threadIdx.x] = mine;
    __syncthreads();
    uint32_t rank = 0; // among equal ones, by thread
#pragma unroll 8
    for (uint32_t k = 0; k < THREADS / 4; ++k) {
        const float4 of = of_group[k];
        const float logits[4] = {of.x, of.y, of.z, of.w};
#pragma unroll
        for (uint32_t j = 0; j < 4; ++j) {
            const bool is_earlier = 4 * k + j < threadIdx.x;
            rank += logits[j] > mine || (logits[j] == mine && is_earlier);
        }
    }
    if (rank == n - 1) found = mine;
    __syncthreads();
    return found;
}

// The sum of the weights that the tiles have left, relative to the row's largest logit.
template <class T> __device__ float total_of_tiles(const StepRow<T>& row) {
    float sum = 0.0f;
    for (uint32_t i = threadIdx.x; i < tiles_in(row.logits.size); i += THREADS) {
        const Part part(row.parts, i);
        if (part.sum > 0.0f) sum += part.sum * row.power.of(row.key(part.max));
    }
    return block_sum(sum);
}

// Sets the threshold; called by the whole block.
template <class T> __device__ void set_threshold(const StepRow<T>& row) {
    const SlotParams& params = row.params;
    // What min_p leaves; but a share of what top_k leaves is one of all of it.
    const bool is_pruned = row.has(SLOT_MIN_P) && (row.flags & SLOT_FILTERS) != SLOT_FILTERS;
    const float least = is_pruned ? params.min_key : -infinity();
    float threshold = -infinity();
    if (row.has(SLOT_TOP_K)) {
        // Under a map, some tokens more for as many concepts.
        const uint32_t k = params.top_k;
        const uint32_t wanted = row.num_sets() > 0 && k > 1 ? k + k / 8 + 2 : k;
        const uint32_t n = min(wanted, min(tiles_in(row.logits.size), THREADS));
        threshold = row.key(nth_largest_of_groups(row, n)) - 2.0f * __log2f(__fdividef(wanted, n));
    } else if (row.has(SLOT_TOP_P)) {
        // At least: the sets' weights are not there yet.
        const float total = fmaxf(total_of_tiles(row), 1.0f);
        const float left_out = static_cast<float>(1.0 - params.top_p) * total;
        const float log2 = __log2f(4.0f * left_out / row.num_concepts());
        threshold = fminf(log2 / (params.root * params.root), 0.0f);
    } else if (!row.has(SLOT_FILTERS)) {
        threshold = infinity(); // all are drawn from, and none need be listed
    }
    if (threadIdx.x != 0) return;
    row.work.is_bound = least >= threshold;
    row.work.threshold = fmaxf(threshold, least);
    row.work.phase = PHASE_COLLECT;
}

template <class T> __device__ void prepare(const StepArgs& p) {
    const uint32_t batch_row = ::batch_row();
    if (batch_row >= p.logits.batch) return;
    if (const uint32_t status = StepRow<T>::status(p, batch_row)) {
        if (blockIdx.x != 0) return;
        const bool is_twice = status == STATUS_NO_MAP && is_taken(p, batch_row);
        return fail<T>(p, batch_row, is_twice ? STATUS_SLOT_TWICE : status);
    }
    const StepRow<T> row(p, batch_row);
    const uint32_t tiles = tiles_in(row.logits.size);
    for (uint32_t tile = blockIdx.x * WARPS + warp(); tile < tiles; tile += gridDim.x * WARPS) {
        const Sums part = weigh_tile(row, tile);
        if (lane() == 0) row.parts[tile] = part;
    }
    if (!last_to_come(&p.tickets[batch_row], gridDim.x)) return;

    if (is_taken(p, batch_row)) return fail<T>(p, batch_row, STATUS_SLOT_TWICE);
    float max = -infinity();
    bool is_good = true;
    for (uint32_t i = threadIdx.x; i < tiles; i += THREADS) {
        const Part part(row.parts, i);
        max = fmaxf(max, part.max);
        is_good &= part.sum < infinity() && part.max < infinity();
    }
    max = block_max(max);
    if (!__syncthreads_and(is_good && max > -infinity())) return fail<T>(p, batch_row, reason<T>(p, batch_row));
    if (threadIdx.x == 0) row.work.max = max;
    __syncthreads();
    if (row.has(SLOT_FILTERS) || row.weighs_sets()) return set_threshold(row);
    draw_by_parts<T>(p, batch_row);
}

// What a warp lists, in a place of its own: all that is not below the threshold, and perhaps other items, with
// a key of -inf.
template <class T> struct WarpList {
    const StepRow<T>& row;
    const float threshold;
    const uint32_t warp_of_row; // a tile, or a set warp after all tiles
    uint32_t count = 0;

    __device__ WarpList(const StepRow<T>& row, uint32_t warp_of_row)
        : row(row), threshold(row.work.threshold), warp_of_row(warp_of_row) {}

    // Where a lane puts what it lists next, if it lists so many. Called by all lanes.
    __device__ uint32_t place_for(uint32_t mine) {
        const uint32_t up_to = warp_sum_up_to(mine);
        const uint32_t place = count + up_to - mine;
        count += __shfl_sync(ALL, up_to, WARP - 1);
        return place;
    }

    // If there is no room, the list is of no use, but its length says so.
    __device__ void put(uint32_t place, float key, uint32_t item) const {
        if (place < LISTED_BY_WARP) row.list()[warp_of_row * LISTED_BY_WARP + place] = {key, item};
    }

    __device__ void close() const {
        if (lane() == 0) row.listed()[warp_of_row] = count;
    }
};

// Lists the tokens of a tile that are alone and not below the threshold.
template <class T> __device__ void list_tile(const StepRow<T>& row, uint32_t i) {
    WarpList<T> list(row, i);
    if (row.key(Part(row.parts, i).max) >= list.threshold) {
        __shared__ uint32_t alone_of_warp[WARPS][WARP];
        uint32_t* const alone = alone_of_warp[warp()];
        const TileWords words(row, i, true);
        alone[lane()] = words.alone & ~words.pooled;
        __syncwarp();
        if (__any_sync(ALL, alone[lane()] != 0)) {
            Tile<T> tile(row.logits.raw, i);
            if (!__all_sync(ALL, alone[lane()] == 0xffffffff)) tile.keep(TileBits<T>(alone[lane()]).bits);
            // A little lower, whatever is rounded.
            const float slack = SLACK + 1e-6f * fabsf(row.work.max);
            uint32_t hits = tile.from(row.work.max + list.threshold * LN_2 - slack);
            uint32_t place = list.place_for(__popc(hits));
            for (; hits != 0; hits &= hits - 1) {
                const uint32_t token = tile.token(__ffs(hits) - 1);
                // (If the threshold is -inf, all logits are hits.)
                const bool counts = has_bit(alone[token % TILE / 32], token) && token < row.logits.size;
                const float key = counts ? row.key(row.logits.raw[token]) : -infinity();
                list.put(place++, key >= list.threshold ? key : -infinity(), token);
            }
            __syncwarp(); // before the words of another tile
        }
        // They may be many, of which few are not below the threshold.
        const uint32_t touched = words.touched & ~words.pooled;
        const auto key_of = [&](uint32_t bit) {
            const uint32_t token = i * TILE + lane() * 32 + bit;
            return row.key(row.logits.changed(token, row.logits.raw[token]));
        };
        uint32_t listed = 0;
        for (uint32_t left = touched; left != 0; left &= left - 1) {
            const uint32_t bit = __ffs(left) - 1;
            listed |= static_cast<uint32_t>(key_of(bit) >= list.threshold) << bit;
        }
        if (__any_sync(ALL, listed != 0)) {
            uint32_t place = list.place_for(__popc(listed));
            for (; listed != 0; listed &= listed - 1) {
                const uint32_t bit = __ffs(listed) - 1;
                list.put(place++, key_of(bit), i * TILE + lane() * 32 + bit);
            }
        }
    }
    list.close();
}

// The order of the items of a map: tokens by their number, then sets by their rank.
template <class T> __device__ uint32_t item_of_set(const StepRow<T>& row, uint32_t rank) {
    return row.logits.size + rank;
}

// Lists the sets that are not below the threshold, and leaves their weights if they are asked for.
template <class T> struct ListSets {
    const StepRow<T>& row;
    const Layout layout;
    const bool weighs;
    WarpList<T> list;

    template <uint32_t WIDTH> __device__ void set(uint32_t rank, const Set& set, const Gathered& got) {
        if (weighs) weigher().template set<WIDTH>(rank, set, got);
        const float key = log2_mass(got, row.work.max);
        const bool is_listed = set.exists && threadIdx.x % WIDTH == 0 && key >= list.threshold;
        if (!__any_sync(ALL, is_listed)) return;
        const uint32_t place = list.place_for(is_listed);
        if (is_listed) list.put(place, key, item_of_set(row, rank));
    }

    __device__ WeighSets weigher() const {
        return {layout, row.power, row.parts, row.map->sets.by_thread};
    }

    __device__ ListSets& at(uint32_t) { return *this; }
};

// Writes the keys of all sets.
template <class T> struct WriteSets {
    const StepRow<T>& row;

    template <uint32_t WIDTH> __device__ void set(uint32_t rank, const Set& set, const Gathered& got) {
        const float key = log2_mass(got, row.work.max);
        if (set.exists && threadIdx.x % WIDTH == 0) row.keys()[item_of_set(row, rank)] = key;
    }

    __device__ WriteSets at(uint32_t) const { return *this; }
};

// Gathers the sets that fall to a block, in turns.
template <class T, class Op>
__device__ void for_each_set_of(const StepRow<T>& row, uint32_t block, Op& op) {
    if (row.map == nullptr) return;
    const auto logits = [&row](uint32_t) -> const StepLogits<T>& { return row.logits; };
    for (;; block += SET_BLOCKS) {
        uint32_t turn = block;
        if (!for_each_set_in<false>(logits, row.map->sets, RowGroup(row.batch_row), turn, op)) return;
    }
}

// Brings what the warps have listed to one place; gives its length, or more than MAX_LISTED if it has no
// room there or in a warp's own. Called by the whole block.
template <class T>
__device__ uint32_t bring_together(const StepRow<T>& row, Listed (&listed)[MAX_LISTED]) {
    const uint32_t warps = row.list_warps();
    const uint32_t each = (warps + THREADS - 1) / THREADS;
    const uint32_t begin = min(threadIdx.x * each, warps);
    const uint32_t end = min(begin + each, warps);
    uint32_t mine = 0;
    bool has_room = true;
    for (uint32_t w = begin; w < end; ++w) {
        const uint32_t count = __ldcg(&row.listed()[w]);
        has_room &= count <= LISTED_BY_WARP;
        mine += count;
    }
    uint32_t count = 0;
    uint32_t place = before_in_block(mine, count);
    if (!__syncthreads_and(has_room) || count > MAX_LISTED) return MAX_LISTED + 1;
    for (uint32_t w = begin; w < end; ++w) {
        const uint32_t of_warp = __ldcg(&row.listed()[w]);
        const Listed* const from = row.list() + w * LISTED_BY_WARP;
#pragma unroll 4
        for (uint32_t i = 0; i < of_warp; ++i) {
            const float2 of = __ldcg(reinterpret_cast<const float2*>(&from[i]));
            listed[place++] = {of.x, __float_as_uint(of.y)};
        }
    }
    __syncthreads();
    return count;
}

// The weight of all concepts, relative to that of the key `top`; called by the whole block.
template <class T> __device__ double total_of_parts(const StepRow<T>& row, float top) {
    const uint32_t count = row.layout().count;
    double sum = 0.0;
    for (uint32_t i = threadIdx.x; i < count; i += THREADS) {
        const Part part(row.parts, i);
        if (!(part.sum > 0.0f)) continue;
        sum += static_cast<double>(part.sum) * row.power.of(part.log2_unit(row.work.max) - top);
    }
    return block_sum(sum);
}

// Filters what was listed, and draws; called by the whole block.
template <class T> __device__ void conclude(const StepRow<T>& row) {
    if (!row.has(SLOT_FILTERS)) return draw_by_parts<T>(row.p, row.batch_row);
    __shared__ Listed listed[MAX_LISTED];
    const StepWork& work = row.work;
    const uint32_t count = bring_together(row, listed);
    bool is_enough = count <= MAX_LISTED;
    if (is_enough) {
        const ListedItems items = {listed, count};
        float top = -infinity();
        uint32_t certain = 0; // all that is not below the threshold
        for_each_item(items, [&](const Listed& of) {
            top = fmaxf(top, of.key);
            certain += of.key > -infinity();
        });
        top = block_max(top);
        certain = block_sum(certain);
        is_enough = certain > 0 && (work.is_bound || !row.has(SLOT_TOP_K) || certain >= row.params.top_k);
        if (is_enough) {
            const double total = row.has(SLOT_TOTAL) ? total_of_parts(row, top) : 0.0;
            is_enough = filter_and_draw(row, items, {top, total, work.is_bound != 0});
        }
    }
    if (!is_enough && threadIdx.x == 0) row.work.phase = PHASE_SETTLE;
}

template <class T> __device__ void collect(const StepArgs& p) {
    const uint32_t batch_row = ::batch_row();
    if (batch_row >= p.logits.batch || StepRow<T>::work_of(p, batch_row).phase != PHASE_COLLECT) return;
    const StepRow<T> row(p, batch_row);
    const uint32_t tiles = tiles_in(row.logits.size);
    const uint32_t tile_blocks = gridDim.x - SET_BLOCKS;
    if (blockIdx.x < tile_blocks) {
        for (uint32_t tile = blockIdx.x * WARPS + warp(); tile < tiles; tile += tile_blocks * WARPS) {
            list_tile(row, tile);
        }
    } else {
        const uint32_t block = blockIdx.x - tile_blocks;
        ListSets<T> op = {row, row.layout(), row.weighs_sets(), {row, tiles + block * WARPS + warp()}};
        for_each_set_of(row, block, op);
        op.list.close();
    }
    if (last_to_come(&p.tickets[batch_row], gridDim.x)) conclude(row);
}

// Writes the keys of a tile's tokens: -inf for those that are not alone.
template <class T> __device__ void write_tile(const StepRow<T>& row, uint32_t i) {
    const uint32_t pooled = TileWords(row, i, true).pooled;
#pragma unroll 4
    for (uint32_t k = 0; k < PER_LANE; ++k) {
        const uint32_t token = i * TILE + k * WARP + lane();
        const bool is_alone = !has_bit(__shfl_sync(ALL, pooled, k), token) && token < row.logits.size;
        const float key = is_alone ? row.key(row.logits[token]) : -infinity();
        if (token < row.logits.size) row.keys()[token] = key;
    }
}

template <class T> __device__ void settle(const StepArgs& p) {
    const uint32_t batch_row = ::batch_row();
    if (batch_row >= p.logits.batch || StepRow<T>::work_of(p, batch_row).phase != PHASE_SETTLE) return;
    const StepRow<T> row(p, batch_row);
    if (blockIdx.x < KEY_BLOCKS) {
        const uint32_t tiles = tiles_in(row.logits.size);
        for (uint32_t i = blockIdx.x * WARPS + warp(); i < tiles; i += KEY_BLOCKS * WARPS) {
            write_tile(row, i);
        }
    } else {
        WriteSets<T> op = {row};
        for_each_set_of(row, blockIdx.x - KEY_BLOCKS, op);
    }
    if (!last_to_come(&p.tickets[batch_row], gridDim.x)) return;
    const AllItems items = {row.keys(), row.logits.size + row.num_sets()};
    float top = -infinity();
    for_each_item(items, [&top](const Listed& of) { top = fmaxf(top, of.key); });
    top = block_max(top);
    const double total = row.has(SLOT_TOTAL) ? total_of_parts(row, top) : 0.0;
    filter_and_draw(row, items, {top, total, true});
}

// Blocks on a multiprocessor: streaming is bound by the bytes in flight, gathering by latency.
template <class T> constexpr int BLOCKS = sizeof(T) == sizeof(float) ? 3 : 4;

#define KERNELS(DTYPE, T) \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS<T>) \
        prepare_##DTYPE(const __grid_constant__ PrepareArgs p) { \
        prepare<T>(p.step); \
    } \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS<T>) \
        collect_##DTYPE(const __grid_constant__ CollectArgs p) { \
        collect<T>(p.step); \
    } \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS<T>) \
        settle_##DTYPE(const __grid_constant__ SettleArgs p) { \
        settle<T>(p.step); \
    }
FOR_EACH_DTYPE(KERNELS)
