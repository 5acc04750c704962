// Logits of any dtype, sixteen bytes at a time.
//
// A row may begin at any element of a tensor, so it need not be aligned to sixteen bytes (rows of
// GPT-2's 50,257 logits never all are). Which logits share a vector, and so the order in which
// they are added up, must not depend on that: a row has the same bits wherever it lies. So a
// vector is always logits [n·i, n·i + n) of the row, and where they straddle two aligned vectors
// both are loaded (the second comes from L1) and shifted together. That reads a few bytes before the
// row, which are of the same allocation, as allocations begin at aligned addresses. The last few
// logits of a row are loaded one by one: nothing is read beyond its end.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "abi.cuh"

// The larger of two, or NaN if one is.
inline __device__ float max_or_nan(float a, float b) {
    float result;
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(a), "f"(b));
    return result;
}

// How four bytes of logits are widened to f32, how the largest of them is found, how -inf is
// replaced by a finite number that has no weight beside a maximum of magnitude EXACT at most, and on
// which side of a threshold they are.
template <class T> struct Dtype;

template <> struct Dtype<float> {
    static constexpr uint32_t NEG_INF = 0xff800000;
    static constexpr float EXACT = 16777216.0f;
    static __device__ uint32_t finite(uint32_t word) {
        return __float_as_uint(::max_or_nan(__uint_as_float(word), -1e38f));
    }
    static constexpr uint32_t SIGNS = 0x80000000;
    static __device__ uint32_t twice_rounded_down(float x) { return __float_as_uint(x); }
    static __device__ uint32_t difference(uint32_t a, uint32_t b) {
        return __float_as_uint(__uint_as_float(a) - __uint_as_float(b));
    }
    static __device__ float widen(float x) { return x; }
    static __device__ void widen(uint32_t word, float* out) { out[0] = __uint_as_float(word); }
    static __device__ uint32_t max(uint32_t a, uint32_t b) {
        return __float_as_uint(fmaxf(__uint_as_float(a), __uint_as_float(b)));
    }
    static __device__ uint32_t max_or_nan(uint32_t a, uint32_t b) {
        return __float_as_uint(::max_or_nan(__uint_as_float(a), __uint_as_float(b)));
    }
};

// What both 16-bit dtypes do to the two logits in a word; `Pair` is CUDA's type of two.
template <class Pair> struct Halves {
    static constexpr uint32_t SIGNS = 0x80008000;

    static __device__ const Pair& pair(const uint32_t& word) {
        return reinterpret_cast<const Pair&>(word);
    }
    static __device__ uint32_t word(const Pair& pair) {
        return reinterpret_cast<const uint32_t&>(pair);
    }
    static __device__ uint32_t max(uint32_t a, uint32_t b) { return word(__hmax2(pair(a), pair(b))); }
    static __device__ uint32_t max_or_nan(uint32_t a, uint32_t b) {
        return word(__hmax2_nan(pair(a), pair(b)));
    }
    static __device__ uint32_t difference(uint32_t a, uint32_t b) {
        return word(__hsub2(pair(a), pair(b)));
    }
};

template <> struct Dtype<__half> : Halves<__half2> {
    static constexpr uint32_t NEG_INF = 0xfc00fc00;
    static constexpr float EXACT = 32768.0f; // so that no weight is left at -65,504
    static __device__ uint32_t finite(uint32_t word) { return max_or_nan(word, 0xfbfffbff); }
    static __device__ uint32_t twice_rounded_down(float x) {
        return word(__half2half2(__float2half_rd(x)));
    }
    static __device__ float widen(__half x) { return __half2float(x); }
    static __device__ void widen(uint32_t word, float* out) {
        const float2 both = __half22float2(pair(word));
        out[0] = both.x;
        out[1] = both.y;
    }
};

template <> struct Dtype<__nv_bfloat16> : Halves<__nv_bfloat162> {
    static constexpr uint32_t NEG_INF = 0xff80ff80;
    static constexpr float EXACT = 16777216.0f;
    static __device__ uint32_t finite(uint32_t word) { return max_or_nan(word, 0xfe96fe96); } // -1e38
    static __device__ uint32_t twice_rounded_down(float x) {
        return word(__bfloat162bfloat162(__float2bfloat16_rd(x)));
    }
    static __device__ float widen(__nv_bfloat16 x) { return __bfloat162float(x); }
    static __device__ void widen(uint32_t word, float* out) {
        out[0] = __uint_as_float(word << 16);
        out[1] = __uint_as_float(word & 0xffff0000);
    }
};

// Sixteen bytes of logits.
template <class T> struct Vector {
    static constexpr uint32_t SIZE = 16 / sizeof(T);
    static constexpr uint32_t PER_WORD = 4 / sizeof(T);

    uint32_t words[4];

    __device__ float operator[](uint32_t i) const {
        float logits[PER_WORD];
        Dtype<T>::widen(words[i / PER_WORD], logits);
        return logits[i % PER_WORD];
    }

    __device__ Vector finite() const {
        Vector result;
#pragma unroll
        for (uint32_t k = 0; k < 4; ++k) result.words[k] = Dtype<T>::finite(words[k]);
        return result;
    }
};

