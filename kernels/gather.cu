// What needs every concept, or every set of tokens that is measured: masses, pooled logits, the
// runner-up and the entropies, the sets' masses, and a sample among all concepts.
//
// decide.cu has been before, in the same stream, and left each row's maximum and sums in `totals`.
// Now the members of each set are gathered, from L2, in a fixed order. Sets come largest first, so
// that a block gathers the largest ones, a warp each of those of middle size, and a thread each of
// the small ones, whose neighbours have the same size and wait for nobody. Tokens that are concepts
// of their own are streamed instead, in the order of the tokens.
//
//     blocks of a row: | 1 set each | WARPS sets | THREADS sets | TOKENS_PER_BLOCK tokens |
//
// What is to be done with a set or a token is an operation: a struct with
//
//     set<WIDTH>(members, rank)  called by WIDTH threads, for a set
//     token(token, id, logit)    called by one, for a token that is a concept of its own
//     finish(block)              called by the whole block in the end
//     TOKENS                     how many neighbouring tokens a thread takes at a time; 0 if none
//
// A row without a winner has a NaN for its sum, which makes NaN of all that is divided by it.

#include "noise.cuh"
#include "runner_up.cuh"
#include "sets.cuh"

template <class T, class Args> struct Operation {
    const Args& p;
    const uint32_t batch_row;
    const LogitRow<T> row;
    const Sums total;

    __device__ Operation(const Args& p, uint32_t batch_row)
        : p(p), batch_row(batch_row), row(p.logits, batch_row),
          total(p.scratch.totals[batch_row]) {}

    // The row's part of what is [B, width].
    __device__ float* of_row(float* all, uint64_t width) const { return all + batch_row * width; }

    __device__ bool is_good() const { return total.sum == total.sum; }

    template <uint32_t WIDTH> __device__ Gathered gather(const Members& members) const {
        return ::gather<WIDTH>(row, members, total.max);
    }

    // Measured against the set's own maximum: exact however faint the set is.
    template <uint32_t WIDTH>
    __device__ Gathered gather_on_own_scale(const Members& members) const {
        const float max = this->template gather<WIDTH>(members).max;
        return ::gather<WIDTH>(row, members, reference(max));
    }

    // ln Σ e^(l - the row's maximum), from what was gathered on the set's own scale.
    __device__ float log_weight(const Gathered& own) const {
        return own.max - total.max + logf(own.weight);
    }

    __device__ void finish(uint32_t) {}
};

// The mass of every concept, [B, C].
template <class T> struct Masses : Operation<T, MassesArgs> {
    using Operation<T, MassesArgs>::Operation;
    static constexpr uint32_t TOKENS = 1;

    template <uint32_t WIDTH> __device__ void set(const Members& members, uint32_t rank) {
        const float weight = this->template gather<WIDTH>(members).weight;
        if (threadIdx.x % WIDTH == 0) put(this->p.sets.ids[rank], weight);
    }

    __device__ void token(uint32_t, uint32_t id, float logit) {
        put(id, weight(logit, this->total.max));
    }

    __device__ void put(uint32_t id, float weight) {
        const MassesArgs& p = this->p;
        this->of_row(p.masses, p.num_concepts)[id] = at_most_1(weight / this->total.sum);
    }
};

// Below it, relative to the row's maximum, a logit's weight is so small that those of its set may
// have vanished.
constexpr float FAINT = -40.0f;

// Mass and concentration of every set, [B, S].
template <class T> struct Measure : Operation<T, MeasureArgs> {
    using Operation<T, MeasureArgs>::Operation;
    static constexpr uint32_t TOKENS = 0;

    template <uint32_t WIDTH> __device__ void set(const Members& members, uint32_t rank) {
        const Gathered got = this->template gather<WIDTH>(members);
        const Sums& total = this->total;
        // On the row's scale, the weights of a faint set have few digits left, or none.
        float share = 0.0f;
        if (got.max - total.max < FAINT) {
            share = 1.0f / ::gather<WIDTH>(this->row, members, reference(got.max)).weight;
        }
        if (threadIdx.x % WIDTH == 0) {
            const MeasureArgs& p = this->p;
            const uint32_t id = p.sets.ids[rank];
            const float mass = at_most_1(got.weight / total.sum);
            this->of_row(p.masses, p.num_sets)[id] = mass;
            // No mass has no share: 0 / 0 is NaN.
            this->of_row(p.concentrations, p.num_sets)[id] =
                share > 0.0f && mass > 0.0f
                    ? share
                    : at_most_1(at_most_1(weight(got.max, total.max) / total.sum) / mass);
        }
    }
};

