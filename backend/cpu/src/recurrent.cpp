#include "recurrent.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "scratch.hpp"

namespace reuse {
namespace {

// Nanoseconds on one core, to tell what is worth a thread: the order of magnitude is enough.
constexpr double kQuantize = 0.25, kProduct = 0.03, kCell = 3;
constexpr double kUsuallyChanged = 0.2;  // of the operands of a step; what did is not known before
constexpr std::size_t kColumns = 1024;   // fewer are not worth a thread

// What the steps of one row need beside its state.
struct Working {
    Changes changes;
    float* reset;
    std::array<std::size_t, 3> changed, clipped;  // by operand: in all steps, and in the last one
};

// Quantizes operand `number` of a row and corrects its linear output, which it returns.
const float* product(const RecurrentFrame& frame, std::size_t number, const float* values, std::size_t row, Working& working,
                     const Pool& pool) {
    const Operand& operand = frame.operands[number];
    const Changes& changes = working.changes;
    const std::size_t outputs = operand.outputs;
    char* index = (char*)operand.index + row * operand.inputs * operand.quantizer->index_bytes();
    working.clipped[number] = 0;
    const std::size_t count = (*operand.quantizer)({values, index, nullptr, 0, operand.inputs, nullptr,
                                                    operand.clipped ? &working.clipped[number] : nullptr},
                                                   changes);
    working.changed[number] += count;
    float* linear = operand.linear + row * outputs;
    const std::size_t cut = std::min(parts(outputs, kProduct * (double)count * (double)outputs), outputs / kColumns + 1);
    const std::size_t columns = ((outputs + cut - 1) / cut + 63) / 64 * 64;
    auto part = [&](std::size_t place) {
        const std::size_t first = place * columns, last = std::min(first + columns, outputs);
        if (first < last) kernels().add_rows(changes, count, operand.weights, outputs, linear, first, last);
    };
    pool.run(cut, part);
    return linear;
}

void advance(const Recurrent& layer, const RecurrentFrame& frame, std::size_t time, std::size_t row, Working& working,
             const Pool& pool) {
    const auto multiply = [&](std::size_t number, const float* values) {
        return product(frame, number, values, row, working, pool);
    };
    CellStep step{};
    step.h = frame.h + row * frame.cells;
    step.c = frame.c ? frame.c + row * frame.cells : nullptr;
    step.peepholes = frame.peepholes;
    step.reset = working.reset;
    step.cells = frame.cells;
    step.clip = layer.clip;
    step.input_forget = layer.input_forget;
    std::copy(layer.activations.begin(), layer.activations.end(), step.activations);
    step.of_x = multiply(0, frame.x + (time * frame.rows + row) * frame.operands[0].inputs);
    step.of_h = multiply(1, step.h);
    switch (layer.kind) {
        case CellKind::kLstm: kernels().lstm_cells(step); break;
        case CellKind::kRnn: kernels().rnn_cells(step); break;
        case CellKind::kGru: kernels().gru_cells(step); break;
        case CellKind::kGruResetFirst:
            kernels().gru_reset(step);
            step.of_r = multiply(2, step.reset);
            kernels().gru_cells_reset(step);
    }
}

void run_row(const Recurrent& layer, const RecurrentFrame& frame, std::size_t row, Working& working, const Pool& pool,
             std::array<std::size_t, 3>& clipped) {
    working.clipped = {};
    for (std::size_t number = 0; number < frame.steps; ++number) {
        const std::size_t time = layer.reverse ? frame.steps - 1 - number : number;
        const bool active = (std::int64_t)time < frame.lengths[row];
        if (active) advance(layer, frame, time, row, working, pool);
        float* y = frame.y + (time * frame.rows + row) * frame.cells;
        if (active)
            std::memcpy(y, frame.h + row * frame.cells, frame.cells * sizeof(float));
        else
            std::memset(y, 0, frame.cells * sizeof(float));
        for (std::size_t operand = 0; operand < layer.operands(); ++operand) {
            const Operand& own = frame.operands[operand];
            const std::size_t bytes = own.inputs * own.quantizer->index_bytes();
            std::memcpy((char*)own.steps + (time * frame.rows + row) * bytes, (char*)own.index + row * bytes, bytes);
            clipped[operand] += working.clipped[operand];
        }
    }
}

// Nanoseconds of all rows.
double estimate(const Recurrent& layer, const RecurrentFrame& frame) {
    double step = kCell * (double)frame.cells;
    for (std::size_t number = 0; number < layer.operands(); ++number) {
        const Operand& own = frame.operands[number];
        step += (double)own.inputs * (kQuantize + kProduct * kUsuallyChanged * (double)own.outputs);
    }
    return step * (double)frame.steps * (double)frame.rows;
}

// The largest magnitude; of float32 without the sign, the order is that of their bits.
float largest(const float* values, std::size_t count) {
    std::int32_t top = 0;
    for (std::size_t number = 0; number < count; ++number) {
        std::int32_t bits;
        std::memcpy(&bits, values + number, sizeof bits);
        top = std::max(top, bits & INT32_MAX);
    }
    float found;
    std::memcpy(&found, &top, sizeof found);
    return found;
}

}  // namespace

std::size_t Recurrent::gates() const { return kind == CellKind::kLstm ? 4 : kind == CellKind::kRnn ? 1 : 3; }

std::size_t Recurrent::gates(std::size_t number) const {
    if (kind == CellKind::kGruResetFirst && number) return number == 1 ? 2 : 1;
    return gates();
}

std::array<Done, 3> run(const Recurrent& layer, const RecurrentFrame& frame, const Pool& pool) {
    const std::size_t widest = std::max(frame.operands[0].inputs, frame.cells);
    const std::size_t cut = parts(frame.rows, estimate(layer, frame));
    const Pool alone, &inner = cut > 1 ? alone : pool;
    std::atomic<bool> ok{true};
    std::array<std::atomic<std::size_t>, 3> changed{}, clipped{};
    auto part = [&](std::size_t number) {
        thread_local Scratch scratch;
        Layout layout;
        const std::size_t inputs = layout.add((widest + 16) * sizeof(std::uint32_t));
        const std::size_t deltas = layout.add((widest + 16) * sizeof(float));
        const std::size_t reset = layout.add(frame.cells * sizeof(float));
        char* memory = (char*)scratch.take(layout.size());
        if (!memory) {
            ok = false;
            return;
        }
        Working working{{(std::uint32_t*)(memory + inputs), (float*)(memory + deltas)}, (float*)(memory + reset), {}, {}};
        std::array<std::size_t, 3> at_end{};
        const std::size_t last = frame.rows * (number + 1) / cut;
        for (std::size_t row = frame.rows * number / cut; row < last; ++row) run_row(layer, frame, row, working, inner, at_end);
        for (std::size_t operand = 0; operand < layer.operands(); ++operand) {
            changed[operand] += working.changed[operand];
            clipped[operand] += at_end[operand];
        }
    };
    pool.run(cut, part);
    std::array<Done, 3> done;
    for (std::size_t operand = 0; operand < layer.operands(); ++operand) {
        done[operand].ok = ok;
        done[operand].changed = changed[operand];
        done[operand].clipped = clipped[operand];
        const Operand& own = frame.operands[operand];
        if (own.largest) done[operand].largest = largest(own.linear, frame.rows * own.outputs);
    }
    return done;
}

}  // namespace reuse
