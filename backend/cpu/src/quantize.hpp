// Quantize, compare with the past index, compact what changed: without a branch on the data.
//
// The float32 operations and their order are those of reuse_compiler/quantizers.py, so that indices agree bit for bit.
#pragma once

#include <type_traits>

#include "kernels.hpp"
#include "simd.hpp"

namespace reuse {
namespace {

// After so many blocks without a change the next is expected to have none, which is looked at first. Where changes are
// scattered that seldom is so, and nothing branches on the data.
constexpr std::size_t kQuiet = 4;

// More than float32 rounds off an element in the steps from it to its index and back to a centroid, as a share of it.
constexpr float kRounding = 1.0f / (1 << 21);

inline void store_bits(std::uint8_t* to, std::size_t start, std::uint32_t bits) {
    to[start / 8] = (std::uint8_t)bits;
    to[start / 8 + 1] = (std::uint8_t)(bits >> 8);
}

// The index of one input and what it changes by.
template <typename Index>
inline bool quantize_one(const Scale& scale, float x, Index& index, float deadband, float& delta) {
    const Index past = index;
    float past_value, nearest, value;
    if (scale.centroids) {
        std::size_t below = 0;
        for (std::size_t edge = 0; edge < scale.boundary_count; ++edge) below += scale.boundaries[edge] < x;
        nearest = x != x ? scale.zero : (float)below;
        past_value = scale.centroids[past <= scale.boundary_count ? past : scale.boundary_count];
        value = scale.centroids[(std::size_t)nearest];
    } else {
        constexpr float kFar = 1048576.0f, kRound = 12582912.0f;  // beyond every index; adding it rounds to even
        float steps = x * scale.inv_step;
        steps = steps < -kFar ? -kFar : steps;
        steps = steps > kFar ? kFar : steps;
        steps = (steps + kRound) - kRound;
        nearest = steps + scale.zero;
        nearest = nearest < 0.0f ? 0.0f : nearest;
        nearest = nearest > scale.top ? scale.top : nearest;
        nearest = x != x ? scale.zero : nearest;
        past_value = ((float)past - scale.zero) * scale.step;
        value = (nearest - scale.zero) * scale.step;
    }
    const float difference = x - past_value;
    const float distance = difference < 0.0f ? -difference : difference;
    const Index present = distance <= deadband ? past : (Index)nearest;
    delta = value - past_value;
    index = present;
    return present != past;
}

template <typename Index>
std::size_t quantize_plain(const Scale& scale, const Run& run, const Changes& changes, std::size_t first,
                           std::size_t count) {
    Index* index = (Index*)run.index;
    std::size_t clipped = 0;
    for (std::size_t start = first; start < run.count; start += kBlock) {
        const std::size_t end = start + kBlock < run.count ? start + kBlock : run.count;
        std::uint32_t bits = 0;
        for (std::size_t input = start; input < end; ++input) {
            float delta;
            const float deadband = run.deadband ? run.deadband[input] : run.deadband_all;
            const bool changed = quantize_one(scale, run.x[input], index[input], deadband, delta);
            changes.inputs[count] = run.first + (std::uint32_t)input;
            changes.deltas[count] = delta;
            count += changed;
            bits |= (std::uint32_t)changed << (input - start);
            clipped += (std::int32_t)index[input] == scale.low_end || (std::int32_t)index[input] == scale.high_end;
        }
        if (run.bits) store_bits(run.bits, start, bits);
    }
    if (run.clipped) *run.clipped += clipped;
    return count;
}

#if defined(__AVX512F__)

inline __m512i load_indices(const std::uint8_t* from) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)from)); }
inline __m512i load_indices(const std::uint16_t* from) {
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)from));
}
inline void store_indices(std::uint8_t* to, __m512i value) { _mm_storeu_si128((__m128i*)to, _mm512_cvtepi32_epi8(value)); }
inline void store_indices(std::uint16_t* to, __m512i value) {
    _mm256_storeu_si256((__m256i*)to, _mm512_cvtepi32_epi16(value));
}

