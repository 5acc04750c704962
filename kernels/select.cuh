// Which of many things comes last, if those that come first are taken until their weights reach a target:
// the k-th largest (each weighs 1), the last of the fewest that hold a share, and the one that a random number
// falls on are all found so, without a sort.
//
// The things have an order: by `bin`, which is coarse; then by `major`, then by `minor`, 32 bits each. It is
// walked down digit by digit: the weights of all things are added up in 256 bins, the bin is found in which
// the target is reached, and only the things in that bin are looked at again, by their next digit. As soon
// as they are as few as the threads, each thread takes one, and adds up what comes before it.
//
// Weights are whole numbers, so that their sums are the same in whatever order they are added, and a thing
// is chosen by exactly the weights that it and the others have.
#pragma once

#include "row.cuh"

constexpr uint32_t BINS = 256;
static_assert(BINS == 2 * THREADS, "two bins a thread");
constexpr uint32_t ROUNDS = 9; // the bin, and four digits each of major and minor

// What `select` finds.
struct Selected {
    Listed of;       // the item is NONE if all weights do not reach the target
    uint64_t before; // the weights of what comes before it
    uint64_t weight;

    __device__ bool exists() const { return of.item != NONE; }
};

// The shared memory that it takes.
struct Selecting {
    uint32_t counts[BINS];
    uint32_t low[BINS]; // sums of 64 bits, in two words each
    uint32_t high[BINS];
    uint64_t of_warp[WARPS];

    uint32_t bin; // in which the target is reached
    uint32_t in_bin;
    uint64_t before_bin;

    // No more items than threads.
    uint32_t members;
    Listed item[THREADS];
    alignas(16) uint32_t major[THREADS];
    alignas(16) uint64_t weight[THREADS];
    uint32_t minor[THREADS];
    Selected result;

    // Native additions are of 32 bits: the first word's carry goes into the second.
    __device__ void add(uint32_t to, uint32_t count, uint64_t weight) {
        atomicAdd(&counts[to], count);
        const uint32_t part = static_cast<uint32_t>(weight);
        const uint32_t old = part == 0 ? 0 : atomicAdd(&low[to], part);
        const uint32_t carry = old + part < old;
        const uint32_t rest = static_cast<uint32_t>(weight >> 32) + carry;
        if (rest != 0) atomicAdd(&high[to], rest);
    }

    __device__ uint64_t sum(uint32_t of) const { return static_cast<uint64_t>(high[of]) << 32 | low[of]; }

    // Adds to `rank` how many of the members come before the thread's, and to `before` what they weigh.
    // Called by the whole block, for at least one member.
    template <class Order>
    __device__ void sum_before(uint32_t members, const Order& order, uint32_t& rank, uint64_t& before) {
        // What fills up the last four comes after all others.
        if (threadIdx.x >= members && threadIdx.x < (members + 3) / 4 * 4) {
            major[threadIdx.x] = 0xffffffff;
            weight[threadIdx.x] = 0;
        }
        __syncthreads();
        const uint32_t me = min(threadIdx.x, members - 1);
        const uint32_t mine = major[me];
        uint32_t equal = 0;
#pragma unroll 4
        for (uint32_t k = 0; k < members; k += 4) {
            const uint4 of = *reinterpret_cast<const uint4*>(&major[k]);
            const ulonglong2 low = *reinterpret_cast<const ulonglong2*>(&weight[k]);
            const ulonglong2 high = *reinterpret_cast<const ulonglong2*>(&weight[k + 2]);
            rank += (of.x < mine) + (of.y < mine) + (of.z < mine) + (of.w < mine);
            equal += (of.x == mine) + (of.y == mine) + (of.z == mine) + (of.w == mine);
            before += (of.x < mine ? low.x : 0) + (of.y < mine ? low.y : 0);
            before += (of.z < mine ? high.x : 0) + (of.w < mine ? high.y : 0);
        }
        const bool is_tied = equal > 1 && threadIdx.x < members;
        if (!__syncthreads_or(is_tied)) return;
        if (threadIdx.x < members) minor[me] = is_tied ? order.minor(item[me]) : 0;
        __syncthreads();
        for (uint32_t k = 0; is_tied && k < members; ++k) {
            const bool is_before = major[k] == mine && minor[k] < minor[me];
            rank += is_before;
            before += is_before ? weight[k] : 0;
        }
    }

    // Finds the bin in which the sums reach `target`.
    __device__ void find_bin(uint64_t target) {
        const uint32_t first = 2 * threadIdx.x;
        const uint64_t sums[2] = {sum(first), sum(first + 1)};
        const uint64_t up_to = warp_sum_up_to(sums[0] + sums[1]);
        if (lane() == WARP - 1) of_warp[warp()] = up_to;
        if (threadIdx.x == 0) bin = NONE;
        __syncthreads();
        uint64_t before = up_to - sums[0] - sums[1];
#pragma unroll
        for (uint32_t w = 0; w + 1 < WARPS; ++w) before += w < warp() ? of_warp[w] : 0;
#pragma unroll
        for (uint32_t k = 0; k < 2; ++k) {
            if (before < target && target <= before + sums[k]) {
                bin = first + k;
                in_bin = counts[first + k];
                before_bin = before;
            }
            before += sums[k];
        }
        __syncthreads();
    }
};

