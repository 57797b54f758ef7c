// Activations, and the change between channels first and channels last.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace reuse {
namespace {

inline Vector activated(Vector z, Vector slope, Vector maximum) { return smaller(larger(z, z * slope), maximum); }

inline float activated(float z, float slope, float maximum) {
    const float sloped = z * slope;
    const float rectified = z > sloped ? z : sloped;
    return rectified < maximum ? rectified : maximum;
}

float activate(const float* z, float* y, std::size_t count, float slope, float maximum) {
    const Vector slopes = splat(slope), maxima = splat(maximum);
    Vector largest = splat(0.0f);
    std::size_t number = 0;
    for (; number + kLanes <= count; number += kLanes) {
        const Vector value = load(z + number);
        largest = larger(largest, magnitude(value));
        store(y + number, activated(value, slopes, maxima));
    }
    if (const std::size_t rest = count - number) {
        const Vector value = load_some(z + number, rest);
        largest = larger(largest, magnitude(value));
        store_some(y + number, activated(value, slopes, maxima), rest);
    }
    return largest_lane(largest);
}

float largest(const float* z, std::size_t count) {
    Vector some[4] = {};
    std::size_t number = 0;
    for (; number + 4 * kLanes <= count; number += 4 * kLanes)
        for (std::size_t part = 0; part < 4; ++part) some[part] = larger(some[part], magnitude(load(z + number + part * kLanes)));
    for (; number < count; number += kLanes)
        some[0] = larger(some[0], magnitude(load_some(z + number, count - number < kLanes ? count - number : kLanes)));
    return largest_lane(larger(larger(some[0], some[1]), larger(some[2], some[3])));
}

#if defined(__AVX512F__)

inline void transpose(__m512 (&rows)[16]) {
    __m512 a[16], b[16];
    for (int i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
        a[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; ++j) {
            b[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a[i + j]), _mm512_castps_pd(a[i + 2 + j])));
            b[i + 2 * j + 1] =
                _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a[i + j]), _mm512_castps_pd(a[i + 2 + j])));
        }
    for (int i = 0; i < 16; i += 8)
        for (int j = 0; j < 4; ++j) {
            a[i + j] = _mm512_shuffle_f32x4(b[i + j], b[i + 4 + j], 0x88);
            a[i + 4 + j] = _mm512_shuffle_f32x4(b[i + j], b[i + 4 + j], 0xdd);
        }
    for (int j = 0; j < 8; ++j) {
        rows[j] = _mm512_shuffle_f32x4(a[j], a[8 + j], 0x88);
        rows[8 + j] = _mm512_shuffle_f32x4(a[j], a[8 + j], 0xdd);
    }
}

#endif

#if defined(__AVX2__)

// Eight rows of eight into eight of `stride`.
inline void transpose_eight(const __m256 (&rows)[8], float* to, std::size_t stride) {
    __m256 a[8], b[8];
    for (int row = 0; row < 8; row += 2) {
        b[row] = _mm256_unpacklo_ps(rows[row], rows[row + 1]);
        b[row + 1] = _mm256_unpackhi_ps(rows[row], rows[row + 1]);
    }
    for (int row = 0; row < 8; row += 4)
        for (int half = 0; half < 2; ++half) {
            a[row + 2 * half] = _mm256_shuffle_ps(b[row + half], b[row + half + 2], 0x44);
            a[row + 2 * half + 1] = _mm256_shuffle_ps(b[row + half], b[row + half + 2], 0xee);
        }
    for (int row = 0; row < 4; ++row) {
        _mm256_storeu_ps(to + (std::size_t)row * stride, _mm256_permute2f128_ps(a[row], a[row + 4], 0x20));
        _mm256_storeu_ps(to + (std::size_t)(row + 4) * stride, _mm256_permute2f128_ps(a[row], a[row + 4], 0x31));
    }
}

// A whole block of 16 x 16, as four of eight: a third faster than with vectors of 16.
template <typename Change>
inline void transpose_sixteen(const float* from, std::size_t from_stride, float* to, std::size_t to_stride, Change change) {
    for (std::size_t row = 0; row < 16; row += 8) {
        __m256 left[8], right[8];
        for (std::size_t number = 0; number < 8; ++number) {
            const float* here = from + (row + number) * from_stride;
#if defined(__AVX512F__)
            const __m512 whole = (__m512)change(load(here));
            left[number] = _mm512_castps512_ps256(whole);
            right[number] = _mm512_extractf32x8_ps(whole, 1);
#else
            left[number] = (__m256)change(load(here));
            right[number] = (__m256)change(load(here + 8));
#endif
        }
        transpose_eight(left, to + row, to_stride);
        transpose_eight(right, to + 8 * to_stride + row, to_stride);
    }
}

#endif

// A block of at most 16 x 16 from rows of `from_stride` to rows of `to_stride`, each element through `change`.
template <typename Change>
inline void transpose_block(const float* from, std::size_t from_stride, std::size_t rows, std::size_t columns, float* to,
                            std::size_t to_stride, Change change) {
#if defined(__AVX2__)
    if (rows == 16 && columns == 16) return transpose_sixteen(from, from_stride, to, to_stride, change);
#endif
#if defined(__AVX512F__)
    if (rows > 2 && columns > 2) {
        __m512 held[16];
        const __mmask16 wide = (__mmask16)((1u << columns) - 1), tall = (__mmask16)((1u << rows) - 1);
        for (std::size_t row = 0; row < 16; ++row)
            held[row] = row < rows ? (__m512)change((Vector)_mm512_maskz_loadu_ps(wide, from + row * from_stride))
                                   : _mm512_setzero_ps();
        transpose(held);
        for (std::size_t column = 0; column < 16; ++column)
            if (column < columns) _mm512_mask_storeu_ps(to + column * to_stride, tall, held[column]);
        return;
    }
#endif
    for (std::size_t row = 0; row < rows; ++row) {
        float line[16] = {};
        std::memcpy(line, from + row * from_stride, columns * sizeof(float));
        for (std::size_t lane = 0; lane < 16; lane += kLanes) store(line + lane, change(load(line + lane)));
        for (std::size_t column = 0; column < columns; ++column) to[column * to_stride + row] = line[column];
    }
}

template <typename Change>
inline void transpose_all(const float* from, std::size_t from_stride, std::size_t rows, std::size_t columns, float* to,
                          std::size_t to_stride, Change change) {
    for (std::size_t row = 0; row < rows; row += 16)
        for (std::size_t column = 0; column < columns; column += 16) {
            const std::size_t tall = rows - row < 16 ? rows - row : 16, wide = columns - column < 16 ? columns - column : 16;
            transpose_block(from + row * from_stride + column, from_stride, tall, wide, to + column * to_stride + row, to_stride,
                            change);
        }
}

float activate_transposed(const float* z, float* y, std::size_t pixels, std::size_t channels, std::size_t stride, float slope,
                          float maximum) {
    const Vector slopes = splat(slope), maxima = splat(maximum);
    Vector largest = splat(0.0f);
    transpose_all(z, channels, pixels, channels, y, stride, [&](Vector value) {
        largest = larger(largest, magnitude(value));
        return activated(value, slopes, maxima);
    });
    return largest_lane(largest);
}

void gather_channels(const float* x, float* y, std::size_t pixels, std::size_t channels, std::size_t stride) {
    transpose_all(x, stride, channels, pixels, y, channels, [](Vector value) { return value; });
}

}  // namespace
}  // namespace reuse
