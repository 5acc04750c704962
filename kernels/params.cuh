// What every kernel is given: one struct, by value. The Rust side is src/reduce/cuda/params.rs;
// both sides assert the same size and offsets.
#pragma once

#include <cstddef>
#include <cstdint>

// The id that stands for "there is none".
constexpr uint32_t NONE = 0xffffffff;

// Set in `concept_of` for a token whose concept has others too.
constexpr uint32_t POOLED = 0x80000000;

// The result row, as in src/reduce/row.rs.
struct Row {
    uint32_t winner;
    uint32_t representative;
    uint32_t greedy;
    uint32_t runner_up;
    uint32_t status;
    float mass;
    float representative_prob;
    float greedy_prob;
    float runner_up_mass;
    float log_z;
    float token_entropy;
    float concept_entropy;
};
static_assert(sizeof(Row) == 48, "the Row of src/reduce/row.rs");

// Bits of Row::status.
constexpr uint32_t STATUS_NAN = 1;
constexpr uint32_t STATUS_POS_INF = 2;
constexpr uint32_t STATUS_ALL_NEG_INF = 4;

// The largest logit of some logits, Σ e^(l - max) and Σ (l - max) e^(l - max) over them: what
// probabilities, log Z and the token entropy are made of.
struct alignas(16) Sums {
    float max;
    float sum;
    float dot;
    float unused;
};

// Sets of tokens, concepts or probes, in CSR form, the largest set first. The number of a set in
// that order is its rank. Of concepts, only those of two tokens or more are here.
struct Sets {
    const uint32_t* starts;  // [sets + 1]: rank r has members[starts[r]..starts[r + 1]]
    const uint32_t* members; // tokens, ascending within a set
    const uint32_t* ids;     // [sets]: the set's own number
    uint32_t by_block;       // ranks below it are gathered by a block each,
    uint32_t by_warp;        // those from there to below it by a warp each,
    uint32_t by_thread;      // and those from there to below it by a thread each
    uint32_t largest;        // tokens in the largest set; 1 if no set has more
};

struct Params {
    const void* logits;         // of row 0
    uint64_t row_stride;        // in logits
    Sets sets;
    const uint32_t* concept_of; // [V], with the bit POOLED; null for probes
    const uint32_t* rank_of;    // [V], for tokens of pooled concepts
    Row* rows;                  // [B]; null if only `totals` are asked for
    uint32_t* tokens;           // [B]
    float* out;                 // [B, width]: masses, pooled logits
    float* concentrations;      // [B, width]
    Sums* partials;             // scratch
    Sums* totals;               // [B], scratch: the row's sums; sum is NaN if it has no winner
    uint32_t* tickets;          // [B + 1], all 0 between launches
    uint64_t* noise;            // [2]: seed, offset
    uint32_t batch;             // B
    uint32_t vocab_size;        // V
    uint32_t width;             // of a row of `out`
    float inverse_temperature;
};
static_assert(sizeof(Sets) == 40 && offsetof(Params, concept_of) == 56, "see params.rs");
static_assert(offsetof(Params, noise) == 128 && offsetof(Params, batch) == 136, "see params.rs");
static_assert(sizeof(Params) == 152, "see params.rs");
