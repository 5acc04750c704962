// The kernels that write a value for every concept, token or set that is measured: masses, pooled logits,
// the sets' masses and concentrations.
//
// `sums` in decide.cu ran before, on the same stream, and left each row's maximum and sums in
// `totals`. A row without a winner has a NaN for its sum, which makes NaN of all that is divided by it.
//
// Each operation here is what is done with a set (sets.cuh), and with a token that is a concept of its
// own.

#include <type_traits>

#include "sets.cuh"

// A row's maximum, and what its weights are multiplied by to be probabilities.
struct Total {
    float max;
    float per_sum;

    // The probability of a logit.
    __device__ float probability(float logit) const { return weight_at(logit - max) * per_sum; }
};

// Of the rows of a group; made by the whole block.
struct Totals {
    const Total* of;
    uint32_t first;

    __device__ Totals(const Sums* totals, const RowGroup& rows) : first(rows.first) {
        __shared__ Total shared[MAX_ROWS_PER_BLOCK];
        of = shared;
        const uint32_t row = rows.first + threadIdx.x;
        if (row < rows.end) shared[threadIdx.x] = {totals[row].max, 1.0f / totals[row].sum};
        __syncthreads();
    }

    __device__ Total operator[](uint32_t row) const { return of[row - first]; }
};

// The mass of every concept, [B, C].
struct Masses {
    const MassesArgs& p;
    const Totals totals;

    struct Row {
        const Total total;
        float* const masses;

        template <uint32_t WIDTH>
        __device__ void set(uint32_t, const Set& set, const Gathered& got) {
            if (set.exists && threadIdx.x % WIDTH == 0) put(set.id, got.max, got.weight);
        }

        __device__ void token(uint32_t, uint32_t id, float logit) { put(id, logit, 1.0f); }

        __device__ void put(uint32_t id, float max, float weight) {
            masses[id] = at_most_1(weight * total.probability(max));
        }
    };

    __device__ Row at(uint32_t row) const { return {totals[row], p.masses + row * p.num_concepts}; }
};

// Mass and concentration of every set, [B, S].
struct Measure {
    const MeasureArgs& p;
    const Totals totals;

    struct Row {
        const Total total;
        float* const masses;
        float* const concentrations;

        template <uint32_t WIDTH>
        __device__ void set(uint32_t, const Set& set, const Gathered& got) {
            if (!set.exists || threadIdx.x % WIDTH != 0) return;
            const float mass = at_most_1(got.weight * total.probability(got.max));
            masses[set.id] = mass;
            // The representative's weight is 1. What has no mass has no concentration.
            concentrations[set.id] = mass > 0.0f ? at_most_1(1.0f / got.weight) : nan();
        }
    };

    __device__ Row at(uint32_t row) const {
        const uint64_t first = row * p.num_sets;
        return {totals[row], p.masses + first, p.concentrations + first};
    }
};

// The pooled logits, [B, V], relative to the row's maximum: a representative holds all of its
// concept's mass, its allies nothing. They are never formed as absolute logits, since f32 has no
// digits left for the logarithm of a sum beside a logit in the millions.
struct Pool {
    const PoolArgs& p;
    const Totals totals;

    struct Row {
        const float max;
        const float no_winner; // NaN if the row has none, and otherwise 0
        float* const pooled;

        template <uint32_t WIDTH>
        __device__ void set(uint32_t, const Set& set, const Gathered& got) {
            const float of_concept = got.max - max + logf(got.weight);
            for (uint32_t i = threadIdx.x % WIDTH; i < set.size; i += WIDTH) {
                const uint32_t token = __ldg(&set.tokens[i]);
                put(token, token == got.token ? of_concept : -infinity());
            }
        }

        __device__ void token(uint32_t token, uint32_t, float logit) { put(token, logit - max); }

        __device__ void put(uint32_t token, float logit) { pooled[token] = logit + no_winner; }
    };

    __device__ Row at(uint32_t row) const {
        const Total total = totals[row];
        const uint64_t first = static_cast<uint64_t>(row) * p.logits.vocab_size;
        return {total.max, 0.0f * total.per_sum, p.pooled + first};
    }
};

template <class T, class Op, class Args> __device__ void run(const Args& p) {
    const RowGroup rows(p.logits, p.rows_per_block);
    if (rows.first >= p.logits.batch) return;
    Op op = {p, Totals(p.totals, rows)};
    uint32_t block = blockIdx.x;
    if (for_each_set<T, false>(p.logits, p.sets, rows, block, op)) return;
    if constexpr (!std::is_same_v<Op, Measure>) for_each_token<T>(p.logits, p.concept_of, rows, block, op);
}

// So many blocks shall fit on a multiprocessor: gathering is bound by latency.
constexpr int BLOCKS = 12;

#define KERNEL(NAME, T, OP, ARGS) \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) \
        NAME(const __grid_constant__ ARGS p) { \
        run<T, OP>(p); \
    }
#define KERNELS(DTYPE, T) \
    KERNEL(masses_##DTYPE, T, Masses, MassesArgs) \
    KERNEL(pool_##DTYPE, T, Pool, PoolArgs) \
    KERNEL(measure_##DTYPE, T, Measure, MeasureArgs)
FOR_EACH_DTYPE(KERNELS)
