// ReuseLSTM, ReuseGRU, ReuseGRUResetFirst and ReuseRNN.
#include <array>

#include "attributes.hpp"
#include "recurrent.hpp"
#include "watch.hpp"

namespace reuse {
namespace {

// An operator by name: what its cells are, and the activations of its gates.
struct Named {
    const char* name;
    CellKind kind;
    bool input_forget;
    std::array<GateKind, 3> activations;
};

constexpr GateKind kSigmoid = GateKind::kSigmoid, kTanh = GateKind::kTanh, kRelu = GateKind::kRelu;
constexpr GateKind kHard = GateKind::kHardSigmoid;

// Layers of other activations run on their function bodies.
constexpr Named kNamed[] = {
    {"ReuseLSTM", CellKind::kLstm, false, {kSigmoid, kTanh, kTanh}},
    {"ReuseLSTM_InputForget", CellKind::kLstm, true, {kSigmoid, kTanh, kTanh}},
    {"ReuseLSTM_HardSigmoid_Tanh_Tanh", CellKind::kLstm, false, {kHard, kTanh, kTanh}},
    {"ReuseLSTM_Sigmoid_Relu_Relu", CellKind::kLstm, false, {kSigmoid, kRelu, kRelu}},
    {"ReuseLSTM_HardSigmoid_Relu_Relu", CellKind::kLstm, false, {kHard, kRelu, kRelu}},
    {"ReuseLSTM_HardSigmoid_Tanh_Tanh_InputForget", CellKind::kLstm, true, {kHard, kTanh, kTanh}},
    {"ReuseLSTM_Sigmoid_Relu_Relu_InputForget", CellKind::kLstm, true, {kSigmoid, kRelu, kRelu}},
    {"ReuseLSTM_HardSigmoid_Relu_Relu_InputForget", CellKind::kLstm, true, {kHard, kRelu, kRelu}},
    {"ReuseGRU", CellKind::kGru, false, {kSigmoid, kTanh, kTanh}},
    {"ReuseGRU_HardSigmoid_Tanh", CellKind::kGru, false, {kHard, kTanh, kTanh}},
    {"ReuseGRU_Sigmoid_Relu", CellKind::kGru, false, {kSigmoid, kRelu, kTanh}},
    {"ReuseGRU_HardSigmoid_Relu", CellKind::kGru, false, {kHard, kRelu, kTanh}},
    {"ReuseGRUResetFirst", CellKind::kGruResetFirst, false, {kSigmoid, kTanh, kTanh}},
    {"ReuseGRUResetFirst_HardSigmoid_Tanh", CellKind::kGruResetFirst, false, {kHard, kTanh, kTanh}},
    {"ReuseGRUResetFirst_Sigmoid_Relu", CellKind::kGruResetFirst, false, {kSigmoid, kRelu, kTanh}},
    {"ReuseGRUResetFirst_HardSigmoid_Relu", CellKind::kGruResetFirst, false, {kHard, kRelu, kTanh}},
    {"ReuseRNN", CellKind::kRnn, false, {kTanh, kTanh, kTanh}},
    {"ReuseRNN_Relu", CellKind::kRnn, false, {kRelu, kTanh, kTanh}},
    {"ReuseRNN_Sigmoid", CellKind::kRnn, false, {kSigmoid, kTanh, kTanh}},
    {"ReuseRNN_HardSigmoid", CellKind::kRnn, false, {kHard, kTanh, kTanh}},
};

std::size_t activation_count(CellKind kind) { return kind == CellKind::kLstm ? 3 : kind == CellKind::kRnn ? 1 : 2; }

std::size_t operand_count(CellKind kind) { return Recurrent{kind, false, false, 0, {}}.operands(); }

class RecurrentKernel : public Kernel {
public:
    RecurrentKernel(const Recurrent& layer, std::int64_t cells, std::array<Quantizer, 3> quantizers)
        : layer_(layer), cells_(cells), quantizers_(std::move(quantizers)) {}

