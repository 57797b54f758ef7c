// Corrections from lists of changed inputs.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace reuse {
namespace {

// The changes that one output pixel takes from all segments, in one list: a loop over each segment's own would be left at
// another number each time, and every such surprise costs as much as several changes.
struct Taken {
    static constexpr std::size_t kRoom = kLongestSum;

    std::int32_t offsets[kRoom + 16];  // from the weights of the first segment
    float deltas[kRoom + 16];
    std::size_t count;
};

// Copies 16 at a time, the last of them beyond what is asked for. Offsets are numbers modulo 2^32.
inline void copy_moved(const std::uint32_t* offsets, const float* deltas, std::size_t count, std::uint32_t moved, Taken& taken) {
    std::int32_t* to = taken.offsets + taken.count;
    float* values = taken.deltas + taken.count;
    for (std::size_t done = 0; done < count; done += 16)
        for (std::size_t part = done; part < done + 16; part += kLanes) {
            Naturals some;
            std::memcpy(&some, offsets + part, sizeof some);
            some += moved;
            std::memcpy(to + part, &some, sizeof some);
            store(values + part, load(deltas + part));
        }
    taken.count += count;
}

// Vectors of outputs that one pass holds, and changes that it adds to sums of their own: enough chains of additions to
// hide their latency. Behind the changes of the list are zeros.
template <std::size_t kVectors, std::size_t kSums>
inline void add_taken(const Taken& taken, const float* weights, std::size_t tail, float* linear) {
    Vector sums[kSums][kVectors] = {};
    for (std::size_t number = 0; number < taken.count; number += kSums)
        for (std::size_t sum = 0; sum < kSums; ++sum) {
            const Vector delta = splat(taken.deltas[number + sum]);
            const float* own = weights + taken.offsets[number + sum];
            for (std::size_t vector = 0; vector < kVectors; ++vector)
                sums[sum][vector] = multiply_add(delta, load(own + vector * kLanes), sums[sum][vector]);
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

inline void add_all(Taken& taken, const float* weights, std::size_t outputs, float* linear) {
    if (!taken.count) return;
    std::memset(taken.offsets + taken.count, 0, 4 * sizeof(std::int32_t));
    std::memset(taken.deltas + taken.count, 0, 4 * sizeof(float));
    for (; outputs > 4 * kLanes; outputs -= 4 * kLanes, weights += 4 * kLanes, linear += 4 * kLanes)
        add_taken<4, 2>(taken, weights, kLanes, linear);
    const std::size_t vectors = (outputs + kLanes - 1) / kLanes;
    const std::size_t tail = outputs - (vectors - 1) * kLanes;
    switch (vectors) {
        case 1: add_taken<1, 4>(taken, weights, tail, linear); break;
        case 2: add_taken<2, 4>(taken, weights, tail, linear); break;
        case 3: add_taken<3, 2>(taken, weights, tail, linear); break;
        default: add_taken<4, 2>(taken, weights, tail, linear); break;
    }
    taken.count = 0;
}

// The changes before each pixel, of all segments together; where they begin at one pixel and the row is not too long.
struct Before {
    static constexpr std::int32_t kMost = 2048;

    std::uint32_t changes[kMost + kLanes];
    bool known;

    explicit Before(const ConvRow& row) : known(row.width < kMost) {
        for (std::size_t number = 1; number < row.segment_count; ++number) known = known && row.shifts[number] == row.shifts[0];
        if (!known) return;
        const std::size_t count = (std::size_t)row.width + 1;
        std::memcpy(changes, row.segments[0].starts, count * sizeof(std::uint32_t));
        for (std::size_t number = 1; number < row.segment_count; ++number)
            for (std::size_t pixel = 0; pixel < count; ++pixel) changes[pixel] += row.segments[number].starts[pixel];
    }
};

// The input pixels of a segment that an output pixel takes.
struct Window {
    std::int32_t start, first, last;

    Window(const ConvRow& row, std::size_t segment, std::int32_t pixel)
        : start(pixel * row.stride + row.shifts[segment]),
          first(start < 0 ? 0 : start),
          last(start + row.taps > row.width ? row.width : start + row.taps) {}
};

void conv_sparse(const ConvRow& row) {
    Taken taken;
    taken.count = 0;
    const Before before(row);
    const float* weights = row.segments[0].weights;
    for (std::int32_t pixel = row.first; pixel < row.last; ++pixel) {
        if (before.known) {
            const Window window(row, 0, pixel);
            if (window.last <= window.first || before.changes[window.first] == before.changes[window.last]) continue;
        }
        std::size_t count = 0;
        float* linear = row.linear + (std::size_t)pixel * row.apart;
        for (std::size_t number = 0; number < row.segment_count; ++number) {
            const Segment& segment = row.segments[number];
            const Window window(row, number, pixel);
            if (window.last <= window.first) continue;
            // Offsets count from pixel 0, weights from the first tap.
            const std::uint32_t moved =
                (std::uint32_t)(segment.weights - weights) - (std::uint32_t)window.start * row.channels * row.padded;
            std::size_t from = segment.starts[window.first];
            const std::size_t to = segment.starts[window.last];
            count += to - from;
            while (to - from > Taken::kRoom - taken.count) {
                const std::size_t some = Taken::kRoom - taken.count;
                copy_moved(segment.offsets + from, segment.deltas + from, some, moved, taken);
                add_all(taken, weights, row.outputs, linear);
                from += some;
            }
            copy_moved(segment.offsets + from, segment.deltas + from, to - from, moved, taken);
        }
        add_all(taken, weights, row.outputs, linear);
        if (row.touched && count) row.touched[pixel] = 1;
    }
}

void find_starts(const std::uint8_t* bits, std::size_t channels, std::size_t pixels, std::uint32_t* starts) {
    std::uint32_t before = 0;
    std::size_t bit = 0;
    for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
        starts[pixel] = before;
        for (std::size_t left = channels; left;) {
            std::uint64_t word;
            std::memcpy(&word, bits + bit / 8, sizeof word);
            const std::size_t some = left < 56 ? left : 56;  // what a word has behind seven bits of the inputs before
            word = word >> bit % 8 & ((1ull << some) - 1);
            before += (std::uint32_t)__builtin_popcountll(word);
            bit += some;
            left -= some;
        }
    }
    starts[pixels] = before;
}

void find_offsets(const std::uint32_t* inputs, std::size_t count, std::uint32_t weights, std::uint32_t* offsets) {
    for (std::size_t number = 0; number < count; ++number) offsets[number] = inputs[number] * weights;
}

// Rows of weights that one pass over the outputs adds.
template <std::size_t kRows>
inline void add_some_rows(const std::uint32_t* inputs, const float* deltas, const float* weights, std::size_t outputs,
                          float* linear, std::size_t first, std::size_t last) {
    const float* row[kRows];
    Vector delta[kRows];
    for (std::size_t number = 0; number < kRows; ++number) {
        row[number] = weights + inputs[number] * outputs;
        delta[number] = splat(deltas[number]);
    }
    std::size_t output = first;
    for (; output + kLanes <= last; output += kLanes) {
        Vector sum{};
        for (std::size_t number = 0; number < kRows; ++number) sum = multiply_add(delta[number], load(row[number] + output), sum);
        store(linear + output, load(linear + output) + sum);
    }
    if (const std::size_t rest = last - output) {
        Vector sum{};
        for (std::size_t number = 0; number < kRows; ++number)
            sum = multiply_add(delta[number], load_some(row[number] + output, rest), sum);
        store_some(linear + output, load_some(linear + output, rest) + sum, rest);
    }
}

inline void add_few_sums(const float* sums, float* linear, std::size_t count) {
    std::size_t output = 0;
    for (; output + kLanes <= count; output += kLanes) store(linear + output, load(linear + output) + load(sums + output));
    if (const std::size_t rest = count - output) store_some(linear + output, load_some(linear + output, rest) + load_some(sums + output, rest), rest);
}

void add_few_rows(const Changes& changes, std::size_t count, const float* weights, std::size_t outputs, float* linear,
                  std::size_t first, std::size_t last) {
    const std::uint32_t* inputs = changes.inputs;
    const float* deltas = changes.deltas;
    for (; count >= 8; count -= 8, inputs += 8, deltas += 8) {
        const std::size_t ahead = count - 8 < 8 ? count - 8 : 8;  // the beginnings of the next rows, which nothing foresees
        for (std::size_t row = 8; row < 8 + ahead; ++row)
            for (std::size_t line = 0; line < 4; ++line)
                __builtin_prefetch(weights + inputs[row] * outputs + first + line * 16);
        add_some_rows<8>(inputs, deltas, weights, outputs, linear, first, last);
    }
    if (count >= 4) {
        add_some_rows<4>(inputs, deltas, weights, outputs, linear, first, last);
        count -= 4, inputs += 4, deltas += 4;
    }
    for (; count; --count, ++inputs, ++deltas) add_some_rows<1>(inputs, deltas, weights, outputs, linear, first, last);
}

void add_rows(const Changes& changes, std::size_t count, const float* weights, std::size_t outputs, float* linear,
              std::size_t first, std::size_t last) {
    constexpr std::size_t kColumns = 1024;
    if (count <= kLongestSum / 2) {
        add_few_rows(changes, count, weights, outputs, linear, first, last);
        return;
    }
    float sums[kColumns];
    for (std::size_t begin = first; begin < last; begin += kColumns) {
        const std::size_t width = last - begin < kColumns ? last - begin : kColumns;
        for (std::size_t done = 0; done < count; done += kLongestSum) {
            const std::size_t some = count - done < kLongestSum ? count - done : kLongestSum;
            std::memset(sums, 0, width * sizeof(float));
            add_few_rows({changes.inputs + done, changes.deltas + done}, some, weights + begin, outputs, sums, 0, width);
            add_few_sums(sums, linear + begin, width);
        }
    }
}

}  // namespace
}  // namespace reuse
