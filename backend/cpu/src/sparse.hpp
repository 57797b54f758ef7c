// Corrections from lists of changed inputs.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace reuse {
namespace {

// Entries of one segment that an output pixel takes, and their weights.
struct Taken {
    const Entry* begin;
    const Entry* end;
    const float* weights;
};

inline Taken take(const ConvRow& row, std::size_t segment, std::int32_t pixel) {
    const Segment& from = row.segments[segment];
    const std::int32_t start = pixel * row.stride + row.shifts[segment];
    const std::int32_t first = start < 0 ? 0 : start;
    const std::int32_t end = start + row.taps;
    const std::int32_t last = end > row.width ? row.width : end;
    if (last <= first) return {from.entries, from.entries, from.weights};
    // Offsets count from pixel 0 of the row, weights from the first tap.
    const std::ptrdiff_t back = (std::ptrdiff_t)start * (std::ptrdiff_t)row.channels * (std::ptrdiff_t)row.padded;
    return {from.entries + from.starts[first], from.entries + from.starts[last], from.weights - back};
}

// Vectors of outputs that one pass holds, and entries that it adds to sums of their own: enough chains of additions to
// hide their latency.
template <std::size_t kVectors, std::size_t kSums>
inline void add_taken(const Taken* taken, std::size_t count, std::size_t output, std::size_t tail, float* linear) {
    Vector sums[kSums][kVectors] = {};
    for (std::size_t part = 0; part < count; ++part) {
        const float* weights = taken[part].weights + output;
        const Entry* entry = taken[part].begin;
        const Entry* end = taken[part].end;
        for (; entry + kSums <= end; entry += kSums)
            for (std::size_t sum = 0; sum < kSums; ++sum) {
                const Vector delta = splat(entry[sum].delta);
                for (std::size_t vector = 0; vector < kVectors; ++vector)
                    sums[sum][vector] =
                        multiply_add(delta, load(weights + entry[sum].offset + vector * kLanes), sums[sum][vector]);
            }
        for (std::size_t sum = 0; sum + 1 < kSums; ++sum) {
            if (entry == end) break;
            const Vector delta = splat(entry->delta);
            for (std::size_t vector = 0; vector < kVectors; ++vector)
                sums[sum][vector] = multiply_add(delta, load(weights + entry->offset + vector * kLanes), sums[sum][vector]);
            ++entry;
        }
    }
    for (std::size_t sum = 1; sum < kSums; ++sum)
        for (std::size_t vector = 0; vector < kVectors; ++vector) sums[0][vector] += sums[sum][vector];
    for (std::size_t vector = 0; vector + 1 < kVectors; ++vector)
        store(linear + vector * kLanes, load(linear + vector * kLanes) + sums[0][vector]);
    float* last = linear + (kVectors - 1) * kLanes;
    if (tail == kLanes)
        store(last, load(last) + sums[0][kVectors - 1]);
    else
        store_some(last, load_some(last, tail) + sums[0][kVectors - 1], tail);
}

template <std::size_t kVectors>
inline void add_block(const Taken* taken, std::size_t count, std::size_t output, std::size_t tail, float* linear) {
    constexpr std::size_t kSums = kVectors == 1 ? 4 : kVectors <= 3 ? 3 : 2;
    add_taken<kVectors, kSums>(taken, count, output, tail, linear + output);
}

void conv_sparse(const ConvRow& row) {
    constexpr std::size_t kMost = 128;
    Taken taken[kMost];
    for (std::int32_t pixel = row.first; pixel < row.last; ++pixel) {
        float* linear = row.linear + (std::size_t)pixel * row.apart;
        for (std::size_t done = 0; done < row.segment_count; done += kMost) {
            const std::size_t end = done + kMost < row.segment_count ? done + kMost : row.segment_count;
            std::size_t count = 0;
            for (std::size_t segment = done; segment < end; ++segment) {
                const Taken one = take(row, segment, pixel);
                taken[count] = one;
                count += one.begin != one.end;
            }
            if (!count) continue;
            std::size_t output = 0;
            for (; row.outputs - output > 4 * kLanes; output += 4 * kLanes) add_block<4>(taken, count, output, kLanes, linear);
            const std::size_t rest = row.outputs - output;
            const std::size_t vectors = (rest + kLanes - 1) / kLanes;
            const std::size_t tail = rest - (vectors - 1) * kLanes;
            switch (vectors) {
                case 1: add_block<1>(taken, count, output, tail, linear); break;
                case 2: add_block<2>(taken, count, output, tail, linear); break;
                case 3: add_block<3>(taken, count, output, tail, linear); break;
                default: add_block<4>(taken, count, output, tail, linear); break;
            }
        }
    }
}

// Rows of weights that one pass over the outputs adds.
template <std::size_t kRows>
inline void add_some_rows(const Entry* entries, const float* weights, float* linear, std::size_t first, std::size_t last) {
    const float* row[kRows];
    Vector delta[kRows];
    for (std::size_t number = 0; number < kRows; ++number) {
        row[number] = weights + entries[number].offset;
        delta[number] = splat(entries[number].delta);
    }
    std::size_t output = first;
    for (; output + kLanes <= last; output += kLanes) {
        Vector sum = load(linear + output);
        for (std::size_t number = 0; number < kRows; ++number) sum = multiply_add(delta[number], load(row[number] + output), sum);
        store(linear + output, sum);
    }
    if (const std::size_t rest = last - output) {
        Vector sum = load_some(linear + output, rest);
        for (std::size_t number = 0; number < kRows; ++number)
            sum = multiply_add(delta[number], load_some(row[number] + output, rest), sum);
        store_some(linear + output, sum, rest);
    }
}

void add_rows(const Entry* entries, std::size_t count, const float* weights, float* linear, std::size_t first,
              std::size_t last) {
    for (; count >= 8; count -= 8, entries += 8) add_some_rows<8>(entries, weights, linear, first, last);
    if (count >= 4) {
        add_some_rows<4>(entries, weights, linear, first, last);
        count -= 4;
        entries += 4;
    }
    for (; count; --count, ++entries) add_some_rows<1>(entries, weights, linear, first, last);
}

}  // namespace
}  // namespace reuse
