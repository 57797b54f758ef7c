#include "conv.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

namespace reuse {
namespace {

// Nanoseconds on one core, to tell what is worth a thread: the order of magnitude is enough.
constexpr double kQuantize = 0.2, kActivate = 0.2, kLargest = 0.03;
// The same of the loops: a pixel and each segment of it, and a product of a change with each vector of outputs, whose
// weights are near or far. Measured on layers of 1 to 256 channels.
constexpr double kPixel = 14, kSegment = 4, kProduct = 0.12, kVector = 0.26, kFarVector = 0.45, kDepthwise = 0.3;
constexpr std::size_t kNearWeights = 40000;  // bytes of weights that the first cache holds beside all else

constexpr std::size_t kCachedWeights = 1 << 19;  // bytes of weights that pay to go over all rows with, before the next

constexpr std::size_t kSegmentsAtOnce = 64;

constexpr std::size_t kMovedBytes = 1 << 17;  // that are moved between channels first and last at once

std::size_t rows_at_once(std::size_t row_floats) { return std::max<std::size_t>(1, kMovedBytes / (row_floats * sizeof(float))); }

std::size_t up_to(std::size_t value, std::size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

}  // namespace

// What one frame needs beside its state; arrays by input row where nothing else is said.
struct Conv::Working {
    static constexpr std::uint8_t kLists = 1, kSpread = 2;

    Changes changes;           // `row_changes` of room each
    std::uint32_t* offsets;
    std::uint8_t* bits;        // of `row_bits` bytes: which inputs changed
    std::uint32_t* starts;     // and by group
    std::uint32_t* bases;      // and by group: where the changes of the group begin
    std::uint32_t* counts;     // and by group
    std::uint32_t* changed;    // in all groups
    float* spread;             // and by group
    std::int32_t* first;       // changed pixel
    std::int32_t* last;        // changed pixel
    std::uint8_t* wanted;      // as lists, as a spread row
    Row* rows;                 // by output row
    float* largest;            // by output row
    char* own;                 // of this part of the work: rows of x
    char* split;               // of this part of the work: the changes of a row
    std::size_t row_changes, row_bits;