// The pooled logits, [B, V], relative to the row's maximum: a representative holds all of its
// concept's mass, its allies nothing. They are never formed as absolute logits, since f32 has no
// digits left for the logarithm of a sum beside a logit in the millions.
template <class T> struct Pool : Operation<T, PoolArgs> {
    using Operation<T, PoolArgs>::Operation;
    static constexpr uint32_t TOKENS = 1;

    template <uint32_t WIDTH> __device__ void set(const Members& members, uint32_t) {
        // The probability may be as good as 0, but a temperature may raise it.
        const Gathered own = this->template gather_on_own_scale<WIDTH>(members);
        const float pooled = this->log_weight(own);
        for (uint32_t i = threadIdx.x % WIDTH; i < members.size; i += WIDTH) {
            const uint32_t token = members.tokens[i];
            put(token, token == own.token ? pooled : -infinity());
        }
    }

    __device__ void token(uint32_t token, uint32_t, float logit) {
        put(token, logit - this->total.max);
    }

    __device__ void put(uint32_t token, float logit) {
        this->of_row(this->p.pooled, this->p.logits.vocab_size)[token] =
            this->is_good() ? logit : nan();
    }
};

// What the decision lacks of a row: the runner-up and the entropies. Pooling a concept of weight W from
// tokens of weight w = e^d takes W ln W - Σ w d from the entropy, over the sum of all weights.
template <class T> struct Rows : Operation<T, RowsArgs> {
    static constexpr uint32_t TOKENS = 0;

    // What a block leaves for the last of its row.
    struct Found {
        float lost;   // of the entropy
        float weight; // of the best pooled concept but the winner
        uint32_t id;
        uint32_t unused;

        __device__ void join(const Found& other) {
            const bool is_better = other.weight > weight || (other.weight == weight && other.id < id);
            weight = is_better ? other.weight : weight;
            id = is_better ? other.id : id;
        }
    };
    static_assert(sizeof(Found) == sizeof(Sums), "both lie in `partials`");

    PackedRow& packed;
    const uint32_t winner;
    Found found = {0.0f, 0.0f, NONE, 0};

    __device__ Rows(const RowsArgs& p, uint32_t batch_row)
        : Operation<T, RowsArgs>(p, batch_row), packed(p.rows[batch_row]),
          winner(packed.decision.winner) {}

    template <uint32_t WIDTH> __device__ void set(const Members& members, uint32_t rank) {
        const Gathered got = this->template gather<WIDTH>(members);
        if (threadIdx.x % WIDTH == 0 && got.weight >= LEAST_NORMAL) {
            found.lost += got.weight * logf(got.weight) - got.dot;
            const uint32_t id = this->p.sets.ids[rank];
            if (id != winner) found.join({0.0f, got.weight, id, 0});
        }
    }

    // Makes every thread know what all of the block have found.
    __device__ void join_block() {
        __shared__ Found of_warp[WARPS];
        const uint32_t bits = __float_as_uint(found.weight); // in the order of weights, none negative
        const uint32_t most = __reduce_max_sync(ALL, bits);
        found.id = __reduce_min_sync(ALL, bits == most ? found.id : NONE);
        found.weight = __uint_as_float(most);
        found.lost = warp_sum(found.lost);
        __syncthreads();
        if (lane() == 0) of_warp[warp()] = found;
        __syncthreads();
        found = of_warp[0];
#pragma unroll
        for (uint32_t w = 1; w < WARPS; ++w) {
            found.lost += of_warp[w].lost;
            found.join(of_warp[w]);
        }
    }

    __device__ void finish(uint32_t block) {
        const RowsArgs& p = this->p;
        Found* const of_block = reinterpret_cast<Found*>(p.scratch.partials) +
                                static_cast<uint64_t>(this->batch_row) * gridDim.x;
        join_block();
        if (gridDim.x > 1) {
            if (threadIdx.x == 0) of_block[block] = found;
            if (!last_to_come(&p.scratch.tickets[this->batch_row], gridDim.x)) return;
            found = {0.0f, 0.0f, NONE, 0};
            for (uint32_t i = threadIdx.x; i < gridDim.x; i += THREADS) {
                const uint4 of = __ldcg(reinterpret_cast<const uint4*>(&of_block[i]));
                found.lost += __uint_as_float(of.x);
                found.join({0.0f, __uint_as_float(of.y), of.z, 0});
            }
            join_block();
        }
        if (this->is_good()) {
            conclude();
        } else if (threadIdx.x == 0) {
            write({NONE, nan(), nan(), nan()});
        }
    }

    struct Rest {
        uint32_t runner_up;
        float mass, token_entropy, concept_entropy;
    };

    __device__ void conclude() {
        const RowsArgs& p = this->p;
        const Sums& total = this->total;
        const Candidate* const surveyed = p.surveyed + this->batch_row * p.surveyed_per_row;
        const Sums* const tiles = reinterpret_cast<const Sums*>(surveyed + p.tiles_at);
        // What has less than the best pooled concept does not matter.
        const float least = found.weight > 0.0f ? logf(found.weight) - SLACK : -infinity();
        const Alone alone =
            best_alone(this->row, p.concept_of, tiles, winner, total.max, least);
        if (threadIdx.x != 0) return;
        const float weight = ::weight(alone.logit, total.max);
        if (weight >= LEAST_NORMAL) found.join({0.0f, weight, alone.id, 0});
        const float tokens = fmaxf(logf(total.sum) - total.dot / total.sum, 0.0f);
        // What is certain has none, however the sums were rounded.
        const float left = packed.decision.mass < 1.0f ? tokens - found.lost / total.sum : 0.0f;
        const float concepts = fminf(fmaxf(left, 0.0f), tokens);
        const float mass = fminf(at_most_1(found.weight / total.sum), packed.decision.mass);
        write({found.id, mass, tokens, concepts});
    }

    __device__ void write(const Rest& rest) {
        packed.runner_up = rest.runner_up;
        packed.runner_up_mass = rest.mass;
        packed.token_entropy = rest.token_entropy;
        packed.concept_entropy = rest.concept_entropy;
    }
};