// Whole blocks of a linear quantizer; returns the changes, and in `first` where the rest begins.
template <typename Index, bool kByInput, bool kBits, bool kClipped>
std::size_t quantize_linear(const Scale& scale, const Run& run, const Changes& changes, std::size_t& first) {
    const __m512 step = _mm512_set1_ps(scale.step), inverse = _mm512_set1_ps(scale.inv_step);
    const __m512 zero = _mm512_set1_ps(scale.zero), top = _mm512_set1_ps(scale.top), nothing = _mm512_setzero_ps();
    const __m512 everywhere = _mm512_set1_ps(run.deadband_all), still = _mm512_set1_ps(scale.still);
    const __m512 error = _mm512_set1_ps(kRounding);
    const __m512i lanes = _mm512_add_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                                           _mm512_set1_epi32((int)run.first));
    const __m512i low_end = _mm512_set1_epi32(scale.low_end), high_end = _mm512_set1_epi32(scale.high_end);
    Index* index = (Index*)run.index;
    std::size_t count = 0, start = 0, clipped = 0, quiet = 0;
    auto count_ends = [&](__m512i which) {
        const __mmask16 at_end = _mm512_cmpeq_epi32_mask(which, low_end) | _mm512_cmpeq_epi32_mask(which, high_end);
        clipped += (std::size_t)__builtin_popcount(bits_of(at_end));
    };
    for (; start + kBlock <= run.count; start += kBlock) {
        const __m512 x = _mm512_loadu_ps(run.x + start);
        const __m512i past = load_indices(index + start);
        const __m512 past_number = _mm512_cvtepi32_ps(past);
        const __m512 past_value = _mm512_mul_ps(_mm512_sub_ps(past_number, zero), step);
        const __m512 deadband = kByInput ? _mm512_loadu_ps(run.deadband + start) : everywhere;
        const __m512 distance = _mm512_abs_ps(_mm512_sub_ps(x, past_value));
        const __m512 rounds_back = _mm512_fnmadd_ps(_mm512_abs_ps(x), error, still);
        // An index beyond the range is one that a caller made up.
        const std::uint32_t moved = bits_of(_mm512_cmp_ps_mask(distance, _mm512_max_ps(deadband, rounds_back), _CMP_NLE_UQ)) |
                                    bits_of(_mm512_cmp_ps_mask(past_number, top, _CMP_NLE_UQ));
        if (quiet >= kQuiet && !moved) {
            if (kBits) store_bits(run.bits, start, 0);
            if (kClipped) count_ends(past);
            continue;
        }
        // A NaN counts as 0.
        const __m512 steps = _mm512_maskz_mul_ps(_mm512_cmp_ps_mask(x, x, _CMP_ORD_Q), x, inverse);
        const __m512 rounded = _mm512_roundscale_ps(steps, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        const __m512 nearest = _mm512_min_ps(_mm512_max_ps(_mm512_add_ps(rounded, zero), nothing), top);
        const __mmask16 far = _mm512_cmp_ps_mask(distance, deadband, _CMP_NLE_UQ);
        const __m512i present = _mm512_mask_cvtps_epi32(past, far, nearest);
        const __mmask16 changed = _mm512_cmpneq_epi32_mask(present, past);
        const std::uint32_t bits = bits_of(changed);
        if (kBits) store_bits(run.bits, start, bits);
        const __m512 delta = _mm512_sub_ps(_mm512_mul_ps(_mm512_sub_ps(nearest, zero), step), past_value);
        // Compressed in a register and stored whole: a compressing store to memory is slow on some processors.
        const __m512i input = _mm512_add_epi32(lanes, _mm512_set1_epi32((int)start));
        _mm512_storeu_si512(changes.inputs + count, _mm512_maskz_compress_epi32(changed, input));
        _mm512_storeu_ps(changes.deltas + count, _mm512_maskz_compress_ps(changed, delta));
        count += (std::size_t)__builtin_popcount(bits);
        quiet = bits ? 0 : quiet + 1;
        store_indices(index + start, present);
        if (kClipped) count_ends(present);
    }
    if (kClipped) *run.clipped += clipped;
    first = start;
    return count;
}

#else

// Fewer lanes: the same in vectors of whatever the set has.
typedef std::uint8_t Bytes __attribute__((vector_size(kLanes)));
typedef std::uint16_t Words __attribute__((vector_size(2 * kLanes)));
template <typename Index>
using Indices = typename std::conditional<sizeof(Index) == 1, Bytes, Words>::type;

// A bit a lane.
inline std::uint32_t bits_of(Integers where) {
#if defined(__AVX2__)
    return (std::uint32_t)_mm256_movemask_ps((__m256)where);
#elif defined(__SSE2__)
    return (std::uint32_t)__builtin_ia32_movmskps((Vector)where);
#else
    std::uint32_t bits = 0;
    for (std::size_t lane = 0; lane < kLanes; ++lane) bits |= (where[lane] ? 1u : 0u) << lane;
    return bits;
#endif
}

#if defined(__AVX2__)

// By the bits of eight lanes, the lanes whose bit is set, in order.
struct Packing {
    std::uint8_t lanes[256][8];

    constexpr Packing() : lanes{} {
        for (int bits = 0; bits < 256; ++bits)
            for (int lane = 0, place = 0; lane < 8; ++lane)
                if (bits >> lane & 1) lanes[bits][place++] = (std::uint8_t)lane;
    }
};
constexpr Packing kPacking;

#endif

// Appends the lanes whose bit is set, and as many more as there is room for.
inline std::size_t append(std::uint32_t* inputs, float* deltas, std::size_t count, std::uint32_t first, Vector delta,
                          std::uint32_t bits) {
#if defined(__AVX2__)
    const __m256i lanes = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)kPacking.lanes[bits]));
    _mm256_storeu_si256((__m256i*)(inputs + count), _mm256_add_epi32(lanes, _mm256_set1_epi32((int)first)));
    _mm256_storeu_ps(deltas + count, _mm256_permutevar8x32_ps((__m256)delta, lanes));
    return count + (std::size_t)__builtin_popcount(bits);
