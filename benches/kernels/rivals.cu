// What the bench sets beside the reduction: a kernel that only reads, plain argmax, and a kernel
// that keeps the device busy while the host queues what is to be timed.
//
// They are as fast as we know how to make them, and share nothing with kernels/: a flaw there must
// not slow down what it is measured against.

#include <cstdint>

constexpr uint32_t WARP = 32;
// THREADS and PER_THREAD come from the compiler's command line; see shape.rs.
constexpr uint32_t WARPS = THREADS / WARP;
constexpr uint32_t ALL = 0xffffffff;

// The floor: adds up all 32-bit words, sixteen bytes a load and four loads in flight, and leaves
// one sum for each block. The host can tell from their total that every word was read.
extern "C" __global__ void __launch_bounds__(THREADS)
    read_all(const uint4* __restrict__ vectors, uint64_t count, uint32_t* __restrict__ sums) {
    constexpr uint32_t AT_ONCE = 4;
    const uint64_t stride = static_cast<uint64_t>(gridDim.x) * THREADS;
    uint64_t i = static_cast<uint64_t>(blockIdx.x) * THREADS + threadIdx.x;
    uint32_t sum = 0;
    for (; i + (AT_ONCE - 1) * stride < count; i += AT_ONCE * stride) {
        uint4 v[AT_ONCE];
#pragma unroll
        for (uint32_t k = 0; k < AT_ONCE; ++k) v[k] = __ldg(vectors + i + k * stride);
#pragma unroll
        for (uint32_t k = 0; k < AT_ONCE; ++k) sum += v[k].x + v[k].y + v[k].z + v[k].w;
    }
    for (; i < count; i += stride) {
        const uint4 v = __ldg(vectors + i);
        sum += v.x + v.y + v.z + v.w;
    }
    __shared__ uint32_t of_warp[WARPS];
    sum = __reduce_add_sync(ALL, sum);
    if (threadIdx.x % WARP == 0) of_warp[threadIdx.x / WARP] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
#pragma unroll
        for (uint32_t w = 1; w < WARPS; ++w) sum += of_warp[w];
        sums[blockIdx.x] = sum;
    }
}

// A logit and its token as one number: the larger logit is larger, of equal ones the lower token.
// Its upper half is never 0, so that 0 is below all.
__device__ uint64_t key(float logit, uint32_t token) {
    const uint32_t bits = __float_as_uint(logit);
    const uint32_t order = bits ^ (static_cast<int32_t>(bits) < 0 ? 0xffffffff : 0x80000000);
    return static_cast<uint64_t>(order) << 32 | static_cast<uint32_t>(~token);
}

__device__ uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

__device__ uint64_t block_max(uint64_t best) {
    __shared__ uint64_t of_warp[WARPS];
#pragma unroll
    for (uint32_t step = WARP / 2; step > 0; step /= 2) {
        best = larger(best, __shfl_xor_sync(ALL, best, step));
    }
    if (threadIdx.x % WARP == 0) of_warp[threadIdx.x / WARP] = best;
    __syncthreads();
    best = of_warp[0];
#pragma unroll
    for (uint32_t w = 1; w < WARPS; ++w) best = larger(best, of_warp[w]);
    return best;
}

// Four bytes of logits as f32.
struct F32 {
    static constexpr uint32_t PER_WORD = 1;
    static __device__ float widen(uint32_t word, uint32_t) { return __uint_as_float(word); }
};
struct Bf16 {
    static constexpr uint32_t PER_WORD = 2;
    static __device__ float widen(uint32_t word, uint32_t n) {
        return __uint_as_float(n == 0 ? word << 16 : word & 0xffff0000);
    }
};

// Argmax over rows of `vectors` vectors, in one launch: blocks [row][chunk], a key for each in
// `keys`, and the last block of a row to come takes the largest. `tickets` is all 0 between
// launches: atomicInc wraps them round.
template <class T>
__device__ void argmax(const uint4* __restrict__ logits, uint32_t vectors, uint32_t chunks,
                       uint64_t* keys, uint32_t* tickets, uint32_t* __restrict__ tokens) {
    const uint32_t row = blockIdx.x / chunks;
    const uint32_t chunk = blockIdx.x % chunks;
    const uint4* const mine = logits + static_cast<uint64_t>(row) * vectors;
    const uint32_t first = chunk * THREADS * PER_THREAD + threadIdx.x;
    uint4 v[PER_THREAD];
#pragma unroll
    for (uint32_t j = 0; j < PER_THREAD; ++j) {
        const uint32_t i = first + j * THREADS;
        if (i < vectors) v[j] = __ldg(mine + i);
    }
    // A thread's tokens ascend, so that > keeps the lowest of equal ones.
    float best = -__int_as_float(0x7f800000);
    uint32_t token = 0xffffffff;
#pragma unroll
    for (uint32_t j = 0; j < PER_THREAD; ++j) {
        const uint32_t i = first + j * THREADS;
        if (i >= vectors) break;
        const uint32_t words[4] = {v[j].x, v[j].y, v[j].z, v[j].w};
#pragma unroll
        for (uint32_t k = 0; k < 4 * T::PER_WORD; ++k) {
            const float logit = T::widen(words[k / T::PER_WORD], k % T::PER_WORD);
            if (logit > best) {
                best = logit;
                token = i * 4 * T::PER_WORD + k;
            }
        }
    }
    uint64_t found = block_max(key(best, token));

    __shared__ bool last;
    if (threadIdx.x == 0) {
        keys[blockIdx.x] = found;
        __threadfence();
        last = atomicInc(&tickets[row], chunks - 1) == chunks - 1;
    }
    __syncthreads();
    if (!last) return;
    __threadfence();
    found = 0;
    for (uint32_t i = threadIdx.x; i < chunks; i += THREADS) {
        found = larger(found, __ldcg(reinterpret_cast<const unsigned long long*>(
                                  keys + static_cast<uint64_t>(row) * chunks + i)));
    }
    found = block_max(found);
    if (threadIdx.x == 0) tokens[row] = ~static_cast<uint32_t>(found);
}

extern "C" __global__ void __launch_bounds__(THREADS)
    argmax_f32(const uint4* logits, uint32_t vectors, uint32_t chunks, uint64_t* keys,
               uint32_t* tickets, uint32_t* tokens) {
    argmax<F32>(logits, vectors, chunks, keys, tickets, tokens);
}

extern "C" __global__ void __launch_bounds__(THREADS)
    argmax_bf16(const uint4* logits, uint32_t vectors, uint32_t chunks, uint64_t* keys,
                uint32_t* tickets, uint32_t* tokens) {
    argmax<Bf16>(logits, vectors, chunks, keys, tickets, tokens);
}

// Does nothing for so many nanoseconds.
extern "C" __global__ void busy(uint64_t nanoseconds) {
    uint64_t start, now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(start));
    do {
        __nanosleep(1000);
        asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    } while (now - start < nanoseconds);
}
