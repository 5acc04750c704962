// A draw of a concept by its mass to the power 1 / T, from one uniform number for each row.
//
// The concepts of a row have an order: first the tokens that are concepts of their own, in the order of
// tokens; then the others, in the order of the sets (sets.cuh). The concept that is drawn is the first at
// which the cumulative weight exceeds the uniform number times the sum of all. At T = 1, it is that of a
// token which is drawn from all tokens, in their order; then no mass is needed. Neither is one if nothing
// is pooled.
//
//     weigh    Leaves the weights of pooled concepts: for each warp, the sum over the sets that its
//              threads have gathered, or for each set that a warp or a block has gathered. Its blocks work
//              on several rows each. It is launched only if masses are needed.
//     draw     A warp sums the weights of a tile, without the pooled tokens if these are weighed as
//              concepts. The last block of a row to come chooses a part (a tile, or what `weigh` has
//              left), then a token or a set in it, and gives the representative.
//
// Parts, and the form in which they hold their weights, are in parts.cuh.

#include "parts.cuh"
#include "philox.cuh"

struct Weigh {
    const WeighArgs& p;
    const Layout layout;

    __device__ WeighSets at(uint32_t row) const {
        Sums* const parts = p.partials + row * p.partials_per_row;
        return {layout, {p.root}, parts, p.sets.by_thread};
    }
};

template <class T> __device__ void weigh(const WeighArgs& p) {
    const RowGroup rows(p.logits, p.rows_per_block);
    if (rows.first >= p.logits.batch) return;
    Weigh op = {p, Layout(p.logits.vocab_size, p.sets)};
    uint32_t block = blockIdx.x;
    for_each_set<T, false>(p.logits, p.sets, rows, block, op);
}

template <class T, class Pooled>
__device__ Sums weigh_tile(const LogitRow<T>& row, uint32_t i, const Pooled& pooled, float root) {
    const Tile<T> tile(row, i);
    const float max = tile.max();
    return {max, sum_tile(tile, max, pooled, root), 0.0f, 0.0f};
}

template <class T> __device__ void stream(const DrawArgs& p, const LogitRow<T>& row, Sums* parts) {
    const uint32_t i = blockIdx.x * WARPS + warp();
    if (i >= tiles_in(row.size)) return;
    Sums part = no_sums();
    if (p.pooled) {
        static_assert(TILE == 32 * WARP, "a word for each lane");
        const bool all = __all_sync(ALL, __ldg(&p.pooled[i * WARP + lane()]) == 0xffffffff);
        if (!all) part = weigh_tile(row, i, TileBits<T>(p.pooled, Tile<T>::first_vector(i)), p.root);
    } else {
        part = weigh_tile(row, i, NonePooled(), p.root);
    }
    if (lane() == 0) parts[i] = part;
}

// The work of the last block on a row.
template <class T> struct Choice {
    const DrawArgs& p;
    const LogitRow<T>& row;
    const Sums* const parts;
    const Layout layout;
    const Power power;
    double uniform;

    // The token that is drawn; NONE if the row has no winner.
    __device__ uint32_t token() {
        const uint32_t part = choose_part(parts, layout.count, power, uniform);
        if (part == NONE) return NONE;
        if (part >= layout.by_warp) {
            return representative(Set(p.sets, p.sets.by_thread + part - layout.by_warp, true));
        }
        if (part >= layout.tiles) {
            const uint32_t first = (part - layout.tiles) * WARP;
            const uint32_t rank = choose_set(row, p.sets, Part(parts, part), first, power, uniform);
            return rank == NONE ? NONE : representative(Set(p.sets, rank, true));
        }
        const uint32_t token = choose_token(part);
        return p.pooled || token == NONE ? token : representative_of(token);
    }

    __device__ uint32_t choose_token(uint32_t tile) {
        const float max = Part(parts, tile).max;
        const uint32_t first = tile * TILE;
        const uint32_t i = choose(min(TILE, row.size - first), uniform, [&](uint32_t i) {
            const uint32_t token = first + i;
            const bool is_left = !p.pooled || !(__ldg(&p.pooled[token / 32]) >> token % 32 & 1);
            return is_left ? power.of((row[token] - reference(max)) * LOG2_E) : 0.0f;
        });
        return i == NONE ? NONE : first + i;
    }

    __device__ uint32_t representative(const Set& set) {
        return gather<false, THREADS>(row, set).token;
    }

    // That of a token's concept.
    __device__ uint32_t representative_of(uint32_t token) {
        const uint32_t* const members = p.members_of + token * MAX_SMALL;
        if (__ldg(&members[0]) == NONE) {
            return representative(Set(p.sets, __ldg(&members[MAX_SMALL - 1]) & ~POOLED, true));
        }
        uint32_t best = token;
        for (uint32_t k = 0; k < MAX_SMALL; ++k) {
            const uint32_t other = __ldg(&members[k]);
            const bool is_better = row.or_nothing(other) > row[best] ||
                                   (row.or_nothing(other) == row[best] && other < best);
            if (other != NONE && is_better) best = other;
        }
        return best;
    }
};

template <class T> __device__ void draw(const DrawArgs& p) {
    const uint32_t batch_row = ::batch_row();
    if (batch_row >= p.logits.batch) return;
    const LogitRow<T> row(p.logits, batch_row);
    Sums* const parts = p.partials + batch_row * p.partials_per_row;
    stream(p, row, parts);
    if (!last_to_come(&p.tickets[batch_row], gridDim.x)) return;
    uint64_t* const step = &p.noise[1 + batch_row];
    const double uniform = philox_uniform(p.noise[0], *step, batch_row);
    Layout layout(row.size, p.sets);
    if (!p.pooled) layout.count = layout.tiles;
    Choice<T> choice = {p, row, parts, layout, {p.root}, uniform};
    const uint32_t token = choice.token();
    if (threadIdx.x == 0) {
        p.tokens[batch_row] = token;
        if (token != NONE) *step += 1;
    }
}

// Blocks on a multiprocessor: gathering is bound by latency, streaming by the bytes in flight.
constexpr int GATHERING_BLOCKS = 12;
constexpr int STREAMING_BLOCKS = 5;

#define KERNELS(DTYPE, T) \
    extern "C" __global__ void __launch_bounds__(THREADS, GATHERING_BLOCKS) \
        weigh_##DTYPE(const __grid_constant__ WeighArgs p) { \
        weigh<T>(p); \
    } \
    extern "C" __global__ void __launch_bounds__(THREADS, STREAMING_BLOCKS) \
        draw_##DTYPE(const __grid_constant__ DrawArgs p) { \
        draw<T>(p); \
    }
FOR_EACH_DTYPE(KERNELS)