    Changes of_row(std::size_t row) const { return {changes.inputs + row * row_changes, changes.deltas + row * row_changes}; }
};

Conv::Conv(const ConvShape& shape, const float* weights, Quantizer quantizer, Activation activation)
    : shape_(shape), quantizer_(std::move(quantizer)), activation_(activation) {
    quantizer_.repeat(shape.channels, (std::size_t)shape.input[2]);
    depthwise_ = shape.group > 1 && shape.group == shape.channels && shape.group == shape.outputs;
    groups_ = depthwise_ ? 1 : shape.group;
    group_channels_ = shape.channels / groups_;
    group_outputs_ = shape.outputs / groups_;
    weight_channels_ = depthwise_ ? 1 : group_channels_;
    padded_ = up_to(group_outputs_, kernels().lanes);
    taps_ = shape.dilation[2] == 1 ? shape.kernel[2] : 1;
    across_ = (std::size_t)(shape.kernel[2] / taps_);
    const std::int32_t width = shape.input[2], pad = shape.pads[2], kernel = shape.kernel[2], dilation = shape.dilation[2];
    const std::int32_t reach = (shape.output[2] - 1) * shape.stride[2] + (kernel - 1) * dilation + 1;
    spread_pixels_ = (std::size_t)std::max(reach, pad + width);
    const std::size_t block = 4 * kernels().lanes;
    const std::size_t bytes = (std::size_t)shape.kernel[0] * shape.kernel[1] * shape.kernel[2] * weight_channels_ * padded_ * 4;
    block_outputs_ = depthwise_ || bytes <= kCachedWeights ? group_outputs_ : std::min(block, group_outputs_);
    blocks_ = (group_outputs_ + block_outputs_ - 1) / block_outputs_;
    pack(weights);
}

void Conv::pack(const float* weights) {
    const std::size_t taps = (std::size_t)shape_.kernel[0] * shape_.kernel[1] * shape_.kernel[2], inputs = weight_channels_;
    const std::size_t bytes = up_to(groups_ * taps * inputs * padded_ * sizeof(float), 64);
    packed_ = {(float*)std::aligned_alloc(64, bytes), std::free};
    if (!packed_) return;
    std::memset(packed_.get(), 0, bytes);
    for (std::size_t group = 0; group < groups_; ++group)
        for (std::size_t output = 0; output < group_outputs_; ++output)
            for (std::size_t input = 0; input < inputs; ++input)
                for (std::size_t tap = 0; tap < taps; ++tap)
                    packed_[((group * taps + tap) * inputs + input) * padded_ + output] =
                        weights[((group * group_outputs_ + output) * inputs + input) * taps + tap];
}

// Quantizes rows from `row` on, of which `last` is the end; returns the changes.
std::size_t Conv::quantize_rows(const ConvFrame& frame, std::size_t row, std::size_t last, const Working& working,
                                std::size_t& clipped) const {
    const std::size_t width = (std::size_t)shape_.input[2], channels = shape_.channels, count = width * channels;
    const std::size_t pixels = shape_.input_pixels(), rows = pixels / width;
    const bool moves = channels > 1;
    const std::size_t at_once = moves ? rows_at_once(count) : 1;
    std::size_t changed = 0;
    for (; frame.linked && row < last; ++row) changed += quantize_moved(frame, row, working, clipped);
    while (row < last) {
        // Some rows of one image: of each channel they lie side by side.
        const std::size_t some = std::min({at_once, last - row, rows - row % rows});
        const float* x = frame.x + row * count;
        if (moves) {
            const float* from = frame.x + row / rows * channels * pixels + row % rows * width;
            kernels().gather_channels(from, (float*)working.own, some * width, channels, pixels);
            x = (const float*)working.own;
        }
        for (std::size_t number = 0; number < some; ++number)
            changed += quantize_row(frame, x + number * count, row + number, working, clipped);
        row += some;
    }
    return changed;
}

std::size_t Conv::quantize_row(const ConvFrame& frame, const float* x, std::size_t row, const Working& working,
                               std::size_t& clipped) const {
    const std::size_t channels = shape_.channels, count = (std::size_t)shape_.input[2] * channels;
    const Run run{x, (char*)frame.index + row * count * quantizer_.index_bytes(), nullptr, 0, count,
            groups_ == 1 && !depthwise_ ? working.bits + row * working.row_bits : nullptr, frame.clipped ? &clipped : nullptr};
    const std::size_t changed = quantizer_(run, working.of_row(row));
    list_row(row, changed, working);
    return changed;
}

// The same where x is the activation of linear outputs, and some of its pixels alone may have changed: where x is as before,
// so is its index.
std::size_t Conv::quantize_moved(const ConvFrame& frame, std::size_t row, const Working& working, std::size_t& clipped) const {
    const std::size_t channels = shape_.channels, width = (std::size_t)shape_.input[2], count = width * channels;
    const float* linear = frame.x + row * count;
    float* x = (float*)working.own;
    const std::uint8_t* moved = frame.moved ? frame.moved + row * width : nullptr;
    char* index = (char*)frame.index + row * count * quantizer_.index_bytes();
    std::uint8_t* bits = groups_ == 1 && !depthwise_ ? working.bits + row * working.row_bits : nullptr;
    if (bits) std::memset(bits, 0, working.row_bits);
    const Changes changes = working.of_row(row);
    std::size_t changed = 0, done = 0;
    for (std::size_t pixel = 0; pixel < width;) {
        std::size_t end = width;
        if (moved) {
            const void* found = std::memchr(moved + pixel, 1, width - pixel);
            if (!found) break;
            pixel = (std::size_t)((const std::uint8_t*)found - moved);
            const void* still = std::memchr(moved + pixel, 0, width - pixel);
            if (still) end = (std::size_t)((const std::uint8_t*)still - moved);
        }
        // Whole blocks of inputs, so that their bits are whole bytes.
        const std::size_t first = std::max(done, pixel * channels / kBlock * kBlock);
        done = std::min(up_to(end * channels, kBlock), count);
        pixel = end;
        if (first >= done) continue;
        kernels().activate(linear + first, x + first, done - first, frame.before.slope, frame.before.maximum);
        void* own = index + first * quantizer_.index_bytes();
        if (frame.clipped && moved) clipped -= quantizer_.at_ends(own, done - first);
        const Run run{x + first, own, nullptr, 0, done - first, bits ? bits + first / 8 : nullptr,
                      frame.clipped ? &clipped : nullptr, (std::uint32_t)first};
        changed += quantizer_(run, {changes.inputs + changed, changes.deltas + changed});
    }
    list_row(row, changed, working);
    return changed;
}

void Conv::list_row(std::size_t row, std::size_t changed, const Working& working) const {
    const std::size_t channels = shape_.channels;
    working.changed[row] = (std::uint32_t)changed;
    working.wanted[row] = 0;
    if (changed) {
        const std::uint32_t* inputs = working.of_row(row).inputs;
        working.first[row] = (std::int32_t)(inputs[0] / channels);
        working.last[row] = (std::int32_t)(inputs[changed - 1] / channels);
    }
    if (groups_ == 1) {
        working.bases[row] = 0;
        working.counts[row] = (std::uint32_t)changed;
    } else {
        split_groups(row, changed, working);
    }
}

// The changes of a row by group, each in the order of the pixels, inputs counted within the group.
void Conv::split_groups(std::size_t row, std::size_t count, const Working& working) const {
    const std::size_t width = (std::size_t)shape_.input[2];
    const Changes changes = working.of_row(row);
    const Changes before{(std::uint32_t*)working.split, (float*)working.split + count};
    std::memcpy(before.inputs, changes.inputs, count * sizeof(std::uint32_t));
    std::memcpy(before.deltas, changes.deltas, count * sizeof(float));
    std::uint32_t* starts = working.starts + row * groups_ * (width + 1);
    std::memset(starts, 0, groups_ * (width + 1) * sizeof(std::uint32_t));
    for (std::size_t number = 0; number < count; ++number) {
        const std::size_t pixel = before.inputs[number] / shape_.channels, channel = before.inputs[number] % shape_.channels;
        ++starts[channel / group_channels_ * (width + 1) + pixel + 1];
    }
    std::uint32_t base = 0;
    for (std::size_t group = 0; group < groups_; ++group) {
        std::uint32_t* own = starts + group * (width + 1);
        for (std::size_t pixel = 0; pixel < width; ++pixel) own[pixel + 1] += own[pixel];
        working.bases[row * groups_ + group] = base;
        working.counts[row * groups_ + group] = own[width];
        base += own[width];
    }
    // A start moves on as its changes are placed, to that of the next pixel in the end: then all go one pixel back.
    for (std::size_t number = 0; number < count; ++number) {
        const std::size_t pixel = before.inputs[number] / shape_.channels, channel = before.inputs[number] % shape_.channels;
        const std::size_t group = channel / group_channels_;
        const std::size_t place = working.bases[row * groups_ + group] + starts[group * (width + 1) + pixel]++;
        changes.inputs[place] = (std::uint32_t)(pixel * group_channels_ + channel % group_channels_);
        changes.deltas[place] = before.deltas[number];
    }
    for (std::size_t group = 0; group < groups_; ++group) {
        std::uint32_t* own = starts + group * (width + 1);
        std::memmove(own + 1, own, width * sizeof(std::uint32_t));
        own[0] = 0;
    }
}

// Calls visit(input row, number of the row of the kernel) for each input row that an output row reads.
template <typename Visit>
void Conv::for_each_input_row(std::size_t row, Visit visit) const {
    const std::size_t rows = (std::size_t)shape_.output[0] * shape_.output[1], batch = row / rows, place = row % rows;
    const std::int32_t depth = (std::int32_t)(place / (std::size_t)shape_.output[1]);
    const std::int32_t height = (std::int32_t)(place % (std::size_t)shape_.output[1]);
    for (std::int32_t kd = 0; kd < shape_.kernel[0]; ++kd) {
        const std::int32_t d = depth * shape_.stride[0] + kd * shape_.dilation[0] - shape_.pads[0];
        if (d < 0 || d >= shape_.input[0]) continue;
        for (std::int32_t kh = 0; kh < shape_.kernel[1]; ++kh) {
            const std::int32_t h = height * shape_.stride[1] + kh * shape_.dilation[1] - shape_.pads[1];
            if (h < 0 || h >= shape_.input[1]) continue;
            visit((batch * shape_.input[0] + (std::size_t)d) * shape_.input[1] + (std::size_t)h,
                  (std::size_t)(kd * shape_.kernel[1] + kh));
        }
    }
}

// Chooses the pixels and the method of an output row; returns nanoseconds that it may take.
double Conv::plan_row(std::size_t row, const Working& working) const {
    std::int32_t first = shape_.output[2], last = 0;
    std::size_t changes = 0, segments = 0;
    const std::int32_t reach = (shape_.kernel[2] - 1) * shape_.dilation[2], stride = shape_.stride[2];
    for_each_input_row(row, [&](std::size_t from, std::size_t) {
        if (!working.changed[from]) return;
        changes += working.changed[from];
        segments += across_;
        const std::int32_t begin = working.first[from] + shape_.pads[2] - reach;
        first = std::min(first, begin <= 0 ? 0 : (begin + stride - 1) / stride);
        last = std::max(last, (working.last[from] + shape_.pads[2]) / stride + 1);
    });
    last = std::min(last, shape_.output[2]);
    Row& planned = working.rows[row];
    planned = {depthwise_ ? Method::kDepthwise : Method::kSparse, first, std::max(first, last)};
    const double pixels = planned.last - planned.first, width = (double)padded_ / (double)kernels().lanes;
    if (pixels <= 0) return 0;
    const double taps = (double)segments * taps_;
    if (depthwise_) return kDepthwise * pixels * taps * width;
    const double weights = taps * (double)weight_channels_ * (double)padded_ * sizeof(float);
    const double vector = weights <= (double)kNearWeights ? kVector : kFarVector;
    const double sparse = pixels * (double)groups_ * (kPixel + kSegment * (double)segments) +
                          (double)changes * shape_.kernel[2] / stride * (kProduct + vector * width);
    const double dense = pixels * taps * (double)shape_.channels * kernels().dense_vector * width;
    planned.method = sparse < dense ? Method::kSparse : Method::kDense;
    return std::min(sparse, dense);
}

// What the loops want to know of a row's changes.
void Conv::prepare_row(std::size_t row, const Working& working) const {
    const Changes changes = working.of_row(row);
    const std::size_t length = spread_pixels_ * group_channels_;
    if (working.wanted[row] & Working::kLists && groups_ == 1) {
        const std::size_t width = (std::size_t)shape_.input[2];
        kernels().starts(working.bits + row * working.row_bits, shape_.channels, width, working.starts + row * (width + 1));
    }
    if (working.wanted[row] & Working::kLists)
        kernels().offsets(changes.inputs, working.changed[row], (std::uint32_t)padded_, working.offsets + row * working.row_changes);
    if (!(working.wanted[row] & Working::kSpread)) return;
    for (std::size_t group = 0; group < groups_; ++group) {
        const std::size_t list = row * groups_ + group;
        float* spread = working.spread + list * length;
        std::memset(spread, 0, length * sizeof(float));
        spread += (std::size_t)shape_.pads[2] * group_channels_;
        const std::size_t end = working.bases[list] + working.counts[list];
        for (std::size_t number = working.bases[list]; number < end; ++number) spread[changes.inputs[number]] = changes.deltas[number];
    }
}

void Conv::correct_row(const ConvFrame& frame, std::size_t row, std::size_t block, const Working& working) const {
    const Row& planned = working.rows[row];
    if (planned.first >= planned.last) return;
    const std::size_t kernel_rows = (std::size_t)shape_.kernel[0] * shape_.kernel[1];
    const std::size_t row_weights = (std::size_t)shape_.kernel[2] * weight_channels_ * padded_;
    const std::size_t output = block * block_outputs_;
    Segment segments[kSegmentsAtOnce];
    std::int32_t shifts[kSegmentsAtOnce];
    for (std::size_t group = 0; group < groups_; ++group) {
        ConvRow call{};
        call.segments = segments;
        call.shifts = shifts;
        call.taps = taps_;
        call.width = shape_.input[2];
        call.stride = shape_.stride[2];
        call.padding = shape_.pads[2];
        call.channels = (std::uint32_t)group_channels_;
        call.padded = (std::uint32_t)padded_;
        call.outputs = (std::uint32_t)std::min(block_outputs_, group_outputs_ - output);
        call.apart = (std::uint32_t)shape_.outputs;
        call.first = planned.first;
        call.last = planned.last;
        call.linear = frame.linear + row * (std::size_t)shape_.output[2] * shape_.outputs + group * group_outputs_ + output;
        call.touched = frame.touched && !block ? frame.touched + row * (std::size_t)shape_.output[2] : nullptr;
        if (call.touched && planned.method != Method::kSparse)
            std::memset(call.touched + planned.first, 1, (std::size_t)(planned.last - planned.first));
        auto flush = [&] {
            if (!call.segment_count) return;
            switch (planned.method) {
                case Method::kSparse: kernels().conv_sparse(call); break;
                case Method::kDense: kernels().conv_dense(call); break;
                case Method::kDepthwise: kernels().conv_depthwise(call); break;
            }
            call.segment_count = 0;
        };
        for_each_input_row(row, [&](std::size_t from, std::size_t kernel_row) {
            const std::size_t list = from * groups_ + group;
            if (!working.counts[list]) return;
            const std::size_t first = from * working.row_changes + working.bases[list];
            const float* weights = packed_.get() + (group * kernel_rows + kernel_row) * row_weights + output;
            for (std::size_t kw = 0; kw < across_; ++kw) {
                segments[call.segment_count] = {working.changes.deltas + first, working.offsets + first,
                                                working.starts + list * ((std::size_t)shape_.input[2] + 1),
                                                working.spread + list * spread_pixels_ * group_channels_,
                                                weights + kw * (std::size_t)taps_ * weight_channels_ * padded_};
                shifts[call.segment_count++] = (std::int32_t)kw * shape_.dilation[2] - shape_.pads[2];
                if (call.segment_count == kSegmentsAtOnce) flush();
            }
        });
        flush();
    }
}

// y of some rows of one image, and max |linear output|.
void Conv::finish_rows(const ConvFrame& frame, std::size_t row, std::size_t last, const Working& working) const {
    const std::size_t width = (std::size_t)shape_.output[2], pixels = shape_.output_pixels(), rows = pixels / width;
    const std::size_t outputs = shape_.outputs, count = (last - row) * width;
    const float slope = activation_.slope, maximum = activation_.maximum;
    const float* linear = frame.linear + row * width * outputs;
    for (std::size_t one = row; one < last; ++one) {
        float& found = working.largest[one];
        found = 0;
        if (frame.y) continue;
        const Row& planned = working.rows[one];
        const bool known = frame.row_largest && !frame.whole && planned.first >= planned.last;
        found = known ? frame.row_largest[one] : kernels().largest(linear + (one - row) * width * outputs, width * outputs);
        if (frame.row_largest) frame.row_largest[one] = found;
    }
    if (!frame.y) return;
    if (outputs == 1) {
        working.largest[row] = kernels().activate(linear, frame.y + row * width * outputs, count * outputs, slope, maximum);
        return;
    }
    float* y = frame.y + row / rows * outputs * pixels + row % rows * width;
    working.largest[row] = kernels().activate_transposed(linear, y, count, outputs, pixels, slope, maximum);
}

Done Conv::run(const ConvFrame& frame, const Pool& pool, Scratch& scratch) const {
    const std::size_t width = (std::size_t)shape_.input[2], row_inputs = width * shape_.channels;
    const std::size_t input_rows = shape_.batch * (std::size_t)shape_.input[0] * (std::size_t)shape_.input[1];
    const std::size_t output_rows = shape_.batch * (std::size_t)shape_.output[0] * (std::size_t)shape_.output[1];
    const double inputs = (double)input_rows * (double)row_inputs;
    const std::size_t quantizers = parts(input_rows, kQuantize * inputs);
    const std::size_t moved_bytes = up_to(rows_at_once(row_inputs) * row_inputs * sizeof(float), 64);
    const std::size_t own_bytes = moved_bytes + up_to(row_inputs * 2 * sizeof(float), 64);

    Working working{};
    working.row_changes = row_inputs + 16;
    working.row_bits = up_to(row_inputs / 8 + 16, 8);
    Layout layout;
    const std::size_t room = input_rows * working.row_changes * sizeof(float), lists = input_rows * groups_;
    const std::size_t places[] = {layout.add(room),
                                  layout.add(room),
                                  layout.add(room),
                                  layout.add(lists * (width + 1) * sizeof(std::uint32_t)),
                                  layout.add(lists * sizeof(std::uint32_t)),
                                  layout.add(lists * sizeof(std::uint32_t)),
                                  layout.add(input_rows * sizeof(std::uint32_t)),
                                  layout.add(lists * spread_pixels_ * group_channels_ * sizeof(float)),
                                  layout.add(output_rows * sizeof(float)),
                                  layout.add(quantizers * own_bytes),
                                  layout.add(input_rows * sizeof(std::int32_t)),
                                  layout.add(input_rows * sizeof(std::int32_t)),
                                  layout.add(input_rows),
                                  layout.add(output_rows * sizeof(Row)),
                                  layout.add(input_rows * working.row_bits)};
    char* memory = packed_ ? (char*)scratch.take(layout.size()) : nullptr;
    if (!memory) return {false};
    working.changes = {(std::uint32_t*)(memory + places[0]), (float*)(memory + places[1])};
    working.offsets = (std::uint32_t*)(memory + places[2]);
    working.starts = (std::uint32_t*)(memory + places[3]);
    working.bases = (std::uint32_t*)(memory + places[4]);
    working.counts = (std::uint32_t*)(memory + places[5]);
    working.changed = (std::uint32_t*)(memory + places[6]);
    working.spread = (float*)(memory + places[7]);
    working.largest = (float*)(memory + places[8]);
    char* own = memory + places[9];
    working.first = (std::int32_t*)(memory + places[10]);
    working.last = (std::int32_t*)(memory + places[11]);
    working.wanted = (std::uint8_t*)(memory + places[12]);
    working.rows = (Row*)(memory + places[13]);
    working.bits = (std::uint8_t*)(memory + places[14]);

    std::atomic<std::size_t> changed{0}, clipped{0};
    auto quantize = [&](std::size_t part) {
        Working of_part = working;
        of_part.own = own + part * own_bytes;
        of_part.split = of_part.own + moved_bytes;
        std::size_t at_end = 0;
        const std::size_t first = input_rows * part / quantizers, last = input_rows * (part + 1) / quantizers;
        changed += quantize_rows(frame, first, last, of_part, at_end);
        clipped += at_end;
    };
    pool.run(quantizers, quantize);

    Done done;
    done.changed = changed;
    done.clipped = clipped + (frame.moved ? frame.clipped_past : 0);
    if (frame.touched) std::memset(frame.touched, 0, output_rows * (std::size_t)shape_.output[2]);
    double cost = 0;
    std::size_t sparse = 0;
    for (std::size_t row = 0; row < output_rows; ++row) {
        cost += plan_row(row, working);
        const bool lists = working.rows[row].method == Method::kSparse;
        sparse += lists;
        if (working.rows[row].first < working.rows[row].last)
            for_each_input_row(row, [&](std::size_t from, std::size_t) {
                if (working.changed[from]) working.wanted[from] |= lists ? Working::kLists : Working::kSpread;
            });
    }
    done.sparse = 2 * sparse > output_rows;
    if (done.changed) {
        auto prepare = [&](std::size_t part) {
            const std::size_t last = input_rows * (part + 1) / quantizers;
            for (std::size_t row = input_rows * part / quantizers; row < last; ++row) prepare_row(row, working);
        };
        pool.run(quantizers, prepare);
    }
    const double outputs = (double)output_rows * shape_.output[2] * (double)shape_.outputs;
    const bool together = blocks_ == 1;  // correct a row and write it while it is in cache
    const double finish = (frame.y ? kActivate : kLargest) * outputs;
    const std::size_t cut = parts(output_rows, (together ? finish : 0) + cost / (double)blocks_);
    const std::size_t image_rows = (std::size_t)shape_.output[0] * (std::size_t)shape_.output[1];
    const std::size_t at_once = rows_at_once((std::size_t)shape_.output[2] * shape_.outputs);
    auto some_rows = [&](std::size_t row, std::size_t last) {
        return std::min({row + at_once, last, row - row % image_rows + image_rows});
    };
    auto correct = [&](std::size_t number) {
        const std::size_t part = number % cut, last = output_rows * (part + 1) / cut;
        for (std::size_t row = output_rows * part / cut; row < last;) {
            const std::size_t end = some_rows(row, last);
            for (std::size_t one = row; one < end; ++one) correct_row(frame, one, number / cut, working);
            if (together) finish_rows(frame, row, end, working);
            row = end;
        }
    };
    if (done.changed || together) pool.run(cut * blocks_, correct);
    if (!together) {
        const std::size_t writers = parts(output_rows, finish);
        auto write = [&](std::size_t part) {
            const std::size_t last = output_rows * (part + 1) / writers;
            for (std::size_t row = output_rows * part / writers; row < last;) {
                const std::size_t end = some_rows(row, last);
                finish_rows(frame, row, end, working);
                row = end;
            }
        };
        pool.run(writers, write);
    }
    for (std::size_t row = 0; row < output_rows; ++row) done.largest = std::max(done.largest, working.largest[row]);
    return done;
}

}  // namespace reuse
