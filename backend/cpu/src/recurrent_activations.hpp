// Activations of gates, a vector at a time.
//
// Sigmoid and Tanh rest on exp(v) for v <= 0: n = v / ln 2 rounded, r = v - n ln 2, and a polynomial of degree 6 for exp(r) - 1
// whose relative error is 1.4e-8 (least maximum over |r| <= ln 2 / 2, found by Lawson's iteration). NaN stays NaN.
// Against float64, over every 61st float32, on every instruction set: Sigmoid, above -87, within 2.4 ulp and 9e-8, Tanh within
// 2.5 ulp and 1.5e-7.
#pragma once

#include <cstdint>

#include "recurrent_step.hpp"
#include "simd.hpp"

namespace reuse {
namespace {

// 2^n and exp(r) - 1 of a value from -87 to 0.
struct Power {
    Vector scale, rest;
};

inline Power power(Vector value) {
    constexpr float kRound = 12582912.0f;  // adding it rounds to a whole number, which the low bits then hold
    const Vector shifted = multiply_add(value, splat(1.44269504f), splat(kRound));
    const Vector number = shifted - kRound;
    // ln 2 in two parts, the first so short that its multiples are exact.
    Vector r = multiply_add(number, splat(-0.693359375f), value);
    r = multiply_add(number, splat(2.12194440e-4f), r);
    Vector sum = splat(1.388249802403152e-3f);
    sum = multiply_add(sum, r, splat(8.36664717644453e-3f));
    sum = multiply_add(sum, r, splat(4.166720435023308e-2f));
    sum = multiply_add(sum, r, splat(1.6666541993618011e-1f));
    sum = multiply_add(sum, r, splat(4.999999701976776e-1f));
    const Integers bits = ((Integers)shifted << 23) + 0x3f800000;
    return {(Vector)bits, multiply_add(r * r, sum, r)};
}

inline Vector sign_of(Vector value) { return (Vector)((Integers)value & INT32_MIN); }
inline Vector size_of(Vector value) { return (Vector)((Integers)value & INT32_MAX); }

// Not above `most`; NaN stays.
inline Vector at_most(Vector value, Vector most) { return value > most ? most : value; }
inline Vector at_least(Vector value, Vector least) { return value < least ? least : value; }

// 1 / (1 + exp(-x)); below -87 as at -87.
inline Vector sigmoid(Vector x) {
    const Power found = power(-at_most(size_of(x), splat(87.0f)));
    const Vector e = multiply_add(found.scale, found.rest, found.scale);  // exp(-|x|)
    const Vector one = splat(1.0f);
    return (x < splat(0.0f) ? e : one) / (one + e);
}

// With E = exp(-2 |x|) - 1: -E / (2 + E), which loses nothing near 0.
inline Vector hyperbolic_tangent(Vector x) {
    const Vector size = size_of(x);
    const Power found = power(-at_most(size + size, splat(87.0f)));
    const Vector e = multiply_add(found.scale, found.rest, found.scale - 1.0f);
    const Vector positive = -e / (e + 2.0f);
    return (Vector)((Integers)size_of(positive) | (Integers)sign_of(x));
}

inline Vector gate(const GateActivation& activation, Vector x) {
    switch (activation.kind) {
        case GateKind::kTanh: return hyperbolic_tangent(x);
        case GateKind::kRelu: return at_least(x, splat(0.0f));
        case GateKind::kHardSigmoid: {
            const Vector line = x * splat(activation.alpha) + splat(activation.beta);
            return at_most(at_least(line, splat(0.0f)), splat(1.0f));
        }
        default: return sigmoid(x);
    }
}

}  // namespace
}  // namespace reuse