template <class Order> __device__ uint32_t digit(const Order& order, const Listed& item, uint32_t round) {
    if (round == 0) return order.bin(item);
    const uint32_t word = round < 5 ? order.major(item) : order.minor(item);
    return word >> (24 - (round - 1) % 4 * 8) & 0xff;
}

// Where items wait for their turn, a column for each thread: one place for all loops.
constexpr uint32_t WAITING = 8;
inline __device__ Listed* waiting() {
    __shared__ Listed items[WAITING * THREADS];
    return items + threadIdx.x;
}

// Calls `each(item)` for all items, each thread for some. What comes from global memory is loaded several at
// a time, and kept in shared memory until its turn, so that the code of `each` is there once.
template <class Items, class Each>
__device__ void for_each_item(const Items& items, const Each& each) {
    if constexpr (Items::AT_ONCE == 1) {
        for (uint32_t i = threadIdx.x; i < items.count; i += THREADS) each(items.at(i));
    } else {
        constexpr uint32_t AT_ONCE = Items::AT_ONCE;
        static_assert(AT_ONCE <= WAITING, "there is room");
        Listed* const waiting = ::waiting();
        for (uint32_t first = threadIdx.x; first < items.count; first += AT_ONCE * THREADS) {
            Listed loaded[AT_ONCE];
#pragma unroll
            for (uint32_t k = 0; k < AT_ONCE; ++k) {
                loaded[k] = items.at(min(first + k * THREADS, items.count - 1));
            }
#pragma unroll
            for (uint32_t k = 0; k < AT_ONCE; ++k) waiting[k * THREADS] = loaded[k];
#pragma unroll 1
            for (uint32_t k = 0; k < AT_ONCE && first + k * THREADS < items.count; ++k) {
                each(waiting[k * THREADS]);
            }
        }
    }
}

// To be called by the whole block. `order` tells of an item: `bin`, `major`, `minor`, and `weight`, 0 if it does
// not count; no two have both `major` and `minor` in common. `minor` may be slow: it is asked for only where
// `major` does not decide. `target` is 1 or more.
template <class Items, class Order>
__device__ Selected select(const Items& items, uint64_t target, const Order& order, Selecting& shared) {
    uint64_t before = 0;
    uint32_t rounds = 0;
    // What was gone down: the bin, and the first digits of major and minor.
    uint32_t path_bin = 0;
    uint32_t path_major = 0;
    uint32_t path_minor = 0;
    const auto is_on_path = [&](const Listed& item) {
        if (rounds == 0) return true;
        if (order.bin(item) != path_bin) return false;
        const uint32_t of_major = 8 * min(rounds - 1, 4);
        if (of_major != 0 && order.major(item) >> (32 - of_major) != path_major) return false;
        return rounds <= 5 || order.minor(item) >> (32 - 8 * (rounds - 5)) == path_minor;
    };
    // Invariant: what comes before all that is on the path weighs `before`, less than the target, and with
    // what is on the path the target is reached (if it is at all).
    do {
        __syncthreads();
        for (uint32_t b = threadIdx.x; b < BINS; b += THREADS) {
            shared.counts[b] = shared.low[b] = shared.high[b] = 0;
        }
        __syncthreads();
        // Neighbours are often in one bin, which a thread then goes to once.
        uint32_t bin = NONE;
        uint32_t count = 0;
        uint64_t sum = 0;
        for_each_item(items, [&](const Listed& item) {
            const uint64_t weight = order.weight(item);
            if (weight == 0 || !is_on_path(item)) return;
            const uint32_t of = digit(order, item, rounds);
            if (of != bin) {
                if (count != 0) shared.add(bin, count, sum);
                bin = of, count = 0, sum = 0;
            }
            count += 1;
            sum += weight;
        });
        if (count != 0) shared.add(bin, count, sum);
        __syncthreads();
        shared.find_bin(target - before);
        if (shared.bin == NONE) return {{0.0f, NONE}, 0, 0};
        if (rounds == 0) {
            path_bin = shared.bin;
        } else if (rounds < 5) {
            path_major = path_major << 8 | shared.bin;
        } else {
            path_minor = path_minor << 8 | shared.bin;
        }
        ++rounds;
        before += shared.before_bin;
    } while (shared.in_bin > THREADS && rounds < ROUNDS);

    if (threadIdx.x == 0) shared.members = 0, shared.result = {{0.0f, NONE}, 0, 0};
    __syncthreads();
    for_each_item(items, [&](const Listed& item) {
        const uint64_t weight = order.weight(item);
        if (weight == 0 || !is_on_path(item)) return;
        const uint32_t place = atomicAdd(&shared.members, 1);
        shared.item[place] = item;
        shared.major[place] = order.major(item);
        shared.weight[place] = weight;
    });
    __syncthreads();
    const uint32_t members = shared.members;
    const uint32_t me = min(threadIdx.x, members - 1);
    uint32_t rank = 0;
    uint64_t up_to = before;
    shared.sum_before(members, order, rank, up_to);
    const uint64_t weight = shared.weight[me];
    if (threadIdx.x < members && up_to < target && target <= up_to + weight) {
        shared.result = {shared.item[me], up_to, weight};
    }
    __syncthreads();
    return shared.result;
}