// One row of logits.
template <class T> class LogitRow {
    const T* logits;
    uint32_t misaligned; // bytes beyond an address that sixteen divides

  public:
    const uint32_t size;

    __device__ LogitRow(const LogitsView& view, uint32_t row)
        : logits(static_cast<const T*>(view.first) + row * view.row_stride),
          size(view.vocab_size) {
        misaligned = reinterpret_cast<uintptr_t>(logits) & 15;
    }

    __device__ float operator[](uint32_t token) const {
        return Dtype<T>::widen(logits[token]);
    }

    // Several at once, of tokens that are there.
    template <uint32_t COUNT>
    __device__ void of(const uint32_t (&tokens)[COUNT], float (&logits)[COUNT]) const {
#pragma unroll
        for (uint32_t k = 0; k < COUNT; ++k) logits[k] = (*this)[tokens[k]];
    }

    // As it is stored; of what is no token, that of the last one. No branch, so that many loads can be
    // in flight.
    __device__ T raw(uint32_t token) const { return logits[min(token, size - 1)]; }

    // -inf for what is no token.
    __device__ float or_nothing(uint32_t token) const {
        const float logit = Dtype<T>::widen(raw(token));
        return token < size ? logit : -__uint_as_float(0x7f800000);
    }

    // A lane's vectors of a tile: vector `first`, and those at distances of a warp from it.
    template <uint32_t COUNT>
    __device__ void load(uint32_t first, bool whole, Vector<T> (&vectors)[COUNT]) const {
        if (whole && misaligned == 0) {
#pragma unroll
            for (uint32_t j = 0; j < COUNT; ++j) vectors[j] = chunk(first + j * WARP);
        } else {
            load_odd(first, vectors);
        }
    }

  private:
    // Sixteen aligned bytes; the first of them may lie before the row.
    __device__ Vector<T> chunk(uint32_t i) const {
        const char* const base = reinterpret_cast<const char*>(logits) - misaligned;
        const uint4 v = __ldg(reinterpret_cast<const uint4*>(base) + i);
        return {v.x, v.y, v.z, v.w};
    }

    // Of a row that is misaligned, or where it ends. Chunks are loaded without a branch between them, those
    // beyond the row's end from its last one; after that, what is not whole is read logit by logit.
    template <uint32_t COUNT>
    __device__ void load_odd(uint32_t first, Vector<T> (&vectors)[COUNT]) const {
        const uint32_t chunks = (misaligned + static_cast<uint64_t>(size) * sizeof(T)) / 16;
        const uint32_t straddles = misaligned != 0;
        constexpr uint32_t AT_ONCE = 4; // as there are registers
#pragma unroll
        for (uint32_t start = 0; start < COUNT; start += AT_ONCE) {
            Vector<T> next[AT_ONCE];
#pragma unroll
            for (uint32_t j = 0; j < AT_ONCE; ++j) {
                const uint32_t i = first + (start + j) * WARP;
                vectors[start + j] = chunks > 0 ? chunk(min(i, chunks - 1)) : Vector<T>{};
                next[j] = chunks > 0 ? chunk(min(i + straddles, chunks - 1)) : Vector<T>{};
            }
#pragma unroll
            for (uint32_t j = 0; j < AT_ONCE; ++j) {
                vectors[start + j] = shifted(vectors[start + j], next[j]);
            }
        }
#pragma unroll
        for (uint32_t j = 0; j < COUNT; ++j) {
            const uint32_t i = first + j * WARP;
            if (i + straddles >= chunks) vectors[j] = one_by_one(i * Vector<T>::SIZE);
        }
    }

    // What begins `misaligned` bytes after the beginning of the first of two neighbours.
    __device__ Vector<T> shifted(const Vector<T>& low, const Vector<T>& high) const {
        uint32_t words[8];
#pragma unroll
        for (uint32_t k = 0; k < 4; ++k) {
            words[k] = low.words[k];
            words[k + 4] = high.words[k];
        }
        // In steps of constant size, so that `words` stays in registers.
#pragma unroll
        for (uint32_t k = 0; k < 6; ++k) words[k] = misaligned & 8 ? words[k + 2] : words[k];
#pragma unroll
        for (uint32_t k = 0; k < 5; ++k) words[k] = misaligned & 4 ? words[k + 1] : words[k];
        Vector<T> vector;
#pragma unroll
        for (uint32_t k = 0; k < 4; ++k) {
            vector.words[k] = __funnelshift_r(words[k], words[k + 1], 8 * (misaligned & 3));
        }
        return vector;
    }

    // -inf beyond the row's end.
    __device__ Vector<T> one_by_one(uint32_t begin) const {
        Vector<T> vector = {Dtype<T>::NEG_INF, Dtype<T>::NEG_INF, Dtype<T>::NEG_INF, Dtype<T>::NEG_INF};
        if (begin >= size) return vector;
        T raw[Vector<T>::SIZE];
#pragma unroll
        for (uint32_t k = 0; k < Vector<T>::SIZE; ++k) raw[k] = this->raw(begin + k);
#pragma unroll
        for (uint32_t k = 0; k < Vector<T>::SIZE; ++k) {
            uint32_t& word = vector.words[k / Vector<T>::PER_WORD];
            const uint32_t with = put(word, k % Vector<T>::PER_WORD, raw[k]);
            word = begin + k < size ? with : word;
        }
        return vector;
    }

    static __device__ uint32_t put(uint32_t word, uint32_t n, T logit) {
        if constexpr (sizeof(T) == 4) {
            return reinterpret_cast<const uint32_t&>(logit);
        } else {
            const uint32_t bits = reinterpret_cast<const uint16_t&>(logit);
            return (word & (n == 0 ? 0xffff0000u : 0x0000ffffu)) | bits << (16 * n);
        }
    }
};