// A concept drawn by its mass to the power 1 / temperature: the one with the largest score, which is
// ln(mass) / temperature + Gumbel noise.
//
// Scores are compared by their difference: in a cold draw they are so large that the noise, which
// decides between equal masses, would be lost in them.
struct Drawn {
    float log_mass; // -inf if nobody has been drawn yet
    float noise;
    uint32_t id;
    uint32_t token;

    __device__ void offer(const Drawn& other, double inverse_temperature) {
        if (!(other.log_mass > -infinity())) return;
        const double ahead =
            (static_cast<double>(other.log_mass) - log_mass) * inverse_temperature +
            (static_cast<double>(other.noise) - noise);
        if (ahead > 0.0 || (ahead == 0.0 && other.id < id)) *this = other;
    }
};
static_assert(sizeof(Drawn) == sizeof(Sums), "both lie in `partials`");

template <class T> struct Sample : Operation<T, SampleArgs> {
    static constexpr uint32_t TOKENS = 4; // which share noise

    Noise noise;
    Drawn best = {-infinity(), 0.0f, NONE, NONE};

    __device__ Sample(const SampleArgs& p, uint32_t batch_row)
        : Operation<T, SampleArgs>(p, batch_row), noise(p.noise, batch_row) {}

    template <uint32_t WIDTH> __device__ void set(const Members& members, uint32_t rank) {
        const Gathered own = this->template gather_on_own_scale<WIDTH>(members);
        if (threadIdx.x % WIDTH == 0) {
            const uint32_t id = this->p.sets.ids[rank];
            consider(this->log_weight(own), id, own.token, noise.uniform(id));
        }
    }

    __device__ void token(uint32_t token, uint32_t id, float logit) {
        consider(logit - this->total.max, id, token, noise.uniform_in_turn(id));
    }

    __device__ void consider(float log_mass, uint32_t id, uint32_t token, float uniform) {
        // No logarithms where they could not help. Enough for that are scores in f32, which are off
        // by less than their distance to the bound of the noise wherever the noise matters.
        const float inverse =
            static_cast<float>(fmin(fmax(this->p.inverse_temperature, 1e-37), 3e38));
        const float noise = Noise::above_gumbel(uniform);
        // The likeliest concept has at least the mass of the likeliest token, so its score is not
        // below the least noise, and neither is one that wins.
        const bool may_win = log_mass * inverse + noise >= LEAST_NOISE;
        if (may_win && (log_mass - best.log_mass) * inverse + noise >= best.noise) {
            best.offer({log_mass, Noise::gumbel(uniform), id, token}, this->p.inverse_temperature);
        }
    }

    __device__ void join(const Drawn& other) { best.offer(other, this->p.inverse_temperature); }

    // Makes every thread know the best of all.
    __device__ void join_block() {
        __shared__ Drawn of_warp[WARPS];
#pragma unroll
        for (uint32_t step = WARP / 2; step > 0; step /= 2) join(from_partner(best, step));
        __syncthreads();
        if (lane() == 0) of_warp[warp()] = best;
        __syncthreads();
#pragma unroll
        for (uint32_t w = 0; w < WARPS; ++w) join(of_warp[w]);
    }

    __device__ void finish(uint32_t block) {
        const SampleArgs& p = this->p;
        Drawn* const of_block = reinterpret_cast<Drawn*>(p.scratch.partials) +
                                static_cast<uint64_t>(this->batch_row) * gridDim.x;
        join_block();
        if (threadIdx.x == 0) of_block[block] = best;
        if (!last_to_come(&p.scratch.tickets[this->batch_row], gridDim.x)) return;
        for (uint32_t i = threadIdx.x; i < gridDim.x; i += THREADS) {
            const uint4 of = __ldcg(reinterpret_cast<const uint4*>(&of_block[i]));
            join({__uint_as_float(of.x), __uint_as_float(of.y), of.z, of.w});
        }
        join_block();
        if (threadIdx.x == 0) {
            const uint32_t token = this->is_good() ? best.token : NONE;
            p.tokens[this->batch_row] = token;
            // By now, every block of the row has read how many it drew before.
            if (token != NONE) p.noise[1 + this->batch_row] += 1;
        }
    }
};

