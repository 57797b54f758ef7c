// One vector type for every instruction set. Only files that are compiled once for each include this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace reuse {
namespace {

#if defined(__AVX512F__)
constexpr std::size_t kLanes = 16;
#elif defined(__AVX2__)
constexpr std::size_t kLanes = 8;
#else
constexpr std::size_t kLanes = 4;
#endif

// So many products at most are added up before their sum is added to a linear output: one long sum rounds too much.
constexpr std::size_t kLongestSum = 512;

typedef float Vector __attribute__((vector_size(4 * kLanes)));
typedef std::int32_t Integers __attribute__((vector_size(4 * kLanes)));
typedef std::uint32_t Naturals __attribute__((vector_size(4 * kLanes)));

inline Vector load(const float* from) {
    Vector value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

inline void store(float* to, Vector value) { std::memcpy(to, &value, sizeof value); }

inline Vector splat(float value) {
#if defined(__AVX512F__)
    return (Vector)_mm512_set1_ps(value);
#elif defined(__AVX2__)
    return (Vector)_mm256_set1_ps(value);
#else
    return Vector{value, value, value, value};
#endif
}

#if defined(__AVX512F__)
// The bits of a mask. Of a conversion gcc 12 may store 16 bits and load 32.
inline std::uint32_t bits_of(__mmask16 mask) {
    std::uint32_t bits;
    asm("kmovw %1, %0" : "=r"(bits) : "k"(mask));
    return bits;
}
#endif

// The first `count` lanes, zeros behind them.
inline Vector load_some(const float* from, std::size_t count) {
#if defined(__AVX512F__)
    return (Vector)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), from);
#else
    Vector value{};
    std::memcpy(&value, from, count * sizeof(float));
    return value;
#endif
}

inline void store_some(float* to, Vector value, std::size_t count) {
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(to, (__mmask16)((1u << count) - 1), (__m512)value);
#else
    std::memcpy(to, &value, count * sizeof(float));
#endif
}

// a * b + c, fused where the instruction set has it.
inline Vector multiply_add(Vector a, Vector b, Vector c) {
#if defined(__AVX512F__)
    return (Vector)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
    return (Vector)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__ARM_NEON) && defined(__aarch64__)
    return (Vector)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

inline Vector larger(Vector a, Vector b) { return a > b ? a : b; }
inline Vector smaller(Vector a, Vector b) { return a < b ? a : b; }

inline Vector magnitude(Vector value) { return (Vector)((Integers)value & 0x7fffffff); }

inline float largest_lane(Vector value) {
    float lanes[kLanes];
    std::memcpy(lanes, &value, sizeof value);
    float found = lanes[0];
    for (std::size_t lane = 1; lane < kLanes; ++lane) found = lanes[lane] > found ? lanes[lane] : found;
    return found;
}

}  // namespace
}  // namespace reuse
