// Corrections from rows of all changes, zeros among them: what pays where most inputs changed.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace reuse {
namespace {

// Accumulators of a block: as many as the registers hold beside the operands.
#if defined(__AVX512F__)
constexpr std::size_t kAccumulators = 24;
#else
constexpr std::size_t kAccumulators = 12;
#endif

// Nanoseconds of a product with a vector of outputs, as measured on server CPUs: to compare with a loop over lists.
#if defined(__AVX512F__)
constexpr double kDenseVector = 0.13;
#elif defined(__FMA__)
constexpr double kDenseVector = 0.2;
#else
constexpr double kDenseVector = 0.32;
#endif

// Sums of some pixels added to their linear outputs.
template <std::size_t kVectors, std::size_t kPixels>
inline void flush(const ConvRow& row, std::int32_t pixel, std::size_t output, std::size_t tail, Vector (&sums)[kPixels][kVectors]) {
    for (std::size_t number = 0; number < kPixels; ++number) {
        float* linear = row.linear + (std::size_t)(pixel + (std::int32_t)number) * row.apart + output;
        for (std::size_t vector = 0; vector + 1 < kVectors; ++vector)
            store(linear + vector * kLanes, load(linear + vector * kLanes) + sums[number][vector]);
        float* last = linear + (kVectors - 1) * kLanes;
        if (tail == kLanes)
            store(last, load(last) + sums[number][kVectors - 1]);
        else
            store_some(last, load_some(last, tail) + sums[number][kVectors - 1], tail);
    }
}

template <std::size_t kVectors, std::size_t kPixels>
inline void add_products(const ConvRow& row, std::int32_t pixel, std::size_t output, std::size_t tail) {
    const std::size_t length = (std::size_t)row.taps * row.channels;
    const std::size_t apart = (std::size_t)row.stride * row.channels;
    std::size_t segment = 0, input = 0;
    while (segment < row.segment_count) {
        Vector sums[kPixels][kVectors] = {};
        for (std::size_t left = kLongestSum; left && segment < row.segment_count;) {
            const std::int32_t start = pixel * row.stride + row.shifts[segment] + row.padding;
            const float* delta = row.segments[segment].spread + (std::size_t)start * row.channels;
            const float* weights = row.segments[segment].weights + input * row.padded + output;
            const std::size_t end = length - input < left ? length : input + left;
            left -= end - input;
            for (; input < end; ++input, weights += row.padded) {
                Vector weight[kVectors];
                for (std::size_t vector = 0; vector < kVectors; ++vector) weight[vector] = load(weights + vector * kLanes);
                for (std::size_t number = 0; number < kPixels; ++number) {
                    const Vector one = splat(delta[number * apart + input]);
                    for (std::size_t vector = 0; vector < kVectors; ++vector)
                        sums[number][vector] = multiply_add(one, weight[vector], sums[number][vector]);
                }
            }
            if (input == length) ++segment, input = 0;
        }
        flush<kVectors, kPixels>(row, pixel, output, tail, sums);
    }
}

template <std::size_t kVectors>
inline void add_pixels(const ConvRow& row, std::size_t output, std::size_t tail) {
    constexpr std::int32_t kPixels = (std::int32_t)(kAccumulators / kVectors / (kVectors == 1 ? 2 : 1));
    std::int32_t pixel = row.first;
    for (; pixel + kPixels <= row.last; pixel += kPixels) add_products<kVectors, (std::size_t)kPixels>(row, pixel, output, tail);
    for (; pixel + 2 <= row.last; pixel += 2) add_products<kVectors, 2>(row, pixel, output, tail);
    for (; pixel < row.last; ++pixel) add_products<kVectors, 1>(row, pixel, output, tail);
}

void conv_dense(const ConvRow& row) {
    std::size_t output = 0;
    for (; row.outputs - output > 4 * kLanes; output += 4 * kLanes) add_pixels<4>(row, output, kLanes);
    const std::size_t rest = row.outputs - output;
    const std::size_t vectors = (rest + kLanes - 1) / kLanes;
    const std::size_t tail = rest - (vectors - 1) * kLanes;
    switch (vectors) {
        case 1: add_pixels<1>(row, output, tail); break;
        case 2: add_pixels<2>(row, output, tail); break;
        case 3: add_pixels<3>(row, output, tail); break;
        default: add_pixels<4>(row, output, tail); break;
    }
}

void conv_depthwise(const ConvRow& row) {
    const std::size_t channels = row.channels;
    for (std::int32_t pixel = row.first; pixel < row.last; ++pixel) {
        float* linear = row.linear + (std::size_t)pixel * channels;
        for (std::size_t channel = 0; channel < channels; channel += kLanes) {
            const std::size_t rest = channels - channel;
            const bool whole = rest >= kLanes;
            Vector sum = whole ? load(linear + channel) : load_some(linear + channel, rest);
            for (std::size_t segment = 0; segment < row.segment_count; ++segment) {
                const std::int32_t start = pixel * row.stride + row.shifts[segment] + row.padding;
                const float* delta = row.segments[segment].spread + (std::size_t)start * channels + channel;
                const float* weights = row.segments[segment].weights + channel;
                for (std::int32_t tap = 0; tap < row.taps; ++tap, delta += channels, weights += row.padded)
                    sum = multiply_add(whole ? load(delta) : load_some(delta, rest), load(weights), sum);
            }
            if (whole)
                store(linear + channel, sum);
            else
                store_some(linear + channel, sum, rest);
        }
    }
}

}  // namespace
}  // namespace reuse
