// Streams that share layers, each on threads of its own: must give the bits of one thread, and no data race.
//
// A program for the thread sanitizer. Under onnxruntime it would see races that are none, since it knows nothing of how
// the threads of that pool wait for each other.
#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "conv.hpp"
#include "gemm.hpp"
#include "recurrent.hpp"
#include "watch.hpp"

extern "C" void reuse_watch(const void* linear, reuse::Record* record);

namespace {

using reuse::Conv;
using reuse::ConvShape;
using reuse::Gemm;
using reuse::Pool;
using reuse::Quantizer;

constexpr int kFrames = 6, kStreams = 3, kThreads = 3;

std::vector<float> draw(std::size_t count, unsigned seed) {
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    std::vector<float> values(count);
    for (float& value : values) value = normal(generator);
    return values;
}

void start(const void*, Pool::Work work, std::size_t total, void* data) {
    std::atomic<std::size_t> next{0};
    std::vector<std::thread> threads;
    for (int number = 0; number < kThreads; ++number)
        threads.emplace_back([&] {
            for (std::size_t item = next++; item < total; item = next++) work(data, item);
        });
    for (std::thread& thread : threads) thread.join();
}

struct Layer {
    std::string name;
    std::size_t inputs, outputs;
    virtual ~Layer() = default;
    virtual reuse::Done run(const float* x, void* index, float* linear, float* y, const Pool& pool, reuse::Scratch& scratch) const = 0;
};

struct Fc : Layer {
    static constexpr std::size_t kRows = 2;
    Gemm gemm;
    std::vector<float> weights;

    Fc(std::size_t in, std::size_t out) : gemm(in, out, Quantizer::linear(0.1f, 32, 65, {0.05f}), {}), weights(draw(in * out, 1)) {
        name = "fc";
        inputs = kRows * in;
        outputs = kRows * out;
    }
    reuse::Done run(const float* x, void* index, float* linear, float* y, const Pool& pool, reuse::Scratch& scratch) const override {
        return gemm.run(x, index, weights.data(), linear, y, kRows, true, pool, scratch);
    }
};

struct ConvLayer : Layer {
    Conv conv;

    ConvLayer(const char* called, const ConvShape& shape)
        : conv(shape, draw(shape.outputs * shape.channels / shape.group * shape.kernel[1] * shape.kernel[2], 2).data(),
               Quantizer::linear(0.1f, 32, 65, std::vector<float>(shape.channels, 0.05f)), {}) {
        name = called;
        inputs = shape.channels * shape.input_pixels();
        outputs = shape.outputs * shape.output_pixels();
    }
    reuse::Done run(const float* x, void* index, float* linear, float* y, const Pool& pool, reuse::Scratch& scratch) const override {
        return conv.run({x, index, linear, y, true}, pool, scratch);
    }
};

// An LSTM: the state of both operands one behind the other, h and c behind their linear outputs.
struct Lstm : Layer {
    static constexpr std::size_t kSteps = 3, kRows = 2, kInputs = 200, kCells = 300;
    Quantizer quantizer = Quantizer::linear(0.1f, 32, 65, {0.05f});
    std::vector<float> of_x = draw(kInputs * 4 * kCells, 3), of_h = draw(kCells * 4 * kCells, 4), peepholes = draw(3 * kCells, 5);

