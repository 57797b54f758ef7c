// A quantizer of a trial: the float32 operations, and their order, are those of reuse_compiler/function_text.py.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace reuse {
namespace {

struct Tried {
    Vector value, held;
};

// Clipping comes before rounding, not behind it, which is the same where the bounds are whole numbers: so steps are small
// enough to be rounded by an addition. What is no number stays none, as in the function body.
inline Tried tried(Vector x, Vector past, Vector deadband, const TrialScale& scale) {
    constexpr float kRound = 12582912.0f;  // adding it rounds to even
    const Vector step = splat(scale.step), rounding = splat(kRound);
    const Vector clipped = smaller(splat(scale.high), larger(splat(scale.low), x * splat(scale.inv_step)));
    const Vector nearest = (clipped + rounding) - rounding;
    const Integers far = magnitude(x - past * step) > deadband;
    const Vector weight = (Vector)(far & (Integers)splat(1.0f));
    const Vector held = past + (nearest - past) * weight;
    return {held * step, held};
}

std::size_t trial(const TrialScale& scale, const TrialRun& run) {
    const Vector everywhere = splat(run.deadband_all);
    Integers moved{};  // of each lane, less than 0
    std::size_t count = 0;
    std::size_t number = 0;
    for (; number + kLanes <= run.count; number += kLanes) {
        const Vector deadband = run.deadband ? load(run.deadband + number) : everywhere;
        const Vector past = load(run.past + number);
        const Tried found = tried(load(run.x + number), past, deadband, scale);
        store(run.value + number, found.value);
        store(run.held + number, found.held);
        moved += found.held != past;
    }
    if (const std::size_t rest = run.count - number) {
        const Vector deadband = run.deadband ? load_some(run.deadband + number, rest) : everywhere;
        const Vector past = load_some(run.past + number, rest);
        const Tried found = tried(load_some(run.x + number, rest), past, deadband, scale);
        store_some(run.value + number, found.value, rest);
        store_some(run.held + number, found.held, rest);
        for (std::size_t lane = 0; lane < rest; ++lane) count += found.held[lane] != past[lane];
    }
    for (std::size_t lane = 0; lane < kLanes; ++lane) count += (std::size_t)-moved[lane];
    return count;
}

}  // namespace
}  // namespace reuse
