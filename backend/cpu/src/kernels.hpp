// The inner loops, compiled once for each instruction set; what is here is plain data that all of them share.
#pragma once

#include <cstddef>
#include <cstdint>

namespace reuse {

// A changed input: where its weights begin (in floats, from the first of its row of inputs), and c(present) - c(past).
struct Entry {
    std::uint32_t offset;
    float delta;
};

// A quantizer as reuse_compiler/quantizers.py defines it; a table where `centroids` is set, else linear.
struct Scale {
    float step, inv_step, zero, top;
    const float* centroids;
    const float* boundaries;
    std::size_t boundary_count;
};

// Some consecutive inputs that are quantized, compared with their past indices, and compacted.
struct Run {
    const float* x;
    void* index;            // uint8 or uint16: past indices, and then the present ones
    const float* deadband;  // one an input, negative where the past index is not consulted; null: `deadband_all`
    float deadband_all;
    std::size_t count;
    std::uint32_t scale;   // floats of weights an input
    std::uint32_t pixel;   // inputs a pixel; 0 where no starts are wanted
    std::uint32_t* starts;  // count / pixel + 1 of them: entries before each pixel
};

// Some outputs in a row of a CONV that take their inputs from one row.
struct Segment {
    const Entry* entries;         // of the row
    const std::uint32_t* starts;  // by pixel of the row
    const float* deltas;          // of the row with its padding, by pixel and channel; for the dense loop
    const float* weights;         // [taps, channels, padded outputs]
};

struct ConvRow {
    const Segment* segments;
    const std::int32_t* shifts;  // of each segment: the pixel of its first tap for output 0, below 0 in the padding
    std::size_t segment_count;
    std::int32_t taps;      // pixels of a segment, side by side
    std::int32_t width;     // pixels of an input row
    std::int32_t stride;
    std::int32_t padding;   // pixels of zeros before each row of `deltas`
    std::uint32_t channels;
    std::uint32_t padded;   // outputs with padding to whole vectors, floats of weights an input
    std::uint32_t outputs;
    std::uint32_t apart;       // floats from a pixel of `linear` to the next
    std::int32_t first, last;  // output pixels
    float* linear;             // of the row: [pixels, outputs]
};

struct Kernels {
    const char* name;
    std::size_t lanes;  // floats of a vector, to which outputs are padded

    std::size_t (*quantize_uint8)(const Scale&, const Run&, Entry*);
    std::size_t (*quantize_uint16)(const Scale&, const Run&, Entry*);
    // linear[first..last) += sum of delta * weights[offset + output], row-major weights.
    void (*add_rows)(const Entry*, std::size_t count, const float* weights, float* linear, std::size_t first,
                     std::size_t last);
    void (*conv_sparse)(const ConvRow&);
    void (*conv_dense)(const ConvRow&);
    // A CONV with one input and one output channel a group: weights [taps, channels], all segments of one tap.
    void (*conv_depthwise)(const ConvRow&);
    // y = min(max(z, z * slope), maximum); returns max |z|.
    float (*activate)(const float* z, float* y, std::size_t count, float slope, float maximum);
    // The same for z [pixels, channels] into y [channels, row of `stride`].
    float (*activate_transposed)(const float* z, float* y, std::size_t pixels, std::size_t channels, std::size_t stride,
                                 float slope, float maximum);
    // x [channels, row of `stride`] into y [pixels, channels].
    void (*gather_channels)(const float* x, float* y, std::size_t pixels, std::size_t channels, std::size_t stride);
};

extern const Kernels kBaselineKernels;
#ifdef REUSE_X86
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
#endif

// The best set that this machine has, or the one that the environment variable REUSE_KERNELS names ("baseline", "avx2",
// "avx512"); chosen once.
const Kernels& kernels();

}  // namespace reuse
