// The inner loops, compiled once for each instruction set; what is here is plain data that all of them share.
#pragma once

#include <cstddef>
#include <cstdint>

namespace reuse {

// Inputs of a run that are quantized together.
constexpr std::size_t kBlock = 16;

// Changed inputs of a run, in order: which ones, and c(present) - c(past) of each.
struct Changes {
    std::uint32_t* inputs;
    float* deltas;
};

// A quantizer as reuse_compiler/quantizers.py defines it; a table where `centroids` is set, else linear.
struct Scale {
    float step, inv_step, zero, top;
    const float* centroids;
    const float* boundaries;
    std::size_t boundary_count;
    std::int32_t low_end, high_end;  // the indices at the ends of the range, -1 where an end is 0.0 itself
    float still;                     // a little less than half a step: an element that is nearer to its centroid rounds to it
};

// Some consecutive inputs that are quantized, compared with their past indices, and compacted.
struct Run {
    const float* x;
    void* index;            // uint8 or uint16: past indices, and then the present ones
    const float* deadband;  // one an input, negative where the past index is not consulted; null: `deadband_all`
    float deadband_all;
    std::size_t count;
    std::uint8_t* bits = nullptr;     // null where nobody asks: a bit an input, set where it changed; 16 bytes more than needed
    std::size_t* clipped = nullptr;  // null where nobody asks: to which inputs at an end of the range are added
    std::uint32_t first = 0;         // number of the first of them in the list of changes
};

// Some inputs of one row, and the weights that outputs of one row take them by.
struct Segment {
    const float* deltas;           // of the changes
    const std::uint32_t* offsets;  // of the changes: where their weights begin, counted from pixel 0 of the row
    const std::uint32_t* starts;   // by pixel of the row: changes before it
    const float* spread;           // the row with its padding, zeros where nothing changed; for the dense loop
    const float* weights;          // [taps, channels, padded outputs]
};

struct ConvRow {
    const Segment* segments;
    const std::int32_t* shifts;  // of each segment: the pixel of its first tap for output 0, below 0 in the padding
    std::size_t segment_count;
    std::int32_t taps;      // pixels of a segment, side by side
    std::int32_t width;     // pixels of an input row
    std::int32_t stride;
    std::int32_t padding;   // pixels of zeros before each row of `spread`
    std::uint32_t channels;
    std::uint32_t padded;   // outputs with padding to whole vectors, floats of weights an input
    std::uint32_t outputs;
    std::uint32_t apart;    // floats from a pixel of `linear` to the next
    std::int32_t first, last;  // pixels of the output row that take a change
    float* linear;             // of the row: [pixels, outputs]
    std::uint8_t* touched;     // null where nobody asks: a byte a pixel of the row, set where it takes a change
};

// A quantizer of a trial; low and high are its first and last centroid in steps from zero.
struct TrialScale {
    float step, inv_step, low, high;
};

// Some consecutive elements of a trial. What is held of each is a centroid, in steps from zero.
struct TrialRun {
    const float* x;
    const float* past;      // what was held
    const float* deadband;  // one an element; null: `deadband_all`
    float deadband_all;
    std::size_t count;
    float* value;  // the centroids
    float* held;
};

// Of recurrent_step.hpp.
struct CellStep;

struct Kernels {
    const char* name;
    std::size_t lanes;    // floats of a vector, to which outputs are padded
    double dense_vector;  // nanoseconds that conv_dense takes for a product with a vector of outputs

    // Changes have room for the run and 16 more; returns how many there are.
    std::size_t (*quantize_uint8)(const Scale&, const Run&, const Changes&);
    std::size_t (*quantize_uint16)(const Scale&, const Run&, const Changes&);
    // linear[first..last) += sum of delta * weights[input], rows of `outputs` weights.
    void (*add_rows)(const Changes&, std::size_t count, const float* weights, std::size_t outputs, float* linear,
                     std::size_t first, std::size_t last);
    // From the bits of a run, the changes before each of its pixels, and of all.
    void (*starts)(const std::uint8_t* bits, std::size_t channels, std::size_t pixels, std::uint32_t* starts);
    // offsets[number] = inputs[number] * weights
    void (*offsets)(const std::uint32_t* inputs, std::size_t count, std::uint32_t weights, std::uint32_t* offsets);
    // Loops that add the corrections of an output row to its linear outputs.
    void (*conv_sparse)(const ConvRow&);
    void (*conv_dense)(const ConvRow&);
    // A CONV with one input and one output channel a group: weights [taps, channels], all segments of one tap.
    void (*conv_depthwise)(const ConvRow&);
    // y = min(max(z, z * slope), maximum); returns max |z|.
    float (*activate)(const float* z, float* y, std::size_t count, float slope, float maximum);
    // max |z|.
    float (*largest)(const float* z, std::size_t count);
    // The same for z [pixels, channels] into y [channels, row of `stride`].
    float (*activate_transposed)(const float* z, float* y, std::size_t pixels, std::size_t channels, std::size_t stride,
                                 float slope, float maximum);
    // x [channels, row of `stride`] into y [pixels, channels].
    void (*gather_channels)(const float* x, float* y, std::size_t pixels, std::size_t channels, std::size_t stride);
    // From linear outputs to the state of recurrent layers.
    void (*lstm_cells)(const CellStep&);
    void (*rnn_cells)(const CellStep&);
    void (*gru_cells)(const CellStep&);
    // A GRU that resets first, in two parts: `reset`, and after its product the state.
    void (*gru_reset)(const CellStep&);
    void (*gru_cells_reset)(const CellStep&);
    // Lets elements that are farther from their centroid than the deadband go to the nearest one; returns how many changed.
    std::size_t (*trial)(const TrialScale&, const TrialRun&);
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
