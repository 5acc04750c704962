// CUB's argmax over the rows of a batch, for gpu_rivals.py: CUB is templates that launch their kernels
// from C++, so scripts/pack-gpu.sh makes a library of it.

#include <cuda_bf16.h>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/iterator/transform_iterator.h>

#include <cub/device/device_reduce.cuh>
#include <cub/device/device_segmented_reduce.cuh>

// Where a row begins.
struct Begin {
    int width;
    __host__ __device__ int operator()(int row) const { return row * width; }
};

// What a row's result is for both of CUB's functions; eight bytes.
template <class T>
using Best = cub::KeyValuePair<int, T>;

template <class T>
cudaError_t argmax(void* temporary, size_t& bytes, const T* logits, int rows, int width,
                   Best<T>* best, cudaStream_t stream) {
    static_assert(sizeof(Best<T>) == 8, "as gpu_rivals_cub.py has it");
    // A segment is one block's, which is slow for few rows; many blocks share a row that is alone.
    if (rows == 1) {
        return cub::DeviceReduce::ArgMax(temporary, bytes, logits, &best->value, &best->key, width,
                                         stream);
    }
    const auto begins =
        thrust::make_transform_iterator(thrust::counting_iterator<int>(0), Begin{width});
    return cub::DeviceSegmentedReduce::ArgMax(temporary, bytes, logits, best, rows, begins,
                                              begins + 1, stream);
}

// Without temporary memory, `bytes` becomes how much of it is needed. Returns a cudaError_t.
extern "C" int cub_argmax_f32(void* temporary, size_t* bytes, const float* logits, int rows,
                              int width, Best<float>* best, cudaStream_t stream) {
    return argmax(temporary, *bytes, logits, rows, width, best, stream);
}

extern "C" int cub_argmax_bf16(void* temporary, size_t* bytes, const __nv_bfloat16* logits,
                               int rows, int width, Best<__nv_bfloat16>* best,
                               cudaStream_t stream) {
    return argmax(temporary, *bytes, logits, rows, width, best, stream);
}
