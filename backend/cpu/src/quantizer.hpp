// A quantizer with the arrays that it needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels.hpp"

namespace reuse {

class Quantizer {
public:
    Quantizer() = default;
    static Quantizer linear(float step, std::int64_t zero, std::int64_t clusters, std::vector<float> deadband) {
        Quantizer made(std::move(deadband));
        const float still = step * (0.5f - 1.0f / (1 << 20));
        made.scale_ = {step, 1.0f / step, (float)zero, (float)(clusters - 1), nullptr, nullptr, 0, zero > 0 ? 0 : -1,
                       zero < clusters - 1 ? (std::int32_t)(clusters - 1) : -1, still};
        made.wide_ = clusters > 256;
        return made;
    }
    static Quantizer table(std::vector<float> centroids, std::vector<float> boundaries, std::int64_t zero,
                           std::vector<float> deadband) {
        Quantizer made(std::move(deadband));
        made.centroids_ = std::move(centroids);
        made.boundaries_ = std::move(boundaries);
        made.scale_ = {1, 1, (float)zero, (float)made.boundaries_.size(), nullptr, nullptr, made.boundaries_.size(),
                       zero > 0 ? 0 : -1, zero < (std::int64_t)made.boundaries_.size() ? (std::int32_t)made.boundaries_.size() : -1, -1};
        return made;
    }

    // How many of `count` indices are at an end of the range.
    std::size_t at_ends(const void* index, std::size_t count) const {
        return wide_ ? count_ends((const std::uint16_t*)index, count) : count_ends((const std::uint8_t*)index, count);
    }

    bool wide() const { return wide_; }
    std::size_t index_bytes() const { return wide_ ? 2 : 1; }
    std::size_t deadbands() const { return deadband_.size(); }

    // Room for one deadband an input of `channels * pixels`, where they differ by channel.
    void repeat(std::size_t channels, std::size_t pixels) {
        if (deadband_.size() < 2) return;
        deadband_.resize(channels);
        deadband_.reserve(channels * pixels);
        for (std::size_t number = channels; number < channels * pixels; ++number)
            deadband_.push_back(deadband_[number - channels]);
    }

    // Quantizes a run whose `first` counts from the first channel of a pixel; the changes have room for the run and 16 more.
    std::size_t operator()(Run run, const Changes& changes) const {
        Scale scale = scale_;
        if (!centroids_.empty()) {
            scale.centroids = centroids_.data();
            scale.boundaries = boundaries_.data();
        }
        run.deadband = deadband_.size() > 1 ? deadband_.data() + run.first : nullptr;
        run.deadband_all = deadband_.empty() ? -1.0f : deadband_[0];
        return (wide_ ? kernels().quantize_uint16 : kernels().quantize_uint8)(scale, run, changes);
    }

private:
    explicit Quantizer(std::vector<float> deadband) : deadband_(std::move(deadband)) {
        for (float& one : deadband_)
            if (!(one > 0)) one = -1.0f;  // the past index is not consulted
    }

    template <typename Index>
    std::size_t count_ends(const Index* index, std::size_t count) const {
        std::size_t found = 0;
        for (std::size_t number = 0; number < count; ++number)
            found += (index[number] == scale_.low_end) | (index[number] == scale_.high_end);
        return found;
    }

    Scale scale_{};
    bool wide_ = false;
    std::vector<float> deadband_, centroids_, boundaries_;
};

struct Activation {
    float slope = 1.0f;
    float maximum = __builtin_inff();
};

}  // namespace reuse