#else
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
        inputs[count] = first + (std::uint32_t)lane;
        deltas[count] = delta[lane];
        count += bits >> lane & 1;
    }
    return count;
#endif
}

template <typename Index, bool kByInput, bool kBits, bool kClipped>
std::size_t quantize_linear(const Scale& scale, const Run& run, const Changes& changes, std::size_t& first) {
    constexpr float kFar = 1048576.0f, kRound = 12582912.0f;  // beyond every index; adding it rounds to even
    constexpr std::size_t kParts = kBlock / kLanes;
    const Vector step = splat(scale.step), inverse = splat(scale.inv_step), zero = splat(scale.zero), top = splat(scale.top);
    const Vector far_up = splat(kFar), far_down = splat(-kFar), rounding = splat(kRound), nothing = splat(0.0f);
    const Vector everywhere = splat(run.deadband_all), still = splat(scale.still), error = splat(-kRounding);
    const std::int32_t low_end = scale.low_end, high_end = scale.high_end;
    const std::uint32_t first_input = run.first;
    // What is stored may alias what `run` and `changes` hold.
    const float *x_of = run.x, *deadband_of = run.deadband;
    Index* index = (Index*)run.index;
    std::uint32_t* inputs = changes.inputs;
    float* deltas = changes.deltas;
    std::uint8_t* all_bits = run.bits;
    const std::size_t whole = run.count / kBlock * kBlock;
    std::size_t count = 0, clipped = 0, quiet = 0;
    auto count_ends = [&](Integers which) {
        clipped += (std::size_t)__builtin_popcount(bits_of((which == low_end) | (which == high_end)));
    };
    for (std::size_t start = 0; start < whole; start += kBlock) {
        Vector x[kParts], past_value[kParts];
        Integers past[kParts], near[kParts], far{};
        for (std::size_t part = 0; part < kParts; ++part) {
            const std::size_t here = start + part * kLanes;
            Indices<Index> kept;
            std::memcpy(&kept, index + here, sizeof kept);
            past[part] = __builtin_convertvector(kept, Integers);
            x[part] = load(x_of + here);
            const Vector past_number = __builtin_convertvector(past[part], Vector);
            past_value[part] = (past_number - zero) * step;
            const Vector distance = magnitude(x[part] - past_value[part]);
            const Vector deadband = kByInput ? load(deadband_of + here) : everywhere;
            near[part] = distance <= deadband;
            far |= ~(distance <= larger(deadband, multiply_add(magnitude(x[part]), error, still)));
            far |= past_number > top;  // an index beyond the range is one that a caller made up
        }
        if (quiet >= kQuiet && !bits_of(far)) {
            if (kBits) store_bits(all_bits, start, 0);
            for (std::size_t part = 0; kClipped && part < kParts; ++part) count_ends(past[part]);
            continue;
        }
        std::uint32_t block = 0;
        for (std::size_t part = 0; part < kParts; ++part) {
            const std::size_t here = start + part * kLanes;
            Vector steps = (Vector)((Integers)(x[part] == x[part]) & (Integers)(x[part] * inverse));  // a NaN counts as 0
            steps = (smaller(larger(steps, far_down), far_up) + rounding) - rounding;
            const Vector nearest = smaller(larger(steps + zero, nothing), top);
            const Integers chosen = __builtin_convertvector(nearest, Integers);
            const Integers present = (near[part] & past[part]) | (~near[part] & chosen);
            const std::uint32_t bits = bits_of(present != past[part]);
            const Vector delta = (nearest - zero) * step - past_value[part];
            count = append(inputs, deltas, count, first_input + (std::uint32_t)here, delta, bits);
            block |= bits << (part * kLanes);
            const Indices<Index> kept = __builtin_convertvector(present, Indices<Index>);
            std::memcpy(index + here, &kept, sizeof kept);
            if (kClipped) count_ends(present);
        }
        quiet = block ? 0 : quiet + 1;
        if (kBits) store_bits(all_bits, start, block);
    }
    if (kClipped) *run.clipped += clipped;
    first = whole;
    return count;
}

#endif

template <typename Index>
std::size_t quantize(const Scale& scale, const Run& run, const Changes& changes) {
    std::size_t first = 0, count = 0;
    if (!scale.centroids) {
        using Loop = std::size_t (*)(const Scale&, const Run&, const Changes&, std::size_t&);
        static constexpr Loop kLoops[2][2][2] = {
            {{quantize_linear<Index, false, false, false>, quantize_linear<Index, false, false, true>},
             {quantize_linear<Index, false, true, false>, quantize_linear<Index, false, true, true>}},
            {{quantize_linear<Index, true, false, false>, quantize_linear<Index, true, false, true>},
             {quantize_linear<Index, true, true, false>, quantize_linear<Index, true, true, true>}}};
        count = kLoops[run.deadband != nullptr][run.bits != nullptr][run.clipped != nullptr](scale, run, changes, first);
    }
    return quantize_plain<Index>(scale, run, changes, first, count);
}

}  // namespace
}  // namespace reuse
