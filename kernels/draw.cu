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
// Each part has a logit m and a `lead`, and its weights are (mass / (e^m · 2^lead))^(1/T). `Sums` holds that
// as {max: m, sum, dot: lead}:
//
//     a tile            m is its largest logit, the lead is 0.
//     a larger set      m is its largest logit, and the lead log2(mass / e^m): its weight is 1.
//     a warp's sets     m is their largest logit, the lead is 0. But a set of n tokens may weigh n^(1/T). If
//                       that may be beyond 2^100, m and lead are those of the heaviest set, as of a larger
//                       one; then sets of one mass have one weight, to the bit, in whatever part they are.

#include "choose.cuh"
#include "philox.cuh"
#include "sets.cuh"
#include "tile.cuh"

// A power of a weight that is given by log2 of it. In two factors: 1 / T may lie outside the range of f32,
// and so may its product with a small or a large number.
struct Power {
    const float root;

    __device__ float of(float log2) const { return exp2_flushing(log2 * root * root); }
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

// log2 of a set's mass relative to a logit. One formula, so that equal masses stay equal.
inline __device__ float log2_mass(const Gathered& got, float relative_to) {
    return (got.max - reference(relative_to)) * LOG2_E + __log2f(got.weight);
}

struct Weigh {
    const WeighArgs& p;
    const Layout layout;

    struct Row {
        const Layout& layout;
        const Power power;
        const bool is_cold;
        Sums* const parts;
        const uint32_t by_thread;

        template <uint32_t WIDTH>
        __device__ void set(uint32_t rank, const Set& set, const Gathered& got) {
            if constexpr (WIDTH > 1) {
                const float lead = __log2f(got.weight);
                const bool has = !(got.weight == 0.0f); // or is a NaN
                const Sums part = {got.max, has ? power.of(lead - lead) : 0.0f, has ? lead : 0.0f, 0.0f};
                if (set.exists && threadIdx.x % WIDTH == 0) parts[layout.by_warp + rank - by_thread] = part;
            } else {
                Sums part = {warp_max(got.max), 0.0f, 0.0f, 0.0f};
                float log2 = log2_mass(got, part.max);
                if (is_cold) {
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

    __device__ Row at(uint32_t row) const {
        const bool is_cold = p.root * p.root * MAX_LEAD > 100.0f; // 32 such weights fit into f32
        Sums* const parts = p.partials + row * p.partials_per_row;
        return {layout, {p.root}, is_cold, parts, p.sets.by_thread};
    }
};

template <class T> __device__ void weigh(const WeighArgs& p) {
    const RowGroup rows(p.logits, p.rows_per_block);
    if (rows.first >= p.logits.batch) return;
    Weigh op = {p, Layout(p.logits.vocab_size, p.sets)};
    uint32_t block = blockIdx.x;
    for_each_set<T, false>(p.logits, p.sets, rows, block, op);
}

// The logits that a lane has of a tile, as one bit each: whether the token is weighed with others.
template <class T> struct PooledBits {
    static constexpr uint32_t SIZE = Vector<T>::SIZE;
    uint32_t bits[Tile<T>::VECTORS];

    __device__ PooledBits(const uint32_t* pooled, uint32_t first_vector) {
#pragma unroll
        for (uint32_t j = 0; j < Tile<T>::VECTORS; ++j) {
            const uint32_t token = (first_vector + j * WARP) * SIZE;
            const uint8_t byte = __ldg(reinterpret_cast<const uint8_t*>(pooled) + token / 8);
            bits[j] = byte >> token % 8;
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
        if (!all) part = weigh_tile(row, i, PooledBits<T>(p.pooled, Tile<T>::first_vector(i)), p.root);
    } else {
        part = weigh_tile(row, i, NonePooled(), p.root);
    }
    if (lane() == 0) parts[i] = part;
}

inline __device__ float block_max(float x) {
    return block_join(warp_max(x), [](float& all, float other) { all = fmaxf(all, other); });
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
        const uint32_t part = choose_part();
        if (part == NONE) return NONE;
        if (part >= layout.by_warp) {
            return representative(Set(p.sets, p.sets.by_thread + part - layout.by_warp, true));
        }
        if (part >= layout.tiles) {
            const uint32_t rank = choose_set((part - layout.tiles) * WARP);
            return rank == NONE ? NONE : representative(Set(p.sets, rank, true));
        }
        const uint32_t token = choose_token(part);
        return p.pooled || token == NONE ? token : representative_of(token);
    }

    __device__ uint32_t choose_part() {
        float max = -infinity();
        for (uint32_t i = threadIdx.x; i < layout.count; i += THREADS) {
            max = max_or_nan(max, Part(parts, i).max);
        }
        max = block_max(max);
        if (!(max < infinity())) return NONE;
        float top = -infinity();
        for (uint32_t i = threadIdx.x; i < layout.count; i += THREADS) {
            const Part part(parts, i);
            if (part.sum > 0.0f) top = fmaxf(top, part.log2_unit(reference(max)));
        }
        top = block_max(top);
        return choose(layout.count, uniform, [&](uint32_t i) {
            const Part part(parts, i);
            // A NaN is one of its sum, too.
            const float weight = power.of(part.log2_unit(reference(max)) - top);
            return part.sum == 0.0f ? 0.0 : static_cast<double>(part.sum) * weight;
        });
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

    __device__ uint32_t choose_set(uint32_t first) {
        const Part part(parts, layout.tiles + first / WARP);
        const uint32_t i = choose(min(WARP, p.sets.by_thread - first), uniform, [&](uint32_t i) {
            const Gathered got = gather<false, 1>(row, Set(p.sets, first + i, true));
            return power.of(log2_mass(got, part.max) - part.lead);
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
