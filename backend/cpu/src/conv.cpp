#include "conv.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace reuse {
namespace {

// Nanoseconds on one core, to tell what is worth a thread: the order of magnitude is enough.
constexpr double kQuantize = 0.25, kProduct = 0.03, kActivate = 0.2;

constexpr std::size_t kSegmentsAtOnce = 64;

std::size_t up_to(std::size_t value, std::size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// The share of changed inputs above which the dense loop is faster; the sparse one suffers where outputs fill few lanes.
double crossover(std::size_t outputs, std::size_t lanes) { return outputs > 2 * lanes ? 0.6 : outputs > lanes ? 0.5 : 0.35; }

}  // namespace

// What one frame needs beside its state.
struct Conv::Working {
    Entry* entries;            // by input row, each with `row_entries` of room
    std::uint32_t* starts;     // by input row and group
    std::uint32_t* bases;      // by input row and group: where the entries of the group begin
    std::uint32_t* counts;     // by input row
    float* deltas;             // by input row and group
    float* largest;            // by output row
    char* own;                 // by part: a row of x, or entries before they are split
    std::size_t row_entries, own_bytes;
    std::size_t input_rows, output_rows;
    bool dense;
};

Conv::Conv(const ConvShape& shape, const float* weights, Quantizer quantizer, Activation activation)
    : shape_(shape), quantizer_(std::move(quantizer)), activation_(activation) {
    quantizer_.repeat(shape.channels, (std::size_t)shape.input[2]);
    depthwise_ = shape.group > 1 && shape.group == shape.channels && shape.group == shape.outputs;
    group_channels_ = depthwise_ ? shape.channels : shape.channels / shape.group;
    group_outputs_ = depthwise_ ? shape.outputs : shape.outputs / shape.group;
    padded_ = up_to(group_outputs_, kernels().lanes);
    taps_ = shape.dilation[2] == 1 ? shape.kernel[2] : 1;
    segments_ = (std::size_t)shape.kernel[0] * shape.kernel[1] * (shape.kernel[2] / taps_);
    const std::int32_t reach = (shape.output[2] - 1) * shape.stride[2] + (shape.kernel[2] - 1) * shape.dilation[2] + 1;
    delta_pixels_ = (std::size_t)std::max(reach, shape.pads[2] + shape.input[2]);
    pack(weights);
}

void Conv::pack(const float* weights) {
    const std::size_t groups = depthwise_ ? 1 : shape_.group;
    const std::size_t inputs = depthwise_ ? 1 : group_channels_;  // channels of W
    const std::size_t taps = (std::size_t)shape_.kernel[0] * shape_.kernel[1] * shape_.kernel[2];
    packed_.assign(groups * taps * inputs * padded_, 0.0f);
    for (std::size_t group = 0; group < groups; ++group)
        for (std::size_t output = 0; output < group_outputs_; ++output)
            for (std::size_t input = 0; input < inputs; ++input)
                for (std::size_t tap = 0; tap < taps; ++tap)
                    packed_[((group * taps + tap) * inputs + input) * padded_ + output] =
                        weights[((group * group_outputs_ + output) * inputs + input) * taps + tap];
}

std::size_t Conv::quantize_row(const ConvFrame& frame, std::size_t row, const Working& working) const {
    const std::size_t width = (std::size_t)shape_.input[2], channels = shape_.channels, count = width * channels;
    const bool plain = shape_.group == 1;
    const float* x = frame.x + row * count;
    if (frame.x_order == Order::kChannelsFirst && channels > 1) {
        const std::size_t pixels = shape_.input_pixels(), rows = pixels / width;
        const float* from = frame.x + row / rows * channels * pixels + row % rows * width;
        kernels().gather_channels(from, (float*)working.own, width, channels, pixels);
        x = (const float*)working.own;
    }
    Run run{x, (char*)frame.index + row * count * quantizer_.index_bytes(), nullptr, 0, count, 1, 0, nullptr};
    if (plain) {
        run.scale = (std::uint32_t)padded_;
        run.pixel = (std::uint32_t)channels;
        run.starts = working.starts + row * (width + 1);
    }
    const std::size_t changed = quantizer_(run, working.entries + row * working.row_entries);
    working.counts[row] = (std::uint32_t)changed;
    if (plain)
        working.bases[row] = 0;
    else if (!depthwise_ && changed)
        split_groups(row, changed, working);
    return changed;
}

// Entries of a row by group, each in the order of the pixels.
void Conv::split_groups(std::size_t row, std::size_t count, const Working& working) const {
    const std::size_t groups = shape_.group, width = (std::size_t)shape_.input[2];
    Entry* entries = working.entries + row * working.row_entries;
    Entry* before = (Entry*)working.own;
    std::memcpy(before, entries, count * sizeof(Entry));
    std::uint32_t* starts = working.starts + row * groups * (width + 1);
    std::uint32_t* bases = working.bases + row * groups;
    std::memset(starts, 0, groups * (width + 1) * sizeof(std::uint32_t));
    for (std::size_t number = 0; number < count; ++number) {
        const std::size_t pixel = before[number].offset / shape_.channels, channel = before[number].offset % shape_.channels;
        ++starts[channel / group_channels_ * (width + 1) + pixel + 1];
    }
    std::uint32_t base = 0;
    for (std::size_t group = 0; group < groups; ++group) {
        std::uint32_t* own = starts + group * (width + 1);
        for (std::size_t pixel = 0; pixel < width; ++pixel) own[pixel + 1] += own[pixel];
        bases[group] = base;
        base += own[width];
    }
    // Starts move on as entries are placed, and are those of the pixel after at the end: one place further back.
    for (std::size_t number = 0; number < count; ++number) {
        const std::size_t pixel = before[number].offset / shape_.channels, channel = before[number].offset % shape_.channels;
        const std::size_t group = channel / group_channels_;
        const std::size_t input = pixel * group_channels_ + channel % group_channels_;
        entries[bases[group] + starts[group * (width + 1) + pixel]++] = {(std::uint32_t)(input * padded_), before[number].delta};
    }
    for (std::size_t group = 0; group < groups; ++group) {
        std::uint32_t* own = starts + group * (width + 1);
        for (std::size_t pixel = width; pixel > 0; --pixel) own[pixel] = own[pixel - 1];
        own[0] = 0;
    }
}

// The changes of a row as an array with zeros where nothing changed, and in the padding.
void Conv::spread(std::size_t row, const Working& working) const {
    if (!working.counts[row]) return;
    const std::size_t groups = depthwise_ ? 1 : shape_.group, length = delta_pixels_ * group_channels_;
    const std::size_t width = (std::size_t)shape_.input[2];
    float* deltas = working.deltas + row * groups * length;
    std::memset(deltas, 0, groups * length * sizeof(float));
    const Entry* entries = working.entries + row * working.row_entries;
    // Offsets are multiples of the padded outputs: an exact division by multiplication.
    const std::uint64_t inverse = depthwise_ ? 1ull << 32 : ((1ull << 32) + padded_ - 1) / padded_;
    for (std::size_t group = 0; group < groups; ++group) {
        float* own = deltas + group * length + (std::size_t)shape_.pads[2] * group_channels_;
        const std::size_t first = groups > 1 ? working.bases[row * groups + group] : 0;
        const std::size_t count = groups > 1 ? working.starts[(row * groups + group) * (width + 1) + width] : working.counts[row];
        for (std::size_t number = first; number < first + count; ++number)
            own[entries[number].offset * inverse >> 32] = entries[number].delta;
    }
}

float Conv::output_row(const ConvFrame& frame, std::size_t row, const Working& working) const {
    const std::size_t width = (std::size_t)shape_.output[2], pixels = shape_.output_pixels(), rows = pixels / width;
    const std::size_t batch = row / rows, place = row % rows;
    const std::int32_t depth = (std::int32_t)(place / (std::size_t)shape_.output[1]);
    const std::int32_t height = (std::int32_t)(place % (std::size_t)shape_.output[1]);
    const std::size_t groups = depthwise_ ? 1 : shape_.group;
    const std::size_t segment_weights = (std::size_t)taps_ * (depthwise_ ? 1 : group_channels_) * padded_;
    const std::size_t delta_length = delta_pixels_ * group_channels_, input_width = (std::size_t)shape_.input[2];
    float* linear = frame.linear + row * width * shape_.outputs;

    Segment segments[kSegmentsAtOnce];
    std::int32_t shifts[kSegmentsAtOnce];
    for (std::size_t group = 0; group < groups; ++group) {
        ConvRow call{segments,
                     shifts,
                     0,
                     taps_,
                     shape_.input[2],
                     shape_.stride[2],
                     shape_.pads[2],
                     (std::uint32_t)group_channels_,
                     (std::uint32_t)padded_,
                     (std::uint32_t)group_outputs_,
                     (std::uint32_t)shape_.outputs,
                     0,
                     shape_.output[2],
                     linear + group * group_outputs_};
        auto flush = [&] {
            if (!call.segment_count) return;
            if (depthwise_)
                kernels().conv_depthwise(call);
            else
                (working.dense ? kernels().conv_dense : kernels().conv_sparse)(call);
            call.segment_count = 0;
        };
        for (std::int32_t kd = 0; kd < shape_.kernel[0]; ++kd) {
            const std::int32_t d = depth * shape_.stride[0] + kd * shape_.dilation[0] - shape_.pads[0];
            if (d < 0 || d >= shape_.input[0]) continue;
            for (std::int32_t kh = 0; kh < shape_.kernel[1]; ++kh) {
                const std::int32_t h = height * shape_.stride[1] + kh * shape_.dilation[1] - shape_.pads[1];
                if (h < 0 || h >= shape_.input[1]) continue;
                const std::size_t from = (batch * shape_.input[0] + d) * shape_.input[1] + h;
                if (!working.counts[from]) continue;
                const std::int32_t across = shape_.kernel[2] / taps_;
                for (std::int32_t kw = 0; kw < across; ++kw) {
                    const std::size_t number = (std::size_t)((kd * shape_.kernel[1] + kh) * across + kw);
                    const std::size_t list = from * groups + group;
                    segments[call.segment_count] = {
                        working.entries + from * working.row_entries + (depthwise_ ? 0 : working.bases[list]),
                        working.starts + list * (input_width + 1),
                        working.deltas + list * delta_length,
                        packed_.data() + (group * segments_ + number) * segment_weights,
                    };
                    shifts[call.segment_count++] = kw * shape_.dilation[2] - shape_.pads[2];
                    if (call.segment_count == kSegmentsAtOnce) flush();
                }
            }
        }
        flush();
    }
    const float slope = activation_.slope, maximum = activation_.maximum;
    if (frame.y_order == Order::kChannelsLast || shape_.outputs == 1)
        return kernels().activate(linear, frame.y + row * width * shape_.outputs, width * shape_.outputs, slope, maximum);
    float* y = frame.y + batch * shape_.outputs * pixels + place * width;
    return kernels().activate_transposed(linear, y, width, shape_.outputs, pixels, slope, maximum);
}

Done Conv::run(const ConvFrame& frame, const Pool& pool, Scratch& scratch) const {
    const std::size_t groups = depthwise_ ? 1 : shape_.group, width = (std::size_t)shape_.input[2];
    const std::size_t row_inputs = width * shape_.channels;
    Working working{};
    working.input_rows = shape_.batch * shape_.input[0] * shape_.input[1];
    working.output_rows = shape_.batch * shape_.output[0] * shape_.output[1];
    working.row_entries = row_inputs + 16;
    working.own_bytes = up_to(row_inputs * std::max(sizeof(float), sizeof(Entry)), 64);
    const double inputs = (double)working.input_rows * (double)row_inputs;
    const std::size_t quantizers = parts(working.input_rows, kQuantize * inputs);

    Layout layout;
    const std::size_t entries = layout.add(working.input_rows * working.row_entries * sizeof(Entry));
    const std::size_t starts = layout.add(working.input_rows * groups * (width + 1) * sizeof(std::uint32_t));
    const std::size_t bases = layout.add(working.input_rows * groups * sizeof(std::uint32_t));
    const std::size_t counts = layout.add(working.input_rows * sizeof(std::uint32_t));
    const std::size_t deltas = layout.add(working.input_rows * groups * delta_pixels_ * group_channels_ * sizeof(float));
    const std::size_t largest = layout.add(working.output_rows * sizeof(float));
    const std::size_t own = layout.add(quantizers * working.own_bytes);
    char* memory = (char*)scratch.take(layout.size());
    if (!memory) return {false};
    working.entries = (Entry*)(memory + entries);
    working.starts = (std::uint32_t*)(memory + starts);
    working.bases = (std::uint32_t*)(memory + bases);
    working.counts = (std::uint32_t*)(memory + counts);
    working.deltas = (float*)(memory + deltas);
    working.largest = (float*)(memory + largest);

    std::atomic<std::size_t> changed{0};
    auto quantize = [&](std::size_t part) {
        Working of_part = working;
        of_part.own = memory + own + part * working.own_bytes;
        std::size_t count = 0;
        const std::size_t last = working.input_rows * (part + 1) / quantizers;
        for (std::size_t row = working.input_rows * part / quantizers; row < last; ++row)
            count += quantize_row(frame, row, of_part);
        changed += count;
    };
    pool.run(quantizers, quantize);

    const double share = inputs ? (double)changed / inputs : 0;
    working.dense = share > crossover(group_outputs_, kernels().lanes);
    if (working.dense || depthwise_) {
        auto spreading = [&](std::size_t part) {
            const std::size_t last = working.input_rows * (part + 1) / quantizers;
            for (std::size_t row = working.input_rows * part / quantizers; row < last; ++row) spread(row, working);
        };
        pool.run(quantizers, spreading);
    }

    const double outputs = (double)working.output_rows * shape_.output[2] * (double)shape_.outputs;
    const double products = outputs * (double)segments_ * taps_ * (depthwise_ ? 1.0 : (double)group_channels_);
    const std::size_t cut =
        parts(working.output_rows, kActivate * outputs + kProduct * products * (working.dense || depthwise_ ? 1.0 : share));
    auto correct = [&](std::size_t part) {
        const std::size_t last = working.output_rows * (part + 1) / cut;
        for (std::size_t row = working.output_rows * part / cut; row < last; ++row)
            working.largest[row] = output_row(frame, row, working);
    };
    pool.run(cut, correct);
    Done done;
    done.changed = changed;
    for (std::size_t row = 0; row < working.output_rows; ++row) done.largest = std::max(done.largest, working.largest[row]);
    return done;
}

}  // namespace reuse
