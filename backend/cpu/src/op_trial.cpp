// TrialQuantizer, and TrialStep for the steps of recurrent layers.
#include <cmath>
#include <cstring>

#include "attributes.hpp"
#include "operator.hpp"

namespace reuse {
namespace {

// How deadbands lie along x: each of `channels` is that of `inner` elements, and behind the last comes the first again.
struct Deadbands {
    const float* values;
    std::size_t channels, inner;
};

Failure read_number(const char* what, const Tensor& tensor, float& number) {
    if (tensor.size() != 1)
        return failure("%s has shape %s, not []: give one number", what, shape_text(tensor.shape).c_str());
    number = *tensor.floats();
    return {};
}

Failure read_scale(const Tensor& step, const Tensor& inv_step, const Tensor& low, const Tensor& high, TrialScale& scale) {
    constexpr float kMost = 4194304.0f;  // half of what the rounding of trial.hpp takes
    Failure failed = read_number("step", step, scale.step);
    if (failed.empty()) failed = read_number("inv_step", inv_step, scale.inv_step);
    if (failed.empty()) failed = read_number("low", low, scale.low);
    if (failed.empty()) failed = read_number("high", high, scale.high);
    if (!failed.empty()) return failed;
    auto whole = [](float bound) { return std::fabs(bound) <= kMost && bound == std::floor(bound); };
    if (!whole(scale.low) || !whole(scale.high) || scale.low > scale.high)
        return failure("low %g, high %g: give whole numbers up to 2^22, in order", (double)scale.low, (double)scale.high);
    return {};
}

// One deadband for all of x, or one for each index of one of its axes.
Failure read_deadbands(const Tensor& deadband, const Shape& x, Deadbands& found) {
    const std::size_t rank = deadband.shape.size();
    bool fits = rank <= x.size();
    found = {deadband.floats(), 1, x.elements()};
    for (std::size_t axis = 0; fits && axis < rank; ++axis) {
        const std::size_t of_x = x.size() - rank + axis;
        if (deadband.shape[axis] == 1) continue;
        fits = found.channels == 1 && deadband.shape[axis] == x[of_x];
        found.channels = (std::size_t)x[of_x];
        found.inner = 1;
        for (std::size_t behind = of_x + 1; behind < x.size(); ++behind) found.inner *= (std::size_t)x[behind];
    }
    if (fits) return {};
    return failure("deadband of shape %s does not fit x of shape %s: give one, or one a channel",
                   shape_text(deadband.shape).c_str(), shape_text(x).c_str());
}

class TrialKernel : public Kernel {
public:
    explicit TrialKernel(bool step) : step_(step) {}

    Failure compute(Call& call) override {
        const Tensor x = call.input(0), past = call.input(1), dense = call.input(2);
        const Tensor step = call.input(3), inv_step = call.input(4), deadband = call.input(5);
        const Tensor low = call.input(6), high = call.input(7), active = step_ ? call.input(8) : Tensor();
        if (!call.failed().empty()) return {};
        TrialScale scale{};
        Failure failed = read_scale(step, inv_step, low, high, scale);
        if (failed.empty()) failed = check_shape("past", past.shape, x.shape);
        if (failed.empty() && dense.size() != 1)
            failed = failure("dense has shape %s, not []: give one", shape_text(dense.shape).c_str());
        if (failed.empty() && step_ && (x.shape.size() != 2 || !(active.shape == Shape{x.shape[0], 1})))
            failed = failure("active of shape %s does not fit x of shape %s: give one a row",
                             shape_text(active.shape).c_str(), shape_text(x.shape).c_str());
        Deadbands deadbands{};
        if (failed.empty()) failed = read_deadbands(deadband, x.shape, deadbands);
        if (!failed.empty()) return failed;
        float* value = (float*)call.output(0, x.shape);
        float* held = (float*)call.output(1, x.shape);
        std::int64_t* changed = step_ ? nullptr : (std::int64_t*)call.output(2, Shape{});
        if (!call.failed().empty()) return {};
        if (changed) *changed = 0;
        if (!x.size()) return {};
        if (!value || !held) return "value or held has no name: give both";
        if (*(const bool*)dense.data) {
            if (value != x.data) std::memcpy(value, x.data, x.size() * sizeof(float));
            std::memcpy(held, past.data, x.size() * sizeof(float));
            if (changed) *changed = (std::int64_t)x.size();
            return {};
        }
        if (step_ && deadbands.channels == 1) deadbands.inner = (std::size_t)x.shape[1];  // so that a run is a row
        // A run is what shares a deadband, or where that is a single element the elements of all deadbands.
        const bool by_element = deadbands.inner == 1 && deadbands.channels > 1;
        const std::size_t length = by_element ? deadbands.channels : deadbands.inner;
        for (std::size_t start = 0, number = 0; start < x.size(); start += length, ++number) {
            TrialRun run{x.floats() + start, past.floats() + start, nullptr, 0, length, value + start, held + start};
            if (step_ && !((const bool*)active.data)[number])
                run.deadband_all = HUGE_VALF;  // the row moves nowhere
            else if (by_element)
                run.deadband = deadbands.values;
            else
                run.deadband_all = deadbands.values[number % deadbands.channels];
            const std::size_t count = kernels().trial(scale, run);
            if (changed) *changed += (std::int64_t)count;
        }
        return {};
    }

private:
    bool step_;
};

template <bool kStep>
Failure make(NodeReader&, const Operator&, std::unique_ptr<Kernel>& kernel) {
    kernel = std::make_unique<TrialKernel>(kStep);
    return {};
}

struct TrialOperator : Operator {
    TrialOperator(const char* name, std::vector<ort::ElementType> inputs, std::vector<ort::ElementType> outputs, Make make)
        : Operator(name, std::move(inputs), std::move(outputs), make, SIZE_MAX, kTrialDomain) {
        // The value may take the place of x where nobody else reads that.
        may_inplace = [](int** input, int** output) -> std::size_t {
            static int first = 0;
            *input = *output = &first;
            return 1;
        };
        release_may_inplace = [](int*, int*) {};
    }
};

}  // namespace

const std::vector<const Operator*>& trial_operators() {
    using ort::kBool, ort::kFloat, ort::kInt64;
    static const TrialOperator plain("TrialQuantizer", {kFloat, kFloat, kBool, kFloat, kFloat, kFloat, kFloat, kFloat},
                                {kFloat, kFloat, kInt64}, make<false>);
    static const TrialOperator step("TrialStep", {kFloat, kFloat, kBool, kFloat, kFloat, kFloat, kFloat, kFloat, kBool},
                               {kFloat, kFloat}, make<true>);
    static const std::vector<const Operator*> all{&plain, &step};
    return all;
}

}  // namespace reuse