// Does to its share of a row's sets and tokens what the operation does.
template <class Op> __device__ void share(Op& op, uint32_t block) {
    const Sets& sets = op.p.sets;
    const uint32_t warp_blocks = (sets.by_warp - sets.by_block + WARPS - 1) / WARPS;
    const uint32_t thread_blocks = (sets.by_thread - sets.by_warp + THREADS - 1) / THREADS;
    if (block < sets.by_block) {
        op.template set<THREADS>(Members(sets, block), block);
        return;
    }
    block -= sets.by_block;
    if (block < warp_blocks) {
        const uint32_t rank = sets.by_block + block * WARPS + warp();
        if (rank < sets.by_warp) op.template set<WARP>(Members(sets, rank), rank);
        return;
    }
    block -= warp_blocks;
    if (block < thread_blocks) {
        const uint32_t rank = sets.by_warp + block * THREADS + threadIdx.x;
        if (rank < sets.by_thread) op.template set<1>(Members(sets, rank), rank);
        return;
    }
    if constexpr (Op::TOKENS > 0) {
        const uint32_t begin = (block - thread_blocks) * TOKENS_PER_BLOCK;
        const uint32_t end = min(begin + TOKENS_PER_BLOCK, op.row.size);
#pragma unroll 4
        for (uint32_t i = threadIdx.x; i < TOKENS_PER_BLOCK / Op::TOKENS; i += THREADS) {
#pragma unroll
            for (uint32_t k = 0; k < Op::TOKENS; ++k) {
                const uint32_t token = begin + i * Op::TOKENS + k;
                const uint32_t id = token < end ? op.p.concept_of[token] : POOLED;
                if (!(id & POOLED)) op.token(token, id, op.row[token]);
            }
        }
    }
}

template <class Op, class Args> __device__ void run(const Args& p) {
    const uint32_t batch_row = ::batch_row();
    if (batch_row >= p.logits.batch) return;
    Op op(p, batch_row);
    share(op, blockIdx.x);
    op.finish(blockIdx.x);
}

// BLOCKS is how many shall fit on a multiprocessor: all the threads that it holds, since gathering
// is waiting; except for samples, which need the registers of twice as many.
#define KERNEL(NAME, OP, ARGS, BLOCKS) \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) \
        NAME(const __grid_constant__ ARGS p) { \
        run<OP>(p); \
    }
#define KERNELS(DTYPE, T) \
    KERNEL(rows_##DTYPE, Rows<T>, RowsArgs, 16) \
    KERNEL(masses_##DTYPE, Masses<T>, MassesArgs, 16) \
    KERNEL(pool_##DTYPE, Pool<T>, PoolArgs, 16) \
    KERNEL(measure_##DTYPE, Measure<T>, MeasureArgs, 16) \
    KERNEL(sample_##DTYPE, Sample<T>, SampleArgs, 8)
FOR_EACH_DTYPE(KERNELS)