    Failure compute(Call& call) override {
        const Given given = read(call);
        if (!call.failed().empty()) return {};
        const Failure failed = check(given);
        if (!failed.empty()) return failed;
        RecurrentFrame frame = bind(call, given);
        if (!call.failed().empty()) return {};
        const Clock clock;
        std::array<Record*, 3> records{};
        for (std::size_t operand = 0; operand < layer_.operands(); ++operand) {
            Operand& own = frame.operands[operand];
            Record* record = records[operand] = record_of(own.linear);
            own.largest = record != nullptr;
            own.clipped = record && record->clip_limit >= 0;
        }
        const std::array<Done, 3> done = run(layer_, frame, call.pool());
        // The time of the layer is that of its first site.
        for (std::size_t operand = 0; operand < layer_.operands(); ++operand)
            if (Record* record = records[operand]) {
                const Done& own = done[operand];
                write_down(*record, own.changed, own.clipped, own.largest, own.sparse, operand ? 0 : clock.nanoseconds());
            }
        return done[0].ok ? Failure{} : Failure("out of memory");
    }

private:
    // The inputs of a call; by operand where it is an array.
    struct Given {
        Tensor x, peepholes, lengths, h, c;
        std::array<Tensor, 3> index, linear, weights;
    };

    bool lstm() const { return layer_.kind == CellKind::kLstm; }
    std::int64_t width(const Given& given, std::size_t operand) const { return operand ? cells_ : given.x.shape[2]; }

    Given read(Call& call) const {
        Given given;
        std::size_t number = 0;
        given.x = call.input(number++);
        for (std::size_t operand = 0; operand < layer_.operands(); ++operand) {
            given.index[operand] = call.input(number++);
            given.linear[operand] = call.input(number++);
        }
        for (std::size_t operand = 0; operand < layer_.operands(); ++operand) {
            given.weights[operand] = call.input(number);
            number += 2;  // the bias is in the linear output
        }
        if (lstm()) given.peepholes = call.input(number++);
        given.lengths = call.input(number++);
        given.h = call.input(number++);
        if (lstm()) given.c = call.input(number++);
        return given;
    }

    Failure check(const Given& given) const {
        const Shape& x = given.x.shape;
        if (x.size() != 3) return failure("X has %zu axes, not 3", x.size());
        if (x[1] < 1 || x[2] < 1) return failure("X of shape %s has no rows or no inputs", shape_text(x).c_str());
        constexpr const char* kNames[3][3] = {{"W_x", "past_index_x", "past_linear_x"},
                                              {"W_h", "past_index_h", "past_linear_h"},
                                              {"W_r", "past_index_r", "past_linear_r"}};
        const std::int64_t rows = x[1];
        Failure failed;
        const auto demand = [&](const char* name, const Tensor& tensor, const Shape& wanted) {
            if (failed.empty()) failed = check_shape(name, tensor.shape, wanted);
        };
        for (std::size_t operand = 0; operand < layer_.operands(); ++operand) {
            const std::int64_t inputs = width(given, operand), outputs = (std::int64_t)layer_.gates(operand) * cells_;
            demand(kNames[operand][0], given.weights[operand], {inputs, outputs});
            demand(kNames[operand][1], given.index[operand], {rows, inputs});
            demand(kNames[operand][2], given.linear[operand], {rows, outputs});
            const std::size_t deadbands = quantizers_[operand].deadbands();
            if (failed.empty() && deadbands != 1 && deadbands != (std::size_t)inputs)
                failed = failure("%zu deadbands for the %lld rows of %s", deadbands, (long long)inputs, kNames[operand][0]);
            if (failed.empty() && inputs > 4294967295) failed = failure("%s has more than 2^32 rows", kNames[operand][0]);
        }
        demand("sequence_lens", given.lengths, {rows});
        demand("initial_h", given.h, {1, rows, cells_});
        if (lstm()) {
            demand("P", given.peepholes, {3 * cells_});
            demand("initial_c", given.c, {1, rows, cells_});
        }
        return failed;
    }

    // What a run reads and writes; the outputs that continue an input begin as that.
    RecurrentFrame bind(Call& call, const Given& given) const {
        const std::int64_t steps = given.x.shape[0], rows = given.x.shape[1];
        RecurrentFrame frame{};
        frame.steps = (std::size_t)steps;
        frame.rows = (std::size_t)rows;
        frame.cells = (std::size_t)cells_;
        frame.x = given.x.floats();
        frame.lengths = static_cast<const std::int32_t*>(given.lengths.data);
        frame.peepholes = given.peepholes.floats();
        std::size_t number = 0;
        frame.y = (float*)call.output(number++, {steps, 1, rows, cells_});
        frame.h = (float*)call.continued(number++, given.h, sizeof(float));
        if (lstm()) frame.c = (float*)call.continued(number++, given.c, sizeof(float));
        for (std::size_t operand = 0; operand < layer_.operands(); ++operand) {
            Operand& own = frame.operands[operand];
            own.quantizer = &quantizers_[operand];
            own.inputs = (std::size_t)width(given, operand);
            own.outputs = layer_.gates(operand) * frame.cells;
            own.weights = given.weights[operand].floats();
            own.index = call.continued(number++, given.index[operand], own.quantizer->index_bytes());
            own.linear = (float*)call.continued(number++, given.linear[operand], sizeof(float));
        }
        for (std::size_t operand = 0; operand < layer_.operands(); ++operand)
            frame.operands[operand].steps = call.output(number++, {steps, rows, width(given, operand)});
        return frame;
    }

