// What a server does to the request in a slot, besides sampling.

#include "seen.cuh"

// A thread for each token. (There are no logits, so that the code is the same for all dtypes.)
__device__ void see(const SeeArgs& p) {
    const uint32_t i = blockIdx.x * THREADS + threadIdx.x;
    if (i < p.len) see(p.seen, p.counts, __ldg(&p.tokens[i]), __ldg(&p.times[i]));
}

#define KERNELS(DTYPE, T) \
    extern "C" __global__ void __launch_bounds__(THREADS) \
        see_##DTYPE(const __grid_constant__ SeeArgs p) { \
        see(p); \
    }
FOR_EACH_DTYPE(KERNELS)