    Lstm() {
        name = "lstm";
        inputs = kSteps * kRows * kInputs;
        outputs = kRows * kCells * 10;
    }
    reuse::Done run(const float* x, void* index, float* linear, float* y, const Pool& pool, reuse::Scratch&) const override {
        const std::int32_t lengths[kRows] = {kSteps, kSteps - 1};
        std::vector<unsigned char> steps_x(kSteps * kRows * kInputs), steps_h(kSteps * kRows * kCells);
        unsigned char* index_h = (unsigned char*)index + kRows * kInputs;
        float *linear_h = linear + kRows * 4 * kCells, *h = linear_h + kRows * 4 * kCells, *c = h + kRows * kCells;
        const reuse::GateActivation sigmoid{reuse::GateKind::kSigmoid, 0, 0}, tanh{reuse::GateKind::kTanh, 0, 0};
        const reuse::Recurrent layer{reuse::CellKind::kLstm, false, false, 9, {sigmoid, tanh, tanh}};
        const reuse::RecurrentFrame frame{
            kSteps, kRows, kCells, x, lengths, peepholes.data(),
            {{&quantizer, kInputs, 4 * kCells, of_x.data(), index, linear, steps_x.data(), true, true},
             {&quantizer, kCells, 4 * kCells, of_h.data(), index_h, linear_h, steps_h.data(), true, true},
             {}},
            y, h, c};
        return reuse::run(layer, frame, pool)[0];
    }
};

ConvShape shape_of(std::size_t channels, std::size_t outputs, std::size_t group, std::int32_t size) {
    ConvShape shape;
    shape.channels = channels;
    shape.outputs = outputs;
    shape.group = group;
    shape.input = shape.output = {1, size, size};
    shape.kernel = {1, 3, 3};
    shape.pads = {0, 1, 1};
    return shape;
}

// All linear outputs and y of all frames.
std::vector<float> stream(const Layer& layer, const Pool& pool) {
    std::vector<unsigned char> index(2 * layer.inputs, 32);
    std::vector<float> linear(layer.outputs, 0.0f), y(layer.outputs), all;
    reuse::Totals totals{};
    reuse::Record record{};
    record.totals = &totals;
    reuse_watch(linear.data(), &record);
    thread_local reuse::Scratch scratch;
    for (int frame = 0; frame < kFrames; ++frame) {
        const std::vector<float> fresh = draw(layer.inputs, 10 + (unsigned)frame);
        std::vector<float> x = draw(layer.inputs, 9);
        for (std::size_t number = 0; number < x.size(); ++number)
            if (number % (2 + 3 * (std::size_t)frame) == 0) x[number] = fresh[number];
        const reuse::Done done = layer.run(x.data(), index.data(), linear.data(), y.data(), pool, scratch);
        reuse::write_down(*reuse::record_of(linear.data()), (std::int64_t)done.changed, (std::int64_t)done.clipped, done.largest,
                          done.sparse, 1);
        all.insert(all.end(), linear.begin(), linear.end());
        all.insert(all.end(), y.begin(), y.end());
        all.push_back((float)totals.changed);
    }
    reuse_watch(linear.data(), nullptr);
    return all;
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && !std::memcmp(a.data(), b.data(), a.size() * sizeof(float));
}

}  // namespace

int main() {
    std::vector<std::unique_ptr<Layer>> layers;
    layers.push_back(std::make_unique<Fc>(300, 2500));
    layers.push_back(std::make_unique<Lstm>());
    layers.push_back(std::make_unique<ConvLayer>("conv", shape_of(16, 40, 1, 20)));
    layers.push_back(std::make_unique<ConvLayer>("groups", shape_of(24, 36, 3, 20)));
    layers.push_back(std::make_unique<ConvLayer>("depthwise", shape_of(64, 64, 64, 24)));
    int failed = 0;
    for (const auto& layer : layers) {
        const std::vector<float> expected = stream(*layer, Pool());
        std::vector<std::vector<float>> found(kStreams);
        std::vector<std::thread> streams;
        for (std::vector<float>& one : found) streams.emplace_back([&] { one = stream(*layer, Pool(start, nullptr)); });
        for (std::thread& one : streams) one.join();
        for (const std::vector<float>& one : found) {
            if (same(one, expected)) continue;
            std::printf("%s: other bits than on one thread\n", layer->name.c_str());
            ++failed;
        }
    }
    std::printf("%s: %d of %d streams differ\n", reuse::kernels().name, failed, kStreams * (int)layers.size());
    return failed != 0;
}