    Recurrent layer_;
    std::int64_t cells_;
    std::array<Quantizer, 3> quantizers_;
};

// An operator of kNamed for one type of index an operand.
struct RecurrentOperator : Operator {
    RecurrentOperator(const Named& of, const std::array<bool, 3>& wide)
        : Operator(of.name, inputs_of(of.kind, wide), outputs_of(of.kind, wide), make_kernel), of(of), wide(wide) {}

    static std::vector<ort::ElementType> inputs_of(CellKind kind, const std::array<bool, 3>& wide) {
        const std::size_t count = operand_count(kind);
        std::vector<ort::ElementType> types{ort::kFloat};
        for (std::size_t operand = 0; operand < count; ++operand) {
            types.push_back(wide[operand] ? ort::kUint16 : ort::kUint8);
            types.push_back(ort::kFloat);
        }
        types.insert(types.end(), 2 * count + (kind == CellKind::kLstm), ort::kFloat);
        types.push_back(ort::kInt32);
        types.insert(types.end(), kind == CellKind::kLstm ? 2 : 1, ort::kFloat);
        return types;
    }

    static std::vector<ort::ElementType> outputs_of(CellKind kind, const std::array<bool, 3>& wide) {
        const std::size_t count = operand_count(kind);
        std::vector<ort::ElementType> types(kind == CellKind::kLstm ? 3 : 2, ort::kFloat);
        for (std::size_t operand = 0; operand < count; ++operand) {
            types.push_back(wide[operand] ? ort::kUint16 : ort::kUint8);
            types.push_back(ort::kFloat);
        }
        for (std::size_t operand = 0; operand < count; ++operand) types.push_back(wide[operand] ? ort::kUint16 : ort::kUint8);
        return types;
    }

    static Failure make_kernel(NodeReader& reader, const Operator& op, std::unique_ptr<Kernel>& kernel) {
        const RecurrentOperator& own = static_cast<const RecurrentOperator&>(op);
        Recurrent layer{};
        layer.kind = own.of.kind;
        layer.input_forget = own.of.input_forget;
        layer.reverse = reader.integer("reverse") != 0;
        layer.clip = reader.real("clip");
        const std::int64_t cells = reader.integer("hidden_size");
        const std::vector<float> alpha = reader.reals("activation_alpha"), beta = reader.reals("activation_beta");
        if (!reader.failed().empty()) return reader.failed();
        if (!(layer.clip > 0) || cells < 1)
            return failure("clip %g or hidden_size %lld is out of range: compile the model again", (double)layer.clip,
                           (long long)cells);
        const std::size_t activations = activation_count(own.of.kind);
        if (alpha.size() != activations || beta.size() != activations)
            return failure("%zu values of activation_alpha and %zu of activation_beta, not %zu: compile the model again",
                           alpha.size(), beta.size(), activations);
        for (std::size_t number = 0; number < activations; ++number)
            layer.activations[number] = {own.of.activations[number], alpha[number], beta[number]};
        std::array<Quantizer, 3> quantizers;
        for (std::size_t operand = 0; operand < layer.operands(); ++operand) {
            const char prefix[] = {"xhr"[operand], '_', 0};
            Failure failed = read_quantizer(reader, prefix, false, own.wide[operand], quantizers[operand]);
            if (!failed.empty()) return failed;
        }
        kernel = std::make_unique<RecurrentKernel>(layer, cells, std::move(quantizers));
        return {};
    }

    const Named& of;
    std::array<bool, 3> wide;
};

std::vector<const Operator*> make_operators() {
    std::vector<const Operator*> all;
    for (const Named& one : kNamed)
        for (unsigned bits = 0; bits < 1u << operand_count(one.kind); ++bits)
            all.push_back(new RecurrentOperator(one, {(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0}));
    return all;
}

}  // namespace

const std::vector<const Operator*>& recurrent_operators() {
    // Never freed: a session may outlive what is destroyed when the process ends.
    static const std::vector<const Operator*>& all = *new std::vector<const Operator*>(make_operators());
    return all;
}

}  // namespace reuse
