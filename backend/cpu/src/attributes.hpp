// Quantizers and activations as attributes of a node.
#pragma once

#include <cmath>
#include <string>

#include "operator.hpp"
#include "quantizer.hpp"

namespace reuse {

// The quantizer of a node, of a recurrent one of the operand that `prefix` names; a failure where its values are out of range.
inline Failure read_quantizer(NodeReader& reader, const char* prefix, bool table, bool wide, Quantizer& quantizer) {
    const std::string before(prefix);
    const std::int64_t zero = reader.integer((before + "zero").c_str());
    std::vector<float> deadband = reader.reals((before + "deadband").c_str());
    if (!reader.failed().empty()) return reader.failed();
    if (deadband.empty()) return "deadband has no value: compile the model again";
    if (table) {
        std::vector<float> centroids = reader.reals("centroids"), boundaries = reader.reals("boundaries");
        if (!reader.failed().empty()) return reader.failed();
        if (centroids.size() < 2 || centroids.size() > 256 || boundaries.size() + 1 != centroids.size() || zero < 0 ||
            zero >= (std::int64_t)centroids.size())
            return failure("%zu centroids, %zu boundaries, zero %lld do not fit each other: compile the model again",
                           centroids.size(), boundaries.size(), (long long)zero);
        quantizer = Quantizer::table(std::move(centroids), std::move(boundaries), zero, std::move(deadband));
        return {};
    }
    const float step = reader.real((before + "step").c_str());
    const std::int64_t clusters = reader.integer((before + "clusters").c_str());
    if (!reader.failed().empty()) return reader.failed();
    if (!(step > 0) || !std::isfinite(step) || !std::isfinite(1.0f / step) || clusters < 2 || clusters > 65535 || zero < 0 || zero >= clusters)
        return failure("step %g, zero %lld, clusters %lld are no quantizer: compile the model again", (double)step,
                       (long long)zero, (long long)clusters);
    quantizer = Quantizer::linear(step, zero, clusters, std::move(deadband));
    if (quantizer.wide() != wide)
        return failure("%lld clusters with indices of %d bits: compile the model again", (long long)clusters, wide ? 16 : 8);
    return {};
}

inline Activation read_activation(NodeReader& reader) {
    Activation activation;
    activation.slope = reader.real("activation_slope");
    activation.maximum = reader.real("activation_max");
    return activation;
}

inline Failure check_shape(const char* what, const Shape& given, const Shape& wanted) {
    if (given == wanted) return {};
    return failure("%s has shape %s, not %s: reset the state, or compile the model again", what, shape_text(given).c_str(),
                   shape_text(wanted).c_str());
}

}  // namespace reuse
