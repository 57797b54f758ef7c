// Which instruction set to use.
#include <cstdlib>
#include <cstring>

#include "kernels.hpp"

namespace reuse {
namespace {

const Kernels& choose() {
#ifdef REUSE_X86
    const char* wanted = std::getenv("REUSE_KERNELS");
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    auto named = [&](const Kernels& set) { return wanted && !std::strcmp(wanted, set.name); };
    if (named(kBaselineKernels) || (named(kAvx2Kernels) && avx2)) return named(kBaselineKernels) ? kBaselineKernels : kAvx2Kernels;
    if (avx512) return kAvx512Kernels;  // the best, where no other is named that there is
    if (avx2) return kAvx2Kernels;
#endif
    return kBaselineKernels;
}

}  // namespace

const Kernels& kernels() {
    static const Kernels& chosen = choose();
    return chosen;
}

}  // namespace reuse
