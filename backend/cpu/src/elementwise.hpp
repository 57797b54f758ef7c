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

// Eight rows of eight into eight of `stride`. Without loops: gcc keeps arrays that loops go over in memory.
inline void transpose_eight(__m256 r0, __m256 r1, __m256 r2, __m256 r3, __m256 r4, __m256 r5, __m256 r6, __m256 r7, float* to,
                            std::size_t stride) {
    const __m256 a0 = _mm256_unpacklo_ps(r0, r1), a1 = _mm256_unpackhi_ps(r0, r1);
    const __m256 a2 = _mm256_unpacklo_ps(r2, r3), a3 = _mm256_unpackhi_ps(r2, r3);
    const __m256 a4 = _mm256_unpacklo_ps(r4, r5), a5 = _mm256_unpackhi_ps(r4, r5);
    const __m256 a6 = _mm256_unpacklo_ps(r6, r7), a7 = _mm256_unpackhi_ps(r6, r7);
    const __m256 b0 = _mm256_shuffle_ps(a0, a2, 0x44), b1 = _mm256_shuffle_ps(a0, a2, 0xee);
    const __m256 b2 = _mm256_shuffle_ps(a1, a3, 0x44), b3 = _mm256_shuffle_ps(a1, a3, 0xee);
    const __m256 b4 = _mm256_shuffle_ps(a4, a6, 0x44), b5 = _mm256_shuffle_ps(a4, a6, 0xee);
    const __m256 b6 = _mm256_shuffle_ps(a5, a7, 0x44), b7 = _mm256_shuffle_ps(a5, a7, 0xee);
    _mm256_storeu_ps(to, _mm256_permute2f128_ps(b0, b4, 0x20));
    _mm256_storeu_ps(to + stride, _mm256_permute2f128_ps(b1, b5, 0x20));
    _mm256_storeu_ps(to + 2 * stride, _mm256_permute2f128_ps(b2, b6, 0x20));
    _mm256_storeu_ps(to + 3 * stride, _mm256_permute2f128_ps(b3, b7, 0x20));
    _mm256_storeu_ps(to + 4 * stride, _mm256_permute2f128_ps(b0, b4, 0x31));
    _mm256_storeu_ps(to + 5 * stride, _mm256_permute2f128_ps(b1, b5, 0x31));
    _mm256_storeu_ps(to + 6 * stride, _mm256_permute2f128_ps(b2, b6, 0x31));
    _mm256_storeu_ps(to + 7 * stride, _mm256_permute2f128_ps(b3, b7, 0x31));
}

#endif

#if defined(__AVX512F__)

// A whole block of 16 x 16, as four of eight: a third faster than with vectors of 16.
template <typename Change>
inline void transpose_sixteen(const float* from, std::size_t from_stride, float* to, std::size_t to_stride, Change change) {
    for (std::size_t row = 0; row < 16; row += 8) {
        const float* here = from + row * from_stride;
        auto line = [&](std::size_t number) { return (__m512)change(load(here + number * from_stride)); };
        const __m512 r0 = line(0), r1 = line(1), r2 = line(2), r3 = line(3), r4 = line(4), r5 = line(5), r6 = line(6), r7 = line(7);
        auto left = [](__m512 whole) { return _mm512_castps512_ps256(whole); };
        auto right = [](__m512 whole) { return _mm512_extractf32x8_ps(whole, 1); };
        transpose_eight(left(r0), left(r1), left(r2), left(r3), left(r4), left(r5), left(r6), left(r7), to + row, to_stride);
        transpose_eight(right(r0), right(r1), right(r2), right(r3), right(r4), right(r5), right(r6), right(r7),
                        to + 8 * to_stride + row, to_stride);
    }
}

#elif defined(__AVX2__)

// At least eight rows and columns in blocks of eight; the last of a row or column overlaps the one before.
template <typename Change>
inline void transpose_by_eight(const float* from, std::size_t from_stride, std::size_t rows, std::size_t columns, float* to,
                               std::size_t to_stride, Change change) {
    auto block = [&](std::size_t row, std::size_t column) {
        const float* here = from + row * from_stride + column;
        auto line = [&](std::size_t number) { return (__m256)change(load(here + number * from_stride)); };
        const __m256 r0 = line(0), r1 = line(1), r2 = line(2), r3 = line(3), r4 = line(4), r5 = line(5), r6 = line(6), r7 = line(7);
        transpose_eight(r0, r1, r2, r3, r4, r5, r6, r7, to + column * to_stride + row, to_stride);
    };
    const std::size_t last_row = rows - 8, last_column = columns - 8;
    for (std::size_t row = 0; row < rows; row += 16)  // of 16 rows, so that lines of the cache are written whole
        for (std::size_t column = 0; column < columns; column += 8) {
            const std::size_t here = column < last_column ? column : last_column;
            block(row < last_row ? row : last_row, here);
            if (row + 8 < rows) block(row + 8 < last_row ? row + 8 : last_row, here);
        }
}

#endif

// A block of at most 16 x 16 from rows of `from_stride` to rows of `to_stride`, each element through `change`.
template <typename Change>
inline void transpose_block(const float* from, std::size_t from_stride, std::size_t rows, std::size_t columns, float* to,
                            std::size_t to_stride, Change change) {
#if defined(__AVX512F__)
    if (rows == 16 && columns == 16) return transpose_sixteen(from, from_stride, to, to_stride, change);
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
#if defined(__AVX2__) && !defined(__AVX512F__)
    if (rows >= 8 && columns >= 8) return transpose_by_eight(from, from_stride, rows, columns, to, to_stride, change);
#endif
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

// Of so few channels that a compiler knows best how to interleave them.
template <std::size_t kChannels>
void gather_few(const float* __restrict x, float* __restrict y, std::size_t pixels, std::size_t stride) {
    for (std::size_t pixel = 0; pixel < pixels; ++pixel)
        for (std::size_t channel = 0; channel < kChannels; ++channel) y[pixel * kChannels + channel] = x[channel * stride + pixel];
}

void gather_channels(const float* x, float* y, std::size_t pixels, std::size_t channels, std::size_t stride) {
    if (channels == 2) return gather_few<2>(x, y, pixels, stride);
    if (channels == 3) return gather_few<3>(x, y, pixels, stride);
    if (channels == 4) return gather_few<4>(x, y, pixels, stride);
    transpose_all(x, stride, channels, pixels, y, channels, [](Vector value) { return value; });
}

}  // namespace
}  // namespace reuse
